//! JavaScript as tokens: enough to see which names a script uses, without knowing its grammar.
//!
//! Comments, texts and regular expressions are skipped, expressions within templates are not. Where the two readings of a
//! `/` cannot be told apart, it divides. Whether the code is JavaScript at all is for the engine to say.

use std::collections::HashSet;
use std::ops::Range;

/// One token that is not skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Bytes of the code.
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    /// Quotes included.
    Text,
    /// A number, a regular expression, a piece of a template.
    Other,
    /// One character, `...`, `=>` or `?.`.
    Sign,
}

impl Token {
    pub fn text<'c>(&self, code: &'c str) -> &'c str {
        &code[self.span.clone()]
    }
}

/// Words after which a `/` begins a regular expression.
const BEFORE_VALUES: &[&str] =
    &["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "instanceof", "yield"];

/// The tokens of `code`.
pub(super) fn tokens(code: &str) -> Vec<Token> {
    let mut lexer = Lexer { code, at: 0, tokens: Vec::new(), open: Vec::new(), divides_to: 0 };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'c> {
    code: &'c str,
    at: usize,
    tokens: Vec<Token>,
    /// The braces that are open: whether each is the `${` of a template.
    open: Vec<bool>,
    /// Up to here a `/` divides: a regular expression that began before it did not end.
    divides_to: usize,
}

impl<'c> Lexer<'c> {
    fn rest(&self) -> &'c str {
        &self.code[self.at..]
    }

    fn push(&mut self, kind: Kind, bytes: usize) {
        let end = (self.at + bytes).min(self.code.len());
        self.tokens.push(Token { kind, span: self.at..end });
        self.at = end;
    }

    /// Takes one token or what is skipped; false at the end.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        let to_line_end = |rest: &str| rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len());
        match first {
            _ if first.is_whitespace() || first == '\u{feff}' => self.at += first.len_utf8(),
            '/' if rest.starts_with("//") => self.at += to_line_end(rest),
            '/' if rest.starts_with("/*") => self.at += rest[2..].find("*/").map_or(rest.len(), |at| at + 4),
            '/' if self.at >= self.divides_to && self.is_value_next() => match regex(rest) {
                Some(bytes) => self.push(Kind::Other, bytes),
                None => {
                    self.divides_to = self.at + to_line_end(rest);
                    self.push(Kind::Sign, 1);
                }
            },
            '"' | '\'' => self.push(Kind::Text, quoted(rest, first)),
            '`' => self.template(1),
            '}' if self.open.pop() == Some(true) => self.template(1),
            '{' => {
                self.open.push(false);
                self.push(Kind::Sign, 1);
            }
            _ if first.is_ascii_digit() => {
                let digits = rest.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len());
                self.push(Kind::Other, digits);
            }
            _ if is_name(first) => {
                let name = rest.find(|c: char| !is_name(c) && !c.is_numeric()).unwrap_or(rest.len());
                self.push(Kind::Name, name);
            }
            _ if rest.starts_with("...") => self.push(Kind::Sign, 3),
            _ if rest.starts_with("=>") || rest.starts_with("?.") => self.push(Kind::Sign, 2),
            _ => self.push(Kind::Sign, first.len_utf8()),
        }
        true
    }

    /// A piece of a template, up to its end or its next `${`; `skip` is its quote or the brace before it.
    fn template(&mut self, skip: usize) {
        let rest = self.rest();
        let mut bytes = skip;
        while let Some(at) = rest[bytes..].find(['\\', '`', '$']) {
            bytes += at;
            if rest[bytes..].starts_with("${") {
                self.push(Kind::Other, bytes + 2);
                self.open.push(true);
                return;
            }
            match rest.as_bytes()[bytes] {
                b'`' => return self.push(Kind::Other, bytes + 1),
                b'\\' => bytes += 1 + rest[bytes + 1..].chars().next().map_or(0, char::len_utf8),
                _ => bytes += 1,
            }
        }
        let all = rest.len();
        self.push(Kind::Other, all);
    }

    /// Would a value stand here, rather than what follows one?
    fn is_value_next(&self) -> bool {
        let Some(last) = self.tokens.last() else { return true };
        let text = last.text(self.code);
        match last.kind {
            Kind::Name => BEFORE_VALUES.contains(&text),
            Kind::Text => false,
            Kind::Other => text.ends_with("${"),
            Kind::Sign => !matches!(text, ")" | "]" | "}"),
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

/// The bytes of a text in quotes; one that is not closed ends with its line.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\n' => return at,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The bytes of a regular expression, its flags included; None where it does not end in its line.
fn regex(rest: &str) -> Option<usize> {
    let mut in_class = false;
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\n' => return None,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => {
                let flags = rest[at + 1..].find(|c: char| !c.is_ascii_alphabetic());
                return Some(flags.map_or(rest.len(), |flags| at + 1 + flags));
            }
            _ => {}
        }
    }
    None
}

