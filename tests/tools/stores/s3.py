"""What an independent client, boto3, finds in a bucket.

    s3.py ENDPOINT ACCESS_KEY SECRET_KEY VERB BUCKET [KEY [FILE]]

Verbs: create; get into FILE; list (a key a line); uploads (how many are unfinished);
complete (makes an object of the one unfinished upload, as an operator would do whose
machine is lost) and get.
"""

import sys

import boto3
from botocore.config import Config

endpoint, key, secret, verb, bucket, *rest = sys.argv[1:]
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    region_name="us-east-1",
    config=Config(
        signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 1}
    ),
)


def unfinished():
    return client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def complete():
    (upload,) = unfinished()
    about = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    parts = client.list_parts(**about)["Parts"]
    named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    client.complete_multipart_upload(**about, MultipartUpload={"Parts": named})
    return upload["Key"]


if verb == "create":
    client.create_bucket(Bucket=bucket)
elif verb == "get":
    found = client.get_object(Bucket=bucket, Key=rest[0])
    with open(rest[1], "wb") as out:
        for chunk in found["Body"].iter_chunks(1 << 20):
            out.write(chunk)
    print(found["ContentType"])
elif verb == "list":
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        print(found["Key"])
elif verb == "uploads":
    print(len(unfinished()))
elif verb == "complete":
    print(complete())
else:
    sys.exit(f"no such verb: {verb}")
