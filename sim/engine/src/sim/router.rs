//! The router: a stream's attempts, their hosts and heads (semantics: envoy-routing 3.9, 4). How an attempt ends and what
//! follows: `attempt.rs`.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::cx::{Step, TraceSink};
use mesh_core::decide::{self, ForwardPlan, HttpOutcome};
use mesh_core::ids::{ClusterId, Nanos, OriginId, Taint};
use mesh_core::ir::{Cluster, Discovery, Forward, RetryPolicy, RouteAction, UpstreamProtocol};
use mesh_core::request::{Protocol, RequestHead};
use mesh_core::response::{LocalReply, ResponseFlag};
use mesh_core::upstream::{PickContext, RetryState, UpstreamEvent};

use super::mesh::cluster_of;
use super::pool::Ticket;
use super::state::{Attempt, Caller, ClusterIx, ConnId, ExchangeId, Stream, StreamId, Up};
use super::words;
use super::{Event, Sim};
use crate::draws::{At, Chance, mix};

/// `x-envoy-expected-rq-timeout-ms` of a retry: what is left of the route's timeout, at least 1
/// (semantics: envoy-routing 4.4).
fn shorten_timeout(head: &mut RequestHead, plan: Option<&ForwardPlan>, elapsed_ns: Nanos) {
    const NAME: &str = "x-envoy-expected-rq-timeout-ms";
    let (Some(plan), Some(announced)) = (plan, head.headers.first(NAME)) else { return };
    if plan.timeout_ns == 0 {
        return;
    }
    let Ok(announced) = announced.parse::<u64>() else { return };
    let left = (plan.timeout_ns / 1_000_000).saturating_sub(elapsed_ns / 1_000_000).max(1);
    head.headers.set(NAME, &announced.min(left).to_string());
}

pub(super) fn plan_of(stream: &Stream) -> Option<&ForwardPlan> {
    match &stream.decision().outcome {
        HttpOutcome::Forward(plan) => Some(plan),
        HttpOutcome::Reply(_) => None,
    }
}

pub(super) fn forward_of(stream: &Stream) -> Option<&Forward> {
    match &stream.decision().route(&stream.side.snapshot)?.action {
        RouteAction::Forward(forward) => Some(forward),
        _ => None,
    }
}

