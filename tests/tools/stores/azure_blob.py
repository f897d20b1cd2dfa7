"""What Microsoft's own client finds in a container.

    azure_blob.py ENDPOINT ACCOUNT_KEY VERB CONTAINER [BLOB FILE]

Verbs: create; get into FILE.
"""

import sys

from azure.storage.blob import BlobServiceClient

endpoint, key, verb, container, *rest = sys.argv[1:]
client = BlobServiceClient(
    endpoint,
    credential={"account_name": endpoint.rsplit("/", 1)[1], "account_key": key},
    retry_total=0,
)
if verb == "create":
    client.create_container(container)
elif verb == "get":
    blob = client.get_blob_client(container, rest[0])
    with open(rest[1], "wb") as out:
        blob.download_blob().readinto(out)
    print(blob.get_blob_properties().content_settings.content_type)
else:
    sys.exit(f"no such verb: {verb}")
