//! Faults as people write them: one line, or JSON with the same words.
//!
//! ```text
//! POST /sessions/*/messages: 5% 429 retry_after=2s
//! * /groups: nth=3 503
//! POST /sessions/support-team/messages: every=100 cut=after
//! DELIVERY message: duplicate=5
//! ```
//!
//! First what may be met: a method (`*` for any) and a path, in which `*` stands for any text within one part and a last
//! part `**` for all that follows; or `DELIVERY` and a webhook event. After the colon, in any order:
//!
//! | word | JSON | meaning |
//! |---|---|---|
//! | `5%` | `"share": 5` | this share of them, the same ones for the same `seed` |
//! | `nth=3`, `every=3` | `"nth"`, `"every"` | the third one; each third one. Without any of these: all |
//! | `times=2` | `"times"` | no more than this often |
//! | `seed=7` | `"seed"` | picks others for a share; 0 if left out |
//! | `delay=500ms` | `"delay"` | later by this long |
//! | `429` | `"answer": 429` | refused with this status, 400 to 599 |
//! | `error_code=X` | `"error_code"` | with this code instead of the usual one |
//! | `retry_after=2s` | `"retry_after"` | and these headers; `none`: without any. A 429 says 1 s by itself |
//! | `cut=before` | `"cut"` | the connection is closed before anything is done; `after`: when it is done, instead of the answer; `midway`: in the middle of the answer |
//! | `garbage` | `"garbage": true` | it is done, and the answer's body is no JSON |
//! | `carried_out` | `"carried_out": true` | an answer or a delay comes after it was done |
//! | `duplicate=5` | `"duplicate"` | a delivery is made five times in all, several at once |
//!
//! `-` and `_` in words are the same.

use crate::base::Json;
use crate::base::duration::parse_ms;
use crate::base::json::JsonMap;
use crate::base::nearest::nearest;
use crate::moltflow::event::KINDS;

use super::super::routes::{ROUTES, bare, could_match, matches};
use super::fault::{Fault, Moment, On, RetryAfter, What, Which};

/// A fault that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFault(String);

/// The words of JSON and of `name=value`, but `on`.
const WORDS: [&str; 12] = [
    "share",
    "nth",
    "every",
    "times",
    "seed",
    "delay",
    "answer",
    "error_code",
    "retry_after",
    "cut",
    "garbage",
    "carried_out",
];
const DELIVERY_WORD: &str = "duplicate";
const METHODS: [&str; 5] = ["GET", "POST", "DELETE", DELIVERY, "*"];
const DELIVERY: &str = "DELIVERY";

/// Characters of a method with its path: the longest route with a session's name, twice.
const ON: usize = 256;
/// A longer delay is longer than any client waits.
const DELAY_MS: u64 = 3_600_000;
/// A longer pause is longer than any client would try again after.
const RETRY_AFTER_MS: u64 = 30 * 86_400_000;
/// Deliveries of one event. Arbitrary, far above what a person needs to see.
const DELIVERIES: u64 = 100;

const EXAMPLE: &str = "write it like `POST /sessions/*/messages: 5% 429 retry_after=2s`";

/// Reads the one-line form.
pub fn line(text: &str) -> Result<Fault, BadFault> {
    let Some((on, rest)) = text.split_once(": ").or_else(|| text.trim_end().strip_suffix(':').map(|on| (on, "")))
    else {
        return Err(BadFault(format!("`{}` has no colon after its path; {EXAMPLE}", short(text))));
    };
    let mut draft = Draft { on: on.trim().to_string(), ..Draft::default() };
    for word in rest.split_whitespace() {
        if let Some(share) = word.strip_suffix('%') {
            draft.set("share", &Json::from(share))?;
        } else if word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            draft.set("answer", &Json::from(word))?;
        } else if let Some((name, value)) = word.split_once('=') {
            draft.set(name, &Json::from(value))?;
        } else if ["garbage", "carried_out"].contains(&word.replace('-', "_").as_str()) {
            draft.set(word, &Json::Bool(true))?;
        } else {
            return Err(unknown(word));
        }
    }
    draft.fault()
}

/// Reads JSON: an object, or a string of the one-line form.
pub fn json(value: &Json) -> Result<Fault, BadFault> {
    match value {
        Json::String(text) => line(text),
        Json::Object(fields) => object(fields),
        _ => Err(BadFault(format!("a fault is an object or a string; {EXAMPLE}"))),
    }
}

