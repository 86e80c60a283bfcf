//! The request head as routes and filters see it.
//!
//! The connection manager rewrites headers before anything looks at them: hop-by-hop headers and Envoy's own control
//! headers disappear, `x-forwarded-*` and `x-forwarded-client-cert` are set (semantics: envoy-routing 3.8, 9.3). This
//! view answers as if that had been done, without copying the head. [`super::finalize_request`] does it for real,
//! with the same functions.

use std::net::IpAddr;

use crate::decide::codec::upgrade_of;
use crate::ir::{ForwardClientCert, HttpConnectionManager};
use crate::matching::HeaderSource;
use crate::request::{Connection, Headers, Peer, Protocol, RequestHead};
use crate::tls::Certificate;

/// Stands for the request id that Envoy makes up; only its shape can be relied on.
pub(super) const GENERATED_REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// A hop: the connection, its peer, and the connection manager that got a request on it.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    /// The connection manager.
    pub(super) hcm: &'a HttpConnectionManager,
    /// The connection.
    pub(super) conn: &'a Connection,
    /// Its peer.
    pub(super) peer: &'a Peer,
    /// The chain terminated TLS.
    pub(super) tls: bool,
}

/// A head on a hop.
pub(super) struct HeadView<'a> {
    /// The hop.
    pub(super) hop: Hop<'a>,
    /// The head as received (and as the filters changed it).
    pub(super) head: &'a RequestHead,
    /// The `connection` header, which names further headers to hide.
    connection: Option<&'a str>,
    /// An upgrade keeps its `connection` and `upgrade` headers.
    upgrade: bool,
}

impl<'a> HeadView<'a> {
    /// The view of a head.
    pub(super) fn new(hop: Hop<'a>, head: &'a RequestHead) -> HeadView<'a> {
        let connection = head.headers.first("connection");
        HeadView { hop, head, connection, upgrade: connection.is_some() && upgrade_of(head).is_some() }
    }

    /// Whether the connection manager removed this header before anything looked.
    fn hides(&self, name: &str) -> bool {
        if self.upgrade && matches!(name, "connection" | "upgrade") {
            return false;
        }
        let named = |list: &str| list.split(',').any(|token| token.trim().eq_ignore_ascii_case(name));
        self.hop.strips(name) || self.connection.is_some_and(named)
    }
}

impl HeaderSource for HeadView<'_> {
    fn lines(&self, name: &str, see: &mut dyn FnMut(&str) -> bool) {
        let head = self.head;
        let mut one = |value: &str| {
            see(value);
        };
        match name {
            ":method" => one(&head.method),
            ":path" => one(&head.path),
            ":scheme" => one(self.hop.scheme(head)),
            ":authority" | "host" => {
                if let Some(authority) = &head.authority {
                    one(authority);
                }
            }
            "x-forwarded-proto" => one(self.hop.forwarded_proto(head)),
            "x-request-id" => one(self.hop.request_id(head)),
            "x-forwarded-for" if self.hop.hcm.use_remote_address => {
                one(&self.hop.forwarded_for(&head.headers))
            }
            "x-envoy-external-address" if self.hop.hcm.use_remote_address => {
                one(&self.hop.remote_address(&head.headers).to_string());
            }
            "x-forwarded-client-cert" => {
                if let Some(value) = self.hop.client_cert_header(&head.headers, None) {
                    one(&value);
                }
            }
            "te" => {
                let mut tokens = head.headers.all("te").flat_map(|line| line.split(','));
                if tokens.any(|token| token.trim() == "trailers") {
                    one("trailers");
                }
            }
            _ if self.hides(name) => {}
            _ => plain_lines(&head.headers, name, see),
        }
    }
}

/// Lines as they stand, or joined where Envoy keeps a single value (semantics: istio-security 4.7).
fn plain_lines(headers: &Headers, name: &str, see: &mut dyn FnMut(&str) -> bool) {
    let mut lines = headers.all(name);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        let _ = headers.all(name).any(see);
        return;
    };
    if is_single_valued(name) {
        let mut joined = format!("{first},{second}");
        for line in lines {
            joined.push(',');
            joined.push_str(line);
        }
        see(&joined);
    } else {
        let _ = headers.all(name).any(see);
    }
}

