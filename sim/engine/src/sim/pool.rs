//! HTTP connection pools of a proxy: one per (cluster, host, protocol, TLS) (semantics: envoy-upstream 6.2, 7).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::cx::TraceSink;
use mesh_core::decide;
use mesh_core::ids::{ClusterId, HostId, Nanos};
use mesh_core::ir::{Cluster, Snapshot, Transport};
use mesh_core::request::{FirstBytes, Protocol, RequestHead};
use mesh_core::tls::ClientHello;
use mesh_core::upstream::{Connecting, ResetReason, UpstreamEvent};

use super::memo::HeadClass;
use super::mesh::cluster_of;
use super::net::{Dialing, Place};
use super::state::{
    Attempt, AttemptReset, Caller, CloseKind, ClusterIx, ConnId, ConnectError, Content, Exchange, ExchangeId,
    Lineage, MirrorCopy, Owner, PoolIx, StreamId, Up, Worker,
};
use super::words;
use super::{Event, Sim};
use crate::draws::Chance;

/// What requests may share connections.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PoolKey {
    pub(crate) cluster: ClusterIx,
    pub(crate) host: HostId,
    pub(crate) protocol: Protocol,
    pub(crate) hello: Option<ClientHello>,
    /// The client certificate's secret does not exist: no connection ever works.
    pub(crate) missing: bool,
    /// The requests passed the `istio.alpn` filter.
    pub(crate) istio_alpn: bool,
    /// The ClientHello depends on the request's authority.
    pub(crate) by_authority: bool,
}

/// A request that wants a connection.
pub(crate) struct Ticket {
    pub(crate) caller: Caller,
    pub(crate) line: Lineage,
    pub(crate) head: Arc<RequestHead>,
    pub(crate) class: HeadClass,
    pub(crate) complete: bool,
}

/// A pool.
pub(crate) struct Pool {
    pub(super) key: PoolKey,
    pub(super) content: Arc<Content>,
    /// The cluster it was created for; another configuration of that name gets pools of its own.
    config: (Arc<Snapshot>, ClusterId),
    /// Its host has left: no connection outlives what it is needed for. Envoy: DrainBehavior::DrainAndDelete.
    pub(super) doomed: bool,
    pub(super) pending: VecDeque<Ticket>,
    /// Connections with room, the most recently freed last.
    pub(super) ready: Vec<ConnId>,
    pub(super) connecting: Vec<ConnId>,
    /// Connections of any state.
    pub(super) all: Vec<ConnId>,
}