fn object(fields: &JsonMap) -> Result<Fault, BadFault> {
    let mut draft = Draft::default();
    match fields.get("on") {
        Some(Json::String(on)) => draft.on = on.trim().to_string(),
        _ => return Err(BadFault("on: say what it meets, like \"POST /sessions/*/messages\"".to_string())),
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "on") {
        draft.set(name, value)?;
    }
    draft.fault()
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn unknown(word: &str) -> BadFault {
    let name = word.split('=').next().unwrap_or(word).replace('-', "_");
    let words = || WORDS.into_iter().chain([DELIVERY_WORD]);
    let known = match nearest(&name, words()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it can say {}", words().collect::<Vec<_>>().join(", ")),
    };
    BadFault(format!("a fault has no `{}`; {known}", short(word)))
}

/// What was said so far.
#[derive(Default)]
struct Draft {
    on: String,
    share: Option<u32>,
    nth: Option<u64>,
    every: Option<u64>,
    times: Option<u64>,
    seed: Option<u64>,
    delay_ms: Option<u64>,
    answer: Option<u16>,
    error_code: Option<String>,
    retry_after: Option<RetryAfter>,
    cut: Option<Moment>,
    garbage: bool,
    carried_out: bool,
    duplicate: Option<u32>,
}

impl Draft {
    fn set(&mut self, name: &str, value: &Json) -> Result<(), BadFault> {
        let name = name.replace('-', "_");
        let text = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let wrong = |must: &str| BadFault(format!("{name}: `{}` is not {must}", short(&text)));
        let count = |from: u64, to: u64, must: &str| {
            text.parse::<u64>().ok().filter(|count| (from..=to).contains(count)).ok_or_else(|| wrong(must))
        };
        let duration = |most: u64, must: &str| parse_ms(&text).ok().filter(|ms| *ms <= most).ok_or_else(|| wrong(must));
        let yes = || match text.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(wrong("true or false")),
        };
        const COUNT: &str = "a number from 1";
        match name.as_str() {
            "share" => {
                let share = text.trim_end_matches('%').parse::<f64>().ok();
                let share = share.filter(|share| (0.0..=100.0).contains(share));
                let share = share.ok_or_else(|| wrong("a share from 0 to 100 percent"))?;
                self.share = Some((share * 10_000.0).round() as u32);
            }
            "nth" => self.nth = Some(count(1, u64::MAX, COUNT)?),
            "every" => self.every = Some(count(1, u64::MAX, COUNT)?),
            "times" => self.times = Some(count(1, u64::MAX, COUNT)?),
            "seed" => self.seed = Some(count(0, u64::MAX, "a number from 0")?),
            "delay" => self.delay_ms = Some(duration(DELAY_MS, "a duration of up to 1h, like 500ms")?),
            "answer" => self.answer = Some(count(400, 599, "a status from 400 to 599")? as u16),
            "error_code" => {
                let is_code = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if text.is_empty() || text.len() > 64 || !text.chars().all(is_code) {
                    return Err(wrong("a code of up to 64 letters, digits and _, like SESSION_NOT_FOUND"));
                }
                self.error_code = Some(text);
            }
            "retry_after" if text == "none" => self.retry_after = Some(RetryAfter::None),
            "retry_after" => {
                self.retry_after =
                    Some(RetryAfter::Ms(duration(RETRY_AFTER_MS, "a duration of up to 30d, like 2s, or none")?));
            }
            "cut" => {
                let moment = Moment::WORDS.iter().find(|(word, _)| *word == text);
                self.cut = Some(moment.ok_or_else(|| wrong("before, after or midway"))?.1);
            }
            "garbage" => self.garbage = yes()?,
            "carried_out" => self.carried_out = yes()?,
            DELIVERY_WORD => {
                self.duplicate = Some(count(2, DELIVERIES, "a number of deliveries from 2 to 100")? as u32)
            }
            _ => return Err(unknown(&name)),
        }
        Ok(())
    }

    fn fault(self) -> Result<Fault, BadFault> {
        let bad = |text: &str| Err(BadFault(text.to_string()));
        let on = on(&self.on)?;
        let which = match (self.share, self.nth, self.every) {
            (None, None, None) => Which::All,
            (Some(share), None, None) => Which::Share(share),
            (None, Some(nth), None) => Which::Nth(nth),
            (None, None, Some(every)) => Which::Every(every),
            _ => return bad("say one of a share, nth and every"),
        };
        if self.seed.is_some() && self.share.is_none() {
            return bad("a seed picks requests for a share; say one, like 5%");
        }
        if self.answer.is_none() && (self.error_code.is_some() || self.retry_after.is_some()) {
            return bad("error_code and retry_after belong to a status; say one, like 429");
        }
        let happenings = [self.answer.is_some(), self.cut.is_some(), self.garbage, self.duplicate.is_some()];
        let delay_ms = self.delay_ms.unwrap_or(0);
        match happenings.iter().filter(|happens| **happens).count() {
            0 if delay_ms == 0 => return bad("nothing happens; say delay, a status, cut, garbage or duplicate"),
            0 | 1 => {}
            _ => return bad("say one of a status, cut, garbage and duplicate"),
        }
        let what = match (self.answer, self.cut, self.garbage, self.duplicate) {
            (Some(status), ..) => What::Answer {
                status,
                error_code: self.error_code,
                retry_after: self.retry_after.unwrap_or(RetryAfter::Usual),
            },
            (_, Some(moment), ..) => What::Cut(moment),
            (_, _, true, _) => What::Garbage,
            (.., Some(deliveries)) => What::Duplicate(deliveries),
            _ => What::Delay,
        };
        if self.carried_out && !matches!(what, What::Answer { .. } | What::Delay) {
            return bad("carried_out belongs to a status or a delay; say cut=after, or garbage alone");
        }
        match (&on, &what) {
            (On::Delivery { .. }, What::Duplicate(_) | What::Delay) if !self.carried_out => {}
            (On::Delivery { .. }, _) => {
                return bad("a DELIVERY can be delayed and duplicated; the rest is its receiver's");
            }
            (On::Request { .. }, What::Duplicate(_)) => {
                return bad("duplicate belongs to deliveries; write it like `DELIVERY message: duplicate=2`");
            }
            _ => {}
        }
        let seed = self.seed.unwrap_or(0);
        Ok(Fault { on, which, times: self.times, seed, delay_ms, carried_out: self.carried_out, what })
    }
}

