//! Slow start ("warm-up") of new hosts (semantics: envoy-upstream 2.4). Envoy: EdfLoadBalancerBase.

use super::host::Host;
use crate::ids::Nanos;
use crate::ir::SlowStart;

const MS: Nanos = 1_000_000;

/// Whether the policy has slow start at all.
pub(super) fn is_on(slow: &SlowStart) -> bool {
    slow.window_ns / MS > 0
}

/// Whether `since_ns` is at most one window ago, in whole milliseconds.
pub(super) fn within(since_ns: Nanos, slow: &SlowStart, now_ns: Nanos) -> bool {
    now_ns.saturating_sub(since_ns) / MS <= slow.window_ns / MS
}

/// A balancer sees its hosts: those seen healthy for the first time start now. Returns the newest start to be kept as
/// `latest_ns` (Envoy: recalculateHostsInSlowStart).
pub(super) fn observe<'a>(
    hosts: impl Iterator<Item = &'a mut Host>,
    slow: &SlowStart,
    latest_ns: Nanos,
    now_ns: Nanos,
) -> Nanos {
    let mut latest = latest_ns;
    for host in hosts.filter(|h| h.is_healthy()) {
        let start = *host.slow_start_from_ns.get_or_insert(now_ns);
        if start > latest && within(start, slow, now_ns) {
            latest = start;
        }
    }
    latest
}

/// `weight` reduced by the slow-start factor of the host.
pub(super) fn weight(weight: f64, host: &Host, slow: &SlowStart, now_ns: Nanos) -> f64 {
    let Some(start) = host.slow_start_from_ns.filter(|_| is_on(slow) && host.is_healthy()) else {
        return weight;
    };
    let (elapsed, window) = (now_ns.saturating_sub(start) / MS, slow.window_ns / MS);
    if elapsed >= window {
        return weight;
    }
    let time = elapsed.max(1) as f64 / window as f64;
    // Envoy replaces nonsense by 1.0; NaN fails the comparison too.
    let aggression = if slow.aggression > 0.0 { slow.aggression } else { 1.0 };
    let factor = if aggression == 1.0 { time } else { libm::pow(time, 1.0 / aggression) };
    weight * factor.max(slow.min_weight_percent / 100.0)
}
