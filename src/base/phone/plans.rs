//! The numbering plans, read from their table when the first number is.

use std::sync::OnceLock;

use regex::Regex;

/// How numbers of one region are written.
pub(super) struct Plan {
    /// Two letters, or `001` for numbers of no country.
    pub region: &'static str,
    pub code: &'static str,
    /// What is dialled before a country code.
    pub abroad: Pattern,
    /// What is dialled before a number in its own country; may be empty.
    pub trunk: &'static str,
    /// The same where it is more than one text, with its replacement.
    parsing: Pattern,
    replacement: &'static str,
    /// Pairs of the shortest and the longest of numbers without their country code.
    lengths: Vec<(usize, usize)>,
    /// All numbers that are or may be given out.
    pub numbers: Pattern,
}

/// A regular expression of the table, compiled when it is first used. An empty one matches nothing.
pub(super) struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(source: String) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    fn beginning(source: &str) -> Self {
        Self::new(if source.is_empty() { String::new() } else { format!("^(?:{source})") })
    }

    fn regex(&self) -> Option<&Regex> {
        // A pattern that does not compile matches nothing; a test compiles all of them.
        self.compiled
            .get_or_init(|| (!self.source.is_empty()).then(|| Regex::new(&self.source).ok()).flatten())
            .as_ref()
    }

    /// Where the beginning of `digits` that matches ends.
    pub fn begins(&self, digits: &str) -> Option<usize> {
        self.regex()?.find(digits).map(|found| found.end())
    }

    /// Whether all of it matches.
    pub fn is(&self, digits: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(digits))
    }
}

impl Plan {
    pub fn has_length(&self, length: usize) -> bool {
        self.lengths.iter().any(|(least, most)| (*least..=*most).contains(&length))
    }

    /// What is left of a number without the prefix that is dialled before it in its own country, where there is one.
    pub fn without_trunk(&self, digits: &str) -> Option<String> {
        let regex = self.parsing.regex()?;
        let captures = regex.captures(digits)?;
        let last = captures.get(captures.len() - 1).filter(|_| captures.len() > 1);
        match last {
            // As in Argentina, where a mobile number is written with 15 in its midst and dialled with a 9 before it.
            Some(_) if !self.replacement.is_empty() => Some(regex.replace(digits, self.replacement).into_owned()),
            _ => Some(digits[captures.get(0)?.end()..].to_string()),
        }
    }
}

/// Every plan; of those that share a country code the main one comes first.
pub(super) fn all() -> &'static [Plan] {
    static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
    PLANS.get_or_init(|| {
        let lines = include_str!("plans.tsv").lines().filter(|line| !line.starts_with('#'));
        // A line of another form is left out; a test counts them.
        lines.filter_map(read).collect()
    })
}

fn read(line: &'static str) -> Option<Plan> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let (region, code, _main) = (next()?, next()?, next()?);
    let (abroad, trunk, parsing, replacement) = (next()?, next()?, next()?, next()?);
    let lengths = next()?.split(',').filter_map(|range| {
        let (least, most) = range.split_once('-').unwrap_or((range, range));
        Some((least.parse().ok()?, most.parse().ok()?))
    });
    Some(Plan {
        region,
        code,
        abroad: Pattern::beginning(abroad),
        trunk,
        parsing: Pattern::beginning(parsing),
        replacement,
        lengths: lengths.collect(),
        numbers: Pattern::new(format!("^(?:{})$", next()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_plan_and_every_pattern_compiles() {
        let lines = include_str!("plans.tsv").lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all().len(), lines);
        assert!(lines > 240);
        for plan in all() {
            for pattern in [&plan.abroad, &plan.parsing, &plan.numbers] {
                assert!(pattern.source.is_empty() || pattern.regex().is_some(), "{} {}", plan.region, pattern.source);
            }
            assert!(!plan.lengths.is_empty() && !plan.code.is_empty(), "{}", plan.region);
        }
    }
}
