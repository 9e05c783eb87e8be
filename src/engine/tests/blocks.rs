//! `for_each` over a block: a graph of its own once an item, within others too.

use serde_json::json;

use super::script::{Play, table};
use crate::engine::event::Event;

const BLOCK: &str = "
  - id: e
    for_each: {in: '[]', concurrency: 2}
    steps:
      - {id: r, uses: t.route}
      - {id: l, uses: t.read, needs: [r.left]}
      - {id: s, uses: t.send, needs: [r, l], join: any}
  - {id: z, uses: t.pure}";

#[test]
fn an_item_is_a_graph() {
    table(&[
        (BLOCK, "", "e=run1 z=- running"),
        (BLOCK, "e=0", "e=ok z=run1 running"),
        (BLOCK, "e=1", "e=1/1[0:(r=run1 l=- s=-)] z=- running"),
        (BLOCK, "e=3", "e=2/3[0:(r=run1 l=- s=-),1:(r=run1 l=- s=-)] z=- running"),
        (BLOCK, "e=1 r[0]", "e=1/1[0:(r=ok l=skipped:not_reached s=run1)] z=- running"),
        (BLOCK, "e=1 r[0].left", "e=1/1[0:(r=left l=run1 s=-)] z=- running"),
        (BLOCK, "e=1 r[0].left l[0]", "e=1/1[0:(r=left l=ok s=run1)] z=- running"),
        (BLOCK, "e=1 r[0].right", "e=ok z=run1 running"),
        (BLOCK, "e=1 r[0].left l[0] s[0] z", "e=ok z=ok succeeded"),
        (BLOCK, "e=1 xs[0] xl[0] xr[1] xr[0.0] xr xz xe[0]=2", "e=1/1[0:(r=run1 l=- s=-)] z=- running"),
        (BLOCK, "e/", "e=skipped:condition z=skipped:not_reached succeeded"),
        (BLOCK, "e!", "e=failed z=skipped:not_reached failed"),
    ]);
}

#[test]
fn every_needless_step_of_a_block_begins() {
    let wide = "
  - id: e
    for_each: {in: '[]'}
    steps:
      - {id: a, uses: t.read}
      - {id: b, uses: t.read, needs: []}
      - {id: c, uses: t.send, needs: [a, b]}";
    table(&[
        (wide, "e=2", "e=1/2[0:(a=run1 b=run1 c=-)] running"),
        (wide, "e=2 b[0] crash", "e=1/2[0:(a=run1 b=ok c=-)] running"),
        (wide, "e=2 a[0]! b[0]", "e=2/2[1:(a=run1 b=run1 c=-)] running"),
        (wide, "e=1 a[0] b[0] c[0]?", "e=1/1[0:(a=ok b=ok c=held1)] attention"),
    ]);
}

#[test]
fn items_are_counted_by_how_their_block_ended() {
    let block = "
  - id: e
    for_each: {in: '[]', concurrency: 9}
    steps:
      - {id: a, uses: t.send, on_unknown: skip}
      - {id: b, uses: t.read}
      - {id: h, uses: t.pure, needs: [b.error]}";
    let mut play = Play::begin(block);
    // Succeeded, skipped, unknown, failed, failed and handled.
    play.play("e=5 a[0] b[0] a[1]/ a[2]? a[3]! a[4] b[4]! h[4]");
    assert_eq!(play.picture(), "e=ok succeeded");
    let output = play.output("e");
    let counts = ["total", "succeeded", "skipped", "unknown", "failed"].map(|key| output[key].as_u64().unwrap());
    assert_eq!(counts, [5, 2, 1, 1, 1]);
    assert_eq!(output["failures"], json!([{"item": 3, "code": "t.failed", "message": "it failed"}]));

    // A second step that is not made does not undo the send before it; a failure and an unknown outcome still count.
    let mut play = Play::begin(block);
    play.play("e=5 a[0] b[0]- a[1] b[1]* a[2]? a[3]- a[4] b[4]");
    let output = play.output("e");
    let counts = ["total", "succeeded", "skipped", "unknown", "failed"].map(|key| output[key].as_u64().unwrap());
    assert_eq!(counts, [5, 3, 1, 1, 0]);

    // What only prepares a send that is not made leaves the item skipped.
    let mut play = Play::begin(
        "
  - id: e
    for_each: {in: '[]'}
    steps:
      - {id: a, uses: t.pure}
      - {id: b, uses: t.send}",
    );
    play.play("e=3 a[0] b[0]- a[1] b[1]* a[2] b[2]");
    assert_eq!([&play.output("e")["succeeded"], &play.output("e")["skipped"]], [&json!(1), &json!(2)]);
}

