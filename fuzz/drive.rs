//! What both the fuzzer and the crate's own tests do with any bytes at all: what a component may answer, and a schema with a
//! value. A panic is a finding; so is what the assertions below refuse.

use moltrun::base::{Effect, Json};
use moltrun::lang::schema::access::{Access, follow};
use moltrun::lang::schema::holed::Holed;
use moltrun::lang::schema::{Schema, misfits};
use moltrun::wasm::answers::{self, Says};

/// Mistakes that are asked for.
const MOST: usize = 20;

/// Longest text that a person is shown, in bytes.
const SHOWN: usize = 5_000;

/// The parts of an input: between lines of `---`.
fn parts(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).split("\n---\n").map(str::to_string).collect()
}

/// A component's answers: name, summary, ports (one a line), input schema, output schema, the data of an output, its port,
/// the code of a failure, its message, its details. A part that is not there is an empty text, an optional one none.
pub fn answers(bytes: &[u8]) {
    let parts = parts(bytes);
    let text = |index: usize| parts.get(index).cloned().unwrap_or_default();
    let maybe = |index: usize| parts.get(index).filter(|part| !part.is_empty()).map(String::as_str);
    let says = Says {
        name: text(0),
        summary: text(1),
        effect: Effect::Pure,
        ports: text(2).lines().map(str::to_string).collect(),
        input_schema: text(3),
        output_schema: text(4),
    };
    // The same step twice is refused, whatever it is.
    assert!(answers::steps(vec![says.clone(), says.clone()]).is_err());
    match answers::steps(vec![says]) {
        Err(reason) => is_one_line(&reason),
        Ok(steps) => {
            let step = &steps[0];
            is_one_line(&step.summary);
            assert!(step.name.len() <= 64 && step.ports.first().is_some_and(|port| port == "ok"));
            match answers::output(&step.output, &step.ports, &text(5), maybe(6)) {
                Ok((port, data)) => {
                    assert!(step.ports.contains(&port));
                    assert_eq!(step.output.check(&data), Ok(()));
                }
                Err(cause) => is_one_line(&cause.text),
            }
            if let Ok(with) = serde_json::from_str::<Json>(&text(5)) {
                held_against(&step.input, &with);
            }
        }
    }
    match answers::failure("crm", &text(7), &text(8), maybe(9)) {
        Ok(failure) => {
            is_one_line(&failure.message);
            assert!(failure.code.starts_with("plugin.crm.") && failure.code.len() <= 80);
        }
        Err(cause) => is_one_line(&cause.text),
    }
}

/// A schema, and a value of it.
pub fn schema(bytes: &[u8]) {
    let parts = parts(bytes);
    let (schema, value) = (parts.first().map_or("", String::as_str), parts.get(1).map_or("null", String::as_str));
    match Schema::parse(schema) {
        Err(reason) => is_one_line(&reason),
        Ok(schema) => {
            if let Ok(value) = serde_json::from_str::<Json>(value) {
                held_against(&schema, &value);
            }
        }
    }
}

/// What is known of a value before and after its templates are rendered goes together.
fn held_against(schema: &Schema, value: &Json) {
    let valid = schema.check(value);
    if let Err(reason) = &valid {
        is_one_line(reason);
    }
    schema.misfits(value, MOST, false).iter().for_each(|one| is_one_line(one));
    let holed = Holed::of(value);
    let found = misfits(&schema.json, &holed, MOST);
    assert!(found.len() <= MOST);
    if holed.constant.is_some() {
        assert_eq!(valid.is_ok(), found.is_empty(), "{} {value} {found:?}", schema.json);
    }
    if valid.is_ok() {
        // Any part of it may come from a template.
        for index in 0..nodes(value).min(64) {
            let mut value = value.clone();
            replace(&mut value, &mut { index });
            let found = misfits(&schema.json, &Holed::of(&value), MOST);
            assert!(found.is_empty(), "{} {value} {found:?}", schema.json);
        }
    }
    ways(value, &mut Vec::new(), &mut |way| {
        // What is there may be asked for; a schema that only fails to list it has other things to say.
        let _ = follow(&schema.json, way);
    });
}

fn nodes(value: &Json) -> usize {
    1 + match value {
        Json::Array(items) => items.iter().map(nodes).sum(),
        Json::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Puts a template in the place of the node of this number.
fn replace(value: &mut Json, left: &mut usize) {
    if *left == 0 {
        *value = Json::String("{{ event.x }}".to_string());
    }
    *left = left.wrapping_sub(1);
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, left)),
        Json::Object(map) => map.values_mut().for_each(|item| replace(item, left)),
        _ => {}
    }
}

/// The way to each of the first parts of a value.
fn ways<'v>(value: &'v Json, way: &mut Vec<Access<'v>>, visit: &mut dyn FnMut(&[Access<'_>])) {
    visit(way);
    let parts: Vec<(Access<'v>, &'v Json)> = match value {
        Json::Array(items) => items.iter().enumerate().map(|(index, item)| (Access::Index(index), item)).collect(),
        Json::Object(map) => map.iter().map(|(name, item)| (Access::Name(name), item)).collect(),
        _ => Vec::new(),
    };
    for (access, part) in parts.into_iter().take(8) {
        way.push(access);
        ways(part, way, visit);
        way.pop();
    }
}

/// Fit for a log and a terminal.
fn is_one_line(text: &str) {
    assert!(text.len() <= SHOWN, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
