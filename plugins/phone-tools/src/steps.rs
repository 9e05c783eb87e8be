//! The steps.

use std::collections::HashMap;

use moltrun_step::Error;
use moltrun_step::prelude::*;

use crate::number::{Spelling, chat_id, read, region};

/// Reads one number.
pub struct Parse;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParseInput {
    /// The number as somebody wrote it; a chat (`<digits>@c.us`) is read too.
    phone: Spelling,
    /// Where a number without country code is: the two letters of the country, such as ES.
    #[serde(default)]
    region: Option<String>,
}

/// What is known of a number. Of what is none only `phone` and `reason` are.
#[derive(Default, Serialize, JsonSchema)]
pub struct Parsed {
    /// As it was written.
    phone: String,
    /// Whether it is as long as numbers of its country are: it can be written to.
    possible: bool,
    /// Whether it is in a range that is given out. Ranges change: a new number may not be.
    valid: bool,
    /// `+34612345678`
    e164: Option<String>,
    /// Without `+`.
    digits: Option<String>,
    /// `34612345678@c.us`
    chat_id: Option<String>,
    /// Without `+`.
    country_code: Option<String>,
    /// Two letters; of regions that share a country code and cannot be told apart the main one.
    region: Option<String>,
    /// All regions whose numbers it fits.
    regions: Vec<String>,
    /// As it is dialled within its country.
    national: Option<String>,
    /// Why it is no number, or not a valid one.
    reason: Option<String>,
}

impl Step for Parse {
    type Input = ParseInput;
    type Output = Parsed;
    const NAME: &'static str = "parse";
    const SUMMARY: &'static str =
        "reads a phone number: E.164, region, national form, validity; port `bad` if it is none";
    const PORTS: &'static [&'static str] = &["bad"];

    fn run(input: ParseInput, _: &Context) -> Result<Exit<Parsed>, Error> {
        let region = region(input.region.as_deref())?;
        let text = input.phone.text();
        let phone = match read(&text, region) {
            Ok(phone) => phone,
            Err(reason) => {
                return Ok(Exit::on("bad", Parsed { phone: text, reason: Some(reason), ..Parsed::default() }));
            }
        };
        let mut parsed = Parsed {
            phone: text,
            possible: true,
            e164: Some(phone.e164()),
            digits: Some(phone.digits().to_string()),
            chat_id: Some(chat_id(&phone)),
            ..Parsed::default()
        };
        if let Some(place) = phone.place() {
            parsed.valid = place.is_valid;
            parsed.country_code = Some(place.country_code.to_string());
            parsed.regions = place.regions.iter().map(|region| region.as_str().to_string()).collect();
            // Where a number without country code was read as one of the region, it is of that region.
            let own = place.regions.iter().find(|one| Some(**one) == region).or(place.regions.first());
            parsed.region = own.map(|region| region.as_str().to_string());
            parsed.national = Some(place.national);
            parsed.reason = (!place.is_valid).then(|| "is in no range that is given out".to_string());
        }
        Ok(parsed.into())
    }
}

/// From a number to its chat.
pub struct ChatId;

#[derive(Serialize, JsonSchema)]
pub struct Chat {
    /// `34612345678@c.us`
    chat_id: String,
}

impl Step for ChatId {
    type Input = ParseInput;
    type Output = Chat;
    const NAME: &'static str = "chat_id";
    const SUMMARY: &'static str = "makes the WhatsApp chat of a phone number; fails if it is none";

    fn run(input: ParseInput, _: &Context) -> Result<Exit<Chat>, Error> {
        let text = input.phone.text();
        let phone = read(&text, region(input.region.as_deref())?)
            .map_err(|reason| Error::permanent("bad_phone", format!("`{text}` {reason}")))?;
        Ok(Chat { chat_id: chat_id(&phone) }.into())
    }
}

/// Characters of an entry that an answer repeats: with 5,000 entries it is less than the 1 MiB that an output may be.
const SHOWN: usize = 60;

