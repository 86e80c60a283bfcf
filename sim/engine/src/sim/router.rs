//! The router: attempts, hosts, timeouts, retries, mirrors (semantics: envoy-routing 3.9, 4, 5, 7).

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::cx::{Step, TraceSink};
use mesh_core::decide::{self, ForwardPlan, HttpOutcome};
use mesh_core::ids::{ClusterId, Nanos, OriginId, Taint};
use mesh_core::ir::{Cluster, Discovery, Forward, RetryPolicy, RouteAction, UpstreamProtocol};
use mesh_core::request::{Protocol, RequestHead};
use mesh_core::response::{LocalReply, ResponseFlag};
use mesh_core::upstream::{
    AttemptOutcome, PickContext, ResetReason, RetryDecision, RetryState, UpstreamEvent,
};

use super::mesh::cluster_of;
use super::pool::Ticket;
use super::state::{
    Answerer, Attempt, AttemptReset, Caller, ClusterIx, ConnId, Details, ExchangeId, Stream, StreamId, Up,
};
use super::words;
use super::{Event, Sim};
use crate::draws::{At, Chance, mix};
use crate::record::Response;

/// Bodies beyond the buffer limit cannot be sent again: retries are given up in silence (semantics: envoy-routing 5.3).
const RETRY_BUFFER_BYTES: u64 = 1_048_576;

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
            self.timer(timeout, Event::RouteTimeout(id));
        }
        self.try_once(id);
        if mirrors != 0 {
            self.mirror(id, mirrors);
        }
    }

    /// Picks a host and asks its pool for a connection.
    fn try_once(&mut self, id: StreamId) {
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
            self.timer(per_try, Event::PerTry(id, attempt));
        }
    }

    /// Tells the detector of the stream's current host.
    fn upstream_event(&mut self, id: StreamId, event: UpstreamEvent) {
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

    /// Asks the retry policy; true = a retry is scheduled.
    fn retry(&mut self, id: StreamId, outcome: AttemptOutcome) -> bool {
        let Some(stream) = self.streams.get_mut(id) else { return false };
        if stream.answered.is_some() || stream.head().body_bytes > RETRY_BUFFER_BYTES {
            return false;
        }
        let (Some(ix), Some(mut retry)) = (stream.cluster, stream.route.retry.take()) else { return false };
        let side = Arc::clone(&stream.side);
        let key = stream.key;
        let policy = match stream.decision().route(&side.snapshot).map(|r| &r.action) {
            Some(RouteAction::Forward(f)) => f.retry.as_ref(),
            _ => None,
        };
        let (Some(policy), Some(run)) = (policy, self.clusters.get_mut(ix as usize)) else { return false };
        let (cluster, state) = run.parts();
        let mut draws = At { key, chance: &mut self.chance };
        let decision = retry.decide(policy, outcome, cluster, state, &mut draws);
        let Some(stream) = self.streams.get_mut(id) else { return false };
        stream.route.retry = Some(retry);
        match decision {
            RetryDecision::Retry { backoff_ns } => {
                stream.route.attempt = Attempt::Backoff;
                let attempt = stream.route.attempts;
                self.queue.after(backoff_ns, Event::Backoff(id, attempt));
                true
            }
            RetryDecision::NoRetry { flag } => {
                if let Some(flag) = flag {
                    stream.flags.insert(flag);
                }
                false
            }
        }
    }

    /// The back-off is over.
    pub(super) fn backoff_over(&mut self, id: StreamId, attempt: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        if stream.route.attempts == attempt && matches!(stream.route.attempt, Attempt::Backoff) {
            // Envoy counts `upstream_rq_retry` now: a retry that a timeout or the client overtakes in its back-off is
            // none (run 1.40: 6 aborted back-offs, 0 retries).
            if let Some(ix) = stream.cluster {
                self.tally.retried(ix);
            }
            self.try_once(id);
        }
    }

    /// The retry slot, if one is held, goes back.
    pub(super) fn finish_retry(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if let (Some(ix), Some(mut retry)) = (stream.cluster, stream.route.retry.take())
            && let Some(run) = self.clusters.get_mut(ix as usize)
        {
            retry.finish(&mut run.state);
        }
    }

    /// An answer from upstream. Returns whether the connection can be used again.
    pub(super) fn attempt_response(
        &mut self,
        id: StreamId,
        response: Response,
        who: Option<Answerer>,
    ) -> bool {
        let Some(stream) = self.streams.get(id) else { return true };
        let grpc = stream.head().is_grpc();
        let in_headers = response.grpc_status.filter(|_| grpc && response.grpc_in_headers);
        let status = response.status;
        let event = match in_headers {
            Some(grpc_status) => UpstreamEvent::GrpcStatus { status, grpc_status },
            None => UpstreamEvent::Status(status),
        };
        self.upstream_event(id, event);
        let outcome = AttemptOutcome::Headers {
            status: response.status,
            grpc_status: in_headers,
            rate_limited: response.headers.has("x-envoy-ratelimited"),
        };
        if self.retry(id, outcome) {
            // The old stream is reset unless the response has ended with its headers (semantics: envoy-upstream 7.5).
            return response.body_bytes == 0 && !response.truncated;
        }
        let Some(stream) = self.streams.get_mut(id) else { return true };
        let truncated = response.truncated;
        if !truncated {
            stream.route.attempt = Attempt::None;
        }
        let mut response = response;
        if !self.bare {
            decide::finalize_response(
                &stream.side.snapshot,
                stream.side.chain,
                stream.decision(),
                stream.head(),
                stream.sent.as_deref(),
                &mut response.headers,
                Some(response.status),
            );
        }
        self.respond(id, response, who, Details::ViaUpstream, None);
        true
    }

    /// The attempt ended without (complete) answer.
    pub(super) fn attempt_reset(&mut self, id: StreamId, attempt: u32, reset: AttemptReset) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.route.attempts != attempt {
            return;
        }
        let answered = stream.answered.is_some();
        stream.route.attempt = Attempt::None;
        stream.route.upstream_failure = reset.transport.clone();
        let event = match reset.reason {
            ResetReason::Overflow => None,
            _ if answered => Some(UpstreamEvent::ResetAfterHeaders),
            ResetReason::ConnectionFailure => Some(UpstreamEvent::ConnectFailure),
            ResetReason::ConnectionTimeout => Some(UpstreamEvent::ConnectTimeout),
            ResetReason::ProtocolError => Some(UpstreamEvent::ProtocolError),
            ResetReason::ConnectionTermination
            | ResetReason::RemoteReset
            | ResetReason::RemoteRefusedStream => Some(UpstreamEvent::ResetBeforeHeaders),
        };
        if let Some(event) = event {
            self.upstream_event(id, event);
        }
        if answered {
            self.broken_answer(id, &reset);
            return;
        }
        let Some(stream) = self.streams.get(id) else { return };
        let request_started = stream.route.request_started;
        if self.retry(id, AttemptOutcome::Reset { reason: reset.reason, request_started }) {
            return;
        }
        let Some(stream) = self.streams.get(id) else { return };
        let (flag, status, text) = words::reset(reset.reason);
        let details = words::reset_details(true, text, reset.transport.as_ref());
        let body = words::reset_body(stream.route.attempts > 1, text);
        let mut reply = LocalReply::new(status, &details, &body, Some(flag), OriginId::NONE);
        if reset.reason == ResetReason::Overflow {
            reply.headers.push(("x-envoy-overloaded".into(), "true".into()));
        }
        self.reply_locally(id, reply, false);
    }

    /// The body broke off after the headers were forwarded.
    fn broken_answer(&mut self, id: StreamId, reset: &AttemptReset) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        // HTTP/1 with a promised length: a protocol error whatever ended the connection (semantics: envoy-routing 7.2).
        let reason = match reset.reason {
            ResetReason::ConnectionTermination => ResetReason::ProtocolError,
            other => other,
        };
        let (flag, _, text) = words::reset(reason);
        stream.flags.insert(flag);
        let details = words::reset_details(false, text, reset.transport.as_ref());
        stream.answered = stream.answered.take().map(|(code, _)| (code, Details::Text(details)));
        self.reset_downstream(id);
    }

    /// The route's timeout.
    pub(super) fn route_timeout(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        if matches!(stream.route.attempt, Attempt::Active(..)) && stream.answered.is_none() {
            self.upstream_event(id, UpstreamEvent::GlobalTimeout);
        }
        self.abandon_attempt(id);
        self.reply_timeout(id, "response_timeout");
    }

    fn reply_timeout(&mut self, id: StreamId, details: &str) {
        let body = "upstream request timeout";
        let reply = LocalReply::new(504, details, body, Some(ResponseFlag::UT), OriginId::NONE);
        self.reply_locally(id, reply, false);
    }

    /// The per-try timeout of an attempt.
    pub(super) fn per_try_timeout(&mut self, id: StreamId, attempt: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        let current = stream.route.attempts == attempt && matches!(stream.route.attempt, Attempt::Active(..));
        if !current || stream.answered.is_some() {
            return;
        }
        self.upstream_event(id, UpstreamEvent::PerTryTimeout);
        self.abandon_attempt(id);
        if !self.retry(id, AttemptOutcome::PerTryTimeout) {
            self.reply_timeout(id, "upstream_per_try_timeout");
        }
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
