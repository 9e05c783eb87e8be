//! `moltrun demo`: the first thing anyone runs. It needs nothing: no account, no configuration, no file.

use std::process::{Command, Stdio};

use crate::support::folder::finish;

#[test]
fn the_demo_shows_what_came_in_what_each_step_did_and_what_was_sent() {
    let nowhere = tempfile::TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_moltrun"));
    command.arg("demo").current_dir(nowhere.path()).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let demo = finish(&mut command).exits(0);
    let shown = &demo.stdout;

    for workflow in ["support-reply", "group-alert", "weekly-broadcast"] {
        assert!(shown.contains(workflow), "{workflow} did not run:\n{shown}");
    }
    let took = regex::Regex::new(r"\b\d+(\.\d+)? ?(µs|ms|s)\b").unwrap();
    for (step, port) in [
        ("question", "ok"),
        ("question", "rejected"),
        ("intent", "ok"),
        ("route", "urgent"),
        ("route", "else"),
        ("page", "ok"),
        ("answer", "ok"),
        ("reply", "ok"),
        ("message", "ok"),
    ] {
        let words = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == step);
        let exits = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == port);
        let line = shown.lines().find(|line| words(line) && exits(line) && took.is_match(line));
        assert!(line.is_some(), "no line shows step {step}, port {port} and how long it took:\n{shown}");
    }
    // What customers wrote, and what they and the person on call received.
    assert!(shown.matches("@c.us").count() >= 2 && shown.contains('?'), "{shown}");
    assert!(shown.contains("Urgent from "), "the page to the person on call is not shown:\n{shown}");
    assert!(!shown.contains('\u{1b}'), "colours although NO_COLOR is set:\n{shown}");

    let left: Vec<_> = std::fs::read_dir(nowhere.path()).unwrap().collect();
    assert!(left.is_empty(), "the demo left files behind: {left:?}");
}