const STOP: &str = "
  - id: e
    for_each: {in: '[]', concurrency: 2, on_item_error: stop}
    steps:
      - {id: a, uses: t.read}
      - {id: b, uses: t.send}";

#[test]
fn a_failed_item_stops_those_that_have_not_begun() {
    table(&[
        (STOP, "e=9 a[0]!", "e=9/9[1:(a=run1 b=-)] running"),
        (STOP, "e=9 a[0]! a[1]", "e=9/9[1:(a=ok b=run1)] running"),
        (STOP, "e=9 a[0]! a[1] b[1]", "e=failed failed"),
        (STOP, "e=9 a[0]! a[1] b[1]?", "e=9/9[1:(a=ok b=held1)] attention"),
        (STOP, "e=2 a[0] b[0] a[1] b[1]", "e=ok succeeded"),
    ]);
    let mut play = Play::begin(STOP);
    play.play("e=9 a[0]! a[1]!");
    assert_eq!(play.code("e"), "for_each.stopped");
    assert!(play.journal.iter().any(|event| matches!(event, Event::ItemsStopped { left: 7, .. })));
}

#[test]
fn when_all_items_fail_the_step_does() {
    let mut play = Play::begin(BLOCK);
    play.play("e=2 r[0]! r[1]!");
    assert_eq!(
        (play.picture().as_str(), play.code("e").as_str()),
        ("e=failed z=skipped:not_reached failed", "for_each.all_failed")
    );
}

const COLLECTS: &str = "
  - id: e
    for_each: {in: '[]', collect: steps.s}
    steps:
      - {id: r, uses: t.read}
      - {id: q, uses: t.read, needs: []}
      - {id: s, uses: t.send, needs: [r, q]}";

#[test]
fn a_block_leaves_what_collect_gives() {
    table(&[
        (COLLECTS, "e=2 r[0] q[0] s[0]", "e=1/2[0:(r=ok q=ok s=ok)] running"),
        (COLLECTS, "e=2 r[0] q[0] s[0] crash", "e=1/2[0:(r=ok q=ok s=ok)] running"),
        (COLLECTS, "e=2 r[0] q[0] s[0] e[0]#", "e=2/2[1:(r=run1 q=run1 s=-)] running"),
        (COLLECTS, "e=2 e[0]# r[0] e[0]# e[1]# e[9]#", "e=1/2[0:(r=ok q=run1 s=-)] running"),
        (COLLECTS, "e=1 r[0] q[0] s[0] e[0]#!", "e=failed failed"),
        (COLLECTS, "e=1 r[0]! q[0]", "e=failed failed"),
    ]);
    let mut play = Play::begin(COLLECTS);
    play.play("e=1 r[0] q[0] s[0] crash");
    assert_eq!(play.commands.len(), 1, "asked once, though three steps are settled: {:?}", play.commands);
    play.play("e[0]#");
    assert_eq!(play.output("e")["collected"], json!([0]));
}

/// An item of `o` runs `i` over its own items.
const NESTED: &str = "
  - id: o
    for_each: {in: '[]', as: x}
    steps:
      - {id: a, uses: t.read}
      - id: i
        for_each: {in: '[]', as: y, concurrency: 2}
        steps:
          - {id: s, uses: t.send}
          - {id: p, uses: t.pure}
      - {id: b, uses: t.pure}
  - {id: z, uses: t.pure}";

