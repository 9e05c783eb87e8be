//! Phone numbers in the spellings people use, read by the numbering plans of libphonenumber (`phone/plans.tsv`).
//!
//! | spelling | read as |
//! |---|---|
//! | `+1 (650) 555-1234`, `tel:+1-650-555-1234` | international |
//! | `0049 30 1234567`; with a region also its own prefix: `011 49 …` with US | international |
//! | `(650) 555-1234` with region US, `030 1234567` with DE | a number of that region; without one it is refused |
//!
//! A number must be *possible*: its country code exists, and it is as long as numbers there can be. It need not be *valid*
//! (in a range that is assigned): ranges change faster than programs, and the numbers of examples, `+1 555 123 4567`, are in
//! none. Where a spelling could be read in two ways, validity decides.
//!
//! Only the plans are libphonenumber's. The crates that bring them bring a parser too, which strips a trunk prefix twice
//! (`8 800 555 35 35` in Russia) and reads letters as digits, and would so write to a stranger.

pub mod place;
mod plans;

use std::fmt;
use std::sync::OnceLock;

use self::plans::Plan;
use super::nearest::nearest;

/// A region of the numbering plans, by its two letters of ISO 3166: `US`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(&'static str);

/// Two letters that are no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no region; write the two letters of its country, such as US or DE{1}")]
pub struct UnknownRegion(String, String);

impl Region {
    pub fn parse(text: &str) -> Result<Self, UnknownRegion> {
        let upper = text.trim().to_ascii_uppercase();
        if let Some(known) = Self::known().iter().find(|known| **known == upper) {
            return Ok(Self(known));
        }
        // The one that everybody gets wrong.
        let meant = if upper == "UK" { Some("GB") } else { nearest(&upper, Self::known().iter().copied()) };
        let hint = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
        Err(UnknownRegion(text.chars().take(20).collect(), hint))
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Every region, sorted.
    pub fn known() -> &'static [&'static str] {
        static KNOWN: OnceLock<Vec<&'static str>> = OnceLock::new();
        KNOWN.get_or_init(|| {
            let mut known: Vec<_> = plans::all().iter().map(|plan| plan.region).filter(|id| id.len() == 2).collect();
            known.sort_unstable();
            known
        })
    }

    fn plan(self) -> Option<&'static Plan> {
        plans::all().iter().find(|plan| plan.region == self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A number with its country code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    digits: String,
}

impl Phone {
    /// Country code and number, digits only: `16505551234`.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// In the form of E.164: `+16505551234`.
    pub fn e164(&self) -> String {
        format!("+{}", self.digits)
    }
}

/// The shortest and the longest number with its country code: E.164 allows 15 digits, and fewer than 8 are a number that
/// was cut.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// Reads a number; one without country code is meant in `region`. The error says what is wrong with it, as the end of a
/// sentence that begins with the number.
pub fn parse(text: &str, region: Option<Region>) -> Result<Phone, String> {
    let text = text.trim();
    let text = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => text,
    };
    let begins = text.find(|c: char| c == '+' || c.is_alphanumeric()).unwrap_or(text.len());
    let international = text[begins..].starts_with('+');
    let number = if international { &text[begins + 1..] } else { text };
    let foreign = |c: char| (c.is_alphanumeric() && !c.is_ascii_digit()) || c.is_control() || "+#*;,@&=?%".contains(c);
    if number.chars().any(foreign) {
        return Err("holds more than a phone number".to_string());
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Err("holds no number".to_string());
    }
    if international {
        let spaceless: String = number.chars().filter(|c| !c.is_whitespace()).collect();
        if spaceless.contains("(0)") {
            return Err("holds a (0), which is not dialled from abroad: leave it out".to_string());
        }
        return abroad(&digits);
    }
    // Before `00`: Australia dials abroad with `0011`.
    let own = region.and_then(Region::plan).and_then(|plan| plan.abroad.begins(&digits));
    let dialled = own.or(digits.starts_with("00").then_some(2));
    if let Some(prefix) = dialled
        && let Ok(phone) = abroad(&digits[prefix..])
    {
        return Ok(phone);
    }
    match (region, dialled) {
        (Some(region), _) => at_home(&digits, region),
        (None, Some(prefix)) => abroad(&digits[prefix..]),
        (None, None) => Err("is a number without its country code (no +), and no region is set".to_string()),
    }
}

