//! `X-Webhook-Signature`: HMAC-SHA256 of the raw body, in hex.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base::Secret;
use crate::base::hex::hex;

/// The header that carries it.
pub const HEADER: &str = "x-webhook-signature";

/// The signature of `body`, as 64 lower-case hex digits.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    hex(&mac(secret, body).finalize().into_bytes())
}

/// Whether `header` signs `body`; in constant time over the signature. A `sha256=` before the digits is accepted, and so
/// are upper-case digits.
pub fn verify(secret: &Secret, body: &[u8], header: &str) -> bool {
    let header = header.trim();
    let digits = header.strip_prefix("sha256=").unwrap_or(header);
    unhex(digits).is_some_and(|signature| mac(secret, body).verify_slice(&signature).is_ok())
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks(2).map(|pair| Some((value(pair[0])? << 4 | value(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const KEY: &str = "Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn the_published_vector() {
        assert_eq!(sign(&Secret::new(KEY), BODY), SIGNATURE);
    }

    #[test]
    fn forms_of_the_header() {
        let secret = Secret::new(KEY);
        assert!(verify(&secret, BODY, SIGNATURE));
        assert!(verify(&secret, BODY, &format!("sha256={SIGNATURE}")));
        assert!(verify(&secret, BODY, &SIGNATURE.to_uppercase()));
        for bad in [
            "",
            "sha256=",
            "zz",
            &SIGNATURE[..62],
            &format!("{SIGNATURE}00"),
            &SIGNATURE.replace('5', "6"),
            "é".repeat(32).as_str(),
        ] {
            assert!(!verify(&secret, BODY, bad), "{bad}");
        }
        assert!(!verify(&secret, b"other", SIGNATURE));
        assert!(!verify(&Secret::new("other"), BODY, SIGNATURE));
    }
}
