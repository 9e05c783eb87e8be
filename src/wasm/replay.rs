//! The fuzzer's corpus, and some thousands of inputs made of it, through what the fuzzer drives (`fuzz/`): the same every
//! time, and without its compiler.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/drive.rs"]
mod drive;

/// Inputs of each kind.
const INPUTS: usize = 4_000;

/// What a change puts in.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n---\n",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e308",
    "{}",
    "[]",
    "\"a\"",
    "{{ event.x }}",
    "a {{ event.x }}",
    "\"type\":",
    "\"object\"",
    "\"array\"",
    "\"string\"",
    "\"integer\"",
    "\"enum\":",
    "\"const\":",
    "\"required\":",
    "\"properties\":",
    "\"additionalProperties\":",
    "\"patternProperties\":",
    "\"propertyNames\":",
    "\"items\":",
    "\"prefixItems\":",
    "\"contains\":",
    "\"anyOf\":",
    "\"oneOf\":",
    "\"allOf\":",
    "\"not\":",
    "\"if\":",
    "\"then\":",
    "\"else\":",
    "\"$ref\":",
    "\"#\"",
    "\"#/$defs/a\"",
    "\"$defs\":",
    "\"minimum\":",
    "\"pattern\":",
    "\"(\"",
    "\"unevaluatedProperties\":",
    "\"unevaluatedItems\":",
    "\"dependentSchemas\":",
    "\"dependentRequired\":",
    "\"uniqueItems\":",
    "\u{1b}[31m",
    "é",
    "\u{0}",
    "\\ud800",
    "text",
    "ok",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // An odd multiplier and an odd step: full period, and its high bits are good enough to choose by.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end.max(1)
    }
}

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 4, "the corpus of {kind} is not there");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn changed(from: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut input = from.to_vec();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let cut = dice.below(12).min(input.len() - at);
        let part = match dice.below(3) {
            0 => WORDS[dice.below(WORDS.len())].as_bytes(),
            1 => {
                let start = dice.below(other.len() + 1);
                &other[start..(start + dice.below(40)).min(other.len())]
            }
            _ => &[],
        };
        input.splice(at..at + cut, part.iter().copied());
    }
    input
}

fn replay(kind: &str, drive: fn(&[u8])) {
    let corpus = corpus(kind);
    corpus.iter().for_each(|input| drive(input));
    let mut dice = Dice(1);
    for _ in 0..INPUTS {
        let (one, other) = (dice.below(corpus.len()), dice.below(corpus.len()));
        drive(&changed(&corpus[one], &corpus[other], &mut dice));
    }
}

#[test]
fn any_answer_is_survived() {
    replay("answers", drive::answers);
}

#[test]
fn any_schema_is_survived() {
    replay("schema", drive::schema);
}
