//! The TCP proxy: one upstream connection per downstream connection, bytes passed through (semantics: envoy-upstream 6.5, 7.8).
//! The session's end and its line: `tcp_end.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Cx, Step, TraceSink};
use mesh_core::decide::{self, TcpOutcome};
use mesh_core::ids::{HostId, Taint};
use mesh_core::ir::Terminal;
use mesh_core::response::{Flags, ResponseFlag};
use mesh_core::upstream::{PickContext, UpstreamEvent};

use super::admit::Admitted;
use super::mesh::cluster_of;
use super::net::{Dialing, Place};
use super::state::{
    CloseKind, ClusterIx, ConnId, ConnectError, Content, Down, HelloError, Owner, Session, SessionId, Up,
};
use super::words;
use super::{Event, Sim};
use crate::draws::{At, Chance};

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// A TCP chain takes a connection: network filters, cluster, host, upstream connection.
    pub(super) fn start_session(&mut self, id: ConnId, at: Admitted, terminated: u8) -> Option<SessionId> {
        let conn = self.conns.get(id)?;
        let line = conn.line;
        let tokens = Arc::clone(&self.plan.tokens);
        let now = self.queue.now();
        self.about(line.root);
        let mut draws = At { key: line.key_at(at.side), chance: &mut self.chance };
        let mut cx = Cx { now_ns: now, draws: &mut draws, trace: &mut self.trace, tokens: tokens.as_ref() };
        let decision = decide::decide_tcp(&at.snapshot, at.chain, &at.connection, &at.peer, &mut cx);
        if let Some(taint) = &decision.taint {
            self.taint(line.root, Some(at.proxy), taint);
        }
        let held = match self.conns.get(id)?.owner {
            Owner::Pool(_) => false,
            Owner::Call(_) => true,
            Owner::Session(outer) => self.sessions.get(outer).is_some_and(|s| s.held),
        };
        if held && let Some(root) = self.roots.get_mut(line.root) {
            root.open += 1;
        }
        let hop = self.reserve_hop(line);
        let session = self.sessions.insert(Session {
            line,
            proxy: at.proxy,
            side: at.side,
            snapshot: at.snapshot,
            chain: at.chain,
            connection: at.connection,
            peer: at.peer,
            tls: terminated > 0,
            decision,
            downstream: id,
            upstream: None,
            terminated,
            added: 0,
            ready: false,
            waiting: Vec::new(),
            cluster: None,
            host: None,
            start_ns: now,
            hop,
            flags: Flags::NONE,
            attempts: 0,
            upstream_failure: None,
            connection_details: None,
            upstream_tls: false,
            upstream_peer: None,
            bytes_sent: 0,
            bytes_received: 0,
            moved_ns: now,
            client_gone: false,
            held,
            counted: false,
        });
        if let Some(conn) = self.conns.get_mut(id) {
            conn.server = super::state::Server::Tcp(session);
        }
        self.aim_session(session);
        Some(session)
    }

    /// Picks cluster and host and connects.
    fn aim_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let snapshot = Arc::clone(&session.snapshot);
        let (proxy, line, chain) = (session.proxy, session.line, session.chain);
        let (cluster, hash, denied) = match &session.decision.outcome {
            TcpOutcome::Forward { cluster, hash, .. } => (Some(*cluster), *hash, false),
            // The proxy connects upstream first and denies at the client's first bytes (semantics: istio-security 4.10);
            // without TLS those have come already.
            TcpOutcome::Denied { cluster, hash, .. } => (Some(*cluster), *hash, session.terminated == 0),
            TcpOutcome::NoCluster(_) => (None, None, false),
        };
        let Some(cluster) = cluster else {
            // Envoy: an unknown cluster closes the connection with NC.
            self.fail_session(id, &[ResponseFlag::NC], None);
            return;
        };
        let Some(ix) = self.cluster_ix(proxy, &snapshot, cluster) else { return };
        let config = cluster_of(&snapshot, cluster);
        for taint in &config.taints {
            self.taint(line.root, Some(proxy), taint);
        }
        if config.proxy_protocol > 0 {
            let what = "PROXY protocol towards a host".into();
            self.taint(line.root, Some(proxy), &Taint { what, origin: config.origin });
        }
        if let Some(Terminal::Tcp(tcp)) = snapshot.filter_chain(chain).map(|c| &c.terminal)
            && tcp.tunnel.is_some()
        {
            let what = "a TCP proxy that tunnels through HTTP".into();
            self.taint(line.root, Some(proxy), &Taint { what, origin: tcp.origin });
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.cluster = Some((ix, cluster));
        }
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (config, state) = run.parts();
        if !state.may_connect_tcp(config) {
            self.fail_session(id, &[ResponseFlag::UO], None);
            return;
        }
        let Some(host) = self.pick_tcp(id, ix, hash) else {
            self.fail_session(id, &[ResponseFlag::UH], None);
            return;
        };
        if let Some(session) = self.sessions.get_mut(id) {
            session.host = Some(host);
            session.attempts = 1;
        }
        self.tally.attempt(ix, host);
        if !denied {
            self.connect_session(id, ix, host);
        }
    }

    fn pick_tcp(&mut self, id: SessionId, ix: ClusterIx, hash: Option<u64>) -> Option<HostId> {
        let session = self.sessions.get(id)?;
        let context = PickContext {
            hash,
            attempt: 1,
            tried: &[],
            retry: None,
            original_dst: Some(session.connection.destination),
        };
        let (key, now) = (session.line.key_at(session.side), self.queue.now());
        let run = self.clusters.get_mut(ix as usize)?;
        let (cluster, state) = run.parts();
        let mut draws = At { key, chance: &mut self.chance };
        let host = state.pick(cluster, &context, now, &mut draws);
        self.arm_cluster(ix);
        host
    }

    fn connect_session(&mut self, id: SessionId, ix: ClusterIx, host: HostId) {
        if let Some(root) = self.sessions.get(id).map(|s| s.line.root) {
            self.about(root);
        }
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (config, at) = run.config();
        let cluster = cluster_of(&config, at);
        let Some(chosen) = run.state.host(host) else { return };
        let (istio, address, origin) = (chosen.tls_mode_istio, chosen.address.socket(), chosen.origin);
        self.trace.step(|| Step::Host(chosen.address.text().into(), Str::default(), origin));
        run.state.connection_opened(host);
        run.state.attach_tcp(host);
        self.tally.connected(ix);
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(proxy) = self.proxies.get(session.proxy as usize) else { return };
        let hello = decide::client_hello(cluster, istio, false, None, None, &proxy.identity);
        let missing = decide::missing_client_secret(cluster, istio).is_some();
        let Some(down) = self.conns.get(session.downstream) else { return };
        let mut layers: Vec<_> = hello.iter().map(|h| Arc::new(h.clone())).collect();
        layers.extend(down.content.layers.iter().skip(session.terminated as usize).cloned());
        let content = Arc::new(Content { layers, bytes: down.content.bytes });
        session.counted = true;
        session.added = u8::from(hello.is_some());
        session.upstream_tls = hello.is_some();
        let own = self.pods.get(proxy.pod as usize).map(|p| p.pod.ip);
        let ip = cluster.upstream_bind.or(own).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let place = if cluster.upstream_bind.is_some() {
            Place::Inbound(session.proxy)
        } else {
            Place::Proxy(session.proxy)
        };
        self.connection_numbers = self.connection_numbers.wrapping_add(1);
        let source = SocketAddr::new(ip, 10_000 + (self.connection_numbers % 50_000) as u16);
        let destination = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let line = session.line.of_try(session.side, 1);
        let timeout = cluster.connect_timeout_ns;
        let conn =
            self.dial(Dialing { place, source, destination, content, owner: Owner::Session(id), line });
        if let Some(session) = self.sessions.get_mut(id) {
            session.upstream = Some(conn);
        }
        if missing {
            self.queue.after(0, Event::ConnectFailed(conn, ConnectError::Unreachable));
        } else if timeout > 0 {
            self.timer(timeout, Event::ConnectTimeout(conn));
        }
    }

    /// TCP upstream is up.
    pub(super) fn session_connected(&mut self, id: SessionId, conn: ConnId) {
        let Some(session) = self.sessions.get(id) else {
            self.hang_up(conn, CloseKind::Fin);
            return;
        };
        if session.added > 0 {
            self.send_up(conn, Up::Hello(0));
        } else {
            self.session_ready(id);
        }
    }

    fn session_ready(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.ready = true;
        let waiting = std::mem::take(&mut session.waiting);
        if let (Some((ix, _)), Some(host)) = (session.cluster, session.host) {
            let (line, side) = (session.line, session.side);
            self.host_event(ix, host, UpstreamEvent::TcpConnected, || line.key_at(side));
        }
        self.watch_session(id);
        for up in waiting {
            self.pass_up(id, up);
        }
    }

    /// Bytes from the client.
    pub(super) fn session_up(&mut self, id: SessionId, up: Up) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Up::Close(kind) = up {
            self.session_client_closed(id, kind);
            return;
        }
        if let TcpOutcome::Denied { details, .. } = &session.decision.outcome {
            let details = details.clone();
            self.deny_session(id, details);
            return;
        }
        session.bytes_received += bytes_of(&up);
        if session.ready {
            self.session_moved(id);
            self.pass_up(id, up);
        } else {
            session.waiting.push(up);
        }
    }

    /// Network RBAC: FIN at the client's first bytes.
    fn deny_session(&mut self, id: SessionId, details: Str) {
        let policy = details
            .strip_prefix("rbac_access_denied_matched_policy[")
            .and_then(|d| d.strip_suffix(']'))
            .unwrap_or(&details)
            .to_owned();
        let denier = self.tally.denier(&policy);
        let Some(session) = self.sessions.get_mut(id) else { return };
        if details.starts_with("ext_authz_") {
            session.flags.insert(ResponseFlag::UAEX);
        }
        session.connection_details = Some(details);
        if session.line.call == 0
            && !session.line.shadow
            && let Some(root) = self.roots.get_mut(session.line.root)
        {
            root.summary.denied = Some(denier);
        }
        self.finish_session(id, Some(CloseKind::Fin));
    }

    /// Layers are counted from each connection's own outermost one.
    fn pass_up(&mut self, id: SessionId, up: Up) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(conn) = session.upstream else { return };
        let up = match up {
            Up::Hello(depth) => Up::Hello((depth + session.added).saturating_sub(session.terminated)),
            other => other,
        };
        self.send_up(conn, up);
    }

    /// Bytes from upstream.
    pub(super) fn session_down(&mut self, id: SessionId, down: Down) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match down {
            Down::Hello(depth, result) if depth < session.added => match *result {
                Ok(tls) => {
                    session.upstream_peer =
                        tls.server_certificate.as_ref().and_then(|c| c.sans.first().cloned());
                    self.session_ready(id);
                }
                Err(error) => self.session_hello_failed(id, &error),
            },
            Down::Hello(depth, result) => {
                let depth = (depth + session.terminated).saturating_sub(session.added);
                let conn = session.downstream;
                self.send_down(conn, Down::Hello(depth, result));
            }
            Down::Close(kind) => {
                if let Some(conn) = session.upstream.take() {
                    self.forget(conn);
                }
                self.session_server_closed(id, kind);
            }
            other => {
                self.session_moved(id);
                let bytes = self.exchange_bytes(&other);
                let Some(session) = self.sessions.get_mut(id) else { return };
                session.bytes_sent += bytes;
                let conn = session.downstream;
                self.send_down(conn, other);
            }
        }
    }

    fn exchange_bytes(&self, down: &Down) -> u64 {
        match down {
            Down::Response(x) => {
                self.exchanges.get(*x).and_then(|x| x.response.as_ref()).map_or(0, |r| r.body_bytes)
            }
            Down::Raw(answer) => answer.text.as_ref().map_or(0, |t| t.len() as u64),
            _ => 0,
        }
    }

    fn session_hello_failed(&mut self, id: SessionId, error: &HelloError) {
        let transport = words::hello_error(error);
        self.session_unreachable(id, Some(transport), UpstreamEvent::TcpConnectFailure);
    }

    /// The upstream connection could not be established.
    pub(super) fn session_connect_failed(&mut self, id: SessionId, error: ConnectError) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.upstream = None;
        let transport = words::connect_error(error, "");
        self.session_unreachable(id, transport, UpstreamEvent::TcpConnectFailure);
    }

    /// `connect_timeout` of the upstream connection.
    pub(super) fn session_connect_timeout(&mut self, id: SessionId) {
        if self.sessions.get(id).is_some_and(|s| !s.ready) {
            self.session_unreachable(id, None, UpstreamEvent::TcpConnectTimeout);
        }
    }

    fn session_unreachable(&mut self, id: SessionId, transport: Option<Str>, event: UpstreamEvent) {
        if let Some(session) = self.sessions.get(id)
            && let (Some((ix, _)), Some(host)) = (session.cluster, session.host)
        {
            let (line, side) = (session.line, session.side);
            self.host_event(ix, host, event, || line.key_at(side));
        }
        self.fail_session(id, &[ResponseFlag::UF, ResponseFlag::URX], transport);
    }

    fn fail_session(&mut self, id: SessionId, flags: &[ResponseFlag], transport: Option<Str>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        for flag in flags {
            session.flags.insert(*flag);
        }
        session.upstream_failure = transport;
        // Envoy closes with the client's bytes unread: RST or FIN, whichever the kernel gets to.
        self.finish_session(id, Some(CloseKind::Either));
    }

    /// The server side ended the connection: so does the proxy, in the same way.
    fn session_server_closed(&mut self, id: SessionId, kind: CloseKind) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.ready && session.client_gone {
            self.finish_session(id, None);
            return;
        }
        if !session.ready {
            let transport = words::hello_error(&HelloError::Reset);
            self.session_unreachable(id, Some(transport), UpstreamEvent::TcpConnectFailure);
            return;
        }
        // Envoy logs a reset by the upstream as UR unless its TLS session had hidden it.
        let gone = session.client_gone;
        if kind == CloseKind::Rst && session.added == 0 {
            session.flags.insert(ResponseFlag::UR);
        }
        self.finish_session(id, if gone { None } else { Some(kind) });
    }

    fn session_client_closed(&mut self, id: SessionId, kind: CloseKind) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (down, up) = (session.downstream, session.upstream);
        session.client_gone = true;
        let open = up.filter(|up| self.conns.get(*up).is_some_and(|c| c.up));
        match (up, open) {
            // The FIN goes on; the session ends with the answer to it.
            (_, Some(up)) => self.hang_up(up, kind),
            (up, None) => {
                if let Some(up) = up {
                    self.forget(up);
                }
                self.finish_session(id, None);
            }
        }
        self.closed_by_client(down, CloseKind::Fin);
    }
}

fn bytes_of(up: &Up) -> u64 {
    match up {
        Up::Raw(text) => text.len() as u64,
        _ => 0,
    }
}
