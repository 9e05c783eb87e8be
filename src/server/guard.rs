//! Who may use the API: with a token set, only its bearer; without one, only who calls this machine by a local name, since
//! a page may have its own name resolve to loopback (DNS rebinding); and never a page of another origin that rides on a
//! browser.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::{Problem, Server};

pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Result<Response, Problem> {
    check(&server, request.method(), request.headers())?;
    Ok(next.run(request).await)
}

fn check(server: &Server, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = &server.token {
        let given = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Digests are compared, so that the time taken tells nothing of the token.
        if Sha256::digest(given) != Sha256::digest(token.expose()) {
            let detail = "send the token of `server.token` as `Authorization: Bearer`";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail));
        }
    }
    if server.token.is_none() && !header(header::HOST).is_some_and(is_local) {
        let detail = "without `server.token` only localhost and loopback addresses are answered to; set a token, or use \
                      one of these as the host";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_host", detail));
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some(origin) = header(header::ORIGIN)
        && !reads
        && !same_host(origin, header(header::HOST))
    {
        return Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", "writes from another origin are refused"));
    }
    Ok(())
}

fn same_host(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    authority.as_deref() == host && host.is_some()
}

/// `localhost` or a loopback address, with any port or none.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn local_names_are_those_nobody_else_can_own() {
        for host in ["localhost", "LOCALHOST:8787", "127.0.0.1", "127.0.0.1:8787", "127.9.9.9:1", "[::1]", "[::1]:8787"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.0.1",
            "0.0.0.0:8787",
            "[::]:1",
            "127.0.0.1:8787/",
            "localhost, evil.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
