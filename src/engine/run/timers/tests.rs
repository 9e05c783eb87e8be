//! No wake is lost, whatever happens while a page is read; the window stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;

/// Time that passes only when a test says so.
struct Time(Mutex<(Millis, Vec<Sleeper>)>);

type Sleeper = (Millis, oneshot::Sender<()>);

impl Time {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((0, Vec::new()))))
    }

    fn set(&self, now: Millis) {
        let mut time = self.0.lock().unwrap();
        time.0 = now;
        for (at, sleeper) in std::mem::take(&mut time.1) {
            if at <= now {
                let _ = sleeper.send(());
            } else if !sleeper.is_closed() {
                time.1.push((at, sleeper));
            }
        }
    }
}

impl Clock for Time {
    fn now(&self) -> Millis {
        self.0.lock().unwrap().0
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let mut time = self.0.lock().unwrap();
        if at <= time.0 {
            return std::future::ready(()).boxed();
        }
        let (wake, woken) = oneshot::channel();
        time.1.push((at, wake));
        woken.map(drop).boxed()
    }

    fn random(&self) -> u128 {
        0
    }
}

/// Rows that want to be woken. A query takes its page at once and answers when it is let go.
#[derive(Default)]
struct Wanted {
    wanted: Mutex<(BTreeMap<RunId, Millis>, BTreeSet<Key>)>,
    held: Mutex<Option<Vec<oneshot::Sender<bool>>>>,
    reads: Mutex<u32>,
}

impl Wanted {
    fn holding() -> Arc<Self> {
        Arc::new(Self { held: Mutex::new(Some(Vec::new())), ..Self::default() })
    }

    fn commit(&self, run: RunId, at: Option<Millis>) {
        let mut wanted = self.wanted.lock().unwrap();
        let before = match at {
            Some(at) => wanted.0.insert(run, at),
            None => wanted.0.remove(&run),
        };
        if let Some(before) = before {
            wanted.1.remove(&(before, run));
        }
        wanted.1.extend(at.map(|at| (at, run)));
    }

    fn wanted(&self, run: RunId) -> Option<Millis> {
        self.wanted.lock().unwrap().0.get(&run).copied()
    }

    fn page(&self, after: Option<Key>, limit: u32) -> BoxFuture<'static, Result<Vec<Key>, StoreError>> {
        *self.reads.lock().unwrap() += 1;
        let wanted = self.wanted.lock().unwrap();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = wanted.1.range((from, Bound::Unbounded)).take(limit as usize).copied().collect();
        let Some(held) = &mut *self.held.lock().unwrap() else { return std::future::ready(Ok(page)).boxed() };
        let (go, gone) = oneshot::channel();
        held.push(go);
        let broken = || StoreError::Unavailable("not now".to_string());
        gone.map(move |well| if well == Ok(true) { Ok(page) } else { Err(broken()) }).boxed()
    }

    /// Lets the queries under way end, well or not.
    fn let_go(&self, well: bool) {
        for query in self.held.lock().unwrap().iter_mut().flat_map(std::mem::take) {
            let _ = query.send(well);
        }
    }
}

fn run(number: u128) -> RunId {
    RunId::new(0, number)
}

/// Timers that fire, one poll at a time.
struct World {
    time: Arc<Time>,
    rows: Arc<Wanted>,
    timers: Arc<Timers>,
    fire: Pin<Box<dyn Future<Output = ()>>>,
    due: mpsc::Receiver<RunId>,
}

impl World {
    fn new(rows: Arc<Wanted>, page: usize, room: usize) -> Self {
        let (time, read) = (Time::new(), rows.clone());
        let reading = Box::new(move |after, limit| read.page(after, limit));
        let timers = Arc::new(Timers::with(Window::new(page), time.clone(), Some(reading)));
        let (send, due) = mpsc::channel(room);
        let firing = timers.clone();
        let fire = Box::pin(async move { firing.fire(send).await });
        Self { time, rows, timers, fire, due }
    }

