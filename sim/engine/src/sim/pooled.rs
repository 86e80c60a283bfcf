//! What happens to pooled connections: answers, resets, ends, idle and age limits, draining (semantics: envoy-upstream 7).

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::ids::HostId;
use mesh_core::request::{Headers, Protocol};
use mesh_core::upstream::{ResetReason, UpstreamEvent};

use super::state::{
    AttemptReset, Caller, CloseKind, ClusterIx, ConnId, Down, ExchangeId, HelloError, Owner, PoolIx,
};
use super::words;
use super::{Event, Sim};
use crate::draws::Chance;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Something arrives on a pooled connection.
    pub(super) fn pool_bytes(&mut self, ix: PoolIx, conn: ConnId, down: Down) {
        match down {
            Down::Hello(_, result) => match *result {
                Ok(session) => {
                    let connecting =
                        self.pools.get(ix as usize).is_some_and(|p| p.connecting.contains(&conn));
                    if let Some(c) = self.conns.get_mut(conn) {
                        c.session = Some(Box::new(session));
                    }
                    if connecting {
                        self.pool_ready(ix, conn);
                    }
                }
                Err(error) => self.pool_hello_failed(ix, conn, &error),
            },
            Down::Response(exchange) => self.pool_response(conn, exchange),
            Down::Raw(_) => self.pool_garbage(ix, conn),
            Down::Reset(exchange, refused) => {
                let reason =
                    if refused { ResetReason::RemoteRefusedStream } else { ResetReason::RemoteReset };
                self.release_exchange(conn, exchange, true);
                self.exchange_reset(exchange, AttemptReset { reason, transport: None });
            }
            Down::Close(_) => self.pool_lost(ix, conn, ResetReason::ConnectionTermination),
        }
    }

    fn pool_hello_failed(&mut self, ix: PoolIx, conn: ConnId, error: &HelloError) {
        let connecting = self.pools.get(ix as usize).is_some_and(|p| p.connecting.contains(&conn));
        if !connecting {
            return;
        }
        self.hang_up(conn, CloseKind::Fin);
        let transport: Option<Str> = Some(words::hello_error(error));
        self.fail_connecting(ix, conn, AttemptReset { reason: ResetReason::ConnectionFailure, transport });
    }

    /// Bytes that are no HTTP response.
    fn pool_garbage(&mut self, ix: PoolIx, conn: ConnId) {
        self.hang_up(conn, CloseKind::Fin);
        self.pool_lost(ix, conn, ResetReason::ProtocolError);
    }

    /// The server ended the connection: its streams are reset.
    fn pool_lost(&mut self, ix: PoolIx, conn: ConnId, reason: ResetReason) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        let listed = c.pooled.idle_epoch != u32::MAX;
        let active = std::mem::take(&mut c.pooled.active);
        let connecting = self.pools.get(ix as usize).is_some_and(|p| p.connecting.contains(&conn));
        self.forget(conn);
        if !listed {
            return;
        }
        if connecting {
            let transport = Some(words::hello_error(&HelloError::Reset));
            self.fail_connecting(
                ix,
                conn,
                AttemptReset { reason: ResetReason::ConnectionFailure, transport },
            );
            return;
        }
        self.unlist(ix, conn);
        let host = self.pools.get(ix as usize).map(|p| (p.key.cluster, p.key.host));
        if let Some((cluster, host)) = host
            && let Some(run) = self.clusters.get_mut(cluster as usize)
        {
            for _ in &active {
                run.state.detach(host);
            }
        }
        self.reconnect(ix);
        for exchange in active {
            self.exchange_reset(exchange, AttemptReset { reason, transport: None });
        }
    }

    /// A response reaches the pool's side.
    fn pool_response(&mut self, conn: ConnId, exchange: ExchangeId) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let (caller, who, line) = (x.caller, x.answerer, x.line);
        let Some(response) = x.response.take() else { return };
        let (truncated, status) = (response.truncated, response.status);
        let closes = says_close(&response.headers);
        let reusable = match caller {
            Caller::Attempt(stream, attempt) => {
                let current = self.streams.get(stream).is_some_and(|s| s.route.attempts == attempt);
                if !current { true } else { self.attempt_response(stream, response, who) }
            }
            Caller::Mirror(copy) => {
                if truncated {
                    return;
                }
                self.copy_done(line.root, copy, Some(UpstreamEvent::Status(status)));
                true
            }
            Caller::Call => true,
        };
        if truncated && reusable {
            // The body is still to come, or rather its end.
            return;
        }
        let h2 = self.exchanges.get(exchange).is_some_and(|x| x.head.protocol == Protocol::Http2);
        let reusable = h2 || (reusable && !closes);
        self.release_exchange(conn, exchange, reusable);
        self.exchanges.discard(exchange);
    }

    /// The stream's end without a complete answer.
    fn exchange_reset(&mut self, exchange: ExchangeId, reset: AttemptReset) {
        let Some(x) = self.exchanges.remove(exchange) else { return };
        match x.caller {
            Caller::Attempt(stream, attempt) => self.attempt_reset(stream, attempt, reset),
            Caller::Mirror(copy) => {
                self.copy_done(x.line.root, copy, Some(UpstreamEvent::ResetBeforeHeaders));
            }
            Caller::Call => {}
        }
    }

    /// Starts the idle timer of a connection without streams.
    pub(super) fn arm_idle(&mut self, ix: PoolIx, conn: ConnId) {
        let Some(pool) = self.pools.get(ix as usize) else { return };
        let timeout = pool.config().idle_timeout_ns;
        let Some(c) = self.conns.get(conn) else { return };
        let due = self.queue.now().saturating_add(timeout);
        // Timers beyond the run would only fill the queue.
        if timeout == 0 || !c.pooled.active.is_empty() || due > self.horizon_ns {
            return;
        }
        let epoch = c.pooled.idle_epoch;
        self.timer(timeout, Event::Idle(conn, epoch));
    }

    /// An idle timer fires.
    pub(super) fn idle(&mut self, conn: ConnId, epoch: u32) {
        let Some(c) = self.conns.get(conn) else { return };
        let Owner::Pool(ix) = c.owner else { return };
        if c.pooled.idle_epoch == epoch && c.pooled.active.is_empty() {
            self.close_pooled(ix, conn);
        }
    }

    /// A connection reached its maximum age.
    pub(super) fn aged(&mut self, conn: ConnId) {
        let Some(c) = self.conns.get(conn) else { return };
        if let Owner::Pool(ix) = c.owner {
            self.drain_conn(ix, conn);
        }
    }

    /// No new streams; closes when idle.
    fn drain_conn(&mut self, ix: PoolIx, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        c.pooled.draining = true;
        if let Some(pool) = self.pools.get_mut(ix as usize) {
            if pool.connecting.contains(&conn) {
                return;
            }
            pool.ready.retain(|r| *r != conn);
        }
        self.close_if_drained(ix, conn);
    }

    pub(super) fn close_if_drained(&mut self, ix: PoolIx, conn: ConnId) {
        let done = self.conns.get(conn).is_some_and(|c| {
            c.pooled.draining && c.pooled.active.is_empty() && c.pooled.idle_epoch != u32::MAX
        });
        if done {
            self.close_pooled(ix, conn);
        }
    }

    /// All pools of a host are on their way out: it left.
    pub(super) fn doom_pools(&mut self, cluster: ClusterIx, host: HostId) {
        let pools = self.clusters.get(cluster as usize).and_then(|c| c.pools.get(host.index())).cloned();
        for ix in pools.unwrap_or_default() {
            if let Some(pool) = self.pools.get_mut(ix as usize) {
                pool.doomed = true;
            }
        }
    }

    /// Drains all pools of a host: it was ejected or left (semantics: envoy-upstream 7.6).
    pub(super) fn drain_host(&mut self, cluster: ClusterIx, host: HostId) {
        let pools = self.clusters.get(cluster as usize).and_then(|c| c.pools.get(host.index())).cloned();
        for ix in pools.unwrap_or_default() {
            let conns = self.pools.get(ix as usize).map(|p| p.all.clone()).unwrap_or_default();
            for conn in conns {
                self.drain_conn(ix, conn);
            }
        }
    }
}

/// HTTP/1.1 `connection: close`: the connection is not used again (semantics: envoy-upstream 7.5; run 1.40).
fn says_close(headers: &Headers) -> bool {
    let values = headers.first("connection").into_iter().flat_map(|value| value.split(','));
    values.into_iter().any(|word| word.trim().eq_ignore_ascii_case("close"))
}
