//! Whether a failed attempt is tried again, and after which back-off (semantics: envoy-routing 5).
//!
//! Timers are the caller's: a route timeout, per-try timeouts and the back-off it is told to wait.

use super::breaker::RetrySlot;
use super::state::ClusterState;
use crate::cx::{Draws, Purpose};
use crate::ids::Nanos;
use crate::ir::{Cluster, RetryOn, RetryPolicy};
use crate::response::ResponseFlag;

/// Why a stream to a host ended before its response (semantics: envoy-routing 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// Refused, unreachable, TLS failure: UF `remote_connection_failure`.
    ConnectionFailure,
    /// Connect timeout: UF `connection_timeout`.
    ConnectionTimeout,
    /// Closed or TCP reset before the response: UC `connection_termination`.
    ConnectionTermination,
    /// Unparsable response: UPE `protocol_error`.
    ProtocolError,
    /// HTTP/2 RST_STREAM: UR `remote_reset`.
    RemoteReset,
    /// HTTP/2 REFUSED_STREAM or a GOAWAY that does not cover the stream: UR `remote_refused_stream_reset`.
    RemoteRefusedStream,
    /// A breaker refused it: UO `overflow`. Never retried.
    Overflow,
}

/// How an attempt ended, as far as the retry decision looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Response headers.
    Headers {
        /// `:status`
        status: u16,
        /// `grpc-status` in the headers.
        grpc_status: Option<u32>,
        /// `x-envoy-ratelimited` is present.
        rate_limited: bool,
    },
    /// Reset before response headers.
    Reset {
        /// Why.
        reason: ResetReason,
        /// Some attempt of this request has written a byte upstream.
        request_started: bool,
    },
    /// `per_try_timeout` expired before response headers.
    PerTryTimeout,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Pick again after this delay, ns. A slot of the retry breaker is held.
    Retry {
        /// Back-off, whole milliseconds.
        backoff_ns: Nanos,
    },
    /// The outcome stands; the flag (URX or UO) comes before the outcome's own.
    NoRetry {
        /// Flag to set, if any.
        flag: Option<ResponseFlag>,
    },
}

/// The retries of one request.
#[derive(Debug, Default)]
pub struct RetryState {
    left: u32,
    next_ms: u64,
    scheduled: u16,
    slot: Option<RetrySlot>,
}

impl RetryState {
    /// A fresh request under `policy`.
    #[must_use]
    pub fn new(policy: &RetryPolicy) -> Self {
        RetryState { left: policy.num_retries, next_ms: base_ms(policy), scheduled: 0, slot: None }
    }

    /// Decides after an attempt (semantics: envoy-routing 5.3). Call it once per attempt, also for good answers: it
    /// gives back the slot that the attempt held. The response must not have been forwarded yet.
    pub fn decide<D: Draws>(
        &mut self,
        policy: &RetryPolicy,
        outcome: AttemptOutcome,
        cluster: &Cluster,
        state: &mut ClusterState,
        draws: &mut D,
    ) -> RetryDecision {
        self.finish(state);
        if !covers(policy, outcome) {
            return RetryDecision::NoRetry { flag: None };
        }
        if self.left == 0 {
            return RetryDecision::NoRetry { flag: Some(ResponseFlag::URX) };
        }
        self.left -= 1;
        match state.try_retry(cluster) {
            None => RetryDecision::NoRetry { flag: Some(ResponseFlag::UO) },
            Some(slot) => {
                self.slot = Some(slot);
                RetryDecision::Retry { backoff_ns: self.backoff_ns(policy, outcome, draws) }
            }
        }
    }

    /// The request ends without a further decision (route timeout, client gone): gives back the slot.
    pub fn finish(&mut self, state: &mut ClusterState) {
        if let Some(slot) = self.slot.take() {
            state.release_retry(slot);
        }
    }

    /// Retries scheduled so far.
    #[must_use]
    pub fn scheduled(&self) -> u32 {
        u32::from(self.scheduled)
    }

    /// semantics: envoy-routing 5.4. Envoy: `JitteredExponentialBackOffStrategy::nextBackOffMs`.
    fn backoff_ns<D: Draws>(
        &mut self,
        policy: &RetryPolicy,
        outcome: AttemptOutcome,
        draws: &mut D,
    ) -> Nanos {
        self.scheduled = self.scheduled.saturating_add(1);
        // `retriable-status-codes` with 425 retries at once.
        if let AttemptOutcome::Headers { status: 425, .. } = outcome
            && policy.retry_on.has(RetryOn::RETRIABLE_STATUS_CODES)
            && policy.retriable_status_codes.contains(&425)
        {
            return 0;
        }
        let base = self.next_ms.max(1);
        let max = max_ms(policy);
        self.next_ms = if self.next_ms < max / 2 { self.next_ms * 2 } else { max };
        (draws.draw(Purpose::Backoff(self.scheduled)) % base) * 1_000_000
    }
}

fn base_ms(policy: &RetryPolicy) -> u64 {
    (policy.base_interval_ns / 1_000_000).max(1)
}

fn max_ms(policy: &RetryPolicy) -> u64 {
    (policy.max_interval_ns / 1_000_000).max(1)
}

/// Whether a policy retries after this: the matrix of semantics: envoy-routing 5.2.
#[must_use]
pub fn covers(policy: &RetryPolicy, outcome: AttemptOutcome) -> bool {
    let on = policy.retry_on;
    match outcome {
        AttemptOutcome::Headers { status, grpc_status, rate_limited } => {
            if rate_limited {
                // Envoy: RetryStateImpl::wouldRetryFromHeaders looks at nothing else then.
                return on.has(RetryOn::ENVOY_RATELIMITED);
            }
            (on.has(RetryOn::FIVE_XX) && (500..600).contains(&status))
                || (on.has(RetryOn::GATEWAY_ERROR) && (502..=504).contains(&status))
                || (on.has(RetryOn::RETRIABLE_4XX) && status == 409)
                || (on.has(RetryOn::RETRIABLE_STATUS_CODES)
                    && policy.retriable_status_codes.contains(&status))
                || grpc_status.is_some_and(|code| covers_grpc(on, code))
        }
        AttemptOutcome::Reset { reason: ResetReason::Overflow, .. } => false,
        AttemptOutcome::Reset { reason, request_started } => {
            let any_reset = RetryOn(RetryOn::FIVE_XX.0 | RetryOn::GATEWAY_ERROR.0 | RetryOn::RESET.0);
            on.0 & any_reset.0 != 0
                || (on.has(RetryOn::RESET_BEFORE_REQUEST) && !request_started)
                || (on.has(RetryOn::CONNECT_FAILURE)
                    && matches!(reason, ResetReason::ConnectionFailure | ResetReason::ConnectionTimeout))
                || (on.has(RetryOn::REFUSED_STREAM) && reason == ResetReason::RemoteRefusedStream)
        }
        AttemptOutcome::PerTryTimeout => {
            on.has(RetryOn::FIVE_XX) || on.has(RetryOn::GATEWAY_ERROR) || on.has(RetryOn::RESET)
        }
    }
}

fn covers_grpc(on: RetryOn, code: u32) -> bool {
    match code {
        1 => on.has(RetryOn::GRPC_CANCELLED),
        4 => on.has(RetryOn::GRPC_DEADLINE_EXCEEDED),
        8 => on.has(RetryOn::GRPC_RESOURCE_EXHAUSTED),
        13 => on.has(RetryOn::GRPC_INTERNAL),
        14 => on.has(RetryOn::GRPC_UNAVAILABLE),
        _ => false,
    }
}
