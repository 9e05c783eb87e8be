//! The typed client against the sandbox: every call, both credentials, expiry, limits.

use futures::future::join_all;

use super::*;
use crate::base::Secret;
use crate::moltflow::{ApiError, chat_id};
use crate::sandbox::RateLimit;

#[tokio::test]
async fn every_call_with_both_credentials() {
    let (sandbox, clock) = start(Options::default()).await;
    for credentials in [key(), login()] {
        let client = moltflow(&sandbox, credentials, clock.clone());
        let sessions = client.list_sessions().await.unwrap();
        let shown: Vec<_> = sessions.iter().map(|session| (session.name.as_str(), session.status.as_str())).collect();
        assert_eq!(shown, [("support-team", "working"), ("sales-bot", "qr_code")]);

        let sent =
            client.send_message("support-team", &chat_id::parse("+1 555 123 4567").unwrap(), "Hi").await.unwrap();
        assert_eq!(sent.timestamp, Some(NOW / 1_000));
        assert_eq!(sandbox.ledger().last().unwrap().id, sent.message_id);

        let webhook = client.create_webhook("http://127.0.0.1:9/hook", &["message", "message"]).await.unwrap();
        assert_eq!(webhook.events, ["message"]);
    }
    let ledger = sandbox.ledger();
    assert_eq!((ledger.len(), *sandbox.sent().borrow()), (2, 2));
    assert_ne!(ledger[0].id, ledger[1].id);
    sandbox.stop().await;
}

#[tokio::test]
async fn refusals_carry_their_code() {
    let (sandbox, clock) = start(Options::default()).await;
    let client = moltflow(&sandbox, key(), clock.clone());
    let to = chat_id::parse("15551234567@c.us").unwrap();
    for (session, code) in [("nobody", "SESSION_NOT_FOUND"), ("sales-bot", "SESSION_NOT_WORKING")] {
        let error = client.send_message(session, &to, "x").await.unwrap_err();
        assert!(matches!(&error, ApiError::Refused { error_code: Some(found), .. } if found == code), "{error:?}");
    }
    let error = client.create_webhook("ftp://x", &["message"]).await.unwrap_err();
    assert!(error.to_string().contains("VALIDATION_ERROR"), "{error}");
    let wrong = moltflow(&sandbox, Credentials::ApiKey(Secret::new("molt_sk_wrong")), clock);
    let error = wrong.list_sessions().await.unwrap_err();
    assert!(matches!(error, ApiError::Refused { status: 401, .. }), "{error:?}");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_token_that_expires_under_32_callers_is_refreshed_once() {
    let (sandbox, clock) = start(Options::default()).await;
    let client = moltflow(&sandbox, login(), clock.clone());
    let all = || async {
        for result in join_all((0..32).map(|_| client.list_sessions())).await {
            result.unwrap();
        }
    };
    all().await;
    assert_eq!(sandbox.world.tokens.issued(), 1);
    // A minute before expiry it is renewed; long after it, too.
    for (seconds, issued) in [(3_530, 1), (20, 2), (100_000, 3)] {
        clock.advance(seconds * 1_000);
        all().await;
        assert_eq!(sandbox.world.tokens.issued(), issued, "{seconds}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_rate_limit_is_announced_obeyed_and_ends() {
    let rate_limit = Some(RateLimit { requests: 3, window_ms: 60_000 });
    let (sandbox, clock) = start(Options { rate_limit, ..Options::default() }).await;
    let (one, other) = (moltflow(&sandbox, key(), clock.clone()), moltflow(&sandbox, key(), clock.clone()));
    for _ in 0..3 {
        one.list_sessions().await.unwrap();
    }
    // The first client was told that nothing remains; the second one has to ask.
    for client in [&one, &other] {
        let error = client.list_sessions().await.unwrap_err();
        assert!(matches!(error, ApiError::Later { after_ms: 60_000, .. }), "{error:?}");
    }
    clock.advance(60_000);
    one.list_sessions().await.unwrap();
    sandbox.stop().await;
}
