//! `for_each`: order, concurrency, held items, stop and continue, counts.

use serde_json::json;

use super::script::{Play, table};
use crate::engine::decide::{Command, Input};
use crate::engine::event::{Place, RunStatus};

const ONE: &str = "
  - {id: a, uses: t.send, for_each: {in: '[]'}}
  - {id: b, uses: t.pure}";
const TWO: &str = "
  - {id: a, uses: t.read, retry: {attempts: 2, initial: 10ms, jitter: false}, for_each: {in: '[]', concurrency: 2}}
  - {id: b, uses: t.pure}";
const STOP: &str = "
  - {id: a, uses: t.read, for_each: {in: '[]', concurrency: 2, on_item_error: stop}}
  - {id: b, uses: t.pure, needs: [a.error]}";

#[test]
fn items_run_in_order_as_many_at_once_as_asked() {
    table(&[
        (ONE, "", "a=run1 b=- running"),
        (ONE, "a=3", "a=1/3[0:run1] b=- running"),
        (ONE, "a=3 a[0]", "a=2/3[1:run1] b=- running"),
        (ONE, "a=3 a[0] a[1] a[2]", "a=ok b=run1 running"),
        (TWO, "a=3", "a=2/3[0:run1,1:run1] b=- running"),
        (TWO, "a=3 a[1]", "a=3/3[0:run1,2:run1] b=- running"),
        (TWO, "a=3 a[1] a[2] a[0] b", "a=ok b=ok succeeded"),
        (TWO, "a=1", "a=1/1[0:run1] b=- running"),
        (TWO, "a=3 xa[2] xa[9] xa xa=3 xb a[0] xa[0]", "a=3/3[1:run1,2:run1] b=- running"),
    ]);
}

#[test]
fn no_items_is_done_at_once() {
    table(&[(ONE, "a=0", "a=ok b=run1 running"), (STOP, "a=0", "a=ok b=skipped:not_reached succeeded")]);
    let mut play = Play::begin(ONE);
    play.play("a=0");
    assert_eq!(play.output("a")["total"], 0);
}

#[test]
fn a_condition_or_a_bad_list_settles_the_whole_step() {
    table(&[
        (ONE, "a/", "a=skipped:condition b=skipped:not_reached succeeded"),
        (ONE, "a!", "a=failed b=skipped:not_reached failed"),
        (ONE, "crash", "a=run1 b=- running"),
    ]);
}

#[test]
fn an_item_that_waits_keeps_its_place() {
    table(&[
        (TWO, "a=3 a[0]~", "a=2/3[0:wait1+10,1:run1] b=- running"),
        (TWO, "a=3 a[0]~ a[1]", "a=3/3[0:wait1+10,2:run1] b=- running"),
        (TWO, "a=3 a[0]~ a[1]~", "a=2/3[0:wait1+10,1:wait1+10] b=- waiting"),
        (TWO, "a=3 a[0]~ a[1]~ +10", "a=2/3[0:run2,1:run2] b=- running"),
        (TWO, "a=2 a[0]~ a[1]@5 +10 a[0]~", "a=ok b=run1 running"),
        (TWO, "a=3 a[0]^70 a[1]", "a=3/3[0:wait1+70,2:run1] b=- running"),
    ]);
}

