//! The two nights of a year on which the clocks of Madrid change: each instant once.

use std::collections::BTreeMap;

use super::*;
use crate::base::time::rfc3339;
use crate::triggers::schedule::board::Board;

/// When runs start, minute by minute through the night, with a restart at each minute if asked for.
fn night(pattern: &str, from: &str, restarts: bool) -> Vec<String> {
    let plan = scheduled(&format!("cron: '{pattern}', timezone: Europe/Madrid"));
    let (mut now, end) = (at(from), at(from) + 8 * HOUR);
    let mut cursors = BTreeMap::new();
    let mut board = Board::default();
    board.keep([&plan], &cursors, now);
    let mut started = Vec::new();
    while now <= end {
        board.pass(now, usize::MAX);
        for start in board.batch(usize::MAX) {
            assert_eq!((start.due.at, start.due.missed), (now, false));
            started.push(rfc3339(now));
            board.settle(&start, true);
        }
        if restarts {
            cursors.extend(board.take_unsaved(usize::MAX));
            board = Board::default();
            board.keep([&plan], &cursors, now);
        }
        now += MINUTE;
    }
    started
}

#[test]
fn each_instant_of_both_nights_starts_once() {
    // 2026-03-29: 02:00 becomes 03:00, at 01:00Z.
    let forward = "2026-03-28T22:00:00Z";
    // 2026-10-25: 03:00 becomes 02:00, at 01:00Z.
    let back = "2026-10-24T22:00:00Z";
    for (pattern, from, expected) in [
        // A time in the gap starts right after it.
        ("30 2 * * *", forward, vec!["2026-03-29T01:00:00Z"]),
        // Several times in the gap are one instant, which is also 03:00.
        ("*/20 2 * * *", forward, vec!["2026-03-29T01:00:00Z"]),
        ("30 2,3 * * *", forward, vec!["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]),
        // Elapsed time goes on.
        (
            "0 * * * *",
            "2026-03-28T23:30:00Z",
            (0..8)
                .map(|hour| {
                    [
                        "2026-03-29T00:00:00Z",
                        "2026-03-29T01:00:00Z",
                        "2026-03-29T02:00:00Z",
                        "2026-03-29T03:00:00Z",
                        "2026-03-29T04:00:00Z",
                        "2026-03-29T05:00:00Z",
                        "2026-03-29T06:00:00Z",
                        "2026-03-29T07:00:00Z",
                    ][hour]
                })
                .collect(),
        ),
        // A time that is there twice starts the first time.
        ("30 2 * * *", back, vec!["2026-10-25T00:30:00Z"]),
        (
            "0,30 2,3 * * *",
            back,
            vec!["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"],
        ),
        // Elapsed time goes on here too, so a repeated hour starts twice.
        (
            "30 * * * *",
            "2026-10-24T23:59:00Z",
            vec![
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:30:00Z",
                "2026-10-25T03:30:00Z",
                "2026-10-25T04:30:00Z",
                "2026-10-25T05:30:00Z",
                "2026-10-25T06:30:00Z",
                "2026-10-25T07:30:00Z",
            ],
        ),
    ] {
        for restarts in [false, true] {
            assert_eq!(night(pattern, from, restarts), expected, "{pattern}, restarts: {restarts}");
        }
    }
}
