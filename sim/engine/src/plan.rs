//! What a run does: who sends what when, how applications behave, what changes on the way.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ids::Nanos;
use mesh_core::request::{Headers, Protocol};
use mesh_core::tls::{Certificate, Validation};
use std::net::{IpAddr, SocketAddr};

use crate::record::Fate;
use crate::world::{PodId, World};

/// One run.
#[derive(Clone)]
pub struct Plan {
    /// The mesh at time 0.
    pub world: Arc<World>,
    /// User seed.
    pub seed: u64,
    /// Which of several independent runs.
    pub replication: u32,
    /// Simulated time during which traffic arrives, ns. Requests in flight at the end are finished.
    pub duration_ns: Nanos,
    /// Requests that begin before this are not counted, ns.
    pub warmup_ns: Nanos,
    /// Delays between machines.
    pub network: NetworkModel,
    /// What applications do; pods that no behavior names get [`Behavior::default`].
    pub behaviors: Vec<Behavior>,
    /// Clients.
    pub traffic: Vec<Traffic>,
    /// Changes in order of time.
    pub changes: Vec<(Nanos, Change)>,
    /// How late a tick of an outlier detector may be, ns: each is by another part of it. 0 unless a recording, whose
    /// timers are some milliseconds late, is to be met.
    pub ticks_late_ns: Nanos,
    /// What to keep.
    pub record: Record,
    /// Token reader shared by all proxies.
    pub tokens: Arc<dyn mesh_core::cx::Tokens + Send + Sync>,
}

/// What a run keeps beyond aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Every request as a [`crate::record::RequestRecord`].
    pub requests: bool,
    /// With the requests, the proxies' log lines and what the applications saw.
    pub hops: bool,
    /// Width of the time windows of per-window counts, ns; 0 = one second.
    pub window_ns: Nanos,
}

/// Delays between machines, ns, one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkModel {
    /// Bytes from pod to pod.
    pub latency_ns: Nanos,
    /// TCP connection establishment.
    pub connect_ns: Nanos,
    /// TLS handshake on top.
    pub tls_handshake_ns: Nanos,
    /// Processing time of each proxy per direction.
    pub proxy_ns: Nanos,
    /// Latencies between localities (longest common match of (from, to) wins), replacing `latency_ns`.
    pub localities: Vec<(Str, Str, Nanos)>,
}

impl Default for NetworkModel {
    /// FORMATS 2: latency 500 µs, connect 300 µs, handshake 1 ms.
    fn default() -> Self {
        NetworkModel {
            latency_ns: 500_000,
            connect_ns: 300_000,
            tls_handshake_ns: 1_000_000,
            proxy_ns: 0,
            localities: Vec::new(),
        }
    }
}

/// A law of durations, ns.
#[derive(Debug, Clone, PartialEq)]
pub enum Law {
    /// Always this.
    Constant(Nanos),
    /// Exponential with this mean.
    Exponential(Nanos),
    /// Uniform, both ends included.
    Uniform(Nanos, Nanos),
    /// Log-normal by median and 99th percentile.
    LogNormal {
        /// Median.
        p50_ns: Nanos,
        /// 99th percentile.
        p99_ns: Nanos,
    },
    /// One of these, equally likely.
    Empirical(Vec<Nanos>),
}

/// How the application of some pods behaves.
#[derive(Debug, Clone)]
pub struct Behavior {
    /// The pods of the first world.
    pub pods: Vec<PodId>,
    /// Pods of later worlds, `ns/workload#ordinal`.
    pub later: Vec<Str>,
    /// Time to serve a request.
    pub service_time: Law,
    /// Requests served at once per pod; `None` = unlimited.
    pub concurrency: Option<u32>,
    /// Requests waiting beyond that; the next gets 503 from the application. `None` = unlimited.
    pub queue: Option<u32>,
    /// Possible answers; empty = [`Reply::default`] (echo).
    pub responses: Vec<Reply>,
    /// How one of several answers is chosen.
    pub order: ReplyOrder,
    /// What happens to connection attempts.
    pub connect: ConnectMode,
    /// Calls made while serving, in order; those of one inner list run in parallel.
    pub calls: Vec<Vec<Call>>,
    /// Request headers copied from the served request to the calls (lower-case).
    pub propagate_headers: Vec<Str>,
}