#[test]
fn blocks_are_nested() {
    table(&[
        (NESTED, "o=2", "o=1/2[0:(a=run1 i=- b=-)] z=- running"),
        (NESTED, "o=2 a[0] i[0]=3", "o=1/2[0:(a=ok i=2/3[0:(s=run1 p=-),1:(s=run1 p=-)] b=-)] z=- running"),
        (NESTED, "o=2 a[0] i[0]=1 s[0.0] p[0.0]", "o=1/2[0:(a=ok i=ok b=run1)] z=- running"),
        (NESTED, "o=1 a[0] i[0]=1 s[0.0] p[0.0] b[0] z", "o=ok z=ok succeeded"),
        (NESTED, "o=1 a[0] i[0]=0 b[0] z", "o=ok z=ok succeeded"),
        (NESTED, "o=2 a[0] i[0]=1 s[0.0] p[0.0] b[0] a[1]", "o=2/2[1:(a=ok i=run1 b=-)] z=- running"),
        (
            NESTED,
            "o=1 a[0] i[0]=2 s[0.0] crash",
            "o=1/1[0:(a=ok i=2/2[0:(s=ok p=run1),1:(s=held1 p=-)] b=-)] z=- running",
        ),
        (NESTED, "o=1 a[0] i[0]=1 s[0.0]! ", "o=failed z=skipped:not_reached failed"),
        (NESTED, "o=2 a[0] i[0]=2 s[0.0]! s[0.1] p[0.1] b[0] a[1] i[1]=0 b[1]", "o=ok z=run1 running"),
        (NESTED, "o=2 a[0] i[0]=1 xs[0] xs[1.0] xs[0.1] xi=3", "o=1/2[0:(a=ok i=1/1[0:(s=run1 p=-)] b=-)] z=- running"),
    ]);
}

#[test]
fn what_is_held_lets_the_others_go_on_at_every_depth() {
    table(&[
        // All of the inner items are held, so the outer item is, and the next outer one begins.
        (
            NESTED,
            "o=2 a[0] i[0]=1 s[0.0]?",
            "o=2/2[0:(a=ok i=1/1[0:(s=held1 p=-)] b=-),1:(a=run1 i=- b=-)] z=- running",
        ),
        (NESTED, "o=2 a[0] i[0]=1 s[0.0]? s[0.0]:sent p[0.0] b[0]", "o=2/2[1:(a=run1 i=- b=-)] z=- running"),
    ]);
    let beside = "
  - id: e
    for_each: {in: '[]'}
    steps:
      - {id: s, uses: t.send}
      - {id: r, uses: t.read, needs: []}";
    table(&[
        (beside, "e=2 s[0]?", "e=1/2[0:(s=held1 r=run1)] running"),
        // What still ran beside the held step ends: now the item only waits for a person.
        (beside, "e=2 s[0]? r[0]", "e=2/2[0:(s=held1 r=ok),1:(s=run1 r=run1)] running"),
        (beside, "e=2 s[0]? r[0]! s[1] r[1] s[0]:skip", "e=ok succeeded"),
    ]);
}

#[test]
fn a_wait_in_a_block_is_that_of_its_item() {
    let waits = "
  - id: e
    for_each: {in: '[]', concurrency: 2}
    steps:
      - {id: w, uses: t.wait}
      - {id: s, uses: t.send}";
    table(&[
        (waits, "e=3 w[0]@500 w[1]@300", "e=2/3[0:(w=wait1+500 s=-),1:(w=wait1+300 s=-)] waiting"),
        (waits, "e=3 w[0]@500 w[1]@300 +300", "e=2/3[0:(w=wait1+200 s=-),1:(w=ok s=run1)] running"),
        (waits, "e=3 w[0]@500 w[1]@300 +500", "e=2/3[0:(w=ok s=run1),1:(w=ok s=run1)] running"),
        (waits, "e=3 w[0]@500 w[1]@300 +300 s[1] crash", "e=3/3[0:(w=wait1+200 s=-),2:(w=run1 s=-)] running"),
    ]);
}
