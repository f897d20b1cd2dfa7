//! The one integration-test binary; a module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod fences;
