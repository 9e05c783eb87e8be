//! What a policy may say, and what is said of one that is wrong.

use super::*;
use crate::lang::Source;
use crate::lang::yaml;

/// The policy of `s: {…}`, and what was found: place, message, help.
fn read(text: &str) -> (Option<Policy>, Vec<String>) {
    let source = Source { path: "moltrun.yaml".to_string(), text: format!("s: {text}\n") };
    let mut found = Diagnostics::new(&source);
    let tree = yaml::read(&mut found).unwrap();
    let policy = sender(&reader::entries(&tree, &mut found).unwrap()[0], &mut found);
    let found = found.finish().into_iter().map(|one| {
        let place = &source.text[one.span.clone()];
        format!("{place}: {} ({})", one.message, one.help.unwrap_or_default())
    });
    (policy, found.collect())
}

#[test]
fn a_whole_policy() {
    let (policy, found) = read(
        r#"
  pace: { rate: 20/min, burst: 4, jitter: 2s..8s }
  daily_cap: 500
  warm_up: [20, 50, 100, 200]
  quiet_hours: { from: "21:00", to: "8:00", timezone: Europe/Madrid }
  opt_out: { words: [stop, Baja], reply: You are out., start_words: [start] }"#,
    );
    assert_eq!(found, Vec::<String>::new());
    let policy = policy.unwrap();
    assert_eq!((policy.pace.rate.to_string(), policy.pace.jitter.to_string()), ("20/min".into(), "2s..8s".into()));
    assert_eq!((policy.pace.burst, policy.daily_cap, policy.warm_up.len()), (4, Some(500), 4));
    // Days are those of the quiet hours, where nothing else is said.
    assert_eq!(policy.timezone.iana_name(), Some("Europe/Madrid"));
    assert!(policy.opt_out.unwrap().said("BAJA!").is_some());
}

#[test]
fn days_have_a_zone() {
    let zone = |text: &str| read(text).0.unwrap().timezone.iana_name().map(str::to_string);
    assert_eq!(zone("{ pace: { rate: 1/s } }").as_deref(), Some("UTC"));
    let own = "{ pace: { rate: 1/s }, timezone: Asia/Kolkata, quiet_hours: { from: '21:00', to: '08:00' } }";
    assert_eq!(zone(own).as_deref(), Some("Asia/Kolkata"));
    assert_eq!(read(own).0.unwrap().quiet_hours.unwrap().zone().iana_name(), Some("Asia/Kolkata"));
}

#[test]
fn what_is_wrong_is_said_where_it_stands_with_what_to_do() {
    let rest = |text: &str| format!("{{ pace: {{ rate: 1/s }}, {text} }}");
    for (text, expected) in [
        ("{ daily_cap: 5 }".to_string(), "daily_cap: sender `s` needs `pace` ()"),
        (
            "{ pace: { rate: 1/s, bust: 2 } }".to_string(),
            "bust: the pace of sender `s` has no key `bust` (did you mean `burst`?)",
        ),
        (
            "{ pace: { rate: 1/s, jitter: 8s..2s } }".to_string(),
            "8s..2s: sender `s`: `8s..2s` is no jitter; write the shortest and the longest pause, at most 1h: 2s..8s ()",
        ),
        (rest("daily_cap: 0"), "0: `0` is no whole number from 1 to 1000000 ()"),
        (rest("warm_up: [20, -1]"), "-1: `-1` is no whole number from 1 to 1000000 ()"),
        (rest("warm_up: [20, 10]"), "10: a warm-up that falls, from 20 to 10, is none ()"),
        (rest("warm_up: 20"), "20: expected a list, found a number ()"),
        (
            rest("quiet_hours: { from: '21:00', to: '08:00' }"),
            "from: the quiet hours of sender `s` needs `timezone` ()",
        ),
        (
            rest("quiet_hours: { from: '24:00', to: '08:00', timezone: UTC }"),
            "'24:00': `24:00` is no time of day (midnight is \"00:00\")",
        ),
        (
            rest("quiet_hours: { from: '9', to: '08:00', timezone: UTC }"),
            "'9': `9` is no time of day (write hours and minutes, 00:00 to 23:59, in quotes: \"21:00\")",
        ),
        (
            rest("quiet_hours: { from: '08:00', to: '8:00', timezone: UTC }"),
            "{ from: '08:00', to: '8:00', timezone: UTC }: quiet hours that end when they begin are none, or all day (leave `quiet_hours` out, or set `from` and `to` to different times)",
        ),
        (
            rest("timezone: Europe/Madird"),
            "Europe/Madird: `Europe/Madird` is no time zone (did you mean `Europe/Madrid`?)",
        ),
        (rest("opt_out: { words: [] }"), "[]: `words` is empty (write [stop])"),
        (rest("opt_out: { words: ['  '] }"), "'  ': `  ` is no word of 1 to 64 characters ()"),
        (rest("opt_out: { words: [stop], start_words: [Stop] }"), "[Stop]: `Stop` cannot be a word for both ()"),
        (rest("opt_out: { words: [stop], reply: ' ' }"), "' ': a reply has 1 to 65536 characters ()"),
        (
            rest("opt_out: { words: [stop], start_reply: Hi }"),
            "start_reply: `start_reply` answers to nothing (add `start_words: [start]`)",
        ),
        (rest("opt_out: { word: [stop] }"), "word: the opt-out of sender `s` needs `words` ()"),
    ] {
        let (_, found) = read(&text);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{text}: {found:#?}");
    }
}
