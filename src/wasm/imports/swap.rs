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
    /// `bytes` with secrets in the place of their placeholders; None if that were more than `most` bytes, of which the length
    /// is known before anything is built: a body of nothing but placeholders is a hundred times as long.
    pub(super) fn put<'b>(
        &mut self,
        bytes: &'b [u8],
        stands: &[Stand<'_>],
        form: Form,
        most: usize,
    ) -> Option<Cow<'b, [u8]>> {
        let mut put = Cow::Borrowed(bytes);
        if find(bytes, PREFIX.as_bytes()).is_some() {
            for stand in stands {
                let secret = form.write(stand.secret.expose());
                let (old, new) = (stand.placeholder.as_bytes(), secret.as_bytes());
                let hits = count(&put, old);
                if hits == 0 {
                    continue;
                }
                if put.len() + hits * new.len() - hits * old.len() > most {
                    return None;
                }
                self.used.insert(stand.number);
                put = replaced(&put, old, new).map_or(put, Cow::Owned);
            }
        }
        (put.len() <= most).then_some(put)
    }

    /// The same for the value of a header. In that of `Authorization: Basic` it looks into the base64.
    pub(super) fn put_header<'b>(
        &mut self,
        is_authorization: bool,
        value: &'b [u8],
        stands: &[Stand<'_>],
        most: usize,
    ) -> Option<Cow<'b, [u8]>> {
        let basic = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
        if let (true, Some((scheme, blob))) = (is_authorization, basic)
            && let Some(pair) = decode(blob)
            && let Cow::Owned(swapped) = self.put(&pair, stands, Form::Raw, most)?
        {
            let real = STANDARD.encode(swapped);
            self.disguised.push((real.clone().into_bytes(), blob.trim_ascii().to_vec()));
            let real = [scheme, real.as_bytes()].concat();
            return (real.len() <= most).then_some(Cow::Owned(real));
        }
        self.put(value, stands, Form::Raw, most)
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
    /// The forms that can stand in the name of a header, in lower case.
    named: BTreeSet<Vec<u8>>,
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
        let named = known.keys().filter(|form| form.iter().all(|byte| is_of_name(*byte)));
        let named = named.map(|form| form.to_ascii_lowercase()).collect();
        // The longest first: of two that begin at one place, the shorter one would leave the rest of the longer.
        let mut needles: Vec<&Vec<u8>> = known.keys().collect();
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        let escaped = |needle: &&Vec<u8>| needle.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let pattern = needles.iter().map(escaped).collect::<Vec<_>>().join("|");
        let search = RegexBuilder::new(&pattern).unicode(false).size_limit(REGEX_BYTES).build();
        let search =
            search.map_err(|_| "the plugin's secrets are too many and too long to be found again".to_string())?;
        Ok(Self { search: Some(search), forms: known, named })
    }

    /// For a plugin without secrets.
    pub(super) fn none() -> Self {
        Self { search: None, forms: HashMap::new(), named: BTreeSet::new() }
    }

    /// Whether there is anything to find.
    pub(super) fn is_idle(&self) -> bool {
        self.search.is_none()
    }

    /// Whether a secret is in the name of a header, which comes in lower case. Nothing can be put in its place there: two such
    /// names could become one.
    pub(super) fn is_in_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.named.iter().any(|form| form.len() <= name.len() && find(name.as_bytes(), form).is_some())
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

