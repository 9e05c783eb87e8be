//! `moltrun:step/state`: values that outlive runs, of one plugin alone.
//!
//! What a call writes is staged in its [`Drawer`] and written with the step's success. Every key that was read or written
//! is held until that commit, so that whoever comes next reads what was written.
//!
//! Calls wait for each other's keys and never in a circle: a key that is greater than all those a call holds may be waited
//! for, as long as the call lasts; any other one is taken if it is free. In the store a key is `<plugin>/<key>` in
//! [`Space::Plugin`], a value is base64 in a JSON text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::asks;
use super::super::bindings::moltrun::step::state::{Host, StateError};
use super::super::state::State;
use super::super::text::clean;
use super::account::{Account, size};
use super::{Outside, patience, within};
use crate::base::Json;
use crate::base::limits::{PLUGIN_STATE_BYTES, PLUGIN_STATE_KEY, PLUGIN_STATE_KEYS, PLUGIN_STATE_VALUE};
use crate::engine::ports::{Held, Keys, Space, StoreError, Write};

/// The values of one call.
pub(super) struct Drawer {
    plugin: Arc<str>,
    keys: Keys,
    account: Arc<Account>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    slots: BTreeMap<String, Slot>,
    /// Room taken of the account, in bytes: what all that is staged adds to it. Less than nothing is nothing, because what is
    /// deleted is there for others until the commit.
    room: u64,
    recounts: u32,
}

/// One key that is held.
struct Slot {
    held: Held,
    stored: Option<Vec<u8>>,
    /// Some: set or deleted by this call.
    staged: Option<Option<Vec<u8>>>,
    /// What `staged` adds to the account, in bytes.
    change: i64,
}

impl Slot {
    fn value(&self) -> Option<&Vec<u8>> {
        self.staged.as_ref().unwrap_or(&self.stored).as_ref()
    }
}

impl Drawer {
    pub(super) fn new(plugin: Arc<str>, keys: Keys, account: Arc<Account>) -> Self {
        Self { plugin, keys, account, open: Mutex::default() }
    }

    /// Everything that was staged, to be committed, and the keys to be held until then. The drawer is empty afterwards.
    pub(super) fn close(&self) -> (Vec<Write>, Vec<Held>) {
        let Open { slots, room, .. } = std::mem::take(&mut *self.open());
        self.account.settle(room, true);
        let (mut writes, mut held) = (Vec::new(), Vec::new());
        for slot in slots.into_values() {
            let changed = slot.staged.filter(|staged| *staged != slot.stored);
            if let Some(value) = changed {
                let value = value.map(|value| Json::String(STANDARD.encode(value)));
                let key = slot.held.key().to_string();
                writes.push(Write { space: Space::Plugin, key, value, expires_at: None });
            }
            held.push(slot.held);
        }
        (writes, held)
    }

    async fn get(&self, key: &str, outside: &Outside, left_ms: u64) -> Result<Option<Vec<u8>>, StateError> {
        self.hold(key, outside, left_ms).await?;
        Ok(self.open().slots.get(key).and_then(Slot::value).cloned())
    }

    /// None deletes.
    async fn set(&self, key: &str, value: Option<Vec<u8>>, outside: &Outside, left_ms: u64) -> Result<(), StateError> {
        if value.as_ref().is_some_and(|value| value.len() > PLUGIN_STATE_VALUE) {
            return Err(StateError::TooLarge(PLUGIN_STATE_VALUE as u64));
        }
        self.hold(key, outside, left_ms).await?;
        let bytes = |value: Option<&Vec<u8>>| value.map_or(0, |value| size(key, value) as i64);
        let (change, from, to, mut recounts) = {
            let open = self.open();
            let Some(slot) = open.slots.get(key) else { return Err(gone()) };
            let change = bytes(value.as_ref()) - bytes(slot.stored.as_ref());
            let sum = open.slots.values().map(|slot| slot.change).sum::<i64>() - slot.change + change;
            (change, open.room, u64::try_from(sum).unwrap_or(0), open.recounts)
        };
        let staged = self.account.stage(&self.keys, from, to, &mut recounts);
        let staged = within(&**outside.clock(), left_ms, staged).await.ok_or_else(late)?.map_err(unavailable)?;
        let mut open = self.open();
        open.recounts = recounts;
        if !staged {
            return Err(StateError::TooLarge(PLUGIN_STATE_BYTES));
        }
        open.room = to;
        let Some(slot) = open.slots.get_mut(key) else { return Err(gone()) };
        (slot.staged, slot.change) = (Some(value), change);
        Ok(())
    }

