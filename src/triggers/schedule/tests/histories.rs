//! Random histories of a schedule: crashes, stops, reloads, a busy engine, a clock that is set. Whatever happens, each due
//! instant starts one run, or is missed and met as `catch_up` says.
//!
//! The store is a set of keys and a map of cursors; a crash loses the board and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::lang::cron::Cron;
use crate::lang::workflow::{CatchUp, Trigger};
use crate::triggers::schedule::board::Board;
use crate::triggers::schedule::slot::{LATE_MS, jitter};

#[derive(Clone, Debug)]
enum Happens {
    /// Time passes, and the daemon looks at the clock.
    Look(Millis),
    /// The same, but the engine has no room.
    Refused(Millis),
    /// The process dies and is started again after a while.
    Crash(Millis),
    /// It stops in order.
    Stop(Millis),
    Save,
    /// The workflow is edited, not its schedule.
    Edit,
    /// It is switched off for a while.
    Off(Millis),
    /// Somebody sets the clock.
    Set(Millis),
}

fn happens() -> impl Strategy<Value = Happens> {
    let short = 0..10 * MINUTE;
    let long = 0..8 * HOUR;
    prop_oneof![
        6 => short.clone().prop_map(Happens::Look),
        2 => long.clone().prop_map(Happens::Look),
        2 => short.prop_map(Happens::Refused),
        1 => long.clone().prop_map(Happens::Crash),
        1 => long.clone().prop_map(Happens::Stop),
        1 => Just(Happens::Save),
        2 => Just(Happens::Edit),
        1 => long.prop_map(Happens::Off),
        1 => (-3 * HOUR..3 * HOUR).prop_map(Happens::Set),
    ]
}

struct World {
    plan: Arc<Plan>,
    cron: Cron,
    name: String,
    now: Millis,
    /// When the schedule first was there, and the earliest and latest time that was ever shown.
    since: Millis,
    earliest: Millis,
    latest: Millis,
    /// What the clock showed when it was last set back: only instants after it lie ahead again.
    set_back_to: Millis,
    board: Board,
    cursors: BTreeMap<String, Millis>,
    keys: BTreeSet<String>,
    started: BTreeSet<Millis>,
}

impl World {
    fn new(cron: &str, zone: &str, fields: &str, now: Millis) -> Self {
        let plan = scheduled(&format!("cron: '{cron}', timezone: {zone}, {fields}"));
        let mut world = Self {
            plan,
            cron: Cron::parse(cron, zone).unwrap(),
            name: format!("schedule:w:{cron}:{zone}"),
            now,
            since: now,
            earliest: now,
            latest: now,
            set_back_to: now,
            board: Board::default(),
            cursors: BTreeMap::new(),
            keys: BTreeSet::new(),
            started: BTreeSet::new(),
        };
        world.follow(true);
        world.save();
        world
    }

    fn pass(&mut self, ms: Millis) {
        self.now += ms;
        if ms < 0 {
            self.set_back_to = self.now;
        }
        self.earliest = self.earliest.min(self.now);
        self.latest = self.latest.max(self.now);
    }

    fn follow(&mut self, enabled: bool) {
        self.board.pass(self.now, usize::MAX);
        let plans = enabled.then_some(&self.plan);
        self.board.keep(plans, &self.cursors, self.now);
    }

    fn save(&mut self) {
        self.cursors.extend(self.board.take_unsaved(usize::MAX));
    }

    /// Looks at the clock and submits what is due.
    fn look(&mut self) {
        loop {
            self.board.pass(self.now, 1);
            let batch = self.board.batch(3);
            if batch.is_empty() && self.board.next().is_none_or(|next| next > self.now) {
                break;
            }
            for start in batch {
                let submission = self.board.submission(&start).expect("its schedule is there");
                let new = self.keys.insert(submission.dedupe.unwrap().key);
                assert!(!new || self.started.insert(start.due.at), "an instant started twice: {}", start.due.at);
                self.board.settle(&start, new);
            }
        }
        self.judge();
    }

    /// Everything that is to have started by now has.
    fn judge(&self) {
        let Trigger::Schedule { catch_up, jitter_ms, .. } = self.plan.triggers[0].trigger else { panic!("a schedule") };
        let starts = |at: Millis| at + jitter(&self.name, at, jitter_ms);
        let mut due = Vec::new();
        let mut from = self.since;
        while let Some(next) = self.cron.next_after(from).filter(|next| starts(*next) <= self.now) {
            due.push(next);
            from = next;
        }
        let last = due.last().copied();
        for at in due {
            let on_time = at > self.set_back_to && self.now - starts(at) <= LATE_MS;
            let wanted = match catch_up {
                CatchUp::None => on_time,
                // After the clock was set back a later one may have started already.
                CatchUp::Last => on_time || Some(at) == last && self.started.range(at..).next().is_none(),
                CatchUp::All => true,
            };
            assert!(!wanted || self.started.contains(&at), "{at} did not start by {}", self.now);
        }
        for at in &self.started {
            assert_eq!(self.cron.next_after(at - 1), Some(*at), "{at} is no instant");
            assert!((self.earliest..=self.latest).contains(at), "{at} was never due");
        }
    }

    fn live(&mut self, event: &Happens) {
        match *event {
            Happens::Look(ms) => {
                self.pass(ms);
                self.look();
            }
            Happens::Refused(ms) => {
                self.pass(ms);
                self.board.pass(self.now, usize::MAX);
            }
            Happens::Crash(ms) => {
                self.board = Board::default();
                self.pass(ms);
                self.follow(true);
                self.look();
            }
            Happens::Stop(ms) => {
                self.save();
                self.board = Board::default();
                self.pass(ms);
                self.follow(true);
                self.look();
            }
            Happens::Save => self.save(),
            Happens::Edit => {
                self.plan = Arc::new(Plan::clone(&self.plan));
                self.follow(true);
            }
            Happens::Off(ms) => {
                // What is due is started first: what nobody has accepted yet goes with its workflow.
                self.look();
                self.follow(false);
                assert_eq!((self.board.next(), self.board.is_ready()), (None, false));
                self.pass(ms);
                self.follow(true);
                self.look();
            }
            Happens::Set(ms) => {
                self.pass(ms);
                self.look();
            }
        }
    }
}

const PATTERNS: [&str; 7] =
    ["*/15 * * * *", "0 * * * *", "17 2 * * *", "*/20 1-3 * * *", "@daily", "30 2,3 * * *", "0 */6 * * *"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_due_instant_starts_once_or_is_met_as_catch_up_says(
        pattern in proptest::sample::select(&PATTERNS[..]),
        zone in proptest::sample::select(&["UTC", "Europe/Madrid", "America/New_York"][..]),
        catch_up in proptest::sample::select(&["none", "last", "all"][..]),
        jitter in proptest::sample::select(&["0s", "45s", "5m"][..]),
        start in proptest::sample::select(&["2026-03-28T18:00:00Z", "2026-10-24T18:00:00Z", "2026-07-01T00:00:00Z"][..]),
        history in proptest::collection::vec(happens(), 1..40),
    ) {
        let fields = format!("catch_up: {catch_up}, catch_up_window: 400d, jitter: {jitter}");
        let mut world = World::new(pattern, zone, &fields, at(start));
        for event in &history {
            world.live(event);
        }
        world.look();
    }
}
