//! Which redirects are followed, and with what.
//!
//! | status | GET, HEAD | PUT, DELETE, OPTIONS | POST, PATCH and others |
//! |---|---|---|---|
//! | 301, 302 | same request | handed back | handed back |
//! | 303 | same request | GET without body | GET without body |
//! | 307, 308 | same request | same request | handed back |
//!
//! A 303 says that the request was carried out and its answer is elsewhere, so a GET repeats nothing. Every other redirect
//! of a POST asks for the POST to be sent again, which only the caller may decide.

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use reqwest::{Method, Url};

/// A request on its way.
#[derive(Clone)]
pub(super) struct Hop {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What an answer asks for.
pub(super) enum Next {
    /// It is the answer.
    Answer,
    Go(Box<Hop>),
    /// A redirect to something that is no URL.
    Nowhere,
}

/// What follows `status` and its headers after `hop`.
pub(super) fn next(hop: &Hop, status: u16, answer: &HeaderMap) -> Next {
    let safe = matches!(hop.method, Method::GET | Method::HEAD);
    let repeatable = safe || matches!(hop.method, Method::PUT | Method::DELETE | Method::OPTIONS);
    let same = match status {
        303 => safe,
        301 | 302 if safe => true,
        307 | 308 if repeatable => true,
        _ => return Next::Answer,
    };
    let Some(location) = answer.get(LOCATION) else { return Next::Answer };
    let Some(url) = location.to_str().ok().and_then(|location| hop.url.join(location).ok()) else {
        return Next::Nowhere;
    };
    let mut headers = hop.headers.clone();
    if url.origin() != hop.url.origin() {
        // Whatever was marked as secret, and what is one by its name.
        let secret: Vec<_> =
            headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
        for name in secret.into_iter().chain([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION]) {
            headers.remove(name);
        }
        headers.remove("x-api-key");
    }
    if same {
        return Next::Go(Box::new(Hop { method: hop.method.clone(), url, headers, body: hop.body.clone() }));
    }
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Next::Go(Box::new(Hop { method: Method::GET, url, headers, body: Bytes::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn hop(method: Method) -> Hop {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("k"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        headers.insert("x-other", secret);
        Hop { method, url: Url::parse("https://a.example/x/y").unwrap(), headers, body: Bytes::from_static(b"b") }
    }

    fn follow(method: Method, status: u16, location: &str) -> String {
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        match next(&hop(method), status, &answer) {
            Next::Answer => "answer".to_string(),
            Next::Nowhere => "nowhere".to_string(),
            Next::Go(hop) => {
                let names: Vec<_> = hop.headers.keys().map(|name| name.as_str()).collect();
                format!("{} {} {} {}", hop.method, hop.url, hop.body.len(), names.join(","))
            }
        }
    }

    #[test]
    fn the_table() {
        for (method, status, expected) in [
            (Method::GET, 301, "GET https://a.example/x/z 1 x-api-key,content-type,x-other"),
            (Method::GET, 308, "GET https://a.example/x/z 1 x-api-key,content-type,x-other"),
            (Method::GET, 304, "answer"),
            (Method::DELETE, 301, "answer"),
            (Method::PUT, 307, "PUT https://a.example/x/z 1 x-api-key,content-type,x-other"),
            (Method::PUT, 303, "GET https://a.example/x/z 0 x-api-key,x-other"),
            (Method::POST, 301, "answer"),
            (Method::POST, 302, "answer"),
            (Method::POST, 303, "GET https://a.example/x/z 0 x-api-key,x-other"),
            (Method::POST, 307, "answer"),
            (Method::POST, 308, "answer"),
            (Method::PATCH, 308, "answer"),
        ] {
            let followed = follow(method.clone(), status, "z");
            let (mut followed, mut expected) =
                (followed.split([' ', ',']).collect::<Vec<_>>(), expected.split([' ', ',']).collect::<Vec<_>>());
            followed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(followed, expected, "{method} {status}");
        }
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        for elsewhere in ["https://b.example/", "http://a.example/x", "https://a.example:8443/"] {
            assert!(follow(Method::GET, 302, elsewhere).ends_with(" content-type"), "{elsewhere}");
        }
        assert_eq!(follow(Method::GET, 302, "http://["), "nowhere");
    }
}
