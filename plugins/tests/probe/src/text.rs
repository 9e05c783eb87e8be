//! Just enough JSON, hex and base64.

use alloc::format;
use alloc::string::String;

/// The text behind `key` in `input`, as the host writes JSON: `"` and `\` and control characters are escaped.
pub fn unquoted(input: &str, key: &str) -> String {
    let Some(at) = input.find(key) else { return String::new() };
    let (mut text, mut chars) = (String::new(), input[at + key.len()..].chars().skip_while(|c| *c != '"').skip(1));
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(c) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

/// `text` as JSON.
pub fn json(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                json.push('\\');
                json.push(c);
            }
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for sign in 0..4 {
            match sign <= three.len() {
                true => text.push(SIGNS[(bits >> (18 - 6 * sign)) as usize & 63] as char),
                false => text.push('='),
            }
        }
    }
    text
}
