"""What Alibaba's own client, oss2, reads of an object.

    oss.py PORT ACCESS_KEY SECRET_KEY BUCKET KEY FILE
"""

import socket
import sys

import oss2

port, access_key, secret_key, bucket, key, file = sys.argv[1:]
resolve = socket.getaddrinfo
# Names below `localhost` are this machine (RFC 6761, section 6.3), whatever the resolver says.
socket.getaddrinfo = lambda host, *rest, **more: resolve(
    "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more
)
client = oss2.Bucket(
    oss2.AuthV4(access_key, secret_key),
    f"http://oss-cn-test.localhost:{port}",
    bucket,
    region="cn-test",
)
try:
    print(client.get_object_to_file(key, file).content_type)
except oss2.exceptions.OssError as refused:
    sys.exit(f"{refused.status} {refused.code}")
