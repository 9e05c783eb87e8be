//! Random houses of workflows for the engine: blocks within blocks, waits, words, events, calls, counted values.

use std::fmt::Write;

use crate::engine::tests::random::{Random, mixed};
use crate::engine::tests::shell::house::try_workflow;

/// The text of a seed's workflow, and of the one it calls.
pub fn texts(seed: u64) -> [String; 2] {
    // Some graphs can never run to their end (both ports of one step); the checker says so and the next one is drawn.
    let text = |salt: u64, name: &str| {
        let drafts = (0..).map(|attempt| draft(&mut Random::new(mixed(&[seed, salt, attempt])), name == "main"));
        drafts.into_iter().find(|draft| try_workflow(name, draft).is_ok()).unwrap_or_default()
    };
    [text(1, "main"), text(2, "child")]
}

fn draft(random: &mut Random, is_main: bool) -> String {
    let mut text = String::new();
    if random.one_in(3) {
        text.push_str("output: {n: 1}\n");
    }
    text.push_str("steps:\n");
    let steps = 1 + random.below(if is_main { 5 } else { 3 });
    block(random, &mut text, &mut 0, steps, 1, is_main);
    text
}

/// Steps of a block: `ids` counts all of the workflow.
fn block(random: &mut Random, text: &mut String, ids: &mut u32, steps: u64, depth: usize, is_main: bool) {
    let pad = " ".repeat(depth * 4 - 2);
    let mut before: Vec<(u32, &[&str])> = Vec::new();
    for _ in 0..steps {
        let id = *ids;
        *ids += 1;
        let uses = *random.pick(&[
            "t.pure", "t.read", "t.read", "t.send", "t.send", "t.send", "t.route", "t.wait", "t.count", "wait_for",
            "approve", "call", "block", "block",
        ]);
        let uses = match uses {
            "call" if !is_main => "t.send",
            "block" if depth > 2 || !is_main && depth > 1 => "t.send",
            uses => uses,
        };
        let _ = writeln!(text, "{pad}- id: s{id}");
        if !before.is_empty() && !random.one_in(3) {
            let needs: Vec<_> = (0..random.below(3))
                .map(|_| {
                    let (from, ports) = *random.pick(&before);
                    format!("s{from}.{}", random.pick(ports))
                })
                .collect();
            let _ =
                writeln!(text, "{pad}  needs: [{}]\n{pad}  join: {}", needs.join(", "), random.pick(&["all", "any"]));
        }
        if random.one_in(9) {
            let _ = writeln!(text, "{pad}  if: {}", random.pick(&["'true'", "'false'"]));
        }
        let each = uses == "block" || !matches!(uses, "t.wait" | "wait_for" | "approve") && random.one_in(6);
        if each {
            let items: Vec<_> = (0..random.below(4)).map(|item| item.to_string()).collect();
            let concurrency = 1 + random.below(3);
            let _ = writeln!(
                text,
                "{pad}  for_each: {{in: '[{}]', as: i{depth}, concurrency: {concurrency}, collect: i{depth}}}",
                items.join(", ")
            );
        }
        if uses == "block" {
            let _ = writeln!(text, "{pad}  steps:");
            let inner = 1 + random.below(3);
            block(random, text, ids, inner, depth + 1, is_main);
        } else {
            let _ = writeln!(text, "{pad}  uses: {uses}");
            match uses {
                "wait_for" => {
                    let _ = writeln!(text, "{pad}  with: {{when: incoming.step == 's{id}', ms: 700}}");
                }
                "approve" => {
                    let _ = writeln!(text, "{pad}  with: {{title: go, ms: 900}}");
                }
                "call" => {
                    let _ = writeln!(text, "{pad}  with: {{workflow: child}}");
                }
                "t.read" | "t.send" if random.one_in(2) => {
                    let attempts = 1 + random.below(4);
                    let _ = writeln!(
                        text,
                        "{pad}  retry: {{attempts: {attempts}, initial: 20ms, jitter: {}}}",
                        random.one_in(2)
                    );
                }
                _ => {}
            }
            if uses == "t.send" {
                let _ = writeln!(text, "{pad}  on_unknown: {}", random.pick(&["hold", "resend", "skip"]));
            }
        }
        before.push((
            id,
            match uses {
                _ if each => &["ok", "ok", "ok", "error"],
                "t.route" => &["ok", "left", "right", "error"],
                "wait_for" => &["ok", "timeout"],
                "approve" => &["ok", "rejected", "timeout"],
                _ => &["ok", "ok", "ok", "error"],
            },
        ));
    }
}