#[test]
fn held_items_let_the_others_go_on() {
    table(&[
        (ONE, "a=3 a[0]?", "a=2/3[0:held1,1:run1] b=- running"),
        (ONE, "a=3 a[0]? a[1] a[2]", "a=3/3[0:held1] b=- attention"),
        (ONE, "a=3 a[0]? a[1]? a[2]?", "a=3/3[0:held1,1:held1,2:held1] b=- attention"),
        (ONE, "a=2 a[0]? a[1] a[0]:sent", "a=ok b=run1 running"),
        (ONE, "a=2 a[0]? a[0]:not", "a=2/2[0:run2,1:run1] b=- running"),
        (ONE, "a=2 a[0]? a[1]? a[0]:skip xa[0]:skip xa:sent a[1]:skip b", "a=ok b=ok succeeded"),
    ]);
    let mut play = Play::begin(ONE);
    play.play("a=4 a[0]? a[1] a[2]! a[3]? a[0]:sent a[3]:skip");
    let output = play.output("a");
    assert_eq!(output["collected"], json!([]));
    assert_eq!((&output["total"], &output["succeeded"], &output["failed"]), (&json!(4), &json!(2), &json!(1)));
    assert_eq!((&output["skipped"], &output["unknown"]), (&json!(1), &json!(0)));
    assert_eq!(output["failures"], json!([{"item": 2, "code": "t.failed", "message": "it failed"}]));
}

#[test]
fn a_person_has_a_bounded_number_of_items_to_look_at() {
    let mut play = Play::begin(ONE);
    play.play("a=2000");
    for item in 0..crate::base::limits::FOR_EACH_HELD {
        play.play(&format!("a[{item}]?"));
    }
    assert_eq!(play.state.status(), RunStatus::Attention, "no further item starts");
    play.play("a[0]:skip");
    assert_eq!(play.state.status(), RunStatus::Running, "one that is resolved makes room for the next");
}

#[test]
fn unknown_items_are_counted_where_they_are_let_go() {
    let skip = "
  - {id: a, uses: t.send, on_unknown: skip, for_each: {in: '[]', concurrency: 2}}";
    let mut play = Play::begin(skip);
    play.play("a=4 a[0]? a[1]/ a[2] crash");
    assert_eq!(play.picture(), "a=ok succeeded");
    let output = play.output("a");
    assert_eq!((&output["succeeded"], &output["skipped"], &output["unknown"]), (&json!(1), &json!(1), &json!(2)));
}

#[test]
fn a_failed_item_stops_the_rest_or_not() {
    table(&[
        (TWO, "a=3 a[0]! a[1]! a[2]", "a=ok b=run1 running"),
        (TWO, "a=3 a[0]! a[1]! a[2]!", "a=failed b=skipped:not_reached failed"),
        (STOP, "a=9 a[0]!", "a=9/9[1:run1] b=- running"),
        (STOP, "a=9 a[0]! a[1]", "a=failed b=run1 running"),
        (STOP, "a=9 a[0]! a[1]! b", "a=failed b=ok succeeded"),
        (STOP, "a=2 a[0] a[1]!", "a=failed b=run1 running"),
        (STOP, "a=3 a[0]! crash", "a=3/3[1:run1] b=- running"),
        (STOP, "a=3 a[0] a[1] a[2]", "a=ok b=skipped:not_reached succeeded"),
    ]);
    let mut play = Play::begin(STOP);
    play.play("a=9 a[1]!");
    let before = play.journal.len();
    play.play("a[0]");
    assert!(play.journal.len() <= before + 4, "one event skips the rest, however many");
}

#[test]
fn a_crash_takes_up_every_item_where_it_was() {
    table(&[
        (TWO, "a=4 a[0] crash", "a=3/4[1:run1,2:run1] b=- running"),
        (TWO, "a=4 a[0]~ crash", "a=2/4[0:wait1+10,1:run1] b=- running"),
        (ONE, "a=3 crash", "a=2/3[0:held1,1:run1] b=- running"),
        (ONE, "a=3 crash crash crash", "a=3/3[0:held1,1:held1,2:held1] b=- attention"),
        (ONE, "a=2 a[0] a[1] crash b", "a=ok b=ok succeeded"),
    ]);
}

const COLLECTS: &str = "
  - {id: a, uses: t.send, for_each: {in: '[]', collect: output, concurrency: 2}}";

