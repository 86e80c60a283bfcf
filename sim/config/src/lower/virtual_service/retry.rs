//! Retry policies (istiod: `retry.ConvertPolicy`, `ConvertInboundPolicy`; semantics: istio-networking 3.9).

use mesh_core::ids::Nanos;
use mesh_core::ir::{RetryOn, RetryPolicy};

use crate::lower::origin::OriginTable;
use crate::resource::http_route::HttpRetry;
use crate::resource::scalar::Duration;

const OUTBOUND_CONDITIONS: &str =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const INBOUND_CONDITIONS: &str = "reset-before-request";
const DEFAULT_RETRIES: u32 = 2;
/// Envoy: `RetryPolicy.RetryBackOff`, base 25 ms, cap ten times the base.
const BASE_INTERVAL_NS: Nanos = 25_000_000;

/// The policies of outbound routes without `retries`, made once.
#[derive(Debug)]
pub struct DefaultRetries {
    plain: Option<RetryPolicy>,
    hashed: Option<RetryPolicy>,
}

impl DefaultRetries {
    /// Those of `meshConfig.defaultHttpRetryPolicy`, or Istio's own.
    #[must_use]
    pub fn new(origins: &OriginTable, mesh: Option<&HttpRetry>) -> Self {
        DefaultRetries { plain: outbound(origins, mesh, false), hashed: outbound(origins, mesh, true) }
    }

    /// The policy of a route whose single destination uses consistent hashing, or does not.
    #[must_use]
    pub fn get(&self, hashed: bool) -> Option<RetryPolicy> {
        if hashed { self.hashed.clone() } else { self.plain.clone() }
    }
}

/// The policy of an outbound route. `written` is that of the route or else of the mesh; `hashed` says that the single
/// destination of the route uses consistent hashing, where trying another host would defeat the hash.
#[must_use]
pub fn outbound(origins: &OriginTable, written: Option<&HttpRetry>, hashed: bool) -> Option<RetryPolicy> {
    let mut out = RetryPolicy { previous_hosts: !hashed, ..base(OUTBOUND_CONDITIONS, 5) };
    let Some(retry) = written else { return Some(out) };
    customize(&mut out, origins, retry)?;
    out.per_try_timeout_ns = retry.per_try_timeout.map_or(0, nanos);
    if let Some(ignore) = retry.retry_ignore_previous_hosts {
        out.previous_hosts = ignore;
    }
    if retry.retry_remote_localities == Some(true) {
        out.previous_priorities = 2;
    }
    Some(out)
}

/// The policy of an inbound route: of the mesh's, only `attempts`, `retryOn` and `backoff` count.
#[must_use]
pub fn inbound(origins: &OriginTable, written: Option<&HttpRetry>) -> Option<RetryPolicy> {
    // Envoy: `host_selection_retry_max_attempts` unset is 1.
    let mut out = base(INBOUND_CONDITIONS, 1);
    let Some(retry) = written else { return Some(out) };
    customize(&mut out, origins, retry)?;
    Some(out)
}

fn base(conditions: &str, host_selection_max_attempts: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: RetryOn::parse(conditions),
        retry_on_text: conditions.into(),
        num_retries: DEFAULT_RETRIES,
        retriable_status_codes: Vec::new(),
        per_try_timeout_ns: 0,
        base_interval_ns: BASE_INTERVAL_NS,
        max_interval_ns: BASE_INTERVAL_NS * 10,
        previous_hosts: false,
        previous_priorities: 0,
        host_selection_max_attempts,
        origin: mesh_core::OriginId::NONE,
    }
}

/// What both directions take from a written policy; `None` when it disables retries.
fn customize(out: &mut RetryPolicy, origins: &OriginTable, retry: &HttpRetry) -> Option<()> {
    out.num_retries = u32::try_from(retry.attempts).ok().filter(|&n| n > 0)?;
    out.origin = origins.id(retry.origin);
    if !retry.retry_on.is_empty() {
        let (mut words, codes) = split_conditions(&retry.retry_on);
        if !codes.is_empty() && !words.contains("retriable-status-codes") {
            words.push_str(",retriable-status-codes");
        }
        out.retry_on = RetryOn::parse(&words);
        out.retry_on_text = words.into();
        out.retriable_status_codes = codes;
    }
    if let Some(backoff) = retry.backoff {
        out.base_interval_ns = nanos(backoff);
        out.max_interval_ns = out.base_interval_ns.saturating_mul(10);
    }
    Some(())
}

/// Numbers that are HTTP statuses are status codes, everything else is a condition.
fn split_conditions(list: &str) -> (String, Vec<u16>) {
    let mut words = Vec::new();
    let mut codes = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse::<u16>().ok().filter(|&code| is_http_status(code)) {
            Some(code) => codes.push(code),
            None => words.push(part),
        }
    }
    (words.join(","), codes)
}

/// The statuses Go's `http.StatusText` has a text for.
fn is_http_status(code: u16) -> bool {
    matches!(code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 510 | 511)
}

/// A duration as the IR keeps it; negative ones (which validation refuses) count as 0.
pub(super) fn nanos(d: Duration) -> Nanos {
    Nanos::try_from(d.ns).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_two_retries_without_5xx() {
        let policy = outbound(&OriginTable::default(), None, false).unwrap();
        assert_eq!(policy.num_retries, 2);
        assert!(!policy.retry_on.has(RetryOn::FIVE_XX));
        assert!(policy.previous_hosts);
        assert!(!outbound(&OriginTable::default(), None, true).unwrap().previous_hosts);
        assert_eq!(inbound(&OriginTable::default(), None).unwrap().retry_on, RetryOn::RESET_BEFORE_REQUEST);
    }

    #[test]
    fn an_empty_block_disables_and_numbers_are_status_codes() {
        let origins = OriginTable::default();
        assert_eq!(outbound(&origins, Some(&HttpRetry::default()), false), None);
        let written = HttpRetry { attempts: 3, retry_on: "5xx, 503,999".into(), ..HttpRetry::default() };
        let policy = outbound(&origins, Some(&written), false).unwrap();
        assert_eq!(policy.retry_on_text.as_ref(), "5xx,999,retriable-status-codes");
        assert_eq!(policy.retriable_status_codes, [503]);
        assert_eq!(policy.num_retries, 3);
    }
}
