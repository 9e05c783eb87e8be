//! How much each plugin keeps in its state. The sum is read from the store when it is first needed and counted from then
//! on; before anything is refused it is read anew, so that a commit that never came costs a plugin nothing for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::Json;
use crate::base::limits::{PAGE, PLUGIN_STATE_BYTES, PLUGIN_STATE_ENTRY};
use crate::engine::ports::{Keys, Space, StoreError};

/// Of all plugins, by name. They outlive the components: a plugin that is loaded anew keeps what it keeps.
#[derive(Default)]
pub(in crate::wasm) struct Accounts(Mutex<BTreeMap<String, Arc<Account>>>);

impl Accounts {
    pub(super) fn of(&self, plugin: &str) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(plugin.to_string()).or_insert_with(|| Arc::new(Account::new(plugin))).clone()
    }
}

/// Of one plugin.
pub(super) struct Account {
    /// Of its keys in the store.
    prefix: String,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    /// As far as it is known, in bytes; None: never read.
    kept: Option<u64>,
    /// Room that calls at work have taken.
    staged: u64,
}

/// Bytes that a value takes of its plugin's account.
pub(super) fn size(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len() + PLUGIN_STATE_ENTRY) as u64
}

impl Account {
    fn new(plugin: &str) -> Self {
        Self { prefix: format!("{plugin}/"), sums: Mutex::default() }
    }

    /// Gives a call that has taken `from` bytes of room `to` bytes instead; false if there is not so much. `recounts` says
    /// how often the call has had all of it read again, which it may once.
    pub(super) async fn stage(&self, keys: &Keys, from: u64, to: u64, recounts: &mut u32) -> Result<bool, StoreError> {
        loop {
            {
                let mut sums = self.sums();
                if let Some(kept) = sums.kept {
                    let staged = sums.staged.saturating_sub(from).saturating_add(to);
                    if to <= from || kept.saturating_add(staged) <= PLUGIN_STATE_BYTES {
                        sums.staged = staged;
                        return Ok(true);
                    }
                    if *recounts > 0 {
                        return Ok(false);
                    }
                    *recounts += 1;
                }
            }
            let kept = self.read(keys).await?;
            self.sums().kept = Some(kept);
        }
    }

    /// The call that took `room` has ended: with its commit to come, or without. What it deleted counts until all is read
    /// again: the commit may still fail, and then it is all there.
    pub(super) fn settle(&self, room: u64, is_kept: bool) {
        let mut sums = self.sums();
        sums.staged = sums.staged.saturating_sub(room);
        if is_kept {
            sums.kept = sums.kept.map(|kept| kept.saturating_add(room));
        }
    }

    async fn read(&self, keys: &Keys) -> Result<u64, StoreError> {
        let (mut sum, mut after) = (0, None);
        loop {
            let page = keys.values(Space::Plugin, self.prefix.clone(), after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(sum) };
            after = Some(last.clone());
            let length = |value: &Json| value.as_str().map_or(0, |text| text.len() / 4 * 3);
            let size =
                |(key, value): &(String, Json)| key.len() - self.prefix.len() + length(value) + PLUGIN_STATE_ENTRY;
            sum += page.iter().map(size).sum::<usize>() as u64;
        }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
