//! What goes wrong, of either kind, and who is asked next.

use serde_json::json;

use super::super::{Kind, Provider};
use super::model::{KEY, Model, kind_of, output, plain, says, step};
use crate::base::{Json, Secret};
use crate::net::testing::{Answer, Scripted};
use crate::steps::testing::call;

async fn scripted(kind: Kind, answers: Vec<Answer>) -> (Scripted, Provider) {
    let server = Scripted::start(answers).await;
    let provider = Provider { kind, ..Provider::new(format!("{}/v1", server.url), Some(Secret::new(KEY)), "small") };
    (server, provider)
}

#[tokio::test]
async fn what_the_provider_answers_decides() {
    let openai = |message: &str, code: &str| {
        json!({"error": {"message": message, "type": "x", "param": null, "code": code}}).to_string()
    };
    let anthropic =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
    let finish = |content: Json, word: &str| {
        json!({"choices": [{"message": {"content": content}, "finish_reason": word}]}).to_string()
    };
    let refusal = json!({"choices": [{"message": {"content": null, "refusal": "I cannot."}, "finish_reason": "stop"}]})
        .to_string();
    let stopped = |content: Json, word: &str| json!({"content": content, "stop_reason": word}).to_string();
    use Kind::{Anthropic, OpenAi};
    for (kind, status, headers, body, expected, word) in [
        (
            OpenAi,
            401,
            "",
            openai("Incorrect API key provided: sk-secret-key.", "invalid_api_key"),
            "permanent ai.unauthorized",
            "[redacted]",
        ),
        (OpenAi, 403, "", "{}".to_string(), "permanent ai.unauthorized", "403"),
        (OpenAi, 400, "", openai("bad temperature", ""), "permanent ai.http_400", "bad temperature"),
        (
            OpenAi,
            400,
            "",
            openai("This model's maximum context length is 8192 tokens", "context_length_exceeded"),
            "permanent ai.context_too_long",
            "8192",
        ),
        (OpenAi, 400, "", openai("The response was filtered", "content_filter"), "permanent ai.refused", "filtered"),
        (OpenAi, 404, "", r#"{"error": "no such model"}"#.to_string(), "permanent ai.no_model", "no such model"),
        (OpenAi, 404, "", "<html>".to_string(), "permanent ai.no_model", "no message"),
        (OpenAi, 302, "location: http://169.254.169.254/\r\n", String::new(), "permanent ai.http_302", "302"),
        (OpenAi, 402, "", "{}".to_string(), "permanent ai.no_credit", "402"),
        (OpenAi, 429, "retry-after: 7\r\n", "{}".to_string(), "later ai.http_429", "429"),
        (OpenAi, 429, "", "{}".to_string(), "transient ai.http_429", "429"),
        (OpenAi, 429, "retry-after: 7\r\n", openai("no more", "insufficient_quota"), "permanent ai.no_credit", "429"),
        (OpenAi, 500, "", "{}".to_string(), "transient ai.http_500", "500"),
        (OpenAi, 503, "retry-after: 1\r\n", "{}".to_string(), "later ai.http_503", "503"),
        (OpenAi, 200, "", "garbage".to_string(), "transient ai.bad_answer", "no JSON"),
        (OpenAi, 200, "", "{}".to_string(), "transient ai.bad_answer", "no choices"),
        (OpenAi, 200, "", r#"{"choices": []}"#.to_string(), "transient ai.bad_answer", "no choices"),
        (OpenAi, 200, "", finish(json!(" "), "stop"), "transient ai.bad_answer", "empty"),
        (OpenAi, 200, "", finish(json!(null), "content_filter"), "permanent ai.refused", "filtered"),
        (OpenAi, 200, "", finish(json!(null), "length"), "permanent ai.cut", "max_tokens"),
        (OpenAi, 200, "", refusal, "permanent ai.refused", "refused"),
        (OpenAi, 200, "", finish(json!("x".repeat(200_000)), "stop"), "permanent ai.too_large", "max_tokens"),
        (
            Anthropic,
            401,
            "",
            anthropic("authentication_error", "invalid x-api-key sk-secret-key"),
            "permanent ai.unauthorized",
            "[redacted]",
        ),
        (Anthropic, 404, "", anthropic("not_found_error", "model: smal"), "permanent ai.no_model", "smal"),
        (
            Anthropic,
            400,
            "",
            anthropic("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
            "permanent ai.context_too_long",
            "250000",
        ),
        (Anthropic, 413, "", anthropic("request_too_large", "too large"), "permanent ai.context_too_long", "too large"),
        (
            Anthropic,
            429,
            "retry-after: 3\r\n",
            anthropic("rate_limit_error", "slow down"),
            "later ai.http_429",
            "slow down",
        ),
        (Anthropic, 529, "", anthropic("overloaded_error", "Overloaded"), "transient ai.http_529", "Overloaded"),
        (Anthropic, 200, "", "{}".to_string(), "transient ai.bad_answer", "no content"),
        (Anthropic, 200, "", stopped(json!([]), "end_turn"), "transient ai.bad_answer", "empty"),
        (
            Anthropic,
            200,
            "",
            stopped(json!([{"type": "text", "text": "I"}]), "refusal"),
            "permanent ai.refused",
            "filtered",
        ),
        (Anthropic, 200, "", stopped(json!([]), "max_tokens"), "permanent ai.cut", "max_tokens"),
    ] {
        let (_server, provider) = scripted(kind, vec![Answer::full(status, headers, &body)]).await;
        let error = output(&step(&[("main", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err();
        let (found, message) = kind_of(&error);
        assert_eq!(found, expected, "{kind:?} {status} {body:.200}: {message}");
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again() {
    for kind in [Kind::OpenAi, Kind::Anthropic] {
        let (_server, provider) = scripted(kind, vec![Answer::Close]).await;
        let error = output(&step(&[("main", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err();
        assert_eq!(kind_of(&error).0, "transient http.cut");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_permanent() {
    let step = step(&[("openai", Provider::new("http://127.0.0.1:9", Some(Secret::new(KEY)), "small"))]);
    for (input, code, word) in [
        (json!({"prompt": " "}), "ai.invalid", "prompt is empty"),
        (json!({"prompt": "x", "provider": "opena"}), "ai.unknown_provider", "did you mean `openai`?"),
        (json!({"prompt": "x", "provider": "zzz"}), "ai.unknown_provider", "known: openai"),
        (
            json!({"prompt": "x", "fallback": ["openai/big", "opena/big"]}),
            "ai.unknown_provider",
            "did you mean `openai`?",
        ),
        (json!({"prompt": "x", "fallback": 7}), "ai.invalid", "no list"),
        (json!({"prompt": "x", "fallback": vec!["openai"; 9]}), "ai.invalid", "more than the 8"),
        (json!({"prompt": "x", "max_tokens": 0}), "ai.invalid", "max_tokens"),
        (json!({"prompt": "x", "max_cost": -1}), "ai.invalid", "max_cost"),
        (json!({"prompt": "x", "output": {"type": "text"}}), "ai.invalid", "output"),
        (json!({"prompt": "x", "history": {"key": ""}}), "ai.invalid", "history.key is empty"),
        (json!({"prompt": "x", "history": {"key": "k", "turns": 0}}), "ai.invalid", "history.turns"),
        (json!({"prompt": "x", "history": {"key": "k", "ttl": "a while"}}), "ai.invalid", "history.ttl"),
        (json!({"prompt": "x", "history": {"key": "k", "scope": "a\nb"}}), "ai.invalid", "history.scope"),
        (json!({"prompt": "x", "history": {"key": "k".repeat(600)}}), "ai.invalid", "512"),
    ] {
        let (found, message) = kind_of(&output(&step, call(input)).await.unwrap_err());
        assert_eq!(found, format!("permanent {code}"), "{message}");
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn when_one_fails_the_next_is_asked() {
    let misfit = says(Kind::OpenAi, "no data");
    let refused = json!({"choices": [{"message": {"content": null}, "finish_reason": "content_filter"}]});
    for (status, headers, body) in [
        (500, "", json!({})),
        (401, "", json!({})),
        (404, "", json!({})),
        (429, "retry-after: 60\r\n", json!({})),
        (429, "", json!({})),
        (200, "", refused),
        (200, "", json!("garbage")),
        (200, "", misfit),
    ] {
        let answer = Answer::full(status, headers, &body.to_string());
        let (_first, first) = scripted(Kind::OpenAi, vec![answer.clone(), answer]).await;
        let second = Model::says(vec![(200, says(Kind::Anthropic, r#"{"a": 1}"#))]).await;
        let step = step(&[("first", first), ("second", second.provider(Kind::Anthropic))]);
        let input =
            json!({"prompt": "x", "model": "huge", "output": {"type": "object"}, "fallback": ["second/org/other"]});
        let said = output(&step, call(input)).await.unwrap();
        assert_eq!((&said["data"], &said["provider"]), (&json!({"a": 1}), &json!("second")), "{status}");
        // The step's model is that of its provider, and no other's.
        assert_eq!(second.asked()[0].body["model"], "org/other");
    }
}

#[tokio::test]
async fn a_silent_one_leaves_time_for_the_next() {
    let (_first, first) = scripted(Kind::OpenAi, vec![Answer::Silence]).await;
    let second = Model::says(vec![(200, says(Kind::OpenAi, "here"))]).await;
    let step = step(&[("first", first), ("second", second.provider(Kind::OpenAi))]);
    let mut call = call(json!({"prompt": "x", "fallback": "second"}));
    call.timeout_ms = 400;
    let said = output(&step, call).await.unwrap();
    assert_eq!(said["provider"], "second");
}

#[tokio::test]
async fn a_short_pause_is_waited_for_and_a_failure_of_all_names_all() {
    let (_first, first) = scripted(Kind::OpenAi, vec![Answer::full(429, "retry-after: 2\r\n", "{}")]).await;
    let second = Model::says(vec![(200, says(Kind::OpenAi, "here"))]).await;
    let asks = step(&[("first", first), ("second", second.provider(Kind::OpenAi))]);
    let error = output(&asks, call(json!({"prompt": "x", "fallback": ["second"]}))).await.unwrap_err();
    assert_eq!(kind_of(&error).0, "later ai.http_429");
    assert!(second.asked().is_empty());

    let (_first, first) = scripted(Kind::OpenAi, vec![Answer::full(404, "", "{}")]).await;
    let second = Model::start(|_, _| plain(500, &json!({"error": {"message": "on fire"}}))).await;
    let asks = step(&[("first", first), ("second", second.provider(Kind::OpenAi))]);
    let error = output(&asks, call(json!({"prompt": "x", "fallback": ["second"]}))).await.unwrap_err();
    // The second one may be back.
    let (found, message) = kind_of(&error);
    assert_eq!(found, "transient ai.http_500");
    assert!(
        message.contains("first/small: ") && message.contains("404") && message.contains("second/small: "),
        "{message}"
    );
}