/// A use of a name that is not a member of something, not a key, and not the script's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use<'c> {
    pub name: &'c str,
    /// The member that is read of it, where the code says which.
    pub member: Option<&'c str>,
    /// The name and its member.
    pub span: Range<usize>,
}

/// Every such use of one of `names`.
pub(super) fn uses<'c>(code: &'c str, tokens: &[Token], names: &[&str]) -> Vec<Use<'c>> {
    let own = declared(code, tokens);
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text(code));
    let mut uses = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Name) {
        let name = token.text(code);
        let before = if at == 0 { "" } else { text(at - 1) };
        let is_key = text(at + 1) == ":" && matches!(before, "{" | ",");
        if !names.contains(&name) || matches!(before, "." | "?.") || is_key || own.contains(&name) {
            continue;
        }
        let dot = usize::from(matches!(text(at + 1), "." | "?."));
        let next = tokens.get(at + 1 + dot);
        let (member, end) = match next {
            Some(next) if dot == 1 && next.kind == Kind::Name => (Some(next.text(code)), next.span.end),
            Some(next) if next.text(code) == "[" && text(at + 3 + dot) == "]" => match tokens.get(at + 2 + dot) {
                Some(key) if key.kind == Kind::Text && !key.text(code).contains('\\') => {
                    let quoted = key.text(code);
                    (quoted.get(1..quoted.len().max(2) - 1), tokens[at + 3 + dot].span.end)
                }
                _ => (None, token.span.end),
            },
            _ => (None, token.span.end),
        };
        uses.push(Use { name, member, span: token.span.start..end });
    }
    uses
}

/// Names that the code may have made its own: of variables, functions, classes and parameters. Rather too many.
fn declared<'c>(code: &'c str, tokens: &[Token]) -> HashSet<&'c str> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text(code));
    let ends = ends(code, tokens);
    // Where ranges of such names begin and end: they may nest as deep as the code.
    let mut edges = vec![0i64; tokens.len() + 1];
    let mut names = |from: usize, to: usize| {
        edges[from.min(tokens.len())] += 1;
        edges[to.min(tokens.len())] -= 1;
    };
    for (at, token) in tokens.iter().enumerate() {
        let before = if at == 0 { "" } else { text(at - 1) };
        match (token.kind, token.text(code)) {
            (Kind::Name, "let" | "const" | "var" | "function" | "class") => match text(at + 1) {
                "[" | "{" => names(at + 1, ends[at + 1]),
                _ => names(at + 1, at + 2),
            },
            // `let a = 1, b = 2`, `x => …`
            (Kind::Name, _) if text(at + 1) == "=>" => names(at, at + 1),
            (Kind::Name, _) if before == "," && text(at + 1) == "=" && text(at + 2) != "=" => names(at, at + 1),
            (Kind::Sign, "(") => {
                let end = ends[at];
                let follows_name = at > 0 && tokens[at - 1].kind == Kind::Name;
                let is_method = follows_name && !matches!(before, "if" | "for" | "while" | "switch" | "with");
                let is_function = matches!(before, "function" | "catch") || at > 1 && text(at - 2) == "function";
                if text(end + 1) == "=>" || is_function || is_method && text(end + 1) == "{" {
                    names(at, end);
                }
            }
            _ => {}
        }
    }
    let mut open = 0;
    let mut own = HashSet::new();
    for (token, edge) in tokens.iter().zip(edges) {
        open += edge;
        if open > 0 && token.kind == Kind::Name {
            own.insert(token.text(code));
        }
    }
    own
}

