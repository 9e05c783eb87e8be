//! A limit is honoured before it is met.

use futures::future::join_all;

use super::far::{Far, Nature};
use super::*;
use crate::engine::ports::Clock;

/// Calls until one is answered, waiting as long as it is told to: time goes on for everybody then.
async fn call(far: &Far, client: &MoltFlow) {
    loop {
        match client.list_sessions().await {
            Ok(_) => return,
            Err(ApiError::Later { after_ms, .. }) => {
                let until = far.clock.now() + after_ms as i64;
                while far.clock.now() < until {
                    far.clock.advance((until - far.clock.now()).min(50));
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_crowd_does_not_run_into_a_limit_that_was_announced() {
    for (limit, step_ms) in [(7, 1), (1, 0), (40, 13)] {
        let far = Far::start(Nature { limit: Some((limit, 2_000)), step_ms, ..Nature::default() }).await;
        // Two steps, two runs, one credential: one client.
        let client = far.client(key());
        call(&far, &client).await;
        let caller = async || {
            for _ in 0..8 {
                call(&far, &client).await;
            }
        };
        join_all((0..24).map(|_| caller())).await;
        far.seen(|seen| assert_eq!((seen.overshoots, seen.requests), (0, 24 * 8 + 1), "{limit}"));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_its_place() {
    let far = Far::start(Nature { limit: Some((2, 2_000)), ..Nature::default() }).await;
    let client = far.client(key());
    client.list_sessions().await.unwrap();
    // Polled until it has a permit, then dropped as a step is whose time is over.
    let mut given_up = Box::pin(client.list_sessions());
    assert!(futures::poll!(&mut given_up).is_pending());
    drop(given_up);
    // It may have been counted over there, so that nothing remains here.
    let error = client.list_sessions().await.unwrap_err();
    assert!(error.is_rate_limited(), "{error:?}");
    far.clock.advance(2_000);
    client.list_sessions().await.unwrap();
}
