//! Picking a host from the published view: rotation, schedules, least request, random, hashing
//! (semantics: envoy-upstream 0.2, 2–4).
//!
//! Balancers remember: one ever-growing index per source of hosts, and earliest-deadline-first schedules that are
//! rebuilt at every publication. When draws enumerate, memory is replaced by the stationary distribution, except for
//! plain rotations: their unknown start is chosen bit by bit and the rotation goes on from there.

use std::sync::Arc;

use super::asking::Asking;
use super::edf::Edf;
use super::hash_table::{HashTable, hash_table};
use super::loads;
use super::scene::{Scene, Source};
use super::shares::{gcd, least_shares, random_shares};
use super::slow_start;
use super::view::PriorityView;
use crate::cx::Draws;
use crate::ids::{HostId, Nanos};
use crate::ir::LbPolicy;

/// The start value of rotations and schedules: one 64-bit number per balancer.
#[derive(Debug, Clone, Copy)]
enum Seed {
    /// Drawn.
    Known(u64),
    /// Enumerated: only its residue modulo something has been chosen so far.
    Residue { residue: u64, modulus: u64 },
}

/// What remains between picks.
#[derive(Debug, Clone)]
pub(super) struct Balancer {
    seed: Seed,
    /// Publications so far; locality schedules get a new phase with each.
    publications: u64,
    /// Newest start of slow start seen.
    pub(super) latest_start_ns: Nanos,
    pub(super) priorities: Vec<Sources>,
}

/// The memory of one priority.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) all: Rotation,
    pub(super) healthy: Rotation,
    pub(super) localities: Vec<Rotation>,
    /// Localities that take part, with their weights in effect; empty = no locality weighting.
    pub(super) weighted: Vec<(usize, f64)>,
    locality_schedule: Option<Edf>,
    table: Option<Arc<HashTable>>,
}

/// The memory of one source of hosts.
#[derive(Debug, Clone, Default)]
pub(super) struct Rotation {
    /// Picks so far; the index is this much beyond the seed.
    picks: u64,
    /// Hosts differ in weight or may be in slow start.
    pub(super) weighted: bool,
    /// The schedule of a weighted source.
    schedule: Option<Edf>,
}

impl Balancer {
    /// A balancer that has seen nothing yet. `seed: None` leaves its phase open to enumeration.
    pub(super) fn new(seed: Option<u64>, now_ns: Nanos) -> Balancer {
        Balancer {
            seed: seed.map_or(Seed::Residue { residue: 0, modulus: 1 }, Seed::Known),
            publications: 0,
            latest_start_ns: now_ns,
            priorities: Vec::new(),
        }
    }

    /// A new view: indexes go on, everything else is rebuilt (semantics: envoy-upstream 1.2).
    pub(super) fn refresh(&mut self, scene: &Scene<'_>) {
        self.publications += 1;
        let n = scene.view.priorities.len();
        if self.priorities.len() < n {
            self.priorities.resize_with(n, Sources::default);
        }
        let warming = self.is_warming(scene);
        for (p, view) in scene.view.priorities.iter().enumerate() {
            let Some(sources) = self.priorities.get_mut(p) else { continue };
            sources.table = None;
            sources
                .localities
                .resize_with(sources.localities.len().max(view.localities.len()), Rotation::default);
            let seed = self.seed;
            sources.all.rebuild(scene, &view.all, warming, seed);
            sources.healthy.rebuild(scene, &view.healthy, warming, seed);
            for (rotation, locality) in sources.localities.iter_mut().zip(&view.localities) {
                rotation.rebuild(scene, &locality.healthy, warming, seed);
            }
            sources.rebuild_localities(scene, view, seed, mix(self.publications, p as u64));
        }
    }

    fn is_warming(&self, scene: &Scene<'_>) -> bool {
        let (LbPolicy::RoundRobin(slow) | LbPolicy::LeastRequest(_, slow)) = &scene.cluster.lb else {
            return false;
        };
        slow_start::is_on(slow) && slow_start::within(self.latest_start_ns, slow, scene.now_ns)
    }

