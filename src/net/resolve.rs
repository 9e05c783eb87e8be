//! Names to addresses, with the check built in: the addresses that pass are the ones connected to, so there is no moment
//! between check and use in which a name could change its mind.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::forbidden;

/// Where addresses of names come from.
pub trait Lookup: Send + Sync + 'static {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_string();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// An address the policy forbids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it leads to {address}, {reason}, and requests may not reach this machine or its network")]
pub struct Refused {
    pub address: IpAddr,
    pub reason: &'static str,
}

/// Checks one address.
pub fn check(address: IpAddr) -> Result<(), Refused> {
    match forbidden(address) {
        Some(reason) => Err(Refused { address, reason }),
        None => Ok(()),
    }
}

/// The HTTP client's resolver.
pub(super) struct Resolver {
    pub lookup: Arc<dyn Lookup>,
    /// Drop what the policy forbids. Off for the client that serves the policy's exceptions.
    pub guarded: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.lookup.lookup(name.as_str());
        let guarded = self.guarded;
        Box::pin(async move {
            let mut addresses = addresses.await?;
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            if guarded {
                let mut refused = None;
                addresses.retain(|address| match check(*address) {
                    Ok(()) => true,
                    Err(error) => {
                        refused.get_or_insert(error);
                        false
                    }
                });
                // Public addresses beside private ones are used; the private ones are as if they were not there.
                if let (true, Some(refused)) = (addresses.is_empty(), refused) {
                    return Err(refused.into());
                }
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
