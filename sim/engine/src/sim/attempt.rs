//! How attempts end and what follows: answers, resets, timeouts, retries (semantics: envoy-routing 4, 5, 7).

use std::sync::Arc;

use mesh_core::cx::TraceSink;
use mesh_core::decide;
use mesh_core::ids::OriginId;
use mesh_core::ir::RouteAction;
use mesh_core::response::{LocalReply, ResponseFlag};
use mesh_core::upstream::{AttemptOutcome, ResetReason, RetryDecision, UpstreamEvent};

use super::state::{Answerer, Attempt, AttemptReset, Details, StreamId};
use super::words;
use super::{Event, Sim};
use crate::draws::{At, Chance};
use crate::record::Response;

/// Bodies beyond the buffer limit cannot be sent again: retries are given up in silence (semantics: envoy-routing 5.3).
const RETRY_BUFFER_BYTES: u64 = 1_048_576;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
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
}