    /// One ask. `ask` counts the asks of this pick from 0 (hash tables move on with it).
    pub(super) fn pick<D: Draws>(
        &mut self,
        scene: &Scene<'_>,
        ask: u32,
        draws: &mut Asking<'_, D>,
    ) -> Option<HostId> {
        let hashing = scene.is_hashing();
        let (priority, h) = choose_priority(scene, hashing, draws);
        if hashing {
            let table = self.table(scene, priority)?;
            let index = match h {
                Some(h) => table.table.lookup(h, ask)?,
                None => draws.share(&table.table.shares(table.hosts.len())) as u32,
            };
            return table.hosts.get(index as usize).copied();
        }
        let source = self.source(scene, priority, draws)?;
        let candidates = scene.hosts_of(priority, source);
        if candidates.is_empty() {
            return None;
        }
        if scene.cluster.lb == LbPolicy::Random {
            return pick_random(scene, priority, candidates, h, draws);
        }
        let seed = &mut self.seed;
        let rotation = self.priorities.get_mut(priority)?.rotation(source)?;
        if rotation.weighted {
            return rotation.pick_weighted(scene, candidates, draws);
        }
        match scene.cluster.lb {
            LbPolicy::LeastRequest(choices, _) => pick_least(scene, candidates, choices, draws),
            _ => rotation.pick_next(candidates, seed, draws),
        }
    }

    /// Which hosts of the priority are used (Envoy: ZoneAwareLoadBalancerBase::hostSourceToUse).
    fn source<D: Draws>(
        &mut self,
        scene: &Scene<'_>,
        priority: usize,
        draws: &mut Asking<'_, D>,
    ) -> Option<Source> {
        if scene.panics(priority) {
            return Some(Source::All);
        }
        let sources = self.priorities.get_mut(priority)?;
        let weighted = &sources.weighted;
        if weighted.is_empty() {
            return Some(Source::Healthy);
        }
        let index = match &mut sources.locality_schedule {
            Some(schedule) if !draws.enumerates() => {
                schedule.pick(|i| weighted.get(i as usize).map_or(1.0, |(_, w)| *w))? as usize
            }
            _ => draws.share(&weighted.iter().map(|(_, w)| *w).collect::<Vec<_>>()),
        };
        weighted.get(index).map(|(locality, _)| Source::Locality(*locality))
    }

    fn table(&mut self, scene: &Scene<'_>, priority: usize) -> Option<Arc<HashTable>> {
        let slot = &mut self.priorities.get_mut(priority)?.table;
        if slot.is_none() {
            *slot = Some(Arc::new(hash_table(scene, priority)));
        }
        slot.clone()
    }
}

impl Sources {
    fn rotation(&mut self, source: Source) -> Option<&mut Rotation> {
        match source {
            Source::All => Some(&mut self.all),
            Source::Healthy => Some(&mut self.healthy),
            Source::Locality(i) => self.localities.get_mut(i),
        }
    }

    /// semantics: envoy-upstream 1.6. Envoy: LocalityWrr::rebuildLocalityScheduler.
    fn rebuild_localities(&mut self, scene: &Scene<'_>, view: &PriorityView, seed: Seed, phase: u64) {
        self.weighted.clear();
        self.locality_schedule = None;
        if !scene.cluster.common_lb.locality_weighted || view.healthy.is_empty() {
            return;
        }
        let factor = scene.cluster.overprovisioning_factor;
        let effective = view.localities.iter().map(|l| l.effective_weight(factor));
        self.weighted.extend(effective.enumerate().filter(|(_, w)| *w > 0.0));
        if let (false, Seed::Known(seed)) = (self.weighted.is_empty(), seed) {
            let weights: Vec<f64> = self.weighted.iter().map(|(_, w)| *w).collect();
            self.locality_schedule = Some(Edf::with_picks(&weights, mix(seed, phase)));
        }
    }
}

impl Rotation {
    fn rebuild(&mut self, scene: &Scene<'_>, hosts: &[HostId], warming: bool, seed: Seed) {
        self.schedule = None;
        self.weighted = hosts.len() > 1
            && matches!(scene.cluster.lb, LbPolicy::RoundRobin(_) | LbPolicy::LeastRequest(..))
            && (warming || !equal_weights(scene, hosts));
        if self.weighted
            && let Seed::Known(seed) = seed
        {
            let weights: Vec<f64> = hosts.iter().map(|id| scene.weight(*id)).collect();
            self.schedule = Some(Edf::with_picks(&weights, seed));
        }
    }

