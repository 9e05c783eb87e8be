//! The graph as text: Mermaid for READMEs and the UI, DOT for Graphviz.

use std::fmt::Write;

use super::Plan;
use super::layout::{Layout, Role};
use crate::lang::workflow::Trigger;

// Writing to a `String` cannot fail, so results of `writeln!` are dropped in this file.

impl Plan {
    /// A Mermaid flowchart: triggers, steps, the blocks of `for_each` as subgraphs, and the ports of edges that are not
    /// `ok`.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        for (index, trigger) in self.triggers.iter().enumerate() {
            let _ = writeln!(out, "    t{index}([\"{}\"])", mermaid_text(&describe(&trigger.trigger)));
        }
        let picture = Picture::of(self);
        picture.block(0, 1, &mut |line, depth| {
            let pad = "    ".repeat(depth);
            let label = |index| {
                let lines: Vec<_> = picture.lines(index).iter().map(|line| mermaid_text(line)).collect();
                lines.join("<br/>")
            };
            let _ = match line {
                Line::Step(index) => writeln!(out, "{pad}s{index}[\"{}\"]", label(index)),
                Line::Open(index) => writeln!(out, "{pad}subgraph s{index}[\"{}\"]", label(index)),
                Line::Close => writeln!(out, "{pad}end"),
            };
        });
        for Arrow { from, to, label } in picture.arrows() {
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
        let picture = Picture::of(self);
        if (0..self.steps.len()).any(|step| picture.frame(step).is_some()) {
            // Graphviz knows edges of boxes only; `compound` ends them at a cluster's border.
            out.push_str("    compound=true;\n");
        }
        out.push_str("    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
        for (index, trigger) in self.triggers.iter().enumerate() {
            let _ = writeln!(out, "    t{index} [label=\"{}\", shape=oval];", dot_text(&describe(&trigger.trigger)));
        }
        picture.block(0, 1, &mut |line, depth| {
            let pad = "    ".repeat(depth);
            let label = |index| {
                let lines: Vec<_> = picture.lines(index).iter().map(|line| dot_text(line)).collect();
                lines.join("\\n")
            };
            let _ = match line {
                Line::Step(index) => writeln!(out, "{pad}s{index} [label=\"{}\"];", label(index)),
                Line::Open(index) => {
                    writeln!(out, "{pad}subgraph cluster_s{index} {{\n{pad}    label=\"{}\";", label(index))
                }
                Line::Close => writeln!(out, "{pad}}}"),
            };
        });
        for Arrow { from, to, label } in picture.arrows() {
            let mut attributes: Vec<String> =
                label.map(|port| format!("label=\"{}\"", dot_text(port))).into_iter().collect();
            attributes.extend(picture.drawn_as_block(from).map(|block| format!("ltail=cluster_s{block}")));
            attributes.extend(picture.drawn_as_block(to).map(|block| format!("lhead=cluster_s{block}")));
            let (from, to) = (picture.inside(from, false), picture.inside(to, true));
            let _ = match attributes.is_empty() {
                true => writeln!(out, "    {from} -> {to};"),
                false => writeln!(out, "    {from} -> {to} [{}];", attributes.join(", ")),
            };
        }
        out.push_str("}\n");
        out
    }
}

/// A plan as it is drawn: a `for_each` on one step is one box.
struct Picture<'p> {
    plan: &'p Plan,
    layout: Layout<'p>,
}

/// What stands in a block's picture.
enum Line {
    Step(usize),
    /// The steps of this one's block follow.
    Open(usize),
    Close,
}

/// An end of an arrow.
#[derive(Clone, Copy)]
enum End {
    Trigger(usize),
    Step(usize),
}

struct Arrow<'p> {
    from: End,
    to: End,
    label: Option<&'p str>,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Trigger(index) => write!(f, "t{index}"),
            End::Step(index) => write!(f, "s{index}"),
        }
    }
}

impl<'p> Picture<'p> {
    fn of(plan: &'p Plan) -> Self {
        Self { plan, layout: Layout::of(&plan.workflow) }
    }

    /// The block of a step that is drawn as a frame around it.
    fn frame(&self, step: usize) -> Option<usize> {
        match self.layout.slots[step].role {
            Role::Container(block) if self.layout.slots[step].step.is_block() => Some(block),
            _ => None,
        }
    }

    fn block(&self, block: usize, depth: usize, draw: &mut dyn FnMut(Line, usize)) {
        for step in self.layout.numbers(block) {
            match self.frame(step) {
                None => draw(Line::Step(step), depth),
                Some(inner) => {
                    draw(Line::Open(step), depth);
                    self.block(inner, depth + 1, draw);
                    draw(Line::Close, depth);
                }
            }
        }
    }

    /// What a step's box says.
    fn lines(&self, index: usize) -> Vec<String> {
        let step = self.layout.slots[index].step;
        let mut lines = vec![step.name.clone().unwrap_or_else(|| step.id.clone())];
        if !step.is_block() {
            lines.push(step.uses.clone());
        }
        if let Some(each) = &step.for_each {
            lines.push(format!("for each {}", each.name));
        }
        lines
    }

    fn arrows(&self) -> Vec<Arrow<'p>> {
        let mut arrows = Vec::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            let to = End::Step(index);
            if step.needs.is_empty() && step.block == 0 {
                let from = (0..self.plan.triggers.len()).map(End::Trigger);
                arrows.extend(from.map(|from| Arrow { from, to, label: None }));
            }
            for need in &step.needs {
                let label = (need.port != "ok").then_some(need.port.as_str());
                arrows.push(Arrow { from: End::Step(need.from), to, label });
            }
        }
        arrows
    }

    /// The step, when it is drawn as a frame.
    fn drawn_as_block(&self, end: End) -> Option<usize> {
        match end {
            End::Step(step) if self.frame(step).is_some() => Some(step),
            _ => None,
        }
    }

    /// A box that stands for the end of an arrow: of a frame, its first box where the arrow comes in, else its last.
    fn inside(&self, end: End, first: bool) -> End {
        let End::Step(mut step) = end else { return end };
        while let Some(block) = self.frame(step) {
            let mut numbers = self.layout.numbers(block);
            let Some(inner) = (if first { numbers.next() } else { numbers.next_back() }) else { break };
            step = inner;
        }
        End::Step(step)
    }
}

/// A trigger in a few words.
fn describe(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Message { session: Some(session), .. } => format!("message to {session}"),
        Trigger::Message { session: None, .. } => "message".to_string(),
        Trigger::Schedule { cron, timezone, .. } => format!("{cron} ({timezone})"),
        Trigger::Manual => "manual".to_string(),
        Trigger::SessionStatus { session, status, .. } => {
            let status = if status.is_empty() { "status".to_string() } else { status.join(", ") };
            session.as_ref().map_or(status.clone(), |session| format!("{session}: {status}"))
        }
        Trigger::GroupJoin { session, group, .. } => match group.as_ref().or(session.as_ref()) {
            Some(place) => format!("join of {place}"),
            None => "join of a group".to_string(),
        },
        Trigger::SessionEvents { session, .. } => format!("events of {session}"),
        Trigger::Webhook(hook) => format!("webhook {}", hook.path),
        Trigger::Workflow { name, status } if status.is_empty() => format!("after {name}"),
        Trigger::Workflow { name, status } => {
            let status: Vec<_> = status.iter().map(|end| end.as_str()).collect();
            format!("after {name} {}", status.join(", "))
        }
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
