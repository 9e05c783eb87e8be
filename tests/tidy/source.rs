//! Just enough of Rust's grammar to judge a file: its words and signs, where its tests are, which paths it names.

/// One word, sign or literal. Comments are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Word(String),
    Sign(char),
    /// `::`, the one sign of two characters that matters here.
    PathSeparator,
    Text(String),
    /// A number, a character or a lifetime: nothing that any rule looks at.
    Other,
}

/// A path as written or imported: `tokio::time::sleep`, wherever its parts stand in a nested `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub line: usize,
    pub parts: Vec<String>,
    /// A macro call.
    pub bang: bool,
}

/// A file without its comments, in order.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let (mut tokens, mut line, mut index) = (Vec::new(), 1, 0);
    while index < chars.len() {
        let start = index;
        let begins_at = line;
        let kind = match at(index) {
            c if c.is_whitespace() => {
                index += 1;
                None
            }
            '/' if at(index + 1) == '/' => {
                index = (index..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len());
                None
            }
            '/' if at(index + 1) == '*' => {
                index = after_block_comment(&chars, index);
                None
            }
            '"' => {
                index = after_text(&chars, index);
                Some(Kind::Text(chars[start + 1..index.saturating_sub(1).max(start + 1)].iter().collect()))
            }
            'b' | 'c' if at(index + 1) == '"' => {
                index = after_text(&chars, index + 1);
                Some(Kind::Text(chars[start + 2..index.saturating_sub(1).max(start + 2)].iter().collect()))
            }
            'r' | 'b' | 'c' if raw_hashes(&chars, index).is_some() => {
                let (open, hashes) = raw_hashes(&chars, index).unwrap_or_default();
                let close = |i: &usize| chars[*i] == '"' && (1..=hashes).all(|step| at(i + step) == '#');
                let end = (open + 1..chars.len()).find(close).unwrap_or(chars.len());
                index = (end + 1 + hashes).min(chars.len());
                Some(Kind::Text(chars[(open + 1).min(end)..end].iter().collect()))
            }
            '\'' => {
                index = after_quote(&chars, index);
                Some(Kind::Other)
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                Some(Kind::PathSeparator)
            }
            c if c.is_alphanumeric() || c == '_' => {
                index = (index..chars.len())
                    .find(|i| !(chars[*i].is_alphanumeric() || chars[*i] == '_'))
                    .unwrap_or(chars.len());
                let word: String = chars[start..index].iter().collect();
                Some(if c.is_ascii_digit() { Kind::Other } else { Kind::Word(word) })
            }
            c => {
                index += 1;
                Some(Kind::Sign(c))
            }
        };
        line += chars[start..index].iter().filter(|c| **c == '\n').count();
        if let Some(kind) = kind {
            tokens.push(Token { line: begins_at, kind });
        }
    }
    tokens
}

/// Block comments nest.
fn after_block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut index) = (0, start);
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => (depth, index) = (depth + 1, index + 2),
            ('*', '/') if depth == 1 => return index + 2,
            ('*', '/') => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
    }
    chars.len()
}

/// After the text whose opening quote is at `start`.
fn after_text(chars: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(chars.len())
}

/// After a character or a lifetime.
fn after_quote(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => (start + 3..chars.len()).find(|i| chars[*i] == '\'').map_or(chars.len(), |end| end + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => {
            (start + 1..chars.len()).find(|i| !(chars[*i].is_alphanumeric() || chars[*i] == '_')).unwrap_or(chars.len())
        }
    }
}

/// Where the quote of a raw text stands, and how many `#` are before it; None for anything else.
fn raw_hashes(chars: &[char], start: usize) -> Option<(usize, usize)> {
    let after_r = match (chars[start], chars.get(start + 1)) {
        ('r', _) => start + 1,
        ('b' | 'c', Some('r')) => start + 2,
        _ => return None,
    };
    let quote = (after_r..chars.len()).find(|i| chars[*i] != '#')?;
    (chars[quote] == '"').then_some((quote, quote - after_r))
}

