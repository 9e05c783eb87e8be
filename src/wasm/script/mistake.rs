//! What a script did wrong, as the failure of its step: in the words of JavaScript, at the line of the file.

use serde_json::json;

use super::bindings::exports::moltrun::script::engine::{Frame, Kind, ScriptError};
use crate::base::Json;
use crate::engine::ports::Failure;
use crate::lang::CodePlace;
use crate::lang::catalog::ScriptMistake;
use crate::wasm::text::clean;

/// An error's message in a failure, in bytes: what people read at once.
const MESSAGE: usize = 2048;

/// Names that scripts miss, and what to do instead.
const ABSENT: &[(&[&str], &str)] = &[
    (&["fetch", "XMLHttpRequest", "WebSocket"], "a script has no network: use an `http` step"),
    (&["require", "module", "exports"], "a script has no modules: its code is all there is"),
    (&["process", "Deno", "Bun"], "a script sees no system: pass what it needs by `input` or `vars`"),
    (
        &["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Promise"],
        "a script ends when it returns: nothing happens later; pauses are `wait` steps",
    ),
    (&["eval"], "a script is the code that was checked and no other"),
    (&["structuredClone"], "`JSON.parse(JSON.stringify(value))` copies what JSON can hold"),
    (&["Buffer"], "a script has `Uint8Array`, `btoa` and `atob`"),
    (&["crypto"], "a script is to give the same result when it is repeated: `Math.random()` does"),
    (&["Intl"], "a script knows no languages and time zones"),
    (&["window", "document", "localStorage"], "a script is in no browser"),
];

/// Ends of lines to JavaScript outside of texts and comments, and to nobody else: where there are some, its lines may not
/// be the file's.
const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// A mistake that the checker reports; the engine has not run the code.
pub(super) fn of_syntax(code: &str, error: &ScriptError) -> ScriptMistake {
    let at = error.frames.first().map(|frame| offset(code, frame));
    ScriptMistake { message: syntax(error), at }
}

fn syntax(error: &ScriptError) -> String {
    let message = clean(&error.message, MESSAGE);
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => message,
    }
}

/// The failure of a script whose code stands at `place` of its file, if that is known.
pub(super) fn failure(error: &ScriptError, code: &str, place: Option<CodePlace>) -> Failure {
    let (word, text) = match error.kind {
        Kind::Syntax => ("script.syntax", format!("this is no JavaScript: {}", syntax(error))),
        Kind::BadOutput => ("script.bad_output", clean(&error.message, MESSAGE)),
        Kind::TooLarge => ("script.too_large", clean(&error.message, MESSAGE)),
        Kind::Memory => ("script.memory", "the script wanted more memory than it may have".to_string()),
        Kind::Thrown if error.name.is_empty() => {
            ("script.error", format!("the script threw {}", clean(&error.message, MESSAGE)))
        }
        Kind::Thrown => {
            let name = clean(&error.name, 64);
            let message = clean(&error.message, MESSAGE);
            ("script.error", if message.is_empty() { name } else { format!("{name}: {message}") })
        }
    };
    let place = place.filter(|_| !code.contains(SEPARATORS));
    let frames: Vec<Shown> = error.frames.iter().map(|frame| Shown::of(frame, code, place)).collect();
    let at = frames.first().map(|frame| match place {
        Some(_) => format!(" at {}:{}", frame.line, frame.column),
        None => format!(" at line {}, column {} of its code", frame.line, frame.column),
    });
    let help = absent(error).map(|help| format!(" ({help})"));
    let failure = Failure::new(word, format!("{text}{}{}", at.unwrap_or_default(), help.unwrap_or_default()));
    if error.kind != Kind::Thrown {
        return failure;
    }
    failure.with_details(json!({
        "name": clean(&error.name, 64),
        "message": clean(&error.message, MESSAGE),
        "lines_of": if place.is_some() { "file" } else { "code" },
        "stack": frames.iter().map(Shown::to_json).collect::<Vec<_>>(),
    }))
}

fn absent(error: &ScriptError) -> Option<&'static str> {
    if error.name != "ReferenceError" {
        return None;
    }
    let name = error.message.strip_suffix(" is not defined")?;
    ABSENT.iter().find(|(names, _)| names.contains(&name)).map(|(_, help)| *help)
}

/// A place as people count: from 1, in characters.
struct Shown {
    function: String,
    line: u32,
    column: u32,
}

impl Shown {
    fn of(frame: &Frame, code: &str, place: Option<CodePlace>) -> Self {
        // What the script made of the engine's stack is its own affair; it names no line that is not there.
        let lines = || code.split_terminator(['\n', SEPARATORS[0], SEPARATORS[1]]);
        let line = frame.line.clamp(1, u32::try_from(lines().count()).unwrap_or(u32::MAX).max(1));
        let text = lines().nth(line as usize - 1).unwrap_or_default();
        let byte = text.floor_char_boundary((frame.column as usize).saturating_sub(1));
        let column = u32::try_from(text[..byte].chars().count()).unwrap_or(0) + 1;
        let (line, column) = place.map_or((line, column), |place| place.in_file(line, column));
        Self { function: clean(&frame.function, 64), line, column }
    }

    fn to_json(&self) -> Json {
        json!({"function": self.function, "line": self.line, "column": self.column})
    }
}

/// The byte of `code` that a frame names; the end, where the code has no such line.
fn offset(code: &str, frame: &Frame) -> usize {
    let line = (frame.line as usize).saturating_sub(1);
    let start = match line.checked_sub(1) {
        None => 0,
        Some(earlier) => match code.match_indices('\n').nth(earlier) {
            Some((at, _)) => at + 1,
            None => return code.len(),
        },
    };
    code.floor_char_boundary(start + (frame.column as usize).saturating_sub(1))
}
