//! Which keys have made a run. The table of keys is written at its end only: keys come in no order, and an index over
//! them would change another page for each, of ever more pages. What such an index would say is in memory, in eight bytes
//! a key; it is made anew from the table when the database is opened.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};

use super::error::store_error;
use super::rows::run_id;
use super::script::{Rows, Script};
use crate::base::{Millis, RunId};
use crate::engine::ports::{Dedupe, NewRun, StoreError};

/// Of a key: two keys with the same one are taken for the same.
pub type Mark = [u8; 16];

pub fn mark(key: &str) -> Mark {
    let mut mark = Mark::default();
    mark.copy_from_slice(&Sha256::digest(key)[..16]);
    mark
}

/// Keys of a generation, by their number in the table: 16 bits of it.
const GENERATION_BITS: u32 = 16;

/// Two for each key, so that a search is short.
const SLOT_BITS: u32 = GENERATION_BITS + 1;

/// The part of a slot that is not the number; one bit of it says that the slot is taken.
const TAKEN: u32 = 1 << 31;

/// The keys in the table.
#[derive(Default)]
pub struct Keys {
    /// The number of the next key.
    next: i64,
    generations: BTreeMap<i64, Generation>,
}

/// A hash table of keys that came one after the other. One whose keys have all gone is dropped.
struct Generation {
    /// Open addressing; each is a part of the mark and a part of the number, or 0.
    slots: Box<[u32]>,
    keys: u32,
}

impl Keys {
    /// Those of a database that is being opened.
    pub async fn load(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        let mut keys = Self::default();
        // A generation as one text: a row for each key would take longer to hand over than to read.
        let select = "SELECT group_concat(printf('%04x', key & 65535) || hex(substr(mark, 1, 8)), '')
            FROM dedupe WHERE key >= ?1 AND key < ?1 + 65536";
        let first = "SELECT min(key) FROM dedupe WHERE key >= ?";
        while let Some(key) =
            sqlx::query_scalar::<_, Option<i64>>(first).bind(keys.next).fetch_one(&mut *connection).await?
        {
            let base = key >> GENERATION_BITS << GENERATION_BITS;
            let text: String = sqlx::query_scalar(select).bind(base).fetch_one(&mut *connection).await?;
            for entry in text.as_bytes().chunks_exact(20) {
                let entry = std::str::from_utf8(entry).unwrap_or_default();
                let number = i64::from_str_radix(&entry[..4], 16).unwrap_or_default();
                let mark = u64::from_str_radix(&entry[4..], 16).unwrap_or_default();
                keys.insert(base | number, mark);
            }
            keys.next = base + (1 << GENERATION_BITS);
        }
        let last = sqlx::query_scalar::<_, Option<i64>>("SELECT max(key) FROM dedupe").fetch_one(connection).await?;
        keys.next = last.map_or(0, |last| last + 1);
        Ok(keys)
    }

    /// Takes the next number for a key that is about to be written. A number whose transaction fails is not used again.
    fn add(&mut self, mark: &Mark) -> i64 {
        let key = self.next;
        self.next += 1;
        self.insert(key, head(mark));
        key
    }

    fn insert(&mut self, key: i64, head: u64) {
        let generation = self.generations.entry(key >> GENERATION_BITS).or_insert_with(Generation::new);
        generation.insert(key as u32 & ((1 << GENERATION_BITS) - 1), head);
    }

    /// The numbers that the key of this mark can have: nearly always none, or the one it has.
    fn find(&self, mark: &Mark, found: &mut impl FnMut(i64)) {
        let head = head(mark);
        for (number, generation) in &self.generations {
            generation.find(head, |key| found(number << GENERATION_BITS | i64::from(key)));
        }
    }

    /// What a key's removal from the table leaves behind is found no more: its row is not there.
    pub fn removed(&mut self, key: i64) {
        let number = key >> GENERATION_BITS;
        if let Some(generation) = self.generations.get_mut(&number) {
            generation.keys = generation.keys.saturating_sub(1);
            if generation.keys == 0 && number != self.next >> GENERATION_BITS {
                self.generations.remove(&number);
            }
        }
    }

