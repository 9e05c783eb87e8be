//! The local model, in both of its interfaces.

use serde_json::json;

use super::*;

fn openai(sandbox: &Sandbox, clock: &Arc<ManualClock>) -> Caller {
    let auth = ("authorization", format!("Bearer {}", Options::default().model_key.expose()));
    Caller { base: sandbox.model_url.clone(), auth, ..caller(sandbox, clock) }
}

/// What came as server-sent events: their names (empty for none) and data.
fn events(response: &Response) -> Vec<(String, String)> {
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let blocks = text.split_terminator("\n\n").map(|block| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_string();
        (field("event: "), field("data: "))
    });
    blocks.collect()
}

#[tokio::test]
async fn chat_completions() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = openai(&sandbox, &clock);
    let ask = json!({ "model": "any", "messages": [{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "Do you sell bread?" }] });
    let answer = caller.ok("POST", "/chat/completions", Some(ask.clone())).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("Do you sell bread?"), "{answer}");
    assert_eq!((answer["usage"]["prompt_tokens"].clone(), answer["model"].clone()), (json!(6), json!("any")));
    let mut short = ask.clone();
    short["max_tokens"] = json!(2);
    let answer = caller.ok("POST", "/chat/completions", Some(short)).await;
    assert_eq!(
        (answer["usage"]["completion_tokens"].clone(), answer["choices"][0]["finish_reason"].clone()),
        (json!(2), json!("length"))
    );
    assert_eq!(answer["choices"][0]["message"]["content"], "You asked:");
    assert_eq!(caller.ok("GET", "/models", None).await["data"][0]["id"], "sandbox-support");
    for (body, word) in [(json!({}), "missing field"), (json!({ "model": "m", "messages": [] }), "role `user`")] {
        let response = caller.raw("POST", "/chat/completions", Some(&body)).await;
        let error = response.json().unwrap();
        assert_eq!((response.status, error["error"]["type"].clone()), (400, json!("invalid_request_error")));
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{error}");
    }
    caller.auth.1 = "Bearer wrong".to_string();
    let response = caller.raw("POST", "/chat/completions", Some(&ask)).await;
    assert_eq!((response.status, response.json().unwrap()["error"]["code"].clone()), (401, json!("invalid_api_key")));
    sandbox.stop().await;
}

#[tokio::test]
async fn chat_completions_streamed() {
    let (sandbox, clock) = start(Options::default()).await;
    let caller = openai(&sandbox, &clock);
    let mut ask = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] });
    let whole = caller.ok("POST", "/chat/completions", Some(ask.clone())).await;
    ask["stream"] = json!(true);
    ask["stream_options"] = json!({ "include_usage": true });
    let response = caller.raw("POST", "/chat/completions", Some(&ask)).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let mut events = events(&response);
    assert_eq!(events.pop().unwrap().1, "[DONE]");
    let chunks: Vec<Json> = events.iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"]));
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(json!(said), whole["choices"][0]["message"]["content"]);
    let [.., last, usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!((usage["choices"].clone(), usage["usage"].clone()), (json!([]), whole["usage"].clone()));
    sandbox.stop().await;
}

/// As [`Caller::raw`], with both headers of this interface.
async fn messages(caller: &Caller, key: &str, ask: &Json) -> Response {
    let request = Request::new(Method::POST, format!("{}/messages", caller.base)).json(ask);
    let request = request.header("x-api-key", key).unwrap().header("anthropic-version", "2023-06-01").unwrap();
    caller.net.send(request).await.unwrap()
}

#[tokio::test]
async fn messages_whole_and_streamed() {
    let (sandbox, clock) = start(Options::default()).await;
    let caller = openai(&sandbox, &clock);
    let key = Options::default().model_key;
    let mut ask = json!({ "model": "m", "max_tokens": 100, "system": "Be kind.", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hello" }] }] });
    let response = messages(&caller, key.expose(), &ask).await;
    let whole = response.json().unwrap();
    assert_eq!(
        whole,
        json!({
            "id": whole["id"],
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{ "type": "text", "text": "Hello! How can I help you?" }],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "usage": { "input_tokens": 3, "output_tokens": 6 }
        })
    );
    ask["stream"] = json!(true);
    let events = events(&messages(&caller, key.expose(), &ask).await);
    let datas: Vec<Json> = events.iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    for ((name, _), data) in events.iter().zip(&datas) {
        assert_eq!(data["type"], *name);
    }
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let order = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, order);
    let said: String = datas.iter().filter_map(|data| data["delta"]["text"].as_str()).collect();
    assert_eq!(said, "Hello! How can I help you?");
    sandbox.stop().await;
}

