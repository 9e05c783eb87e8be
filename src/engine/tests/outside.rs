//! What a parked step waits for: events, people, called runs.

use super::script::{Play, table};
use crate::base::limits;
use crate::engine::decide::{Command, Input};
use crate::engine::event::Place;
use serde_json::json;

const EVENT: &str = "
  - {id: a, uses: t.event}
  - {id: b, uses: t.event}
  - {id: t, uses: t.pure, needs: [a.timeout]}";

#[test]
fn an_event_ends_a_wait() {
    let skipped = "t=skipped:not_reached";
    table(&[
        (EVENT, "a&", "a=listens b=- t=- waiting"),
        (EVENT, "a&500", "a=wait1+500 b=- t=- waiting"),
        (EVENT, "a& crash wake", "a=listens b=- t=- waiting"),
        (EVENT, "a& a:key=1", &format!("a=ok b=run1 {skipped} running")),
        (EVENT, "a&500 +500", "a=timeout b=skipped:not_reached t=run1 running"),
        (EVENT, "a&500 +500 xa:key=1", "a=timeout b=skipped:not_reached t=run1 running"),
        (EVENT, "a&0", "a=timeout b=skipped:not_reached t=run1 running"),
        (EVENT, "xa:key=1 a& xb:key=1 xa:yes a:back xa[0]:key=1", "a=listens b=- t=- waiting"),
        (EVENT, "a& a:key=1 b& xb:key=1 crash xb:key=1", &format!("a=ok b=listens {skipped} waiting")),
        (EVENT, "a& a:key=1 b& b:key=2 xb:key=3", &format!("a=ok b=ok {skipped} succeeded")),
    ]);
    let mut play = Play::begin(EVENT);
    play.play("a& a:key=1");
    assert_eq!(play.output("a"), json!({"key": "1"}));
}

#[test]
fn one_event_ends_one_wait_of_a_run() {
    let two = "
  - {id: a, uses: t.event}
  - {id: b, uses: t.event, needs: []}
  - id: e
    needs: []
    for_each: {in: '[]', concurrency: 2}
    steps:
      - {id: i, uses: t.event}";
    table(&[
        (two, "a& b& a:key=1 xb:key=1 xa:key=1", "a=ok b=listens e=run1 running"),
        (
            two,
            "a& b& e=2 i[0]& i[1]& i[1]:key=1 xi[0]:key=1 xa:key=1 a:key=2",
            "a=ok b=listens e=2/2[0:listens] waiting",
        ),
    ]);
}

#[test]
fn the_events_taken_are_the_latest() {
    let many = "
  - id: e
    for_each: {in: '[]'}
    steps:
      - {id: i, uses: t.event}";
    let mut play = Play::begin(many);
    play.play("e=300");
    for item in 0..=limits::TAKEN_EVENTS {
        play.play(&format!("i[{item}]& i[{item}]:key={item}"));
    }
    assert_eq!(play.state.taken.len(), limits::TAKEN_EVENTS);
    let last = limits::TAKEN_EVENTS + 1;
    play.play(&format!("i[{last}]& xi[{last}]:key={} xi[{last}]:key=1 i[{last}]:key=0", last - 1));
}

#[test]
fn a_person_decides() {
    let asks = "
  - {id: a, uses: t.approve}
  - {id: b, uses: t.send}
  - {id: c, uses: t.pure, needs: [a.rejected, a.timeout], join: any}";
    table(&[
        (asks, "a%", "a=asks b=- c=- waiting"),
        (asks, "a% crash", "a=asks b=- c=- waiting"),
        (asks, "a% a:yes", "a=ok b=run1 c=skipped:not_reached running"),
        (asks, "a% a:no c", "a=rejected b=skipped:not_reached c=ok succeeded"),
        (asks, "a%900 +900", "a=timeout b=skipped:not_reached c=run1 running"),
        (asks, "a%900 +900 xa:yes", "a=timeout b=skipped:not_reached c=run1 running"),
        (asks, "xa:yes a% xa:sent xb:yes xa:key=1 a:yes xa:yes xa:no", "a=ok b=run1 c=skipped:not_reached running"),
    ]);
    let mut play = Play::begin(asks);
    play.play("a% a:yes");
    assert_eq!(play.output("a"), json!({"by": "ana", "comment": null}));
}

const CALL: &str = "
  - {id: a, uses: t.call}
  - {id: b, uses: t.pure}";

#[test]
fn a_called_run_gives_back_its_output() {
    table(&[
        (CALL, "a>", "a=call b=- waiting"),
        (CALL, "a> wake crash crash", "a=call b=- waiting"),
        (CALL, "a> a:back", "a=ok b=run1 running"),
        (CALL, "a> a:back a:back a:back!", "a=ok b=run1 running"),
        (CALL, "a> a:back!", "a=failed b=skipped:not_reached failed"),
        (CALL, "a:back a> xa:sent xa:yes", "a=call b=- waiting"),
    ]);
    let mut play = Play::begin(CALL);
    play.play("a>");
    let call = [Command::Call { place: Place::root(0) }];
    assert_eq!(play.commands, call);
    play.play("crash");
    assert_eq!(play.commands, call, "it may not have been created");
    let other = crate::base::RunId::new(9, 9);
    play.input(Input::Returned { place: Place::root(0), child: other, result: Ok(json!(1)) }).unwrap();
    assert_eq!(play.picture(), "a=call b=- waiting", "another run's end");
    play.play("a:back");
    assert_eq!(play.output("a"), json!("given back"));
}
