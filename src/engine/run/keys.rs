//! Stored values that are read, changed and written by one run at a time: `state.*` and `once:`.
//!
//! The write goes into the commit of the step that made it. Whoever reads the key next must see it, so the key is held from
//! the reading until that commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::base::Json;
use crate::engine::ports::{Clock, Space, Store, StoreError, Write};

/// The keys that are held now. Cloning gives another handle to them.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Only keys that somebody holds or waits for: at most one for each attempt at work.
    turns: Mutex<Turns>,
}

/// Whoever waits for a `Turn` gets it in order.
type Turns = HashMap<(Space, Arc<str>), Arc<Turn<()>>>;

/// A key and its value. Nobody else reads it before this is dropped, which is after the commit that carries the write.
pub struct Held {
    /// As the store has it; None: there is none, or it has expired.
    pub value: Option<Json>,
    place: Place,
}

impl Held {
    pub fn space(&self) -> Space {
        self.place.key.0
    }

    pub fn key(&self) -> &str {
        &self.place.key.1
    }
}

/// A place in a key's line, from waiting to letting go.
struct Place {
    keys: Arc<Shared>,
    key: (Space, Arc<str>),
    turn: Option<OwnedMutexGuard<()>>,
}

impl Keys {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { store, clock, turns: Mutex::default() }))
    }

    /// Waits until nobody else holds the key, in order of asking, and reads its value. Dropping the future gives up the place
    /// in the line. A task that holds a key and asks for it again waits for ever.
    pub async fn hold(&self, space: Space, key: &str) -> Result<Held, StoreError> {
        let mut place = Place { keys: self.0.clone(), key: (space, key.into()), turn: None };
        let turn = self.0.turns().entry(place.key.clone()).or_default().clone();
        place.turn = Some(turn.lock_owned().await);
        let value = self.0.store.value(space, key, self.0.clock.now()).await?;
        Ok(Held { value, place })
    }

    /// The value of a key, whoever holds it.
    pub async fn value(&self, space: Space, key: &str) -> Result<Option<Json>, StoreError> {
        self.0.store.value(space, key, self.0.clock.now()).await
    }

    /// Keys that begin with `prefix`, in order, after `after`, with their values, whoever holds them; at most `limit`.
    pub async fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Json)>, StoreError> {
        self.0.store.values(space, prefix, after, limit, self.0.clock.now()).await
    }

    /// Writes values outside of any run's commit, for keys that the caller holds or that nobody holds.
    pub async fn put(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.0.store.put(writes).await
    }

    /// The key, if nobody holds it or waits for it: for those that hold other keys already and so must not wait.
    pub async fn try_hold(&self, space: Space, key: &str) -> Result<Option<Held>, StoreError> {
        let mut place = Place { keys: self.0.clone(), key: (space, key.into()), turn: None };
        let turn = self.0.turns().entry(place.key.clone()).or_default().clone();
        let Ok(turn) = turn.try_lock_owned() else { return Ok(None) };
        place.turn = Some(turn);
        let value = self.0.store.value(space, key, self.0.clock.now()).await?;
        Ok(Some(Held { value, place }))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.place.key).finish()
    }
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turn = None;
        let mut turns = self.keys.turns();
        // Clones are made under this lock alone: the last one is the table's.
        if turns.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures::FutureExt;
    use futures::future::{BoxFuture, join_all};
    use serde_json::json;

    use crate::base::{Millis, RunId};
    use crate::engine::event::{Event, RunStatus};
    use crate::engine::ports::{Commit, NewRun};
    use crate::store::memory::MemoryStore;

    /// Time that stands still.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Millis {
            5
        }

        fn sleep_until(&self, _: Millis) -> BoxFuture<'static, ()> {
            std::future::pending().boxed()
        }

        fn random(&self) -> u128 {
            0
        }
    }

    fn keys() -> (Arc<MemoryStore>, Keys) {
        let store = Arc::new(MemoryStore::default());
        (store.clone(), Keys::new(store, Arc::new(Still)))
    }

    async fn create(store: &MemoryStore, number: u128) -> RunId {
        let id = RunId::new(0, number);
        let run = NewRun {
            id,
            workflow: "w".into(),
            plan: "p".into(),
            trigger: "manual",
            created_at: 0,
            dedupe: None,
            lane: None,
            parent: None,
            first: serde_json::from_value::<Event>(
                json!({ "e": "run_created", "at": 0, "event": null, "inputs": null }),
            )
            .unwrap(),
        };
        store.create_runs(vec![run]).await.unwrap();
        id
    }

    async fn write(store: &MemoryStore, run: RunId, key: &str, value: Json) {
        let write = Write { space: Space::State, key: key.to_string(), value: Some(value), expires_at: None };
        let commit = Commit {
            run,
            expected: 1,
            events: Vec::new(),
            status: RunStatus::Running,
            wake_at: None,
            finished_at: None,
            expires_at: None,
            writes: vec![write],
            listens: None,
            snapshot: None,
        };
        store.commit(commit).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thousand_increments_of_ten_keys_are_all_counted() {
        let (store, keys) = keys();
        let increments = (0..1_000).map(|number| {
            let (store, keys) = (store.clone(), keys.clone());
            tokio::spawn(async move {
                let run = create(&store, number).await;
                let key = format!("count:{}", number % 10);
                let held = keys.hold(Space::State, &key).await.unwrap();
                let count = held.value.as_ref().map_or(0, |value| value.as_i64().unwrap());
                // Others have their chance to read too early.
                tokio::task::yield_now().await;
                write(&store, run, held.key(), json!(count + 1)).await;
            })
        });
        join_all(increments).await.into_iter().for_each(|increment| increment.unwrap());
        for key in 0..10 {
            let value = store.value(Space::State, &format!("count:{key}"), 5).await.unwrap();
            assert_eq!(value, Some(json!(100)));
        }
        assert!(keys.0.turns().is_empty());
    }

    #[tokio::test]
    async fn a_key_is_given_in_order_and_a_place_can_be_given_up() {
        let (_, keys) = keys();
        let first = keys.hold(Space::Once, "k").await.unwrap();
        let mut second = Box::pin(keys.hold(Space::Once, "k"));
        let mut third = Box::pin(keys.hold(Space::Once, "k"));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        // The same key of another space is another key.
        assert_eq!(keys.hold(Space::State, "k").await.unwrap().space(), Space::State);
        drop(first);
        assert!(futures::poll!(&mut third).is_pending());
        drop(second);
        assert!(third.await.is_ok_and(|held| held.value.is_none()));
        assert!(keys.0.turns().is_empty());
    }
}
