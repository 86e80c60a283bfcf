//! The consistent-hash table of one priority: which hosts are in it, with which keys and weights
//! (semantics: envoy-upstream 4.2). Its arithmetic: `table.rs`.

use super::scene::Scene;
use super::table::Table;
use crate::ids::HostId;
use crate::ir::LbPolicy;

/// A consistent-hash table with the hosts behind its entries.
#[derive(Debug, Clone)]
pub(super) struct HashTable {
    pub(super) hosts: Vec<HostId>,
    pub(super) table: Table,
}

/// semantics: envoy-upstream 4.2. Envoy: ThreadAwareLoadBalancerBase, normalizeWeights.
pub(super) fn hash_table(scene: &Scene<'_>, priority: usize) -> HashTable {
    let mut hosts: Vec<HostId> = Vec::new();
    let mut weights: Vec<f64> = Vec::new();
    let mut add = |ids: &[HostId], part: f64| {
        let sum: f64 = ids.iter().filter_map(|id| scene.host(*id)).map(|h| f64::from(h.weight)).sum();
        for id in ids {
            if let Some(host) = scene.host(*id) {
                hosts.push(*id);
                weights.push(f64::from(host.weight) * part / sum);
            }
        }
    };
    let panic = scene.panics(priority);
    if let Some(view) = scene.priority(priority) {
        let sum: u64 = view.localities.iter().map(|l| u64::from(l.weight)).sum();
        if scene.cluster.common_lb.locality_weighted && sum > 0 {
            for locality in view.localities.iter().filter(|l| l.weight > 0) {
                let part = f64::from(locality.weight) / sum as f64;
                add(if panic { &locality.all } else { &locality.healthy }, part);
            }
        } else {
            add(if panic { &view.all } else { &view.healthy }, 1.0);
        }
    }
    let keys: Vec<(String, f64)> = hosts
        .iter()
        .zip(weights)
        .map(|(id, weight)| (scene.host(*id).map(|h| h.address.text()).unwrap_or_default(), weight))
        .collect();
    let table = match scene.cluster.lb {
        LbPolicy::Maglev { table_size } => Table::maglev(&keys, table_size),
        LbPolicy::RingHash { minimum_ring_size, maximum_ring_size } => {
            Table::ring(&keys, minimum_ring_size, maximum_ring_size)
        }
        _ => Table::Ring(Vec::new()),
    };
    HashTable { hosts, table }
}
