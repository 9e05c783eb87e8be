//! The graph as text: Mermaid for READMEs and the UI, DOT for Graphviz.

use std::fmt::Write;

use super::{Plan, PlanStep};
use crate::lang::workflow::Trigger;

// Writing to a `String` cannot fail, so results of `writeln!` are dropped in this file.

impl Plan {
    /// A Mermaid flowchart: triggers, steps, and the ports of edges that are not `ok`.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        for (index, trigger) in self.triggers.iter().enumerate() {
            let _ = writeln!(out, "    t{index}([\"{}\"])", mermaid_text(&describe(&trigger.trigger)));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let lines: Vec<_> = self.lines(step, index).iter().map(|line| mermaid_text(line)).collect();
            let _ = writeln!(out, "    s{index}[\"{}\"]", lines.join("<br/>"));
        }
        for (from, to, label) in self.edges() {
            let _ = match label {
                Some(port) => writeln!(out, "    {from} -->|\"{}\"| {to}", mermaid_text(port)),
                None => writeln!(out, "    {from} --> {to}"),
            };
        }
        out
    }

    /// A Graphviz digraph, the same picture.
    pub fn dot(&self) -> String {
        let mut out = format!("digraph \"{}\" {{\n", dot_text(&self.name));
        out.push_str("    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
        for (index, trigger) in self.triggers.iter().enumerate() {
            let _ = writeln!(out, "    t{index} [label=\"{}\", shape=oval];", dot_text(&describe(&trigger.trigger)));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let lines: Vec<_> = self.lines(step, index).iter().map(|line| dot_text(line)).collect();
            let _ = writeln!(out, "    s{index} [label=\"{}\"];", lines.join("\\n"));
        }
        for (from, to, label) in self.edges() {
            let _ = match label {
                Some(port) => writeln!(out, "    {from} -> {to} [label=\"{}\"];", dot_text(port)),
                None => writeln!(out, "    {from} -> {to};"),
            };
        }
        out.push_str("}\n");
        out
    }

    /// What a step's box says.
    fn lines(&self, step: &PlanStep, index: usize) -> Vec<String> {
        let name = self.workflow.steps.get(index).and_then(|step| step.name.clone());
        let mut lines = vec![name.unwrap_or_else(|| step.id.to_string()), step.uses.to_string()];
        if let Some(each) = &step.for_each {
            lines.push(format!("for each {}", each.name));
        }
        lines
    }

    fn edges(&self) -> Vec<(String, String, Option<&str>)> {
        let mut edges = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            if step.needs.is_empty() {
                edges
                    .extend((0..self.triggers.len()).map(|trigger| (format!("t{trigger}"), format!("s{index}"), None)));
            }
            for need in &step.needs {
                let label = (need.port != "ok").then_some(need.port.as_str());
                edges.push((format!("s{}", need.from), format!("s{index}"), label));
            }
        }
        edges
    }
}

/// A trigger in a few words.
fn describe(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Message { session: Some(session), .. } => format!("message to {session}"),
        Trigger::Message { session: None, .. } => "message".to_string(),
        Trigger::Schedule { cron, timezone, .. } => format!("{cron} ({timezone})"),
        Trigger::Manual => "manual".to_string(),
    }
}

/// Inside a quoted Mermaid label: entities, because quotes have no escape there and markup would be drawn.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || " ._-/:,()*@".contains(c) => out.push(c),
            c if c.is_control() => out.push(' '),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

/// Inside a quoted DOT string.
fn dot_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
