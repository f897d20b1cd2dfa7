//! `[[storage.destinations]]`: one place that recordings go to, by name.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Secret, duration};

/// The name of the local disk, which is there without being configured.
pub const BUILT_IN: &str = "default";

/// Longest life of a signed URL, in seconds: what SigV4, Google's V4 and an
/// Azure user delegation key allow, and so the same everywhere.
pub const LONGEST_LINK: u64 = 7 * 86_400;

/// What kind of storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory of this machine.
    Fs,
    /// Amazon S3, or anything that speaks its API.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Alibaba Cloud OSS, by its S3 API.
    Oss,
    /// Azure Blob Storage.
    Azure,
}

/// How an address names the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// `https://bucket.endpoint/key`.
    Virtual,
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://endpoint/key`: the endpoint is the bucket's own, a CNAME for
    /// example.
    Cname,
}

/// What S3 encrypts objects with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sse {
    /// Keys that S3 manages.
    #[serde(rename = "AES256")]
    Aes256,
    /// A key of the Key Management Service.
    #[serde(rename = "aws:kms")]
    Kms,
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// What a start, logs and assets call it.
    pub name: String,
    /// Which storage it is.
    pub kind: Kind,
    /// `fs`: the directory; `files` in the data directory when empty.
    #[serde(default)]
    pub dir: PathBuf,
    /// Bucket, or container on Azure.
    #[serde(default)]
    pub bucket: String,
    /// Put before `beam/` in each key.
    #[serde(default)]
    pub prefix: String,
    /// Address of the service; the provider's own when empty.
    #[serde(default)]
    pub endpoint: String,
    /// Region that requests are signed for.
    #[serde(default)]
    pub region: String,
    /// How addresses name the bucket; by kind and endpoint when absent.
    #[serde(default)]
    pub style: Option<Style>,
    /// Access key, or account on Azure. Empty: what the environment or the
    /// machine's own identity gives.
    #[serde(default)]
    pub key: String,
    /// Secret key, or account key on Azure.
    #[serde(default)]
    pub secret: Secret,
    /// `gs`: the JSON key of a service account.
    #[serde(default)]
    pub credentials_file: PathBuf,
    /// Server-side encryption; the bucket's default when absent.
    #[serde(default)]
    pub sse: Option<Sse>,
    /// Id or ARN of the key for `aws:kms`; the account's own when empty.
    #[serde(default)]
    pub kms_key: String,
    /// Storage class of the objects; the bucket's default when empty.
    #[serde(default)]
    pub storage_class: String,
    /// MiB of each part of an upload, 5 to 512; 0 is 16.
    #[serde(default)]
    pub part_mib: u32,
    /// HTTP proxy; the environment's when empty. May hold a password.
    #[serde(default)]
    pub proxy: Secret,
    /// Where a file goes that this destination does not take.
    #[serde(default)]
    pub backup: String,
    /// How long files are kept; `storage.retention` for `fs`, else for ever.
    #[serde(default, with = "duration::option")]
    pub retention: Option<Duration>,
    /// How long links hold if nobody says otherwise.
    #[serde(default, with = "duration::option")]
    pub presign_duration: Option<Duration>,
    /// In place of `storage.retry_for`.
    #[serde(default, with = "duration::option")]
    pub retry_for: Option<Duration>,
}

