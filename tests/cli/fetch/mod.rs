//! `oci-fetch`, mostly against the registry of [`crate::support::registry`].

mod archives;
mod auth;
mod documents;
mod messages;
mod parallel;
mod peers;
mod platforms;
mod registry_test;
mod resume;
mod sources;
mod store;
mod tls;
mod transfer;
