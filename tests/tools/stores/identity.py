"""Who a machine is, as Amazon tells it: instance metadata, version 2, and AssumeRoleWithWebIdentity.

    identity.py PORT TLS_PORT DIR ACCESS_KEY SECRET_KEY

PORT answers as 169.254.169.254 does (session token by PUT, then the role, then its credentials),
TLS_PORT as the Security Token Service, by the certificate DIR/leaf.pem and its key DIR/leaf.key.
Both give the same key, and beside it the session token `session-of-metadata` or
`session-of-identity`. Writes DIR/ready when it listens.
"""

import datetime
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT, TLS_PORT, DIR = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
KEY, SECRET = sys.argv[4:]
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


def later():
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


class Speaker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Metadata(Speaker):
    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        known = self.path == "/latest/api/token" and asked
        self.answer("of-this-machine" if known else "", 200 if known else 400)

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "of-this-machine":
            return self.answer("", 401)
        if self.path == CREDENTIALS:
            return self.answer("recorder-role")
        if self.path != CREDENTIALS + "recorder-role":
            return self.answer("", 404)
        told = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": KEY,
            "SecretAccessKey": SECRET,
            "Token": "session-of-metadata",
            "Expiration": later(),
        }
        self.answer(json.dumps(told))


class Tokens(Speaker):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query = parse_qs(urlsplit(self.path).query) | parse_qs(body)
        asked = {name: values[0] for name, values in query.items()}
        right = {
            "Action": "AssumeRoleWithWebIdentity",
            "RoleArn": "arn:aws:iam::123456789012:role/recorder",
            "WebIdentityToken": "token-of-the-cluster",
        }
        if not right.items() <= asked.items():
            body = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"
            return self.answer(body, 400)
        self.answer(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<SessionToken>session-of-identity</SessionToken><SecretAccessKey>{SECRET}"
            f"</SecretAccessKey><Expiration>{later()}</Expiration><AccessKeyId>{KEY}</AccessKeyId>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )


tokens = ThreadingHTTPServer(("127.0.0.1", TLS_PORT), Tokens)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(DIR / "leaf.pem", DIR / "leaf.key")
tokens.socket = context.wrap_socket(tokens.socket, server_side=True)
threading.Thread(target=tokens.serve_forever, daemon=True).start()
metadata = ThreadingHTTPServer(("127.0.0.1", PORT), Metadata)
(DIR / "ready").touch()
metadata.serve_forever()