impl Destination {
    /// A destination with nothing but a name and a kind.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            dir: PathBuf::new(),
            bucket: String::new(),
            prefix: String::new(),
            endpoint: String::new(),
            region: String::new(),
            style: None,
            key: String::new(),
            secret: Secret::default(),
            credentials_file: PathBuf::new(),
            sse: None,
            kms_key: String::new(),
            storage_class: String::new(),
            part_mib: 0,
            proxy: Secret::default(),
            backup: String::new(),
            retention: None,
            presign_duration: None,
            retry_for: None,
        }
    }

    /// What is wrong, as `field: problem`.
    pub(super) fn check(&self) -> Result<(), String> {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(of_name) {
            return Err("name: use 1 to 64 letters, digits, \".\", \"_\" and \"-\"".into());
        }
        if self.name == BUILT_IN {
            return Err("name: is that of the disk under data.dir: choose another".into());
        }
        self.check_fields()?;
        self.check_place()?;
        let good = |part: &str| {
            !matches!(part, "" | "." | "..") && part.chars().all(|c| of_name(c) || c == '=')
        };
        if !self.prefix.is_empty() && !self.prefix.split('/').all(good) {
            return Err("prefix: use letters, digits, \".\", \"_\", \"-\" and \"=\", with single \
                        slashes between, like \"team/meetings\""
                .into());
        }
        let is_http = |text: &str| {
            Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
            })
        };
        if !self.endpoint.is_empty() && !is_http(&self.endpoint) {
            return Err("endpoint: must be an address like \"https://minio.internal:9000\"".into());
        }
        if !self.proxy.is_empty() && !is_http(self.proxy.expose()) {
            return Err("proxy: must be an address like \"http://proxy.internal:3128\"".into());
        }
        if self.part_mib != 0 && !(5..=512).contains(&self.part_mib) {
            return Err("part_mib: must be 5 to 512".into());
        }
        if let Some(life) = self.presign_duration
            && !(1..=LONGEST_LINK).contains(&life.as_secs())
        {
            return Err(format!(
                "presign_duration: no provider signs for longer than {LONGEST_LINK} s (7 days): \
                 give a second to \"7d\""
            ));
        }
        Ok(())
    }

    /// Where its objects are, and who asks for them.
    fn check_place(&self) -> Result<(), String> {
        if self.kind == Kind::Fs {
            return Ok(());
        }
        if self.bucket.is_empty() || self.bucket.contains(['/', '?', '#', '@', ' ']) {
            return Err("bucket: must be its plain name".into());
        }
        if self.key.is_empty() != self.secret.is_empty() && self.kind != Kind::Azure {
            return Err("key and secret: give both, or neither for the credentials of the \
                        environment or the machine"
                .into());
        }
        match self.kind {
            Kind::Oss if self.region.is_empty() => {
                Err("region: is needed, like \"cn-hangzhou\"".into())
            }
            Kind::Oss if self.key.is_empty() => Err("key and secret: are needed on oss".into()),
            Kind::Azure if self.key.is_empty() => {
                Err("key: is needed: the storage account's name".into())
            }
            _ => Ok(()),
        }
    }

    /// Fields that this kind of storage has no use for would be dropped silently.
    fn check_fields(&self) -> Result<(), String> {
        use Kind::{Azure, Fs, Gs, Oss, S3};
        let buckets: &[Kind] = &[S3, Gs, Oss, Azure];
        let filled = |path: &PathBuf| !path.as_os_str().is_empty();
        for (field, given, kinds) in [
            ("dir", filled(&self.dir), &[Fs][..]),
            ("bucket", !self.bucket.is_empty(), buckets),
            ("endpoint", !self.endpoint.is_empty(), buckets),
            ("region", !self.region.is_empty(), &[S3, Oss]),
            ("style", self.style.is_some(), &[S3, Oss]),
            ("key", !self.key.is_empty(), &[S3, Oss, Azure]),
            ("secret", !self.secret.is_empty(), &[S3, Oss, Azure]),
            ("credentials_file", filled(&self.credentials_file), &[Gs]),
            ("sse", self.sse.is_some(), &[S3]),
            ("kms_key", !self.kms_key.is_empty(), &[S3]),
            ("storage_class", !self.storage_class.is_empty(), &[S3, Gs, Oss]),
            ("part_mib", self.part_mib != 0, buckets),
            ("proxy", !self.proxy.is_empty(), buckets),
        ] {
            if given && !kinds.contains(&self.kind) {
                let of: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                return Err(format!("{field}: is one of {} alone: leave it out", of.join(", ")));
            }
        }
        if !self.kms_key.is_empty() && self.sse != Some(Sse::Kms) {
            return Err("kms_key: needs sse = \"aws:kms\"".into());
        }
        Ok(())
    }
}

impl Kind {
    /// As the configuration and the paths of assets spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fs => "fs",
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Oss => "oss",
            Self::Azure => "azure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> Destination {
        Destination { bucket: "b".into(), ..Destination::new("main", Kind::S3) }
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(s3().check(), Ok(()));
        let week = Some(Duration::from_secs(LONGEST_LINK));
        for (bad, field) in [
            (Destination { name: "default".into(), ..s3() }, "name"),
            (Destination { name: "a b".into(), ..s3() }, "name"),
            (Destination { bucket: String::new(), ..s3() }, "bucket"),
            (Destination { bucket: "b/c".into(), ..s3() }, "bucket"),
            (Destination { key: "k".into(), ..s3() }, "key and secret"),
            (Destination { dir: "/srv".into(), ..s3() }, "dir"),
            (Destination { credentials_file: "/k.json".into(), ..s3() }, "credentials_file"),
            (Destination { endpoint: "minio:9000".into(), ..s3() }, "endpoint"),
            (Destination { prefix: "/a".into(), ..s3() }, "prefix"),
            (Destination { prefix: "a/../b".into(), ..s3() }, "prefix"),
            (Destination { kms_key: "arn".into(), ..s3() }, "kms_key"),
            (Destination { presign_duration: week.map(|w| w * 2), ..s3() }, "presign_duration"),
            (Destination { presign_duration: Some(Duration::ZERO), ..s3() }, "presign_duration"),
            (Destination { part_mib: 4, ..s3() }, "part_mib"),
            (Destination { kind: Kind::Oss, ..s3() }, "region"),
            (Destination { kind: Kind::Oss, region: "cn-x".into(), ..s3() }, "key and secret"),
            (Destination { kind: Kind::Azure, ..s3() }, "key"),
            (Destination { kind: Kind::Fs, ..s3() }, "bucket"),
        ] {
            let problem = bad.check().unwrap_err();
            assert!(problem.starts_with(field), "{field}: {problem}");
        }
        assert_eq!(Destination { presign_duration: week, ..s3() }.check(), Ok(()));
    }
}
