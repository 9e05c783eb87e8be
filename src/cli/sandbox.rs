//! `moltrun sandbox`

use clap::Args;

use super::signals::Signals;
use super::{Exit, Failed, out};
use crate::app::system_clock;
use crate::base::Secret;
use crate::base::duration::parse_ms;
use crate::sandbox::{Fault, Options, RateLimit, Sandbox};

#[derive(Debug, Args)]
#[command(after_long_help = "\
A fault says what it meets, and after a colon what happens:
  POST /sessions/*/messages: 5% 429 retry_after=2s   refused, always the same twentieth
  POST /sessions/*/messages: every=100 cut=after     it is sent, and no answer comes
  POST /sessions/*/messages: 1% cut=before           it is not sent, and no answer comes
  POST /sessions/*/messages: nth=3 garbage           it is sent, and the answer is no JSON
  GET /sessions: times=2 delay=5s 503                twice, slowly
  DELIVERY message: duplicate=5                      webhooks get each message five times
  POST /v1/chat/completions: 10% 500                 the model fails

Which of them: N%, nth=N, every=N; times=N; seed=N
What happens:  delay=D, STATUS, error_code=X, retry_after=D|none, cut=before|after|midway,
               garbage, carried_out (a status or delay comes after the effect), duplicate=N

While it runs, POST /sandbox/faults takes the same lines as JSON strings; docs/sandbox.md
describes all routes.")]
pub struct SandboxArgs {
    /// Port on loopback; 0 takes a free one
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// Something that goes wrong on cue; repeatable
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Requests a credential may make in a window, like 100/1h; without it, any number
    #[arg(long, value_name = "N/WINDOW")]
    rate_limit: Option<RateLimit>,
    /// The life of an access token, in whole seconds
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = token_life)]
    token_life: u64,
    /// Signs webhook deliveries (X-Webhook-Signature); without it they carry no signature
    #[arg(long, value_name = "SECRET")]
    webhook_secret: Option<String>,
}

/// Seconds.
fn token_life(text: &str) -> Result<u64, String> {
    let ms = parse_ms(text).map_err(|error| error.to_string())?;
    if ms < 1_000 || ms % 1_000 != 0 {
        return Err(format!("`{text}` is not a number of whole seconds from 1; write it like 1s or 1h"));
    }
    Ok(ms / 1_000)
}

pub async fn run(args: SandboxArgs) -> Result<Exit, Failed> {
    let mut signals = Signals::watch()?;
    let options = Options {
        port: args.port,
        faults: args.faults,
        rate_limit: args.rate_limit,
        token_life_s: args.token_life,
        webhook_secret: args.webhook_secret.map(Secret::new),
        ..Options::default()
    };
    let (api_key, model_key) = (options.api_key.expose().to_string(), options.model_key.expose().to_string());
    let (email, password) = (options.email.clone(), options.password.expose().to_string());
    let faults = options.faults.clone();
    let sandbox = Sandbox::start(options, system_clock())
        .await
        // It says where it cannot listen.
        .map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
    let origin = &sandbox.origin;
    out::line(format_args!("moltflow: {}  (X-API-Key: {api_key}, or login {email} {password})", sandbox.moltflow_url));
    out::line(format_args!("model:    {}  (Bearer or x-api-key {model_key}; canned answers)", sandbox.model_url));
    out::line(format_args!(
        "control:  POST {origin}/sandbox/messages, GET {origin}/sandbox/ledger, POST {origin}/sandbox/faults"
    ));
    for fault in faults {
        out::line(format_args!("fault:    {fault}"));
    }
    signals.received().await;
    sandbox.stop().await;
    Ok(Exit::Ok)
}
