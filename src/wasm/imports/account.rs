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
    /// What calls at work would add to it.
    staged: i64,
}

/// Bytes that a value takes of its plugin's account.
pub(super) fn size(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len() + PLUGIN_STATE_ENTRY) as u64
}

impl Account {
    fn new(plugin: &str) -> Self {
        Self { prefix: format!("{plugin}/"), sums: Mutex::default() }
    }

    /// Makes room for `change` more bytes (or less); false if there is none. `recounts` says how often a call has had all
    /// of it read again, which it may once.
    pub(super) async fn stage(&self, keys: &Keys, change: i64, recounts: &mut u32) -> Result<bool, StoreError> {
        loop {
            {
                let mut sums = self.sums();
                if let Some(kept) = sums.kept {
                    let after = i128::from(kept) + i128::from(sums.staged) + i128::from(change);
                    if change <= 0 || after <= i128::from(PLUGIN_STATE_BYTES) {
                        sums.staged += change;
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

    /// The call that staged `change` has ended: with its commit to come, or without.
    pub(super) fn settle(&self, change: i64, is_kept: bool) {
        let mut sums = self.sums();
        sums.staged -= change;
        if is_kept {
            sums.kept = sums.kept.map(|kept| kept.saturating_add_signed(change));
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
