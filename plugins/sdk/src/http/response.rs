//! An answer, and what its status means for a step.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::retry_after;
use crate::{Context, Error};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Of the request that it answers.
    pub method: String,
    pub status: u16,
    /// In their order; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether there was more than [`max_body_bytes`](super::Request::max_body_bytes) of the body.
    pub is_cut: bool,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header, whose name may be in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, which is JSON. The request was carried out, so that another form is a permanent error.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|e| {
            Error::permanent("bad_answer", format!("the answer ({}) is not as expected: {e}", self.status))
        })
    }

    /// The pause that `Retry-After` names, in seconds or as a date; at least a second.
    pub fn retry_after(&self, context: &Context) -> Option<Duration> {
        retry_after::parse(self.header("retry-after")?, context.now_ms())
    }

    /// The answer if it is a success; else the error that its status means:
    ///
    /// | status | error |
    /// |---|---|
    /// | 429 that names a pause | later |
    /// | 408, 425, 429 | transient: it was not carried out |
    /// | 5xx | unknown: a gateway may have passed the request on before it answered so, with 503 too |
    /// | 303 | unknown: it says where to look for the result |
    /// | other 3xx and 4xx | permanent |
    ///
    /// GET, HEAD, PUT and DELETE may be repeated: of these a 303 is permanent, and a 503 later if it names a pause, else
    /// transient.
    pub fn success(self, context: &Context) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        let status = self.status;
        let said = self.said();
        let help =
            if (300..400).contains(&status) { "; redirects are not followed, put the address it leads to" } else { "" };
        let message = format!("the answer is {status}{said}{help}");
        let code = format!("status_{status}");
        let may_repeat = ["GET", "HEAD", "PUT", "DELETE"].contains(&self.method.as_str());
        Err(match (status, self.retry_after(context)) {
            (429, Some(pause)) => Error::later(code, message, pause),
            (503, Some(pause)) if may_repeat => Error::later(code, message, pause),
            (408 | 425 | 429, _) => Error::transient(code, message),
            (503, None) if may_repeat => Error::transient(code, message),
            (500.., _) => Error::unknown(code, message),
            (303, _) if !may_repeat => Error::unknown(code, message),
            _ => Error::permanent(code, message),
        })
    }

    /// The beginning of the body, for people: one line.
    fn said(&self) -> String {
        let text = self.text();
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        let line = words.join(" ");
        match line.char_indices().nth(200) {
            _ if line.is_empty() => String::new(),
            Some((cut, _)) => format!(": {}…", &line[..cut]),
            None => format!(": {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn each_status_is_what_it_means() {
        let context = Context::fake();
        let later = Kind::Later { after_ms: 7_000 };
        let (permanent, transient, unknown) = (Kind::Permanent, Kind::Transient, Kind::Unknown);
        let [reading, acting] = [["GET", "HEAD", "PUT", "DELETE"].as_slice(), ["POST", "PATCH", "QUERY"].as_slice()];
        for (status, pause, when_reading, when_acting) in [
            (200, "", None, None),
            (204, "7", None, None),
            (301, "", Some(permanent), Some(permanent)),
            (303, "7", Some(permanent), Some(unknown)),
            (400, "", Some(permanent), Some(permanent)),
            (404, "7", Some(permanent), Some(permanent)),
            (408, "", Some(transient), Some(transient)),
            (425, "", Some(transient), Some(transient)),
            (429, "", Some(transient), Some(transient)),
            (429, "7", Some(later), Some(later)),
            (500, "7", Some(unknown), Some(unknown)),
            (502, "", Some(unknown), Some(unknown)),
            (503, "", Some(transient), Some(unknown)),
            (503, "7", Some(later), Some(unknown)),
            (503, "tomorrow", Some(transient), Some(unknown)),
        ] {
            for (method, kind) in
                reading.iter().map(|method| (method, when_reading)).chain(acting.iter().map(|one| (one, when_acting)))
            {
                let headers = vec![("retry-after".to_string(), pause.to_string())];
                let (method, body) = (method.to_string(), b" no \n luck".to_vec());
                let response = Response { method: method.clone(), status, headers, body, is_cut: false };
                let error = response.success(&context).err();
                assert_eq!(error.as_ref().map(Error::kind), kind, "{method} {status} {pause}");
                if let Some(error) = error {
                    assert_eq!(error.code(), format!("status_{status}"));
                    assert!(error.message().starts_with(&format!("the answer is {status}: no luck")), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_is_shown_of_a_body_is_short() {
        let body = "é".repeat(9_000).into_bytes();
        let response = Response { method: "GET".to_string(), status: 400, headers: Vec::new(), body, is_cut: false };
        let error = response.success(&Context::fake()).unwrap_err();
        assert_eq!(error.message().chars().count(), "the answer is 400: ".len() + 201);
    }
}
