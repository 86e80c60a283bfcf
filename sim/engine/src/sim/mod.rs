//! The event loop. One [`Sim`] is one run on one thread; its actors are the neighbouring modules.
//!
//! ```text
//! traffic ─► client ─► net ─► admit ─► http ─► router ─► pool ─► net ─► admit ─► http ─► … ─► app
//!                                  └► tcp ─────────────────────► net ─► …
//! ```
//! Bytes travel as [`state::Up`] and [`state::Down`] events along connections; nothing calls across machines.

mod admit;
mod answer;
mod app;
mod arena;
mod attempt;
mod change;
mod client;
mod decided;
mod hop;
mod http;
mod job;
mod memo;
mod mesh;
mod mirror;
mod net;
mod pool;
mod pooled;
mod queue;
mod race;
mod router;
mod sender;
mod state;
mod summary;
mod tally;
mod tcp;
mod tcp_end;
mod tcp_idle;
mod template;
mod traffic;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::ids::Nanos;

use self::arena::Arena;
use self::queue::Queue;
use self::state::{
    Call, CallId, CloseKind, ClusterIx, Conn, ConnId, ConnectError, Down, Exchange, Job, JobId, Owner, PodIx,
    PoolIx, ProxyIx, Root, RootId, Session, SessionId, Stream, StreamId, Up,
};
use crate::draws::{Chance, mix, name_key};
use crate::plan::{Behavior, Plan};
use crate::record::{Fate, RequestRecord};
use crate::world::World;

/// Something that happens at a time.
enum Event {
    /// Traffic, and whose turn it is: the user of a closed loop.
    Arrival(u32, u32),
    Connected(ConnId),
    ConnectFailed(ConnId, ConnectError),
    ConnectTimeout(ConnId),
    Up(ConnId, Up),
    Down(ConnId, Down),
    Admitted(ConnId, Box<admit::Admitted>, Up),
    Impatient(CallId, Fate),
    Delayed(StreamId),
    RouteTimeout(StreamId),
    StreamDuration(StreamId),
    StreamIdle(StreamId),
    PerTry(StreamId, u32),
    Backoff(StreamId, u32),
    CopyTimeout(PoolIx, u64),
    Served(JobId),
    BreakOff(ConnId, CloseKind),
    Idle(ConnId, u32),
    SessionIdle(SessionId),
    Aged(ConnId),
    ClusterTimer(ClusterIx),
    Configure(ProxyIx, crate::world::Configuration),
    Change(u32),
    /// The grace period of a pod that left at that time is over.
    Ended(PodIx, Nanos),
}

/// The addresses of a name, or that it does not exist.
type DnsAnswer = Option<Arc<[IpAddr]>>;

/// By client and the machine dialled for it: address and road.
type Roads = BTreeMap<(Option<PodIx>, Option<IpAddr>), (SocketAddr, net::Road)>;

/// One run.
pub(crate) struct Sim<'p, C, S> {
    plan: &'p Plan,
    world: Arc<World>,
    queue: Queue<Event>,
    pub(crate) chance: C,
    pub(crate) trace: S,
    seed_key: u64,
    horizon_ns: Nanos,
    keep_hops: bool,
    /// Cluster timers in the queue: they recur for ever and keep no run alive.
    background: usize,
    roots: Arena<Root>,
    calls: Arena<Call>,
    conns: Arena<Conn>,
    exchanges: Arena<Exchange>,
    streams: Arena<Stream>,
    sessions: Arena<Session>,
    jobs: Arena<Job>,
    pods: Vec<mesh::PodRun>,
    pod_names: BTreeMap<Str, PodIx>,
    by_ip: BTreeMap<IpAddr, PodIx>,
    /// The last behavior of the plan that names a pod.
    planned: BTreeMap<Str, usize>,
    /// What pods do that are still to come and were told otherwise than the plan.
    early: BTreeMap<Str, Behavior>,
    proxies: Vec<mesh::ProxyRun>,
    proxy_names: BTreeMap<Str, ProxyIx>,
    clusters: Vec<mesh::ClusterRun>,
    pools: Vec<pool::Pool>,
    sources: Vec<traffic::Source>,
    tally: tally::Tally,
    pub(crate) records: Vec<RequestRecord>,
    connection_numbers: u64,
    copy_numbers: u64,
    internet_accepted: u32,
    /// The request whose steps and record are kept, and no other's: the how-manieth to begin, and its id once begun.
    follow: Option<(u64, Option<RootId>)>,
    /// Requests that have begun.
    begun: u64,
    /// When the run stopped offering requests because too many were in flight.
    overloaded_ns: Option<Nanos>,
    events: u64,
    /// DNS answers by name and namespace.
    dns_answers: BTreeMap<Str, BTreeMap<Str, DnsAnswer>>,
    memo: memo::Memo,
    /// Details of an answer that came from upstream.
    via_upstream: Str,
    pub(crate) races: race::Races,
    /// By template, where its calls lead, as far as known; emptied by every change.
    roads: Vec<Roads>,
    /// Response headers are looked at by nobody: records are not kept and no proxy acts on them.
    bare: bool,
}

