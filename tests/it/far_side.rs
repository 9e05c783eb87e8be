//! The instrument itself: a far side that lost or doubled a message of its own accord would prove nothing.

use serde_json::{Value, json};

use crate::support::guide_server::{API_KEY, EMAIL, MODEL_KEY, PASSWORD};
use crate::support::{Answer, GuideServer, Reserved, http_client};

async fn send(client: &reqwest::Client, far: &GuideServer, text: &str) -> reqwest::Result<(u16, String)> {
    let url = format!("http://{}/api/v2/sessions/support-team/messages", far.address());
    let request = client.post(url).header("x-api-key", API_KEY);
    let response = request.json(&json!({"chatId": "15551234567@c.us", "text": text})).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

fn texts(far: &GuideServer) -> Vec<String> {
    far.ledger().messages().into_iter().map(|message| message.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_to_each_request_what_its_script_says() {
    let far = GuideServer::start();
    let client = http_client();
    far.script([
        Answer::CutBefore,
        Answer::CutAfter,
        Answer::Garbage,
        Answer::Refused { status: 404, error_code: "SESSION_NOT_FOUND" },
    ]);
    assert!(send(&client, &far, "cut before").await.is_err());
    assert!(send(&client, &far, "cut after").await.is_err());
    assert_eq!(send(&client, &far, "garbage").await.unwrap(), (200, "<html>welcome to the proxy</html>".to_string()));
    let (status, body) = send(&client, &far, "refused").await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["error_code"], &body["status"]), (404, &json!("SESSION_NOT_FOUND"), &json!(404)));
    let (status, body) = send(&client, &far, "taken").await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(body["result"]["key"]["id"], "3EB000000000000002");

    assert_eq!(texts(&far), ["cut after", "garbage", "taken"]);
    assert_eq!(far.send_requests(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_until_its_time_is_over() {
    let far = GuideServer::start();
    let client = http_client();
    far.script([Answer::RateLimited { retry_after_s: 3600 }]);
    for _ in 0..3 {
        assert_eq!(send(&client, &far, "too early").await.unwrap().0, 429);
    }
    assert_eq!((far.send_requests(), far.ledger().len()), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_answers_wait_for_their_release() {
    let far = GuideServer::start();
    let client = http_client();
    far.hold_answers_after(1);
    assert_eq!(send(&client, &far, "first").await.unwrap().0, 200);
    let second = tokio::spawn({
        let (client, far) = (client.clone(), far.clone());
        async move { send(&client, &far, "second").await }
    });
    far.ledger().arrived(2).await;
    assert!(!second.is_finished());
    far.release_answers();
    assert_eq!(second.await.unwrap().unwrap().0, 200);
    assert_eq!(far.ledger().by_text(), [("first".to_string(), 1), ("second".to_string(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reserved_address_refuses_until_it_opens() {
    let reserved = Reserved::new();
    let address = reserved.address();
    let client = http_client();
    let refused = client.get(format!("http://{address}/api/v2/sessions")).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
    let far = reserved.open();
    assert_eq!(far.address(), address);
    assert_eq!(send(&client, &far, "now").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_with_a_credential_are_served() {
    let far = GuideServer::start();
    let client = http_client();
    let api = format!("http://{}/api/v2", far.address());
    let sessions = |token: String| {
        let request = client.get(format!("{api}/sessions")).bearer_auth(token);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(sessions("made-up".to_string()).await, 401);

    let login = async |email: &str, password: &str| {
        let request = client.post(format!("{api}/auth/login")).json(&json!({"email": email, "password": password}));
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(login(EMAIL, "guess").await["status"], 401);
    let token = login(EMAIL, PASSWORD).await["access_token"].as_str().unwrap().to_string();
    assert_eq!(sessions(token.clone()).await, 200);
    far.revoke_tokens();
    assert_eq!(sessions(token).await, 401);
    let refresh = client.post(format!("{api}/auth/refresh")).json(&json!({"refresh_token": "refresh-me"}));
    let fresh = refresh.send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(sessions(fresh["access_token"].as_str().unwrap().to_string()).await, 200);
    assert_eq!(far.authentications(), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_model_fails_as_told_and_else_repeats_the_question() {
    let far = GuideServer::start();
    far.model_fails_with([503]);
    let client = http_client();
    let ask = async || {
        let body = json!({"model": "gpt-4o-mini", "messages": [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"},
        ]});
        let url = format!("http://{}/v1/chat/completions", far.address());
        client.post(url).bearer_auth(MODEL_KEY).json(&body).send().await.unwrap()
    };
    assert_eq!(ask().await.status(), 503);
    let answer = ask().await.json::<Value>().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "You asked: Why?");
    assert_eq!(far.model_calls(), 2);
}
