//! Who may call: the API key, and access tokens that expire.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};

use crate::base::{Millis, limits};

/// The life of a refresh token, in milliseconds: 30 days, longer than any trial.
const REFRESH_LIFE_MS: Millis = 30 * 24 * 60 * 60 * 1000;

/// Tokens that were handed out, newest kept.
#[derive(Default)]
pub struct Tokens {
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Expiry by token.
    access: HashMap<String, Millis>,
    refresh: HashMap<String, Millis>,
    order: VecDeque<(String, String)>,
}

impl Tokens {
    /// A new pair: access and refresh token.
    pub fn issue(&self, random: u128, now: Millis, life_s: u64) -> (String, String) {
        let (access, refresh) = (format!("sandbox-access-{random:032x}"), format!("sandbox-refresh-{random:032x}"));
        let life_ms = Millis::try_from(life_s.saturating_mul(1_000)).unwrap_or(Millis::MAX);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.order.len() == limits::SANDBOX_TOKENS
            && let Some((access, refresh)) = kept.order.pop_front()
        {
            kept.access.remove(&access);
            kept.refresh.remove(&refresh);
        }
        kept.access.insert(access.clone(), now.saturating_add(life_ms));
        kept.refresh.insert(refresh.clone(), now.saturating_add(REFRESH_LIFE_MS));
        kept.order.push_back((access.clone(), refresh.clone()));
        (access, refresh)
    }

    /// Pairs that were issued and not yet forgotten.
    #[cfg(test)]
    pub fn issued(&self) -> usize {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    pub fn is_access(&self, token: &str, now: Millis) -> bool {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.access.get(token).is_some_and(|expires_at| now < *expires_at)
    }

    /// Takes a refresh token: each works once.
    pub fn spend_refresh(&self, token: &str, now: Millis) -> bool {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.refresh.remove(token).is_some_and(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_expires_and_refresh_works_once() {
        let tokens = Tokens::default();
        let (access, refresh) = tokens.issue(1, 0, 60);
        assert!(tokens.is_access(&access, 59_999));
        assert!(!tokens.is_access(&access, 60_000));
        assert!(!tokens.is_access(&refresh, 0));
        assert!(tokens.spend_refresh(&refresh, 60_000));
        assert!(!tokens.spend_refresh(&refresh, 60_000));
    }

    #[test]
    fn old_tokens_are_forgotten() {
        let tokens = Tokens::default();
        let (first, _) = tokens.issue(0, 0, 60);
        for random in 1..=limits::SANDBOX_TOKENS as u128 {
            tokens.issue(random, 0, 60);
        }
        assert!(!tokens.is_access(&first, 0));
        assert_eq!(tokens.kept.read().unwrap().access.len(), limits::SANDBOX_TOKENS);
    }
}
