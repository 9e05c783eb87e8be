//! The plugin `crm-webhook`: one step, `post`, which tells a CRM (or whatever takes webhooks) of an event.
//!
//! ```yaml
//! - id: tell
//!   uses: crm-webhook/post
//!   with:
//!     url: https://hooks.crm.example/moltrun
//!     event: lead.hot
//!     data: { phone: "{{ event.data.from }}", score: "{{ steps.score.score }}" }
//! # steps.tell is { status: 202, body: {...}, event_id: "..." }
//! ```
//!
//! It needs a grant, and the two secrets that the grant names:
//!
//! ```yaml
//! grants:
//!   crm-webhook: { http: [hooks.crm.example:443], secrets: [CRM_WEBHOOK_TOKEN, CRM_WEBHOOK_KEY] }
//! secrets:
//!   CRM_WEBHOOK_TOKEN: ${CRM_WEBHOOK_TOKEN}
//!   CRM_WEBHOOK_KEY: ${CRM_WEBHOOK_KEY}
//! ```
//!
//! What arrives is a POST of `{"id": ..., "event": ..., "data": ...}`, the same bytes for every attempt, with
//!
//! | header | |
//! |---|---|
//! | `Authorization` | `Bearer` and the secret `CRM_WEBHOOK_TOKEN`; not with `token: false` |
//! | `X-Webhook-Signature` | `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits, whose key is the secret `CRM_WEBHOOK_KEY`; not with `sign: false` |
//! | `Idempotency-Key` | the `id`: equal for every attempt of the step in its run |
//!
//! An event is told at most once: where the answer is lost, and where it is a 5xx or a 303, nobody knows whether it was taken,
//! and a person decides. What each
//! status means is that of [`Response::success`](moltrun_step::http::Response::success).

use moltrun_step::Error;
use moltrun_step::prelude::*;
use moltrun_step::secrets::hex;
use moltrun_step::serde_json;

/// Bytes of an answer that are kept; it is for people and for a field or two.
const ANSWER_BYTES: usize = 64 << 10;

/// The secret that is sent.
const TOKEN: &str = "CRM_WEBHOOK_TOKEN";

/// The secret that signs.
const KEY: &str = "CRM_WEBHOOK_KEY";

/// The step `post`.
pub struct Post;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where the event goes.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// What happened, in the words of the far side: `lead.hot`.
    #[schemars(length(min = 1, max = 200))]
    event: String,
    /// What there is to say of it.
    #[serde(default)]
    data: Value,
    /// Whether the secret CRM_WEBHOOK_TOKEN is sent as a bearer token.
    #[serde(default = "yes")]
    token: bool,
    /// Whether the body is signed with the secret CRM_WEBHOOK_KEY.
    #[serde(default = "yes")]
    sign: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: u16,
    /// The answer, as JSON where it is; at most 64 KiB of it.
    body: Value,
    /// Whether there was more of it.
    cut: bool,
    /// By which the far side knows the event.
    event_id: String,
}

/// What is posted. Nothing that differs between attempts: a far side may refuse a key that comes with another body.
#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    event: &'a str,
    data: &'a Value,
}

impl Step for Post {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "post";
    const SUMMARY: &'static str = "posts an event as JSON, with a token and a signature, at most once";
    const EFFECT: Effect = Effect::AtMostOnce;

    fn run(input: Input, context: &Context) -> Result<Exit<Output>, Error> {
        let id = context.idempotency_key();
        let event = Event { id: &id, event: &input.event, data: &input.data };
        let body = serde_json::to_vec(&event).map_err(|e| Error::permanent("bad_data", e))?;
        let mut request = Request::post(&input.url)
            .header("content-type", "application/json")
            .header("idempotency-key", &id)
            .max_body_bytes(ANSWER_BYTES);
        if input.token {
            request = request.bearer(&context.secrets().placeholder(TOKEN)?);
        }
        if input.sign {
            let signature = hex(&context.secrets().hmac_sha256(KEY, &body)?);
            request = request.header("x-webhook-signature", &format!("sha256={signature}"));
        }
        let response = request.body(body).send(context)?.success(context)?;
        info!(context, "told"; event = input.event, status = response.status);
        let is_empty = response.body.is_empty();
        let body = serde_json::from_slice(&response.body)
            .unwrap_or_else(|_| if is_empty { Value::Null } else { Value::String(response.text()) });
        Ok(Output { status: response.status, body, cut: response.is_cut, event_id: id }.into())
    }
}

/// Only the operator knows where it goes: every host at the ports that are usual for this, of which a grant names one.
const ANYWHERE: [&str; 4] = ["*:443", "*:8080", "*:8443", "*:10443"];

