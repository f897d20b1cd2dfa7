"""What Google's own client finds in a bucket.

    gcs.py PORT KEY_FILE BUCKET KEY FILE
"""

import sys

from google.cloud import storage

port, key_file, bucket, key, file = sys.argv[1:]
client = storage.Client.from_service_account_json(
    key_file, client_options={"api_endpoint": f"http://127.0.0.1:{port}"}
)
blob = client.bucket(bucket).get_blob(key)
blob.download_to_filename(file)
print(blob.content_type)
