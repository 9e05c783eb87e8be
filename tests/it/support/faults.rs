//! Faults by shares of the requests, drawn from a seed: 503s, cut connections and rate limits.
//!
//! A limit is announced in whole seconds, so one for each refused request would make a test of ten thousand last for
//! minutes. Instead a limit takes everybody: from the request that meets it on, all are refused, and their answers are held
//! until each of the senders has met it (or a moment has passed: near the end there are not so many). Then all of them are
//! told at once. So the share of refused requests is reached with few pauses; and it is known who may still be on the way:
//! only a sender that has not been told.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Which requests meet a fault.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    pub seed: u64,
    /// Requests at once, at most.
    pub senders: usize,
    /// In thousandths of the requests.
    pub limited: usize,
    pub unavailable: u64,
    pub cut: u64,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Taken,
    Unavailable,
    CutBefore,
    CutAfter,
    /// For so many seconds.
    Limited(u64),
}

/// One limit, from the request that met it to its end.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Requests that were refused before anybody was told.
    pub told: usize,
    /// Requests that came after that, before its end.
    pub late: usize,
}

/// What was done to the requests.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub limits: Vec<Limit>,
    pub taken: usize,
    pub unavailable: usize,
    pub cut: usize,
}

pub struct Faults {
    shares: Shares,
    state: Mutex<State>,
    told: watch::Sender<usize>,
}

struct State {
    random: u64,
    /// Requests that met no limit.
    handled: usize,
    next_limit: usize,
    open: Option<Open>,
    account: Account,
}

struct Open {
    limit: Limit,
    /// When it is over; None before anybody is told.
    until: Option<Instant>,
}

/// The announced second, less what two clocks that count whole milliseconds may differ by.
const SECOND: Duration = Duration::from_millis(980);

/// The longest that answers are held for senders that may not come.
const GATHER: Duration = Duration::from_millis(400);

enum Met {
    Fate(Fate),
    /// The answer waits until this limit, by its number, is told.
    Waits(usize),
}

impl Faults {
    pub fn new(shares: Shares) -> Self {
        let state = State {
            random: shares.seed,
            handled: 0,
            next_limit: shares.senders * 1_000 / shares.limited / 2,
            open: None,
            account: Account::default(),
        };
        Self { shares, state: Mutex::new(state), told: watch::Sender::new(0) }
    }

    pub fn account(&self) -> Account {
        let state = self.state.lock().unwrap();
        let mut account = state.account.clone();
        account.limits.extend(state.open.as_ref().map(|open| open.limit.clone()));
        account
    }

    /// What becomes of the request that has just come.
    pub async fn next(&self) -> Fate {
        let number = match self.meet() {
            Met::Fate(fate) => return fate,
            Met::Waits(number) => number,
        };
        let mut told = self.told.subscribe();
        let gathered = tokio::time::timeout(GATHER, told.wait_for(|told| *told >= number)).await;
        if gathered.is_err() {
            self.tell(number);
        }
        Fate::Limited(1)
    }

    fn meet(&self) -> Met {
        let mut state = self.state.lock().unwrap();
        let number = state.account.limits.len() + 1;
        let is_over = |open: &Open| open.until.is_some_and(|until| until <= Instant::now());
        if state.open.as_ref().is_some_and(is_over) {
            let limit = state.open.take().unwrap().limit;
            state.account.limits.push(limit);
        } else if let Some(open) = &mut state.open {
            if open.until.is_some() {
                open.limit.late += 1;
                return Met::Fate(Fate::Limited(1));
            }
            open.limit.told += 1;
            if open.limit.told == self.shares.senders {
                drop(state);
                self.tell(number);
            }
            return Met::Waits(number);
        }
        state.handled += 1;
        if state.handled >= state.next_limit {
            let between = self.shares.senders * 1_000 / self.shares.limited;
            // A tenth more or less, so that no two fall on the same item.
            let spread = (between / 5).max(1) as u64;
            state.next_limit += between - between / 10 + state.below(spread) as usize;
            state.open = Some(Open { limit: Limit { told: 1, late: 0 }, until: None });
            return Met::Waits(state.account.limits.len() + 1);
        }
        let (cut, unavailable) = (self.shares.cut, self.shares.unavailable);
        Met::Fate(match state.below(1_000) {
            roll if roll < cut => {
                state.account.cut += 1;
                if state.below(2) == 0 { Fate::CutBefore } else { Fate::CutAfter }
            }
            roll if roll < cut + unavailable => {
                state.account.unavailable += 1;
                Fate::Unavailable
            }
            _ => {
                state.account.taken += 1;
                Fate::Taken
            }
        })
    }

    /// Tells everybody who has met the limit.
    fn tell(&self, number: usize) {
        let mut state = self.state.lock().unwrap();
        if state.account.limits.len() + 1 == number
            && let Some(open) = &mut state.open
            && open.until.is_none()
        {
            open.until = Some(Instant::now() + SECOND);
        }
        drop(state);
        self.told.send_modify(|told| *told = number.max(*told));
    }
}

impl State {
    /// SplitMix64: a seed must mean the same on every machine.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl Account {
    /// Requests that were answered with 429.
    pub fn limited(&self) -> usize {
        self.limits.iter().map(|limit| limit.told + limit.late).sum()
    }
}
