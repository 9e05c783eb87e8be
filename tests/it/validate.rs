//! `moltrun validate`: every mistake of a file at once, each where it is, each with the name that was meant.

use std::collections::BTreeSet;

use crate::support::{Folder, Reserved, repository};

/// Each line with a mistake, and what its finding must say.
const MISTAKES: [(u64, &str); 7] = [
    (6, "description"),              // an unknown key
    (8, "cron"),                     // a bad cron
    (11, "filter"),                  // an unknown step type
    (19, "urgent"),                  // an unknown port
    (21, "answer"),                  // a reference to a step that is not upstream
    (27, "}}"),                      // a template that does not parse
    (29, "chicken → egg → chicken"), // a cycle
];

fn folder() -> Folder {
    // Checking a file talks to nobody.
    Folder::new(Reserved::new().address())
}

#[test]
fn all_seven_mistakes_of_a_file_are_found_at_once() {
    let folder = folder();
    let file = repository("tests/fixtures/seven-mistakes.yaml");
    let finished = folder.run(["validate".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]).exits(2);
    let findings = finished.json();
    let findings = findings.as_array().expect("a list");
    for (line, says) in MISTAKES {
        let here: Vec<_> = findings.iter().filter(|finding| finding["line"] == line).collect();
        assert!(!here.is_empty(), "nothing was found on line {line} ({says}): {findings:#?}");
        let text = here.iter().map(|finding| format!("{} {}", finding["message"], finding["help"])).collect::<String>();
        assert!(text.contains(says), "line {line} does not say {says}: {text}");
    }
    let lines: BTreeSet<u64> = findings.iter().filter_map(|finding| finding["line"].as_u64()).collect();
    let expected: BTreeSet<u64> = MISTAKES.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, expected, "a mistake was blamed on a line that has none: {findings:#?}");

    for finding in findings {
        let keys: BTreeSet<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        let documented =
            ["code", "severity", "message", "help", "file", "line", "column", "end_line", "end_column"].into();
        assert_eq!(keys, documented);
        let code = finding["code"].as_str().unwrap();
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(code.split('-').all(is_word), "a code is words joined by hyphens, not {code:?}");
        assert_eq!(finding["severity"], "error", "{finding}");
        assert!(finding["file"].as_str().unwrap().ends_with("seven-mistakes.yaml"), "{finding}");
        let at = |line: &str, column: &str| (finding[line].as_u64().unwrap(), finding[column].as_u64().unwrap());
        assert!(at("line", "column") < at("end_line", "end_column"), "an empty place: {finding}");
        assert!(finding["column"].as_u64() >= Some(1), "{finding}");
    }
}

#[test]
fn people_and_github_read_the_same_findings() {
    let folder = folder();
    let file = repository("tests/fixtures/seven-mistakes.yaml");

    let github = folder.run(["validate".as_ref(), "--format".as_ref(), "github".as_ref(), file.as_os_str()]).exits(2);
    let annotations: Vec<&str> = github.stdout.lines().filter(|line| line.starts_with("::")).collect();
    for (line, _) in MISTAKES {
        let annotated = annotations.iter().any(|annotation| {
            annotation.starts_with("::error ")
                && annotation.contains("seven-mistakes.yaml")
                && annotation.contains(&format!("line={line},"))
        });
        assert!(annotated, "line {line} has no annotation: {github:#?}");
    }

    let human = folder.run(["validate".as_ref(), file.as_os_str()]).exits(2);
    let shown = human.stdout + &human.stderr;
    for (line, says) in MISTAKES {
        assert!(shown.contains(says), "line {line} does not say {says}:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours although NO_COLOR is set");
}

#[test]
fn good_files_are_ok_and_broken_ones_say_where() {
    let folder = crate::examples::named(folder());
    let finished =
        folder.run(["validate".as_ref(), "--format".as_ref(), "json".as_ref(), repository("workflows").as_os_str()]);
    assert_eq!(finished.exits(0).json(), serde_json::json!([]));

    for (name, text) in [
        ("empty", ""),
        ("no-mapping", "- a\n- b\n"),
        ("no-yaml", "name: [\n"),
        ("no-steps", "name: no-steps\ntriggers: [{ manual: {} }]\n"),
        ("binary", "\u{0}\u{1}\u{2}"),
        (
            "bomb",
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
        ),
        (
            "cycle",
            "name: cycle\ntriggers: [{ manual: {} }]\nsteps:\n  - { id: a, needs: [b], uses: set, with: { x: 1 } }\n  \
                   - { id: b, needs: [a], uses: set, with: { x: 1 } }\n",
        ),
    ] {
        let file = folder.file(&format!("{name}.yaml"), text);
        let finished = folder.run(["validate".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]);
        let findings = finished.exits(2).json();
        assert!(findings.as_array().is_some_and(|findings| !findings.is_empty()), "{name}: {findings}");
    }
}