impl Pool {
    pub(super) fn config(&self) -> &Cluster {
        cluster_of(&self.config.0, self.config.1)
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The pool for a request to a host.
    pub(super) fn pool_for(
        &mut self,
        cluster: ClusterIx,
        host: HostId,
        protocol: Protocol,
        istio_alpn: bool,
        head: &RequestHead,
    ) -> PoolIx {
        let Some(run) = self.clusters.get(cluster as usize) else { return 0 };
        // Usually nothing but the protocol tells pools of a host apart.
        let usual = run.pools.get(host.index()).into_iter().flatten().copied().find(|ix| {
            self.pools.get(*ix as usize).is_some_and(|p| {
                !p.key.by_authority && p.key.protocol == protocol && p.key.istio_alpn == istio_alpn
            })
        });
        if let Some(ix) = usual {
            return ix;
        }
        let config = cluster_of(&run.snapshot, run.id);
        let istio = run.state.host(host).is_some_and(|h| h.tls_mode_istio);
        let Some(proxy) = self.proxies.get(run.proxy as usize) else { return 0 };
        let authority = head.authority.as_deref();
        let hello =
            decide::client_hello(config, istio, istio_alpn, Some(protocol), authority, &proxy.identity);
        let missing = decide::missing_client_secret(config, istio).is_some();
        let by_authority = match &config.transport {
            Transport::Plaintext => false,
            Transport::Tls(tls) | Transport::AutoMtls(tls) => tls.auto_sni || tls.auto_san_validation,
        };
        self.pool_of(PoolKey { cluster, host, protocol, hello, missing, istio_alpn, by_authority })
    }

    /// The pool for a key, created on first use.
    fn pool_of(&mut self, key: PoolKey) -> PoolIx {
        let Some(run) = self.clusters.get_mut(key.cluster as usize) else { return 0 };
        let at = key.host.index();
        if run.pools.len() <= at {
            run.pools.resize_with(at + 1, Vec::new);
        }
        let known = run.pools.get(at).and_then(|pools| {
            pools.iter().copied().find(|ix| self.pools.get(*ix as usize).is_some_and(|p| p.key == key))
        });
        if let Some(ix) = known {
            return ix;
        }
        let ix = self.pools.len() as PoolIx;
        if let Some(pools) = run.pools.get_mut(at) {
            pools.push(ix);
        }
        let layers = key.hello.iter().map(|h| Arc::new(h.clone())).collect();
        let content = Arc::new(Content { layers, bytes: FirstBytes::Http(key.protocol) });
        let config = run.config();
        self.pools.push(Pool {
            key,
            content,
            config,
            doomed: false,
            pending: VecDeque::new(),
            ready: Vec::new(),
            connecting: Vec::new(),
            all: Vec::new(),
        });
        ix
    }

    /// A request arrives at the pool of the chosen host.
    pub(super) fn pool_request(&mut self, ix: PoolIx, ticket: Ticket) {
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        if let Some(conn) = pool.ready.last().copied() {
            self.attach(ix, conn, ticket);
            return;
        }
        let (cluster, host) = (pool.key.cluster, pool.key.host);
        let Some(run) = self.clusters.get_mut(cluster as usize) else { return };
        let (config, state) = run.parts();
        if !state.try_pending(config) {
            // No host is logged: the request never came near a connection (semantics: envoy-routing 7.5).
            if let Caller::Attempt(stream, _) = ticket.caller
                && let Some(stream) = self.streams.get_mut(stream)
            {
                stream.route.host = None;
            }
            self.refuse(ticket);
            return;
        }
        if let Caller::Attempt(stream, _) = ticket.caller
            && let Some(stream) = self.streams.get_mut(stream)
        {
            stream.route.attempt = Attempt::Pending(ix);
        }
        if let Some(pool) = self.pools.get_mut(ix as usize) {
            pool.pending.push_back(ticket);
        }
        self.try_connect(ix, host);
    }

    /// A breaker said no.
    fn refuse(&mut self, ticket: Ticket) {
        let reset = AttemptReset { reason: ResetReason::Overflow, transport: None };
        self.fail_ticket(ticket, reset);
    }

    fn fail_ticket(&mut self, ticket: Ticket, reset: AttemptReset) {
        match ticket.caller {
            Caller::Attempt(stream, attempt) => self.attempt_reset(stream, attempt, reset),
            Caller::Mirror(copy) => {
                let event = match reset.reason {
                    ResetReason::Overflow => None,
                    ResetReason::ConnectionTimeout => Some(UpstreamEvent::ConnectTimeout),
                    _ => Some(UpstreamEvent::ConnectFailure),
                };
                self.copy_done(ticket.line.root, copy, event);
            }
            Caller::Call => {}
        }
    }

    /// Opens connections while there are more waiting requests than connections on their way.
    fn try_connect(&mut self, ix: PoolIx, host: HostId) {
        for _ in 0..3 {
            let Some(pool) = self.pools.get(ix as usize) else { return };
            let Some(run) = self.clusters.get_mut(pool.key.cluster as usize) else { return };
            let cluster = pool.config();
            let per_connection = streams_at_first(pool.key.protocol, cluster);
            let capacity = pool.connecting.len() as u64 * u64::from(per_connection);
            if pool.pending.len() as u64 <= capacity {
                return;
            }
            let answer = run.state.may_connect(cluster, host, pool.all.is_empty());
            let times = (cluster.connect_timeout_ns, cluster.max_connection_duration_ns);
            if answer == Connecting::Refused {
                return;
            }
            self.open_pooled(ix, host, times.0, times.1);
            if answer == Connecting::Last {
                return;
            }
        }
    }

    fn open_pooled(&mut self, ix: PoolIx, host: HostId, timeout: Nanos, max_age: Option<Nanos>) {
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        let (cluster, content, missing) = (pool.key.cluster, Arc::clone(&pool.content), pool.key.missing);
        let Some(line) = pool.pending.back().map(|t| t.line) else { return };
        let Some(run) = self.clusters.get_mut(cluster as usize) else { return };
        run.state.connection_opened(host);
        self.tally.connected(cluster);
        let bind = pool.config().upstream_bind;
        let proxy = run.proxy;
        let address = run.state.host(host).and_then(|h| h.address.socket());
        let own =
            self.proxies.get(proxy as usize).and_then(|p| self.pods.get(p.pod as usize)).map(|p| p.pod.ip);
        let place = if bind.is_some() { Place::Inbound(proxy) } else { Place::Proxy(proxy) };
        self.connection_numbers = self.connection_numbers.wrapping_add(1);
        let port = 10_000 + (self.connection_numbers % 50_000) as u16;
        let ip = bind.or(own).unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        let source = SocketAddr::new(ip, port);
        // A pipe has no address to dial; loopback port 0 is never listened on.
        let destination =
            address.unwrap_or(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0));
        let conn = self.dial(Dialing { place, source, destination, content, owner: Owner::Pool(ix), line });
        if let Some(pool) = self.pools.get_mut(ix as usize) {
            pool.connecting.push(conn);
            pool.all.push(conn);
        }
        if missing {
            self.queue.after(0, Event::ConnectFailed(conn, ConnectError::Unreachable));
        } else if timeout > 0 {
            self.timer(timeout, Event::ConnectTimeout(conn));
        }
        if let Some(age) = max_age {
            self.queue.after(age, Event::Aged(conn));
        }
    }