/// Reads the digits of an international number, which begin with the country code.
fn abroad(digits: &str) -> Result<Phone, String> {
    if digits.starts_with('0') {
        return Err("begins with 0, which no country code does".to_string());
    }
    if !DIGITS.contains(&digits.len()) {
        return Err("has not the 8 to 15 digits of an international phone number".to_string());
    }
    // No country code begins with another one.
    let found = (1..=3).find_map(|length| {
        let (code, national) = digits.split_at(length);
        let plans: Vec<&Plan> = plans::all().iter().filter(|plan| plan.code == code).collect();
        (!plans.is_empty()).then_some((code, national, plans))
    });
    let Some((code, national, plans)) = found else {
        return Err(format!("begins with +{}, which is no country's code", &digits[..3]));
    };
    // The first plan is the main one: the trunk prefix is the same in all of them.
    let trunk = plans.first().map(|plan| plan.trunk).filter(|trunk| !trunk.is_empty());
    let stripped = trunk.and_then(|trunk| national.strip_prefix(trunk));
    let candidates: Vec<&str> = std::iter::once(national).chain(stripped).collect();
    choose(code, &candidates, &plans)
}

/// Reads the digits of a number as it is written in `region`.
fn at_home(digits: &str, region: Region) -> Result<Phone, String> {
    let Some(plan) = region.plan() else {
        return Err(format!("is a number of {region:?}, of which nothing is known"));
    };
    let dialled = plan.without_trunk(digits);
    let trunk = Some(plan.trunk).filter(|trunk| !trunk.is_empty()).and_then(|trunk| digits.strip_prefix(trunk));
    let with_code = digits.strip_prefix(plan.code);
    let candidates: Vec<&str> = dialled.as_deref().into_iter().chain([digits]).chain(trunk).chain(with_code).collect();
    choose(plan.code, &candidates, &[plan])
}

