//! The HTTP connection manager: requests arrive, the core decides, answers leave, one line is logged.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Step, TraceSink};
use mesh_core::decide::{self, HttpDecision, HttpOutcome};
use mesh_core::ids::{Nanos, OriginId};
use mesh_core::ir::RouteAction;
use mesh_core::request::{Protocol, RequestHead};
use mesh_core::response::{LocalReply, ResponseFlag};
use smallvec::SmallVec;

use super::hop::{blank_hop, rbac_names};
use super::mesh::cluster_of;
use super::state::{
    Answerer, Attempt, CloseKind, ConnId, Details, Down, ExchangeId, HelloError, HttpSide, RawAnswer,
    RouterState, Stream, StreamId, Up, Worker,
};
use super::words;
use super::{Event, Sim};
use crate::draws::Chance;
use crate::record::{Hop, LogKind, Response};
use crate::world::ProxyId;

/// Over HTTP/1.1 the timer of `max_stream_duration` fires a little early: recorded at 197 of 200 ms, before the
/// caller's own timeout of 200 ms (bookinfo-canary-090); over HTTP/2 the caller's fires first (route-action-111).
const EARLY_NS: u64 = 3_000_000;
/// Envoy's `delayed_close_timeout`.
const DELAYED_CLOSE_NS: u64 = 1_000_000_000;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Bytes arrive at a connection manager.
    pub(super) fn http_bytes(&mut self, id: ConnId, side: &Arc<HttpSide>, up: Up) {
        match up {
            Up::Request(exchange) => self.new_stream(id, side, exchange),
            Up::Hello(depth) => {
                // A ClientHello where HTTP is expected: the codec answers 400 in the clear and closes.
                self.codec_error(id, side);
                self.send_down(id, Down::Hello(depth, Box::new(Err(HelloError::NotTls))));
                self.drop_server(id, CloseKind::Fin);
            }
            Up::Raw(text) if !text.contains('\n') => {
                // The codec waits for the end of the request line.
                if let Some(conn) = self.conns.get_mut(id)
                    && !std::mem::replace(&mut conn.begun, true)
                    && let Some(root) = self.roots.get_mut(conn.line.root)
                {
                    root.open += 1;
                }
            }
            Up::Raw(_) => {
                self.codec_error(id, side);
                let reply = decide::not_http();
                let mut headers = mesh_core::request::Headers::default();
                headers.append("content-type", "text/plain");
                if let Some(hcm) = side.snapshot.connection_manager(side.chain) {
                    headers.append("server", &hcm.server_name);
                }
                let body_bytes = reply.body.len() as u64;
                let response = Response {
                    status: reply.status,
                    headers,
                    body: reply.body,
                    body_bytes,
                    ..Response::default()
                };
                let answer = RawAnswer { text: None, response: Some(response), who: None };
                self.send_down(id, Down::Raw(Box::new(answer)));
                self.drop_server(id, CloseKind::Fin);
            }
            Up::Partial => {}
            Up::Cancel(exchange) => {
                if let Some(Worker::Stream(stream)) = self.exchanges.get(exchange).map(|x| x.worker) {
                    self.downstream_gone(stream, ResponseFlag::DR, "http2.remote_reset");
                }
            }
            Up::Close(_) => {
                let streams = self.conns.get(id).map(|c| c.streams.clone()).unwrap_or_default();
                for stream in streams {
                    self.downstream_gone(stream, ResponseFlag::DC, "downstream_remote_disconnect");
                }
                if self.conns.get(id).is_some_and(|c| c.begun) {
                    self.never_a_request(id, side);
                }
                self.closed_by_client(id, CloseKind::Fin);
            }
        }
    }

    /// Bytes that are no HTTP (semantics: envoy-routing 9.4): a line is logged, nothing was routed.
    fn codec_error(&mut self, id: ConnId, side: &HttpSide) {
        let Some(conn) = self.conns.get(id) else { return };
        let line = conn.line;
        let reply = decide::not_http();
        let mut hop = self.hop_of_side(side, line, LogKind::Http, self.queue.now());
        hop.code = Some(reply.status);
        hop.details = Some(reply.details);
        if let Some(flag) = reply.flag {
            hop.flags.insert(flag);
        }
        hop.protocol = Some(Protocol::Http11);
        self.write_hop(line, hop);
    }

    /// The client left in the middle of the request line.
    fn never_a_request(&mut self, id: ConnId, side: &HttpSide) {
        let Some(conn) = self.conns.get(id) else { return };
        let line = conn.line;
        let mut hop = self.hop_of_side(side, line, LogKind::Http, self.queue.now());
        hop.code = Some(0);
        hop.details = Some("downstream_remote_disconnect".into());
        hop.flags.insert(ResponseFlag::DC);
        hop.protocol = Some(Protocol::Http11);
        self.write_hop(line, hop);
        self.close_activity(line.root);
    }

    /// The parts of a line that the connection fixes.
    pub(super) fn hop_of_side(
        &self,
        side: &HttpSide,
        line: super::state::Lineage,
        kind: LogKind,
        start_ns: u64,
    ) -> Hop {
        let mut hop = blank_hop(
            ProxyId(side.proxy),
            side.side,
            kind,
            line,
            start_ns,
            side.connection.destination,
            side.connection.source,
        );
        hop.listener = super::admit::listener_name(&side.snapshot, side.chain.listener);
        hop.filter_chain =
            side.snapshot.filter_chain(side.chain).map(|c| c.name.clone()).filter(|n| !n.is_empty());
        hop.tls = side.tls;
        hop.peer = side.names.principal.clone();
        hop.sni = side.names.sni.clone();
        hop
    }

    /// Says which proxy goes on with the request. A connection that another request opened was admitted in its name.
    fn announce_open(&mut self, id: ConnId, side: &HttpSide, root: super::state::RootId) {
        self.about(root);
        if S::ENABLED && self.conns.get(id).is_some_and(|c| c.line.root != root) {
            let name = self.proxies.get(side.proxy as usize).map(|p| p.name.clone()).unwrap_or_default();
            let at = words::side(side.side);
            self.trace.step(|| Step::Note(format!("{name} ({at}, a connection already open)").into()));
        }
    }

    /// A request head is complete.
    fn new_stream(&mut self, id: ConnId, side: &Arc<HttpSide>, exchange: ExchangeId) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        let (line, complete, class, head) = (x.line, x.complete, x.class, Arc::clone(&x.head));
        let now = self.queue.now();
        self.announce_open(id, side, line.root);
        let key = line.key_at(side.side);
        let (decided, leaf) = self.decide(side, &head, class, key);
        if let Some(taint) = &decided.decision.taint {
            self.taint(line.root, Some(side.proxy), taint);
        }
        if let Some(root) = self.roots.get_mut(line.root) {
            root.open += 1;
        }
        let hop = self.reserve_hop(line);
        let (delay, flags) = (decided.decision.delay_ns, decided.decision.flags);
        let limit = decided.stream_limit_ns;
        let stream = self.streams.insert(Stream {
            line,
            key,
            side: Arc::clone(side),
            conn: id,
            exchange,
            decided,
            leaf,
            sent: None,
            start_ns: now,
            hop,
            complete,
            cluster: None,
            flags,
            route: RouterState {
                attempt: Attempt::None,
                attempts: 0,
                tried: SmallVec::new(),
                open_hash: None,
                host: None,
                retry: None,
                request_started: false,
                routed_ns: now,
                upstream_protocol: None,
                upstream_tls: false,
                upstream_peer: None,
                upstream_failure: None,
            },
            answered: None,
        });
        if let Some(conn) = self.conns.get_mut(id) {
            conn.streams.push(stream);
        }
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.worker = Worker::Stream(stream);
        }
        if let Some(limit) = limit {
            self.arm_stream_duration(stream, limit);
        }
        let idle = side.snapshot.connection_manager(side.chain).map_or(0, |h| h.stream_idle_timeout_ns);
        if idle > 0 {
            // Nothing moves between the end of the request and the head of the answer.
            self.timer(idle, Event::StreamIdle(stream));
        }
        if delay > 0 {
            self.queue.after(delay, Event::Delayed(stream));
        } else {
            self.act(stream);
        }
    }

    /// `max_stream_duration`: counts from the stream's creation (semantics: envoy-routing 4.1). istiod sets it empty on
    /// inbound routes, where only a gRPC request's own `grpc-timeout` then limits the stream.
    fn arm_stream_duration(&mut self, id: StreamId, configured: Nanos) {
        let Some(stream) = self.streams.get(id) else { return };
        let own = if stream.head().is_grpc() { grpc_timeout(stream.head()) } else { None };
        let limit = own.unwrap_or(configured);
        if limit > 0 {
            let early = if stream.head().protocol == Protocol::Http2 { 0 } else { EARLY_NS };
            self.timer(limit.saturating_sub(early).max(1), Event::StreamDuration(id));
        }
    }

    /// The stream outlived its maximum duration.
    pub(super) fn stream_duration(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        let status = if stream.complete { 504 } else { 408 };
        let mut reply = LocalReply::new(
            status,
            "max_duration_timeout",
            "downstream duration timeout",
            None,
            OriginId::NONE,
        );
        reply.grpc_status = Some(4);
        self.abandon_attempt(id);
        self.reply_locally(id, reply, false);
    }

    /// `stream_idle_timeout` without an answer.
    pub(super) fn stream_idle(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        let status = if stream.complete { 504 } else { 408 };
        let flag = Some(ResponseFlag::SI);
        let reply = LocalReply::new(status, "stream_idle_timeout", "stream timeout", flag, OriginId::NONE);
        self.abandon_attempt(id);
        self.reply_locally(id, reply, false);
    }

    /// An injected delay is over, or there was none: answer or route.
    pub(super) fn act(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        match &stream.decision().outcome {
            HttpOutcome::Reply(reply) => {
                let reply = reply.clone();
                self.reply_locally(id, reply, true);
            }
            HttpOutcome::Forward(_) => self.route(id),
        }
    }

    /// The proxy answers itself. `decided` replies carry their flag in the decision already.
    pub(super) fn reply_locally(&mut self, id: StreamId, reply: LocalReply, decided: bool) {
        if let Some(root) = self.streams.get(id).map(|s| s.line.root) {
            self.about(root);
        }
        self.trace.step(|| Step::Reply(reply.clone()));
        let Some(stream) = self.streams.get_mut(id) else { return };
        if let Some(flag) = reply.flag
            && !(decided && stream.flags.has(flag))
        {
            stream.flags.insert(flag);
        }
        if stream.answered.is_some() {
            // Headers are out: the stream is reset instead.
            stream.answered =
                stream.answered.take().map(|(code, _)| (code, Details::Text(reply.details.clone())));
            self.reset_downstream(id);
            return;
        }
        let (status, mut headers, body) = decide::local_reply_for(
            &stream.side.snapshot,
            stream.decision(),
            stream.head(),
            stream.sent.as_deref(),
            &reply,
        );
        decide::finalize_response(
            &stream.side.snapshot,
            stream.side.chain,
            stream.decision(),
            stream.head(),
            stream.sent.as_deref(),
            &mut headers,
            None,
        );
        let grpc_status = headers.first("grpc-status").and_then(|v| v.parse().ok());
        let body_bytes = body.len() as u64;
        let response = Response {
            status,
            headers,
            grpc_status,
            grpc_in_headers: grpc_status.is_some(),
            body,
            body_bytes,
            truncated: false,
        };
        let close = reply.close.then_some(CloseKind::Fin);
        self.respond(id, response, None, Details::Text(reply.details), close);
    }

    /// An answer leaves downstream and ends the stream.
    pub(super) fn respond(
        &mut self,
        id: StreamId,
        response: Response,
        who: Option<Answerer>,
        details: Details,
        close: Option<CloseKind>,
    ) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let (conn, exchange) = (stream.conn, stream.exchange);
        stream.answered = Some((response.status, details));
        let (bytes, grpc, truncated) = (response.body_bytes, response.grpc_status, response.truncated);
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.response = Some(response);
            x.answerer = who;
        }
        self.send_down(conn, Down::Response(exchange));
        if truncated {
            return;
        }
        self.end_stream(id, bytes, grpc);
        if let Some(kind) = close {
            self.drop_server(conn, kind);
        }
    }

    /// Resets the downstream stream after its headers were sent.
    pub(super) fn reset_downstream(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        let (conn, exchange) = (stream.conn, stream.exchange);
        let h2 = stream.head().protocol == Protocol::Http2;
        self.end_stream(id, 3, None);
        if h2 {
            self.send_down(conn, Down::Reset(exchange, false));
        } else {
            // The client hears of the end only after `delayed_close_timeout` (semantics: envoy-upstream 15).
            if let Some(c) = self.conns.get_mut(conn) {
                c.server = super::state::Server::Gone;
            }
            self.queue.after(DELAYED_CLOSE_NS, Event::Down(conn, Down::Close(CloseKind::Fin)));
        }
    }

    /// The client left (semantics: envoy-routing 9.7).
    fn downstream_gone(&mut self, id: StreamId, flag: ResponseFlag, details: &str) {
        self.abandon_attempt(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.flags.insert(flag);
        let code = stream.answered.as_ref().map_or(0, |(code, _)| *code);
        stream.answered = Some((code, Details::Text(details.into())));
        self.end_stream(id, 0, None);
    }

    /// Writes the line and forgets the stream.
    fn end_stream(&mut self, id: StreamId, bytes_sent: u64, grpc_status: Option<u32>) {
        self.finish_retry(id);
        let ended = self.streams.remove(id);
        let Some(stream) = &ended else { return };
        if let Some(conn) = self.conns.get_mut(stream.conn) {
            conn.streams.retain(|s| *s != id);
        }
        self.count_stream(stream);
        if stream.hop.is_some() {
            let hop = self.hop_of_stream(stream, bytes_sent, grpc_status);
            self.fill_hop(stream.line, stream.hop, hop);
        }
        self.close_activity(stream.line.root);
    }

    fn count_stream(&mut self, stream: &Stream) {
        let side = stream.side.side;
        self.note_first(stream.line, side, stream.flags, stream.cluster, stream.route.attempts);
        let code = stream.answered.as_ref().map_or(0, |(code, _)| *code);
        let duration = self.queue.now() - stream.start_ns;
        if let Some(cluster) = stream.cluster {
            self.tally.edge(cluster, stream.flags, code, stream.route.attempts, duration);
        }
        if let HttpOutcome::Reply(reply) = &stream.decision().outcome
            && let Some(policy) = reply.details.strip_prefix("rbac_access_denied_matched_policy[")
        {
            let denier = self.tally.denier(policy.strip_suffix(']').unwrap_or(policy));
            if let Some(root) = self.roots.get_mut(stream.line.root)
                && stream.line.call == 0
                && !stream.line.shadow
            {
                root.summary.denied = Some(denier);
            }
        }
    }

    fn hop_of_stream(&self, stream: &Stream, bytes_sent: u64, grpc_status: Option<u32>) -> Hop {
        let side = &stream.side;
        let mut hop = self.hop_of_side(side, stream.line, LogKind::Http, stream.start_ns);
        let decision = stream.decision();
        let logged = stream.sent.as_deref().unwrap_or(stream.head());
        let original = self.exchanges.get(stream.exchange).map(|x| x.head.path.clone());
        hop.duration_ns = self.queue.now() - stream.start_ns;
        let (code, details) = match &stream.answered {
            None => (0, Str::default()),
            Some((code, Details::ViaUpstream)) => (*code, self.via_upstream.clone()),
            Some((code, Details::Text(text))) => (*code, text.clone()),
        };
        hop.code = Some(code);
        hop.details = Some(details);
        hop.flags = stream.flags;
        hop.method = Some(stream.head().method.clone());
        hop.authority = logged.authority.clone();
        hop.path = Some(logged.path.clone());
        hop.original_path = logged
            .headers
            .first("x-envoy-original-path")
            .map(Str::from)
            .or(original.filter(|o| *o != logged.path));
        hop.protocol = Some(stream.head().protocol);
        hop.attempts = stream.route.attempts;
        hop.bytes_sent = bytes_sent;
        hop.bytes_received =
            if stream.complete { stream.head().body_bytes } else { stream.head().body_bytes / 2 };
        hop.grpc_status = grpc_status;
        hop.upstream_failure = stream.route.upstream_failure.clone();
        hop.upstream_tls = stream.route.upstream_tls;
        hop.upstream_peer = stream.route.upstream_peer.clone();
        hop.upstream_protocol = stream.route.upstream_protocol;
        hop.virtual_host = decision.virtual_host(&side.snapshot).map(|v| v.name.clone());
        let route = decision.route(&side.snapshot);
        hop.route = route.map(|r| r.name.clone()).filter(|n| !n.is_empty());
        hop.route_index = decision.route.map(|r| r.route);
        hop.origin = origin_of(decision, &side.snapshot);
        [hop.rbac, hop.rbac_shadow] = rbac_names(&side.snapshot, side.chain, &decision.rbac);
        if let HttpOutcome::Forward(plan) = &decision.outcome {
            hop.timeout_ns = plan.timeout_ns;
        }
        if let Some(cluster) = stream.decided.routed {
            hop.cluster = Some(cluster);
            hop.cluster_name = Some(cluster_of(&side.snapshot, cluster).name.clone());
        }
        if let Some(RouteAction::Forward(forward)) = route.map(|r| &r.action) {
            hop.retries = forward.retry.as_ref().map_or(0, |r| r.num_retries);
        }
        if let (Some(cluster), Some(host)) = (stream.cluster, stream.route.host)
            && let Some(host) = self.clusters.get(cluster as usize).and_then(|c| c.state.host(host))
        {
            hop.upstream_host = host.address.socket();
            hop.upstream_workload = Some(host.workload.clone()).filter(|w| !w.is_empty());
        }
        hop
    }
}

/// `grpc-timeout`: at most eight digits and a unit.
pub(super) fn grpc_timeout(head: &RequestHead) -> Option<u64> {
    let text = head.headers.first("grpc-timeout")?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    let unit: u64 = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    value.checked_mul(unit)
}

/// The YAML behind a decision: the reply's, else the route's.
fn origin_of(decision: &HttpDecision, snapshot: &mesh_core::ir::Snapshot) -> OriginId {
    if let HttpOutcome::Reply(reply) = &decision.outcome
        && reply.origin.is_some()
    {
        return reply.origin;
    }
    let Some(route) = decision.route(snapshot) else { return OriginId::NONE };
    if route.origin.is_some() { route.origin } else { route.action_origin }
}
