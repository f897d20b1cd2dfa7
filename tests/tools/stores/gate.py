"""Google Cloud Storage as far as roomreel meets it, with the checks that its emulator leaves out.

    gate.py PORT DIR BUCKET

gcp-storage-emulator keeps the objects; it checks no credential and knows no XML multipart
uploads. This gate stands before it: it is the OAuth token endpoint and verifies the signed
grant, wants the bearer token that it gave or one that the service account signed itself, signs
every V4 URL anew with Google's own signer and compares, and does XML multipart uploads (XML API, "Multipart uploads": initiate, part,
complete, abort; parts but the last have 5 MiB) in memory. Writes DIR/key.json, the key of a
service account, when it is ready.
"""

import base64
import datetime
import hashlib
import json
import secrets
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree

import google_crc32c
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.server import create_server
from google.auth import jwt
from google.cloud.storage._signing import generate_signed_url_v4
from google.oauth2 import service_account

PORT, DIR, BUCKET = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
SMALLEST = 5 << 20
NOW = lambda: datetime.datetime.now(datetime.timezone.utc)

private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ACCOUNT = {
    "type": "service_account",
    "client_email": "recorder@test.iam.gserviceaccount.com",
    "client_id": "1",
    "private_key_id": "1",
    "project_id": "test",
    "token_uri": f"http://127.0.0.1:{PORT}/token",
    "private_key": private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode(),
}
CREDENTIALS = service_account.Credentials.from_service_account_info(ACCOUNT)
TOKENS, UPLOADS, HASHES, LOCK = set(), {}, {}, threading.Lock()