/// The reading that is a number: the first that is valid; if none is, the first that is possible, of which the number as it
/// was written is preferred.
fn choose(code: &str, candidates: &[&str], plans: &[&Plan]) -> Result<Phone, String> {
    let mut possible: Vec<&str> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        // Of a smaller region that shares the code, a length alone says too little: `+1 555-1234` is no number.
        let fits = |(place, plan): (usize, &&Plan)| {
            plan.has_length(candidate.len()) && (place == 0 || plan.numbers.is(candidate))
        };
        if plans.iter().enumerate().any(fits) && !possible.contains(candidate) {
            possible.push(candidate);
        }
    }
    let chosen = match possible[..] {
        [] => None,
        [only] => Some(only),
        _ => {
            let valid = |number: &&&str| plans.iter().any(|plan| plan.numbers.is(number));
            possible.iter().find(valid).or_else(|| possible.iter().max_by_key(|number| number.len())).copied()
        }
    };
    let phone = chosen.map(|national| Phone { digits: format!("{code}{national}") });
    phone.filter(|phone| DIGITS.contains(&phone.digits.len())).ok_or_else(|| {
        let main = plans.first().map(|plan| plan.region).filter(|name| name.len() == 2);
        let place = main.map(|name| format!(" ({name})")).unwrap_or_default();
        format!("has not as many digits as a phone number of +{code}{place}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn region(name: &str) -> Option<Region> {
        (!name.is_empty()).then(|| Region::parse(name).unwrap())
    }

    #[test]
    fn spellings_of_people() {
        for (text, place, digits) in [
            ("+1 (650) 555-1234", "", "16505551234"),
            ("(650) 555-1234", "US", "16505551234"),
            ("650.555.1234", "US", "16505551234"),
            ("1-650-555-1234", "US", "16505551234"),
            ("555 123 4567", "US", "15551234567"),
            ("+15551234567", "DE", "15551234567"),
            ("0049 30 1234567", "", "49301234567"),
            ("00 49 (30) 1234567", "US", "49301234567"),
            ("011 49 30 1234567", "US", "49301234567"),
            ("0011 49 30 1234567", "AU", "49301234567"),
            ("030 1234567", "DE", "49301234567"),
            ("0171/1234567", "DE", "491711234567"),
            ("1 650 555 1234", "US", "16505551234"),
            ("44 20 7946 0958", "GB", "442079460958"),
            ("020 7946 0958", "GB", "442079460958"),
            ("+44 020 7946 0958", "", "442079460958"),
            // A zero that belongs to the number.
            ("06 1234 5678", "IT", "390612345678"),
            ("+39 06 1234 5678", "", "390612345678"),
            ("8 (800) 555-35-35", "RU", "78005553535"),
            ("800 555 35 35", "RU", "78005553535"),
            ("011 15-2345-6789", "AR", "5491123456789"),
            ("(11) 96123-4567", "BR", "5511961234567"),
            ("612 34 56 78", "ES", "34612345678"),
            ("tel:+1-650-555-1234", "", "16505551234"),
            ("(+49) 30 1234567", "", "49301234567"),
            ("\u{202a}+1 650\u{2011}555\u{a0}1234\u{202c}", "", "16505551234"),
            ("+800 1234 5678", "", "80012345678"),
        ] {
            let found = parse(text, region(place)).map(|phone| phone.digits);
            assert_eq!(found.as_deref(), Ok(digits), "{text} in {place}");
        }
    }

    #[test]
    fn what_cannot_be_a_number_says_why() {
        for (text, place, word) in [
            ("(650) 555-1234", "", "without its country code"),
            ("555-1234", "US", "digits as a phone number of +1 (US)"),
            ("+1 650 555 123", "", "digits as a phone number of +1 (US)"),
            ("+1 555-1234", "", "digits as a phone number of +1 (US)"),
            ("+44 20 7946", "", "digits as a phone number of +44 (GB)"),
            ("+999 1234 5678", "", "no country's code"),
            ("00999 1234 5678", "", "no country's code"),
            ("1-800-FLOWERS", "US", "more than"),
            ("+1 650 555 1234 ext. 5", "", "more than"),
            ("+1 650 555 1234, +1 650 555 1235", "", "more than"),
            ("+1 650 555 1234#", "", "more than"),
            ("+44 (0) 20 7946 0958", "", "(0)"),
            ("+", "", "no number"),
            ("", "US", "no number"),
            ("12", "DE", "digits as"),
            ("+12345678901234567", "", "8 to 15"),
        ] {
            let error = parse(text, region(place)).unwrap_err();
            assert!(error.contains(word), "{text} in {place}: {error}");
        }
    }

    #[test]
    fn regions_are_two_letters_of_countries() {
        assert_eq!(Region::parse(" us ").unwrap().as_str(), "US");
        assert!(Region::known().len() > 200 && Region::known().is_sorted());
        for (text, hint) in [("UK", "(did you mean GB?)"), ("USA", "(did you mean US?)"), ("", "US or DE"), ("001", "")]
        {
            let error = Region::parse(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }

    /// The plans come with an example of each kind of number of each region: all of them are read, in both spellings.
    #[test]
    fn every_example_of_every_region_is_read() {
        let (mut read, mut kept_as_written) = (0, 0);
        for line in include_str!("phone/examples.tsv").lines().filter(|line| !line.starts_with('#')) {
            let [name, code, _, example] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let digits = format!("{code}{example}");
            if !DIGITS.contains(&digits.len()) {
                continue;
            }
            let abroad = parse(&format!("+{digits}"), None).map(|phone| phone.digits);
            assert_eq!(abroad.as_ref(), Ok(&digits), "{line}");
            read += 1;
            if name.len() == 2 {
                let at_home = parse(example, Region::parse(name).ok()).map(|phone| phone.digits);
                kept_as_written += usize::from(at_home.as_ref() == Ok(&digits));
            }
        }
        assert!(read > 1_000, "{read}");
        // The rest begins with what is a prefix there: toll-free numbers of a few islands.
        assert!(kept_as_written * 100 >= read * 98, "{kept_as_written} of {read}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_read_again(text in "\\PC{0,30}|[-+()/. 0-9]{0,24}", at in 0usize..1000) {
            let known = Region::known();
            let region = Region::parse(known[at % known.len()]).unwrap();
            for place in [None, Some(region)] {
                if let Ok(phone) = parse(&text, place) {
                    prop_assert!(DIGITS.contains(&phone.digits().len()));
                    // Its own international form is read as itself, unless it has a trunk prefix that was kept for want
                    // of anything better.
                    let again = parse(&phone.e164(), None);
                    prop_assert!(again.is_ok(), "{} {:?}", phone.e164(), again);
                }
            }
        }
    }
}
