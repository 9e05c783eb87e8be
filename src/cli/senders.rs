//! `moltrun senders [opt-outs|opt-out|opt-in]`

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::{Exit, Failed, Globals, out};
use crate::base::Json;
use crate::base::time::rfc3339;
use crate::net::Url;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SendersArgs {
    #[command(subcommand)]
    command: Option<SendersCommand>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "they are the words of the command line")]
enum SendersCommand {
    /// Who opted out of a session's messages
    OptOuts {
        session: String,
        #[arg(long)]
        json: bool,
    },
    /// Enter that somebody wants no more messages
    OptOut {
        session: String,
        /// A chat id, or a phone number with +
        chat: String,
    },
    /// Enter that somebody wants messages again
    OptIn {
        session: String,
        /// A chat id, or a phone number with +
        chat: String,
    },
}

pub async fn run(globals: &Globals, args: SendersArgs) -> Result<Exit, Failed> {
    let client = Client::new(globals)?;
    match args.command {
        None => {
            let senders = client.get("/api/v1/senders").await?;
            if args.json { out::line(format_args!("{senders:#}")) } else { print(&senders) }
        }
        Some(SendersCommand::OptOuts { session, json }) => opt_outs(&client, &session, json).await?,
        Some(SendersCommand::OptOut { session, chat }) => {
            client.post("/api/v1/senders/opt-out", &json!({"session": session, "chat": chat})).await?;
        }
        Some(SendersCommand::OptIn { session, chat }) => {
            client.post("/api/v1/senders/opt-in", &json!({"session": session, "chat": chat})).await?;
        }
    }
    Ok(Exit::Ok)
}

async fn opt_outs(client: &Client, session: &str, as_json: bool) -> Result<(), Failed> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut page = client.get(&opt_outs_path(session, cursor.as_deref())).await?;
        if let Some(Json::Array(some)) = page.get_mut("opt_outs").map(Json::take) {
            all.extend(some);
        }
        cursor = page["next_cursor"].as_str().map(str::to_string);
        if cursor.is_none() {
            break;
        }
    }
    if as_json {
        out::line(format_args!("{:#}", json!({"opt_outs": all})));
        return Ok(());
    }
    let row = |chat: &str, since: &str, word: &str| out::line(out::shown(&format!("{chat:<24}  {since:<24}  {word}")));
    row("CHAT", "SINCE", "WORD");
    for one in &all {
        row(one["chat"].as_str().unwrap_or_default(), &time(&one["at"]), one["word"].as_str().unwrap_or("(by hand)"));
    }
    Ok(())
}

/// Names of sessions are free, so they are escaped.
fn opt_outs_path(session: &str, cursor: Option<&str>) -> String {
    const PATH: &str = "/api/v1/senders/opt-outs";
    let Ok(mut url) = Url::parse("http://daemon") else { return PATH.to_string() };
    url.query_pairs_mut().append_pair("session", session).extend_pairs(cursor.map(|cursor| ("cursor", cursor)));
    format!("{PATH}?{}", url.query().unwrap_or_default())
}

fn time(value: &Json) -> String {
    value.as_i64().map_or_else(|| "–".to_string(), rfc3339)
}

fn print(senders: &Json) {
    let row = |cells: [&str; 8]| {
        let [session, status, today, warm_up, pace, quiet, waiting, opted_out] = cells;
        let line = format!(
            "{session:<20}  {status:<10}  {today:>12}  {warm_up:>8}  {pace:<24}  {quiet:<28}  {waiting:>7}  {opted_out:>9}"
        );
        out::line(out::shown(line.trim_end()));
    };
    row(["SESSION", "STATUS", "TODAY", "WARM-UP", "PACE", "QUIET HOURS", "WAITING", "OPTED OUT"]);
    let all = senders["senders"].as_array().map(Vec::as_slice).unwrap_or_default();
    for sender in all {
        let text = |value: &Json| value.as_str().unwrap_or("–").to_string();
        let today = match &sender["today"] {
            today if today["cap"].is_null() => today["sent"].to_string(),
            today => format!("{} of {}", today["sent"], today["cap"]),
        };
        let warm_up = match &sender["warm_up"] {
            Json::Null => "–".to_string(),
            warm_up => format!("{} of {}", warm_up["day"], warm_up["days"]),
        };
        let pace = &sender["pace"];
        let jitter = pace["jitter"].as_str().filter(|jitter| *jitter != "0s..0s").map(|jitter| format!(", {jitter}"));
        let pace = format!("{}, burst {}{}", text(&pace["rate"]), pace["burst"], jitter.unwrap_or_default());
        row([
            &text(&sender["session"]),
            &text(&sender["status"]),
            &today,
            &warm_up,
            &pace,
            &quiet_hours(&sender["quiet_hours"]),
            &sender["waiting"]["total"].to_string(),
            &sender["opted_out"].to_string(),
        ]);
    }
    for sender in all {
        waiting(sender);
    }
}

fn quiet_hours(quiet: &Json) -> String {
    if quiet.is_null() {
        return "–".to_string();
    }
    let word = if quiet["now"] == true { "now, until" } else { "from" };
    format!("{word} {}", time(&quiet["changes_at"]))
}

/// What waits, and why.
fn waiting(sender: &Json) {
    let waiting = &sender["waiting"];
    let total = waiting["total"].as_u64().unwrap_or_default();
    if total == 0 {
        return;
    }
    let session = sender["session"].as_str().unwrap_or_default();
    let reasons = waiting["by_reason"].as_object().into_iter().flatten();
    let reasons: Vec<_> = reasons.map(|(code, count)| format!("{count} {code}")).collect();
    let (next, last) = (time(&waiting["next_at"]), time(&waiting["last_at"]));
    let line = format!("{session}: {total} waiting ({}), turns from {next} to {last}", reasons.join(", "));
    out::line("");
    out::line(out::shown(&line));
    let first = waiting["first"].as_array().map(Vec::as_slice).unwrap_or_default();
    for held in first {
        let text = |key: &str| held[key].as_str().unwrap_or_default();
        let line = format!(
            "  {}  {}  {}  {}  to {}  {}",
            time(&held["until"]),
            text("run"),
            text("workflow"),
            text("step"),
            text("to"),
            text("why")
        );
        out::line(out::shown(&line));
    }
    if total > first.len() as u64 {
        out::line(format_args!("  and {} more", total - first.len() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::opt_outs_path;

    #[test]
    fn names_of_sessions_are_escaped() {
        assert_eq!(opt_outs_path("my team&x=1", None), "/api/v1/senders/opt-outs?session=my+team%26x%3D1");
        let next = opt_outs_path("s", Some("15551234567@c.us"));
        assert_eq!(next, "/api/v1/senders/opt-outs?session=s&cursor=15551234567%40c.us");
    }
}