fn on(text: &str) -> Result<On, BadFault> {
    let mut words = text.split_whitespace();
    let (Some(method), Some(path), None) = (words.next(), words.next(), words.next()) else {
        return Err(BadFault(format!("`{}` is not a method and a path; {EXAMPLE}", short(text))));
    };
    if text.len() > ON {
        return Err(BadFault(format!("`{}…` is longer than {ON} bytes", short(text))));
    }
    let method = method.to_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let known = match nearest(&method, METHODS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", METHODS.join(", ")),
        };
        return Err(BadFault(format!("`{}` is no method of the sandbox; {known}", short(&method))));
    }
    if method == DELIVERY {
        if !KINDS.iter().any(|kind| matches(path, kind)) {
            let known = match nearest(path, KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}, *", KINDS.join(", ")),
            };
            return Err(BadFault(format!("`{}` is no event of a delivery; {known}", short(path))));
        }
        return Ok(On::Delivery { event: path.to_string() });
    }
    let path = bare(path);
    // The last one stands for what is no route.
    let routes = &ROUTES[..ROUTES.len() - 1];
    let mut known = routes.iter().filter(|(_, route)| could_match(path, route)).map(|(own, _)| *own).peekable();
    if known.peek().is_none() {
        let known = match nearest(path, routes.iter().map(|(_, route)| *route)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a path of the guide without /api/v2, or /v1/chat/completions or /v1/messages".to_string(),
        };
        return Err(BadFault(format!("`{}` is no path of the sandbox; {known}", short(path))));
    }
    if method != "*" && !known.clone().any(|own| own == method) {
        let methods = known.collect::<Vec<_>>().join(", ");
        return Err(BadFault(format!("there is no {method} {}; its methods are {methods}", short(path))));
    }
    Ok(On::Request { method, path: path.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn both_forms_say_the_same() {
        for (text, value, shown) in [
            (
                "POST /sessions/*/messages: 5% 429 retry-after=2s",
                json!({ "on": "POST /sessions/*/messages", "share": 5, "answer": 429, "retry_after": "2s" }),
                "POST /sessions/*/messages: 5% 429 retry_after=2s",
            ),
            (
                "post /api/v2/groups: 503 nth=3 error-code=DOWN carried-out",
                json!({ "on": "post /api/v2/groups", "nth": 3, "answer": 503, "error_code": "DOWN", "carried_out": true }),
                "POST /groups: nth=3 503 error_code=DOWN carried_out",
            ),
            (
                "* /v1/**: every=2 times=1 delay=1s cut=midway",
                json!({ "on": "* /v1/**", "every": 2, "times": 1, "delay": "1s", "cut": "midway" }),
                "* /v1/**: every=2 times=1 delay=1s cut=midway",
            ),
            (
                "GET /sessions/x: 0.5% seed=9 garbage",
                json!({ "on": "GET /sessions/x", "share": "0.5%", "seed": 9, "garbage": true }),
                "GET /sessions/x: 0.5% seed=9 garbage",
            ),
            (
                "DELIVERY *: duplicate=5 delay=1s",
                json!({ "on": "DELIVERY *", "duplicate": 5, "delay": "1s" }),
                "DELIVERY *: delay=1s duplicate=5",
            ),
            (
                "GET /groups: 429 retry_after=none",
                json!({ "on": "GET /groups", "answer": "429", "retry_after": "none" }),
                "GET /groups: 429 retry_after=none",
            ),
        ] {
            let fault = line(text).unwrap();
            assert_eq!(Ok(&fault), json(&value).as_ref(), "{text}");
            assert_eq!(Ok(&fault), line(&fault.to_string()).as_ref(), "{text}");
            assert_eq!(fault.to_string(), shown);
        }
    }

    #[test]
    fn what_cannot_be_says_what_can() {
        for (text, word) in [
            ("", "no colon"),
            ("POST /groups 429", "no colon"),
            ("POST: 429", "not a method and a path"),
            ("PSOT /groups: 429", "did you mean `POST`?"),
            ("PUT /groups: 429", "no method of the sandbox"),
            ("POST /session/*/messages: 429", "did you mean `/sessions/*/messages`?"),
            ("POST /sandbox/messages: 429", "no path of the sandbox"),
            ("DELETE /groups: 429", "its methods are GET, POST"),
            ("DELIVERY mesage: duplicate=2", "did you mean `message`?"),
            ("DELIVERY message: 429", "delayed and duplicated"),
            ("DELIVERY message: delay=1s carried_out", "delayed and duplicated"),
            ("POST /groups: duplicate=2", "belongs to deliveries"),
            ("POST /groups: duplicate=1", "from 2 to 100"),
            ("POST /groups:", "nothing happens"),
            ("POST /groups: 5%", "nothing happens"),
            ("POST /groups: 429 cut=after", "say one of a status"),
            ("POST /groups: 5% nth=1 429", "say one of a share"),
            ("POST /groups: 200", "from 400 to 599"),
            ("POST /groups: 101% 429", "0 to 100 percent"),
            ("POST /groups: NaN% 429", "0 to 100 percent"),
            ("POST /groups: nth=0 429", "a number from 1"),
            ("POST /groups: seed=1 429", "for a share"),
            ("POST /groups: cut=befor", "before, after or midway"),
            ("POST /groups: cut=after carried_out", "belongs to a status or a delay"),
            ("POST /groups: delay=2", "like 500ms"),
            ("POST /groups: delay=2h", "up to 1h"),
            ("POST /groups: retry_after=2s", "belong to a status"),
            ("POST /groups: 429 retry_aftr=2s", "did you mean `retry_after`?"),
            ("POST /groups: garbge", "did you mean `garbage`?"),
            ("POST /groups: 429 error_code=a-b", "letters, digits and _"),
            ("POST /groups: foo", "it can say share"),
        ] {
            let error = line(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        for (value, word) in [
            (json!(7), "an object or a string"),
            (json!({ "answer": 429 }), "on: say what"),
            (json!({ "on": "GET /groups", "anwser": 429 }), "did you mean `answer`?"),
            (json!({ "on": "GET /groups", "answer": [429] }), "answer: `[429]` is not a status"),
            (json!({ "on": "GET /groups", "garbage": 1 }), "true or false"),
        ] {
            let error = json(&value).unwrap_err().to_string();
            assert!(error.contains(word), "{value}: {error}");
        }
    }

    #[test]
    fn a_share_is_a_share_and_the_same_ones_again() {
        let five = line("POST /groups: 5% 429").unwrap();
        let picked: Vec<u64> = (1..=10_000).filter(|count| five.picks(*count)).collect();
        assert!((400..=600).contains(&picked.len()), "{}", picked.len());
        assert_eq!(picked, (1..=10_000).filter(|count| five.picks(*count)).collect::<Vec<_>>());
        for other in ["POST /groups: 5% seed=1 429", "POST /groups: 5% 503"] {
            let other = line(other).unwrap();
            let both = picked.iter().filter(|count| other.picks(**count)).count();
            assert!(both < picked.len() / 4, "{other} picks the same {both}");
        }
        assert!((1..1_000).all(|count| line("GET /groups: 100% 429").unwrap().picks(count)));
        assert!(!(1..1_000).any(|count| line("GET /groups: 0% 429").unwrap().picks(count)));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_again(
            on in "(GET|POST|\\*|DELIVERY) (/groups|/\\*\\*|message|\\PC{0,8})",
            words in proptest::collection::vec("(5%|0.1%|429|garbage|carried_out|(nth|every|times|seed|delay|cut|duplicate|retry_after)=(2|1s|after|none)|\\PC{0,6})", 0..5),
        ) {
            if let Ok(fault) = line(&format!("{on}: {}", words.join(" "))) {
                prop_assert_eq!(line(&fault.to_string()), Ok(fault));
            }
        }
    }
}
