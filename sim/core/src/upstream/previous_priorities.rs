//! `retry_priority: previous_priorities`: retries leave the priorities already tried (semantics: envoy-routing 5.5).
//! Envoy: source/extensions/retry/priority/previous_priorities.

use super::host::Host;
use super::loads::distribute;
use super::view::View;
use crate::ids::HostId;
use crate::ir::{Cluster, RetryPolicy};

/// The loads for this retry; `None` = unchanged.
///
/// Every `update_frequency` tries the priorities of all hosts tried so far are excluded. When nothing available is
/// left the exclusion starts over, and where nothing is available at all the loads stay as they are.
pub(super) fn percent(
    policy: &RetryPolicy,
    tried: &[HostId],
    hosts: &[Host],
    view: &View,
    cluster: &Cluster,
) -> Option<Vec<u32>> {
    let frequency = policy.previous_priorities as usize;
    if frequency == 0 || tried.len() < frequency {
        return None;
    }
    let counted = tried.len() - tried.len() % frequency;
    let excluded = |p: usize| {
        tried
            .iter()
            .take(counted)
            .filter_map(|id| hosts.get(id.index()))
            .any(|host| host.priority as usize == p)
    };
    let available: Vec<u32> =
        view.priorities.iter().map(|p| p.counts.availability(cluster.overprovisioning_factor)).collect();
    let left: Vec<u32> =
        available.iter().enumerate().map(|(p, a)| if excluded(p) { 0 } else { *a }).collect();
    let used = if left.iter().all(|a| *a == 0) { available } else { left };
    if used.iter().all(|a| *a == 0) { None } else { Some(distribute(&used)) }
}