#[tokio::test]
async fn messages_refused() {
    let (sandbox, clock) = start(Options::default()).await;
    let caller = openai(&sandbox, &clock);
    let key = Options::default().model_key;
    let user = json!([{ "role": "user", "content": "Hello" }]);
    for (ask, word) in [
        (json!({ "model": "m", "messages": user }), "max_tokens"),
        (json!({ "model": "m", "messages": user, "max_tokens": 0 }), "at least 1"),
        (json!({ "model": "m", "messages": [], "max_tokens": 9 }), "role user"),
        (json!({ "model": "m", "messages": [{ "role": "system", "content": "x" }], "max_tokens": 9 }), "not `system`"),
    ] {
        let response = messages(&caller, key.expose(), &ask).await;
        let error = response.json().unwrap();
        assert_eq!((response.status, error["error"]["type"].clone()), (400, json!("invalid_request_error")), "{ask}");
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{error}");
    }
    let error = messages(&caller, "wrong", &json!({})).await.json().unwrap();
    assert_eq!(
        (error["type"].clone(), error["error"]["type"].clone()),
        (json!("error"), json!("authentication_error"))
    );
    let request = Request::new(Method::POST, format!("{}/messages", caller.base)).json(&json!({}));
    let response = caller.net.send(request.header("x-api-key", key.expose()).unwrap()).await.unwrap();
    assert!(response.status == 400 && String::from_utf8_lossy(&response.body).contains("anthropic-version"));
    sandbox.stop().await;
}

#[tokio::test]
async fn it_says_what_it_was_told_to() {
    let (sandbox, clock) = start(Options::default()).await;
    let (caller, control) = (openai(&sandbox, &clock), controller(&sandbox, &clock));
    let line = json!({ "when": "bread", "answer": "{\n  \"sells\": true\n}", "times": 1 });
    assert_eq!(control.ok("POST", "/answers", Some(line.clone())).await, line);
    assert_eq!(control.ok("GET", "/answers", None).await, json!([line]));
    let ask = json!({ "model": "m", "messages": [{ "role": "user", "content": "Do you sell BREAD?" }] });
    let answer = caller.ok("POST", "/chat/completions", Some(ask.clone())).await;
    assert_eq!(answer["choices"][0]["message"]["content"], line["answer"]);
    let answer = caller.ok("POST", "/chat/completions", Some(ask)).await;
    assert_ne!(answer["choices"][0]["message"]["content"], line["answer"]);
    assert_eq!(control.ok("DELETE", "/answers", None).await, json!({ "removed": 0 }));
    for bad in [json!({ "when": "x" }), json!({ "answer": "x", "times": 0 }), json!({ "answr": "x" })] {
        assert_eq!(control.refused("POST", "/answers", Some(bad)).await.0, 400);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn answers_keep_to_a_schema_unless_they_are_told_to_say_something_else() {
    let (sandbox, clock) = start(Options::default()).await;
    let (caller, control) = (openai(&sandbox, &clock), controller(&sandbox, &clock));
    let schema = json!({ "type": "object", "properties": { "mood": { "enum": ["calm", "angry"] }, "score": { "type": "integer" } } });
    let kept = json!({ "mood": "angry", "score": 0 });
    let question = json!([{ "role": "user", "content": "Is she angry?" }]);
    let format = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } });
    let ask = json!({ "model": "m", "messages": question, "response_format": format });
    let answer = caller.ok("POST", "/chat/completions", Some(ask)).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Json>(text).unwrap(), kept);

    let key = Options::default().model_key;
    let mut ask = json!({ "model": "m", "max_tokens": 100, "messages": question,
        "tools": [{ "name": "answer", "input_schema": schema }], "tool_choice": { "type": "tool", "name": "answer" } });
    let answer = messages(&caller, key.expose(), &ask).await.json().unwrap();
    let used = json!([{ "type": "tool_use", "id": "toolu_sandbox", "name": "answer", "input": kept }]);
    assert_eq!((answer["content"].clone(), answer["stop_reason"].clone()), (used, json!("tool_use")));
    ask["stream"] = json!(true);
    let datas = events(&messages(&caller, key.expose(), &ask).await);
    let pieces = datas.iter().filter_map(|(_, data)| {
        let data: Json = serde_json::from_str(data).unwrap();
        data["delta"]["partial_json"].as_str().map(str::to_string)
    });
    assert_eq!(serde_json::from_str::<Json>(&pieces.collect::<String>()).unwrap(), kept);

    control.ok("POST", "/answers", Some(json!({ "answer": "I would rather not." }))).await;
    ask["stream"] = json!(false);
    let answer = messages(&caller, key.expose(), &ask).await.json().unwrap();
    assert_eq!(answer["content"], json!([{ "type": "text", "text": "I would rather not." }]));
    sandbox.stop().await;
}
