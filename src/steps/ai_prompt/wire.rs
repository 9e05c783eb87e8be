//! One request to a model, and its answer, whole or as it is written.

use std::pin::pin;

use futures::StreamExt;
use futures::future::{Either, select};

use super::fault::{Fault, of_net, of_piece, of_status};
use super::provider::{Candidate, Kind};
use super::reply::{Reply, bad_answer};
use super::{anthropic, openai, permanent};
use crate::base::duration::human;
use crate::base::{Json, Millis, limits};
use crate::engine::ports::{Clock, Failure, StepError};
use crate::net::{Method, Net, NetError, Opened, Redirects, Request, Response, SseParser};

/// A silence in the middle of an answer that ends it, in milliseconds, where the provider has no `timeout`: models think for
/// minutes before the first word, but not between two.
const SILENCE_MS: u64 = 60_000;

/// What every request of a step goes through.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a> {
    pub net: &'a Net,
    pub clock: &'a dyn Clock,
    pub candidate: &'a Candidate<'a>,
    /// When the answer must be complete.
    pub deadline: Millis,
}

impl Wire<'_> {
    /// Sends `body` and reads the answer into `reply`. What was read before a failure stays there: it was paid for.
    pub async fn exchange(&self, body: &Json, reply: &mut Reply) -> Result<(), Fault> {
        let left = u64::try_from(self.deadline - self.clock.now()).unwrap_or(0).max(1);
        let own = self.candidate.provider.timeout_ms;
        if !self.candidate.provider.stream {
            let request = self.request(body)?.timeout_ms(own.unwrap_or(left).min(left));
            let response = self.net.send(request).await.map_err(|error| lost(error, reply))?;
            return self.whole(&response, reply);
        }
        let request = self.request(body)?.timeout_ms(own.unwrap_or(SILENCE_MS).min(left));
        let over = {
            let streamed = pin!(async {
                let opened = self.net.open(request).await.map_err(|error| lost(error, reply))?;
                self.streamed(opened, reply).await
            });
            match select(streamed, self.clock.sleep_until(self.deadline)).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(_) => None,
            }
        };
        match over {
            Some(result) => result,
            None => {
                reply.charged = true;
                let message =
                    format!("no complete answer within {}; a longer `timeout` of the step allows more", human(left));
                Err(StepError::Transient(Failure::new("ai.timeout", message)).into())
            }
        }
    }

    fn request(&self, body: &Json) -> Result<Request, Fault> {
        let provider = self.candidate.provider;
        let base = provider.base_url.trim_end_matches('/');
        let (path, header, prefix) = match provider.kind {
            Kind::OpenAi => ("chat/completions", "authorization", "Bearer "),
            Kind::Anthropic => ("messages", "x-api-key", ""),
        };
        let mut request =
            Request::new(Method::POST, format!("{base}/{path}")).json(body).redirects(Redirects::HandBack);
        if provider.kind == Kind::Anthropic {
            request = request.header("anthropic-version", anthropic::VERSION).map_err(of_net)?;
        }
        if let Some(key) = &provider.api_key {
            request = request.secret_header(header, prefix, key).map_err(of_net)?;
        }
        Ok(request)
    }

    fn whole(&self, response: &Response, reply: &mut Reply) -> Result<(), Fault> {
        if !response.is_success() {
            return Err(of_status(response, self.candidate, self.clock.now()));
        }
        reply.charged = true;
        let (api, read): (_, fn(&Json) -> Option<Reply>) = match self.candidate.provider.kind {
            Kind::OpenAi => ("an OpenAI-compatible API", openai::reply),
            Kind::Anthropic => ("an Anthropic-style API", anthropic::reply),
        };
        let Some(body) = response.json() else {
            return Err(bad_answer(&format!("is no JSON; check that base_url is {api}")).into());
        };
        match read(&body) {
            Some(read) => *reply = Reply { charged: true, ..read },
            None => {
                let lacks = if self.candidate.provider.kind == Kind::OpenAi { "choices" } else { "content" };
                return Err(bad_answer(&format!("holds no {lacks}; check that base_url is {api}")).into());
            }
        }
        bounded(reply)
    }

    async fn streamed(&self, mut opened: Opened, reply: &mut Reply) -> Result<(), Fault> {
        let is_stream =
            opened.header("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"));
        if !opened.is_success() || !is_stream {
            // A refusal; or a server that does not stream, and says all of it at once.
            let (status, headers) = (opened.status, std::mem::take(&mut opened.headers));
            // A success was paid for even if the rest of it is lost.
            reply.charged = opened.is_success();
            let body = whole_body(opened).await?;
            return self.whole(&Response { status, headers, body: body.into() }, reply);
        }
        reply.charged = true;
        let (mut parser, mut bytes) = (SseParser::new(), 0);
        while let Some(piece) = opened.body.next().await {
            let piece = piece.map_err(of_net)?;
            bytes += piece.len();
            if bytes > limits::AI_STREAM {
                return Err(too_large(&format!("the stream is longer than {} bytes", limits::AI_STREAM)));
            }
            let events = parser.push(&piece).map_err(|error| too_large(&error.to_string()))?;
            for event in events {
                let piece = serde_json::from_str::<Json>(&event.data).ok();
                if let Some(error) = piece.as_ref().and_then(|piece| of_piece(piece, self.candidate)) {
                    return Err(error.into());
                }
                let last = match self.candidate.provider.kind {
                    Kind::OpenAi => openai::piece(reply, &event.data, piece.as_ref()),
                    Kind::Anthropic => anthropic::piece(reply, piece.as_ref()),
                };
                bounded(reply)?;
                if last {
                    return Ok(());
                }
            }
        }
        // Some servers leave the last mark out; that the model stopped is as good.
        if reply.finish.is_some() {
            return Ok(());
        }
        let failure = Failure::new("ai.stream_cut", "the answer ended in the middle");
        Err(StepError::Transient(failure).into())
    }
}

/// An exchange that failed. Unless it proves that nothing was asked, the model may have answered.
fn lost(error: NetError, reply: &mut Reply) -> StepError {
    reply.charged = !error.proves_not_sent();
    of_net(error)
}

fn bounded(reply: &Reply) -> Result<(), Fault> {
    if reply.len() > limits::AI_ANSWER {
        return Err(too_large(&format!("the answer is longer than {} bytes", limits::AI_ANSWER)));
    }
    Ok(())
}

fn too_large(what: &str) -> Fault {
    permanent("ai.too_large", format!("{what}; set max_tokens")).into()
}

/// A body that is no stream, bounded as any other.
async fn whole_body(mut opened: Opened) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(piece) = opened.body.next().await {
        let piece = piece.map_err(of_net)?;
        if body.len() + piece.len() > limits::HTTP_RESPONSE {
            return Err(too_large(&format!("the answer is larger than {} bytes", limits::HTTP_RESPONSE)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
