//! Secrets into requests in the place of their placeholders, and placeholders into answers in the place of secrets.
//!
//! Into a request a secret goes in the form of the place: percent-encoded in a URL and in a form, escaped in JSON, as it is
//! elsewhere. Out of an answer it is taken in every form that servers write it in ([`forms`]): far sides echo what they
//! were sent, in errors, in redirects and in records that were stored before. What no list of forms can catch is a far side
//! that helps to smuggle it (turns it around, cuts it in two): the hosts that a secret is granted for are trusted with it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::{Regex, RegexBuilder};

use crate::base::{Secret, hex, limits};

/// How every placeholder begins.
pub(super) const PREFIX: &str = "moltrun_secret_";

/// What a text must have to be replaced in answers without cutting up ordinary words.
const SHORTEST: usize = 6;

/// A compiled search for all forms of all secrets.
const REGEX_BYTES: usize = 64 * 1024 * 1024;

/// How a place wants a secret to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Raw,
    Json,
    /// Of a URL, and of `application/x-www-form-urlencoded`, which reads it too.
    Percent,
}

impl Form {
    /// Of a body with this content type.
    pub(super) fn of(content_type: Option<&str>) -> Self {
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Percent,
            "application/json" | "text/json" => Self::Json,
            kind if kind.ends_with("+json") => Self::Json,
            _ => Self::Raw,
        }
    }

    fn write(self, secret: &str) -> String {
        match self {
            Self::Raw => secret.to_string(),
            Self::Json => json(secret, |_| None),
            Self::Percent => percent(secret, "-._~", true),
        }
    }
}

/// A placeholder and what it stands for.
pub(super) struct Stand<'a> {
    /// The secret's number among those of its plugin.
    pub(super) number: usize,
    pub(super) placeholder: &'a str,
    pub(super) secret: &'a Secret,
}

/// What was put into one request.
#[derive(Default)]
pub(super) struct Swapped {
    /// Numbers of the secrets.
    pub(super) used: BTreeSet<usize>,
    /// Texts of the request that hold a secret in disguise, each with the guest's text for it.
    disguised: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Swapped {
    /// `bytes` with secrets in the place of their placeholders.
    pub(super) fn put<'b>(&mut self, bytes: &'b [u8], stands: &[Stand<'_>], form: Form) -> Cow<'b, [u8]> {
        let mut put = Cow::Borrowed(bytes);
        if find(bytes, PREFIX.as_bytes()).is_none() {
            return put;
        }
        for stand in stands {
            let secret = form.write(stand.secret.expose());
            if let Some(swapped) = replaced(&put, stand.placeholder.as_bytes(), secret.as_bytes()) {
                self.used.insert(stand.number);
                put = Cow::Owned(swapped);
            }
        }
        put
    }

    /// The same for the value of a header. In that of `Authorization: Basic` it looks into the base64.
    pub(super) fn put_header<'b>(
        &mut self,
        is_authorization: bool,
        value: &'b [u8],
        stands: &[Stand<'_>],
    ) -> Cow<'b, [u8]> {
        let basic = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
        if let (true, Some((scheme, blob))) = (is_authorization, basic)
            && let Some(pair) = decode(blob)
            && let Cow::Owned(swapped) = self.put(&pair, stands, Form::Raw)
        {
            let real = STANDARD.encode(swapped);
            self.disguised.push((real.clone().into_bytes(), blob.trim_ascii().to_vec()));
            return Cow::Owned([scheme, real.as_bytes()].concat());
        }
        self.put(value, stands, Form::Raw)
    }
}

fn decode(blob: &[u8]) -> Option<Vec<u8>> {
    let bare = blob.trim_ascii();
    let end = bare.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    STANDARD_NO_PAD.decode(&bare[..end]).or_else(|_| URL_SAFE_NO_PAD.decode(&bare[..end])).ok()
}

/// Finds the secrets of one plugin in answers.
pub(super) struct Scrubber {
    /// None: there is no secret.
    search: Option<Regex>,
    /// The number of the secret that each form is one of.
    forms: HashMap<Vec<u8>, usize>,
}

impl Scrubber {
    /// For these secrets, by number; None is one that is never sent. An error is a clause about them.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = Option<&'a Secret>>) -> Result<Self, String> {
        let mut known = HashMap::new();
        for (number, secret) in secrets.enumerate() {
            for form in secret.into_iter().flat_map(|secret| forms(secret.expose())) {
                known.entry(form).or_insert(number);
            }
        }
        if known.is_empty() {
            return Ok(Self::none());
        }
        // The longest first: of two that begin at one place, the shorter one would leave the rest of the longer.
        let mut needles: Vec<&Vec<u8>> = known.keys().collect();
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        let escaped = |needle: &&Vec<u8>| needle.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let pattern = needles.iter().map(escaped).collect::<Vec<_>>().join("|");
        let search = RegexBuilder::new(&pattern).unicode(false).size_limit(REGEX_BYTES).build();
        let search =
            search.map_err(|_| "the plugin's secrets are too many and too long to be found again".to_string())?;
        Ok(Self { search: Some(search), forms: known })
    }

