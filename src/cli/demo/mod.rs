//! `moltrun demo`: the whole product in one process. The far side is the sandbox; everything between is the real thing:
//! webhooks over HTTP, the journal in SQLite, the plugin in its WASM sandbox, sends over HTTP.

mod script;
mod stage;

use std::collections::BTreeSet;

use clap::Args;
use tokio::sync::mpsc;

use self::script::{MESSAGES, Scene};
use self::stage::Stage;
use super::progress::Committed;
use super::{Exit, Failed, out};
use crate::base::RunId;
use crate::engine::event::RunStatus;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep everything up afterwards and print where it is
    #[arg(long)]
    serve: bool,
}

pub async fn run(args: DemoArgs) -> Result<Exit, Failed> {
    let (mut stage, mut committed) = Stage::set().await?;
    out::line(format_args!("a local MoltFlow: {}", stage.sandbox.moltflow_url));
    out::line(format_args!("a local model:    {}  (canned answers)", stage.sandbox.model_url));
    out::line(format_args!("moltrun:          http://{}  (webhook registered)", stage.address()));
    let mut show = Show { runs: BTreeSet::new(), received: 0, failed: false };
    for Scene { who, session, from, body, what } in MESSAGES {
        out::line(format_args!("\n── {what}"));
        out::line(format_args!("{who} {from} writes to {session}: {body:?}"));
        let inbound = stage.sandbox.inbound(session, from, body);
        inbound.map_err(|error| Failed::new(Exit::Failed, format!("the sandbox took no message: {error}")))?;
        show.one_run(&mut stage, &mut committed).await?;
    }
    out::line(format_args!("\n── the weekly broadcast, now instead of on Monday"));
    stage.start("weekly-broadcast").await?;
    show.one_run(&mut stage, &mut committed).await?;
    out::line(format_args!(
        "\n{} messages came in, {} runs, {} messages went out",
        MESSAGES.len(),
        show.runs.len(),
        show.received
    ));
    if args.serve {
        stage.keep_up().await?;
    }
    stage.strike().await;
    Ok(if show.failed { Exit::Failed } else { Exit::Ok })
}

/// What has been shown so far.
struct Show {
    runs: BTreeSet<RunId>,
    received: usize,
    failed: bool,
}

impl Show {
    /// Prints the next run as it happens, and what the sandbox received from it.
    async fn one_run(
        &mut self,
        stage: &mut Stage,
        committed: &mut mpsc::UnboundedReceiver<Committed>,
    ) -> Result<(), Failed> {
        let gone = || Failed::new(Exit::Failed, "the engine stopped before the run ended");
        loop {
            let committed = committed.recv().await.ok_or_else(gone)?;
            if self.runs.insert(committed.run) {
                out::line(format_args!("run {} of {}", committed.run, committed.workflow));
            }
            if let Some(why) = committed.gave_up {
                return Err(Failed::new(Exit::Failed, format!("a run cannot go on: {}", out::shown(&why))));
            }
            committed.lines.iter().for_each(|line| out::line(format_args!("  {line}")));
            if committed.status.is_final() || committed.status == RunStatus::Attention {
                out::line(format_args!("  {}", committed.status));
                self.failed |= committed.status != RunStatus::Succeeded;
                break;
            }
        }
        for sent in stage.sandbox.ledger().into_iter().skip(self.received) {
            let (chat, session) = (out::shown(&sent.chat_id), out::shown(&sent.session));
            out::line(format_args!("{chat} received from {session}: {:?}", sent.text));
            self.received += 1;
        }
        Ok(())
    }
}