/// Whether the name of a header may have `byte`.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
/// within base64 at each of the three places where it may begin. All of these in a JSON that escapes the slash, too.
fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let lower = |c: char| format!("\\u{:04x}", c as u32);
    let upper = |c: char| format!("\\u{:04X}", c as u32);
    let wide = |c: char| (c > '\u{7e}').then(|| units(c, false));
    let upper_wide = |c: char| (c > '\u{7e}').then(|| units(c, true));
    let texts = [
        secret.to_string(),
        json(secret, |_| None),
        json(secret, |c| "<>&".contains(c).then(|| lower(c))),
        json(secret, |c| "<>&".contains(c).then(|| lower(c)).or_else(|| wide(c))),
        json(secret, |c| "<>&='".contains(c).then(|| lower(c))),
        json(secret, wide),
        json(secret, upper_wide),
        json(secret, |c| "<>&'\"".contains(c).then(|| upper(c)).or_else(|| wide(c))),
        json(secret, |c| "<>&'+\"`".contains(c).then(|| upper(c)).or_else(|| upper_wide(c))),
        percent(secret, "-._~", true),
        percent(secret, "-._~", false),
        percent(secret, "-._~!'()*", true),
        percent(secret, "-._*", true).replace("%20", "+"),
        percent(secret, "-._*", false).replace("%20", "+"),
        percent(secret, "-._~", true).replace("%20", "+"),
        percent(secret, "-._~/", true),
        percent(secret, "-._~$&+=:@", true),
        percent(secret, "-._~!$&'()*+,;=:@/", true),
        html(secret, &[('"', "&quot;"), ('\'', "&#39;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&#x27;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&#039;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&apos;")]),
        html(secret, &[('"', "&#34;"), ('\'', "&#39;")]),
        html(secret, &[('"', "&#34;"), ('\'', "&#39;"), ('+', "&#43;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&#x27;"), ('`', "&#x60;"), ('=', "&#x3D;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&#39;"), ('`', "&#x60;"), ('=', "&#x3D;"), ('/', "&#x2F;")]),
        html(secret, &[('"', "&quot;"), ('\'', "&#x27;"), ('+', "&#x2B;")]),
        hex::hex(secret.as_bytes()),
        hex::hex(secret.as_bytes()).to_uppercase(),
    ];
    let mut forms: BTreeSet<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let whole = engine.encode([&vec![0; before], secret.as_bytes()].concat());
            // Without the signs that neighbours have a part in.
            let (from, to) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            let form = &whole[from..to];
            forms.extend([true, false].map(|is_upper| percent(form, "-._~", is_upper).into_bytes()));
            forms.insert(form.as_bytes().to_vec());
        }
    }
    let slashed = forms.iter().filter(|form| form.contains(&b'/'));
    let slashed: Vec<Vec<u8>> = slashed.filter_map(|form| replaced(form, b"/", b"\\/")).collect();
    forms.extend(slashed);
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

