//! What is sent to either kind of provider, and what is made of its answer.

use serde_json::json;

use super::super::{Kind, Provider};
use super::model::{KEY, Model, PRICES, output, says, step};
use crate::steps::testing::call;

#[tokio::test]
async fn a_question_takes_the_form_of_its_provider() {
    let input = json!({"prompt": "Hi?", "system": "Be kind.", "temperature": 0.5, "max_tokens": 100});
    let sent = [
        (
            Kind::OpenAi,
            "/v1/chat/completions",
            json!({"model": "small", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}],
                "temperature": 0.5, "max_tokens": 100}),
        ),
        (
            Kind::Anthropic,
            "/v1/messages",
            json!({"model": "small", "max_tokens": 100, "system": "Be kind.",
                "messages": [{"role": "user", "content": "Hi?"}], "temperature": 0.5}),
        ),
    ];
    for (kind, path, body) in sent {
        let model = Model::says(vec![(200, says(kind, " Hello. "))]).await;
        let step = step(&[("main", Provider { prices: PRICES, ..model.provider(kind) })]);
        let said = output(&step, call(input.clone())).await.unwrap();
        let expected = json!({"text": "Hello.", "model": "small-2026", "provider": "main", "finish": "stop",
            "usage": {"input_tokens": 20, "output_tokens": 10, "cost": 0.00012}});
        assert_eq!(said, expected);
        let asked = &model.asked()[0];
        assert_eq!((asked.path.as_str(), &asked.body), (path, &body));
        match kind {
            Kind::OpenAi => assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}")),
            Kind::Anthropic => {
                assert_eq!(asked.headers["x-api-key"], KEY);
                assert_eq!(asked.headers["anthropic-version"], "2023-06-01");
                assert!(!asked.headers.contains_key("authorization"));
            }
        }
    }
}

#[tokio::test]
async fn what_a_provider_leaves_out_is_made_up_for() {
    // Anthropic's API wants a bound of every answer; the step's stands over the provider's.
    for (of_provider, of_step, sent) in [(None, None, 4096), (Some(50), None, 50), (Some(50), Some(7), 7)] {
        let model = Model::says(vec![(200, says(Kind::Anthropic, "x"))]).await;
        let step = step(&[("a", Provider { max_tokens: of_provider, ..model.provider(Kind::Anthropic) })]);
        output(&step, call(json!({"prompt": "x", "max_tokens": of_step}))).await.unwrap();
        assert_eq!(model.asked()[0].body["max_tokens"], sent);
    }
    // No usage and no model: the tokens are estimated, and without a price there is no cost.
    let bare = json!({"choices": [{"message": {"content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}}]});
    let model = Model::says(vec![(200, bare)]).await;
    let said = output(&step(&[("a", model.provider(Kind::OpenAi))]), call(json!({"prompt": "x"}))).await.unwrap();
    assert_eq!((&said["text"], &said["model"]), (&json!("one two"), &json!("small")));
    let usage = &said["usage"];
    assert_eq!((&usage["cost"], &usage["estimated"]), (&json!(null), &json!(true)));
    assert!(usage["input_tokens"].as_u64() > Some(0) && usage["output_tokens"].as_u64() > Some(0), "{usage}");
    // What was read from a cache was read.
    let mut cached = says(Kind::Anthropic, "x");
    cached["usage"] =
        json!({"input_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 2});
    cached["stop_reason"] = json!("max_tokens");
    let model = Model::says(vec![(200, cached)]).await;
    let said = output(&step(&[("a", model.provider(Kind::Anthropic))]), call(json!({"prompt": "x"}))).await.unwrap();
    assert_eq!((&said["usage"]["input_tokens"], &said["finish"]), (&json!(9), &json!("length")));
}

#[tokio::test]
async fn a_server_that_wants_another_name_for_the_bound_gets_it() {
    let refusal = json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}});
    let model = Model::start(move |_, asked| match asked.body.get("max_tokens") {
        Some(_) => super::model::plain(400, &refusal),
        None => super::model::plain(200, &says(Kind::OpenAi, "x")),
    })
    .await;
    let step = step(&[("a", model.provider(Kind::OpenAi))]);
    for _ in 0..2 {
        output(&step, call(json!({"prompt": "x", "max_tokens": 9}))).await.unwrap();
    }
    // Once learned, it is remembered.
    let asked = model.asked();
    let names = asked.iter().map(|one| one.body.get("max_completion_tokens").is_some());
    assert_eq!(names.collect::<Vec<_>>(), [false, true, true]);
}
