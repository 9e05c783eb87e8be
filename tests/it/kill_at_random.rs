//! `kill -9` at random moments of many short lives, under load: whatever the daemon was about, every message it had
//! accepted is sent exactly once, or its run waits for a person and says why.
//!
//! The moments come from a seed: `MOLTRUN_KILL_SEED` sets it, and a failure prints it. It fixes what is waited for in each
//! life, not what the machine makes of it. `MOLTRUN_KILLS` sets how many lives there are.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::support::fleet::WORKERS;
use crate::support::{Answer, Daemon, Fleet, Folder, GuideServer, PATIENCE, Starting, load};

const KILLS: usize = 50;

/// New messages in one life. What earlier lives left comes on top of it.
const NEW: usize = 8;

/// When a life ends.
#[derive(Debug)]
enum Moment {
    /// So many thousandths of an ordinary start after the process was made: before it has read its files, or in its
    /// recovery. When it listens by then, at once: its first webhooks are on their way.
    InStart(u64),
    /// When so many of its webhooks are accepted.
    Accepted(usize),
    /// When so many more messages have arrived at the far side.
    Sent(usize),
}

/// A generator of its own (SplitMix64), since a seed must mean the same on every machine.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn moment(&mut self) -> Moment {
        match self.below(4) {
            0 => Moment::InStart(self.below(1_500)),
            1 => Moment::Accepted(1 + self.below(NEW as u64) as usize),
            _ => Moment::Sent(1 + self.below(2 * NEW as u64) as usize),
        }
    }
}

/// The variable's number, or what is usual.
fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => usual,
    }
}

/// Another one every time unless it is given: the process id is all the chance that is needed.
fn seed() -> u64 {
    number("MOLTRUN_KILL_SEED", u64::from(std::process::id()))
}

/// How long a start takes on this machine, on the way to a daemon that has done nothing yet.
fn ordinary_start(folder: &Folder) -> Duration {
    let began = Instant::now();
    Daemon::start(folder).kill();
    began.elapsed()
}

fn thousandths(time: Duration, part: u64) -> Duration {
    time * part as u32 / 1_000
}

/// Says the seed if the test fails.
struct SaysSeed(u64);

impl Drop for SaysSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- again with MOLTRUN_KILL_SEED={} ---", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_fifty_times_at_random_it_loses_nothing_and_repeats_nothing() {
    let seed = seed();
    let kills = number("MOLTRUN_KILLS", KILLS as u64) as usize;
    let _says_seed = SaysSeed(seed);
    let mut seeded = Seeded(seed);
    let far = GuideServer::start();
    let folder = Fleet::folder(far.address());
    let mut fleet = Fleet::default();
    let (mut start, mut early) = (ordinary_start(&folder), 0);
    for _ in 0..kills {
        let moment = seeded.moment();
        // Both prove that nothing was done, so neither may cost a message.
        far.model_fails_with((0..seeded.below(3)).map(|_| 503));
        far.script((0..seeded.below(2)).map(|_| Answer::RateLimited { retry_after_s: 0 }));
        let began = Instant::now();
        let starting = Starting::of(&mut folder.command(["serve"]));
        let time = if let Moment::InStart(part) = moment { thousandths(start, part) } else { PATIENCE };
        let daemon = match starting.listens_within(time) {
            Ok(daemon) => daemon,
            Err(stderr) => {
                assert!(matches!(moment, Moment::InStart(_)), "it did not start; stderr:\n{stderr}");
                assert!(!stderr.contains("error:"), "it could not start; stderr:\n{stderr}");
                early += 1;
                continue;
            }
        };
        // The latest says most of the next: how much there is to recover, and what else the machine does.
        start = began.elapsed();
        let before = far.ledger().len();
        let (count, mut taken) = watch::channel(0);
        let posting = fleet.post(daemon.api(), NEW, count);
        match moment {
            Moment::InStart(_) => {}
            Moment::Accepted(wanted) => drop(taken.wait_for(|count| *count >= wanted).await.unwrap()),
            Moment::Sent(wanted) => far.ledger().arrived(before + wanted).await,
        }
        if seeded.below(4) == 0 {
            // As service managers do: they ask first, and kill in the middle of what follows.
            daemon.signal("TERM");
        }
        daemon.kill();
        fleet.posted(posting).await;
    }

    let daemon = Daemon::start(&folder);
    fleet.finish(daemon.api()).await;
    let account = fleet.account(daemon.api(), &far).await;
    eprintln!("seed {seed}, {kills} kills, {early} of them before it listened: {account:?}");
    // Holding everything would be no proof of anything.
    assert!(account.held <= kills * WORKERS, "more are held than kills can have interrupted");
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

/// There is no database yet, or half of one, or one that nothing was ever written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_makes_its_database_it_starts_all_the_same() {
    let seed = seed();
    let _says_seed = SaysSeed(seed);
    let mut seeded = Seeded(seed);
    let far = GuideServer::start();
    let start = ordinary_start(&Fleet::folder(far.address()));
    for life in 1..=12 {
        let folder = Fleet::folder(far.address());
        let time = thousandths(start, seeded.below(1_000));
        if let Ok(daemon) = Starting::of(&mut folder.command(["serve"])).listens_within(time) {
            daemon.kill();
        }
        let daemon = Daemon::start(&folder);
        let answered = daemon.api().webhook(load::question(&format!("M{life}")).to_string(), None).await.unwrap();
        assert_eq!(answered.status, 200, "{answered:?}");
    }
}
