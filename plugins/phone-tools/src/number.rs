//! One number, as all steps see it.

use moltrun_step::Error;
use moltrun_step::prelude::*;

use crate::base::phone::{self, Phone, Region};

/// What stands for a phone number. YAML reads one without `+` and spaces as an integer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Spelling {
    Text(#[schemars(length(max = 200))] String),
    Digits(u64),
}

impl Spelling {
    /// At most 200 characters of it.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.chars().take(200).collect(),
            Self::Digits(digits) => digits.to_string(),
        }
    }
}

/// `region` of a `with:`.
pub fn region(text: Option<&str>) -> Result<Option<Region>, Error> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| Region::parse(text).map_err(|e| Error::permanent("bad_region", e))).transpose()
}

/// Reads a number, or the chat of one; the error ends a sentence that begins with the number.
pub fn read(spelling: &str, region: Option<Region>) -> Result<Phone, String> {
    match spelling.trim().strip_suffix("@c.us") {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            phone::parse(&format!("+{digits}"), None)
        }
        _ => phone::parse(spelling, region),
    }
}

/// The chat of a number.
pub fn chat_id(phone: &Phone) -> String {
    format!("{}@c.us", phone.digits())
}