    /// TCP is up; with TLS the handshake follows, else the connection is ready.
    pub(super) fn pool_connected(&mut self, ix: PoolIx, conn: ConnId) {
        let tls = self.pools.get(ix as usize).is_some_and(|p| p.key.hello.is_some());
        if tls {
            self.send_up(conn, Up::Hello(0));
        } else {
            self.pool_ready(ix, conn);
        }
    }

    /// A connection is established.
    pub(super) fn pool_ready(&mut self, ix: PoolIx, conn: ConnId) {
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        pool.connecting.retain(|c| *c != conn);
        if let Some(c) = self.conns.get_mut(conn) {
            c.pooled.idle_since = self.queue.now();
        }
        if let Some(pool) = self.pools.get_mut(ix as usize) {
            pool.ready.push(conn);
        }
        self.serve_pending(ix);
        self.arm_idle(ix, conn);
        self.close_if_drained(ix, conn);
    }

    /// Gives ready connections to waiting requests, oldest first; those left over ask for another connection, which
    /// counts when a breaker refuses it (run 1.40: maxConnections 2 and five waiting requests give 8
    /// `upstream_cx_overflow`, not 5). Envoy: ConnPoolImplBase::onUpstreamReady.
    fn serve_pending(&mut self, ix: PoolIx) {
        loop {
            let Some(pool) = self.pools.get_mut(ix as usize) else { return };
            if pool.ready.is_empty() || pool.pending.is_empty() {
                return self.reconnect(ix);
            }
            let Some(conn) = pool.ready.last().copied() else { return };
            let Some(ticket) = pool.pending.pop_front() else { return };
            let (cluster, host) = (pool.key.cluster, pool.key.host);
            if let Some(run) = self.clusters.get_mut(cluster as usize) {
                run.state.release_pending(host);
            }
            self.attach(ix, conn, ticket);
        }
    }

