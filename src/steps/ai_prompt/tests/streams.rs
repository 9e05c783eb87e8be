//! Answers that are read while they are written.

use serde_json::json;

use super::super::{Kind, Provider};
use super::model::{KEY, Model, kind_of, output, plain, says, step};
use crate::base::{Json, Secret, limits};
use crate::net::testing::{Answer, Scripted};
use crate::steps::testing::call;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n";

fn event(data: &Json) -> String {
    format!("data: {data}\n\n")
}

fn named(kind: &str, data: Json) -> String {
    let mut data = data;
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn delta(content: &str) -> String {
    event(
        &json!({"object": "chat.completion.chunk", "model": "small-2026", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}], "usage": null}),
    )
}

fn openai() -> String {
    let stop = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    let usage = event(&json!({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 10}}));
    format!(": hello\n\n{}{}{stop}{usage}data: [DONE]\n\n", delta("{\"a\": "), delta("\"ü€😀\"}"))
}

fn anthropic() -> String {
    let start = named(
        "message_start",
        json!({"message": {"id": "m", "model": "small-2026", "content": [], "usage": {"input_tokens": 20, "output_tokens": 1}}}),
    );
    let text = named("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}}))
        + &named("ping", json!({}))
        + &named("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": "Let me see"}}))
        + &named("content_block_stop", json!({"index": 0}));
    let tool = named(
        "content_block_start",
        json!({"index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "answer", "input": {}}}),
    ) + &named(
        "content_block_delta",
        json!({"index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\": "}}),
    ) + &named(
        "content_block_delta",
        json!({"index": 1, "delta": {"type": "input_json_delta", "partial_json": "\"ü€😀\"}"}}),
    );
    let end = named("message_delta", json!({"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 10}}))
        + &named("message_stop", json!({}));
    start + &text + &tool + &end
}

/// In pieces of `size` bytes.
fn chunked(body: &str, size: usize) -> String {
    // A chunk may end in the middle of a character: the wire is bytes, and the script is text that is one byte a character.
    let mut wire = String::new();
    for piece in body.as_bytes().chunks(size) {
        wire += &format!("{:x}\r\n", piece.len());
        wire.extend(piece.iter().map(|byte| char::from(*byte)));
        wire += "\r\n";
    }
    wire
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

async fn server(kind: Kind, wire: Answer) -> (Scripted, Provider) {
    let server = Scripted::start(vec![wire]).await;
    let provider =
        Provider { kind, stream: true, ..Provider::new(format!("{}/v1", server.url), Some(Secret::new(KEY)), "small") };
    (server, provider)
}

#[tokio::test]
async fn an_answer_is_put_together_from_its_pieces() {
    for (kind, body) in [(Kind::OpenAi, openai()), (Kind::Anthropic, anthropic())] {
        for size in [1, 7, 100_000] {
            let wire = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunked(&body, size));
            let (server, provider) = server(kind, Answer::Raw(bytes(&wire))).await;
            let input = json!({"prompt": "x", "output": {"type": "object"}});
            let said = output(&step(&[("a", provider)]), call(input)).await.unwrap();
            assert_eq!(said["data"], json!({"a": "ü€😀"}), "{kind:?} {size}");
            assert_eq!(said["usage"], json!({"input_tokens": 20, "output_tokens": 10, "cost": null}));
            assert_eq!(said["model"], "small-2026");
            let request = &server.requests()[0];
            assert!(request.contains(r#""stream":true"#), "{request}");
            assert_eq!(request.contains(r#""stream_options":{"include_usage":true}"#), kind == Kind::OpenAi);
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let error = event(&json!({"error": {"message": "upstream says sk-secret-key", "code": 502}}));
    let overloaded = named("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}));
    let start = named("message_start", json!({"message": {"model": "m"}}));
    for (kind, body, expected) in [
        (Kind::OpenAi, delta("half"), "transient ai.stream_cut"),
        (Kind::OpenAi, format!("{}{error}", delta("half")), "transient ai.stream_error"),
        (Kind::OpenAi, String::new(), "transient ai.stream_cut"),
        (Kind::OpenAi, "data: [DONE]\n\n".to_string(), "transient ai.bad_answer"),
        (Kind::Anthropic, start.clone(), "transient ai.stream_cut"),
        (Kind::Anthropic, format!("{start}{overloaded}"), "transient ai.stream_error"),
    ] {
        // Ended in good order, as far as HTTP goes.
        let wire = Answer::RawClose(format!("{HEAD}connection: close\r\n\r\n{body}").into_bytes());
        let (_server, provider) = server(kind, wire).await;
        let found = kind_of(&output(&step(&[("a", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err());
        assert_eq!(found.0, expected, "{body}: {}", found.1);
    }
    // In the middle of a chunk.
    let wire = format!("{HEAD}transfer-encoding: chunked\r\n\r\nfff\r\n{}", delta("half"));
    let (_server, provider) = server(Kind::OpenAi, Answer::RawClose(wire.into_bytes())).await;
    let found = kind_of(&output(&step(&[("a", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err());
    assert_eq!(found.0, "transient http.cut");
}

#[tokio::test]
async fn a_silence_and_an_answer_without_end_are_cut() {
    let wire = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{}", chunked(&delta("half"), 100_000));
    let (_server, provider) = server(Kind::OpenAi, Answer::Raw(bytes(&wire))).await;
    let provider = Provider { timeout_ms: Some(50), ..provider };
    let found = kind_of(&output(&step(&[("a", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err());
    assert_eq!(found.0, "transient http.timeout");

    // Never silent, never done: the step's own time ends it.
    let (_server, provider) = server(Kind::OpenAi, Answer::Raw(bytes(&wire))).await;
    let mut short = call(json!({"prompt": "x"}));
    short.timeout_ms = 60;
    let found = kind_of(&output(&step(&[("a", provider)]), short).await.unwrap_err());
    assert!(found.0 == "transient ai.timeout" || found.0 == "transient http.timeout", "{found:?}");

    let long = delta(&"x".repeat(limits::AI_ANSWER / 4)).repeat(6);
    let wire = Answer::RawClose(format!("{HEAD}connection: close\r\n\r\n{long}").into_bytes());
    let (_server, provider) = server(Kind::OpenAi, wire).await;
    let found = kind_of(&output(&step(&[("a", provider)]), call(json!({"prompt": "x"}))).await.unwrap_err());
    assert_eq!(found.0, "permanent ai.too_large");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let model = Model::start(|_, asked| match asked.body.get("stream_options") {
        Some(_) => plain(400, &json!({"error": {"message": "Unrecognized request argument supplied: stream_options"}})),
        None => plain(200, &says(Kind::OpenAi, "whole")),
    })
    .await;
    let step = step(&[("a", Provider { stream: true, ..model.provider(Kind::OpenAi) })]);
    assert_eq!(output(&step, call(json!({"prompt": "x"}))).await.unwrap()["text"], "whole");
    assert_eq!(output(&step, call(json!({"prompt": "x"}))).await.unwrap()["text"], "whole");
    assert_eq!(model.asked().len(), 3);
}
