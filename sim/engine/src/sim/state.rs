//! Everything alive in a run: requests, calls, connections, exchanges, streams, sessions, jobs, pools.
//!
//! Data only; the neighbouring modules act on it.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::decide::{HttpDecision, TcpDecision};
use mesh_core::ids::{ChainId, ClusterId, HostId, Nanos};
use mesh_core::ir::Snapshot;
use mesh_core::request::{Connection, FirstBytes, Peer, Protocol, RequestHead};
use mesh_core::response::Flags;
use mesh_core::tls::{ClientHello, TlsSession};
use mesh_core::upstream::{ResetReason, RetryState};
use smallvec::SmallVec;

use super::arena::Id;
use super::decided::{Decided, LeafId};
use super::memo::HeadClass;
use super::template::Template;
use crate::draws::mix;
use crate::plan::{Behavior, SendMode};
use crate::record::{Fate, Hop, Response, Side, Try, Unknown};

pub(crate) type RootId = Id<Root>;
pub(crate) type CallId = Id<Call>;
pub(crate) type ConnId = Id<Conn>;
pub(crate) type ExchangeId = Id<Exchange>;
pub(crate) type StreamId = Id<Stream>;
pub(crate) type SessionId = Id<Session>;
pub(crate) type JobId = Id<Job>;

/// Index of a pod, proxy, cluster or pool of the run (never reused).
pub(crate) type PodIx = u32;
pub(crate) type ProxyIx = u32;
pub(crate) type ClusterIx = u32;
pub(crate) type PoolIx = u32;

/// Where something belongs in the call tree of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lineage {
    /// The request.
    pub(crate) root: RootId,
    /// 0 = the client's own; nested calls count from 1.
    pub(crate) call: u32,
    /// Applications above this one: 0 = called by the client.
    pub(crate) depth: u16,
    /// Below a mirror.
    pub(crate) shadow: bool,
    /// Key of the place in the tree of calls and tries: what an application draws depends on nothing else, so that the
    /// same request meets the same service time wherever it lands (common random numbers).
    pub(crate) key: u64,
}

impl Lineage {
    /// Key of what a proxy on this side draws for the request. Not the proxy's name: a request that enters through
    /// another pod is decided by the same numbers.
    pub(crate) fn key_at(&self, side: Side) -> u64 {
        mix(self.key, side as u64)
    }

    /// The place of the `attempt`-th try (from 1) that a proxy on this side sends. The first try through a sidecar is
    /// the request itself; a gateway is a place of its own, as one may follow another.
    pub(crate) fn of_try(self, side: Side, attempt: u32) -> Lineage {
        let key = if side == Side::Gateway { mix(self.key, 0x300) } else { self.key };
        let key = if attempt > 1 { mix(key, 0x100 + u64::from(attempt)) } else { key };
        Lineage { key, ..self }
    }
}

/// A request of a traffic source with all that it causes.
pub(crate) struct Root {
    pub(crate) traffic: u32,
    /// The user of a closed loop.
    pub(crate) user: u32,
    pub(crate) number: u64,
    pub(crate) variant: u32,
    pub(crate) start_ns: Nanos,
    /// Activities that may still add to the record.
    pub(crate) open: u32,
    pub(crate) calls: u32,
    pub(crate) end: Option<ClientEnd>,
    pub(crate) hops: Vec<Option<Hop>>,
    pub(crate) tries: Vec<Try>,
    pub(crate) unknown: Option<Box<Unknown>>,
    pub(crate) summary: Summary,
}

/// What aggregates need of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    /// A proxy of the client's side has written its line.
    pub(crate) first: Option<FirstHop>,
    /// Index into the tally's names of deniers.
    pub(crate) denied: Option<u32>,
}

/// The line of the client-side proxy, as far as counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstHop {
    pub(crate) flags: Flags,
    pub(crate) cluster: Option<ClusterIx>,
    pub(crate) attempts: u32,
}

/// The client's view at the end.
pub(crate) struct ClientEnd {
    pub(crate) at_ns: Nanos,
    pub(crate) fate: Fate,
    pub(crate) fate_also: Option<Fate>,
    pub(crate) response: Option<Response>,
    pub(crate) workload: Option<Answerer>,
    pub(crate) rare: Option<Box<RareEnd>>,
}

