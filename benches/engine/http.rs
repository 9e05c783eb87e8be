//! As little HTTP as both ends of the benchmark need: messages with a `content-length` on connections that stay open.
//! Hand-written, because what the benchmark itself uses of the two cores is missing to those it measures.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Reads messages off one connection.
pub struct Reader {
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes of the last message, to be dropped before the next.
    used: usize,
}

/// One message, borrowed from the reader.
pub struct Message<'a> {
    /// The first line.
    pub line: &'a str,
    pub body: &'a [u8],
}

impl Reader {
    pub fn new() -> Self {
        Self { buffer: vec![0; 16 * 1024], filled: 0, used: 0 }
    }

    /// The next message; None at the end of the connection.
    pub async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Message<'_>>> {
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        let (line_end, head, length) = loop {
            if let Some(found) = head(&self.buffer[..self.filled])? {
                if found.1 + found.2 <= self.filled {
                    break found;
                }
                self.buffer.resize(self.buffer.len().max(found.1 + found.2), 0);
            } else if self.filled == self.buffer.len() {
                return Err(io::Error::other("a head without an end"));
            }
            match stream.read(&mut self.buffer[self.filled..]).await? {
                0 => return Ok(None),
                count => self.filled += count,
            }
        };
        self.used = head + length;
        let line = std::str::from_utf8(&self.buffer[..line_end]).map_err(io::Error::other)?;
        Ok(Some(Message { line, body: &self.buffer[head..head + length] }))
    }
}

/// Where the first line and the head end, and how long the body is.
fn head(bytes: &[u8]) -> io::Result<Option<(usize, usize, usize)>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let line_end = find(bytes, b"\r\n").unwrap_or(end);
    let mut length = 0;
    for line in bytes[..end].split(|byte| *byte == b'\n').skip(1) {
        const NAME: &[u8] = b"content-length:";
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let text = std::str::from_utf8(&line[NAME.len()..]).map_err(io::Error::other)?;
            length = text.trim().parse().map_err(io::Error::other)?;
        }
    }
    Ok(Some((line_end, end + 4, length)))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The number after the last `#`, which names an event wherever it goes.
pub fn number(body: &[u8]) -> Option<usize> {
    let start = body.iter().rposition(|byte| *byte == b'#')? + 1;
    let digits = body[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&body[start..start + digits]).ok()?.parse().ok()
}