    /// Has `key` in the drawer.
    async fn hold(&self, key: &str, outside: &Outside, left_ms: u64) -> Result<(), StateError> {
        if key.len() > PLUGIN_STATE_KEY {
            return Err(StateError::TooLarge(PLUGIN_STATE_KEY as u64));
        }
        if key.contains('\0') {
            return Err(StateError::Unavailable("a key holds the character 0; write it in another way".to_string()));
        }
        let may_wait = {
            let open = self.open();
            if open.slots.contains_key(key) {
                return Ok(());
            }
            if open.slots.len() >= PLUGIN_STATE_KEYS {
                return Err(StateError::TooLarge(PLUGIN_STATE_KEYS as u64));
            }
            open.slots.last_key_value().is_none_or(|(last, _)| last.as_str() < key)
        };
        let full = format!("{}/{key}", self.plugin);
        let held = if may_wait {
            let held = self.keys.hold(Space::Plugin, &full);
            within(&**outside.clock(), left_ms, held).await.ok_or_else(late)?.map_err(unavailable)?
        } else {
            let held = self.keys.try_hold(Space::Plugin, &full);
            let held = within(&**outside.clock(), left_ms, held).await.ok_or_else(late)?.map_err(unavailable)?;
            held.ok_or_else(|| {
                let key = clean(key, 64);
                StateError::Unavailable(format!(
                    "another call holds `{key}`, and this one holds greater keys; take keys in ascending order, then it waits"
                ))
            })?
        };
        let stored = match &held.value {
            None => None,
            Some(value) => Some(value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| {
                StateError::Unavailable(format!("the value of `{}` in the database is damaged", clean(key, 64)))
            })?),
        };
        let slot = Slot { held, stored, staged: None, change: 0 };
        self.open().slots.insert(key.to_string(), slot);
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was staged is forgotten, and its room is free again.
impl Drop for Drawer {
    fn drop(&mut self) {
        self.account.settle(self.open().room, false);
    }
}

fn unavailable(error: StoreError) -> StateError {
    StateError::Unavailable(error.to_string())
}

fn late() -> StateError {
    StateError::Unavailable("another call held the key for as long as this one lasts".to_string())
}

/// Nothing takes a slot out while its call is at work.
fn gone() -> StateError {
    StateError::Unavailable("the call is over".to_string())
}

impl State {
    /// The drawer, if this call has one; with the time that is left for waiting.
    fn drawer(&self) -> Result<(Arc<Outside>, u64), StateError> {
        let outside = self.outside().ok_or_else(|| StateError::Unavailable(self.closed().to_string()))?;
        if !outside.reach.state {
            let plugin = &outside.reach.plugin;
            let why = format!("state is not granted; to allow it, put {}", asks::state(plugin));
            outside.warn(&why);
            return Err(StateError::Unavailable(why));
        }
        let left_ms = patience(&self.deadline);
        Ok((outside, left_ms))
    }

    async fn change(&mut self, key: String, value: Option<Vec<u8>>) -> Result<(), StateError> {
        let (outside, left_ms) = self.drawer()?;
        outside.drawer.set(&key, value, &outside, left_ms).await
    }
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, StateError>> {
        self.count_call()?;
        Ok(match self.drawer() {
            Ok((outside, left_ms)) => outside.drawer.get(&key, &outside, left_ms).await,
            Err(error) => Err(error),
        })
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), StateError>> {
        self.count_call()?;
        Ok(self.change(key, Some(value)).await)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), StateError>> {
        self.count_call()?;
        Ok(self.change(key, None).await)
    }
}