    fn poll(&mut self) -> Poll<()> {
        self.fire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// The next run that is due, if there is one now.
    fn next(&mut self) -> Option<RunId> {
        for _ in 0..3 {
            assert!(self.poll().is_pending());
            if let Ok(run) = self.due.try_recv() {
                return Some(run);
            }
            self.rows.let_go(true);
        }
        None
    }
}

#[derive(Clone, Debug)]
enum Move {
    /// A commit whose `set` follows later.
    Commit(u128, Option<Millis>),
    /// The `set` of such a commit.
    Set(u128),
    Poll,
    LetGo(bool),
    Pass(Millis),
    /// The engine takes a run that is due and puts off its next wake.
    Take(Option<Millis>),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let delay = prop::option::weighted(0.9, 0i64..60);
    prop::collection::vec(
        prop_oneof![
            4 => (0u128..24, delay.clone()).prop_map(|(run, at)| Move::Commit(run, at)),
            4 => (0u128..24).prop_map(Move::Set),
            3 => Just(Move::Poll),
            2 => prop::bool::weighted(0.8).prop_map(Move::LetGo),
            1 => (-3i64..15).prop_map(Move::Pass),
            2 => prop::option::weighted(0.3, 0i64..60).prop_map(Move::Take),
        ],
        0..120,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_run_is_woken_once_its_time_has_come(page in 1usize..5, before in 0u128..12, moves in moves()) {
        let rows = Wanted::holding();
        (0..before).for_each(|number| rows.commit(run(number), Some((number as Millis * 7) % 40)));
        let mut world = World::new(rows, page, 2);
        // Changes of each run's row whose timer is still to be set, and how often it may be woken.
        let mut unset = BTreeSet::new();
        let mut allowed: BTreeMap<RunId, i64> = (0..before).map(|number| (run(number), 1)).collect();
        let failed = moves.iter().any(|step| matches!(step, Move::LetGo(false)));
        for step in moves {
            let now = world.time.now();
            match step {
                Move::Commit(number, delay) => {
                    world.rows.commit(run(number), delay.map(|delay| now + delay));
                    *allowed.entry(run(number)).or_default() += 1;
                    if delay.is_some() { unset.insert(run(number)) } else { unset.remove(&run(number)) };
                }
                Move::Set(number) => {
                    if unset.remove(&run(number)) {
                        world.timers.set(world.rows.wanted(run(number)).unwrap(), run(number));
                    }
                }
                Move::Poll => prop_assert!(world.poll().is_pending()),
                Move::LetGo(well) => world.rows.let_go(well),
                Move::Pass(by) => world.time.set(now + by),
                Move::Take(delay) => {
                    let _ = world.poll();
                    if let Ok(woken) = world.due.try_recv() {
                        *allowed.entry(woken).or_default() -= 1;
                        if world.rows.wanted(woken).is_some_and(|at| at <= now) {
                            world.rows.commit(woken, delay.map(|delay| now + delay));
                            unset.remove(&woken);
                            if let Some(delay) = delay {
                                world.timers.set(now + delay, woken);
                                *allowed.entry(woken).or_default() += 1;
                            }
                        } else if let Some(at) = world.rows.wanted(woken) {
                            // Too early, after the clock was set back or the row changed: it parks again.
                            world.timers.set(at, woken);
                            *allowed.entry(woken).or_default() += 1;
                        }
                    }
                }
            }
            prop_assert!(world.timers.window().len() <= 3 * page + 1);
        }
        for run in unset {
            world.timers.set(world.rows.wanted(run).unwrap(), run);
        }
        // A page that could not be read is tried again after a pause, which may have begun before the clock was set back.
        for by in std::iter::once(0).chain(std::iter::repeat_n(1, 70)).chain([READ_RETRY_MS + 400]) {
            let may_be_late = by == 0 || by == 1 && failed;
            world.time.set(world.time.now() + by);
            while let Some(woken) = world.next() {
                *allowed.entry(woken).or_default() -= 1;
                if world.rows.wanted(woken).is_some_and(|at| at <= world.time.now()) {
                    world.rows.commit(woken, None);
                } else if let Some(at) = world.rows.wanted(woken) {
                    world.timers.set(at, woken);
                    *allowed.entry(woken).or_default() += 1;
                }
            }
            // None that is due is still waiting.
            let first = world.rows.wanted.lock().unwrap().1.first().copied();
            prop_assert!(may_be_late || first.is_none_or(|(at, _)| at > world.time.now()), "{first:?}");
        }
        prop_assert_eq!(&world.rows.wanted.lock().unwrap().1, &BTreeSet::new());
        // A time that was dropped and read again may be handed out twice while its run is being woken.
        prop_assert!(allowed.values().all(|left| *left >= -1), "{allowed:?}");
    }
}

#[test]
fn many_parked_runs_are_a_small_window() {
    let mut world = World::new(Arc::default(), 64, 1024);
    for number in 0..20_000u128 {
        // In no order of time.
        let at = (number as Millis * 7_919) % 1_000 + 1;
        world.rows.commit(run(number), Some(at));
        world.timers.set(at, run(number));
        assert!(world.timers.window().len() <= 128);
        if number % 100 == 0 {
            assert_eq!(world.next(), None);
        }
    }
    let mut woken = 0;
    for now in 0..=1_001 {
        world.time.set(now);
        while let Some(run) = world.next() {
            assert!(world.rows.wanted(run).is_some_and(|at| at <= now && at > now - 2), "{run} at {now}");
            world.rows.commit(run, None);
            woken += 1;
        }
        assert!(world.timers.window().len() <= 128);
    }
    assert_eq!(woken, 20_000);
}

#[test]
fn a_store_at_rest_is_asked_once() {
    let mut world = World::new(Arc::default(), 4, 8);
    for number in 0..5 {
        world.rows.commit(run(number), Some(10));
        world.timers.set(10, run(number));
        assert_eq!(world.next(), None);
    }
    world.time.set(10);
    assert_eq!((0..6).filter_map(|_| world.next()).count(), 5);
    assert_eq!(*world.rows.reads.lock().unwrap(), 1);
}

#[test]
fn a_clock_that_is_set_back_fires_when_it_gets_there() {
    let mut world = World::new(Arc::default(), 4, 8);
    world.time.set(100);
    world.rows.commit(run(1), Some(110));
    assert_eq!(world.next(), None);
    world.time.set(50);
    assert_eq!(world.next(), None);
    world.time.set(109);
    assert_eq!(world.next(), None);
    world.time.set(1_000);
    assert_eq!(world.next(), Some(run(1)));
}

#[test]
fn runs_due_at_once_wait_for_room() {
    let rows = Arc::<Wanted>::default();
    (0..100).for_each(|number| rows.commit(run(number), Some(0)));
    let mut world = World::new(rows, 10, 3);
    assert!(world.poll().is_pending());
    assert_eq!(world.due.len(), 3);
    assert!(world.timers.window().len() <= 20);
    assert_eq!((0..101).filter_map(|_| world.next()).count(), 100);
}

#[test]
fn what_is_tried_again_needs_no_row() {
    let mut world = World::new(Arc::default(), 1, 8);
    (1..=8).for_each(|number| world.timers.again(5, run(number)));
    world.timers.set(7, run(1));
    world.timers.forget(run(2));
    world.rows.commit(run(1), Some(7));
    world.time.set(5);
    let woken: Vec<_> = std::iter::from_fn(|| world.next()).collect();
    assert_eq!(woken, (3..=8).map(run).collect::<Vec<_>>());
    world.time.set(7);
    assert_eq!(world.next(), Some(run(1)));
}

#[test]
fn alone_it_keeps_everything_and_ends_with_its_listener() {
    let time = Time::new();
    let timers = Timers::alone(time.clone());
    (0..10_000).for_each(|number| timers.set(9, run(number)));
    assert_eq!(timers.window().len(), 10_000);
    let (send, due) = mpsc::channel(4);
    let mut fire = Box::pin(timers.fire(send));
    let mut context = Context::from_waker(Waker::noop());
    assert!(fire.as_mut().poll(&mut context).is_pending());
    assert!(due.is_empty());
    time.set(9);
    assert!(fire.as_mut().poll(&mut context).is_pending());
    assert_eq!(due.len(), 4);
    drop(due);
    assert!(fire.as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_page_that_failed_is_read_again_however_full_the_window() {
    let rows = Wanted::holding();
    rows.commit(run(0), Some(500));
    let mut world = World::new(rows, 4, 8);
    assert!(world.poll().is_pending());
    // What is set while the page is read is kept, and is not all there is.
    for number in 1..=4 {
        world.rows.commit(run(number), Some(1_000));
        world.timers.set(1_000, run(number));
    }
    world.rows.let_go(false);
    assert!(world.poll().is_pending());
    world.time.set(500);
    assert_eq!(world.next(), Some(run(0)));
}