    /// A request gets a connection.
    fn attach(&mut self, ix: PoolIx, conn: ConnId, ticket: Ticket) {
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        let (cluster, host, protocol) = (pool.key.cluster, pool.key.host, pool.key.protocol);
        let Some(run) = self.clusters.get_mut(cluster as usize) else { return };
        let config = pool.config();
        if !run.state.try_attach(config, host) {
            self.refuse(ticket);
            return;
        }
        let most = streams_per_connection(protocol, config.max_concurrent_streams);
        let limit = config.max_requests_per_connection;
        let Ticket { caller, line, head, class, complete } = ticket;
        let exchange = self.exchanges.insert(Exchange {
            line,
            caller,
            head,
            class,
            complete,
            worker: Worker::Nobody,
            response: None,
            answerer: None,
        });
        let Some(c) = self.conns.get_mut(conn) else { return };
        c.pooled.active.push(exchange);
        c.pooled.served += 1;
        c.pooled.idle_epoch = c.pooled.idle_epoch.wrapping_add(1);
        let full = c.pooled.active.len() as u64 >= u64::from(most);
        let worn = limit > 0 && c.pooled.served >= limit;
        c.pooled.draining |= worn;
        if (full || worn)
            && let Some(pool) = self.pools.get_mut(ix as usize)
        {
            take_last(&mut pool.ready, conn);
        }
        self.send_up(conn, Up::Request(exchange));
        if let Caller::Attempt(stream, attempt) = caller {
            self.attempt_attached(stream, attempt, conn, exchange);
        }
    }

