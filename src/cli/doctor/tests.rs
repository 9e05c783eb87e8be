//! What is said of what was found; the rest is tried with the real program.

use std::collections::BTreeSet;

use serde_json::json;

use super::check::{Check, Verdict};
use super::moltflow::{session_check, skew};
use super::*;
use crate::moltflow::Session;

fn sessions() -> Vec<Session> {
    let list = json!([
        {"id": 1, "name": "support-team", "status": "working"},
        {"id": 2, "name": "sales-bot", "status": "qr_code"},
        {"id": 3, "name": "old", "status": "failed"},
    ]);
    serde_json::from_value(list).unwrap()
}

#[test]
fn sessions_that_are_named_are_there_and_work() {
    let users = BTreeSet::from(["workflow `reply`".to_string()]);
    let of = |name: &str| session_check(name, &users, &sessions());
    assert_eq!(of("support-team").verdict, Verdict::Ok);
    assert_eq!((of("sales-bot").verdict, of("old").verdict), (Verdict::Warning, Verdict::Warning));
    let lost = of("suport-team");
    assert_eq!((lost.verdict, lost.help.as_deref()), (Verdict::Problem, Some("did you mean `support-team`?")));
    assert!(lost.detail.contains("workflow `reply`"), "{}", lost.detail);
}

#[test]
fn a_clock_may_be_wrong_by_a_minute() {
    for (ahead, verdict, word) in [
        (0, Verdict::Ok, ""),
        (60_000, Verdict::Ok, ""),
        (-60_000, Verdict::Ok, ""),
        (61_500, Verdict::Warning, "ahead of"),
        (-3_600_000, Verdict::Warning, "1 h 0 min behind"),
    ] {
        let check = skew(ahead);
        assert!(check.verdict == verdict && check.detail.contains(word), "{ahead}: {check:?}");
    }
}

#[test]
fn what_is_wrong_counts_more_than_what_is_away() {
    let (ok, warning) = (Check::ok("a", ""), Check::warning("a", "", ""));
    let (away, wrong) = (Check::unreachable("a", "", ""), Check::problem("a", "", ""));
    assert_eq!(exit(&[ok.clone(), warning.clone()]), Exit::Ok);
    assert_eq!(exit(&[ok.clone(), away.clone(), warning]), Exit::Unreachable);
    assert_eq!(exit(&[away, wrong, ok]), Exit::Failed);
}
