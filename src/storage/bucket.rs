//! One bucket, as the rest of this module needs it: parts, signed URLs, a look,
//! a read, a delete.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{Method, Signer};
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{StorageError, Trouble};
use crate::config::{Destination, Kind};

/// Parts that are read and on their way at once, of all uploads to a bucket
/// together: what they take of memory does not grow with the recordings.
pub(super) const AT_ONCE: usize = 4;

/// The three sides of one client that are used here.
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    multipart: Arc<dyn MultipartStore>,
    signer: Arc<dyn Signer>,
    /// The way to the bucket without its credentials.
    web: HttpClient,
}

impl Client {
    pub(super) fn new<T>(client: Arc<T>, web: HttpClient) -> Self
    where
        T: ObjectStore + MultipartStore + Signer,
    {
        let (store, multipart) = (Arc::clone(&client) as _, Arc::clone(&client) as _);
        Self { store, multipart, signer: client, web }
    }
}

/// See the module's documentation.
pub(super) struct Bucket {
    client: Client,
    kind: Kind,
    storage_class: String,
    turns: Semaphore,
}

/// What a storage says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// Bytes.
    pub(super) size: u64,
    /// Its tag, without quotes.
    pub(super) tag: Option<String>,
}

impl Bucket {
    pub(super) fn open(destination: &Destination) -> Result<Self, String> {
        Ok(Self {
            client: super::connect::connect(destination)?,
            kind: destination.kind,
            storage_class: destination.storage_class.clone(),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// Begins a multipart upload; returns its id.
    pub(super) async fn begin(&self, key: &str, media_type: &str) -> Result<String, StorageError> {
        let mut attributes = Attributes::new();
        // Azure takes these only with the last request, which has no room for
        // them here: its media type comes from the name.
        if self.kind != Kind::Azure {
            attributes.insert(Attribute::ContentType, media_type.to_owned().into());
            if !self.storage_class.is_empty() {
                attributes.insert(Attribute::StorageClass, self.storage_class.clone().into());
            }
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        Ok(self.client.multipart.create_multipart_opts(&path(key)?, options).await?)
    }

    /// Waits until one more part may be read and sent; the turn ends with the value.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// Sends one part, counted from zero; returns what names it at the end.
    pub(super) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        index: usize,
        data: Bytes,
    ) -> Result<String, StorageError> {
        let part = self
            .client
            .multipart
            .put_part(&path(key)?, &upload.to_owned(), index, PutPayload::from_bytes(data))
            .await?;
        Ok(part.content_id)
    }

    /// Makes one object of the parts; returns its tag.
    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<String>,
    ) -> Result<Option<String>, StorageError> {
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let multipart = &self.client.multipart;
        let done = multipart.complete_multipart(&path(key)?, &upload.to_owned(), parts).await?;
        Ok(done.e_tag.map(unquoted))
    }

    /// Forgets a multipart upload and its parts.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), StorageError> {
        Ok(self.client.multipart.abort_multipart(&path(key)?, &upload.to_owned()).await?)
    }

    /// Writes a small object.
    pub(super) async fn put(&self, key: &str, data: Bytes) -> Result<(), StorageError> {
        self.client.store.put(&path(key)?, PutPayload::from_bytes(data)).await?;
        Ok(())
    }

    /// Writes a small object that people open.
    pub(super) async fn put_as(
        &self,
        key: &str,
        data: Bytes,
        media_type: &'static str,
    ) -> Result<(), StorageError> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, media_type.into());
        let options = PutOptions { attributes, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(data);
        self.client.store.put_opts(&path(key)?, payload, options).await?;
        Ok(())
    }

    /// What is there under this key, if anything is.
    pub(super) async fn stat(&self, key: &str) -> Result<Option<Stat>, StorageError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.client.store.get_opts(&path(key)?, options).await {
            Ok(found) => {
                Ok(Some(Stat { size: found.meta.size, tag: found.meta.e_tag.map(unquoted) }))
            }
            Err(error) => match StorageError::from(error) {
                StorageError { trouble: Trouble::NoObject, .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Reads a small object.
    pub(super) async fn read_whole(&self, key: &str) -> Result<Bytes, StorageError> {
        Ok(self.client.store.get(&path(key)?).await?.bytes().await?)
    }

    /// Reads some of an object.
    pub(super) async fn read(
        &self,
        key: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, StorageError> {
        Ok(self.client.store.get_range(&path(key)?, range).await?)
    }

    /// Deletes an object; one that is not there counts as deleted. Says whether
    /// it was there, as far as the storage tells.
    pub(super) async fn delete(&self, key: &str) -> Result<bool, StorageError> {
        match self.client.store.delete(&path(key)?).await {
            Ok(()) => Ok(true),
            Err(error) => match StorageError::from(error) {
                StorageError { trouble: Trouble::NoObject, .. } => Ok(false),
                error => Err(error),
            },
        }
    }

    /// A URL that whoever knows it can read the object by, for `life` from now on.
    pub(super) async fn sign(&self, key: &str, life: Duration) -> Result<String, StorageError> {
        Ok(self.client.signer.signed_url(Method::GET, &path(key)?, life).await?.into())
    }
}

/// How much of an answer is looked at, in bytes.
const MOST_READ: usize = 64 * 1024;

impl Bucket {
    /// What a signed URL leads to, for whoever has nothing but the URL.
    pub(super) async fn follow(&self, url: &str) -> Result<Bytes, StorageError> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        let bad = |e: String| StorageError::new(Trouble::Other, format!("the signed URL: {e}"));
        *request.uri_mut() = url.parse().map_err(|_| bad("is none".into()))?;
        let answer = self.client.web.execute(request).await;
        let answer = answer.map_err(|e| StorageError::unreachable(&e))?;
        let status = answer.status();
        let body = answer.into_body().bytes().await;
        let body = body.map_err(|e| StorageError::unreachable(&e))?;
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(MOST_READ)]);
        Err(StorageError::answered(status.as_u16(), &text))
    }
}

/// Keys are made of letters, digits and a few signs; they are taken as they are.
fn path(key: &str) -> Result<Path, StorageError> {
    Path::parse(key).map_err(|e| StorageError::new(Trouble::Other, e.to_string()))
}

fn unquoted(tag: String) -> String {
    tag.trim_start_matches("W/").trim_matches('"').to_owned()
}
