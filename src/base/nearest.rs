//! "Did you mean": the known name nearest to an unknown one.

/// The known name a person most likely meant, if one is near enough to be worth saying.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&unknown.to_lowercase(), &name.to_lowercase()), name))
        // 0.8: `mesage` finds `message`, `foo` finds nothing.
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_slip_and_invents_nothing() {
        let known = ["message", "schedule", "manual"];
        assert_eq!(nearest("mesage", known), Some("message"));
        assert_eq!(nearest("Shedule", known), Some("schedule"));
        assert_eq!(nearest("foo", known), None);
    }
}
