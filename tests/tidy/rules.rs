//! The rules of the house. Each one reads files and returns findings; none of them touches the disk.

use crate::source::{self, Kind, Path, Token};

/// A file of the repository, by its path from the root with `/` between the parts.
pub struct File {
    pub path: String,
    pub text: String,
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// A layer may use those of the ranks above its own. Layers of one rank do not know each other. `src/lib.rs` and
/// `src/main.rs` stand outside: the first declares the layers, the second calls the last one.
///
/// Test code is free: a unit test may put a real store under an engine, and nothing of that ships.
const RANKS: [&[&str]; 13] = [
    &["base"],
    &["expr"],
    &["lang"],
    &["plan"],
    &["engine"],
    &["net"],
    &["moltflow"],
    &["senders"],
    &["steps", "wasm", "store", "triggers"],
    &["config"],
    &["server", "sandbox"],
    &["app"],
    &["cli"],
];

/// Lines of one Rust file. Ours are near 150; past this a file holds more than its name says.
const LINES: usize = 800;

/// The one file that may ask the machine for time and randomness, and pause.
const CLOCK: &str = "src/engine/clock.rs";

/// Parts of paths that reach for ambient time, pauses or randomness.
const AMBIENT: [&[&str]; 15] = [
    &["SystemTime", "now"],
    &["Instant", "now"],
    &["Zoned", "now"],
    &["Timestamp", "now"],
    &["Utc", "now"],
    &["Local", "now"],
    &["tokio", "time"],
    &["time", "sleep"],
    &["thread", "sleep"],
    &["thread", "park_timeout"],
    &["RandomState"],
    &["rand"],
    &["getrandom"],
    &["fastrand"],
    &["thread_rng"],
];

/// The one file that may write to stdout and stderr.
const PRINTER: &str = "src/cli/out.rs";

/// What not even a test may do: a pause makes it slow on a fast machine and wrong on a slow one.
const PAUSES: [&[&str]; 5] = [
    &["time", "sleep"],
    &["time", "sleep_until"],
    &["time", "interval"],
    &["thread", "sleep"],
    &["thread", "park_timeout"],
];

/// Words in a text that make a proof of an `expect`: "fits" proves nothing, "the slice has 16 bytes" does.
const PROOF_WORDS: usize = 3;

pub fn all(files: &[File]) -> Vec<Finding> {
    let house = House::of(files);
    let rules = [layers, lengths, ambient, pauses, panics, prints, unsafe_code, words, docs, examples];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(&house)).collect();
    findings.sort();
    findings.dedup();
    findings
}

/// The files, read once. Guest plugins are programs of their own: only the words of their files are judged.
struct House<'a> {
    files: &'a [File],
    rust: Vec<Rust<'a>>,
}

struct Rust<'a> {
    file: &'a File,
    tokens: Vec<Token>,
    /// What ships: empty for a file of tests.
    shipped: Vec<Token>,
}

impl<'a> House<'a> {
    fn of(files: &'a [File]) -> Self {
        let mut test_modules = Vec::new();
        let mut rust = Vec::new();
        let ours = |file: &&File| file.path.starts_with("src/") || file.path.starts_with("tests/");
        for file in files.iter().filter(ours).filter(|file| file.path.ends_with(".rs")) {
            let tokens = source::tokens(&file.text);
            let (shipped, modules) = source::shipped(&tokens);
            test_modules.extend(modules.into_iter().map(|module| format!("{}/{module}", children(&file.path))));
            rust.push(Rust { file, tokens, shipped });
        }
        for Rust { file, shipped, .. } in &mut rust {
            let of_a_test_module = test_modules.iter().any(|module| {
                file.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            });
            if of_a_test_module || !file.path.starts_with("src/") {
                shipped.clear();
            }
        }
        Self { files, rust }
    }
}

/// The folder in which the modules that a file declares live.
fn children(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    ["/mod", "/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem)
}

fn finding(file: &File, line: usize, what: String, advice: &'static str) -> Finding {
    Finding { file: file.path.clone(), line, what, advice }
}

fn rank(layer: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&layer))
}

