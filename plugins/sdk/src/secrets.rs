//! Secrets of the operator's configuration, for use without sight: [`Context::secrets`].
//!
//! A plugin asks for them in [`plugin!`](crate::plugin) and uses those that its grant names. It never sees a value: it puts a
//! placeholder in its place in a request, or has a message signed.

use std::fmt::{self, Display};

use crate::{Context, Error};

/// Secrets by the name of the operator's configuration.
///
/// ```
/// # use moltrun_step::{Context, test::Fake};
/// let context = Fake::new().secret("CRM_KEY", "key").context();
/// let signature = context.secrets().hmac_sha256("CRM_KEY", b"body").unwrap();
/// assert_eq!(moltrun_step::secrets::hex(&signature).len(), 64);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only a stand-in keeps its secrets in the context"))]
    context: &'a Context,
}

/// Why a secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// Not asked for, or not granted: the name.
    Denied(String),
    /// Granted, and the configuration has none by that name; with the reason.
    Unavailable(String),
}

impl Context {
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets { context: self }
    }
}

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::{SecretError, Secrets};
    use crate::guest::bindings::moltrun::step::secrets as host;

    impl Secrets<'_> {
        /// A text to put in the place of the secret: in the path or query of a URL, in the value of a header, or in a body.
        /// The host puts the secret in when the request leaves for a host that may have it.
        pub fn placeholder(&self, name: &str) -> Result<String, SecretError> {
            host::placeholder(name).map_err(|error| failed(error, name))
        }

        /// HMAC-SHA256 of `message` with the secret as key.
        pub fn hmac_sha256(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, SecretError> {
            host::hmac_sha256(name, message).map_err(|error| failed(error, name))
        }
    }

    fn failed(error: host::SecretError, name: &str) -> SecretError {
        match error {
            host::SecretError::Denied => SecretError::Denied(name.to_string()),
            host::SecretError::Unavailable(reason) => SecretError::Unavailable(reason),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Secrets<'_> {
    /// A text to put in the place of the secret: in the path or query of a URL, in the value of a header, or in a body. The
    /// host puts the secret in when the request leaves for a host that may have it. In tests it is `<NAME>`.
    pub fn placeholder(&self, name: &str) -> Result<String, SecretError> {
        self.context.fake.with_secret(name, |_| format!("<{name}>"))
    }

    /// HMAC-SHA256 of `message` with the secret as key.
    pub fn hmac_sha256(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, SecretError> {
        use hmac::{Hmac, KeyInit, Mac};

        self.context.fake.with_secret(name, |key| {
            let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("an HMAC takes keys of any length");
            mac.chain_update(message).finalize().into_bytes().to_vec()
        })
    }
}

/// Bytes as lower-case hexadecimal digits, as signatures are written.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

impl Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(name) => {
                write!(f, "the secret `{name}` is not granted; name it under `secrets:` of the plugin's grant")
            }
            Self::Unavailable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for SecretError {}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match &error {
            SecretError::Denied(_) => Self::permanent("secret_denied", error),
            SecretError::Unavailable(_) => Self::permanent("secret_unavailable", error),
        }
    }
}
