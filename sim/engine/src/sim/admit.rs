//! The first bytes of a connection at a proxy: listener, filter chain, TLS; and who serves it from then on.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Step, TraceSink};
use mesh_core::decide::{self, Accept, Distrust, HandshakeFailure};
use mesh_core::ids::{ChainId, ListenerId, Taint};
use mesh_core::ir::{HttpFilter, Snapshot, Terminal, TrafficDirection};
use mesh_core::request::{Connection, FirstBytes, Peer};
use mesh_core::tls::TlsSession;

use super::hop::blank_hop;
use super::state::{
    CloseKind, Conn, ConnId, Content, Down, HelloError, HttpSide, ProxyIx, Server, Target, Up,
};
use super::words;
use super::{Event, Sim};
use crate::draws::Chance;
use crate::record::{LogKind, Side, Unknown};
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
            self.forget(id);
            return;
        }
        let connection = seen(conn);
        let line = conn.line;
        let Some(run) = self.proxies.get(proxy as usize) else { return };
        let snapshot = Arc::clone(&run.snapshot);
        let direction =
            if side == Side::Inbound { TrafficDirection::Inbound } else { TrafficDirection::Outbound };
        let name = run.name.clone();
        self.trace.step(|| Step::Note(format!("{name} ({})", words::side(side)).into()));
        for taint in &snapshot.taints {
            self.taint(line.root, Some(proxy), taint);
        }
        let Some(run) = self.proxies.get(proxy as usize) else { return };
        match decide::accept(&snapshot, direction, &run.identity, &connection, &mut self.trace) {
            Accept::Chain { chain, session, peer, waited_ns } => {
                self.taint_chain(line.root, proxy, &snapshot, chain);
                let admitted = Admitted { proxy, side, snapshot, chain, connection, peer, session };
                if waited_ns > 0 {
                    self.queue.after(waited_ns, Event::Admitted(id, Box::new(admitted), up));
                } else {
                    self.serve(id, admitted, up);
                }
            }
            Accept::NoFilterChain { listener } => self.no_chain(id, proxy, side, &snapshot, listener, up),
            Accept::NoListener => self.refuse_bytes(id, &up, CloseKind::Rst),
            Accept::Hangs { listener } => {
                self.taint_listener(line.root, proxy, &snapshot, listener);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.server = Server::Gone;
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
                let http = Arc::new(HttpSide {
                    proxy,
                    side,
                    chain,
                    connection,
                    peer,
                    tls: session.is_some(),
                    istio_alpn,
                    snapshot: Arc::clone(&snapshot),
                });
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
        up: Up,
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
        self.refuse_bytes(id, &up, CloseKind::Rst);
    }

    /// Resets a connection on its first bytes.
    pub(super) fn refuse_bytes(&mut self, id: ConnId, up: &Up, kind: CloseKind) {
        match up {
            Up::Hello(depth) => {
                let depth = *depth;
                self.send_down(id, Down::Hello(depth, Box::new(Err(HelloError::Reset))));
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.server = Server::Gone;
                }
            }
            _ => self.drop_server(id, kind),
        }
    }

    fn handshake_failed(&mut self, id: ConnId, at: &Admitted, failure: HandshakeFailure) {
        let Some(conn) = self.conns.get(id) else { return };
        let (line, latency) = (conn.line, conn.latency_ns);
        let words = words::handshake_downstream(&failure);
        let is_tcp =
            at.snapshot.filter_chain(at.chain).is_some_and(|c| matches!(c.terminal, Terminal::Tcp(_)));
        if is_tcp {
            let mut hop = blank_hop(
                ProxyId(at.proxy),
                at.side,
                LogKind::Tcp,
                line,
                self.queue.now(),
                conn.destination,
                conn.source,
            );
            hop.listener = listener_name(&at.snapshot, at.chain.listener);
            hop.filter_chain =
                at.snapshot.filter_chain(at.chain).map(|c| c.name.clone()).filter(|n| !n.is_empty());
            hop.sni = conn.content.layers.first().and_then(|h| h.sni.clone());
            hop.downstream_failure = Some(words);
            hop.tls = true;
            self.write_hop(line, hop);
        }
        let error = match failure {
            HandshakeFailure::ServerHasNoCertificate => Some(HelloError::Reset),
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
                let sni = at.connection.tls.as_ref().and_then(|h| h.sni.clone());
                let believed =
                    TlsSession { alpn: None, client_certificate: None, server_certificate: None, sni };
                self.queue.after(rest, Event::Down(id, Down::Hello(0, Box::new(Ok(believed)))));
                self.queue.after(rest + 2 * latency, Event::Down(id, Down::Close(CloseKind::Rst)));
            }
        }
    }

    /// Notes that a request passed something that is not modelled.
    pub(super) fn taint(&mut self, root: super::state::RootId, proxy: Option<ProxyIx>, taint: &Taint) {
        self.trace.step(|| Step::Taint(taint.what.clone(), taint.origin));
        if let Some(root) = self.roots.get_mut(root)
            && root.unknown.is_none()
        {
            let proxy = proxy.map(ProxyId);
            root.unknown = Some(Unknown { proxy, what: taint.what.clone(), origin: taint.origin });
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

/// The name of a listener.
pub(super) fn listener_name(snapshot: &Snapshot, id: ListenerId) -> Str {
    snapshot.listeners.get(id.index()).map(|l| l.name.clone()).unwrap_or_default()
}
