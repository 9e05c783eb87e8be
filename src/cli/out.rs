//! What commands print: data on stdout, words for people on stderr. The only file that writes to either.
//!
//! A reader that goes away (`| head -1`) ends neither the program nor its work, and is no failure. Any other failure of
//! stdout, such as a full disk, is remembered: [`ended`] makes it the command's.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use super::Exit;
use super::bar::above;

/// What became of stdout.
#[derive(Debug)]
enum Stdout {
    Open,
    /// Nobody reads it any more.
    Closed,
    Lost(String),
}

static STDOUT: Mutex<Stdout> = Mutex::new(Stdout::Open);

/// A line of data.
pub fn line(line: impl Display) {
    stdout(|stdout| writeln!(stdout, "{line}"));
}

/// Data that brings its own line ends.
pub fn text(text: impl Display) {
    stdout(|stdout| write!(stdout, "{text}"));
}

/// A line for people. It is lost where nobody reads stderr.
pub fn note(line: impl Display) {
    let _ = above(|| writeln!(io::stderr(), "{line}"));
}

/// Stderr for the log: its lines stand above a bar, too.
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The command's exit, now that it prints nothing more: one whose data was lost did not succeed.
pub fn ended(exit: Exit) -> Exit {
    stdout(|stdout| stdout.flush());
    let Stdout::Lost(error) = &*STDOUT.lock().unwrap_or_else(PoisonError::into_inner) else { return exit };
    note(format_args!("error: stdout cannot be written: {error}"));
    if exit == Exit::Ok { Exit::Failed } else { exit }
}

fn stdout(write: impl FnOnce(&mut io::StdoutLock) -> io::Result<()>) {
    let mut state = STDOUT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Stdout::Open = *state {
        *state = after(above(|| write(&mut io::stdout().lock())));
    }
}

fn after(written: io::Result<()>) -> Stdout {
    match written {
        Ok(()) => Stdout::Open,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Stdout::Closed,
        Err(error) => Stdout::Lost(error.to_string()),
    }
}

/// Text from outside, safe to show in one line of a terminal: what moves the cursor, ends the line or turns the direction
/// of writing stands there as JSON escapes it.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            // Writing to a string cannot fail.
            c if acts(c) => drop(write!(shown, "\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Control characters, line and paragraph separators, and the marks, embeddings, overrides and isolates of direction.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_nothing_else() {
        for (text, expected) in [
            ("¿Dónde está? 👩‍👧 שלום", "¿Dónde está? 👩‍👧 שלום"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{7}\u{7f}\u{9b}1m", "\\u001b[2J\\u0007\\u007f\\u009b1m"),
            ("\u{202e}gnp.exe\u{2066}\u{2028}", "\\u202egnp.exe\\u2066\\u2028"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert!(matches!(shown("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_a_reader_that_went_away_is_no_failure() {
        assert!(matches!(after(Ok(())), Stdout::Open));
        assert!(matches!(after(Err(ErrorKind::BrokenPipe.into())), Stdout::Closed));
        assert!(matches!(after(Err(ErrorKind::StorageFull.into())), Stdout::Lost(_)));
    }
}
