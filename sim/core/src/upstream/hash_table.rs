//! The consistent-hash table of one priority: which hosts are in it, with which keys and weights
//! (semantics: envoy-upstream 4.2). Its arithmetic: `table.rs`. Tables that were made once are kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scene::Scene;
use super::table::Table;
use crate::ids::HostId;
use crate::ir::LbPolicy;

/// A consistent-hash table with the hosts behind its entries.
#[derive(Debug, Clone)]
pub(super) struct HashTable {
    pub(super) hosts: Vec<HostId>,
    pub(super) table: Arc<Table>,
}

/// Tables made so far. A table is a pure function of hosts, weights and size, costs a million steps, and is the same
/// for every proxy and every branch of an enumeration: states of one mesh share one of these.
#[derive(Debug, Default)]
pub struct HashTables(Mutex<BTreeMap<Key, Arc<Table>>>);

/// Policy (0 ring, 1 Maglev), sizes, hosts with the bits of their weights.
type Key = (u8, u64, u64, Vec<(String, u64)>);

/// Tables kept at once: a cluster whose hosts come and go has one per set of healthy hosts.
const MOST_TABLES: usize = 64;

impl HashTables {
    fn get(&self, lb: &LbPolicy, keys: &[(String, f64)]) -> Arc<Table> {
        let (kind, low, high) = match *lb {
            LbPolicy::Maglev { table_size } => (1, table_size, 0),
            LbPolicy::RingHash { minimum_ring_size, maximum_ring_size } => {
                (0, minimum_ring_size, maximum_ring_size)
            }
            _ => return Arc::new(Table::Ring(Vec::new())),
        };
        let key: Key = (kind, low, high, keys.iter().map(|(k, w)| (k.clone(), w.to_bits())).collect());
        // A panic while the map was locked left it whole: entries are added in one step.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = made.get(&key) {
            return Arc::clone(table);
        }
        let table = Arc::new(if kind == 1 { Table::maglev(keys, low) } else { Table::ring(keys, low, high) });
        if made.len() >= MOST_TABLES {
            made.pop_first();
        }
        made.insert(key, Arc::clone(&table));
        table
    }
}

/// semantics: envoy-upstream 4.2. Envoy: ThreadAwareLoadBalancerBase, normalizeWeights.
pub(super) fn hash_table(tables: &HashTables, scene: &Scene<'_>, priority: usize) -> HashTable {
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
    let table = tables.get(&scene.cluster.lb, &keys);
    HashTable { hosts, table }
}
