//! Which texts are names.

/// Ids, ports, variables, inputs: `[a-z][a-z0-9_]*`, so that `steps.x` is always an expression.
pub fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Workflows: `[a-z0-9][a-z0-9-_]*`.
pub fn is_workflow_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, identifier, workflow) in [
            ("a", true, true),
            ("a_1", true, true),
            ("a-b", false, true),
            ("1a", false, true),
            ("", false, false),
            ("A", false, false),
            ("_a", false, false),
            ("é", false, false),
        ] {
            assert_eq!((is_identifier(text), is_workflow_name(text)), (identifier, workflow), "{text}");
        }
    }
}