    /// A stream of the connection ended; `reusable` is false when the connection must close with it.
    pub(super) fn release_exchange(&mut self, conn: ConnId, exchange: ExchangeId, reusable: bool) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        let Owner::Pool(ix) = c.owner else { return };
        let before = c.pooled.active.len();
        c.pooled.active.retain(|x| *x != exchange);
        if c.pooled.active.len() == before {
            return;
        }
        let idle = c.pooled.active.is_empty();
        let draining = c.pooled.draining;
        if idle {
            c.pooled.idle_since = self.queue.now();
        }
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        let (cluster, host, protocol) = (pool.key.cluster, pool.key.host, pool.key.protocol);
        let doomed = pool.doomed;
        if let Some(run) = self.clusters.get_mut(cluster as usize) {
            run.state.detach(host);
        }
        if !reusable || ((draining || doomed) && idle) {
            self.close_pooled(ix, conn);
            if reusable && protocol != Protocol::Http2 {
                // The pool was told that a connection is ready before this one turned out to be closing, and asks for
                // those still waiting. Envoy: Http1::ActiveClient::StreamWrapper::onDecodeComplete.
                self.reconnect(ix);
            }
        } else if !draining {
            if let Some(pool) = self.pools.get_mut(ix as usize) {
                // A connection of one stream had no room until now.
                if pool.key.protocol == Protocol::Http2 {
                    take_last(&mut pool.ready, conn);
                }
                pool.ready.push(conn);
            }
            self.serve_pending(ix);
            if idle {
                self.arm_idle(ix, conn);
            }
        }
    }

    /// Closes a connection from the pool's side and makes room for waiting requests.
    pub(super) fn close_pooled(&mut self, ix: PoolIx, conn: ConnId) {
        self.hang_up(conn, CloseKind::Fin);
        self.unlist(ix, conn);
        // From now on what arrives on it is nobody's.
        if let Some(c) = self.conns.get_mut(conn) {
            c.pooled.active.clear();
            c.pooled.draining = true;
            c.pooled.idle_epoch = u32::MAX;
        }
        self.reconnect(ix);
    }

    /// The connection is no longer part of its pool.
    pub(super) fn unlist(&mut self, ix: PoolIx, conn: ConnId) {
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        pool.ready.retain(|r| *r != conn);
        pool.connecting.retain(|r| *r != conn);
        pool.all.retain(|r| *r != conn);
        let (cluster, host) = (pool.key.cluster, pool.key.host);
        if let Some(run) = self.clusters.get_mut(cluster as usize) {
            run.state.connection_closed(host);
        }
    }

    pub(super) fn reconnect(&mut self, ix: PoolIx) {
        let Some(pool) = self.pools.get(ix as usize) else { return };
        if !pool.pending.is_empty() {
            let host = pool.key.host;
            self.try_connect(ix, host);
        }
    }

    /// The connection could not be established.
    pub(super) fn pool_connect_failed(&mut self, ix: PoolIx, conn: ConnId, error: ConnectError) {
        let address = self.pool_address(ix);
        let transport = words::connect_error(error, &address);
        self.fail_connecting(ix, conn, AttemptReset { reason: ResetReason::ConnectionFailure, transport });
    }

    fn pool_address(&self, ix: PoolIx) -> String {
        let key = self.pools.get(ix as usize).map(|p| (p.key.cluster, p.key.host));
        let host = key.and_then(|(c, h)| self.clusters.get(c as usize)?.state.host(h));
        host.map(|h| h.address.text()).unwrap_or_default()
    }

    /// `connect_timeout` is over: TCP or TLS is still not done.
    pub(super) fn pool_connect_timeout(&mut self, ix: PoolIx, conn: ConnId) {
        let connecting = self.pools.get(ix as usize).is_some_and(|p| p.connecting.contains(&conn));
        if !connecting {
            return;
        }
        self.hang_up(conn, CloseKind::Fin);
        self.fail_connecting(
            ix,
            conn,
            AttemptReset { reason: ResetReason::ConnectionTimeout, transport: None },
        );
    }

    /// Every waiting request of the pool fails with the connection, newest first (semantics: envoy-upstream 7.4).
    pub(super) fn fail_connecting(&mut self, ix: PoolIx, conn: ConnId, reset: AttemptReset) {
        self.unlist(ix, conn);
        let Some(pool) = self.pools.get_mut(ix as usize) else { return };
        let (cluster, host) = (pool.key.cluster, pool.key.host);
        let failed: Vec<Ticket> = pool.pending.drain(..).rev().collect();
        if let Some(run) = self.clusters.get_mut(cluster as usize) {
            for _ in &failed {
                run.state.release_pending(host);
            }
        }
        for ticket in failed {
            self.fail_ticket(ticket, reset.clone());
        }
    }

    /// A waiting request gives up; its connection, if one is on its way, stays.
    pub(super) fn pool_cancel(&mut self, ix: PoolIx, stream: StreamId, attempt: u32) {
        self.withdraw(ix, |caller| matches!(caller, Caller::Attempt(s, a) if s == stream && a == attempt));
    }

    /// Takes a waiting mirror copy out of the pool.
    pub(super) fn pool_withdraw(
        &mut self,
        ix: PoolIx,
        wanted: impl Fn(Caller) -> bool,
    ) -> Option<(Lineage, MirrorCopy)> {
        match self.withdraw(ix, wanted)? {
            Ticket { caller: Caller::Mirror(copy), line, .. } => Some((line, copy)),
            _ => None,
        }
    }

    fn withdraw(&mut self, ix: PoolIx, wanted: impl Fn(Caller) -> bool) -> Option<Ticket> {
        let pool = self.pools.get_mut(ix as usize)?;
        let (cluster, host) = (pool.key.cluster, pool.key.host);
        let at = pool.pending.iter().position(|t| wanted(t.caller))?;
        let ticket = pool.pending.remove(at)?;
        if let Some(run) = self.clusters.get_mut(cluster as usize) {
            run.state.release_pending(host);
        }
        Some(ticket)
    }
}

/// Streams that a connection can take while it is still being established. Envoy: ActiveClient::currentUnusedCapacity.
fn streams_at_first(protocol: Protocol, cluster: &Cluster) -> u32 {
    let streams = streams_per_connection(protocol, cluster.max_concurrent_streams);
    match cluster.max_requests_per_connection {
        0 => streams,
        requests => streams.min(requests),
    }
}

/// Takes a connection out of a list in which it stands near the end, if at all.
fn take_last(list: &mut Vec<ConnId>, conn: ConnId) {
    if let Some(at) = list.iter().rposition(|c| *c == conn) {
        list.remove(at);
    }
}

fn streams_per_connection(protocol: Protocol, configured: u32) -> u32 {
    match protocol {
        Protocol::Http2 => configured.max(1),
        Protocol::Http10 | Protocol::Http11 => 1,
    }
}
