//! The bar of a running `for_each` on a terminal's stderr. It is redrawn below whatever else is written; see [`above`].
//!
//! What is *absent*: colour (so `NO_COLOR` asks for nothing more), and a bar where stderr is no terminal or `-q` is given.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::counts::Counts;
use super::{Globals, out};

/// The bar that stands on the terminal now: a process has one terminal.
static STANDS: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Redrawings a second, at most: more costs a slow terminal more than it tells.
const HZ: u8 = 8;

const TEMPLATE: &str = "{prefix} [{bar:24}] {pos}/{len} {rate}, {eta} left{msg}";

fn stands() -> MutexGuard<'static, Option<ProgressBar>> {
    STANDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the terminal with the bar out of the way.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    match &*stands() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// `12.5/s`.
fn rate(state: &ProgressState, text: &mut dyn fmt::Write) {
    // Nothing is to be done about a text that takes no more.
    let _ = write!(text, "{:.1}/s", state.per_sec());
}

/// Shows where a `for_each` stands, for as long as it lives.
pub struct Bar {
    is_on: bool,
    /// Of which step the bar is, and its number of items.
    of: Option<(String, u64)>,
}

impl Bar {
    /// Of a command that follows a run.
    pub fn new(globals: &Globals) -> Self {
        Self { is_on: !globals.quiet && std::io::stderr().is_terminal(), of: None }
    }

    /// There is a terminal to draw on.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Draws the bar of the step at work; None takes it away.
    pub fn show(&mut self, counts: Option<&Counts>) {
        let Some(counts) = counts.filter(|_| self.is_on) else { return self.clear() };
        let of = (counts.step.clone(), counts.total);
        if self.of.as_ref() != Some(&of) {
            self.clear();
            let bar = ProgressBar::with_draw_target(Some(counts.total), ProgressDrawTarget::stderr_with_hz(HZ));
            // A template of ours; one with a mistake in it would be shown as the library's own.
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
            bar.set_prefix(out::shown(&counts.step).into_owned());
            // What was done before this process looked is not its speed.
            bar.set_position(counts.done());
            bar.reset_eta();
            *stands() = Some(bar);
            self.of = Some(of);
        }
        if let Some(bar) = &*stands() {
            bar.set_message(counts.others().map(|others| format!("; {others}")).unwrap_or_default());
            bar.set_position(counts.done());
        }
    }

    fn clear(&mut self) {
        if self.of.take().is_some()
            && let Some(bar) = stands().take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn without_a_terminal_nothing_stands() {
        let mut bar = Bar { is_on: false, of: None };
        bar.show(Some(&Counts { step: "a".to_string(), total: 3, ..Counts::default() }));
        assert_eq!(bar.of, None);
        assert_eq!(above(|| 7), 7);
    }
}
