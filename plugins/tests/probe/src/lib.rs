//! A connector that does what it is told, good or bad: the guest of the host's tests for HTTP, secrets and state.
//!
//! Its steps are `pure`, `again` (idempotent) and `once` (at-most-once). All take `{"do": "…"}`, a text of one command a
//! line, its words separated by `|`, and answer a list with the result of each. `{NAME}` in a line is the placeholder that
//! `secret|NAME` got before. What it asks for is in [`ASKS`], which tests overwrite in the built file.

#![no_std]

extern crate alloc;

mod text;
mod web;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

wit_bindgen::generate!({ path: "../../../wit", world: "connector", generate_all });

use exports::moltrun::step::guest::Guest;
use moltrun::step::types::{Delay, Effect, Failure, Output, PluginInfo, SecretRequest, StepError, StepInfo};
use moltrun::step::{log, secrets, state};
use text::{base64, hex, json, unquoted};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Lines `host HOST` and `secret NAME HOST…`, up to the first 0. Read at run time: the compiler must not know it.
static ASKS: [u8; 1024] = {
    let mut asks = [0; 1024];
    let mark = b"# what is asked for\n";
    let mut at = 0;
    while at < mark.len() {
        asks[at] = mark[at];
        at += 1;
    }
    asks
};

struct Probe;

impl Guest for Probe {
    fn describe() -> PluginInfo {
        // SAFETY: the static is valid for reads.
        let asks = unsafe { core::ptr::read_volatile(&ASKS) };
        let end = asks.iter().position(|byte| *byte == 0).unwrap_or(asks.len());
        let asks = String::from_utf8_lossy(&asks[..end]).into_owned();
        let step = |name: &str, effect| StepInfo {
            name: name.to_string(),
            summary: "does what it is told".to_string(),
            effect,
            input_schema: r#"{"type":"object","required":["do"]}"#.to_string(),
            output_schema: r#"{"type":"array"}"#.to_string(),
            ports: Vec::new(),
        };
        let (mut hosts, mut secrets) = (Vec::new(), Vec::new());
        for line in asks.lines() {
            let mut words = line.split(' ').map(str::to_string);
            match (words.next().as_deref(), words.next()) {
                (Some("host"), Some(host)) => hosts.push(host),
                (Some("secret"), Some(name)) => secrets.push(SecretRequest { name, hosts: words.collect() }),
                (Some("reach"), Some(place)) => {
                    // Nothing is granted while a plugin describes itself.
                    let got = web::request(&["http", "GET", &place, "/", "", ""]);
                    hosts.push(got);
                }
                (Some("clog"), _) => web::clog(),
                _ => {}
            }
        }
        let steps = vec![step("pure", Effect::Pure), step("again", Effect::Idempotent), step("once", Effect::AtMostOnce)];
        PluginInfo { version: "1.0.0".to_string(), steps, hosts, secrets }
    }

    fn run(_: String, input: String) -> Result<Output, StepError> {
        let script = unquoted(&input, "\"do\":");
        let (mut answers, mut known) = (Vec::new(), Vec::<(String, String)>::new());
        for line in script.lines() {
            let mut line = line.to_string();
            for (name, placeholder) in &known {
                line = line.replace(&format!("{{{name}}}"), placeholder);
            }
            let words: Vec<&str> = line.split('|').collect();
            let arg = |at: usize| words.get(at).copied().unwrap_or("");
            let number = |at: usize| arg(at).parse::<u64>().unwrap_or(0);
            let answer = match words[0] {
                "secret" => match secrets::placeholder(arg(1)) {
                    Ok(placeholder) => {
                        known.push((arg(1).to_string(), placeholder.clone()));
                        known.push((format!("{}:basic", arg(1)), base64(format!("user:{placeholder}").as_bytes())));
                        placeholder
                    }
                    Err(error) => secret_error(error),
                },
                "hmac" => match secrets::hmac_sha256(arg(1), arg(2).as_bytes()) {
                    Ok(mac) => hex(&mac),
                    Err(error) => secret_error(error),
                },
                "http" => web::request(&words),
                "send" => web::send(&words),
                "get" => match state::get(arg(1)) {
                    Ok(Some(value)) => format!("={}", String::from_utf8_lossy(&value)),
                    Ok(None) => "none".to_string(),
                    Err(error) => state_error(error),
                },
                "set" => done(state::set(arg(1), arg(2).as_bytes())),
                "fill" => done(state::set(arg(1), &vec![b'x'; number(2) as usize])),
                "delete" => done(state::delete(arg(1))),
                "count" => match state::get(arg(1)) {
                    Ok(before) => {
                        let before: u64 = String::from_utf8_lossy(&before.unwrap_or_default()).parse().unwrap_or(0);
                        done(state::set(arg(1), (before + 1).to_string().as_bytes()))
                    }
                    Err(error) => state_error(error),
                },
                "log" => {
                    log::write(log::Level::Info, arg(1), &[]);
                    String::new()
                }
                "sleep" => {
                    wasi::clocks::monotonic_clock::subscribe_duration(number(1) * 1_000_000).block();
                    String::new()
                }
                "hurry" => web::hurry(&words, number(6)),
                "clog" => {
                    web::clog();
                    String::new()
                }
                "now" => wasi::clocks::wall_clock::now().seconds.to_string(),
                "random" => wasi::random::random::get_random_u64().to_string(),
                "trap" => core::arch::wasm32::unreachable(),
                "spin" => loop {
                    core::hint::black_box(());
                },
                "garble" => return Ok(Output { data: "{".to_string(), port: None }),
                "fail" => return Err(failure(arg(1), arg(2))),
                other => format!("there is no command {other}"),
            };
            answers.push(json(&answer));
        }
        Ok(Output { data: format!("[{}]", answers.join(",")), port: None })
    }
}

fn failure(kind: &str, message: &str) -> StepError {
    let failure = Failure { code: "told".to_string(), message: message.to_string(), details: None };
    match kind {
        "permanent" => StepError::Permanent(failure),
        "transient" => StepError::Transient(failure),
        "later" => StepError::Later(Delay { failure, after_ms: 5_000 }),
        _ => StepError::Unknown(failure),
    }
}

fn done(result: Result<(), state::StateError>) -> String {
    result.map_or_else(state_error, |()| "ok".to_string())
}

fn state_error(error: state::StateError) -> String {
    match error {
        state::StateError::TooLarge(limit) => format!("too large: {limit}"),
        state::StateError::Unavailable(why) => format!("unavailable: {why}"),
    }
}

fn secret_error(error: secrets::SecretError) -> String {
    match error {
        secrets::SecretError::Denied => "denied".to_string(),
        secrets::SecretError::Unavailable(why) => format!("unavailable: {why}"),
    }
}

export!(Probe);
