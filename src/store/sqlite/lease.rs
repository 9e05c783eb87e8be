//! Who owns the database: a row that its owner renews while it lives. The lock file tells two processes of one machine
//! apart; the lease is for what it cannot tell: a lock file that somebody removed, a folder that two machines share.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::{Executor, Row, SqliteConnection};

use super::error::store_error;
use super::lock::{FileId, Lock};
use super::schema::SchemaError;
use super::script::Script;
use crate::base::{Millis, limits};
use crate::engine::ports::{Clock, StoreError};

/// A process, so that another one can tell whether it is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// The machine's name, for people.
    host: String,
    /// Of the machine's kernel since it started; empty where there is none to read.
    boot: String,
    pid: u32,
    /// The table that the pid is of: containers have their own.
    pids: String,
    /// When the process began, in the kernel's ticks: a pid is given out again.
    began: String,
    /// The lock file it holds.
    lock: FileId,
}

/// This process's lease.
#[derive(Clone)]
pub struct Lease {
    holder: String,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("it is in use by the moltrun process {pid} on {host}; stop that one first, or name another database")]
    Held { pid: u32, host: String },
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<sqlx::Error> for LeaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Schema(error.into())
    }
}

/// What a look at the lease says.
enum Look {
    /// Ours now, with this epoch.
    Taken(i64),
    Held(Holder, Millis),
}

impl Lease {
    /// For the process that holds `lock`.
    pub fn new(lock: &Lock, clock: Arc<dyn Clock>) -> Self {
        let holder = Holder::of_this_process(lock.id());
        // A struct of texts and numbers.
        let holder = serde_json::to_string(&holder).unwrap_or_default();
        Self { holder, clock }
    }

    /// Makes this process the owner and gives its epoch: a writer of an earlier one is refused from now on. An owner that
    /// is there no more is followed at once; one of which that cannot be proved is given the time of a lease to renew it.
    pub async fn take(&self, connection: &mut SqliteConnection, database: &Path) -> Result<i64, LeaseError> {
        let start = self.clock.now();
        let mut seen = None;
        loop {
            let patient = seen.is_some() && self.clock.now().saturating_sub(start) < limits::LEASE_MS;
            let (holder, until) = match self.look(connection, seen.is_some() && !patient).await? {
                Look::Taken(epoch) => return Ok(epoch),
                Look::Held(holder, until) => (holder, until),
            };
            match seen {
                Some(before) if before != until => return Err(LeaseError::Held { pid: holder.pid, host: holder.host }),
                Some(_) => {}
                None => tracing::warn!(
                    database = %database.display(), pid = holder.pid, host = %holder.host,
                    "another process may be using the database; waiting for its lease to end, {} seconds at most",
                    limits::LEASE_MS / 1000
                ),
            }
            seen = Some(until);
            let pause = self.clock.now().saturating_add(limits::LEASE_LOOK_MS);
            self.clock.sleep_until(pause).await;
        }
    }

    /// One look, in one transaction. `force`: whoever holds it has not renewed it in its time.
    async fn look(&self, connection: &mut SqliteConnection, force: bool) -> Result<Look, LeaseError> {
        connection.execute("BEGIN IMMEDIATE").await?;
        let row = connection.fetch_one("SELECT holder, until FROM lease").await?;
        let (holder, until): (String, Millis) = (row.try_get(0)?, row.try_get(1)?);
        let holder: Option<Holder> = serde_json::from_str(&holder).ok();
        let own: Option<Holder> = serde_json::from_str(&self.holder).ok();
        let gone = |holder: &Holder| own.as_ref().is_some_and(|own| holder.is_gone(own));
        if let Some(holder) = holder.filter(|holder| !force && until > self.clock.now() && !gone(holder)) {
            connection.execute("ROLLBACK").await?;
            return Ok(Look::Held(holder, until));
        }
        let take = sqlx::query("UPDATE lease SET holder = ?, until = ?").bind(&self.holder).bind(self.until());
        take.execute(&mut *connection).await?;
        let epoch = connection
            .fetch_one("UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value")
            .await?
            .try_get(0)?;
        connection.execute("COMMIT").await?;
        Ok(Look::Taken(epoch))
    }

    fn until(&self) -> Millis {
        self.clock.now().saturating_add(limits::LEASE_MS)
    }

    /// Adds the renewal to a transaction that has checked the epoch.
    pub fn renew(&self, script: &mut Script) {
        script.add_integers("UPDATE lease SET until = $a", &[self.until()]);
    }

    /// Gives the lease back, if it is still this process's.
    pub async fn release(&self, connection: &mut SqliteConnection, epoch: i64) -> Result<(), StoreError> {
        let release = sqlx::query("UPDATE lease SET until = 0 WHERE (SELECT value FROM meta WHERE key = 'epoch') = ?");
        release.bind(epoch).execute(connection).await.map(|_| ()).map_err(store_error)
    }
}

/// The process whose lease runs at `now`, unless that is proved to have ended; for who only looks.
pub async fn owner(connection: &mut SqliteConnection, now: Millis) -> Result<Option<u32>, sqlx::Error> {
    let Some(row) = connection.fetch_optional("SELECT holder, until FROM lease").await? else { return Ok(None) };
    let (holder, until): (String, Millis) = (row.try_get(0)?, row.try_get(1)?);
    // A lock that nobody has, so that only the end of the process proves anything.
    let own = Holder::of_this_process(FileId { device: 0, inode: 0 });
    let holder = serde_json::from_str::<Holder>(&holder).ok();
    let alive = holder.filter(|holder| until > now && !holder.is_gone(&own));
    Ok(alive.map(|holder| holder.pid))
}

impl Holder {
    fn of_this_process(lock: FileId) -> Self {
        let pid = std::process::id();
        Self {
            host: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            pid,
            pids: pid_table(),
            began: began(pid).unwrap_or_default(),
            lock,
        }
    }

    /// Is it proved that this process is no more? `own` is the one that asks, and that has its lock.
    fn is_gone(&self, own: &Self) -> bool {
        let one_kernel = !self.boot.is_empty() && self.boot == own.boot;
        // The kernel frees a lock only when its holder ends; and while it is held, no other file gets its number.
        let had_our_lock = self.lock == own.lock;
        let has_ended =
            || !self.pids.is_empty() && self.pids == own.pids && began(self.pid).as_ref() != Some(&self.began);
        one_kernel && (had_our_lock || has_ended())
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_string()).unwrap_or_default()
}

fn pid_table() -> String {
    std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`; the second one is a name in parentheses that may hold spaces. None: no such process.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(change: impl FnOnce(&mut Holder)) -> Holder {
        let mut holder = Holder::of_this_process(FileId { device: 1, inode: 1 });
        change(&mut holder);
        holder
    }

    #[test]
    fn only_a_proof_makes_a_holder_gone() {
        let other_lock = FileId { device: 1, inode: 2 };
        let own = holder(|_| {});
        let cases = [
            ("its lock is ours now", holder(|_| {}), true),
            ("alive, with a lock file that is no longer there", holder(|holder| holder.lock = other_lock), false),
            (
                "the pid is another process's by now",
                holder(|holder| (holder.lock, holder.began) = (other_lock, "1".to_string())),
                true,
            ),
            (
                "of another container",
                holder(|holder| (holder.lock, holder.pids, holder.pid) = (other_lock, "pid:[1]".to_string(), 1)),
                false,
            ),
            ("of another machine, or from before a restart", holder(|holder| holder.boot = "b".to_string()), false),
        ];
        for (what, holder, gone) in cases {
            assert_eq!(holder.is_gone(&own), gone, "{what}");
        }
    }
}