fn layers(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Rust { file, shipped, .. } in &house.rust {
        let Some(module) = children(&file.path).strip_prefix("src/") else { continue };
        let modules: Vec<&str> = module.split('/').collect();
        let layer = modules[0];
        let Some(own) = rank(layer) else {
            if layer != "main" {
                let advice = "give it a rank in tests/tidy/rules.rs, or move it into a layer";
                findings.push(finding(file, 1, format!("`{layer}` is no layer"), advice));
            }
            continue;
        };
        for path in source::paths(shipped) {
            let Some(used) = from_root(&path, modules.len()) else { continue };
            if used == layer {
                continue;
            }
            match rank(used) {
                Some(rank) if rank < own => {}
                Some(_) => {
                    let advice = "move what both need to a layer before both, or take it as an argument or a trait";
                    findings.push(finding(file, path.line, format!("`{layer}` may not use `{used}`"), advice));
                }
                None => {
                    let advice = "name the layer it comes from; the root of the crate re-exports nothing";
                    findings.push(finding(file, path.line, format!("`crate::{used}` names no layer"), advice));
                }
            }
        }
    }
    findings
}

/// The part after the root of the crate, for a path that goes there: by `crate::`, or by as many `super::` as the file is deep.
fn from_root(path: &Path, depth: usize) -> Option<&str> {
    let up = path.parts.iter().take_while(|part| *part == "super").count();
    let start = match path.parts[0].as_str() {
        "crate" => 1,
        "super" if up == depth => up,
        _ => return None,
    };
    let used = path.parts.get(start)?;
    // A macro of the crate stands at its root, wherever it is written.
    (!(path.bang && path.parts.len() == start + 1) && used != "self").then_some(used)
}

fn lengths(house: &House) -> Vec<Finding> {
    let advice = "split it by what its parts are for";
    let long = house.rust.iter().filter_map(|rust| {
        let lines = rust.file.text.lines().count();
        (lines > LINES).then(|| finding(rust.file, LINES + 1, format!("{lines} lines, more than {LINES}"), advice))
    });
    long.collect()
}

fn ambient(house: &House) -> Vec<Finding> {
    let advice = "take an `Arc<dyn Clock>`; only src/engine/clock.rs may ask the machine";
    let shipping = house.rust.iter().filter(|rust| rust.file.path != CLOCK);
    shipping.flat_map(|rust| reaching(rust.file, &rust.shipped, &AMBIENT, advice)).collect()
}

fn pauses(house: &House) -> Vec<Finding> {
    let advice = "wait for a signal (a channel, a watch, a line on a pipe) under one generous timeout";
    let files = house.rust.iter().filter(|rust| rust.file.path != CLOCK);
    files.flat_map(|rust| reaching(rust.file, &rust.tokens, &PAUSES, advice)).collect()
}

/// Paths that hold one of `banned`, part after part.
fn reaching(file: &File, tokens: &[Token], banned: &[&[&str]], advice: &'static str) -> Vec<Finding> {
    let holds = |path: &Path, ban: &[&str]| path.parts.windows(ban.len()).any(|parts| parts == ban);
    source::paths(tokens)
        .iter()
        .filter(|path| banned.iter().any(|ban| holds(path, ban)))
        .map(|path| finding(file, path.line, format!("`{}` is ambient", path.parts.join("::")), advice))
        .collect()
}

