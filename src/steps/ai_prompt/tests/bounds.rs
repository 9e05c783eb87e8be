//! What an attempt and a day may cost.

use std::sync::Arc;

use serde_json::json;

use super::super::{AiProviders, Budget, Kind, Prices, Provider};
use super::model::{Model, PRICES, kind_of, output, plain, says, step, step_of};
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Clock, Keys, Space, Store};
use crate::net::testing::{Answer, Scripted};
use crate::steps::testing::call;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn an_attempt_asks_for_no_more_than_it_can_pay() {
    // A token of an answer is 0.00001.
    for (max_cost, max_tokens, sent) in
        [(1.0, None, Some(4096)), (1.0, Some(50), Some(50)), (0.0011, None, Some(108)), (0.0011, Some(50), Some(50))]
    {
        let model = Model::says(vec![(200, says(Kind::OpenAi, "x"))]).await;
        let step = step(&[("a", Provider { prices: PRICES, ..model.provider(Kind::OpenAi) })]);
        let input = json!({"prompt": "x".repeat(45), "max_cost": max_cost, "max_tokens": max_tokens});
        output(&step, call(input)).await.unwrap();
        assert_eq!(model.asked()[0].body.get("max_tokens").and_then(|tokens| tokens.as_u64()), sent, "{max_cost}");
    }
}

#[tokio::test]
async fn what_is_too_expensive_is_not_asked() {
    let model = Model::says(vec![(200, says(Kind::OpenAi, "no data"))]).await;
    let priced = Provider { prices: PRICES, ..model.provider(Kind::OpenAi) };
    let free = Provider { prices: Some(Prices::default()), ..model.provider(Kind::OpenAi) };
    let asks = step(&[("a", priced), ("free", free), ("unpriced", model.provider(Kind::OpenAi))]);
    let error = output(&asks, call(json!({"prompt": "x".repeat(3_000), "max_cost": 0.0005}))).await.unwrap_err();
    assert_eq!((kind_of(&error).0.as_str(), model.asked().len()), ("permanent ai.too_expensive", 0));
    let error = output(&asks, call(json!({"prompt": "x", "provider": "unpriced", "max_cost": 1}))).await.unwrap_err();
    assert_eq!(kind_of(&error).0, "permanent ai.invalid");
    // What the first request did cost is gone when the second is to be made.
    let input = json!({"prompt": "x", "max_cost": 0.00018, "output": {"type": "object"}});
    let error = output(&asks, call(input)).await.unwrap_err();
    assert_eq!((kind_of(&error).0.as_str(), model.asked().len()), ("permanent ai.too_expensive", 1));
    let said = output(&asks, call(json!({"prompt": "x", "max_cost": 0, "provider": "free"}))).await.unwrap();
    assert_eq!(said["usage"]["cost"], 0.0);
}

fn budget(model: &Model, budget: Budget) -> AiProviders {
    let provider = Provider { prices: PRICES, max_tokens: Some(10), ..model.provider(Kind::OpenAi) };
    AiProviders { budget, ..AiProviders::only("a", provider) }
}

#[tokio::test]
async fn a_day_has_its_budget_across_restarts() {
    for limit in [Budget { tokens: Some(70), cost: None }, Budget { tokens: None, cost: Some(0.0003) }] {
        let store = Arc::new(MemoryStore::default());
        let model = Model::says(vec![(200, says(Kind::OpenAi, "x"))]).await;
        let asks = async || {
            let mut call = call(json!({"prompt": "x"}));
            call.keys = Keys::new(store.clone(), Arc::new(SystemClock));
            // Another process each time: nothing is in memory.
            output(&step_of(budget(&model, limit)), call).await
        };
        // Each is 30 tokens, for 0.00012.
        asks().await.unwrap();
        asks().await.unwrap();
        let (found, message) = kind_of(&asks().await.unwrap_err());
        assert_eq!((found.as_str(), model.asked().len()), ("permanent ai.budget_exceeded", 2), "{limit:?}");
        assert!(message.contains("00:00 UTC"), "{message}");
        let days = store.values(Space::Budget, String::new(), None, 10, SystemClock.now()).await.unwrap();
        let spent: u64 = days.iter().map(|(_, day)| day["tokens"].as_u64().unwrap()).sum();
        assert_eq!(spent, 60);
    }
}

