//! What one request left behind: the client's view, one line per proxy, what the applications saw.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::Step;
use mesh_core::ids::{ClusterId, Nanos, OriginId};
use mesh_core::request::{Headers, Protocol, RequestHead};
use mesh_core::response::Flags;

use crate::world::ProxyId;

/// The end of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// A complete answer.
    Ok,
    /// RST, or any abnormal end after a TLS handshake.
    Reset,
    /// RST on SYN.
    Refused,
    /// FIN without (complete) answer.
    Closed,
    /// Nothing within the client's patience.
    Timeout,
    /// The client hung up as planned.
    ClientClosed,
}

/// One request of one client.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRecord {
    /// Position in [`crate::plan::Plan::traffic`].
    pub traffic: u32,
    /// Number within the traffic, from 0.
    pub number: u64,
    /// Which entry of the mix.
    pub variant: u32,
    /// When the client began, ns.
    pub start_ns: Nanos,
    /// Complete answer or close, ns.
    pub end_ns: Nanos,
    /// How the connection ended.
    pub fate: Fate,
    /// A race of FIN and RST: the other fate is as possible.
    pub fate_also: Option<Fate>,
    /// HTTP answer as the client got it.
    pub response: Option<Response>,
    /// Line a TCP or TLS line client got.
    pub answer: Option<Str>,
    /// The client's own TLS session: `Ok(sans of the server)` or the failure.
    pub tls: Option<Result<Vec<Str>, Str>>,
    /// ALPN of the client's own TLS session.
    pub tls_alpn: Option<Str>,
    /// Who answered: `ns/workload#ordinal`, `internet`; `None` for a proxy's own reply or no answer.
    pub workload: Option<Str>,
    /// Proxy log lines, in order of their start (client first).
    pub hops: Vec<Hop>,
    /// What applications received, in order.
    pub tries: Vec<Try>,
    /// The answer is not predictable, because of this.
    pub unknown: Option<Unknown>,
}

impl RequestRecord {
    /// The line of the first proxy that belongs to the client: its sidecar or the gateway it dialled.
    #[must_use]
    pub fn client_hop(&self) -> Option<&Hop> {
        self.hops.iter().find(|h| h.call == 0 && h.side != Side::Inbound && !h.shadow)
    }

    /// The line of the last server-side proxy of the request itself (not of nested calls or mirrors): a sidecar, or the
    /// gateway in the middle that answered itself.
    #[must_use]
    pub fn server_hop(&self) -> Option<&Hop> {
        let own = || self.hops.iter().filter(|h| h.call == 0 && !h.shadow);
        let sidecar = own().rfind(|h| h.side == Side::Inbound);
        let gateway = || own().skip(1).last().filter(|h| h.side == Side::Gateway && self.workload.is_none());
        sidecar.or_else(gateway)
    }

    /// HTTP status the client got.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|r| r.status)
    }
}

/// Why an answer is not predictable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The proxy that met it; its origins are meant.
    pub proxy: Option<ProxyId>,
    /// What is not modelled.
    pub what: Str,
    /// Where it stands.
    pub origin: OriginId,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers, lower-case.
    pub headers: Headers,
    /// gRPC status, from headers or trailers.
    pub grpc_status: Option<u32>,
    /// The gRPC status stands in the headers (trailers-only answer).
    pub grpc_in_headers: bool,
    /// Body text of local replies; empty for applications' answers.
    pub body: Str,
    /// Body size, bytes.
    pub body_bytes: u64,
    /// Cut off before its end.
    pub truncated: bool,
}

/// Which side of a request a proxy is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Sidecar of the caller.
    Outbound,
    /// Sidecar of the called.
    Inbound,
    /// A gateway.
    Gateway,
}

/// What wrote a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// HTTP connection manager, one line per request.
    Http,
    /// TCP proxy, one line per connection.
    Tcp,
    /// The listener: no filter chain.
    Listener,
}