/// Splits a list.
pub struct CleanList;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListInput {
    /// Numbers as people wrote them, at most 5,000.
    #[schemars(length(max = 5_000))]
    phones: Vec<Spelling>,
    /// Where a number without country code is: the two letters of the country, such as ES.
    #[serde(default)]
    region: Option<String>,
    /// Whether a number must be in a range that is given out, too. Ranges change: a new number may not be.
    #[serde(default)]
    strict: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct Cleaned {
    /// Each number once, in the order of the list.
    valid: Vec<Valid>,
    invalid: Vec<Invalid>,
    duplicates: Vec<Duplicate>,
    counts: Counts,
}

#[derive(Serialize, JsonSchema)]
pub struct Valid {
    /// As it was written, at most 60 characters of it.
    phone: String,
    /// `+34612345678`
    e164: String,
    /// `34612345678@c.us`
    chat_id: String,
    /// Its place in the list, from 0.
    index: usize,
}

#[derive(Serialize, JsonSchema)]
pub struct Invalid {
    /// As it was written, at most 60 characters of it.
    phone: String,
    /// What is wrong with it, as the end of a sentence that begins with the number.
    reason: String,
    /// Its place in the list, from 0.
    index: usize,
}

#[derive(Serialize, JsonSchema)]
pub struct Duplicate {
    /// As it was written, at most 60 characters of it.
    phone: String,
    /// Its place in the list, from 0.
    index: usize,
    /// The place of the one that is kept.
    of: usize,
}

#[derive(Serialize, JsonSchema)]
pub struct Counts {
    total: usize,
    valid: usize,
    invalid: usize,
    duplicates: usize,
}

/// The beginning of an entry.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_string(),
    }
}

impl Step for CleanList {
    type Input = ListInput;
    type Output = Cleaned;
    const NAME: &'static str = "clean_list";
    const SUMMARY: &'static str =
        "splits a list into numbers, each once, and what is none, with reasons; port `none` if no number is left";
    const PORTS: &'static [&'static str] = &["none"];

    fn run(input: ListInput, context: &Context) -> Result<Exit<Cleaned>, Error> {
        let region = region(input.region.as_deref())?;
        let (mut valid, mut invalid, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, spelling) in input.phones.iter().enumerate() {
            let text = spelling.text();
            let phone = shown(&text);
            let read = read(&text, region).and_then(|number| {
                let is_given_out = !input.strict || number.place().is_some_and(|place| place.is_valid);
                is_given_out.then_some(number).ok_or_else(|| "is in no range that is given out".to_string())
            });
            match read {
                Err(reason) => invalid.push(Invalid { phone, reason, index }),
                Ok(number) => match seen.get(number.digits()) {
                    Some(&of) => duplicates.push(Duplicate { phone, index, of }),
                    None => {
                        seen.insert(number.digits().to_string(), index);
                        valid.push(Valid { phone, e164: number.e164(), chat_id: chat_id(&number), index });
                    }
                },
            }
        }
        let counts = Counts {
            total: input.phones.len(),
            valid: valid.len(),
            invalid: invalid.len(),
            duplicates: duplicates.len(),
        };
        info!(context, "cleaned a list"; valid = counts.valid, invalid = counts.invalid, duplicates = counts.duplicates);
        let port = if valid.is_empty() { Some("none") } else { None };
        Ok(Exit { port, output: Cleaned { valid, invalid, duplicates, counts } })
    }
}

#[cfg(test)]
mod tests {
    use moltrun_step::serde_json::Value;
    use moltrun_step::test;

    use super::*;
    use crate::Plugin;

    fn call(step: &str, input: Value) -> Result<Exit<Value>, Error> {
        test::call::<Plugin>(step, input, &Context::fake())
    }

    #[test]
    fn one_number() {
        let exit = call("parse", json!({"phone": "030 1234567", "region": "de"})).unwrap();
        let expected = json!({
            "phone": "030 1234567", "possible": true, "valid": true, "e164": "+49301234567", "digits": "49301234567",
            "chat_id": "49301234567@c.us", "country_code": "49", "region": "DE", "regions": ["DE"],
            "national": "0301234567", "reason": null,
        });
        assert_eq!(exit, Exit::ok(expected));
        // YAML reads this one as an integer.
        let exit = call("parse", json!({"phone": 4_165_550_123_u64, "region": "CA"})).unwrap();
        assert_eq!((&exit.output["e164"], &exit.output["region"]), (&json!("+14165550123"), &json!("CA")));
        let exit = call("parse", json!({"phone": "34123456789@c.us"})).unwrap();
        assert_eq!((&exit.output["possible"], &exit.output["valid"]), (&json!(true), &json!(false)));
        assert_eq!(exit.output["reason"], "is in no range that is given out");
    }