impl<'p, C: Chance, S: TraceSink> Sim<'p, C, S> {
    /// A run about to begin.
    pub(crate) fn new(plan: &'p Plan, chance: C, trace: S) -> Self {
        let window = if plan.record.window_ns == 0 { 1_000_000_000 } else { plan.record.window_ns };
        let mut memo = memo::Memo::new();
        let source = |t| traffic::Source::new(plan.seed, plan.replication, t, &mut memo);
        let sources = plan.traffic.iter().map(source).collect();
        let mut sim = Sim {
            plan,
            world: Arc::clone(&plan.world),
            queue: Queue::default(),
            chance,
            trace,
            seed_key: mix(mix(plan.seed, name_key("mesh")), u64::from(plan.replication)),
            horizon_ns: plan.duration_ns,
            keep_hops: plan.record.requests && plan.record.hops,
            background: 0,
            roots: Arena::default(),
            calls: Arena::default(),
            conns: Arena::default(),
            exchanges: Arena::default(),
            streams: Arena::default(),
            sessions: Arena::default(),
            jobs: Arena::default(),
            pods: Vec::new(),
            pod_names: BTreeMap::new(),
            by_ip: BTreeMap::new(),
            planned: mesh::planned(plan),
            early: BTreeMap::new(),
            proxies: Vec::new(),
            proxy_names: BTreeMap::new(),
            clusters: Vec::new(),
            pools: Vec::new(),
            sources,
            tally: tally::Tally::new(plan.traffic.len(), plan.world.pods.len(), window),
            records: Vec::new(),
            connection_numbers: 0,
            copy_numbers: 0,
            internet_accepted: 0,
            follow: None,
            begun: 0,
            overloaded_ns: None,
            events: 0,
            dns_answers: BTreeMap::new(),
            memo,
            via_upstream: "via_upstream".into(),
            races: race::Races::default(),
            roads: Vec::new(),
            bare: !plan.record.requests && !S::ENABLED && !memo::answers_matter(plan),
        };
        sim.adopt(Arc::clone(&plan.world), 0, 0);
        sim
    }

    /// Runs to the end: until no request is left and no arrival is to come.
    pub(crate) fn run(&mut self) {
        // A change due at the time of an arrival comes first.
        for (i, (at, _)) in self.plan.changes.iter().enumerate() {
            self.queue.at(*at, Event::Change(i as u32));
        }
        self.start_traffic();
        while self.queue.len() > self.background || self.queue.is_due() {
            let Some(event) = self.queue.pop() else { break };
            self.events += 1;
            self.handle(event);
            if S::ENABLED && self.follow.is_some() && !self.records.is_empty() {
                break;
            }
        }
        self.queue.advance();
        self.close_all();
    }

    /// Sets a timer that is mostly for nothing.
    fn timer(&mut self, delay: Nanos, event: Event) {
        let (calls, streams, conns) = (&self.calls, &self.streams, &self.conns);
        self.queue.timer(delay, event, |event| match event {
            Event::Impatient(call, _) => calls.get(*call).is_none(),
            Event::RouteTimeout(stream) | Event::StreamDuration(stream) | Event::StreamIdle(stream) => {
                streams.get(*stream).is_none()
            }
            Event::PerTry(stream, attempt) => {
                streams.get(*stream).is_none_or(|s| s.route.attempts != *attempt)
            }
            Event::Idle(conn, epoch) => conns.get(*conn).is_none_or(|c| c.pooled.idle_epoch != *epoch),
            Event::ConnectTimeout(conn) => conns.get(*conn).is_none(),
            _ => false,
        });
    }

    /// Keeps steps and record of the `number`-th request to begin, from 1, only; the run ends with it.
    pub(crate) fn follow(&mut self, number: u64) {
        self.follow = Some((number, None));
    }

    /// Requests that have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// The steps that come are this request's.
    fn about(&mut self, root: RootId) {
        if S::ENABLED {
            let followed = self.follow.is_some_and(|(_, id)| id == Some(root));
            self.trace.turn(self.queue.now(), followed);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival(traffic, user) => self.arrival(traffic, user),
            Event::Connected(conn) => self.connected(conn),
            Event::ConnectFailed(conn, error) => self.connect_failed(conn, error),
            Event::ConnectTimeout(conn) => match self.conns.get(conn).map(|c| c.owner) {
                Some(Owner::Pool(pool)) => self.pool_connect_timeout(pool, conn),
                Some(Owner::Session(session)) => self.session_connect_timeout(session),
                _ => {}
            },
            Event::Up(conn, up) => self.arrive_up(conn, up),
            Event::Down(conn, down) => self.arrive_down(conn, down),
            Event::Admitted(conn, admitted, up) => self.serve(conn, *admitted, up),
            Event::Impatient(call, fate) => self.call_impatient(call, fate),
            Event::Delayed(stream) => self.act(stream),
            Event::RouteTimeout(stream) => self.route_timeout(stream),
            Event::StreamDuration(stream) => self.stream_duration(stream),
            Event::StreamIdle(stream) => self.stream_idle(stream),
            Event::PerTry(stream, attempt) => self.per_try_timeout(stream, attempt),
            Event::Backoff(stream, attempt) => self.backoff_over(stream, attempt),
            Event::CopyTimeout(pool, copy) => self.copy_timeout(pool, copy),
            Event::Served(job) => self.served(job),
            Event::BreakOff(conn, kind) => self.late_end(conn, kind),
            Event::Idle(conn, epoch) => self.idle(conn, epoch),
            Event::SessionIdle(session) => self.session_idle(session),
            Event::Aged(conn) => self.aged(conn),
            Event::ClusterTimer(cluster) => {
                self.background = self.background.saturating_sub(1);
                self.cluster_timer(cluster);
            }
            Event::Configure(proxy, configuration) => {
                self.roads.clear();
                self.configure(proxy, configuration);
            }
            Event::Change(change) => {
                self.roads.clear();
                self.change(change);
            }
            Event::Ended(pod, since) => {
                self.background = self.background.saturating_sub(1);
                self.roads.clear();
                self.ended(pod, since);
            }
        }
    }
}
