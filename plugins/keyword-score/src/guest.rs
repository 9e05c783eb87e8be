//! The component's exports.

use alloc::string::ToString;
use alloc::{format, vec, vec::Vec};

use crate::score;

wit_bindgen::generate!({ path: "../../wit", world: "transform" });

use exports::moltrun::step::guest::Guest;
use moltrun::step::types::{Effect, Failure, Output, PluginInfo, StepError, StepInfo};

/// Instances live for one call, so that a simple allocator is a good one.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic is a bug of the plugin: the host reports the trap.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const INPUT_SCHEMA: &str = include_str!("input.schema.json");
const OUTPUT_SCHEMA: &str = include_str!("output.schema.json");

struct KeywordScore;

impl Guest for KeywordScore {
    fn describe() -> PluginInfo {
        PluginInfo {
            version: env!("CARGO_PKG_VERSION").to_string(),
            steps: vec![StepInfo {
                name: "score".to_string(),
                summary: "says which keywords a text holds, as whole words in any case".to_string(),
                effect: Effect::Pure,
                input_schema: INPUT_SCHEMA.to_string(),
                output_schema: OUTPUT_SCHEMA.to_string(),
                ports: Vec::new(),
            }],
            hosts: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn run(step: alloc::string::String, input: alloc::string::String) -> Result<Output, StepError> {
        let fail = |code: &str, message| StepError::Permanent(Failure { code: code.to_string(), message, details: None });
        if step != "score" {
            return Err(fail("unknown_step", format!("there is no step `{step}`; this plugin has `score`")));
        }
        let data = score::run(&input).map_err(|message| fail("bad_input", message))?;
        Ok(Output { data, port: None })
    }
}

export!(KeywordScore);
