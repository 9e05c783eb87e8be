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

/// Words before a condition in parentheses; behind it a statement begins.
const BEFORE_CONDITIONS: &[&str] = &["if", "for", "while", "with"];

/// Methods that every object has: of what a script is handed they are no members.
const METHODS: &[&str] =
    &["hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf"];

/// The tokens of `code`.
pub(super) fn tokens(code: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        code,
        at: 0,
        tokens: Vec::new(),
        open: Vec::new(),
        conditions: Vec::new(),
        is_value_next: true,
        follows_value: false,
        divides_to: 0,
    };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'c> {
    code: &'c str,
    at: usize,
    tokens: Vec<Token>,
    /// The braces that are open: whether each is the `${` of a template.
    open: Vec<bool>,
    /// The parentheses that are open: whether each holds the condition of a statement.
    conditions: Vec<bool>,
    /// Would a value stand here, rather than what follows one?
    is_value_next: bool,
    /// Whether the last token stands behind a value.
    follows_value: bool,
    /// Up to here a `/` divides: a regular expression that began before it did not end.
    divides_to: usize,
}

impl<'c> Lexer<'c> {
    fn rest(&self) -> &'c str {
        &self.code[self.at..]
    }

    fn push(&mut self, kind: Kind, bytes: usize) {
        let end = (self.at + bytes).min(self.code.len());
        let token = Token { kind, span: self.at..end };
        let follows_value = !self.is_value_next;
        self.is_value_next = self.is_value_after(&token);
        self.follows_value = follows_value;
        self.tokens.push(token);
        self.at = end;
    }

    /// Whether a value would stand behind `token`, which comes next.
    fn is_value_after(&mut self, token: &Token) -> bool {
        let text = token.text(self.code);
        let last = self.tokens.last();
        let before = last.map_or("", |last| last.text(self.code));
        match (token.kind, text) {
            (Kind::Name, _) => BEFORE_VALUES.contains(&text) && !matches!(before, "." | "?." | "#"),
            (Kind::Text, _) => false,
            (Kind::Other, _) => text.ends_with("${"),
            (Kind::Sign, "(") => {
                let is_member = self.tokens.len() > 1
                    && matches!(self.tokens[self.tokens.len() - 2].text(self.code), "." | "?." | "#");
                self.conditions.push(!is_member && BEFORE_CONDITIONS.contains(&before));
                true
            }
            (Kind::Sign, ")") => self.conditions.pop().unwrap_or(false),
            // `n++`: what it counts stands before it, and so does the value.
            (Kind::Sign, "+" | "-") => {
                let is_double = before == text && last.is_some_and(|last| last.span.end == token.span.start);
                !(is_double && self.follows_value)
            }
            (Kind::Sign, _) => !matches!(text, "]" | "}"),
        }
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
            '/' if self.at >= self.divides_to && self.is_value_next => match regex(rest) {
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

/// A use of a name that is not a member of something and not a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use<'c> {
    pub name: &'c str,
    /// The member that is read of it, where the code says which.
    pub member: Option<&'c str>,
    /// Somewhere in the code the name may be the script's own: a use of that one is no mistake, one of the other needs it.
    pub own: bool,
    /// The name and its member.
    pub span: Range<usize>,
}

/// Every such use of one of `names`.
pub(super) fn uses<'c>(code: &'c str, tokens: &[Token], names: &[&str]) -> Vec<Use<'c>> {
    let ends = ends(code, tokens);
    let own = declared(code, tokens, &ends);
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text(code));
    let mut uses = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Name) {
        let name = token.text(code);
        let before = if at == 0 { "" } else { text(at - 1) };
        if !names.contains(&name) || matches!(before, "." | "?." | "#") || is_key(code, tokens, &ends, at) {
            continue;
        }
        let dot = usize::from(matches!(text(at + 1), "." | "?."));
        let next = tokens.get(at + 1 + dot);
        let (member, end) = match next {
            Some(next) if dot == 1 && METHODS.contains(&next.text(code)) && text(at + 3) == "(" => {
                (None, token.span.end)
            }
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
        uses.push(Use { name, member, own: own.contains(name), span: token.span.start..end });
    }
    uses
}

/// Is the name at `at` the key of a property, or the name of a method?
fn is_key(code: &str, tokens: &[Token], ends: &[usize], at: usize) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text(code));
    match text(at + 1) {
        ":" => at > 0 && matches!(text(at - 1), "{" | ","),
        "(" => text(ends[at + 1] + 1) == "{",
        _ => false,
    }
}

