//! `moltrun sandbox`

use clap::Args;

use super::signals::Signals;
use super::{Exit, Failed, out};
use crate::app::system_clock;
use crate::sandbox::{Options, Sandbox};

#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Port on loopback; 0 takes a free one
    #[arg(long, default_value_t = 9100)]
    port: u16,
}

pub async fn run(args: SandboxArgs) -> Result<Exit, Failed> {
    let mut signals = Signals::watch()?;
    let options = Options { port: args.port, ..Options::default() };
    let (api_key, model_key) = (options.api_key.expose().to_string(), options.model_key.expose().to_string());
    let sandbox = Sandbox::start(options, system_clock())
        .await
        // It says where it cannot listen.
        .map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
    out::line(format_args!("moltflow: {}  (X-API-Key: {api_key})", sandbox.moltflow_url));
    out::line(format_args!("model:    {}  (Bearer {model_key}; canned answers)", sandbox.model_url));
    out::line(format_args!("control:  POST {0}/sandbox/messages, GET {0}/sandbox/ledger", sandbox.origin));
    signals.received().await;
    sandbox.stop().await;
    Ok(Exit::Ok)
}
