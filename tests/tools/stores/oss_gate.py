"""Alibaba's own API of OSS, for reading, in front of a bucket that was written by its S3 API.

    oss_gate.py PORT S3_ENDPOINT ACCESS_KEY SECRET_KEY

OSS gives one bucket two interfaces; what goes in by one comes out by the other. Here the objects
are those of a store that speaks S3. Every request must be virtual-hosted under ENDPOINT and signed
by OSS4-HMAC-SHA256; the signature is made anew with the signer of Alibaba's newer library and
compared. GET and HEAD of objects are answered, nothing else.
"""

import datetime
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import boto3
import botocore.exceptions
from alibabacloud_oss_v2.signer.v4 import SignerV4
from alibabacloud_oss_v2.types import Credentials, HttpRequest, SigningContext
from botocore.config import Config
from requests.structures import CaseInsensitiveDict

PORT, S3, KEY, SECRET = int(sys.argv[1]), *sys.argv[2:5]
REGION, ENDPOINT = "cn-test", "oss-cn-test.localhost"
AUTHORIZATION = re.compile(
    r"OSS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/oss/aliyun_v4_request,\s*"
    r"(?:AdditionalHeaders=([^,]*),\s*)?Signature=([0-9a-f]{64})"
)
store = boto3.client(
    "s3",
    endpoint_url=S3,
    aws_access_key_id=KEY,
    aws_secret_access_key=SECRET,
    region_name="us-east-1",
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}),
)


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class Gate(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def check(self, bucket, key):
        told = AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if not told:
            raise Refused(403, "AccessDenied")
        who, region, additional, signature = told.groups()
        if who != KEY:
            raise Refused(403, "InvalidAccessKeyId")
        if region != REGION or self.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
            raise Refused(400, "InvalidArgument")
        made = datetime.datetime.strptime(self.headers["x-oss-date"], "%Y%m%dT%H%M%SZ")
        made = made.replace(tzinfo=datetime.timezone.utc)
        now = datetime.datetime.now(datetime.timezone.utc)
        if abs(now - made) > datetime.timedelta(minutes=15):
            raise Refused(403, "RequestTimeTooSkewed")
        url = f"http://{self.headers['Host']}{self.path}"
        headers = CaseInsensitiveDict(self.headers.items())
        request = HttpRequest(self.command, url, headers=headers)
        SignerV4().sign(
            SigningContext(
                product="oss",
                region=REGION,
                bucket=bucket,
                key=key,
                request=request,
                credentials=Credentials(KEY, SECRET),
                signing_time=made,
                additional_headers=set(additional.split(";")) if additional else None,
            )
        )
        if not request.headers["Authorization"].endswith("Signature=" + signature):
            raise Refused(403, "SignatureDoesNotMatch")

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("x-oss-request-id", "0123456789ABCDEF01234567")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read(self):
        try:
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            if not host.endswith("." + ENDPOINT):
                raise Refused(403, "SecondLevelDomainForbidden")
            bucket, key = host[: -len(ENDPOINT) - 1], unquote(urlsplit(self.path).path[1:])
            self.check(bucket, key)
            try:
                found = store.get_object(Bucket=bucket, Key=key)
            except botocore.exceptions.ClientError as why:
                raise Refused(404, why.response["Error"]["Code"]) from why
        except Refused as refused:
            body = f"<Error><Code>{refused.code}</Code><Message>No.</Message></Error>".encode()
            headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
            return self.answer(refused.status, body, headers)
        about = {
            "Content-Type": found["ContentType"],
            "Content-Length": str(found["ContentLength"]),
            "ETag": found["ETag"],
            "Last-Modified": found["LastModified"].strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-oss-object-type": "Multipart",
        }
        self.answer(200, found["Body"].read(), about)

    do_GET = do_HEAD = read


ThreadingHTTPServer(("127.0.0.1", PORT), Gate).serve_forever()
