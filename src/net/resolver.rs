//! The guard as the name resolver of an HTTP client.

use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Guard;

/// Resolves names for a `reqwest` client and refuses, at every connection, those
/// that lead where the guard does not allow.
///
/// An address written in a URL is never resolved, so whoever uses it passes each
/// URL to [`Guard::check_literal`] first, and follows no redirect.
pub struct GuardedResolver(pub Guard);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            // The client puts the port of the URL in the place of the zero.
            match guard.resolve(name.as_str(), 0).await {
                Ok(open) => Ok(Box::new(open.into_iter()) as Addrs),
                Err(refused) => {
                    Err(io::Error::new(io::ErrorKind::PermissionDenied, refused).into())
                }
            }
        })
    }
}