impl Default for Behavior {
    /// FORMATS 2: 200 after 1 ms, unlimited concurrency; the echo words of the recorder are understood.
    fn default() -> Self {
        Behavior {
            pods: Vec::new(),
            later: Vec::new(),
            service_time: Law::Constant(1_000_000),
            concurrency: None,
            queue: None,
            responses: Vec::new(),
            order: ReplyOrder::Weighted,
            connect: ConnectMode::Accept,
            calls: Vec::new(),
            propagate_headers: Vec::new(),
        }
    }
}

/// How one of several answers is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyOrder {
    /// By weight.
    #[default]
    Weighted,
    /// The i-th request to the pod since the behavior was set gets `responses[i mod len]`.
    Cycle,
}

/// What a pod does with connection attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectMode {
    /// The port is open.
    #[default]
    Accept,
    /// RST on SYN; open connections are reset when this begins.
    Refuse,
    /// SYNs are lost; open connections are closed when this begins.
    Drop,
}

/// One possible answer of an application.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Relative weight, millionths of the traffic when written as percent.
    pub weight: u64,
    /// What is answered.
    pub action: ReplyAction,
    /// Replaces the behavior's service time.
    pub service_time: Option<Law>,
}

impl Default for Reply {
    fn default() -> Self {
        Reply { weight: 1_000_000, action: ReplyAction::Echo, service_time: None }
    }
}

/// What an application answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyAction {
    /// The recorder's application: `x-echo` (status), `x-echo-delay` (ms), `x-echo-reset`, `x-echo-header` steer it.
    Echo,
    /// A fixed answer.
    Answer {
        /// Status.
        status: u16,
        /// Further headers.
        headers: Headers,
        /// Body size, bytes.
        body_bytes: u64,
        /// Body text, where it matters; the size is `body_bytes`.
        body: Str,
        /// gRPC status (in trailers when there is a body, else in the headers).
        grpc_status: Option<u32>,
    },
    /// RST of the connection.
    Reset,
    /// HTTP/2 RST_STREAM: CANCEL, or REFUSED_STREAM when true. On HTTP/1.1 like [`ReplyAction::Reset`].
    ResetStream(bool),
    /// FIN instead of an answer.
    Close,
    /// Never answers.
    Hang,
    /// 200 headers and 3 of 103 body bytes, RST after 20 ms.
    Truncate,
}

/// A call an application makes while serving.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is sent.
    pub request: ClientRequest,
    /// The application gives up after this, ns; `None` = never.
    pub timeout_ns: Option<Nanos>,
    /// A failure (no answer, or status >= 500) makes the application answer 500.
    pub fail: bool,
    /// The application itself repeats a failed or timed-out call this often, at once.
    pub retries: u32,
}

/// What a client sends, and where to.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// Where the connection goes.
    pub dial: Dial,
    /// The client's own TLS; `None` = plaintext.
    pub tls: Option<ClientTls>,
    /// What it says.
    pub payload: Payload,
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dial {
    /// A host name, resolved as the client's namespace would.
    Name(Str, u16),
    /// An address.
    Address(SocketAddr),
}

/// TLS a client speaks itself.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Server name; `None` = none sent.
    pub sni: Option<Str>,
    /// ALPN offered.
    pub alpn: Vec<Str>,
    /// Client certificate.
    pub certificate: Option<Certificate>,
    /// What it demands of the server.
    pub validation: Validation,
}

/// What a client says once connected.
#[derive(Debug, Clone)]
pub enum Payload {
    /// An HTTP request. `${n}` in authority, path and header values is the request's number.
    Http(HttpRequest),
    /// Raw bytes; the answer is read as a line.
    Raw(Str),
}

/// An HTTP request template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Str,
    /// `http` or `https`, as the client would write `:scheme`.
    pub scheme: Str,
    /// Host header; `None` = no Host line.
    pub authority: Option<Str>,
    /// Target with query.
    pub path: Str,
    /// Version; HTTP/2 without TLS is prior knowledge.
    pub protocol: Protocol,
    /// Headers, names lower-case.
    pub headers: Headers,
    /// Body size, bytes.
    pub body_bytes: u64,
}

