//! TCP proxy sessions on which nothing moves (`connectionPool.tcp.idleTimeout`). What moves is `tcp.rs`.

use mesh_core::cx::TraceSink;
use mesh_core::ids::Nanos;
use mesh_core::ir::Terminal;

use super::state::{CloseKind, Session, SessionId};
use super::{Event, Sim};
use crate::draws::Chance;

/// Envoy's default (`tcp_proxy.idle_timeout`).
const DEFAULT_NS: Nanos = 3_600_000_000_000;

/// How long the session may be idle; 0 = for ever. And whether somebody has set it.
fn idle_timeout(session: &Session) -> (Nanos, bool) {
    match session.snapshot.filter_chain(session.chain).map(|chain| &chain.terminal) {
        Some(Terminal::Tcp(proxy)) => {
            (proxy.idle_timeout_ns.unwrap_or(DEFAULT_NS), proxy.idle_timeout_ns.is_some())
        }
        _ => (0, false),
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The upstream connection is there: from now on idleness counts (Envoy: TcpProxy::Filter::onUpstreamConnection).
    pub(super) fn watch_session(&mut self, id: SessionId) {
        let now = self.queue.now();
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.moved_ns = now;
        let (timeout, is_set) = idle_timeout(session);
        let due = now.saturating_add(timeout);
        // The default is an hour: beyond the run it would only fill the queue.
        if timeout > 0 && (is_set || due <= self.horizon_ns) {
            self.queue.at(due, Event::SessionIdle(id));
        }
    }

    /// Bytes of either side.
    pub(super) fn session_moved(&mut self, id: SessionId) {
        let now = self.queue.now();
        if let Some(session) = self.sessions.get_mut(id) {
            session.moved_ns = now;
        }
    }

    /// The timer: closes both sides if nothing has moved since, waits for the rest otherwise. No response flag
    /// (Envoy: TcpProxy::Filter::onIdleTimeout).
    pub(super) fn session_idle(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let due = session.moved_ns.saturating_add(idle_timeout(session).0);
        if due > self.queue.now() {
            self.queue.at(due, Event::SessionIdle(id));
            return;
        }
        if !session.client_gone {
            self.finish_session(id, Some(CloseKind::Fin));
            return;
        }
        if let Some(conn) = session.upstream.take() {
            self.hang_up(conn, CloseKind::Fin);
        }
        self.finish_session(id, None);
    }
}
