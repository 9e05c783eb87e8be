//! Answers that are data.

use serde_json::json;

use super::super::Kind;
use super::model::{Model, kind_of, output, plain, says, step};
use crate::base::Json;
use crate::steps::testing::call;

fn schema() -> Json {
    json!({"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}, "score": {"type": "integer"}},
        "required": ["mood", "score"], "additionalProperties": false})
}

fn input() -> Json {
    json!({"prompt": "How do they feel?", "system": "Read.", "output": schema()})
}

fn by_tool(input: &Json) -> Json {
    let mut answer = says(Kind::Anthropic, "");
    answer["content"] = json!([{"type": "text", "text": "Let me see."}, {"type": "tool_use", "id": "t", "name": "answer", "input": input}]);
    answer["stop_reason"] = json!("tool_use");
    answer
}

#[tokio::test]
async fn the_schema_is_sent_in_the_providers_own_place_for_it() {
    let data = json!({"mood": "good", "score": 7});
    for (kind, answer) in [(Kind::OpenAi, says(Kind::OpenAi, &data.to_string())), (Kind::Anthropic, by_tool(&data))] {
        let model = Model::says(vec![(200, answer)]).await;
        let said = output(&step(&[("a", model.provider(kind))]), call(input())).await.unwrap();
        assert_eq!((&said["data"], said.get("text")), (&data, None));
        let body = &model.asked()[0].body;
        match kind {
            Kind::OpenAi => {
                let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema()}});
                assert_eq!((&body["response_format"], &body["messages"][0]["content"]), (&format, &json!("Read.")));
            }
            Kind::Anthropic => {
                assert_eq!(body["tools"][0]["input_schema"], schema());
                assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "answer"}));
                assert_eq!(body["system"], "Read.");
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_such_a_place_is_told_in_words() {
    for kind in [Kind::OpenAi, Kind::Anthropic] {
        let model = Model::start(move |_, asked| {
            if asked.body.get("response_format").is_some() || asked.body.get("tools").is_some() {
                return plain(400, &json!({"error": {"message": "extra fields not permitted"}}));
            }
            plain(200, &says(kind, "```json\n{\"mood\": \"bad\", \"score\": 1}\n```"))
        })
        .await;
        let step = step(&[("a", model.provider(kind))]);
        for _ in 0..2 {
            let said = output(&step, call(input())).await.unwrap();
            assert_eq!(said["data"], json!({"mood": "bad", "score": 1}));
        }
        let asked = model.asked();
        assert_eq!(asked.len(), 3, "what was learned is remembered");
        let system = match kind {
            Kind::OpenAi => &asked[1].body["messages"][0]["content"],
            Kind::Anthropic => &asked[1].body["system"],
        };
        let system = system.as_str().unwrap();
        assert!(system.starts_with("Read.\n\n") && system.contains(r#""enum":["good","bad"]"#), "{system}");
    }
    // Nor is there one for what is no mapping.
    let model = Model::says(vec![(200, says(Kind::OpenAi, "[1, 2]"))]).await;
    let input = json!({"prompt": "x", "output": {"type": "array", "items": {"type": "integer"}}});
    let said = output(&step(&[("a", model.provider(Kind::OpenAi))]), call(input)).await.unwrap();
    assert_eq!(said["data"], json!([1, 2]));
    assert!(model.asked()[0].body.get("response_format").is_none());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_once_more() {
    for kind in [Kind::OpenAi, Kind::Anthropic] {
        let wrong = json!({"mood": "my secret mood", "score": "7"});
        let (first, second) = match kind {
            Kind::OpenAi => (says(kind, &wrong.to_string()), says(kind, r#"{"mood": "good", "score": 7}"#)),
            Kind::Anthropic => (by_tool(&wrong), by_tool(&json!({"mood": "good", "score": 7}))),
        };
        let model = Model::says(vec![(200, first.clone()), (200, second)]).await;
        let said = output(&step(&[("a", model.provider(kind))]), call(input())).await.unwrap();
        assert_eq!(said["data"], json!({"mood": "good", "score": 7}));
        assert_eq!(said["usage"]["input_tokens"], 40, "both were paid for");
        let asked = model.asked();
        let messages = asked[1].body["messages"].as_array().unwrap();
        let last = messages.last().unwrap()["content"].as_str().unwrap();
        assert!(last.contains("/mood") && last.contains("my secret mood") && last.contains("/score"), "{last}");
        assert_eq!(messages[messages.len() - 2], json!({"role": "assistant", "content": wrong.to_string()}));

        // And no more than once.
        let model = Model::says(vec![(200, first)]).await;
        let error = output(&step(&[("a", model.provider(kind))]), call(input())).await.unwrap_err();
        let (found, message) = kind_of(&error);
        assert_eq!((found.as_str(), model.asked().len()), ("permanent ai.bad_output", 2));
        assert!(message.contains("/mood") && !message.contains("my secret"), "{message}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_is_not_mended() {
    let mut cut = says(Kind::OpenAi, r#"{"mood": "go"#);
    cut["choices"][0]["finish_reason"] = json!("length");
    let model = Model::says(vec![(200, cut)]).await;
    let error = output(&step(&[("a", model.provider(Kind::OpenAi))]), call(input())).await.unwrap_err();
    assert_eq!((kind_of(&error).0.as_str(), model.asked().len()), ("permanent ai.cut", 1));
}