    /// Decides for each of the runs, in their order, whether it is to be made.
    pub async fn claim(&mut self, connection: &mut SqliteConnection, runs: &[&NewRun]) -> Result<Claims, StoreError> {
        let keyed: Vec<_> = runs
            .iter()
            .filter_map(|run| run.dedupe.as_ref().map(|dedupe| (run.id, run.created_at, mark(&dedupe.key), dedupe)))
            .collect();
        let mut known: HashMap<Mark, (i64, Option<Millis>)> = HashMap::new();
        let mut made = HashSet::new();
        let suspects = self.suspects(&keyed)?;
        if let Some(script) = suspects {
            for row in script.run(connection).await.map_err(store_error)? {
                match row.try_get::<Option<&str>, _>(0).map_err(store_error)? {
                    Some(run) => drop(made.insert(run_id(run)?)),
                    None => {
                        let expires_at: Option<Millis> = row.try_get(2).map_err(store_error)?;
                        let mark = row.try_get::<&[u8], _>(1).map_err(store_error)?;
                        let key = row.try_get(3).map_err(store_error)?;
                        known.insert(mark.try_into().unwrap_or_default(), (key, expires_at));
                    }
                }
            }
        }
        let mut claims = Claims::default();
        for (run, created_at, mark, dedupe) in keyed {
            let live = |expires_at: &Option<Millis>| expires_at.is_none_or(|at| at > created_at);
            let claim = if made.contains(&run) {
                // By a try that failed and was durable all the same.
                Claim::Made
            } else if known.get(&mark).is_some_and(|(_, expires_at)| live(expires_at)) {
                Claim::Duplicate
            } else {
                // One that has expired and was not forgotten yet is overwritten.
                let key = known.get(&mark).map_or_else(|| self.add(&mark), |(key, _)| *key);
                known.insert(mark, (key, dedupe.expires_at));
                Claim::New { key, mark }
            };
            claims.0.insert(run, claim);
        }
        Ok(claims)
    }

    /// Looks for the keys that can be there, and for their runs.
    fn suspects(&self, keyed: &[(RunId, Millis, Mark, &Dedupe)]) -> Result<Option<Script>, StoreError> {
        let mut script = Script::default();
        let (mut keys, mut runs) = (Vec::new(), Rows::default());
        for (run, _, mark, _) in keyed {
            let before = keys.len();
            self.find(mark, &mut |key| keys.push(key));
            if keys.len() > before {
                runs.push(&[run]).map_err(unwritten)?;
            }
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let mut rows = Rows::default();
        keys.iter().try_for_each(|key| rows.push(&[key])).map_err(unwritten)?;
        script
            .add_rows("SELECT NULL, mark, expires_at, key FROM dedupe WHERE key IN (SELECT v ->> 0 FROM $rows)", rows);
        script.add_rows("SELECT id, NULL, NULL, NULL FROM runs WHERE id IN (SELECT v ->> 0 FROM $rows)", runs);
        Ok(Some(script))
    }
}

fn unwritten(error: serde_json::Error) -> StoreError {
    StoreError::Conflict(error.to_string())
}

fn head(mark: &Mark) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&mark[..8]);
    u64::from_be_bytes(head)
}

impl Generation {
    fn new() -> Self {
        Self { slots: vec![0; 1 << SLOT_BITS].into_boxed_slice(), keys: 0 }
    }

    fn insert(&mut self, key: u32, head: u64) {
        let mut at = Self::start(head);
        // There are twice as many slots as numbers; numbers are used once.
        while self.slots[at] != 0 {
            at = (at + 1) % self.slots.len();
        }
        self.slots[at] = Self::tag(head) | key;
        self.keys += 1;
    }

    fn find(&self, head: u64, mut found: impl FnMut(u32)) {
        let mut at = Self::start(head);
        while self.slots[at] != 0 {
            let slot = self.slots[at];
            if slot >> GENERATION_BITS << GENERATION_BITS == Self::tag(head) {
                found(slot & ((1 << GENERATION_BITS) - 1));
            }
            at = (at + 1) % self.slots.len();
        }
    }

    fn start(head: u64) -> usize {
        head as usize & ((1 << SLOT_BITS) - 1)
    }

    fn tag(head: u64) -> u32 {
        TAKEN | ((head >> SLOT_BITS) as u32) << GENERATION_BITS
    }
}

/// What was decided of the runs that have keys.
#[derive(Default)]
pub struct Claims(HashMap<RunId, Claim>);

pub enum Claim {
    /// To be written, with its key.
    New { key: i64, mark: Mark },
    /// It is there.
    Made,
    /// Another run has its key.
    Duplicate,
}

impl Claims {
    /// None: the run has no key.
    pub fn of(&self, run: RunId) -> Option<&Claim> {
        self.0.get(&run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_hardly_another() {
        let mut keys = Keys { next: 65_000, ..Keys::default() };
        let marks: Vec<_> = (0..70_000).map(|number| mark(&number.to_string())).collect();
        for (number, mark) in marks.iter().enumerate() {
            assert_eq!(keys.add(mark), 65_000 + number as i64);
        }
        let found = |keys: &Keys, mark: &Mark| {
            let mut found = Vec::new();
            keys.find(mark, &mut |key| found.push(key));
            found
        };
        let mut more = 0;
        for (number, mark) in marks.iter().enumerate() {
            let found = found(&keys, mark);
            assert!(found.contains(&(65_000 + number as i64)));
            more += found.len() - 1;
        }
        let others = (0..70_000).filter(|number| !found(&keys, &mark(&format!("other {number}"))).is_empty());
        assert!(more < 50 && others.count() < 50);
        assert_eq!(keys.generations.len(), 3);
        (0..65_536 * 2).for_each(|key| keys.removed(key));
        assert_eq!(keys.generations.len(), 1);
        assert_eq!(found(&keys, &marks[0]), Vec::<i64>::new());
    }
}
