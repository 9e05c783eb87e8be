//! The pause before the next attempt. Pure: the jitter is drawn from the run's id, so that a replay waits as long.

use crate::lang::workflow::Retry;

/// The shortest pause a far side may name, in milliseconds: a `Retry-After: 0` must not become a busy loop.
pub const LATER_AT_LEAST_MS: u64 = 50;

/// The pause after failed attempt `attempt` (from 1), in milliseconds. With jitter it is spread over half to the whole of it.
pub fn pause_ms(retry: &Retry, attempt: u32, salt: u64) -> u64 {
    let exponent = attempt.saturating_sub(1).min(64) as i32;
    let full = (retry.initial_ms as f64 * retry.factor.powi(exponent)).min(retry.max_ms as f64).max(0.0) as u64;
    if !retry.jitter {
        return full;
    }
    let half = full / 2;
    half + mix(salt.wrapping_add(u64::from(attempt))) % (full - half + 1)
}

/// SplitMix64's finaliser: neighbouring salts give unrelated numbers.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let retry = Retry { attempts: 9, initial_ms: 1_000, factor: 2.0, max_ms: 5_000, jitter: false };
        let pauses: Vec<_> = (1..=5).map(|attempt| pause_ms(&retry, attempt, 7)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    proptest! {
        #[test]
        fn jitter_keeps_at_least_half(attempt in 1u32..200, salt: u64, initial_ms in 0u64..1 << 40, factor in 0.0f64..1e6) {
            let plain = Retry { attempts: 9, initial_ms, factor, max_ms: 60_000, jitter: false };
            let full = pause_ms(&plain, attempt, salt);
            let spread = pause_ms(&Retry { jitter: true, ..plain }, attempt, salt);
            prop_assert!(full <= 60_000 && spread <= full && spread >= full / 2);
        }
    }
}
