//! Random workflows that the checker accepts.

use std::fmt::Write;
use std::sync::Arc;

use crate::engine::tests::catalog::try_plan;
use crate::engine::tests::random::{Random, mixed};
use crate::plan::Plan;

/// The `steps:` of a seed's workflow.
pub fn steps(seed: u64) -> String {
    // Some graphs can never run to their end (both ports of one step); the checker says so and the next one is drawn.
    let drafts = (0..).map(|attempt| draft(&mut Random::new(mixed(&[seed, attempt]))));
    drafts.into_iter().find(|draft| try_plan(draft).is_ok()).unwrap_or_default()
}

pub fn plan(seed: u64) -> Arc<Plan> {
    try_plan(&steps(seed)).unwrap()
}

fn draft(random: &mut Random) -> String {
    let mut text = String::new();
    let mut ports: Vec<&[&str]> = Vec::new();
    for step in 0..1 + random.below(7) {
        let uses = *random.pick(&["t.pure", "t.read", "t.read", "t.send", "t.send", "t.send", "t.route", "t.wait"]);
        let for_each = uses != "t.wait" && random.one_in(4);
        let _ = write!(text, "  - {{id: s{step}, uses: {uses}");
        if step > 0 && !random.one_in(3) {
            let needs: Vec<_> = (0..random.below(4))
                .map(|_| {
                    let from = random.below(step);
                    format!("s{from}.{}", random.pick(ports[from as usize]))
                })
                .collect();
            let join = random.pick(&["all", "any"]);
            let _ = write!(text, ", needs: [{}], join: {join}", needs.join(", "));
        }
        if random.one_in(8) {
            let _ = write!(text, ", if: '{}'", random.pick(&["true", "false"]));
        }
        if for_each {
            let items: Vec<_> = (0..random.below(6)).map(|item| item.to_string()).collect();
            let (concurrency, stop) = (1 + random.below(3), random.pick(&["stop", "continue"]));
            let _ = write!(
                text,
                ", for_each: {{in: '[{}]', concurrency: {concurrency}, on_item_error: {stop}, collect: item}}",
                items.join(", ")
            );
        }
        if random.one_in(2) {
            let (attempts, jitter) = (1 + random.below(4), random.one_in(2));
            let _ = write!(text, ", retry: {{attempts: {attempts}, initial: 20ms, jitter: {jitter}}}");
        }
        if uses == "t.send" {
            let _ = write!(text, ", on_unknown: {}", random.pick(&["hold", "resend", "skip"]));
        }
        text.push_str("}\n");
        ports.push(match uses {
            "t.route" if !for_each => &["ok", "left", "right", "error"],
            _ => &["ok", "ok", "ok", "error"],
        });
    }
    text
}
