//! Connections: where an address leads, establishment, bytes in flight, ends.
//!
//! iptables, kube-proxy and the network in one place. What a proxy or application does with the bytes is elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::cx::{Step, TraceSink};
use mesh_core::ids::Nanos;
use mesh_core::ir::{ProxyKind, TrafficDirection};
use smallvec::SmallVec;

use super::state::{
    Answerer, AppSide, CloseKind, Conn, ConnId, ConnectError, Content, Down, Lineage, Owner, PodIx, Pooled,
    ProxyIx, Server, Target, Up,
};
use super::{Event, Sim};
use crate::draws::Chance;
use crate::plan::ConnectMode;
use crate::record::Side;

/// Who dials.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// An application of this pod; its sidecar may capture the connection.
    App(PodIx),
    /// A proxy, towards an upstream.
    Proxy(ProxyIx),
    /// A proxy's inbound cluster, bound to 127.0.0.6: goes to the application of its own pod.
    Inbound(ProxyIx),
    /// Outside the cluster.
    Outside,
}

/// A connection to be opened.
pub(crate) struct Dialing {
    pub(crate) place: Place,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) content: Arc<Content>,
    pub(crate) owner: Owner,
    pub(crate) line: Lineage,
}

/// Where a connection leads: the same until the world, a configuration or a behavior changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Road {
    target: Target,
    destination: SocketAddr,
    fail: Option<ConnectError>,
    /// One way.
    latency_ns: Nanos,
    connect_ns: Nanos,
    /// Pods at its ends that are not modelled.
    tainted: [Option<PodIx>; 2],
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Opens a connection; the owner hears of its establishment or failure by an event.
    pub(super) fn dial(&mut self, dialing: Dialing) -> ConnId {
        self.about(dialing.line.root);
        let road = self.survey(dialing.place, dialing.destination);
        self.open(dialing, road)
    }

    /// Finds out where a connection to this address leads and how long that takes.
    pub(super) fn survey(&mut self, place: Place, destination: SocketAddr) -> Road {
        let (target, destination, fail) = match self.lead(place, destination) {
            Ok((target, to)) => (target, to, None),
            Err(e) => (Target::Internet, destination, Some(e)),
        };
        let from = match place {
            Place::App(pod) => Some(pod),
            Place::Proxy(p) | Place::Inbound(p) => self.proxies.get(p as usize).map(|p| p.pod),
            Place::Outside => None,
        };
        let sender = match place {
            Place::App(pod) => Some(pod),
            Place::Proxy(_) | Place::Inbound(_) | Place::Outside => None,
        };
        let unmodelled =
            |pod: &PodIx| self.pods.get(*pod as usize).is_some_and(|run| run.pod.taint.is_some());
        let tainted = [sender.filter(unmodelled), self.pod_at(destination.ip()).filter(unmodelled)];
        let (latency_ns, connect_ns) = self.distance(from, target);
        Road { target, destination, fail, latency_ns, connect_ns, tainted }
    }

    /// Opens a connection along a road.
    pub(super) fn open(&mut self, dialing: Dialing, road: Road) -> ConnId {
        let Dialing { source, content, owner, line, .. } = dialing;
        for pod in road.tainted.into_iter().flatten() {
            self.taint_pod(line.root, pod);
        }
        let conn = self.conns.insert(Conn {
            line,
            owner,
            source,
            destination: road.destination,
            content,
            target: road.target,
            latency_ns: road.latency_ns,
            up: false,
            server: Server::Undecided,
            streams: SmallVec::new(),
            jobs: SmallVec::new(),
            session: None,
            begun: false,
            pooled: Pooled::default(),
        });
        match road.fail {
            None => self.queue.fixed(road.connect_ns, Event::Connected(conn)),
            Some(ConnectError::Dropped) => {}
            Some(ConnectError::Unreachable) => {
                self.queue.after(0, Event::ConnectFailed(conn, ConnectError::Unreachable));
            }
            Some(error) => self.queue.after(road.connect_ns, Event::ConnectFailed(conn, error)),
        }
        conn
    }

    /// Where a connection to this address ends up (semantics: istio-networking 6.4, 6.6).
    fn lead(&mut self, place: Place, to: SocketAddr) -> Result<(Target, SocketAddr), ConnectError> {
        match place {
            Place::App(pod) => {
                let run = self.pods.get(pod as usize);
                let bound = |p: &ProxyIx| self.is_bound(*p, to);
                if let Some(proxy) = run.and_then(|r| r.proxy).filter(bound) {
                    return Ok((Target::Proxy(proxy, Side::Outbound), to));
                }
                let captured = run.is_some_and(|r| {
                    r.proxy.is_some()
                        && !r.pod.gateway
                        && r.pod.ip != to.ip()
                        && r.pod.capture.takes_outbound(to)
                });
                if let (true, Some(proxy)) = (captured, run.and_then(|r| r.proxy)) {
                    return Ok((Target::Proxy(proxy, Side::Outbound), to));
                }
                if to.ip().is_loopback() || run.is_some_and(|r| r.pod.ip == to.ip()) {
                    return self.application(pod, to);
                }
            }
            Place::Inbound(proxy) => {
                let pod = self.proxies.get(proxy as usize).map(|p| p.pod);
                let own = pod.and_then(|p| self.pods.get(p as usize)).is_some_and(|p| p.pod.ip == to.ip());
                if let (Some(pod), true) = (pod, own || to.ip().is_loopback()) {
                    return self.application(pod, to);
                }
            }
            Place::Proxy(proxy) => {
                if to.ip().is_loopback()
                    && let Some(pod) = self.proxies.get(proxy as usize).map(|p| p.pod)
                {
                    return self.application(pod, to);
                }
            }
            Place::Outside => {}
        }
        self.across(to)
    }

    /// Whether a sidecar really listens there (a Sidecar egress `bind` with `captureMode: NONE`).
    fn is_bound(&self, proxy: ProxyIx, to: SocketAddr) -> bool {
        let run = self.proxies.get(proxy as usize);
        run.is_some_and(|p| {
            p.snapshot().listeners.iter().any(|l| {
                l.bind_to_port
                    && l.direction == TrafficDirection::Outbound
                    && l.port == to.port()
                    && l.ip == Some(to.ip())
                    && to.ip().is_loopback()
            })
        })
    }

    /// A packet on the network: Service addresses become endpoints, pods are found, the rest is outside.
    fn across(&mut self, to: SocketAddr) -> Result<(Target, SocketAddr), ConnectError> {
        let world = Arc::clone(&self.world);
        if let Some(endpoints) = world.vips.targets.get(&(to.ip(), to.port())) {
            let endpoint = *endpoints.first().ok_or(ConnectError::Refused)?;
            self.trace.step(|| Step::Note(format!("kube-proxy: {to} goes to {endpoint}").into()));
            return self.pod_port(endpoint);
        }
        if world.vips.addresses.contains(&to.ip()) {
            return Err(ConnectError::Refused);
        }
        self.pod_port(to)
    }

    fn pod_port(&mut self, to: SocketAddr) -> Result<(Target, SocketAddr), ConnectError> {
        let Some(pod) = self.pod_at(to.ip()) else {
            let inside = self.world.internet.cluster_cidrs.iter().any(|c| c.contains(&to.ip()));
            if inside || !self.world.internet.answers {
                return Err(ConnectError::Unreachable);
            }
            return match self.world.internet.connect {
                ConnectMode::Refuse => Err(ConnectError::Refused),
                ConnectMode::Drop => Err(ConnectError::Dropped),
                ConnectMode::Accept => Ok((Target::Internet, to)),
            };
        };
        let Some(run) = self.pods.get(pod as usize) else { return Err(ConnectError::Unreachable) };
        if let Some(proxy) = run.proxy {
            if run.pod.gateway {
                let listens = self.proxies.get(proxy as usize).is_some_and(|p| {
                    p.snapshot().kind == ProxyKind::Gateway
                        && p.snapshot().listeners.iter().any(|l| {
                            l.pipe.is_none() && l.port == to.port() && l.ip.is_none_or(|ip| ip == to.ip())
                        })
                });
                return if listens {
                    Ok((Target::Proxy(proxy, Side::Gateway), to))
                } else {
                    Err(ConnectError::Refused)
                };
            }
            if run.pod.capture.takes_inbound(to.port()) {
                return Ok((Target::Proxy(proxy, Side::Inbound), to));
            }
        }
        self.application(pod, to)
    }

    fn application(&self, pod: PodIx, to: SocketAddr) -> Result<(Target, SocketAddr), ConnectError> {
        let Some(run) = self.pods.get(pod as usize) else { return Err(ConnectError::Unreachable) };
        if run.gone {
            return Err(ConnectError::Unreachable);
        }
        match run.behavior.connect {
            ConnectMode::Refuse => Err(ConnectError::Refused),
            ConnectMode::Drop => Err(ConnectError::Dropped),
            ConnectMode::Accept if run.pod.ports.iter().any(|p| p.port == to.port()) => {
                Ok((Target::App(pod), to))
            }
            ConnectMode::Accept => Err(ConnectError::Refused),
        }
    }

    /// One-way latency and time to connect.
    fn distance(&self, from: Option<PodIx>, target: Target) -> (Nanos, Nanos) {
        let network = &self.plan.network;
        let to = match target {
            Target::Proxy(p, _) => self.proxies.get(p as usize).map(|p| p.pod),
            Target::App(p) => Some(p),
            Target::Internet => None,
        };
        let processing = if matches!(target, Target::Proxy(..)) { network.proxy_ns } else { 0 };
        if from.is_some() && from == to {
            return (processing, 0);
        }
        let locality = |pod: Option<PodIx>| {
            pod.and_then(|p| self.pods.get(p as usize)).map_or("", |p| p.pod.locality.as_ref())
        };
        let (a, b) = (locality(from), locality(to));
        let special = network
            .localities
            .iter()
            .filter(|(x, y, _)| a.starts_with(x.as_ref()) && b.starts_with(y.as_ref()))
            .max_by_key(|(x, y, _)| x.len() + y.len());
        let latency = special.map_or(network.latency_ns, |(_, _, ns)| *ns);
        (latency.saturating_add(processing), network.connect_ns)
    }

    /// The three-way handshake is over.
    pub(super) fn connected(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.up = true;
        let (target, owner) = (conn.target, conn.owner);
        let who = match target {
            Target::App(pod) => Some(Answerer::Pod(pod)),
            Target::Internet => Some(Answerer::Internet),
            Target::Proxy(..) => None,
        };
        if let Some(who) = who
            && !self.app_accepts(id, who)
        {
            self.connect_failed(id, ConnectError::Refused);
            return;
        }
        self.owner_connected(id, owner);
    }

    /// The application's kernel accepts; false if it has stopped listening meanwhile.
    fn app_accepts(&mut self, id: ConnId, who: Answerer) -> bool {
        let number = match who {
            Answerer::Pod(pod) => {
                let Some(run) = self.pods.get_mut(pod as usize) else { return false };
                if run.gone || run.behavior.connect != ConnectMode::Accept {
                    return false;
                }
                run.accepted += 1;
                run.conns.insert(id);
                run.accepted
            }
            Answerer::Internet => {
                self.internet_accepted += 1;
                self.internet_accepted
            }
        };
        if let Some(conn) = self.conns.get_mut(id) {
            let port = conn.destination.port();
            conn.server = Server::App(AppSide { who, port, number, terminated: 0 });
        }
        true
    }

    fn owner_connected(&mut self, id: ConnId, owner: Owner) {
        match owner {
            Owner::Call(call) => self.call_connected(call, id),
            Owner::Pool(pool) => self.pool_connected(pool, id),
            Owner::Session(session) => self.session_connected(session, id),
        }
    }

    /// The connection could not be established.
    pub(super) fn connect_failed(&mut self, id: ConnId, error: ConnectError) {
        let Some(conn) = self.conns.remove(id) else { return };
        match conn.owner {
            Owner::Call(call) => self.call_connect_failed(call, error),
            Owner::Pool(pool) => self.pool_connect_failed(pool, id, error),
            Owner::Session(session) => self.session_connect_failed(session, error),
        }
    }

    /// Bytes towards the server, arriving after the latency.
    pub(super) fn send_up(&mut self, id: ConnId, up: Up) {
        let Some(conn) = self.conns.get(id) else { return };
        self.queue.fixed(conn.latency_ns, Event::Up(id, up));
    }

    /// Bytes towards the client, arriving after the latency.
    pub(super) fn send_down(&mut self, id: ConnId, down: Down) {
        let Some(conn) = self.conns.get(id) else { return };
        self.queue.fixed(conn.latency_ns, Event::Down(id, down));
    }

    /// Bytes reach the server's end.
    pub(super) fn arrive_up(&mut self, id: ConnId, up: Up) {
        let Some(conn) = self.conns.get(id) else { return };
        match conn.server.clone() {
            Server::Undecided => self.admit(id, up),
            Server::Http(side) => self.http_bytes(id, &side, up),
            Server::Tcp(session) => self.session_up(session, up),
            Server::App(app) => self.app_bytes(id, app, up),
            // Bytes an inspector holds unread make the kernel answer a FIN with RST.
            Server::Hanging => {
                if let Up::Close(_) = up {
                    self.closed_by_client(id, CloseKind::Rst);
                }
            }
            Server::Gone => {
                if let Up::Close(_) = up {
                    self.forget(id);
                }
            }
        }
    }

    /// Bytes reach the client's end.
    pub(super) fn arrive_down(&mut self, id: ConnId, down: Down) {
        let Some(conn) = self.conns.get(id) else { return };
        match conn.owner {
            Owner::Call(call) => self.call_bytes(call, id, down),
            Owner::Pool(pool) => self.pool_bytes(pool, id, down),
            Owner::Session(session) => self.session_down(session, down),
        }
    }

    /// The client's side gives the connection up; the server hears of it after the latency.
    pub(super) fn hang_up(&mut self, id: ConnId, kind: CloseKind) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.up {
            self.send_up(id, Up::Close(kind));
        } else {
            self.forget(id);
        }
    }

    /// The server's side ends the connection: nothing it receives from now on matters.
    pub(super) fn drop_server(&mut self, id: ConnId, kind: CloseKind) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Server::App(AppSide { who: Answerer::Pod(pod), .. }) = conn.server
            && let Some(run) = self.pods.get_mut(pod as usize)
        {
            run.conns.remove(&id);
        }
        if let Some(conn) = self.conns.get_mut(id) {
            conn.server = Server::Gone;
        }
        self.send_down(id, Down::Close(kind));
    }

    /// The client's end of the connection has reached the server, which closes too. TCP proxies pass a FIN on and wait
    /// for its answer; nobody else looks at it.
    pub(super) fn closed_by_client(&mut self, id: ConnId, answer: CloseKind) {
        match self.conns.get(id).map(|c| c.owner) {
            Some(Owner::Session(_)) => self.drop_server(id, answer),
            _ => self.forget(id),
        }
    }

    /// Both ends know that the connection is over.
    pub(super) fn forget(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        if let Server::App(AppSide { who: Answerer::Pod(pod), .. }) = conn.server
            && let Some(run) = self.pods.get_mut(pod as usize)
        {
            run.conns.remove(&id);
        }
        self.conns.discard(id);
    }
}