/// One line of a proxy's access log, with what the reports need besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The proxy.
    pub proxy: ProxyId,
    /// Its side.
    pub side: Side,
    /// What wrote the line.
    pub kind: LogKind,
    /// 0 = the client's request; nested calls of applications count from 1.
    pub call: u32,
    /// A mirror copy, or caused by one.
    pub shadow: bool,
    /// Start, ns.
    pub start_ns: Nanos,
    /// Duration, ns.
    pub duration_ns: Nanos,
    /// Status sent; `Some(0)` for HTTP without answer, `None` for connections.
    pub code: Option<u16>,
    /// Flags in the order set.
    pub flags: Flags,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: Option<Str>,
    /// `%CONNECTION_TERMINATION_DETAILS%`
    pub connection_details: Option<Str>,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`
    pub upstream_failure: Option<Str>,
    /// `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`
    pub downstream_failure: Option<Str>,
    /// Cluster.
    pub cluster: Option<ClusterId>,
    /// Its name (also of clusters that do not exist: `None`).
    pub cluster_name: Option<Str>,
    /// Route name; empty names are `None`.
    pub route: Option<Str>,
    /// Virtual host name.
    pub virtual_host: Option<Str>,
    /// Position of the route in its virtual host.
    pub route_index: Option<u32>,
    /// Host of the last attempt.
    pub upstream_host: Option<SocketAddr>,
    /// `ns/workload#ordinal` of that host, if it is a pod.
    pub upstream_workload: Option<Str>,
    /// Method.
    pub method: Option<Str>,
    /// Authority as sent upstream.
    pub authority: Option<Str>,
    /// Path as sent upstream.
    pub path: Option<Str>,
    /// Path before a rewrite.
    pub original_path: Option<Str>,
    /// Downstream protocol.
    pub protocol: Option<Protocol>,
    /// Upstream protocol.
    pub upstream_protocol: Option<Protocol>,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`
    pub attempts: u32,
    /// Request body bytes.
    pub bytes_received: u64,
    /// Response body bytes.
    pub bytes_sent: u64,
    /// Server name of the downstream TLS.
    pub sni: Option<Str>,
    /// Downstream TLS was terminated.
    pub tls: bool,
    /// Verified downstream identity.
    pub peer: Option<Str>,
    /// The last upstream connection was TLS.
    pub upstream_tls: bool,
    /// Identity of the upstream server.
    pub upstream_peer: Option<Str>,
    /// Listener name.
    pub listener: Str,
    /// Filter chain name; empty names are `None`.
    pub filter_chain: Option<Str>,
    /// gRPC status answered.
    pub grpc_status: Option<u32>,
    /// Address the peer dialled.
    pub local: SocketAddr,
    /// Peer.
    pub remote: SocketAddr,
    /// Name of the RBAC policy that decided, and whether it allowed.
    pub rbac: Option<(Str, bool)>,
    /// Dry-run policy and verdict.
    pub rbac_shadow: Option<(Str, bool)>,
    /// The YAML that decided (route, policy, local reply).
    pub origin: OriginId,
    /// Route timeout, ns; 0 = none.
    pub timeout_ns: Nanos,
    /// Retries the policy allows.
    pub retries: u32,
}

/// What an application saw of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// `ns/workload#ordinal`, or the internet's name.
    pub workload: Str,
    /// Request complete at the application, ns.
    pub at_ns: Nanos,
    /// n-th connection the pod accepted in this run, from 1.
    pub connection: u32,
    /// The request; `None` for lines.
    pub head: Option<Arc<RequestHead>>,
    /// What became of it.
    pub action: TryAction,
    /// When it was answered, ns.
    pub done_ns: Option<Nanos>,
    /// When the peer ended connection or stream first, ns.
    pub cut_ns: Option<Nanos>,
    /// A mirror copy.
    pub shadow: bool,
    /// 0 = the client's request; nested calls count from 1.
    pub call: u32,
}

/// What became of a request at an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryAction {
    /// Answered with this status.
    Status(u16),
    /// Connection reset.
    Reset,
    /// Connection closed.
    Close,
    /// Stream reset.
    ResetStream,
    /// Cut in the body.
    Truncate,
    /// Never answered.
    Hang,
    /// The peer left before the answer.
    Gone,
    /// Not finished when the run ended.
    Pending,
    /// A line.
    Line,
}

/// The explanation of one request: steps with the proxy that took them.
pub type Explanation = Vec<Step>;

impl Try {
    /// The first line of a header of the request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.headers.first(name)
    }

    /// Status answered, if any.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.action {
            TryAction::Status(s) => Some(s),
            _ => None,
        }
    }
}