    /// For a plugin without secrets.
    pub(super) fn none() -> Self {
        Self { search: None, forms: HashMap::new() }
    }

    /// Whether there is anything to find.
    pub(super) fn is_idle(&self) -> bool {
        self.search.is_none()
    }

    /// `bytes` of an answer to the request that `swapped` was put into, without secrets; None if there is none in it.
    /// `placeholders` are by number.
    pub(super) fn scrub(&self, bytes: &[u8], placeholders: &[String], swapped: &Swapped) -> Option<Vec<u8>> {
        let search = self.search.as_ref()?;
        let mut scrubbed = None;
        for (real, given) in &swapped.disguised {
            scrubbed = replaced(scrubbed.as_deref().unwrap_or(bytes), real, given).or(scrubbed);
        }
        let text = scrubbed.as_deref().unwrap_or(bytes);
        let mut clean = Vec::new();
        let mut rest = 0;
        for found in search.find_iter(text) {
            let number = self.forms.get(found.as_bytes()).copied().unwrap_or_default();
            clean.extend_from_slice(&text[rest..found.start()]);
            clean.extend_from_slice(placeholders.get(number).map_or(PREFIX, String::as_str).as_bytes());
            rest = found.end();
        }
        if rest == 0 {
            return scrubbed;
        }
        clean.extend_from_slice(&text[rest..]);
        Some(clean)
    }
}

/// Whether `secret` can be told from ordinary words, and found again in acceptable time.
pub(super) fn fits(secret: &str) -> Result<(), String> {
    match secret.len() {
        ..SHORTEST => Err(format!("is shorter than {SHORTEST} bytes, so it could not be kept out of answers")),
        len if len > limits::PLUGIN_SECRET => Err(format!("is longer than {} bytes", limits::PLUGIN_SECRET)),
        _ => Ok(()),
    }
}

/// `secret` as servers write it: as it is; in JSON by the rules of several languages; in URLs, forms and HTML; in hex; and
/// within base64 at each of the three places where it may begin.
fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let slash = |c: char| (c == '/').then(|| "\\/".to_string());
    let lower = |c: char| format!("\\u{:04x}", c as u32);
    let upper = |c: char| format!("\\u{:04X}", c as u32);
    let wide = |c: char| (c > '\u{7e}').then(|| units(c, false));
    let texts = [
        secret.to_string(),
        json(secret, |_| None),
        json(secret, slash),
        json(secret, |c| "<>&".contains(c).then(|| lower(c))),
        json(secret, wide),
        json(secret, |c| slash(c).or_else(|| wide(c))),
        json(secret, |c| "<>&'+\"`".contains(c).then(|| upper(c)).or_else(|| (c > '\u{7e}').then(|| units(c, true)))),
        percent(secret, "-._~", true),
        percent(secret, "-._~", false),
        percent(secret, "-._~!'()*", true),
        percent(secret, "-._*", true).replace("%20", "+"),
        percent(secret, "-._*", false).replace("%20", "+"),
        percent(secret, "-._~!$&'()*+,;=:@/", true),
        html(secret, "&#39;"),
        html(secret, "&#x27;"),
        hex::hex(secret.as_bytes()),
        hex::hex(secret.as_bytes()).to_uppercase(),
    ];
    let mut forms: BTreeSet<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let whole = engine.encode([&vec![0; before], secret.as_bytes()].concat());
            // Without the signs that neighbours have a part in.
            let (from, to) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            forms.insert(whole.as_bytes()[from..to].to_vec());
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The inside of a JSON text, with `special` for what it has another way to write.
fn json(text: &str, special: impl Fn(char) -> Option<String>) -> String {
    let write = |c: char| match special(c) {
        Some(special) => special,
        None => match c {
            '"' => "\\\"".to_string(),
            '\\' => "\\\\".to_string(),
            c if c < ' ' => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        },
    };
    text.chars().map(write).collect()
}