/// Of each bracket that opens, the token that closes it; of one that stays open, the end.
fn ends(code: &str, tokens: &[Token]) -> Vec<usize> {
    let mut ends = vec![tokens.len(); tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text(code) {
            "(" | "[" | "{" => open.push(at),
            ")" | "]" | "}" => {
                if let Some(opening) = open.pop() {
                    ends[opening] = at;
                }
            }
            _ => {}
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<&str> {
        tokens(code).iter().map(|token| token.text(code)).collect()
    }

    fn found(code: &str) -> Vec<String> {
        let names = ["steps", "vars", "event", "item"];
        let shown = |one: Use<'_>| format!("{}.{}", one.name, one.member.unwrap_or("*"));
        uses(code, &tokens(code), &names).into_iter().map(shown).collect()
    }

    #[test]
    fn what_is_no_code_is_skipped() {
        for (code, expected) in [
            ("a // b\n+ /* c\n */ d", "a + d"),
            ("x = 'a\\'b' + \"c\"", "x = 'a\\'b' + \"c\""),
            ("a / b / c", "a / b / c"),
            ("return /a[/\"]b/g.test(c)", "return /a[/\"]b/g . test ( c )"),
            ("(a) / 2", "( a ) / 2"),
            ("`a ${b + `c${d}`} e` + f", "`a ${ b + `c${ d }` } e` + f"),
            ("`a ${ {b: 1}.b }`", "`a ${ { b : 1 } . b }`"),
            ("1.5e3n + 0xff", "1.5e3n + 0xff"),
            ("[...a, b?.c] => d", "[ ... a , b ?. c ] => d"),
            ("'open\nnext", "'open next"),
            ("`open ${a", "`open ${ a"),
            ("/* open", ""),
            ("\\", "\\"),
            ("`\\", "`\\"),
            ("é = ü1", "é = ü1"),
        ] {
            assert_eq!(texts(code).join(" "), expected, "{code}");
        }
    }

    #[test]
    fn uses_name_their_members() {
        for (code, expected) in [
            ("steps.a.b + vars['c d'] + event.data.x", "steps.a vars.c d event.data"),
            ("steps?.a?.b; steps?.['c']", "steps.a steps.c"),
            ("steps[x]; for (const k in vars) f(vars[k])", "steps.* vars.* vars.*"),
            ("x.steps.a; ({steps: 1, vars}); y = {...event}", "vars.* event.*"),
            ("`${steps.a} steps.b`; // steps.c\n'steps.d'", "steps.a"),
            ("a ? steps.x : vars.y", "steps.x vars.y"),
            ("vars['']", "vars."),
        ] {
            assert_eq!(found(code).join(" "), expected, "{code}");
        }
    }

    /// As deep as a file can nest them, in a moment.
    #[test]
    fn brackets_without_end() {
        for code in [
            "(".repeat(300_000),
            "(item=".repeat(100_000),
            "item=>".repeat(100_000),
            "`${".repeat(100_000),
            "[/".repeat(100_000),
            "'\n".repeat(100_000),
        ] {
            uses(&code, &tokens(&code), &["item", "steps"]);
        }
    }

    #[test]
    fn what_a_script_calls_its_own_is_its_own() {
        for code in [
            "input.map(item => item.x)",
            "input.map((item, i) => item.x)",
            "input.map(({ item }) => item.x)",
            "input.map(function (item) { return item })",
            "for (const item of input) f(item)",
            "let a = 1, item = 2; f(item)",
            "const { item } = input; const [event] = item",
            "function item() {} item()",
            "function f(item) { return item }",
            "try { f() } catch (item) { g(item) }",
            "const o = { f(item) { return item } }",
        ] {
            assert!(found(code).iter().all(|one| !one.starts_with("item")), "{code}");
        }
        for code in ["return item", "f(item)", "if (item) { g() }", "x = { item }", "for (const a of item) f(a)"] {
            assert_eq!(found(code).len(), 1, "{code}");
        }
    }
}