    /// semantics: envoy-upstream 2.1
    fn pick_next<D: Draws>(
        &mut self,
        hosts: &[HostId],
        seed: &mut Seed,
        draws: &mut Asking<'_, D>,
    ) -> Option<HostId> {
        let n = hosts.len() as u64;
        let start = seed.residue(n, draws);
        let index = start.wrapping_add(self.picks) % n;
        self.picks = self.picks.wrapping_add(1);
        hosts.get(index as usize).copied()
    }

    fn pick_weighted<D: Draws>(
        &mut self,
        scene: &Scene<'_>,
        hosts: &[HostId],
        draws: &mut Asking<'_, D>,
    ) -> Option<HostId> {
        let weight = |i: u32| hosts.get(i as usize).map_or(1.0, |id| scene.weight(*id));
        let index = match &mut self.schedule {
            Some(schedule) if !draws.enumerates() => schedule.pick(weight)? as usize,
            _ => {
                let weights: Vec<f64> = hosts.iter().map(|id| scene.weight(*id)).collect();
                draws.share(&weights)
            }
        };
        hosts.get(index).copied()
    }
}

impl Seed {
    /// A number equal to the seed modulo `n`. An open seed is refined by choosing only what is not known yet.
    fn residue<D: Draws>(&mut self, n: u64, draws: &mut Asking<'_, D>) -> u64 {
        match *self {
            Seed::Known(_) if draws.enumerates() => draws.uniform(n as usize) as u64,
            Seed::Known(seed) => seed,
            Seed::Residue { residue, modulus } => {
                let refinement = n / gcd(modulus, n);
                let refined = residue + modulus * draws.uniform(refinement as usize) as u64;
                *self = Seed::Residue { residue: refined, modulus: modulus * refinement };
                refined
            }
        }
    }
}

/// The priority, and the random number if one was drawn for it (semantics: envoy-upstream 0.2, 4.1, 4.2).
fn choose_priority<D: Draws>(
    scene: &Scene<'_>,
    hashing: bool,
    draws: &mut Asking<'_, D>,
) -> (usize, Option<u64>) {
    let percent = scene.percent();
    if let (true, Some(h)) = (hashing, scene.hash) {
        return (loads::choose(percent, h), Some(h));
    }
    let sole = if scene.percent.is_none() { scene.view.sole } else { None };
    if draws.enumerates() {
        return (
            sole.unwrap_or_else(|| draws.share(&percent.iter().map(|p| f64::from(*p)).collect::<Vec<_>>())),
            None,
        );
    }
    match sole {
        Some(priority) if !hashing && scene.cluster.lb != LbPolicy::Random => (priority, None),
        _ => {
            let h = draws.raw();
            (loads::choose(percent, h), Some(h))
        }
    }
}

/// semantics: envoy-upstream 4.1: the draw of the priority is used again.
fn pick_random<D: Draws>(
    scene: &Scene<'_>,
    priority: usize,
    hosts: &[HostId],
    h: Option<u64>,
    draws: &mut Asking<'_, D>,
) -> Option<HostId> {
    let index = match h {
        Some(h) => (h % hosts.len() as u64) as usize,
        None => draws.share(&random_shares(scene, priority, hosts.len())),
    };
    hosts.get(index).copied()
}

/// semantics: envoy-upstream 3.1
fn pick_least<D: Draws>(
    scene: &Scene<'_>,
    hosts: &[HostId],
    choices: u32,
    draws: &mut Asking<'_, D>,
) -> Option<HostId> {
    if draws.enumerates() {
        let shares = least_shares(scene, hosts, choices);
        return hosts.get(draws.share(&shares)).copied();
    }
    let active = |id: HostId| scene.host(id).map_or(0, |h| h.active_requests);
    let mut best: Option<HostId> = None;
    for _ in 0..choices.max(1) {
        let sample = hosts.get(draws.uniform(hosts.len())).copied()?;
        if best.is_none_or(|b| active(sample) < active(b)) {
            best = Some(sample);
        }
    }
    best
}

fn equal_weights(scene: &Scene<'_>, hosts: &[HostId]) -> bool {
    let mut weights = hosts.iter().filter_map(|id| scene.host(*id)).map(|h| h.weight);
    let first = weights.next();
    weights.all(|w| Some(w) == first)
}

/// SplitMix64 over two numbers.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