plugin! {
    steps: [Post],
    hosts: [ANYWHERE[0], ANYWHERE[1], ANYWHERE[2], ANYWHERE[3]],
    secrets: { TOKEN => [ANYWHERE[0], ANYWHERE[1], ANYWHERE[2], ANYWHERE[3]], KEY => [] },
}

#[cfg(test)]
mod tests {
    use moltrun_step::http::Answer;
    use moltrun_step::test::{self, Fake};
    use moltrun_step::{Kind, Level};

    use super::*;

    fn input() -> Value {
        json!({"url": "https://hooks.crm.example/in", "event": "lead.hot", "data": {"score": 9}})
    }

    fn fake(answer: Answer) -> Fake {
        let fake = Fake::new().idempotency_key("k-1").now_ms(1_700_000_000_000);
        fake.secret(TOKEN, "t0ken").secret(KEY, "key").answers([answer])
    }

    #[test]
    fn an_event_is_posted_with_token_and_signature() {
        let fake = fake(Answer::status(202).json(&json!({"ok": true})));
        let exit = test::call::<Plugin>("post", input(), &fake.context()).unwrap();
        let expected = json!({"status": 202, "body": {"ok": true}, "cut": false, "event_id": "k-1"});
        assert_eq!(exit, Exit::ok(expected));

        let [sent] = &fake.sent()[..] else { panic!("{:?}", fake.sent()) };
        let body = r#"{"id":"k-1","event":"lead.hot","data":{"score":9}}"#;
        assert_eq!((&*sent.method, &*sent.url), ("POST", "https://hooks.crm.example/in"));
        assert_eq!(String::from_utf8_lossy(&sent.body), body);
        let signature = hex(&fake.context().secrets().hmac_sha256(KEY, body.as_bytes()).unwrap());
        for (name, value) in [
            ("authorization", "Bearer <CRM_WEBHOOK_TOKEN>"),
            ("idempotency-key", "k-1"),
            ("x-webhook-signature", &format!("sha256={signature}")),
            ("content-type", "application/json"),
        ] {
            assert_eq!(sent.header(name), Some(value));
        }
        let lines = fake.lines();
        assert_eq!((lines[0].level, &*lines[0].message), (Level::Info, "told"));
    }

    #[test]
    fn every_attempt_posts_the_same() {
        let sent = |now_ms, attempt| {
            let fake = fake(Answer::status(200)).now_ms(now_ms).attempt(attempt);
            test::call::<Plugin>("post", input(), &fake.context()).unwrap();
            fake.sent()
        };
        assert_eq!(sent(1_700_000_000_000, 1), sent(1_700_000_060_000, 2));
    }

    #[test]
    fn each_answer_is_what_it_means() {
        let later = Kind::Later { after_ms: 30_000 };
        let later_on = |status| Answer::status(status).header("Retry-After", "30");
        for (answer, kind, code) in [
            (Answer::status(400).body("no such field"), Kind::Permanent, "status_400"),
            (Answer::status(302), Kind::Permanent, "status_302"),
            (Answer::status(303), Kind::Unknown, "status_303"),
            (later_on(429), later, "status_429"),
            (Answer::status(425), Kind::Transient, "status_425"),
            (later_on(503), Kind::Unknown, "status_503"),
            (Answer::status(503), Kind::Unknown, "status_503"),
            (Answer::status(502), Kind::Unknown, "status_502"),
            (Answer::lost(), Kind::Unknown, "connection_lost"),
            (Answer::refused(), Kind::Transient, "connection_refused"),
            (Answer::denied(), Kind::Permanent, "request_denied"),
        ] {
            let error = test::call::<Plugin>("post", input(), &fake(answer).context()).unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
        }
    }

    #[test]
    fn answers_of_any_kind_are_kept_and_bounded() {
        for (answer, body, cut) in [
            (Answer::status(204), json!(null), false),
            (Answer::status(200).body("thanks"), json!("thanks"), false),
            (Answer::status(200).body([0xff, b'x']), json!("\u{fffd}x"), false),
            (Answer::status(200).body("y".repeat(100_000)), json!("y".repeat(ANSWER_BYTES)), true),
        ] {
            let exit = test::call::<Plugin>("post", input(), &fake(answer).context()).unwrap();
            assert_eq!((&exit.output["body"], &exit.output["cut"]), (&body, &json!(cut)));
        }
    }

    #[test]
    fn secrets_are_needed_only_where_they_are_used() {
        let bare = Fake::new().answers([Answer::status(200)]);
        let error = test::call::<Plugin>("post", input(), &bare.context()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Permanent, "secret_denied"));
        assert!(bare.sent().is_empty());

        let mut open = input();
        open["token"] = json!(false);
        open["sign"] = json!(false);
        test::call::<Plugin>("post", open, &bare.context()).unwrap();
        let sent = bare.sent();
        assert_eq!((sent[0].header("authorization"), sent[0].header("x-webhook-signature")), (None, None));
    }
}