    #[test]
    fn what_is_no_number_leaves_by_its_own_port() {
        let exit = call("parse", json!({"phone": "call me"})).unwrap();
        assert_eq!(exit.port, Some("bad"));
        assert_eq!(
            (&exit.output["possible"], &exit.output["e164"], &exit.output["reason"]),
            (&json!(false), &json!(null), &json!("holds more than a phone number"))
        );
    }

    #[test]
    fn chats() {
        for (phone, chat) in [("+34 612 34 56 78", "34612345678@c.us"), ("34612345678@c.us", "34612345678@c.us")] {
            assert_eq!(call("chat_id", json!({"phone": phone})), Ok(Exit::ok(json!({"chat_id": chat}))));
        }
        let error = call("chat_id", json!({"phone": "612 34 56 78"})).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            ("bad_phone", "`612 34 56 78` is a number without its country code (no +), and no region is set")
        );
        let error = call("chat_id", json!({"phone": "1", "region": "UK"})).unwrap_err();
        assert_eq!(error.code(), "bad_region");
        assert!(error.message().ends_with("(did you mean GB?)"), "{error}");
    }

    #[test]
    fn a_list_is_split() {
        let phones = json!(["+34 612 34 56 78", "612345678", "nobody", "", 34_612_345_679_u64, "34123456789"]);
        let exit = call("clean_list", json!({"phones": phones, "region": "ES"})).unwrap();
        let output = exit.output;
        assert_eq!(output["counts"], json!({"total": 6, "valid": 3, "invalid": 2, "duplicates": 1}), "{output:#}");
        assert_eq!(
            output["valid"][1],
            json!({"phone": "34612345679", "e164": "+34612345679", "chat_id": "34612345679@c.us", "index": 4})
        );
        assert_eq!(output["duplicates"], json!([{"phone": "612345678", "index": 1, "of": 0}]));
        assert_eq!(output["invalid"][1], json!({"phone": "", "reason": "holds no number", "index": 3}));

        let strict = call("clean_list", json!({"phones": phones, "region": "ES", "strict": true})).unwrap();
        assert_eq!(strict.output["counts"]["valid"], 2);
        let none = call("clean_list", json!({"phones": ["x"]})).unwrap();
        assert_eq!((none.port, &none.output["counts"]["invalid"]), (Some("none"), &json!(1)));
    }

    #[test]
    fn the_longest_list_has_an_answer_that_is_taken() {
        let about = test::about::<Plugin>();
        let list = about.steps.iter().find(|step| step.name == "clean_list").unwrap();
        let schema: Value = moltrun_step::serde_json::from_str(&list.input_schema).unwrap();
        assert_eq!(schema["properties"]["phones"]["maxItems"], 5_000);
        let long = |text: &str| text.chars().cycle().take(200).collect::<String>();
        for (phones, region) in [
            (vec![json!(long("no number")); 5_000], json!(null)),
            (vec![json!(long("1")); 5_000], json!(null)),
            (vec![json!("612345678"); 5_000], json!(null)),
            (vec![json!(format!("+34612345678{}", " ".repeat(180))); 5_000], json!(null)),
            ((0..5_000).map(|n| json!(format!("+1 (650) 555-{n:04}"))).collect(), json!("US")),
        ] {
            let first = phones[0].clone();
            let exit = call("clean_list", json!({"phones": phones, "region": region})).unwrap();
            let bytes = exit.output.to_string().len();
            assert!(bytes <= 1 << 20, "{first}: {bytes}");
        }
        let exit = call("clean_list", json!({"phones": ["é".repeat(61)]})).unwrap();
        assert_eq!(exit.output["invalid"][0]["phone"], json!(format!("{}…", "é".repeat(60))));
    }
}
