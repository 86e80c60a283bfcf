//! Stationary shares of the balancing policies: what a pick amounts to when nothing is known about earlier picks. Used
//! where outcomes are enumerated.

use super::loads;
use super::scene::Scene;
use crate::ids::HostId;
use crate::ir::LbPolicy;

/// Residues modulo `n` among the numbers whose residue modulo 100 belongs to the priority.
pub(super) fn random_shares(scene: &Scene<'_>, priority: usize, n: usize) -> Vec<f64> {
    let percent = scene.percent();
    if percent.get(priority) == Some(&100) {
        return vec![1.0; n];
    }
    let n64 = n as u64;
    let mut shares = vec![0.0; n];
    for r in 0..(100 / gcd(100, n64) * n64) {
        if loads::choose(percent, r) == priority
            && let Some(share) = shares.get_mut((r % n64) as usize)
        {
            *share += 1.0;
        }
    }
    shares
}

/// Exact shares of least request with `k` draws: the least loaded of the sample wins, equals are alike.
pub(super) fn least_shares(scene: &Scene<'_>, hosts: &[HostId], k: u32) -> Vec<f64> {
    let active: Vec<u32> = hosts.iter().map(|id| scene.host(*id).map_or(0, |h| h.active_requests)).collect();
    if active.windows(2).all(|w| matches!(w, [a, b] if a == b)) {
        return vec![1.0; hosts.len()];
    }
    let n = hosts.len() as f64;
    let power = |count: usize| libm::pow(count as f64 / n, f64::from(k.max(1)));
    active
        .iter()
        .map(|a| {
            let at_least = active.iter().filter(|b| *b >= a).count();
            let more = active.iter().filter(|b| *b > a).count();
            (power(at_least) - power(more)) / (at_least - more) as f64
        })
        .collect()
}

/// The stationary shares of one source, summing to 1.
pub(super) fn shares(
    scene: &Scene<'_>,
    priority: usize,
    hosts: &[HostId],
    weighted: bool,
) -> Vec<(HostId, f64)> {
    let parts: Vec<f64> = match scene.cluster.lb {
        LbPolicy::Random => random_shares(scene, priority, hosts.len()),
        _ if weighted => hosts.iter().map(|id| scene.weight(*id)).collect(),
        LbPolicy::LeastRequest(k, _) => least_shares(scene, hosts, k),
        _ => vec![1.0; hosts.len()],
    };
    let sum: f64 = parts.iter().sum();
    hosts.iter().copied().zip(parts.into_iter().map(|p| p / sum)).collect()
}

/// Greatest common divisor.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
