//! The routes of both interfaces, as faults and counts name them.

/// Methods and paths; a path of the MoltFlow API stands without its `/api/v2`, `*` for a part that varies.
pub const ROUTES: [(&str, &str); 19] = [
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("GET", "/sessions"),
    ("POST", "/sessions"),
    ("GET", "/sessions/*"),
    ("DELETE", "/sessions/*"),
    ("GET", "/sessions/*/events"),
    ("POST", MESSAGES),
    ("GET", "/sessions/*/groups"),
    ("GET", "/groups"),
    ("POST", "/groups"),
    ("GET", "/webhooks"),
    ("POST", "/webhooks"),
    ("POST", "/ai/auto-reply/settings"),
    ("POST", "/ai/learn-mode/train"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("GET", "/v1/models"),
    // Counts only: what is no route of the guide.
    ("*", "/**"),
];

/// The path of the route that sends.
pub const MESSAGES: &str = "/sessions/*/messages";

/// The place of the route in [`ROUTES`] that `method` and `path` ask for; a path of the API stands without its `/api/v2`.
pub fn find(method: &str, path: &str) -> usize {
    let is = |(own, pattern): &(&str, &str)| *own == method && matches(pattern, path);
    ROUTES.iter().position(is).unwrap_or(ROUTES.len() - 1)
}

/// `path` without the API's prefix.
pub fn bare(path: &str) -> &str {
    match path.strip_prefix("/api/v2") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Whether a glob matches a path: `*` stands for any text within one part, a last part `**` for any number of parts.
pub fn matches(glob: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for part in glob.split('/') {
        if part == "**" {
            return true;
        }
        if !parts.next().is_some_and(|text| part_matches(part, text)) {
            return false;
        }
    }
    parts.next().is_none()
}

/// In time of the product of both lengths at most.
fn part_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut place) = (0, 0);
    // Where the last star stands, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        if glob.get(at) == Some(&b'*') {
            star = Some((at, place));
            at += 1;
        } else if glob.get(at) == Some(&text[place]) {
            (at, place) = (at + 1, place + 1);
        } else if let Some((starred, reached)) = star {
            (at, place) = (starred + 1, reached + 1);
            star = Some((starred, reached + 1));
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

/// Whether a glob could match a path of the route: a part that varies is matched by anything.
pub fn could_match(glob: &str, route: &str) -> bool {
    let mut parts = route.split('/');
    for part in glob.split('/') {
        if part == "**" {
            return true;
        }
        let fits = parts.next().is_some_and(|own| match own {
            "*" => !part.is_empty(),
            _ => part_matches(part, own),
        });
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, path, is) in [
            ("/sessions", "/sessions", true),
            ("/sessions", "/sessions/", false),
            ("/sessions/*", "/sessions/a-b", true),
            ("/sessions/*", "/sessions/a/groups", false),
            ("/sessions/**", "/sessions/a/groups", true),
            ("/**", "/x", true),
            ("/sessions/sup*m/messages", "/sessions/support-team/messages", true),
            ("/sessions/sup*x/messages", "/sessions/support-team/messages", false),
            ("/sessions/*a*a*", "/sessions/banana", true),
            ("/sessions/*a*a*a*a*", "/sessions/banana", false),
            ("", "/x", false),
        ] {
            assert_eq!(matches(glob, path), is, "{glob} {path}");
        }
    }

    #[test]
    fn requests_find_their_route() {
        for (method, path, route) in [
            ("POST", "/sessions/a/messages", ("POST", MESSAGES)),
            ("GET", "/sessions/a", ("GET", "/sessions/*")),
            ("PATCH", "/sessions/a", ("*", "/**")),
            ("GET", "/v1/models", ("GET", "/v1/models")),
        ] {
            assert_eq!(ROUTES[find(method, path)], route, "{method} {path}");
        }
        assert_eq!(
            (bare("/api/v2/groups"), bare("/api/v2x"), bare("/v1/models")),
            ("/groups", "/api/v2x", "/v1/models")
        );
    }

    #[test]
    fn a_glob_that_no_path_could_match_is_known() {
        for (glob, route, could) in [
            ("/sessions/support-team/messages", MESSAGES, true),
            ("/*/x/messages", MESSAGES, true),
            ("/**", MESSAGES, true),
            ("/session/*/messages", MESSAGES, false),
            ("/sessions//messages", MESSAGES, false),
        ] {
            assert_eq!(could_match(glob, route), could, "{glob} {route}");
        }
    }
}
