//! Circuit breakers of one cluster, DEFAULT priority class (semantics: envoy-upstream 6). Counting only: what happens
//! to a refused request (flag UO, queueing) is the caller's order of 6.2.

use crate::ir::CircuitBreakers;

/// The counters behind the limits. Every test is `current < max` before the increment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breakers {
    /// Connections, connecting and draining ones included.
    pub connections: u32,
    /// Requests waiting for a connection.
    pub pending: u32,
    /// Streams attached to connections.
    pub requests: u32,
    /// Retries scheduled or in flight.
    pub retries: u32,
    /// Refusals so far, by limit.
    pub overflows: Overflows,
}

/// How often each limit refused something (`upstream_cx_overflow` and so on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overflows {
    /// `upstream_cx_overflow`: refused or merely not opened, see semantics: envoy-upstream 6.2.
    pub connections: u64,
    /// `upstream_rq_pending_overflow`
    pub pending: u64,
    /// `upstream_rq_active_overflow`
    pub requests: u64,
    /// `upstream_rq_retry_overflow`
    pub retries: u64,
}

/// What a pool that wants a connection is told. Envoy: ConnPoolImplBase::ConnectionResult.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connecting {
    /// Open one; ask again for more.
    Free,
    /// The limit is reached, but a pool may always have one: open it and ask for no more.
    Last,
    /// The limit is reached.
    Refused,
}

/// A retry slot: taken when a retry is scheduled, given back when the retried attempt is decided.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a retry slot must be released"]
pub struct RetrySlot {
    pub(super) generation: u32,
}

impl Breakers {
    /// A request joins the queue of a pool; false = overflow (503 UO).
    pub fn try_pending(&mut self, limits: &CircuitBreakers) -> bool {
        let ok = self.pending < limits.max_pending_requests;
        if ok {
            self.pending += 1;
        } else {
            self.overflows.pending += 1;
        }
        ok
    }

    /// A request leaves the queue (attached, failed or cancelled).
    pub fn release_pending(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    /// Whether a pool may open a connection: below the limit, or its first one (`pool_is_empty`), which is always
    /// allowed (semantics: envoy-upstream 6.2). Counts an overflow whenever the limit is reached.
    pub fn may_connect(&mut self, limits: &CircuitBreakers, pool_is_empty: bool) -> Connecting {
        if self.connections < limits.max_connections {
            return Connecting::Free;
        }
        self.overflows.connections += 1;
        if pool_is_empty { Connecting::Last } else { Connecting::Refused }
    }

    /// A TCP proxy's test before it picks a host; false = closed with UO (semantics: envoy-upstream 6.5).
    pub fn may_connect_tcp(&mut self, limits: &CircuitBreakers) -> bool {
        self.may_connect(limits, false) == Connecting::Free
    }

    /// The number of concurrent retries allowed now (semantics: envoy-upstream 6.4).
    #[must_use]
    pub fn retry_limit(&self, limits: &CircuitBreakers) -> u32 {
        match limits.retry_budget {
            None => limits.max_retries,
            Some((percent, min_concurrency)) => {
                let base = f64::from(self.requests) + f64::from(self.pending);
                // Envoy: ResourceManagerImpl::RetryBudgetImpl::max truncates.
                let allowed = (percent / 100.0 * base) as u32;
                allowed.max(min_concurrency)
            }
        }
    }
}
