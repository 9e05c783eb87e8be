//! Tokens that end while 32 callers use them.

use futures::future::join_all;

use super::far::{Far, Nature};
use super::*;
use crate::moltflow::Refusal;

const CALLERS: usize = 32;

/// All of them call, again and again, until this many requests were made. None of the calls may fail.
async fn call_until(far: &Far, client: &MoltFlow, requests: u64) {
    let caller = async || {
        while far.seen(|seen| seen.requests) < requests {
            client.list_sessions().await.unwrap();
        }
    };
    join_all((0..CALLERS).map(|_| caller())).await;
}

#[tokio::test]
async fn tokens_of_a_second_are_refreshed_once_each() {
    let nature = Nature { life_ms: 1_000, said_ms: 1_000, step_ms: 1, ..Nature::default() };
    let far = Far::start(nature).await;
    let client = far.signed_in();
    call_until(&far, &client, 5_000).await;
    far.seen(|seen| {
        assert_eq!((seen.logins, seen.reused), (1, 0));
        // Each token lives for a second and is replaced in the last tenth of it.
        let elapsed = seen.requests;
        assert!(seen.refreshes >= elapsed / 1_000 - 1, "{} in {elapsed} ms", seen.refreshes);
        assert!(seen.refreshes <= elapsed / 900 + 1, "{} in {elapsed} ms", seen.refreshes);
    });
}

#[tokio::test]
async fn tokens_that_end_earlier_than_they_say_cost_one_refresh_each() {
    let nature = Nature { life_ms: 1_000, step_ms: 1, ..Nature::default() };
    let far = Far::start(nature).await;
    let client = far.signed_in();
    call_until(&far, &client, 5_000).await;
    far.seen(|seen| {
        assert_eq!((seen.logins, seen.reused), (1, 0));
        assert!(seen.unauthorized > 0);
        assert!(seen.refreshes <= seen.requests / 1_000, "{} in {} ms", seen.refreshes, seen.requests);
        // Those who had signed already when it ended, and nobody twice.
        assert!(seen.unauthorized <= (seen.refreshes + 1) * CALLERS as u64, "{}", seen.unauthorized);
    });
}

#[tokio::test]
async fn a_storm_of_401s_is_one_refresh() {
    let far = Far::start(Nature::default()).await;
    let client = far.signed_in();
    client.list_sessions().await.unwrap();
    for storm in 1..=3 {
        far.revoke();
        for result in join_all((0..CALLERS).map(|_| client.list_sessions())).await {
            result.unwrap();
        }
        assert_eq!(far.seen(|seen| (seen.logins, seen.refreshes, seen.reused)), (1, storm, 0));
    }
}

#[tokio::test]
async fn where_refreshing_is_refused_all_share_one_login() {
    let far = Far::start(Nature { refreshes: false, ..Nature::default() }).await;
    let client = far.signed_in();
    client.list_sessions().await.unwrap();
    for logins in 2..=3 {
        far.revoke();
        for result in join_all((0..CALLERS).map(|_| client.list_sessions())).await {
            result.unwrap();
        }
        assert_eq!(far.seen(|seen| (seen.logins, seen.refreshes)), (logins, 0));
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_once_a_minute_by_all_together() {
    let far = Far::start(Nature { password: "another", ..Nature::default() }).await;
    let client = far.signed_in();
    for _ in 0..2 {
        for result in join_all((0..CALLERS).map(|_| client.list_sessions())).await {
            let error = result.unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::Unauthorized));
            let text = error.to_string();
            assert!(text.contains("INVALID_CREDENTIALS") && text.contains("`moltflow.password`"), "{text}");
            assert!(!text.contains("password-1"), "{text}");
            assert!(matches!(StepError::from(error), StepError::Permanent(_)));
        }
        assert_eq!(far.seen(|seen| seen.refused_logins), 1);
    }
    // The password is set right on the far side: a minute later it is found out.
    far.changes(|nature| nature.password = far::PASSWORD);
    far.clock.advance(60_000);
    client.list_sessions().await.unwrap();
    assert_eq!(far.seen(|seen| (seen.refused_logins, seen.logins)), (1, 1));
}

#[tokio::test]
async fn a_token_that_is_never_believed_ends_in_its_refusal() {
    // Every token is over when it arrives.
    let far = Far::start(Nature { life_ms: 0, said_ms: 1_000, step_ms: 2_000, ..Nature::default() }).await;
    let error = far.signed_in().list_sessions().await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Unauthorized), "{error:?}");
    assert!(far.seen(|seen| seen.requests) < 30);
}
