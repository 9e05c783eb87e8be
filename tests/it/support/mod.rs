//! What the tests stand on: the far side, the real program, and load. Nothing here uses the product's own code.

pub mod api;
pub mod cut;
pub mod daemon;
pub mod database;
pub mod faults;
pub mod fleet;
pub mod folder;
pub mod guest;
pub mod guide_server;
pub mod ledger;
pub mod load;
pub mod shop;

pub use api::Api;
pub use daemon::{Daemon, Starting};
pub use fleet::Fleet;
pub use folder::Folder;
pub use guide_server::{Answer, GuideServer, Reserved};

/// How long anything may take before a test calls it stuck. Far above what a slow machine needs: it bounds, it does not measure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// A client as strangers would use it: no proxy, no redirect, connections kept.
pub fn http_client() -> reqwest::Client {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A file that belongs to the repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
