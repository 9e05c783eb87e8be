//! Answers that were asked for beforehand: whoever tests what follows an answer can have the model give it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::base::limits;

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Text that the question holds, whatever its case; empty: any question.
    #[serde(default)]
    pub when: String,
    pub answer: String,
    /// How often it is given; without it, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// The answers that wait, oldest first. The first one that fits is given.
#[derive(Default)]
pub struct Script {
    lines: Mutex<VecDeque<Line>>,
}

impl Script {
    /// Adds one; false: there are [`limits::SANDBOX_OBJECTS`] already.
    pub fn add(&self, line: Line) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let room = lines.len() < limits::SANDBOX_OBJECTS;
        if room {
            lines.push_back(line);
        }
        room
    }

    pub fn shown(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Forgets all of them; the result is how many.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    /// The answer to `question`, if there is one.
    pub fn answer(&self, question: &str) -> Option<String> {
        let question = question.to_lowercase();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let place = lines.iter().position(|line| question.contains(&line.when.to_lowercase()))?;
        let line = &mut lines[place];
        let answer = line.answer.clone();
        if let Some(times) = &mut line.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                lines.remove(place);
            }
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_is_given_as_often_as_asked() {
        let script = Script::default();
        for (when, answer, times) in [("Bread", "rye", Some(2)), ("", "yes", Some(1)), ("bread", "wheat", None)] {
            assert!(script.add(Line { when: when.into(), answer: answer.into(), times }));
        }
        let given = ["bread?", "milk?", "BREAD?", "bread?", "milk?"].map(|question| script.answer(question));
        assert_eq!(
            given,
            [Some("rye"), Some("yes"), Some("rye"), Some("wheat"), None].map(|text| text.map(str::to_string))
        );
        assert_eq!((script.clear(), script.clear()), (1, 0));
        let line = Line { when: String::new(), answer: String::new(), times: None };
        assert_eq!((0..200).take_while(|_| script.add(line.clone())).count(), limits::SANDBOX_OBJECTS);
    }
}