#[tokio::test]
async fn what_was_refused_costs_nothing_and_what_is_under_way_counts() {
    let model = Model::says(vec![(500, json!({})), (500, json!({})), (200, says(Kind::OpenAi, "x"))]).await;
    let step = step_of(budget(&model, Budget { tokens: Some(29), cost: None }));
    for _ in 0..2 {
        assert_eq!(kind_of(&output(&step, call(json!({"prompt": "x"}))).await.unwrap_err()).0, "transient ai.http_500");
    }
    // Two at once, and room for one: 15 each before it is known that one takes 30.
    let (first, second) =
        futures::join!(output(&step, call(json!({"prompt": "x"}))), output(&step, call(json!({"prompt": "x"}))));
    let codes = [first, second].map(|one| one.map_or_else(|error| kind_of(&error).0, |_| "done".to_string()));
    let count = |word: &str| codes.iter().filter(|code| *code == word).count();
    assert_eq!((count("done"), count("permanent ai.budget_exceeded")), (1, 1), "{codes:?}");
}

#[tokio::test]
async fn a_lost_answer_counts_as_it_was_estimated() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let begun = json!({"type": "message_start", "message": {"usage": {"input_tokens": 20, "output_tokens": 1}}});
    let long = json!({"choices": [{"delta": {"content": "x".repeat(60)}}]});
    let cut_whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{";
    // The question is taken for 5 tokens, the answer for at most 10.
    for (kind, stream, answer, tokens) in [
        (Kind::OpenAi, false, Answer::Close, 15),
        (Kind::OpenAi, true, Answer::Close, 15),
        (Kind::OpenAi, true, Answer::RawClose(cut_whole.into()), 15),
        (Kind::OpenAi, true, Answer::RawClose(format!("{head}data: {long}\n\n").into()), 25),
        (Kind::Anthropic, true, Answer::RawClose(format!("{head}data: {begun}\n\n").into()), 30),
    ] {
        let server = Scripted::start(vec![answer]).await;
        let provider = Provider::new(format!("{}/v1", server.url), None, "small");
        let provider = Provider { kind, stream, max_tokens: Some(10), prices: PRICES, ..provider };
        let budget = Budget { tokens: Some(1_000), cost: None };
        let step = step_of(AiProviders { budget, ..AiProviders::only("a", provider) });
        let store = Arc::new(MemoryStore::default());
        let mut call = call(json!({"prompt": "x"}));
        call.keys = Keys::new(store.clone(), Arc::new(SystemClock));
        let error = output(&step, call).await.unwrap_err();
        let days = store.values(Space::Budget, String::new(), None, 10, SystemClock.now()).await.unwrap();
        let spent: u64 = days.iter().map(|(_, day)| day["tokens"].as_u64().unwrap()).sum();
        assert_eq!(spent, tokens, "{kind:?} {stream} {error:?}");
    }
}

#[tokio::test]
async fn another_provider_may_still_be_paid_for() {
    let model = Model::start(|_, _| plain(200, &says(Kind::OpenAi, "x"))).await;
    let mut given = budget(&model, Budget { tokens: None, cost: Some(0.00001) });
    let free = Provider { prices: Some(Prices::default()), ..model.provider(Kind::OpenAi) };
    given.providers.insert("free".to_string(), free);
    let said = output(&step_of(given), call(json!({"prompt": "x", "fallback": ["free"]}))).await.unwrap();
    assert_eq!((&said["provider"], model.asked().len()), (&json!("free"), 1));
}