/// Headers that Envoy stores as one value; several lines are joined with a comma.
/// Envoy: envoy/http/header_map.h, `INLINE_REQ_STRING_HEADERS` and the filters' registered inline headers.
pub(super) fn is_single_valued(name: &str) -> bool {
    let known = |rest: &str| INLINE_CONTROL.contains(&rest) || EXTERNAL_STRIPPED.contains(&rest);
    name.strip_prefix("x-envoy-").is_some_and(known)
        || name.starts_with("if-")
        || name.starts_with("access-control-request-")
        || matches!(
            name,
            "accept"
                | "accept-encoding"
                | "authorization"
                | "cache-control"
                | "content-encoding"
                | "content-type"
                | "expect"
                | "grpc-timeout"
                | "grpc-accept-encoding"
                | "origin"
                | "pragma"
                | "referer"
                | "user-agent"
                | "via"
                | "x-client-trace-id"
                | "x-forwarded-for"
                | "x-forwarded-host"
                | "x-forwarded-port"
                | "x-forwarded-proto"
                | "x-request-id"
        )
}

/// Control headers dropped from requests that are not internal; by default none is (semantics: envoy-routing 9.3).
const EXTERNAL_STRIPPED: &[&str] = &[
    "retry-on",
    "retry-grpc-on",
    "max-retries",
    "retriable-status-codes",
    "retriable-header-names",
    "hedge-on-per-try-timeout",
    "upstream-rq-timeout-ms",
    "upstream-rq-per-try-timeout-ms",
    "upstream-rq-timeout-alt-response",
    "upstream-stream-duration-ms",
    "upstream-alt-stat-name",
    "expected-rq-timeout-ms",
    "force-trace",
    "ip-tags",
    "original-url",
    "internal",
];

/// Control headers that are not dropped but stored as one value; others named `x-envoy-…` are ordinary [run 1.40].
const INLINE_CONTROL: &[&str] = &[
    "attempt-count",
    "decorator-operation",
    "downstream-service-cluster",
    "downstream-service-node",
    "external-address",
    "is-timeout-retry",
    "original-host",
    "original-path",
];

/// Dropped besides at an edge.
const EDGE_STRIPPED: &[&str] = &[
    "downstream-service-cluster",
    "downstream-service-node",
    "original-path",
    "original-host",
    "decorator-operation",
    "external-address",
];

