//! A bucket of the configuration becomes a client of the one library.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, HeaderValue, RetryConfig};
use url::Url;

use super::bucket::Client;
use crate::config::{Destination, Kind, Sse, Style};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one request may take: a part on a line of half a megabit.
const REQUEST: Duration = Duration::from_secs(300);

/// True for a variable of the environment that the library, left without a key,
/// takes one from or finds one by.
pub fn is_credential(variable: &str) -> bool {
    let variable = variable.to_ascii_uppercase();
    let families = ["AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "MSI_"];
    families.iter().any(|family| variable.starts_with(family))
}

/// The client for a destination that is no directory; the error is a sentence
/// without secrets.
pub(super) fn connect(destination: &Destination) -> Result<Client, String> {
    match destination.kind {
        Kind::Gs => gs(destination),
        Kind::Azure => azure(destination),
        Kind::S3 | Kind::Oss | Kind::Fs => s3(destination),
    }
}

fn s3(destination: &Destination) -> Result<Client, String> {
    let address = address(destination)?;
    // What is given here must not be mixed with what the environment holds.
    let mut builder = match destination.key.is_empty() {
        true => AmazonS3Builder::from_env(),
        false => AmazonS3Builder::new()
            .with_access_key_id(&destination.key)
            .with_secret_access_key(destination.secret.expose()),
    };
    if !destination.region.is_empty() {
        let region = match destination.kind {
            Kind::Oss => destination.region.trim_start_matches("oss-"),
            _ => &destination.region,
        };
        builder = builder.with_region(region);
    }
    if let Some((url, virtual_hosted)) = address {
        builder = builder.with_endpoint(url).with_virtual_hosted_style_request(virtual_hosted);
    } else {
        builder = builder.with_virtual_hosted_style_request(destination.style != Some(Style::Path));
    }
    match destination.sse {
        None => {}
        Some(Sse::Aes256) => {
            // The type that this key is of has no public name.
            let key = AmazonS3ConfigKey::from_str("aws_server_side_encryption");
            builder = builder.with_config(key.map_err(|e| e.to_string())?, "AES256");
        }
        Some(Sse::Kms) => builder = builder.with_sse_kms_encryption(&destination.kms_key),
    }
    let store = builder
        .with_bucket_name(&destination.bucket)
        .with_disable_bulk_delete(true)
        .with_client_options(options(destination))
        .with_retry(retry())
        .build()
        .map_err(|e| e.to_string())?;
    Ok(Client::new(Arc::new(store), web(destination)?))
}

/// What stands before the key in every address, and whether it names the bucket
/// by its host; `None` for the provider's own.
fn address(destination: &Destination) -> Result<Option<(String, bool)>, String> {
    let oss = destination.kind == Kind::Oss;
    let endpoint = match (oss, destination.endpoint.as_str()) {
        (false, "") => return Ok(None),
        (true, "") => {
            let region = destination.region.trim_start_matches("oss-");
            format!("https://s3.oss-{region}.aliyuncs.com")
        }
        (_, given) => given.trim_end_matches('/').to_owned(),
    };
    let mut url = Url::parse(&endpoint).map_err(|e| format!("endpoint: {e}"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let own = format!("{}.", destination.bucket);
    let style = destination.style.unwrap_or(match (oss, host.starts_with(&own)) {
        (false, _) => Style::Path,
        // OSS takes no path style; a host that is none of its own is a CNAME.
        (true, false) if host.ends_with(".aliyuncs.com") => Style::Virtual,
        (true, _) => Style::Cname,
    });
    match style {
        Style::Path => Ok(Some((endpoint, false))),
        Style::Cname => Ok(Some((endpoint, true))),
        Style::Virtual => {
            url.set_host(Some(&format!("{own}{host}"))).map_err(|e| format!("endpoint: {e}"))?;
            Ok(Some((url.as_str().trim_end_matches('/').to_owned(), true)))
        }
    }
}

fn gs(destination: &Destination) -> Result<Client, String> {
    let file = &destination.credentials_file;
    let mut builder = match file.as_os_str().is_empty() {
        true => GoogleCloudStorageBuilder::from_env(),
        false => GoogleCloudStorageBuilder::new().with_service_account_path(file.to_string_lossy()),
    };
    if !destination.endpoint.is_empty() {
        builder = builder.with_base_url(destination.endpoint.trim_end_matches('/'));
    }
    let store = builder
        .with_bucket_name(&destination.bucket)
        .with_client_options(options(destination))
        .with_retry(retry())
        .build()
        .map_err(|e| e.to_string())?;
    Ok(Client::new(Arc::new(store), web(destination)?))
}

fn azure(destination: &Destination) -> Result<Client, String> {
    let mut builder = match destination.secret.is_empty() {
        true => MicrosoftAzureBuilder::from_env(),
        false => MicrosoftAzureBuilder::new().with_access_key(destination.secret.expose()),
    };
    if !destination.endpoint.is_empty() {
        builder = builder.with_endpoint(destination.endpoint.trim_end_matches('/').to_owned());
    }
    let store = builder
        .with_account(&destination.key)
        .with_container_name(&destination.bucket)
        .with_client_options(options(destination))
        .with_retry(retry())
        .build()
        .map_err(|e| e.to_string())?;
    Ok(Client::new(Arc::new(store), web(destination)?))
}

fn options(destination: &Destination) -> ClientOptions {
    let mut options = ClientOptions::new()
        .with_allow_http(destination.endpoint.starts_with("http://"))
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
        .with_content_type_for_suffix("mp4", "video/mp4")
        .with_user_agent(HeaderValue::from_static(concat!("roomreel/", env!("CARGO_PKG_VERSION"))));
    if !destination.proxy.is_empty() {
        options = options.with_proxy_url(destination.proxy.expose());
    }
    options
}

fn web(destination: &Destination) -> Result<HttpClient, String> {
    ReqwestConnector::default().connect(&options(destination)).map_err(|e| e.to_string())
}

/// Only hiccups are ridden out in here: who uploads has more patience and can be
/// told to stop.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oss(endpoint: &str, style: Option<Style>) -> Option<(String, bool)> {
        address(&Destination {
            bucket: "b".into(),
            region: "oss-cn-test".into(),
            endpoint: endpoint.into(),
            style,
            ..Destination::new("o", Kind::Oss)
        })
        .unwrap()
    }

    #[test]
    fn oss_is_virtual_hosted_and_a_cname_is_taken_as_it_is() {
        for (endpoint, style, address) in [
            ("", None, "https://b.s3.oss-cn-test.aliyuncs.com"),
            (
                "https://s3.oss-cn-test-internal.aliyuncs.com/",
                None,
                "https://b.s3.oss-cn-test-internal.aliyuncs.com",
            ),
            (
                "https://b.s3.oss-cn-test.aliyuncs.com",
                None,
                "https://b.s3.oss-cn-test.aliyuncs.com",
            ),
            ("https://media.example.com", None, "https://media.example.com"),
            ("http://s3.test.localhost:90", Some(Style::Virtual), "http://b.s3.test.localhost:90"),
        ] {
            assert_eq!(oss(endpoint, style), Some((address.to_owned(), true)), "{endpoint}");
        }
    }

    #[test]
    fn s3_of_one_s_own_is_path_style() {
        let own = Destination {
            bucket: "b".into(),
            endpoint: "https://minio.internal:9000".into(),
            ..Destination::new("o", Kind::S3)
        };
        let found = address(&own).unwrap();
        assert_eq!(found, Some(("https://minio.internal:9000".to_owned(), false)));
        assert_eq!(address(&Destination { endpoint: String::new(), ..own }).unwrap(), None);
    }
}
