//! The exact distribution of a first pick on an undisturbed balancer.

use super::balance::Balancer;
use super::hash_table::hash_table;
use super::loads;
use super::scene::{Scene, Source};
use super::shares::shares;
use crate::ids::HostId;

impl Balancer {
    /// The stationary distribution of one ask.
    pub(super) fn distribution(&self, scene: &Scene<'_>) -> Vec<(HostId, f64)> {
        let mut result: Vec<(HostId, f64)> = Vec::new();
        let hashing = scene.is_hashing();
        for (p, percent) in scene.percent().iter().enumerate() {
            let share = match scene.hash.filter(|_| hashing) {
                Some(h) => f64::from(u8::from(loads::choose(scene.percent(), h) == p)),
                None => f64::from(*percent) / 100.0,
            };
            if share > 0.0 {
                let hosts = self.distribution_within(scene, p, hashing);
                result.extend(hosts.into_iter().map(|(id, part)| (id, part * share)));
            }
        }
        result
    }

    fn distribution_within(&self, scene: &Scene<'_>, priority: usize, hashing: bool) -> Vec<(HostId, f64)> {
        if hashing {
            let table = hash_table(scene, priority);
            return match scene.hash {
                Some(h) => {
                    let found = table.table.lookup(h, 0).and_then(|i| table.hosts.get(i as usize));
                    found.map(|id| (*id, 1.0)).into_iter().collect()
                }
                None => table.hosts.iter().copied().zip(table.table.shares(table.hosts.len())).collect(),
            };
        }
        let Some(sources) = self.priorities.get(priority) else { return Vec::new() };
        if scene.panics(priority) {
            return shares(scene, priority, scene.hosts_of(priority, Source::All), sources.all.weighted);
        }
        if sources.weighted.is_empty() {
            return shares(
                scene,
                priority,
                scene.hosts_of(priority, Source::Healthy),
                sources.healthy.weighted,
            );
        }
        let sum: f64 = sources.weighted.iter().map(|(_, w)| *w).sum();
        let mut result = Vec::new();
        for (locality, weight) in &sources.weighted {
            let Some(rotation) = sources.localities.get(*locality) else { continue };
            let hosts = scene.hosts_of(priority, Source::Locality(*locality));
            let inside = shares(scene, priority, hosts, rotation.weighted);
            result.extend(inside.into_iter().map(|(id, part)| (id, part * weight / sum)));
        }
        result
    }
}