/// A source of requests.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Name; keys the draws.
    pub name: Str,
    /// Who sends them.
    pub from: Clients,
    /// Requests with their relative weights.
    pub mix: Vec<(u64, ClientRequest)>,
    /// When they are sent.
    pub arrivals: Arrivals,
    /// The client hangs up that long after it began, ns.
    pub client_timeout_ns: Option<Nanos>,
    /// What such an end is called: [`Fate::ClientClosed`] when planned, [`Fate::Timeout`] when out of patience.
    pub impatient: Fate,
    /// Broken clients.
    pub send: SendMode,
}

/// Who sends the requests of a traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// Pods of the mesh: each request is sent by one of those that run. While none runs, none is sent.
    Pods(Vec<PodSet>),
    /// Somebody outside the cluster.
    Outside {
        /// The address that the first hop sees.
        source: IpAddr,
        /// The gateway's pods: each request is sent to one of those that run, whatever address it names. Empty, or while
        /// none runs: to the address it names.
        gateway: Vec<PodSet>,
    },
}

impl Clients {
    /// One pod.
    #[must_use]
    pub fn pod(id: PodId) -> Clients {
        Clients::Pods(vec![PodSet::One(id)])
    }

    /// The pods meant, of those that `world` begins with, in its order: who sends, or which gateway is dialled.
    #[must_use]
    pub fn pods(&self, world: &World) -> Vec<PodId> {
        let (Clients::Pods(sets) | Clients::Outside { gateway: sets, .. }) = self;
        let ids = (0..world.pods.len() as u32).map(PodId);
        ids.filter(|id| sets.iter().any(|set| set.means(*id, world))).collect()
    }
}

/// One pod, or all of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodSet {
    /// A pod of the world that the run begins with; it keeps its name when the world changes.
    One(PodId),
    /// The pods of `ns/workload`, also those that join later.
    Workload(Str),
}

impl PodSet {
    fn means(&self, id: PodId, world: &World) -> bool {
        match self {
            PodSet::One(one) => *one == id,
            PodSet::Workload(name) => world.pod(id).is_some_and(|pod| pod.workload() == name.as_ref()),
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// At these times, ns.
    At(Vec<Nanos>),
    /// Evenly: at `start + k * 1s/rate`, `k < count`.
    Constant {
        /// First arrival, ns.
        start_ns: Nanos,
        /// Arrivals per second.
        rate: f64,
        /// How many; `None` = until the run's duration.
        count: Option<u64>,
    },
    /// Open loop with piecewise linear rates.
    Phases {
        /// Phases in order; the first begins at 0.
        phases: Vec<Phase>,
        /// Poisson, or evenly spaced in operational time.
        poisson: bool,
    },
    /// Closed loop.
    Users {
        /// Number of users.
        users: u32,
        /// Pause between an answer and the user's next request.
        think: Law,
    },
}

/// A phase of an open-loop source; the rate goes linearly from `from_rate` to `to_rate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// End, ns.
    pub until_ns: Nanos,
    /// Rate at the beginning, per second.
    pub from_rate: f64,
    /// Rate at the end, per second.
    pub to_rate: f64,
}

/// What a client sends of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendMode {
    /// All of it.
    #[default]
    Whole,
    /// Half of the head: it never becomes a request.
    HalfHeaders,
    /// The head and half of the body.
    HalfBody,
}

/// A change of the world.
#[derive(Clone)]
pub enum Change {
    /// New configuration and pods. Pods change at once (endpoint churn, kills); each proxy switches to its new
    /// snapshot after `delay_ns` plus a uniform draw below `jitter_ns`.
    World {
        /// The new version; proxies and pods are matched with the old ones by name.
        world: Arc<World>,
        /// Propagation delay, ns.
        delay_ns: Nanos,
        /// Jitter, ns.
        jitter_ns: Nanos,
    },
    /// Changes what some pods do; `None` fields stay.
    Behavior {
        /// The pods, by `ns/workload#ordinal`.
        pods: Vec<Str>,
        /// New service time.
        service_time: Option<Law>,
        /// New answers (clears the order).
        responses: Option<Vec<Reply>>,
        /// New order.
        order: Option<ReplyOrder>,
        /// New connect mode.
        connect: Option<ConnectMode>,
    },
    /// The process of these pods dies: open connections are reset, the address becomes unreachable.
    Kill {
        /// The pods, by `ns/workload#ordinal`.
        pods: Vec<Str>,
    },
}
