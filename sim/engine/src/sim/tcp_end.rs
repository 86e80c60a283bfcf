//! The end of a TCP session: what is counted and logged of it.

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::decide::TcpOutcome;

use super::Sim;
use super::admit::{listener_name, seen_sni};
use super::hop::{blank_hop, rbac_names};
use super::state::{CloseKind, Session, SessionId};
use crate::draws::Chance;
use crate::record::LogKind;
use crate::world::ProxyId;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Logs and ends the session; `close` tells the client how.
    pub(super) fn finish_session(&mut self, id: SessionId, close: Option<CloseKind>) {
        let Some(session) = self.sessions.remove(id) else { return };
        if let (Some((ix, _)), Some(host)) = (session.cluster, session.host)
            && session.counted
            && let Some(run) = self.clusters.get_mut(ix as usize)
        {
            run.state.connection_closed(host);
            run.state.detach(host);
        }
        self.count_session(&session);
        self.log_session(&session);
        if session.held {
            self.close_activity(session.line.root);
        }
        if let Some(kind) = close {
            if let Some(up) = session.upstream {
                self.hang_up(up, CloseKind::Fin);
            }
            self.drop_server(session.downstream, kind);
        }
    }

    fn count_session(&mut self, session: &Session) {
        let duration = self.queue.now() - session.start_ns;
        let cluster = session.cluster.map(|(ix, _)| ix);
        self.note_first(session.line, session.side, session.flags, cluster, session.attempts);
        if let Some(ix) = cluster {
            self.tally.edge(ix, session.flags, 0, session.attempts, duration);
        }
    }

    /// Writes the line of a session that goes on.
    pub(super) fn log_session_id(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.take(id) {
            self.log_session(&session);
            self.sessions.put(id, session);
        }
    }

    /// Writes the session's line as far as it is known.
    fn log_session(&mut self, session: &Session) {
        if session.hop.is_none() {
            return;
        }
        let duration = self.queue.now() - session.start_ns;
        let c = &session.connection;
        let mut hop = blank_hop(
            ProxyId(session.proxy),
            session.side,
            LogKind::Tcp,
            session.line,
            session.start_ns,
            c.destination,
            c.source,
        );
        hop.duration_ns = duration;
        hop.flags = session.flags;
        hop.connection_details = session.connection_details.clone();
        hop.upstream_failure = session.upstream_failure.clone();
        hop.attempts = session.attempts;
        hop.tls = session.tls;
        hop.peer = session.peer.principal().map(Str::from);
        hop.sni = seen_sni(&session.snapshot, session.chain.listener, c);
        hop.listener = listener_name(&session.snapshot, session.chain.listener);
        let chain = session.snapshot.filter_chain(session.chain);
        hop.filter_chain = chain.map(|f| f.name.clone()).filter(|n| !n.is_empty());
        hop.upstream_tls = session.upstream_tls && session.upstream_peer.is_some();
        hop.upstream_peer = session.upstream_peer.clone();
        hop.bytes_sent = session.bytes_sent;
        hop.bytes_received = session.bytes_received;
        [hop.rbac, hop.rbac_shadow] = rbac_names(&session.snapshot, session.chain, &session.decision.rbac);
        hop.origin = match &session.decision.outcome {
            TcpOutcome::Denied { origin, .. } => *origin,
            _ => chain.map(|f| f.origin).unwrap_or_default(),
        };
        // A cluster that does not exist is not logged.
        if let Some((ix, id)) = session.cluster {
            hop.cluster = Some(id);
            hop.cluster_name = self.clusters.get(ix as usize).map(|r| r.name.clone());
        }
        if let (Some((ix, _)), Some(host)) = (session.cluster, session.host)
            && let Some(host) = self.clusters.get(ix as usize).and_then(|r| r.state.host(host))
        {
            hop.upstream_host = host.address.socket();
            hop.upstream_workload = Some(host.workload.clone()).filter(|w| !w.is_empty());
        }
        self.fill_hop(session.line, session.hop, hop);
    }
}