impl Hop<'_> {
    /// Whether the connection manager removes this header from requests.
    pub(super) fn strips(&self, name: &str) -> bool {
        if let Some(rest) = name.strip_prefix("x-envoy-") {
            return EXTERNAL_STRIPPED.contains(&rest)
                || (self.hcm.use_remote_address && EDGE_STRIPPED.contains(&rest));
        }
        matches!(name, "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade")
    }

    /// `x-forwarded-proto`: believed from others unless this is an edge without trusted hops.
    pub(super) fn forwarded_proto<'h>(&self, head: &'h RequestHead) -> &'h str {
        let believed = !(self.hcm.use_remote_address && self.hcm.xff_num_trusted_hops == 0);
        match head.headers.first("x-forwarded-proto") {
            Some(value) if believed => value,
            _ if self.tls => "https",
            _ => "http",
        }
    }

    /// `:scheme`: that of HTTP/2 requests, else what `x-forwarded-proto` says; anything but https is http [run 1.40].
    pub(super) fn scheme<'h>(&self, head: &'h RequestHead) -> &'h str {
        match head.protocol {
            Protocol::Http2 => &head.scheme,
            _ if self.forwarded_proto(head).eq_ignore_ascii_case("https") => "https",
            _ => "http",
        }
    }

    /// `x-request-id`: made up when absent, and always at an edge.
    fn request_id<'h>(&self, head: &'h RequestHead) -> &'h str {
        match head.headers.first("x-request-id") {
            Some(value) if !self.hcm.use_remote_address => value,
            _ => GENERATED_REQUEST_ID,
        }
    }

    /// `x-forwarded-for` as it goes on from an edge.
    pub(super) fn forwarded_for(&self, headers: &Headers) -> String {
        let peer = self.conn.source.ip();
        // Envoy: conn_manager_utility.cc appends its own address for a loopback peer
        let appended = if peer.is_loopback() { self.conn.destination.ip() } else { peer };
        let mut value = String::new();
        for line in headers.all("x-forwarded-for") {
            if !value.is_empty() {
                value.push(',');
            }
            value.push_str(line);
        }
        if !value.is_empty() {
            value.push(',');
        }
        value.push_str(&appended.to_string());
        value
    }

    /// The trusted client address (semantics: envoy-routing 9.3, istio-security 4.8).
    pub(super) fn remote_address(&self, headers: &Headers) -> IpAddr {
        let hops = self.hcm.xff_num_trusted_hops as usize;
        let from_xff = if self.hcm.use_remote_address {
            hops.checked_sub(1).and_then(|n| forwarded_entry(headers, n))
        } else {
            forwarded_entry(headers, hops)
        };
        from_xff.unwrap_or_else(|| self.conn.source.ip())
    }

    /// `x-forwarded-client-cert` as it goes on; `None` = no such header. `local` is the certificate this proxy showed.
    /// The `Hash` element is left out: certificates have no bytes here.
    pub(super) fn client_cert_header(
        &self,
        headers: &Headers,
        local: Option<&Certificate>,
    ) -> Option<String> {
        let received = || {
            let lines: Vec<&str> = headers.all("x-forwarded-client-cert").collect();
            (!lines.is_empty()).then(|| lines.join(","))
        };
        let mode = self.hcm.forward_client_cert;
        if mode == ForwardClientCert::AlwaysForwardOnly {
            return received();
        }
        let certificate = self.peer.certificate.as_ref().filter(|_| self.tls)?;
        match mode {
            ForwardClientCert::Sanitize | ForwardClientCert::AlwaysForwardOnly => None,
            ForwardClientCert::ForwardOnly => received(),
            ForwardClientCert::SanitizeSet => Some(self.client_cert_element(certificate, local)),
            ForwardClientCert::AppendForward => {
                let own = self.client_cert_element(certificate, local);
                Some(received().map_or_else(|| own.clone(), |before| format!("{before},{own}")))
            }
        }
    }

    /// Envoy: conn_manager_utility.cc, `mutateXfccRequestHeader`.
    fn client_cert_element(&self, peer: &Certificate, local: Option<&Certificate>) -> String {
        let wanted = self.hcm.client_cert_details;
        let mut parts = Vec::new();
        if let Some(by) = local.and_then(|c| c.sans.iter().find(|san| san.contains("://"))) {
            parts.push(format!("By={by}"));
        }
        if wanted.cert {
            parts.push(format!("Cert=\"{SYMBOLIC_PEM}\""));
        }
        if wanted.subject {
            parts.push(format!("Subject=\"{}\"", peer.subject));
        }
        let (uris, names): (Vec<_>, Vec<_>) = peer.sans.iter().partition(|san| san.contains("://"));
        if wanted.uri {
            parts.extend(uris.iter().map(|uri| format!("URI={uri}")));
        }
        if wanted.dns {
            parts.extend(names.iter().map(|name| format!("DNS={name}")));
        }
        parts.join(";")
    }
}

/// `Cert` of every element: certificates have no bytes here.
pub const SYMBOLIC_PEM: &str = "-----BEGIN%20CERTIFICATE-----%0Amesh-sim%0A-----END%20CERTIFICATE-----%0A";

/// The `n`-th entry of `x-forwarded-for` from the right, if it is there and is an address.
fn forwarded_entry(headers: &Headers, n: usize) -> Option<IpAddr> {
    let lines = headers.0.iter().filter(|(name, _)| name.as_ref() == "x-forwarded-for");
    lines.rev().flat_map(|(_, value)| value.rsplit(',')).nth(n)?.trim().parse().ok()
}