/// What few requests end with.
#[derive(Default)]
pub(crate) struct RareEnd {
    pub(crate) answer: Option<Str>,
    pub(crate) tls: Option<Result<Vec<Str>, Str>>,
    pub(crate) tls_alpn: Option<Str>,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answerer {
    Pod(PodIx),
    Internet,
}

/// Who waits for a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waiter {
    /// The traffic source.
    Traffic,
    /// A job of an application.
    Job(JobId),
}

/// A request as an application (or traffic source) makes it.
pub(crate) struct Call {
    pub(crate) line: Lineage,
    pub(crate) waiter: Waiter,
    pub(crate) template: Arc<Template>,
    pub(crate) head: Option<(Arc<RequestHead>, HeadClass)>,
    pub(crate) send: SendMode,
    pub(crate) conn: Option<ConnId>,
    pub(crate) exchange: Option<ExchangeId>,
    /// A response whose body is still to come.
    pub(crate) partial: Option<Box<(Response, Option<Answerer>)>>,
    pub(crate) tls: Option<Box<Result<TlsSession, Str>>>,
    pub(crate) fail: bool,
    /// How the application repeats the call when it fails.
    pub(crate) again: Option<Again>,
}

/// A call that will be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    pub(crate) pod: Option<PodIx>,
    pub(crate) patience: Option<(Nanos, Fate)>,
    /// Repetitions left, at least one.
    pub(crate) left: u32,
}

/// What the bytes of a connection are, outermost TLS layer first.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) layers: Vec<Arc<ClientHello>>,
    pub(crate) bytes: FirstBytes,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Call(CallId),
    Pool(PoolIx),
    Session(SessionId),
}

/// Where a connection leads, as far as addresses say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A proxy's listener.
    Proxy(ProxyIx, Side),
    /// An application port.
    App(PodIx),
    /// Outside.
    Internet,
}

/// Why a connection does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// RST on SYN.
    Refused,
    /// No route to the address.
    Unreachable,
    /// SYNs are lost.
    Dropped,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseKind {
    Fin,
    Rst,
    /// Closed with unread bytes: the peer sees one or the other.
    Either,
}

/// What serves a connection.
#[derive(Clone)]
pub(crate) enum Server {
    /// No bytes have come yet (or an inspector waits for more).
    Undecided,
    /// An HTTP connection manager.
    Http(Arc<HttpSide>),
    /// A TCP proxy.
    Tcp(SessionId),
    /// An application port.
    App(AppSide),
    /// An inspector holds bytes and waits for more.
    Hanging,
    /// Closed or reset: what arrives is dropped.
    Gone,
}

/// An application's end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppSide {
    pub(crate) who: Answerer,
    pub(crate) port: u16,
    /// n-th connection the pod accepted.
    pub(crate) number: u32,
    /// TLS layers it has terminated.
    pub(crate) terminated: u8,
}

/// A connection manager's end of a connection.
pub(crate) struct HttpSide {
    pub(crate) proxy: ProxyIx,
    pub(crate) side: Side,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) chain: ChainId,
    pub(crate) connection: Connection,
    pub(crate) peer: Peer,
    pub(crate) tls: bool,
    pub(crate) istio_alpn: bool,
    /// Where decisions and finished heads are remembered.
    pub(crate) place: Option<u32>,
    /// Empty unless lines are kept.
    pub(crate) names: Names,
}

/// What every line of a connection says of its client.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) principal: Option<Str>,
    pub(crate) sni: Option<Str>,
}

/// A connection between two machines or between an application and its sidecar.
pub(crate) struct Conn {
    pub(crate) line: Lineage,
    pub(crate) owner: Owner,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) content: Arc<Content>,
    pub(crate) target: Target,
    pub(crate) latency_ns: Nanos,
    pub(crate) up: bool,
    pub(crate) server: Server,
    /// Streams (of a connection manager) and jobs (of an application) that arrived on it.
    pub(crate) streams: SmallVec<[StreamId; 1]>,
    pub(crate) jobs: SmallVec<[JobId; 1]>,
    /// TLS towards the server, as the opener sees it.
    pub(crate) session: Option<Box<TlsSession>>,
    /// The connection manager has the beginning of a request line.
    pub(crate) begun: bool,
    /// Filled for connections of pools.
    pub(crate) pooled: Pooled,
}

