//! The first bytes of a connection at a proxy: listener, filter chain, TLS; and who serves it from then on.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Step, TraceSink};
use mesh_core::decide::{self, Accept, Distrust, HandshakeFailure};
use mesh_core::ids::{ChainId, ListenerId, Taint};
use mesh_core::ir::{Discovery, HttpFilter, Snapshot, Terminal, TrafficDirection};
use mesh_core::request::{Connection, FirstBytes, Peer};
use mesh_core::tls::{CertificateSource, TlsSession};

use super::hop::blank_hop;
use super::state::{
    CloseKind, Conn, ConnId, Content, Down, HelloError, HttpSide, Names, ProxyIx, Server, Target, Up,
};
use super::words;
use super::{Event, Sim};
use crate::draws::Chance;
use crate::record::{Hop, LogKind, Side, Unknown};
use crate::world::ProxyId;

/// A connection as the accepting proxy sees it: one TLS layer at a time.
pub(super) fn seen(conn: &Conn) -> Connection {
    Connection {
        source: conn.source,
        destination: conn.destination,
        tls: conn.content.layers.first().map(|hello| hello.as_ref().clone()),
        bytes: inner_bytes(&conn.content),
    }
}

/// What a proxy finds below the outermost TLS layer.
fn inner_bytes(content: &Content) -> FirstBytes {
    if content.layers.len() > 1 {
        // A ClientHello of usual size: no HTTP, and no line feed an inspector would wait for.
        return FirstBytes::Raw { len: 517, newline: false };
    }
    content.bytes
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Decides who serves the connection whose first bytes have come.
    pub(super) fn admit(&mut self, id: ConnId, up: Up) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Target::Proxy(proxy, side) = conn.target else { return };
        if let Up::Close(_) = up {
            self.closed_by_client(id, CloseKind::Fin);
            return;
        }
        let Some(run) = self.proxies.get(proxy as usize) else { return };
        let snapshot = Arc::clone(run.snapshot());
        if self.bare
            && let Some(known) =
                self.memo.landing(proxy, &snapshot, &conn.content, conn.destination, conn.source.ip())
        {
            conn.server = Server::Http(Arc::clone(&known));
            self.http_bytes(id, &known, up);
            return;
        }
        let connection = seen(conn);
        let line = conn.line;
        let direction =
            if side == Side::Inbound { TrafficDirection::Inbound } else { TrafficDirection::Outbound };
        let name = run.name.clone();
        self.about(line.root);
        self.trace.step(|| Step::Note(format!("{name} ({})", words::side(side)).into()));
        for taint in &snapshot.taints {
            self.taint(line.root, Some(proxy), taint);
        }
        let Some(run) = self.proxies.get(proxy as usize) else { return };
        match decide::accept(&snapshot, direction, &run.identity, &connection, &mut self.trace) {
            Accept::Chain { chain, session, peer, waited_ns } => {
                self.taint_chain(line.root, proxy, &snapshot, chain);
                let side = side_of(&snapshot, chain.listener, side);
                let admitted = Admitted { proxy, side, snapshot, chain, connection, peer, session };
                if waited_ns > 0 {
                    self.queue.after(waited_ns, Event::Admitted(id, Box::new(admitted), up));
                } else {
                    self.serve(id, admitted, up);
                }
            }
            Accept::NoFilterChain { listener } => self.no_chain(id, proxy, side, &snapshot, listener),
            Accept::NoListener => self.drop_server(id, CloseKind::Rst),
            Accept::Hangs { listener } => {
                self.taint_listener(line.root, proxy, &snapshot, listener);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.server = Server::Hanging;
                }
            }
            Accept::HandshakeFailed { chain, failure } => {
                self.taint_chain(line.root, proxy, &snapshot, chain);
                let admitted = Admitted {
                    proxy,
                    side,
                    snapshot,
                    chain,
                    connection,
                    peer: Peer::default(),
                    session: None,
                };
                self.handshake_failed(id, &admitted, failure);
            }
        }
    }

    /// A chain takes the connection.
    pub(super) fn serve(&mut self, id: ConnId, admitted: Admitted, up: Up) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Admitted { proxy, side, snapshot, chain, connection, peer, session } = admitted;
        let Some(filter_chain) = snapshot.filter_chain(chain) else { return };
        match &filter_chain.terminal {
            Terminal::Http(hcm) => {
                let istio_alpn = hcm.http_filters.iter().any(|f| matches!(f, HttpFilter::IstioAlpn));
                let mut http = HttpSide {
                    proxy,
                    side,
                    chain,
                    connection,
                    peer,
                    tls: session.is_some(),
                    istio_alpn,
                    snapshot: Arc::clone(&snapshot),
                    place: None,
                    names: Names::default(),
                };
                let content = Arc::clone(&conn.content);
                if !S::ENABLED && !self.chance.enumerates() {
                    http.place = self.memo.place(&http);
                }
                if self.keep_hops {
                    http.names = Names {
                        principal: http.peer.principal().map(Str::from),
                        sni: seen_sni(&snapshot, chain.listener, &http.connection),
                    };
                }
                let http = Arc::new(http);
                // HTTP is recognised at once: the inspectors do not wait.
                let plain = session.is_none() && matches!(content.bytes, FirstBytes::Http(_));
                let repeats = self.bare && http.place.is_some() && side != Side::Inbound && plain;
                if repeats && is_untainted(&snapshot, chain) {
                    self.memo.land(&content, &http);
                }
                let Some(conn) = self.conns.get_mut(id) else { return };
                conn.server = Server::Http(Arc::clone(&http));
                match (session, up) {
                    (Some(session), Up::Hello(0)) => self.greet(id, session),
                    (_, up) => self.http_bytes(id, &http, up),
                }
            }
            Terminal::Tcp(_) => {
                let terminated = u8::from(session.is_some());
                let admitted = Admitted {
                    proxy,
                    side,
                    chain,
                    connection,
                    peer,
                    session: None,
                    snapshot: Arc::clone(&snapshot),
                };
                let tcp = self.start_session(id, admitted, terminated);
                match (session, up) {
                    (Some(session), Up::Hello(0)) => self.greet(id, session),
                    (_, up) => {
                        if let Some(tcp) = tcp {
                            self.session_up(tcp, up);
                        }
                    }
                }
            }
        }
    }

    /// The server's half of a handshake that worked; the rest of the handshake's time passes.
    pub(super) fn greet(&mut self, id: ConnId, session: TlsSession) {
        let Some(conn) = self.conns.get(id) else { return };
        let rest = self.plan.network.tls_handshake_ns.saturating_sub(conn.latency_ns).max(conn.latency_ns);
        self.queue.after(rest, Event::Down(id, Down::Hello(0, Box::new(Ok(session)))));
    }

    /// No chain: the listener logs NR and resets (semantics: istio-security 2.7).
    fn no_chain(
        &mut self,
        id: ConnId,
        proxy: ProxyIx,
        side: Side,
        snapshot: &Arc<Snapshot>,
        listener: ListenerId,
    ) {
        let Some(conn) = self.conns.get(id) else { return };
        let line = conn.line;
        let root = line.root;
        self.taint_listener(root, proxy, snapshot, listener);
        let Some(conn) = self.conns.get(id) else { return };
        let mut hop = blank_hop(
            ProxyId(proxy),
            side,
            LogKind::Listener,
            line,
            self.queue.now(),
            conn.destination,
            conn.source,
        );
        hop.listener = snapshot.listeners.get(listener.index()).map(|l| l.name.clone()).unwrap_or_default();
        hop.flags.insert(mesh_core::response::ResponseFlag::NR);
        hop.details = Some(words::NO_CHAIN.into());
        if conn.content.layers.is_empty() {
            hop.downstream_failure = words::no_tls(conn.content.bytes).map(Str::from);
        } else {
            hop.sni = conn.content.layers.first().and_then(|h| h.sni.clone());
        }
        self.write_hop(line, hop);
        self.drop_server(id, CloseKind::Rst);
    }

    fn handshake_failed(&mut self, id: ConnId, at: &Admitted, failure: HandshakeFailure) {
        let Some(conn) = self.conns.get(id) else { return };
        let latency = conn.latency_ns;
        let words = words::handshake_downstream(&failure);
        self.log_handshake(id, at, &words, failure != HandshakeFailure::ServerHasNoCertificate);
        let error = match failure {
            HandshakeFailure::ServerHasNoCertificate => {
                self.drop_server(id, CloseKind::Rst);
                return;
            }
            HandshakeFailure::NotTls => Some(HelloError::NotTls),
            HandshakeFailure::ClientRefusesServer { sans, why } => {
                Some(HelloError::Distrusted { sans, names: why == Distrust::SanMismatch })
            }
            // TLS 1.3: the client has sent its Finished and believes in the session; the alert comes a round trip later.
            HandshakeFailure::ClientCertificateRequired | HandshakeFailure::ServerRefusesClient { .. } => {
                None
            }
        };
        let rest = self.plan.network.tls_handshake_ns.saturating_sub(latency).max(latency);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.server = Server::Gone;
        }
        match error {
            Some(error) => {
                self.queue.after(rest, Event::Down(id, Down::Hello(0, Box::new(Err(error)))));
            }
            None => {
                let believed = self.believed_session(at);
                self.queue.after(rest, Event::Down(id, Down::Hello(0, Box::new(Ok(believed)))));
                self.queue.after(rest + 2 * latency, Event::Down(id, Down::Close(CloseKind::Fin)));
            }
        }
    }

    /// A failed handshake in the log: the listener's line, before it the TCP proxy's if the chain has one.
    fn log_handshake(&mut self, id: ConnId, at: &Admitted, failure: &Str, shaken: bool) {
        let Some(conn) = self.conns.get(id) else { return };
        let (line, now) = (conn.line, self.queue.now());
        let place = (conn.destination, conn.source);
        let mut hop = blank_hop(ProxyId(at.proxy), at.side, LogKind::Listener, line, now, place.0, place.1);
        hop.listener = listener_name(&at.snapshot, at.chain.listener);
        hop.filter_chain =
            at.snapshot.filter_chain(at.chain).map(|c| c.name.clone()).filter(|n| !n.is_empty());
        hop.sni = seen_sni(&at.snapshot, at.chain.listener, &at.connection);
        hop.downstream_failure = Some(failure.clone());
        hop.tls = shaken;
        if let Some(Terminal::Tcp(tcp)) = at.snapshot.filter_chain(at.chain).map(|c| &c.terminal) {
            hop.attempts = 1;
            let cluster = tcp.clusters.first().and_then(|(name, _)| at.snapshot.cluster_by_name(name));
            if let Some((cluster, config)) =
                cluster.and_then(|c| Some((c, at.snapshot.clusters.get(c.index())?)))
            {
                hop.cluster = Some(cluster);
                hop.cluster_name = Some(config.name.clone());
                if config.discovery == Discovery::OriginalDst {
                    hop.upstream_host = Some(at.connection.destination);
                }
            }
            self.write_hop(line, Hop { kind: LogKind::Tcp, ..hop.clone() });
        }
        self.write_hop(line, hop);
    }

    /// What a TLS 1.3 client believes in until the server's alert arrives.
    fn believed_session(&self, at: &Admitted) -> TlsSession {
        let hello = at.connection.tls.as_ref();
        let tls = at.snapshot.filter_chain(at.chain).and_then(|c| c.tls.as_ref());
        let server_certificate = match tls.map(|t| &t.certificate) {
            Some(CertificateSource::Workload) => {
                self.proxies.get(at.proxy as usize).map(|p| p.identity.clone())
            }
            Some(CertificateSource::Known(certificate)) => Some(certificate.clone()),
            Some(CertificateSource::Missing(_)) | None => None,
        };
        let offered = hello.map(|h| h.alpn.as_slice()).unwrap_or_default();
        let alpn = tls.and_then(|t| t.alpn.iter().find(|a| offered.contains(a)).cloned());
        TlsSession {
            alpn,
            client_certificate: None,
            server_certificate,
            sni: hello.and_then(|h| h.sni.clone()),
        }
    }

    /// Notes that a request leaves or reaches a pod that is not modelled.
    pub(super) fn taint_pod(&mut self, root: super::state::RootId, pod: u32) {
        let taint = self.pods.get(pod as usize).and_then(|run| run.pod.taint.clone());
        if let Some(taint) = taint {
            self.taint(root, None, &taint);
        }
    }

    /// Notes that a request passed something that is not modelled.
    pub(super) fn taint(&mut self, root: super::state::RootId, proxy: Option<ProxyIx>, taint: &Taint) {
        self.about(root);
        self.trace.step(|| Step::Taint(taint.what.clone(), taint.origin));
        if let Some(root) = self.roots.get_mut(root)
            && root.unknown.is_none()
        {
            let proxy = proxy.map(ProxyId);
            root.unknown = Some(Box::new(Unknown { proxy, what: taint.what.clone(), origin: taint.origin }));
        }
    }

    fn taint_listener(
        &mut self,
        root: super::state::RootId,
        proxy: ProxyIx,
        snapshot: &Snapshot,
        id: ListenerId,
    ) {
        if let Some(listener) = snapshot.listeners.get(id.index()) {
            for taint in &listener.taints {
                self.taint(root, Some(proxy), taint);
            }
        }
    }

    fn taint_chain(
        &mut self,
        root: super::state::RootId,
        proxy: ProxyIx,
        snapshot: &Snapshot,
        chain: ChainId,
    ) {
        self.taint_listener(root, proxy, snapshot, chain.listener);
        if let Some(chain) = snapshot.filter_chain(chain) {
            for taint in &chain.taints {
                self.taint(root, Some(proxy), taint);
            }
        }
    }
}

