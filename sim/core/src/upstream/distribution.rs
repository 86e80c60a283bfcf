//! The exact distribution of a first pick on an undisturbed balancer.

use super::balance::{Balancer, Sources};
use super::hash_table::hash_table;
use super::keyless;
use super::loads;
use super::scene::{Scene, Source};
use super::shares::shares;
use crate::ids::HostId;
use crate::ir::LbPolicy;

impl Balancer {
    /// The distribution of a pick that asks up to `extra` more times while the answer is one of `tried`, for balancers
    /// that remember nothing from pick to pick. `None` for those with a memory, and for hashes that are given.
    pub(super) fn distribution_of_asks(
        &self,
        scene: &Scene<'_>,
        tried: &[HostId],
        extra: u32,
    ) -> Option<Vec<(HostId, f64)>> {
        if scene.is_hashing() {
            let keyless = || keyless::distribution(&self.tables, scene, tried, extra);
            return scene.hash.is_none().then(keyless);
        }
        let draws_anew = |p: &Sources| match scene.cluster.lb {
            LbPolicy::Random => p.weighted.is_empty(),
            LbPolicy::LeastRequest(..) => p.weighted.is_empty() && !p.all.weighted && !p.healthy.weighted,
            _ => false,
        };
        if !self.priorities.iter().all(draws_anew) {
            return None;
        }
        // Every ask draws from the same shares, whatever was drawn before.
        let one = self.distribution(scene);
        let refused = |id: &HostId| tried.contains(id);
        let again: f64 = one.iter().filter(|(id, _)| refused(id)).map(|(_, p)| p).sum();
        let last = libm::pow(again, f64::from(extra));
        let asks: f64 = (0..=extra).map(|k| libm::pow(again, f64::from(k))).sum();
        let part = |(id, p): (HostId, f64)| (id, p * if refused(&id) { last } else { asks });
        Some(one.into_iter().map(part).collect())
    }

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
            let table = hash_table(&self.tables, scene, priority);
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
