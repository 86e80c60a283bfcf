//! One predicted outcome of one request, with its probability, in the words of FORMATS section 4.
//!
//! The keys are those of the corpus' `observed`, `client_log` and `server_log`, so that a prediction and a recording
//! can be compared key by key. `None` is the corpus' `null`: "there was none", not "unknown"; what is not known is in
//! [`Outcome::unknown`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the client's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// An answer came.
    #[default]
    Ok,
    /// Reset, or an abnormal end after a TLS handshake.
    Reset,
    /// Nobody listened.
    Refused,
    /// Closed in order without an answer.
    Closed,
    /// Nothing came until the client's patience ended.
    Timeout,
}

impl Connection {
    /// The word of the corpus.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
        }
    }
}

/// One header: one line or several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderLines {
    /// One line.
    One(String),
    /// Several lines, in order.
    Many(Vec<String>),
}

impl HeaderLines {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Many(lines) => lines,
        }
    }
}

/// Headers by lower-case name.
pub type HeaderMap = BTreeMap<String, HeaderLines>;

/// Groups header lines by name.
#[must_use]
pub fn header_map<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let mut grouped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in lines {
        grouped.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
    }
    grouped
        .into_iter()
        .map(|(name, mut lines)| {
            let value = match (lines.len(), lines.pop()) {
                (1, Some(only)) => HeaderLines::One(only),
                (_, last) => HeaderLines::Many(lines.into_iter().chain(last).collect()),
            };
            (name, value)
        })
        .collect()
}

/// The request as the application received it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Upstream {
    /// `:method`
    pub method: String,
    /// `:path`
    pub path: String,
    /// `:authority`; `None` = no Host line.
    pub authority: Option<String>,
    /// `HTTP/1.1`, `HTTP/2` …
    pub protocol: String,
    /// Headers without the volatile ones (date, request ids …).
    pub headers: HeaderMap,
    /// Server name, when the application terminated TLS itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

/// The answer as the client received it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Response {
    /// Headers without the volatile ones.
    pub headers: HeaderMap,
}

/// A request that an application received besides (or instead of) the answered one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// `ns/workload#ordinal`
    pub workload: String,
    /// Method.
    pub method: String,
    /// Authority.
    pub authority: Option<String>,
    /// Path.
    pub path: String,
    /// How often.
    pub times: u32,
}

/// What a TLS client saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTls {
    /// First SAN of the server's certificate.
    pub cert: String,
    /// Negotiated protocol.
    pub alpn: Option<String>,
}

/// One access log line of one proxy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyLog {
    /// `ns/workload-ordinal` of the proxy's pod.
    pub pod: String,
    /// `outbound`, `inbound` or `gateway`.
    pub dir: String,
    /// `http` or `tcp`.
    pub log: String,
    /// Response code; 0 = none was sent.
    pub code: Option<u16>,
    /// `-` or `UF,URX`.
    pub flags: String,
    /// Response code details.
    pub details: Option<String>,
    /// Connection termination details.
    pub conn_details: Option<String>,
    /// Envoy's cluster name.
    pub cluster: Option<String>,
    /// Route name.
    pub route: Option<String>,
    /// Address of the chosen host.
    pub upstream_host: Option<String>,
    /// Authority as logged (after rewrites).
    pub authority: Option<String>,
    /// Path as logged.
    pub path: Option<String>,
    /// Upstream attempts.
    pub attempts: u32,
    /// Listener name.
    pub listener: Option<String>,
    /// Filter chain name.
    pub filter_chain: Option<String>,
    /// Verified peer identity.
    pub peer: Option<String>,
    /// Method.
    pub method: Option<String>,
    /// Downstream protocol.
    pub protocol: Option<String>,
    /// Upstream protocol.
    pub upstream_protocol: Option<String>,
    /// Server name the client sent.
    pub sni: Option<String>,
    /// Identity of the upstream.
    pub upstream_peer: Option<String>,
    /// Local (dialled) address.
    pub local: Option<String>,
    /// Client address, after XFF.
    pub remote: Option<String>,
    /// TCP peer address.
    pub direct_remote: Option<String>,
    /// Virtual host name.
    pub virtual_host: Option<String>,
    /// Position of the route in its virtual host.
    pub route_index: Option<u32>,
    /// Upstream transport failure reason.
    pub upstream_failure: Option<String>,
    /// Downstream transport failure reason.
    pub downstream_failure: Option<String>,
    /// gRPC status of the answer.
    pub grpc_status: Option<u32>,
    /// `x-envoy-original-path`
    pub original_path: Option<String>,
    /// Dynamic metadata of the RBAC filters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rbac_shadow: BTreeMap<String, String>,
}

/// Why a prediction is not one: something in the YAML that is not modelled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// What is not modelled.
    pub what: String,
    /// `file:line:column`, when a document is behind it.
    pub place: Option<String>,
}

/// One predicted outcome.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Probability, in (0, 1].
    pub p: f64,
    /// HTTP status; `None` = no HTTP answer.
    pub status: Option<u16>,
    /// How the connection ended.
    pub connection: Connection,
    /// Flags of the client-side proxy (without one, of the server-side proxy).
    pub flags: Option<String>,
    /// Response code details of the same proxy.
    pub details: Option<String>,
    /// Client-side cluster.
    pub cluster: Option<String>,
    /// Client-side route name.
    pub route: Option<String>,
    /// Who answered: `ns/workload#ordinal`, or `internet`.
    pub workload: Option<String>,
    /// What a line client got.
    pub answer: Option<String>,
    /// The request as the application saw it.
    pub upstream: Option<Upstream>,
    /// The answer as the client saw it.
    pub response: Option<Response>,
    /// Body of a proxy's own reply.
    pub body: Option<String>,
    /// The server-side proxy saw a peer identity; `None` when no server was reached.
    pub mtls: Option<bool>,
    /// What a TLS client saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
    /// All requests applications got, where that is not just the answered one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<Received>,
    /// Log line of the client-side proxy.
    pub client_log: Option<ProxyLog>,
    /// Log line of the server-side proxy.
    pub server_log: Option<ProxyLog>,
    /// All log lines, in order of the hops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<ProxyLog>,
    /// `Kind/namespace/name` of the resources that decided, most decisive first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Not empty: this is no prediction, because of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lines_are_grouped_and_keep_their_order() {
        let map = header_map([("x-a", "2"), ("X-B", "only"), ("x-a", "1")]);
        assert_eq!(map.get("x-a").map(HeaderLines::lines), Some(&["2".to_owned(), "1".to_owned()][..]));
        assert_eq!(serde_json::to_string(&map).ok().as_deref(), Some(r#"{"x-a":["2","1"],"x-b":"only"}"#));
    }
}