/// A character as JSON escapes of UTF-16.
fn units(c: char, is_upper: bool) -> String {
    let write = |unit: &u16| if is_upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    c.encode_utf16(&mut [0; 2]).iter().map(write).collect()
}

fn percent(text: &str, kept: &str, is_upper: bool) -> String {
    let write = |byte: u8| match byte as char {
        c if c.is_ascii_alphanumeric() || kept.contains(c) => c.to_string(),
        _ if is_upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(write).collect()
}

fn html(text: &str, quote: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', quote)
}

/// Where `needle`, which is not empty, begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, mut from) = (*needle.first()?, 0);
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// `bytes` with `new` for every `old`; None if there is none.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let mut at = find(bytes, old)?;
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len() + new.len()), bytes);
    loop {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
        match find(rest, old) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACEHOLDER: &str = "moltrun_secret_0123456789abcdef0123456789abcdef";

    fn put(text: &str, secret: &str, form: Form) -> (String, usize) {
        let (mut swapped, secret) = (Swapped::default(), Secret::new(secret));
        let stands = [Stand { number: 0, placeholder: PLACEHOLDER, secret: &secret }];
        let put = swapped.put(text.as_bytes(), &stands, form).into_owned();
        (String::from_utf8(put).unwrap(), swapped.used.len())
    }

    fn scrub(secret: &str, answer: &str) -> String {
        let secret = Secret::new(secret);
        let scrubber = Scrubber::new([Some(&secret)].into_iter()).unwrap();
        let clean = scrubber.scrub(answer.as_bytes(), &["‹X›".to_string()], &Swapped::default());
        clean.map_or_else(|| answer.to_string(), |clean| String::from_utf8(clean).unwrap())
    }

    #[test]
    fn a_secret_is_written_as_its_place_wants_it() {
        for (form, expected) in
            [(Form::Raw, r#"a"b/c ü\"#), (Form::Json, r#"a\"b/c ü\\"#), (Form::Percent, "a%22b%2Fc%20%C3%BC%5C")]
        {
            let (text, used) = put(&format!("<{PLACEHOLDER}|{PLACEHOLDER}>"), r#"a"b/c ü\"#, form);
            assert_eq!((text, used), (format!("<{expected}|{expected}>"), 1));
        }
        assert_eq!(put("moltrun_secret_ 0123", "secret", Form::Raw), ("moltrun_secret_ 0123".to_string(), 0));
        for (kind, form) in [
            (None, Form::Raw),
            (Some("text/plain"), Form::Raw),
            (Some("Application/JSON; charset=utf-8"), Form::Json),
            (Some("application/vnd.api+json"), Form::Json),
            (Some("application/x-www-form-urlencoded"), Form::Percent),
        ] {
            assert_eq!(Form::of(kind), form, "{kind:?}");
        }
    }

    #[test]
    fn basic_credentials_are_looked_into_and_given_back() {
        let secret = Secret::new("pa:ss word");
        let stands = [Stand { number: 3, placeholder: PLACEHOLDER, secret: &secret }];
        let blob = STANDARD.encode(format!("user:{PLACEHOLDER}"));
        for (is_authorization, scheme, is_put) in
            [(true, "Basic ", true), (true, "basic ", true), (true, "Token ", false), (false, "Basic ", false)]
        {
            let mut swapped = Swapped::default();
            let value = format!("{scheme}{blob}");
            let real = swapped.put_header(is_authorization, value.as_bytes(), &stands).into_owned();
            assert_eq!(swapped.used.contains(&3), is_put, "{scheme} {is_authorization}");
            if is_put {
                let real = String::from_utf8(real).unwrap();
                assert_eq!(real, format!("{scheme}{}", STANDARD.encode("user:pa:ss word")));
                let scrubber = Scrubber::new([None, None, None, Some(&secret)].into_iter()).unwrap();
                let echo = scrubber.scrub(real.as_bytes(), &[], &swapped).unwrap();
                assert_eq!(String::from_utf8(echo).unwrap(), value);
            } else {
                assert_eq!(real, value.as_bytes());
            }
        }
        // A bearer's placeholder is plain.
        let mut swapped = Swapped::default();
        let value = format!("Bearer {PLACEHOLDER}");
        assert_eq!(&*swapped.put_header(true, value.as_bytes(), &stands), b"Bearer pa:ss word");
    }

    #[test]
    fn every_form_of_a_secret_is_taken_out() {
        let secret = r#"s3<c/&"'ü+ é"#;
        for answer in [
            secret.to_string(),
            serde_json::to_string(secret).unwrap(),
            r#""s3<c\/&\"'ü+ é""#.to_string(),
            r#""s3\u003cc/\u0026\"'ü+ é""#.to_string(),
            r#""s3<c/&\"'\u00fc+ \u00e9""#.to_string(),
            r#""s3<c\/&\"'\u00fc+ \u00e9""#.to_string(),
            r#""s3\u003Cc/\u0026\u0022\u0027\u00FC\u002B \u00E9""#.to_string(),
            "/x?t=s3%3Cc%2F%26%22%27%C3%BC%2B%20%C3%A9&y".to_string(),
            "/x?t=s3%3cc%2f%26%22%27%c3%bc%2b%20%c3%a9&y".to_string(),
            "t=s3%3Cc%2F%26%22%27%C3%BC%2B+%C3%A9".to_string(),
            "<p>s3&lt;c/&amp;&quot;&#39;ü+ é</p>".to_string(),
            hex::hex(secret.as_bytes()),
        ] {
            let clean = scrub(secret, &answer);
            assert!(clean.contains("‹X›") && !clean.contains("s3"), "{answer} -> {clean}");
        }
        assert_eq!(scrub(secret, "nothing of it"), "nothing of it");
    }

    #[test]
    fn of_two_secrets_the_longer_is_found_whole() {
        let (short, long) = (Secret::new("secret"), Secret::new("secret-of-another"));
        let scrubber = Scrubber::new([Some(&short), Some(&long)].into_iter()).unwrap();
        let placeholders = ["‹A›".to_string(), "‹B›".to_string()];
        let clean = scrubber.scrub(b"secret-of-another, secret", &placeholders, &Swapped::default());
        assert_eq!(String::from_utf8(clean.unwrap()).unwrap(), "‹B›, ‹A›");
        assert!(Scrubber::new([None].into_iter()).unwrap().is_idle());
    }

    #[test]
    fn secrets_that_cannot_be_kept_are_not_given() {
        assert!(fits("12345").unwrap_err().contains("shorter than 6"));
        assert!(fits(&"x".repeat(limits::PLUGIN_SECRET + 1)).unwrap_err().contains("longer than"));
        assert!(fits(&"x".repeat(limits::PLUGIN_SECRET)).is_ok());
    }

    proptest! {
        /// Wherever it begins in a text that is base64, and whatever surrounds it.
        #[test]
        fn a_secret_within_base64_is_taken_out(
            secret in "[a-zA-Z0-9/+_-]{8,40}", before in "[ -~]{0,9}", after in "[ -~]{0,9}",
        ) {
            let answer = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(scrub(&secret, &answer).contains("‹X›"));
            let answer = URL_SAFE_NO_PAD.encode(format!("{before}{secret}{after}"));
            prop_assert!(scrub(&secret, &answer).contains("‹X›"));
        }

        #[test]
        fn what_is_put_in_is_taken_out_again(secret in "[ -~ü€]{6,40}", around in "[a-z{}\":,/]{0,20}") {
            for form in [Form::Raw, Form::Json, Form::Percent] {
                let (text, used) = put(&format!("{around}{PLACEHOLDER}{around}"), &secret, form);
                prop_assert_eq!(used, 1);
                // Signs around it can be part of a longer match only if the secret has them, too.
                prop_assert!(scrub(&secret, &text).contains("‹X›"));
            }
        }
    }
}