/// What a pool knows of its connection.
#[derive(Debug, Default)]
pub(crate) struct Pooled {
    pub(crate) active: SmallVec<[ExchangeId; 1]>,
    pub(crate) served: u32,
    pub(crate) draining: bool,
    /// Distinguishes idle periods for the idle timer.
    pub(crate) idle_since: Nanos,
    pub(crate) idle_epoch: u32,
}

/// Who waits for the answer of an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    Call,
    /// Attempt of a stream.
    Attempt(StreamId, u32),
    /// Nobody: a mirror copy.
    Mirror(MirrorCopy),
}

/// A mirror copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MirrorCopy {
    pub(crate) cluster: ClusterIx,
    pub(crate) host: HostId,
    /// Tells the copies of a run apart.
    pub(crate) number: u64,
}

/// Who works on an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Worker {
    Nobody,
    Stream(StreamId),
    Job(JobId),
}

/// One HTTP request on one connection and its answer.
pub(crate) struct Exchange {
    pub(crate) line: Lineage,
    pub(crate) caller: Caller,
    pub(crate) head: Arc<RequestHead>,
    pub(crate) class: HeadClass,
    /// The whole body was sent.
    pub(crate) complete: bool,
    pub(crate) worker: Worker,
    pub(crate) response: Option<Response>,
    pub(crate) answerer: Option<Answerer>,
}

/// Progress of the current attempt of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt {
    /// Not started or decided.
    None,
    /// Waiting in a pool.
    Pending(PoolIx),
    /// On a connection.
    Active(ConnId, ExchangeId),
    /// Waiting for the next try.
    Backoff,
}

/// One downstream request inside one proxy.
pub(crate) struct Stream {
    pub(crate) line: Lineage,
    /// Key of what its proxy draws for it.
    pub(crate) key: u64,
    pub(crate) side: Arc<HttpSide>,
    pub(crate) conn: ConnId,
    pub(crate) exchange: ExchangeId,
    pub(crate) decided: Arc<Decided>,
    /// Where the decision is remembered.
    pub(crate) leaf: Option<LeafId>,
    /// As it leaves, once a host was picked.
    pub(crate) sent: Option<Arc<RequestHead>>,
    pub(crate) start_ns: Nanos,
    pub(crate) hop: Option<u32>,
    pub(crate) complete: bool,
    pub(crate) cluster: Option<ClusterIx>,
    pub(crate) flags: Flags,
    pub(crate) route: RouterState,
    /// Response headers were sent downstream: status and details.
    pub(crate) answered: Option<(u16, Details)>,
}

/// `%RESPONSE_CODE_DETAILS%`: what most answers have in common is not made anew for each.
#[derive(Debug, Clone)]
pub(crate) enum Details {
    /// An upstream's answer.
    ViaUpstream,
    /// A proxy's own.
    Text(Str),
}

impl Stream {
    /// The head as the filters left it.
    pub(crate) fn head(&self) -> &Arc<RequestHead> {
        &self.decided.head
    }

    /// What was decided about it.
    pub(crate) fn decision(&self) -> &HttpDecision {
        &self.decided.decision
    }
}

/// The router's part of a stream.
pub(crate) struct RouterState {
    pub(crate) attempt: Attempt,
    pub(crate) attempts: u32,
    pub(crate) tried: SmallVec<[HostId; 4]>,
    /// Stands for the hash of a made-up cookie in an enumeration, once the first pick is known.
    pub(crate) open_hash: Option<u64>,
    pub(crate) host: Option<HostId>,
    pub(crate) retry: Option<RetryState>,
    pub(crate) request_started: bool,
    pub(crate) routed_ns: Nanos,
    pub(crate) upstream_protocol: Option<Protocol>,
    pub(crate) upstream_tls: bool,
    pub(crate) upstream_peer: Option<Str>,
    pub(crate) upstream_failure: Option<Str>,
}

/// A reset of an attempt, with the transport's words.
#[derive(Debug, Clone)]
pub(crate) struct AttemptReset {
    pub(crate) reason: ResetReason,
    pub(crate) transport: Option<Str>,
}

