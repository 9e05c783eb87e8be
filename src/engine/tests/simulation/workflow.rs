//! Random workflows that the checker accepts.

use std::fmt::Write;
use std::sync::Arc;

use crate::engine::tests::catalog::try_workflow;
use crate::engine::tests::random::{Random, mixed};
use crate::plan::Plan;

/// The workflows of a seed: the first is run, and each may call those after it.
pub struct Workflows {
    pub texts: Vec<String>,
    pub plans: Vec<Arc<Plan>>,
}

/// `w0` and those it may call, and theirs.
const NAMES: [&str; 3] = ["w0", "w1", "w2"];

impl Workflows {
    pub fn new(seed: u64) -> Self {
        let mut workflows = Self { texts: Vec::new(), plans: Vec::new() };
        for (number, name) in NAMES.iter().enumerate() {
            // Some graphs can never run to their end (both ports of one step); the checker says so and the next is drawn.
            let found = (0..).find_map(|attempt| {
                let mut random = Random::new(mixed(&[seed, number as u64, attempt]));
                let text = Draft { random: &mut random, number, steps: 0, text: String::new() }.workflow();
                Some((try_workflow(name, &text).ok()?, text))
            });
            let (plan, text) = found.unwrap();
            workflows.texts.push(format!("name: {name}\n{text}"));
            workflows.plans.push(plan);
        }
        workflows
    }

    pub fn named(&self, name: &str) -> &Arc<Plan> {
        self.plans.iter().find(|plan| &*plan.name == name).unwrap()
    }

    /// The plan and those that it may call satisfy this.
    pub fn any(&self, holds: impl Fn(&Plan) -> bool) -> bool {
        self.plans.iter().any(|plan| holds(plan))
    }
}

struct Draft<'a> {
    random: &'a mut Random,
    number: usize,
    /// Steps so far; each has a name of its own.
    steps: u64,
    text: String,
}

/// An earlier step of the block, with the ports that may be needed of it.
struct Earlier {
    id: String,
    ports: &'static [&'static str],
}

impl Draft<'_> {
    fn workflow(mut self) -> String {
        if self.random.one_in(6) {
            let _ = writeln!(self.text, "timeout: {}ms", 200 + self.random.below(4_000));
        }
        if self.random.one_in(4) {
            self.text.push_str("output: {x: '{{ 1 }}'}\n");
        }
        if self.random.one_in(4) {
            self.text.push_str("on_failure: alarm\n");
        }
        self.text.push_str("steps:\n");
        // Called ones are small: each call plays one of them.
        let most = if self.number == 0 { 6 } else { 3 };
        let steps = 1 + self.random.below(most);
        self.block(steps, 0, "  ");
        self.text
    }

    fn block(&mut self, steps: u64, depth: usize, indent: &str) {
        let mut earlier: Vec<Earlier> = Vec::new();
        for _ in 0..steps {
            let id = format!("s{}", self.steps);
            self.steps += 1;
            let deeper = depth < 3 && self.number < 2 && self.steps < 12 && self.random.one_in(4 + depth as u64 * 2);
            let _ = writeln!(self.text, "{indent}- id: {id}");
            let edges = self.edges(&earlier, indent);
            self.text.push_str(&edges);
            if self.random.one_in(8) {
                let _ = writeln!(self.text, "{indent}  if: '{}'", self.random.pick(&["true", "false"]));
            }
            let ports = if deeper {
                self.items(depth, indent);
                let inner = 1 + self.random.below(3);
                let _ = writeln!(self.text, "{indent}  steps:");
                self.block(inner, depth + 1, &format!("{indent}    "));
                &["ok", "ok", "ok", "error"][..]
            } else {
                self.single(depth, indent)
            };
            earlier.push(Earlier { id, ports });
        }
    }

    fn edges(&mut self, earlier: &[Earlier], indent: &str) -> String {
        if earlier.is_empty() || self.random.one_in(3) {
            return String::new();
        }
        let needs: Vec<_> = (0..self.random.below(4))
            .map(|_| {
                let from = self.random.pick(earlier);
                format!("{}.{}", from.id, self.random.pick(from.ports))
            })
            .collect();
        let join = self.random.pick(&["all", "any"]);
        format!("{indent}  needs: [{}]\n{indent}  join: {join}\n", needs.join(", "))
    }

    fn items(&mut self, depth: usize, indent: &str) {
        let most = [5, 4, 3, 3][depth];
        let items: Vec<_> = (0..self.random.below(most)).map(|item| item.to_string()).collect();
        let (concurrency, stop) = (1 + self.random.below(3), self.random.one_in(3));
        let stop = if stop { "stop" } else { "continue" };
        let collect = if self.random.one_in(2) { ", collect: index" } else { "" };
        let _ = writeln!(
            self.text,
            "{indent}  for_each: {{in: '[{}]', as: x{depth}, concurrency: {concurrency}, on_item_error: {stop}{collect}}}",
            items.join(", ")
        );
    }

    fn single(&mut self, depth: usize, indent: &str) -> &'static [&'static str] {
        const KINDS: [&str; 12] = [
            "t.pure",
            "t.read",
            "t.read",
            "t.read",
            "t.send",
            "t.send",
            "t.send",
            "t.route",
            "t.wait",
            "t.event",
            "t.approve",
            "t.call",
        ];
        let mut uses = *self.random.pick(&KINDS);
        if uses == "t.call" && self.number + 1 >= NAMES.len() {
            uses = "t.send";
        }
        let _ = writeln!(self.text, "{indent}  uses: {uses}");
        let for_each = depth < 3 && self.random.one_in(5);
        if for_each {
            self.items(depth, indent);
        }
        if self.random.one_in(2) {
            let (attempts, jitter) = (1 + self.random.below(4), self.random.one_in(2));
            let _ = writeln!(self.text, "{indent}  retry: {{attempts: {attempts}, initial: 20ms, jitter: {jitter}}}");
        }
        if uses == "t.send" {
            let unknown = self.random.pick(&["hold", "resend", "skip"]);
            let _ = writeln!(self.text, "{indent}  on_unknown: {unknown}");
            if self.random.one_in(5) {
                let _ = writeln!(self.text, "{indent}  once: {{key: k{}}}", self.random.below(2));
            }
        }
        if uses == "t.call" {
            let called = self.random.pick(&NAMES[self.number + 1..]);
            let _ = writeln!(self.text, "{indent}  with: {{workflow: {called}}}");
        }
        match uses {
            _ if for_each => &["ok", "ok", "ok", "error"],
            "t.route" => &["ok", "left", "right", "error"],
            "t.event" => &["ok", "ok", "timeout", "error"],
            "t.approve" => &["ok", "rejected", "timeout", "error"],
            _ => &["ok", "ok", "ok", "error"],
        }
    }
}