#[test]
fn what_an_item_leaves_is_asked_for_when_it_is_done() {
    table(&[
        (COLLECTS, "a=3 a[0]", "a=2/3[0:ok,1:run1] running"),
        (COLLECTS, "a=3 a[0] a[0]#", "a=3/3[1:run1,2:run1] running"),
        (COLLECTS, "a=3 a[0] a[0]# a[0]#", "a=3/3[1:run1,2:run1] running"),
        (COLLECTS, "a=3 a[0] crash", "a=3/3[0:ok,1:held1,2:run1] running"),
        (COLLECTS, "a=2 a[0] a[1] a[1]# a[0]#!", "a=ok succeeded"),
        (COLLECTS, "a=1 a[0] a[0]#!", "a=failed failed"),
        (COLLECTS, "a=2 a[0]! a[1]/ ", "a=ok succeeded"),
    ]);
    let mut play = Play::begin(COLLECTS);
    play.play("a=3 a[1]");
    assert_eq!(play.commands, [Command::Collect { place: Place::root(0), item: 1 }]);
    play.play("crash");
    let asked = play.commands.iter().filter(|command| matches!(command, Command::Collect { .. }));
    assert_eq!(asked.count(), 1, "asked again, once");
    play.play("a[1]# a[0]:sent a[2]! a[0]#");
    let output = play.output("a");
    assert_eq!((&output["collected"], &output["failed"]), (&json!([0, 1]), &json!(1)), "in the order of the items");
}

#[test]
fn collected_values_are_bounded() {
    let mut play = Play::begin(COLLECTS);
    play.play("a=3 a[0] a[1]");
    for item in 0..3 {
        if item == 2 {
            play.play("a[2]");
        }
        let result = Ok(json!("x".repeat(300_000)));
        play.input(Input::Collected { place: Place::root(0), item, result }).unwrap();
    }
    let output = play.output("a");
    assert_eq!((output["collected"].as_array().unwrap().len(), &output["collected_truncated"]), (1, &json!(true)));
    assert_eq!(output["succeeded"], 3);
}

#[test]
fn the_summary_says_why() {
    let each = "
  - id: e
    for_each: {in: '[]', concurrency: 9}
    steps:
      - {id: p, uses: t.pure}
      - {id: s, uses: t.send, on_unknown: skip}";
    let mut play = Play::begin(each);
    play.play("e=8 p[0] s[0] p[1]/ p[2] s[2]* p[3] s[3]- p[4] s[4]! p[5] s[5]? p[6] s[6]- p[7] s[7]");
    let output = play.output("e");
    let counts = ["total", "succeeded", "failed", "skipped", "unknown"].map(|key| output[key].as_u64().unwrap());
    assert_eq!(counts, [8, 2, 1, 4, 1]);
    let why = json!({"condition": 1, "once": 1, "t.failed": 3, "unknown": 1});
    assert_eq!(output["reasons"], why, "what it declines with is its code, too");

    // What failed is counted anew when it is done again.
    play.play("retry s[4]");
    assert_eq!(play.output("e")["reasons"], json!({"condition": 1, "once": 1, "t.failed": 2, "unknown": 1}));
}

#[test]
fn items_that_were_not_begun_have_a_reason() {
    let mut play = Play::begin(STOP);
    play.play("a=9 a[0]! a[1]");
    let crate::engine::frame::StepState::Failed { items: Some(items), .. } = &play.state.root.steps[0] else {
        panic!("{}", play.picture())
    };
    assert_eq!(json!(items.reasons()), json!({"for_each.stopped": 7, "t.failed": 1}));
}

#[test]
fn a_state_of_before_the_reasons_is_read() {
    let mut play = Play::begin(ONE);
    play.play("a=2 a[0]");
    let mut old = serde_json::to_value(&play.state).unwrap();
    let items = old["root"]["steps"][0]["items"].clone();
    assert!(items.get("passed").is_none() && items.get("failing").is_none(), "nothing is written for nothing");
    old.as_object_mut().unwrap().remove("paused");
    let state: crate::engine::state::RunState = serde_json::from_value(old).unwrap();
    assert_eq!(state, play.state);
}