/// One connection inside a TCP proxy.
pub(crate) struct Session {
    pub(crate) line: Lineage,
    pub(crate) proxy: ProxyIx,
    pub(crate) side: Side,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) chain: ChainId,
    pub(crate) connection: Connection,
    pub(crate) peer: Peer,
    pub(crate) tls: bool,
    pub(crate) decision: TcpDecision,
    pub(crate) downstream: ConnId,
    pub(crate) upstream: Option<ConnId>,
    /// TLS layers taken off downstream.
    pub(crate) terminated: u8,
    /// TLS layers put on upstream.
    pub(crate) added: u8,
    pub(crate) ready: bool,
    pub(crate) waiting: Vec<Up>,
    pub(crate) cluster: Option<(ClusterIx, ClusterId)>,
    pub(crate) host: Option<HostId>,
    pub(crate) start_ns: Nanos,
    pub(crate) hop: Option<u32>,
    pub(crate) flags: Flags,
    pub(crate) attempts: u32,
    pub(crate) upstream_failure: Option<Str>,
    pub(crate) connection_details: Option<Str>,
    pub(crate) upstream_tls: bool,
    pub(crate) upstream_peer: Option<Str>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// When bytes last moved on it.
    pub(crate) moved_ns: Nanos,
    /// The client has closed; the upstream's answer to that is awaited.
    pub(crate) client_gone: bool,
    /// The request's record waits for its end (not so for sessions of pooled connections).
    pub(crate) held: bool,
    /// Counts as connection and request of its host.
    pub(crate) counted: bool,
}

/// What a job will answer.
#[derive(Debug, Clone)]
pub(crate) enum JobReply {
    /// The default: echo.
    Echo,
    /// An answer of the pod's behavior.
    Planned(Arc<Behavior>, usize),
    /// 503: the queue was full.
    Rejected,
}

/// A request (or line) inside an application.
pub(crate) struct Job {
    pub(crate) line: Lineage,
    pub(crate) who: Answerer,
    pub(crate) conn: ConnId,
    pub(crate) exchange: Option<ExchangeId>,
    pub(crate) tried: Option<u32>,
    pub(crate) reply: JobReply,
    pub(crate) service_ns: Nanos,
    pub(crate) arrived_ns: Nanos,
    /// Next group of calls and calls of the current group still out.
    pub(crate) step: u32,
    pub(crate) out: u32,
    pub(crate) failed: bool,
    pub(crate) serving: bool,
}

/// Bytes towards the server.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    /// ClientHello of a TLS layer (0 = outermost of this connection).
    Hello(u8),
    /// An HTTP request.
    Request(ExchangeId),
    /// The beginning of something that never becomes a request.
    Partial,
    /// Raw bytes.
    Raw(Str),
    /// RST_STREAM.
    Cancel(ExchangeId),
    /// End of the connection.
    Close(CloseKind),
}

/// Bytes towards the client.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    /// Result of the handshake of a layer.
    Hello(u8, Box<Result<TlsSession, HelloError>>),
    /// An HTTP response; `false` = its end was cut off and follows as a reset.
    Response(ExchangeId),
    /// Bytes that answer raw bytes.
    Raw(Box<RawAnswer>),
    /// RST_STREAM; true = REFUSED_STREAM.
    Reset(ExchangeId, bool),
    /// End of the connection.
    Close(CloseKind),
}

/// What a client that sent raw bytes gets.
#[derive(Debug, Clone)]
pub(crate) struct RawAnswer {
    /// A line.
    pub(crate) text: Option<Str>,
    /// An HTTP response, where the server took the bytes for a broken request.
    pub(crate) response: Option<Response>,
    pub(crate) who: Option<Answerer>,
}

/// How a handshake fails for the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HelloError {
    /// RST or FIN instead of a ServerHello.
    Reset,
    /// The peer answered something that is not TLS.
    NotTls,
    /// The client rejects the server's certificate: its SANs, and whether the names (not the signer) are the trouble.
    Distrusted {
        /// SANs shown.
        sans: Vec<Str>,
        /// The signer is trusted, the names do not match.
        names: bool,
    },
}