fn panics(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Rust { file, shipped, .. } in &house.rust {
        for (index, token) in shipped.iter().enumerate() {
            let Kind::Word(word) = &token.kind else { continue };
            let before = index.checked_sub(1).map(|before| &shipped[before].kind);
            let after: Vec<&Kind> = shipped[index + 1..].iter().take(3).map(|token| &token.kind).collect();
            let method = before == Some(&Kind::Sign('.')) && after.first() == Some(&&Kind::Sign('('));
            let is_macro = after.first() == Some(&&Kind::Sign('!')) && after.get(1) != Some(&&Kind::Sign('='));
            let proven = |text: Option<&&Kind>| match text {
                Some(Kind::Text(text)) => text.split_whitespace().count() >= PROOF_WORDS,
                _ => false,
            };
            let advice = match word.as_str() {
                "unwrap" | "unwrap_err" if method => "return an error, or `expect` with the proof that it cannot fail",
                "expect" | "expect_err" if method && !proven(after.get(1)) => {
                    "say in the message, as a literal, why it cannot fail"
                }
                "unreachable" if is_macro && !proven(after.get(2)) => "say in the message why it cannot be reached",
                "panic" if is_macro => "return an error: bad input never panics",
                "todo" | "unimplemented" | "dbg" if is_macro => {
                    "finish it; what is not needed yet is absent, not faked"
                }
                _ => continue,
            };
            findings.push(finding(file, token.line, format!("`{word}` in code that ships"), advice));
        }
    }
    findings
}

/// The macros of `std` panic where nobody reads what they print, in the middle of whatever is at work.
fn prints(house: &House) -> Vec<Finding> {
    let advice = "print by src/cli/out.rs, or log it";
    let mut findings = Vec::new();
    for Rust { file, shipped, .. } in house.rust.iter().filter(|rust| rust.file.path != PRINTER) {
        for pair in shipped.windows(2) {
            let [Token { kind: Kind::Word(word), line }, Token { kind: Kind::Sign('!'), .. }] = pair else { continue };
            if ["print", "println", "eprint", "eprintln"].contains(&word.as_str()) {
                findings.push(finding(file, *line, format!("`{word}!` outside {PRINTER}"), advice));
            }
        }
    }
    findings
}

fn unsafe_code(house: &House) -> Vec<Finding> {
    let advice = "only src/wasm/ has a reason for it: reading back the compiled code that this program wrote";
    let mut findings = Vec::new();
    for rust in house.rust.iter().filter(|rust| !rust.file.path.starts_with("src/wasm/")) {
        let is_unsafe = |token: &&Token| token.kind == Kind::Word("unsafe".to_string());
        for token in rust.shipped.iter().filter(is_unsafe) {
            findings.push(finding(rust.file, token.line, "`unsafe` outside its one corner".to_string(), advice));
        }
    }
    findings
}

/// Words that say that something is not done, or that tell of one machine. Put together here, so that this file holds none.
fn words(house: &House) -> Vec<Finding> {
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut findings = Vec::new();
    for file in house.files {
        for (number, line) in file.text.lines().enumerate() {
            for word in unfinished.iter().filter(|word| line.contains(**word)) {
                findings.push(finding(
                    file,
                    number + 1,
                    format!("`{word}`"),
                    "do it now, or describe the limit plainly",
                ));
            }
            for path in machine.iter().filter(|path| line.contains(**path)) {
                let advice = "say it without a path of one machine";
                findings.push(finding(file, number + 1, format!("`{path}`"), advice));
            }
        }
    }
    findings
}

fn docs(house: &House) -> Vec<Finding> {
    let advice = "begin the file with `//!`: what it is for, and what it leaves to others";
    let without = house.rust.iter().filter(|rust| {
        let mut lines =
            rust.file.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("#!["));
        !lines.next().is_some_and(|line| line.starts_with("//!"))
    });
    without.map(|rust| finding(rust.file, 1, "no module docs".to_string(), advice)).collect()
}

fn examples(house: &House) -> Vec<Finding> {
    let tests: Vec<&str> = house
        .rust
        .iter()
        .map(|rust| rust.file)
        .filter(|file| file.path.starts_with("tests/"))
        .map(|file| &*file.text)
        .collect();
    let examples = house.files.iter().filter_map(|file| Some((file, file.path.strip_prefix("workflows/")?)));
    let advice = "an example is also a test: run it in tests/it/examples.rs";
    let untested = examples.filter(|(_, name)| !tests.iter().any(|test| test.contains(name)));
    untested.map(|(file, name)| finding(file, 1, format!("no test names `{name}`"), advice)).collect()
}
