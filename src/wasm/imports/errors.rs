//! Failed exchanges in the words of `wasi:http`.

use wasmtime_wasi_http::Error;

use crate::base::limits::HTTP_RESPONSE;
use crate::net::{NetError, NetErrorKind};

/// What a guest is told of `error`. No text goes along: it could repeat what the guest must not see.
pub(super) fn of_net(error: &NetError) -> Error {
    let headed = error.status.is_some();
    match error.kind {
        NetErrorKind::Invalid => Error::HttpProtocolError,
        NetErrorKind::Blocked => Error::DestinationIpProhibited,
        NetErrorKind::Dns => Error::DnsError { rcode: None, info_code: None },
        NetErrorKind::Connect if error.is_silence() => Error::ConnectionTimeout,
        NetErrorKind::Connect => Error::ConnectionRefused,
        NetErrorKind::Tls if error.is_certificate() => Error::TlsCertificateError,
        NetErrorKind::Tls => Error::TlsProtocolError,
        NetErrorKind::Timeout if headed => Error::ConnectionReadTimeout,
        NetErrorKind::Timeout => Error::HttpResponseTimeout,
        NetErrorKind::Cut if headed => Error::HttpResponseIncomplete,
        NetErrorKind::Cut => Error::ConnectionTerminated,
        NetErrorKind::TooLarge => Error::HttpResponseBodySize(Some(HTTP_RESPONSE as u64)),
        NetErrorKind::Redirects => Error::LoopDetected,
    }
}