fn policy_of(stream: &Stream) -> Option<&RetryPolicy> {
    forward_of(stream)?.retry.as_ref()
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The router takes over: timers, mirrors, the first attempt.
    pub(super) fn route(&mut self, id: StreamId) {
        let now = self.queue.now();
        let Some(stream) = self.streams.get(id) else { return };
        let Some(plan) = plan_of(stream) else { return };
        let (cluster, timeout, mirrors) = (plan.cluster, plan.timeout_ns, plan.mirrors);
        let complete = stream.complete;
        let retry = policy_of(stream).map(RetryState::new);
        let ix = match self.known_cluster(stream.side.proxy, &stream.side.snapshot, cluster) {
            Some(ix) => ix,
            None => {
                let side = Arc::clone(&stream.side);
                let Some(ix) = self.cluster_ix(side.proxy, &side.snapshot, cluster) else { return };
                ix
            }
        };
        self.taint_cluster(id, cluster);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.cluster = Some(ix);
            stream.route.retry = retry;
            stream.route.routed_ns = now;
        }
        if timeout > 0 && complete {
            self.note_timer(timeout);
            self.timer(timeout, Event::RouteTimeout(id));
        }
        self.try_once(id);
        if mirrors != 0 {
            self.mirror(id, mirrors);
        }
    }

    /// Picks a host and asks its pool for a connection.
    pub(super) fn try_once(&mut self, id: StreamId) {
        let now = self.queue.now();
        let forwarded = match self.forward_address(id) {
            Ok(address) => address,
            Err(()) => {
                let reply = LocalReply::new(
                    503,
                    "dns_resolution_failure",
                    "DNS resolution failure",
                    Some(ResponseFlag::DF),
                    OriginId::NONE,
                );
                self.reply_locally(id, reply, false);
                return;
            }
        };
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(ix) = stream.cluster else { return };
        let attempt = stream.route.attempts + 1;
        if attempt > 1 && self.clusters.get(ix as usize).is_some_and(|run| run.removed) {
            // Clusters are removed during a back-off. Envoy: Filter::doRetry.
            stream.route.attempts = attempt;
            self.no_healthy_upstream(id);
            return;
        }
        // A cookie made up from the client's port: which host it leads to first is as random as the port, and the same
        // for every attempt.
        let made_up = self.chance.enumerates() && plan_of(stream).is_some_and(|p| p.set_cookie.is_some());
        let hash = if made_up { stream.route.open_hash } else { plan_of(stream).and_then(|p| p.hash) };
        let tried = std::mem::take(&mut stream.route.tried);
        let context = PickContext {
            hash,
            attempt: u16::try_from(attempt).unwrap_or(u16::MAX),
            tried: &tried,
            // A first attempt has nothing to avoid.
            retry: if attempt > 1 { policy_of(stream) } else { None },
            original_dst: forwarded.or(Some(stream.side.connection.destination)),
        };
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (cluster, state) = run.parts();
        let mut draws = At { key: stream.key, chance: &mut self.chance };
        let host = state.pick(cluster, &context, now, &mut draws);
        let open_hash = host
            .filter(|_| made_up && hash.is_none())
            .and_then(|host| state.hash_towards(cluster, host, now));
        let approximate = state.is_approximate().then_some(cluster.origin);
        self.arm_cluster(ix);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.route.tried = tried;
            stream.route.attempts = attempt;
            stream.route.open_hash = stream.route.open_hash.or(open_hash);
        }
        if let Some(origin) = approximate {
            self.taint_schedule(id, origin);
        }
        let Some(host) = host else {
            self.no_healthy_upstream(id);
            return;
        };
        self.send_attempt(id, ix, host, attempt);
    }

    fn no_healthy_upstream(&mut self, id: StreamId) {
        let reply = LocalReply::new(
            503,
            "no_healthy_upstream",
            words::NO_HEALTHY_UPSTREAM,
            Some(ResponseFlag::UH),
            OriginId::NONE,
        );
        // The log keeps the host of the attempt before.
        self.reply_locally(id, reply, false);
    }

    /// Where a dynamic forward proxy sends the request: its authority, resolved; `None` for other clusters.
    fn forward_address(&self, id: StreamId) -> Result<Option<SocketAddr>, ()> {
        let Some(stream) = self.streams.get(id) else { return Ok(None) };
        let Some(run) = stream.cluster.and_then(|ix| self.clusters.get(ix as usize)) else { return Ok(None) };
        if cluster_of(&run.snapshot, run.id).discovery != Discovery::DynamicForwardProxy {
            return Ok(None);
        }
        let authority = stream.head().authority.as_deref().unwrap_or_default();
        let default_port = if stream.head().scheme.as_ref() == "https" { 443 } else { 80 };
        if let Ok(address) = authority.parse::<SocketAddr>() {
            return Ok(Some(address));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| ())?),
            _ => (authority, default_port),
        };
        let found = self.world.dns.resolve(&self.namespace_of(run.proxy), host);
        let ip = found.and_then(|all| all.first().copied()).ok_or(())?;
        Ok(Some(SocketAddr::new(ip, port)))
    }

    fn send_attempt(&mut self, id: StreamId, ix: ClusterIx, host: mesh_core::ids::HostId, attempt: u32) {
        let now = self.queue.now();
        if let Some(root) = self.streams.get(id).map(|s| s.line.root) {
            self.about(root);
        }
        let Some(run) = self.clusters.get(ix as usize) else { return };
        let Some(chosen) = run.state.host(host) else { return };
        let origin = chosen.origin;
        let pipe = chosen.address.socket().is_none();
        self.trace
            .step(|| Step::Host(chosen.address.text().into(), format!("attempt {attempt}").into(), origin));
        let cluster = cluster_of(&run.snapshot, run.id);
        let configured = cluster.protocol;
        if pipe || cluster.proxy_protocol > 0 {
            let (snapshot, at) = run.config();
            self.taint_upstream(id, cluster_of(&snapshot, at), pipe, origin);
        }
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.route.attempts = attempt;
        stream.route.host = Some(host);
        stream.route.tried.push(host);
        stream.route.upstream_failure = None;
        let Some(proxy) = self.proxies.get(stream.side.proxy as usize) else { return };
        let protocol = match configured {
            UpstreamProtocol::Http1 => Protocol::Http11,
            UpstreamProtocol::Http2 => Protocol::Http2,
            UpstreamProtocol::Downstream if stream.head().protocol == Protocol::Http2 => Protocol::Http2,
            UpstreamProtocol::Downstream => Protocol::Http11,
        };
        // What is not the first attempt, or goes to a host by its own name, is finished anew.
        let auto = stream.decided.auto_host;
        let leaf = stream.leaf.filter(|_| attempt == 1 && !auto);
        let (head, class) = match leaf.and_then(|leaf| self.memo.decisions.finished(leaf)).cloned() {
            Some(known) => known,
            None => {
                let mut head = decide::finalize_request(
                    &stream.side.snapshot,
                    stream.side.chain,
                    &stream.side.connection,
                    &stream.side.peer,
                    &proxy.identity,
                    stream.decision(),
                    attempt,
                    stream.head(),
                );
                let named = self.clusters.get(ix as usize).and_then(|run| run.state.host(host));
                if auto && let Some(named) = named.filter(|h| !h.hostname.is_empty()) {
                    head.authority = Some(named.hostname.clone());
                }
                head.protocol = protocol;
                if attempt > 1 {
                    shorten_timeout(&mut head, plan_of(stream), now.saturating_sub(stream.route.routed_ns));
                }
                self.memo.finish(stream.side.place, leaf, head)
            }
        };
        stream.route.upstream_protocol = Some(protocol);
        stream.sent = Some(Arc::clone(&head));
        let line = stream.line.of_try(stream.side.side, attempt);
        let (complete, istio_alpn) = (stream.complete, stream.side.istio_alpn);
        let ticket = Ticket { caller: Caller::Attempt(id, attempt), line, head, class, complete };
        self.tally.attempt(ix, host);
        let pool = self.pool_for(ix, host, protocol, istio_alpn, &ticket.head);
        self.pool_request(pool, ticket);
    }

    /// Picks that follow one another in a schedule which is too long to be enumerated.
    fn taint_schedule(&mut self, id: StreamId, origin: OriginId) {
        let Some(stream) = self.streams.get(id) else { return };
        let (root, proxy) = (stream.line.root, stream.side.proxy);
        let what = "which host a retry picks under weights without a small common measure".into();
        self.taint(root, Some(proxy), &Taint { what, origin });
    }

    /// What of the cluster is not modelled.
    fn taint_cluster(&mut self, id: StreamId, cluster: ClusterId) {
        let Some(stream) = self.streams.get(id) else { return };
        if cluster_of(&stream.side.snapshot, cluster).taints.is_empty() {
            return;
        }
        let (side, root) = (Arc::clone(&stream.side), stream.line.root);
        for taint in &cluster_of(&side.snapshot, cluster).taints {
            self.taint(root, Some(side.proxy), taint);
        }
    }

    /// Ways to reach a host that are not modelled.
    fn taint_upstream(&mut self, id: StreamId, cluster: &Cluster, pipe: bool, host: OriginId) {
        let Some(stream) = self.streams.get(id) else { return };
        let (root, proxy) = (stream.line.root, stream.side.proxy);
        if pipe {
            let what = "an application behind a unix domain socket".into();
            self.taint(root, Some(proxy), &Taint { what, origin: host });
        }
        if cluster.proxy_protocol > 0 {
            let what = "PROXY protocol towards a host".into();
            self.taint(root, Some(proxy), &Taint { what, origin: cluster.origin });
        }
    }

    /// The pool gave a connection: the attempt is under way.
    pub(super) fn attempt_attached(
        &mut self,
        id: StreamId,
        attempt: u32,
        conn: ConnId,
        exchange: ExchangeId,
    ) {
        let (tls, peer) = match self.conns.get(conn).and_then(|c| c.session.as_ref()) {
            None => (false, None),
            Some(s) => (true, s.server_certificate.as_ref().and_then(|c| c.sans.first().cloned())),
        };
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.route.attempts != attempt {
            return;
        }
        stream.route.attempt = Attempt::Active(conn, exchange);
        stream.route.request_started = true;
        stream.route.upstream_tls = tls;
        stream.route.upstream_peer = peer;
        let per_try = plan_of(stream).map_or(0, |p| p.per_try_timeout_ns);
        let complete = stream.complete;
        self.upstream_event(id, UpstreamEvent::PoolReady);
        if per_try > 0 && complete {
            self.note_timer(per_try);
            self.timer(per_try, Event::PerTry(id, attempt));
        }
    }

    /// Tells the detector of the stream's current host.
    pub(super) fn upstream_event(&mut self, id: StreamId, event: UpstreamEvent) {
        let Some(stream) = self.streams.get(id) else { return };
        if let (Some(ix), Some(host)) = (stream.cluster, stream.route.host) {
            let (key, attempts) = (stream.key, u64::from(stream.route.attempts));
            self.host_event(ix, host, event, || mix(key, attempts));
        }
    }

    /// Tells a cluster's detector what happened at a host.
    pub(super) fn host_event(
        &mut self,
        ix: ClusterIx,
        host: mesh_core::ids::HostId,
        event: UpstreamEvent,
        key: impl FnOnce() -> u64,
    ) {
        let now = self.queue.now();
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (cluster, state) = run.parts();
        if cluster.outlier.is_none() {
            return;
        }
        let mut draws = At { key: key(), chance: &mut self.chance };
        let mut events = Vec::new();
        state.on_event(cluster, host, event, now, &mut draws, &mut |e| events.push(e));
        if !events.is_empty() {
            self.note_outliers(ix, &events);
        }
        self.arm_cluster(ix);
    }

    /// Cancels whatever the current attempt is doing.
    pub(super) fn abandon_attempt(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let attempts = stream.route.attempts;
        match std::mem::replace(&mut stream.route.attempt, Attempt::None) {
            Attempt::None | Attempt::Backoff => {}
            Attempt::Pending(pool) => self.pool_cancel(pool, id, attempts),
            Attempt::Active(conn, exchange) => self.cancel_exchange(conn, exchange),
        }
    }

    /// Resets a stream on an upstream connection: RST_STREAM, or the end of an HTTP/1 connection.
    pub(super) fn cancel_exchange(&mut self, conn: ConnId, exchange: ExchangeId) {
        let h2 = self.exchanges.get(exchange).is_some_and(|x| x.head.protocol == Protocol::Http2);
        if h2 {
            self.send_up(conn, Up::Cancel(exchange));
            self.release_exchange(conn, exchange, true);
        } else {
            self.release_exchange(conn, exchange, false);
        }
        if !h2 {
            self.exchanges.discard(exchange);
        }
    }
}
