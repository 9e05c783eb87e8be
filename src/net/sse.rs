//! Server-sent events, piece by piece, as the HTML standard reads them ("9.2.6 Interpreting an event stream").
//!
//! Accepted: UTF-8 (what is none becomes U+FFFD), one byte order mark in front, lines that end in LF, CR or CRLF, comments,
//! data of several lines, unknown fields. Pieces may be cut anywhere, in the middle of a character too. An event without
//! data is none; one whose blank line never came is not handed out. What is held is bounded by
//! [`limits::SSE_EVENT`]: at that bound the stream ends with an error, since what follows could not be understood.

use crate::base::limits;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// `message` where the stream names none.
    pub event: String,
    /// Its lines, with LF between them.
    pub data: String,
    /// The last `id` the stream gave, with this event or before; empty without one.
    pub id: String,
}

/// An event larger than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than the {} bytes allowed", limits::SSE_EVENT)]
pub struct SseTooLarge;

/// Reads one stream from its beginning.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The last byte ended a line as a CR: an LF now is the rest of that end.
    after_cr: bool,
    /// A line has been read: a mark of the byte order may no longer come.
    begun: bool,
    event: String,
    /// Each line with an LF after it.
    data: String,
    id: String,
    retry_ms: Option<u64>,
    too_large: bool,
}

impl SseParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// The events that are complete with these bytes. After an error there are only errors.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, SseTooLarge> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && !self.too_large {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.held() + piece.len() > limits::SSE_EVENT {
                self.too_large = true;
                break;
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.line_ended());
        }
        if self.too_large {
            *self = Self { too_large: true, ..Self::default() };
            return Err(SseTooLarge);
        }
        Ok(events)
    }

    /// The pause before a reconnection that the stream asked for, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Bytes in memory for the event at hand.
    fn held(&self) -> usize {
        self.line.len() + self.event.len() + self.data.len() + self.id.len()
    }

    fn line_ended(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let mut text = &line[..];
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.is_empty() {
            return self.dispatched();
        }
        // No byte of a longer character looks like these, so that a line may be taken apart before it is decoded.
        let (name, value) = match text.iter().position(|byte| *byte == b':') {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match name {
            b"data" => {
                self.data.push_str(&value);
                self.data.push('\n');
            }
            b"event" => self.event = value.into_owned(),
            b"id" if !value.contains('\0') => self.id = value.into_owned(),
            b"retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            // A comment, or a field of another age.
            _ => {}
        }
        None
    }

    fn dispatched(&mut self) -> Option<SseEvent> {
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        data.pop()?;
        let event = if event.is_empty() { "message".to_string() } else { event };
        Some(SseEvent { event, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(stream: &[u8]) -> Vec<(String, String, String)> {
        let events = SseParser::new().push(stream).unwrap();
        events.into_iter().map(|SseEvent { event, data, id }| (event, data, id)).collect()
    }

    #[test]
    fn a_stream_is_read_as_the_standard_says() {
        for (stream, expected) in [
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &[("message", "YHOO\n+2\n10", "")][..]),
            (
                ": c\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
                &[("message", "first", "1"), ("message", "second", ""), ("message", " third", "")],
            ),
            ("data\n\ndata\ndata\n\ndata:", &[("message", "", ""), ("message", "\n", "")]),
            ("event: a\n\ndata: x\n\n", &[("message", "x", "")]),
            ("event: a\nevent: b\r\ndata: x\r\r", &[("b", "x", "")]),
            ("\u{feff}data: x\r\n\r\n\u{feff}data: y\n\n", &[("message", "x", "")]),
            ("id: 7\n\ndata: x\nid: 8\0\n\n", &[("message", "x", "7")]),
            ("Data: x\n\nfoo: x\n\ndata: y: z\nretry: 5\n\n", &[("message", "y: z", "")]),
            ("data: half\n", &[]),
            ("\n\n\r\r\n\n", &[]),
        ] {
            let expected =
                expected.iter().map(|(event, data, id)| (event.to_string(), data.to_string(), id.to_string()));
            assert_eq!(events(stream.as_bytes()), expected.collect::<Vec<_>>(), "{stream:?}");
        }
        assert_eq!(events(b"data: \xff\xe2\x82\n\n")[0].1, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_pause_is_a_number() {
        let mut parser = SseParser::new();
        for (line, expected) in [
            ("retry: 30\n", Some(30)),
            ("retry: soon\n", Some(30)),
            ("retry:\n", Some(30)),
            ("retry: 4000\n", Some(4000)),
        ] {
            parser.push(line.as_bytes()).unwrap();
            assert_eq!(parser.retry_ms(), expected, "{line}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused_before_it_fills_the_memory() {
        let long = vec![b'x'; limits::SSE_EVENT / 4];
        for between in ["", "\ndata: ", "\nevent: ", "\nid: "] {
            let mut parser = SseParser::new();
            parser.push(b"data: ").unwrap();
            let ended = (0..9).try_for_each(|_| {
                parser.push(&long)?;
                parser.push(between.as_bytes())?;
                assert!(parser.held() <= limits::SSE_EVENT);
                Ok(())
            });
            // An event's name and id are only ever the last ones given.
            let replaced = matches!(between, "\nevent: " | "\nid: ");
            assert_eq!(ended, if replaced { Ok(()) } else { Err(SseTooLarge) }, "{between:?}");
            if !replaced {
                assert_eq!(parser.push(b"\n\ndata: x\n\n"), Err(SseTooLarge));
                assert_eq!(parser.held(), 0);
            }
        }
        // Many events are no large one.
        let mut parser = SseParser::new();
        for _ in 0..9 {
            parser.push(b"data: ").unwrap();
            parser.push(&long).unwrap();
            assert_eq!(parser.push(b"\n\n").unwrap().len(), 1);
        }
    }

    /// Bytes that mean something to a parser, more often than others.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        const WORDS: [&[u8]; 15] = [
            b"data",
            b"event",
            b"id",
            b"retry",
            b":",
            b" ",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            "ü€😀".as_bytes(),
            b"\xef\xbb\xbf",
            b"\xf0\x9f",
            b"\0",
            b"12",
        ];
        let word = prop::sample::select(&WORDS[..]);
        prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        /// Where a stream is cut into pieces says nothing.
        #[test]
        fn pieces_make_no_difference(stream in streams(), cuts in prop::collection::vec(1usize..9, 1..20)) {
            let mut parser = SseParser::new();
            let mut found = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
            while let (false, Some(cut)) = (rest.is_empty(), cuts.next()) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                found.extend(parser.push(piece).unwrap());
                rest = after;
            }
            prop_assert_eq!(found, SseParser::new().push(&stream).unwrap());
        }

        /// What is written as events is read as those events, whatever ends the lines.
        #[test]
        fn events_survive_the_wire(
            sent in prop::collection::vec(("[a-z]{1,8}", "[ -~ü€😀\n]{0,40}", "[0-9]{1,3}"), 0..8),
            end in prop_oneof![Just("\n"), Just("\r"), Just("\r\n")],
        ) {
            let mut stream = String::from("\u{feff}");
            for (event, data, id) in &sent {
                stream += &format!(": hello{end}event: {event}{end}id: {id}{end}");
                for line in data.split('\n') {
                    stream += &format!("data: {line}{end}");
                }
                stream += end;
            }
            prop_assert_eq!(events(stream.as_bytes()), sent);
        }
    }
}