/// Names that the code may have made its own: of variables, functions, classes and parameters. Rather too many.
fn declared<'c>(code: &'c str, tokens: &[Token], ends: &[usize]) -> HashSet<&'c str> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text(code));
    // Where ranges of such names begin and end: they may nest as deep as the code.
    let mut edges = vec![0i64; tokens.len() + 1];
    let mut names = |from: usize, to: usize| {
        edges[from.min(tokens.len())] += 1;
        edges[to.min(tokens.len())] -= 1;
    };
    // The token behind the one at `at`, or behind its brackets.
    let beyond = |at: usize| match text(at) {
        "(" | "[" | "{" => ends[at] + 1,
        _ => at + 1,
    };
    for (at, token) in tokens.iter().enumerate() {
        let before = if at == 0 { "" } else { text(at - 1) };
        match (token.kind, token.text(code)) {
            (Kind::Name, "let" | "const" | "var") => {
                let mut next = at + 1;
                names(next, beyond(next));
                // Another declaration goes on by itself: no token is seen twice.
                while !matches!(text(next), "" | ";" | ")" | "]" | "}" | "let" | "const" | "var") {
                    if text(next) == "," {
                        names(next + 1, beyond(next + 1));
                    }
                    next = beyond(next);
                }
            }
            (Kind::Name, "function") => {
                let name = at + 1 + usize::from(text(at + 1) == "*");
                names(name, name + 1);
            }
            (Kind::Name, "class") => {
                names(at + 1, at + 2);
                let mut next = at + 1;
                while !matches!(text(next), "" | ";" | ")" | "]" | "}" | "{" | "class") {
                    next = beyond(next);
                }
                if text(next) == "{" {
                    fields(&text, next, ends[next], &beyond, &mut names);
                }
            }
            // `x => …`
            (Kind::Name, _) if text(at + 1) == "=>" => names(at, at + 1),
            (Kind::Sign, "(") => {
                let end = ends[at];
                let earlier = |back: usize| at.checked_sub(back).map_or("", text);
                let is_function = matches!(before, "function" | "catch")
                    || earlier(2) == "function"
                    || earlier(3) == "function" && earlier(2) == "*";
                let is_method = text(end + 1) == "{" && !matches!(before, "if" | "for" | "while" | "switch" | "with");
                if text(end + 1) == "=>" || is_function || is_method {
                    names(at, end);
                }
            }
            _ => {}
        }
    }
    let mut open = 0;
    let mut own = HashSet::new();
    for (at, (token, edge)) in tokens.iter().zip(edges).enumerate() {
        open += edge;
        let is_key = text(at + 1) == ":" && at > 0 && matches!(text(at - 1), "{" | ",");
        if open > 0 && token.kind == Kind::Name && !is_key {
            own.insert(token.text(code));
        }
    }
    own
}

/// Gives to `names` what may be the fields of the class whose body is the braces at `from` and `to`.
fn fields<'c>(
    text: &impl Fn(usize) -> &'c str,
    from: usize,
    to: usize,
    beyond: &impl Fn(usize) -> usize,
    names: &mut impl FnMut(usize, usize),
) {
    let mut at = from + 1;
    while at < to {
        if matches!(text(at + 1), "=" | ";" | "}") && text(at + 2) != "=" {
            names(at, at + 1);
        }
        at = beyond(at);
    }
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
            ("n++ / a; // b", "n + + / a ;"),
            ("n-- / a / b", "n - - / a / b"),
            ("a + +/b/.c", "a + + /b/ . c"),
            ("a+++/b/.c", "a + + + /b/ . c"),
            ("a - -1 / b // c", "a - - 1 / b"),
            ("row.of / a // b", "row . of / a"),
            ("row?.in / a // b", "row ?. in / a"),
            ("if (a) /['\"]/.test(b)", "if ( a ) /['\"]/ . test ( b )"),
            ("while ((a)) /'/.test(b)", "while ( ( a ) ) /'/ . test ( b )"),
            ("x.if(a) / b // c", "x . if ( a ) / b"),
            (") / a // b", ") / a"),
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
            ("vars.hasOwnProperty('a') && vars.toString", "vars.* vars.toString"),
            ("this.#steps.a + #vars in x", ""),
            ("({ vars: 1, steps(a) {}, get event() {}, *item() {} })", ""),
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
            "let a,".repeat(100_000),
            "let a,{".repeat(100_000),
            "class ".repeat(100_000),
            "class{".repeat(100_000),
            "class a(".repeat(100_000),
            "item(){".repeat(100_000),
            "a++/".repeat(100_000),
            "if(/".repeat(100_000),
            "[/".repeat(100_000),
            "'\n".repeat(100_000),
        ] {
            uses(&code, &tokens(&code), &["item", "steps"]);
        }
    }

    #[test]
    fn what_a_script_calls_its_own_is_its_own() {
        let others = |code: &str| {
            let uses = uses(code, &tokens(code), &["item"]);
            uses.into_iter().filter(|one| !one.own).count()
        };
        for code in [
            "input.map(item => item.x)",
            "input.map((item, i) => item.x)",
            "input.map(({ item }) => item.x)",
            "input.map(function (item) { return item })",
            "for (const item of input) f(item)",
            "for (const [i, item] of input) f(item)",
            "let a = 1, item = 2; f(item)",
            "let a = 0, item; f(item)",
            "let a = f(b, [c]), item\nf(item)",
            "let a, b, item; f(item)",
            "const { a } = x, { item } = y; f(item)",
            "const { item } = input; const [event] = item",
            "const { a: [{ item = 1 }] } = input; f(item)",
            "function item() {} item()",
            "function* item() {} f(item)",
            "function f(item) { return item }",
            "function* f(item) { return item }",
            "f(function* (item) { return item })",
            "try { f() } catch (item) { g(item) }",
            "const o = { f(item) { return item } }",
            "const o = { 'f'(item) { return item }, [g](item) { return item } }",
            "class Job { item() {} }",
            "class Job { item = 0 }",
            "class Job { a = 1; static item = 0; b }",
            "class Job extends f({}) { item; get a() {} }",
            "return this.#item",
        ] {
            assert_eq!(others(code), 0, "{code}");
        }
        for code in [
            "return item",
            "f(item)",
            "if (item) { g() }",
            "x = { item }",
            "for (const a of item) f(a)",
            "let a = f(b, item)",
            "const { item: a } = input; f(item)",
            "class Job { a() { return item } }",
        ] {
            assert_eq!(others(code), 1, "{code}");
        }
    }
}