/// With `special` besides the three that are written in one way everywhere.
fn html(text: &str, special: &[(char, &str)]) -> String {
    let write = |c: char| match c {
        '&' => "&amp;".to_string(),
        '<' => "&lt;".to_string(),
        '>' => "&gt;".to_string(),
        c => special.iter().find(|(known, _)| *known == c).map_or(c.to_string(), |(_, entity)| entity.to_string()),
    };
    text.chars().map(write).collect()
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

/// How often `needle`, which is not empty, is in `bytes`.
fn count(mut bytes: &[u8], needle: &[u8]) -> usize {
    let mut count = 0;
    while let Some(at) = find(bytes, needle) {
        count += 1;
        bytes = &bytes[at + needle.len()..];
    }
    count
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
        let put = swapped.put(text.as_bytes(), &stands, form, usize::MAX).unwrap().into_owned();
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
            let real = swapped.put_header(is_authorization, value.as_bytes(), &stands, 1_000).unwrap().into_owned();
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
        assert_eq!(&*swapped.put_header(true, value.as_bytes(), &stands, 1_000).unwrap(), b"Bearer pa:ss word");
    }

    #[test]
    fn what_would_be_too_long_is_not_built() {
        let secret = Secret::new("x".repeat(limits::PLUGIN_SECRET));
        let stands = [Stand { number: 0, placeholder: PLACEHOLDER, secret: &secret }];
        let (two, long) = (PLACEHOLDER.repeat(2), 2 * limits::PLUGIN_SECRET);
        for (text, most, len) in [
            (two.as_str(), long, Some(long)),
            (two.as_str(), long - 1, None),
            ("plain", 5, Some(5)),
            ("plain", 4, None),
        ] {
            let put =
                |swapped: &mut Swapped| swapped.put(text.as_bytes(), &stands, Form::Raw, most).map(|put| put.len());
            assert_eq!(put(&mut Swapped::default()), len, "{most}");
        }
        // In base64 it is longer by a third.
        let value = format!("Basic {}", STANDARD.encode(PLACEHOLDER));
        let put = |most| Swapped::default().put_header(true, value.as_bytes(), &stands, most).is_some();
        assert!(put(limits::PLUGIN_SECRET * 4 / 3 + 10) && !put(limits::PLUGIN_SECRET * 4 / 3) && !put(100));
    }

    #[test]
    fn a_secret_in_the_name_of_a_header_is_seen() {
        let secret = Secret::new("S3cr3t-Key/1");
        let scrubber = Scrubber::new([Some(&secret)].into_iter()).unwrap();
        let base64 = STANDARD_NO_PAD.encode(secret.expose()).to_lowercase();
        for (name, is_in) in [
            ("x-s3cr3t-key%2f1", true),
            ("X-S3CR3T-KEY%2F1-a", true),
            (&*hex::hex(secret.expose().as_bytes()), true),
            (&*base64, true),
            ("s3cr3t-key", false),
            ("content-type", false),
        ] {
            assert_eq!(scrubber.is_in_name(name), is_in, "{name}");
        }
        assert!(!Scrubber::none().is_in_name("x-s3cr3t-key%2f1"));
    }

    #[test]
    fn every_form_of_a_secret_is_taken_out() {
        let secret = r#"s3<c/&"'ü+ é"#;
        let base64 = STANDARD_NO_PAD.encode(">>?~~~");
        assert!(base64.contains('/') && base64.contains('+'), "{base64}");
        for answer in [
            base64.replace('/', "\\/"),
            base64.replace('/', "%2F").replace('+', "%2B"),
            base64.replace('/', "%2f").replace('+', "%2b"),
        ] {
            assert_eq!(scrub(">>?~~~", &answer), "‹X›", "{answer}");
        }
        for (secret, answer) in [
            ("s3=c<r>&'t~", r"s3\u003dc\u003cr\u003e\u0026\u0027t~"),
            ("s3/c r~t", "s3/c%20r~t"),
            ("s3$c&+=:@ /~", "s3$c&+=:@%20%2F~"),
            ("s3 c~r(t", "s3+c~r%28t"),
            ("s3+c=r`/'t\"", "s3&#43;c=r`/&#39;t&#34;"),
            ("s3+c=r`/'t\"", "s3+c&#x3D;r&#x60;&#x2F;&#39;t&quot;"),
            ("s3+c=r`/'t\"", "s3+c&#x3D;r&#x60;/&#x27;t&quot;"),
            ("s3'crét", "s3&#039;crét"),
            ("s3/<crét", r"s3\/\u003ccr\u00e9t"),
        ] {
            assert_eq!(scrub(secret, answer), "‹X›", "{secret}");
        }
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
            let text = format!("{before}{secret}{after}");
            let answer = format!("{} {}", STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text));
            prop_assert_eq!(scrub(&secret, &answer).matches("‹X›").count(), 2);
        }

        #[test]
        fn what_is_put_in_is_taken_out_again(secret in "[ -~ü€]{6,40}", around in "[a-z{}\":,/]{0,20}") {
            let known = Secret::new(secret.as_str());
            let scrubber = Scrubber::new([Some(&known)].into_iter()).unwrap();
            for form in [Form::Raw, Form::Json, Form::Percent] {
                let (text, used) = put(&format!("{around}{PLACEHOLDER}{around}"), &secret, form);
                prop_assert_eq!(used, 1);
                // Signs around it can be part of a longer match only if the secret has them, too.
                let clean = scrubber.scrub(text.as_bytes(), &["‹X›".to_string()], &Swapped::default());
                prop_assert!(clean.is_some_and(|clean| String::from_utf8_lossy(&clean).contains("‹X›")));
            }
        }
    }
}
