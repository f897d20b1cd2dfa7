"""OpenStack Swift with its S3 API, the whole of it on free loopback ports in one directory.

    swift_s3.py DIR PORT ACCESS_KEY SECRET_KEY

Four servers of one process group: account, container, object, proxy. ACCESS_KEY is
`account:user`. Path style and, under `BUCKET.s3.test.localhost`, virtual-hosted style.
It runs until it is killed; started again in the same directory, it has its objects still.
ACCOUNT:guest, with the same secret key, is known and may do nothing. With SWIFT_CLOCK in the
environment, the S3 API's clock goes so many seconds ahead.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ME = Path(__file__).resolve()
PIPELINE = """catch_errors cache listing_formats bulk s3api tempauth slo dlo
    versioned_writes copy proxy-server"""
FILTERS = {
    "catch_errors": "catch_errors",
    "cache": "memcache\nmemcache_servers = 127.0.0.1:1",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "s3api": "s3api\ns3_acl = no\nlocation = us-east-1\nstorage_domain = s3.test.localhost\n"
    "dns_compliant_bucket_names = true\nmin_segment_size = 5242880",
    "slo": "slo",
    "dlo": "dlo",
    "versioned_writes": "versioned_writes",
    "copy": "copy",
}


def common(directory, port):
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\n"
        f"user = {os.environ.get('USER') or 'root'}\nswift_dir = {directory}\n"
        f"devices = {directory}/devices\nmount_check = false\nfallocate_reserve = 0\n"
        f"log_level = WARNING\n"
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def set_up(directory, proxy_port, access_key, secret_key):
    (directory / "devices/disk").mkdir(parents=True, exist_ok=True)
    (directory / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = suffix\nswift_hash_path_prefix = prefix\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    builder = Path(sys.executable).with_name("swift-ring-builder")
    for kind in ("account", "container", "object"):
        port = free_port()
        ring = str(directory / f"{kind}.builder")
        place = ["--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port", str(port)]
        for step in (
            ["create", "4", "1", "0"],
            ["add", *place, "--device", "disk", "--weight", "1"],
            ["rebalance"],
        ):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            # It answers 1 where it only warns.
            subprocess.run([sys.executable, builder, ring, *step], **quiet, check=False)
        (directory / f"{kind}.conf").write_text(
            common(directory, port)
            + f"recon_cache_path = {directory}/cache\n[pipeline:main]\npipeline = {kind}-server\n"
            + f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
    filters = "".join(f"[filter:{name}]\nuse = egg:swift#{use}\n" for name, use in FILTERS.items())
    account, user = access_key.split(":")
    (directory / "proxy.conf").write_text(
        common(directory, proxy_port)
        + f"[pipeline:main]\npipeline = {PIPELINE}\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        + "allow_account_management = true\naccount_autocreate = true\n"
        + filters
        + f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_{account}_{user} = {secret_key} .admin\n"
        + f"user_{account}_guest = {secret_key}\n"
    )


def serve(directory, kind):
    """One of the servers, in this process; the path of swift.conf is a constant of Swift."""
    import eventlet

    eventlet.monkey_patch()
    from swift.common import constraints, storage_policy, utils

    for module in (utils, storage_policy, constraints):
        if hasattr(module, "SWIFT_CONF_FILE"):
            module.SWIFT_CONF_FILE = str(directory / "swift.conf")
    getattr(constraints, "reload_constraints", lambda: None)()
    utils.validate_hash_conf()
    storage_policy.reload_storage_policies()
    from swift.common.wsgi import run_wsgi

    ahead = int(os.environ.get("SWIFT_CLOCK", 0))
    if kind == "proxy" and ahead:
        from swift.common.middleware.s3api.utils import S3Timestamp

        S3Timestamp.now = classmethod(lambda cls: cls(time.time() + ahead))
    more = {}
    if kind == "object":
        from swift.obj.server import global_conf_callback

        more["global_conf_callback"] = global_conf_callback
    return run_wsgi(str(directory / f"{kind}.conf"), f"{kind}-server", **more)


def main():
    if len(sys.argv) == 3:
        sys.exit(serve(Path(sys.argv[1]), sys.argv[2]))
    directory, port, access_key, secret_key = Path(sys.argv[1]), *sys.argv[2:5]
    if not (directory / "proxy.conf").exists():
        set_up(directory, port, access_key, secret_key)
    kinds = ("account", "container", "object", "proxy")
    servers = [subprocess.Popen([sys.executable, ME, directory, kind]) for kind in kinds]

    def end(*_):
        for server in servers:
            server.kill()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    for server in servers:
        server.wait()


main()
