//! `moltrun:step/secrets`: a guest uses secrets and sees none. It gets a text to put in the place of the secret, which is
//! another one in each call; where a request leaves the host ([`super::http`]) the text becomes the secret.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::asks;
use super::super::bindings::moltrun::step::secrets::{Host, SecretError};
use super::super::state::State;
use super::super::text::clean;
use super::swap::{self, Stand};
use super::{Outside, Reach, Usable};
use crate::base::Secret;

/// The placeholders of one call.
pub(super) struct Stands {
    count: usize,
    /// By the number of the secret, made when first needed.
    placeholders: OnceLock<Vec<String>>,
}

impl Stands {
    pub(super) fn new(reach: &Reach) -> Self {
        Self { count: reach.secrets.len(), placeholders: OnceLock::new() }
    }
}

impl Outside {
    /// The placeholders of this call, by the number of the secret.
    pub(super) fn placeholders(&self) -> &[String] {
        let make = |_| format!("{}{:032x}", swap::PREFIX, self.clock().random());
        self.stands.placeholders.get_or_init(|| (0..self.stands.count).map(make).collect())
    }

    /// Every secret that can be put into a request of this call.
    pub(super) fn stands(&self) -> Vec<Stand<'_>> {
        let all = self.reach.secrets.iter().zip(self.placeholders()).enumerate();
        all.filter_map(|(number, (usable, placeholder))| {
            let secret = usable.value.as_ref().ok()?;
            Some(Stand { number, placeholder, secret })
        })
        .collect()
    }

    /// The secret by its name, and its number.
    fn secret(&self, name: &str) -> Result<(usize, &Secret), SecretError> {
        let place = self.reach.secrets.iter().position(|usable| usable.name == name);
        let Some(number) = place else {
            self.warn(&self.denial(&clean(name, 64)));
            return Err(SecretError::Denied);
        };
        match &self.reach.secrets[number].value {
            Ok(secret) => Ok((number, secret)),
            Err(reason) => Err(SecretError::Unavailable(reason.clone())),
        }
    }

    /// Why the secret is denied; only the names that the plugin asks for can be granted.
    fn denial(&self, name: &str) -> String {
        if self.reach.asked_secrets.iter().any(|asked| asked == name) {
            let paste = asks::secret(&self.reach.plugin, name);
            return format!("the secret {name} is not granted; to allow it, put {paste}");
        }
        format!("the secret {name} is denied, because the plugin does not ask for it when it is loaded")
    }
}

/// The secret of a name in the configuration, or why it cannot be used.
pub(super) fn fit(name: &str, secret: Option<&Secret>) -> Result<Secret, String> {
    let secret = secret.ok_or_else(|| format!("the configuration has no secret {name}"))?;
    swap::fits(secret.expose()).map_err(|reason| format!("the secret {name} {reason}"))?;
    Ok(secret.clone())
}

impl Usable {
    /// Whether it may be sent to a host that may be reached.
    pub(super) fn goes_to(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|pattern| pattern.holds(host, port))
    }
}

impl Host for State {
    fn placeholder(&mut self, name: String) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_call()?;
        let Some(outside) = self.outside() else { return Ok(Err(SecretError::Denied)) };
        Ok(outside.secret(&name).map(|(number, _)| outside.placeholders()[number].clone()))
    }

    fn hmac_sha256(&mut self, name: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        self.count_call()?;
        let Some(outside) = self.outside() else { return Ok(Err(SecretError::Denied)) };
        Ok(outside.secret(&name).map(|(_, secret)| {
            let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
            let mut mac = mac.expect("HMAC takes a key of any length");
            mac.update(&message);
            mac.finalize().into_bytes().to_vec()
        }))
    }
}