class Refused(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status = status
        self.body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


class Gate(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        headers = dict(headers)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def token(self, body):
        """RFC 7523: the grant is a JWT signed by the service account."""
        form = dict(parse_qsl(body.decode()))
        # Google's own client names Google's endpoint whatever the key says.
        audience = ["https://oauth2.googleapis.com/token", ACCOUNT["token_uri"]]
        try:
            claims = jwt.decode(form["assertion"], certs=PUBLIC, audience=audience)
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            assert claims["iss"] == ACCOUNT["client_email"] and "devstorage" in claims["scope"]
        except Exception as why:
            told = {"error": "invalid_grant", "error_description": str(why)}
            return self.answer(400, json.dumps(told), {"Content-Type": "application/json"})
        token = secrets.token_hex()
        TOKENS.add(token)
        told = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        self.answer(200, json.dumps(told), {"Content-Type": "application/json"})

    def is_known(self, token):
        """A token given here, or one that the account signed itself (AIP-4111)."""
        if token in TOKENS:
            return True
        try:
            claims = jwt.decode(token, certs=PUBLIC)
        except Exception:
            return False
        known = claims["iss"] == claims["sub"] == ACCOUNT["client_email"]
        scope = claims.get("scope", "")
        return known and ("devstorage" in scope or "cloud-platform" in scope)

    def check_url(self, url, query):
        made = datetime.datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ")
        made = made.replace(tzinfo=datetime.timezone.utc)
        life = int(query["X-Goog-Expires"])
        if NOW() > made + datetime.timedelta(seconds=life):
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        right = generate_signed_url_v4(
            CREDENTIALS,
            resource=url.path,
            expiration=life,
            # The library signs for Google's own name, whatever the endpoint; this address
            # stands for it.
            api_access_endpoint="https://storage.googleapis.com",
            method=self.command,
            query_parameters={k: v for k, v in query.items() if not k.startswith("X-Goog-")},
            _request_timestamp=query["X-Goog-Date"],
        )
        if dict(parse_qsl(urlsplit(right).query))["X-Goog-Signature"] != query["X-Goog-Signature"]:
            raise Refused(403, "SignatureDoesNotMatch", "Access denied.")

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, True).items()}
        try:
            if url.path == "/token":
                return self.token(body)
            if "X-Goog-Signature" in query:
                self.check_url(url, query)
            elif not self.is_known(self.headers.get("Authorization", "")[len("Bearer ") :]):
                raise Refused(401, "AuthenticationRequired", "Authentication required.")
            if url.path.startswith(("/storage/", "/upload/", "/download/")):
                return self.pass_on(body)
            bucket, _, key = unquote(url.path[1:]).partition("/")
            if bucket != BUCKET:
                raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
            self.xml(key, query, body)
        except Refused as refused:
            self.answer(refused.status, refused.body, {"Content-Type": "application/xml"})

    def pass_on(self, body):
        """The JSON API, which Google's own client speaks, is the emulator's."""
        status, headers, found = emulator(self.command, self.path, body, dict(self.headers))
        found = found.replace(f":{EMULATOR}".encode(), f":{PORT}".encode()) if b"http" in found else found
        self.answer(status, found, {k: v for k, v in headers.items() if k.lower() in ("content-type", "location", "range")})

    def xml(self, key, query, body):
        digest = '"' + hashlib.md5(body).hexdigest() + '"'
        if self.command == "POST" and "uploads" in query:
            upload = secrets.token_hex(8)
            UPLOADS[upload] = (key, self.headers.get("Content-Type"), {})
            return self.answer(200, f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if "uploadId" in query:
            if UPLOADS.get(query["uploadId"], (None,))[0] != key:
                raise Refused(404, "NoSuchUpload", "The requested upload was not found.")
            _, media_type, parts = UPLOADS[query["uploadId"]]
            if self.command == "PUT":
                parts[int(query["partNumber"])] = (digest, body)
                return self.answer(200, headers={"ETag": digest})
            if self.command == "DELETE":
                del UPLOADS[query["uploadId"]]
                return self.answer(204)
            whole = b""
            tree = ElementTree.fromstring(body)
            told = [{node.tag.split("}")[-1]: node.text for node in part} for part in tree]
            named = [(part["PartNumber"], part["ETag"]) for part in told]
            for place, (number, tag) in enumerate(sorted(named, key=lambda part: int(part[0]))):
                if parts.get(int(number), (None,))[0] != tag:
                    raise Refused(400, "InvalidPart", "A part was not found.")
                if place + 1 < len(named) and len(parts[int(number)][1]) < SMALLEST:
                    raise Refused(400, "EntityTooSmall", "A part is too small.")
                whole += parts[int(number)][1]
            del UPLOADS[query["uploadId"]]
            self.store(key, media_type, whole)
            return self.answer(200, f"<CompleteMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key><ETag>\"opaque-{len(named)}\"</ETag></CompleteMultipartUploadResult>")
        if self.command == "PUT":
            self.store(key, self.headers.get("Content-Type"), body)
            return self.answer(200, headers={"ETag": digest})
        place = f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"
        if self.command == "DELETE":
            status, _, _ = emulator("DELETE", place)
            if status == 404:
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            return self.answer(204)
        status, headers, data = emulator("GET", f"/download{place}?alt=media")
        if status != 200:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        told = {
            "Content-Type": HASHES[key][0],
            "ETag": '"opaque"',
            "Last-Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            "x-goog-hash": "crc32c=" + HASHES[key][1],
        }
        wanted = self.headers.get("Range")
        if wanted:
            start, _, end = wanted[len("bytes=") :].partition("-")
            start, end = int(start), min(int(end or len(data) - 1), len(data) - 1)
            told["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            return self.answer(206, data[start : end + 1], told)
        told["Content-Length"] = str(len(data))
        self.answer(200, data, told)

    def store(self, key, media_type, data):
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(key, safe='')}"
        status, _, told = emulator("POST", path, data, {"Content-Type": media_type})
        if status != 200:
            raise Refused(500, "InternalError", told.decode())
        HASHES[key] = (media_type, base64.b64encode(google_crc32c.Checksum(data).digest()).decode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_any


def emulator(method, path, body=b"", headers=()):
    drop = ("host", "authorization", "connection", "content-length", "accept-encoding")
    headers = {k: v for k, v in dict(headers).items() if k.lower() not in drop}
    request = urllib.request.Request(f"http://127.0.0.1:{EMULATOR}{path}", body or None, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


import socket

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    EMULATOR = probe.getsockname()[1]
create_server("127.0.0.1", EMULATOR, in_memory=True, default_bucket=BUCKET).start()
server = ThreadingHTTPServer(("127.0.0.1", PORT), Gate)
(DIR / "key.json").write_text(json.dumps(ACCOUNT))
server.serve_forever()