/// A connection that found its chain.
pub(crate) struct Admitted {
    pub(crate) proxy: ProxyIx,
    pub(crate) side: Side,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) chain: ChainId,
    pub(crate) connection: Connection,
    pub(crate) peer: Peer,
    pub(crate) session: Option<TlsSession>,
}

/// The server name, if the TLS inspector looked at the connection.
pub(super) fn seen_sni(snapshot: &Snapshot, id: ListenerId, connection: &Connection) -> Option<Str> {
    let listener = snapshot.listeners.get(id.index())?;
    let inspector = listener.listener_filters.tls_inspector.as_ref()?;
    if !inspector.looks_at(connection.destination.port()) {
        return None;
    }
    connection.tls.as_ref()?.sni.as_ref().map(|sni| Str::from(sni.to_ascii_lowercase()))
}

/// Nothing on the way to the chain is unmodelled.
fn is_untainted(snapshot: &Snapshot, chain: ChainId) -> bool {
    snapshot.taints.is_empty()
        && snapshot.listeners.get(chain.listener.index()).is_some_and(|l| l.taints.is_empty())
        && snapshot.filter_chain(chain).is_some_and(|c| c.taints.is_empty())
}

/// A call that leaves for the port of `virtualInbound` itself is handed over to it.
fn side_of(snapshot: &Snapshot, listener: ListenerId, side: Side) -> Side {
    let inbound = |l: &mesh_core::ir::Listener| l.direction == TrafficDirection::Inbound;
    if snapshot.listeners.get(listener.index()).is_some_and(inbound) { Side::Inbound } else { side }
}

/// The name of a listener.
pub(super) fn listener_name(snapshot: &Snapshot, id: ListenerId) -> Str {
    snapshot.listeners.get(id.index()).map(|l| l.name.clone()).unwrap_or_default()
}