fn is_sign(token: Option<&Token>, sign: char) -> bool {
    token.is_some_and(|token| token.kind == Kind::Sign(sign))
}

fn word(token: Option<&Token>) -> Option<&str> {
    match &token?.kind {
        Kind::Word(word) => Some(word),
        _ => None,
    }
}

/// The tokens that ship, and the modules that exist for tests only (`#[cfg(test)] mod name;`).
///
/// Whatever `#[cfg(test)]` or `#[test]` stands on is left out up to its closing brace or semicolon.
pub fn shipped(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut test_modules, mut index) = (Vec::new(), Vec::new(), 0);
    while index < tokens.len() {
        let Some(after) = after_test_attribute(tokens, index) else {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        };
        let end = after_item(tokens, after);
        if let Some(place) = (after..end).find(|i| word(tokens.get(*i)) == Some("mod"))
            && is_sign(tokens.get(place + 2), ';')
            && let Some(name) = word(tokens.get(place + 1))
        {
            test_modules.push(name.to_string());
        }
        index = end;
    }
    (kept, test_modules)
}

/// After the attribute at `index`, if it says that what follows is for tests.
fn after_test_attribute(tokens: &[Token], index: usize) -> Option<usize> {
    if !is_sign(tokens.get(index), '#') || !is_sign(tokens.get(index + 1), '[') {
        return None;
    }
    let end = after_group(tokens, index + 1, '[', ']');
    let words: Vec<&str> = tokens[index..end].iter().filter_map(|token| word(Some(token))).collect();
    let for_tests = matches!(words[..], ["test"] | ["cfg", "test"] | ["cfg", "any" | "all", "test", ..]);
    for_tests.then_some(end)
}

/// After the item that begins at `index`: its block, or its semicolon if that comes first.
fn after_item(tokens: &[Token], mut index: usize) -> usize {
    while index < tokens.len() {
        match tokens[index].kind {
            Kind::Sign(';') => return index + 1,
            Kind::Sign('{') => return after_group(tokens, index, '{', '}'),
            Kind::Sign('[') => index = after_group(tokens, index, '[', ']'),
            Kind::Sign('(') => index = after_group(tokens, index, '(', ')'),
            _ => index += 1,
        }
    }
    index
}

fn after_group(tokens: &[Token], start: usize, open: char, close: char) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.kind {
            Kind::Sign(sign) if sign == open => depth += 1,
            Kind::Sign(sign) if sign == close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Every path of two parts or more, and every one-part macro call or import; groups are spread out.
pub fn paths(tokens: &[Token]) -> Vec<Path> {
    let (mut found, mut index) = (Vec::new(), 0);
    while index < tokens.len() {
        match word(tokens.get(index)) {
            Some(_) => index = path(tokens, index, &[], &mut found),
            None => index += 1,
        }
    }
    found
}

/// Reads the path at `index` below `prefix`; the answer is where reading goes on.
fn path(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let mut parts = prefix.to_vec();
    let line = tokens[index].line;
    while let Some(part) = word(tokens.get(index)) {
        parts.push(part.to_string());
        index += 1;
        if tokens.get(index).is_none_or(|token| token.kind != Kind::PathSeparator) {
            break;
        }
        index += 1;
        if is_sign(tokens.get(index), '{') {
            return group(tokens, index, &parts, found);
        }
        // A turbofish or `*` ends what can be said of the path.
        if word(tokens.get(index)).is_none() {
            break;
        }
    }
    let bang = is_sign(tokens.get(index), '!') && !is_sign(tokens.get(index + 1), '=');
    if parts.len() > 1 || bang {
        found.push(Path { line, parts, bang });
    }
    index
}

/// Reads `{a::b, c::{d, e}}` below `prefix`.
fn group(tokens: &[Token], start: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let end = after_group(tokens, start, '{', '}');
    let mut index = start + 1;
    while index < end {
        match word(tokens.get(index)) {
            Some("as") => index += 2,
            Some(_) => index = path(tokens, index, prefix, found),
            None => index += 1,
        }
    }
    end
}
