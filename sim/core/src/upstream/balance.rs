//! Picking a host from the published view: rotation, schedules, least request, random, hashing
//! (semantics: envoy-upstream 0.2, 2–4).
//!
//! Balancers remember: one ever-growing index per source of hosts, and earliest-deadline-first schedules that are
//! rebuilt at every publication. When draws enumerate, their unknown starts are chosen bit by bit: a pick has its
//! stationary share, and those that follow are what its rotation or schedule makes of it.

use std::sync::Arc;

use super::asking::Asking;
use super::edf::Edf;
use super::hash_table::{HashTable, HashTables, hash_table};
use super::loads;
use super::open_schedule::{OpenPhase, OpenSchedule};
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
    /// What is known of the pre-picks of host schedules, all of which begin with the seed.
    phase: OpenPhase,
    pub(super) tables: Arc<HashTables>,
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
    locality_schedule: Option<Schedule>,
    /// What is known of the pre-picks of the locality schedule: drawn anew with each.
    locality_phase: OpenPhase,
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
    schedule: Option<Schedule>,
}

/// A schedule in a known state, or one whose phase is open.
#[derive(Debug, Clone)]
enum Schedule {
    Known(Edf),
    Open(OpenSchedule),
}

impl Schedule {
    fn new(weights: Vec<f64>, seed: Option<u64>) -> Schedule {
        match seed {
            Some(seed) => Schedule::Known(Edf::with_picks(&weights, seed)),
            None => Schedule::Open(OpenSchedule::new(weights)),
        }
    }

    /// The next entry; `weight` is its weight for the next turn.
    fn pick<D: Draws>(
        &mut self,
        phase: &mut OpenPhase,
        weight: impl Fn(u32) -> f64,
        draws: &mut Asking<'_, D>,
    ) -> Option<u32> {
        match self {
            Schedule::Known(edf) => edf.pick(weight),
            Schedule::Open(open) => Some(open.pick(phase, weight, draws)),
        }
    }
}

impl Balancer {
    /// A balancer that has seen nothing yet. `seed: None` leaves its phase open to enumeration.
    pub(super) fn new(seed: Option<u64>, now_ns: Nanos) -> Balancer {
        Balancer {
            seed: seed.map_or(Seed::Residue { residue: 0, modulus: 1 }, Seed::Known),
            phase: OpenPhase::default(),
            tables: Arc::default(),
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
        if scene.is_hashing() {
            // Without a hash of its own a pick is given a random one, or enumerated as a whole: `distribution.rs`.
            let h = scene.hash?;
            let table = self.table(scene, loads::choose(scene.percent(), h))?;
            let index = table.table.lookup(h, ask)?;
            return table.hosts.get(index as usize).copied();
        }
        let (priority, h) = choose_priority(scene, draws);
        let source = self.source(scene, priority, draws)?;
        let candidates = scene.hosts_of(priority, source);
        if candidates.is_empty() {
            return None;
        }
        if scene.cluster.lb == LbPolicy::Random {
            return pick_random(scene, priority, candidates, h, draws);
        }
        let (seed, phase) = (&mut self.seed, &mut self.phase);
        let rotation = self.priorities.get_mut(priority)?.rotation(source)?;
        if rotation.weighted {
            return rotation.pick_weighted(scene, candidates, phase, draws);
        }
        match scene.cluster.lb {
            LbPolicy::LeastRequest(choices, _) => pick_least(scene, candidates, choices, draws),
            _ => rotation.pick_next(candidates, seed, draws),
        }
    }

    /// A hash that leads to the host at the first ask, if any does.
    pub(super) fn hash_towards(&mut self, scene: &Scene<'_>, host: HostId) -> Option<u64> {
        let percent = scene.percent();
        (0..percent.len()).find_map(|priority| {
            let table = self.table(scene, priority)?;
            let index = table.hosts.iter().position(|id| *id == host)? as u32;
            table.table.hashes_of(index).find(|h| loads::choose(percent, *h) == priority)
        })
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
        let weight = |i: u32| weighted.get(i as usize).map_or(1.0, |(_, w)| *w);
        let index = sources.locality_schedule.as_mut()?.pick(&mut sources.locality_phase, weight, draws)?;
        weighted.get(index as usize).map(|(locality, _)| Source::Locality(*locality))
    }

    fn table(&mut self, scene: &Scene<'_>, priority: usize) -> Option<Arc<HashTable>> {
        let slot = &mut self.priorities.get_mut(priority)?.table;
        if slot.is_none() {
            *slot = Some(Arc::new(hash_table(&self.tables, scene, priority)));
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
        self.locality_phase = OpenPhase::default();
        if !self.weighted.is_empty() {
            let weights: Vec<f64> = self.weighted.iter().map(|(_, w)| *w).collect();
            self.locality_schedule = Some(Schedule::new(weights, seed.known().map(|seed| mix(seed, phase))));
        }
    }
}

impl Rotation {
    fn rebuild(&mut self, scene: &Scene<'_>, hosts: &[HostId], warming: bool, seed: Seed) {
        self.schedule = None;
        self.weighted = hosts.len() > 1
            && matches!(scene.cluster.lb, LbPolicy::RoundRobin(_) | LbPolicy::LeastRequest(..))
            && (warming || !equal_weights(scene, hosts));
        if self.weighted {
            let weights: Vec<f64> = hosts.iter().map(|id| scene.weight(*id)).collect();
            self.schedule = Some(Schedule::new(weights, seed.known()));
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
        phase: &mut OpenPhase,
        draws: &mut Asking<'_, D>,
    ) -> Option<HostId> {
        let weight = |i: u32| hosts.get(i as usize).map_or(1.0, |id| scene.weight(*id));
        let index = self.schedule.as_mut()?.pick(phase, weight, draws)?;
        hosts.get(index as usize).copied()
    }
}

impl Seed {
    /// The number, if it was drawn.
    fn known(self) -> Option<u64> {
        match self {
            Seed::Known(seed) => Some(seed),
            Seed::Residue { .. } => None,
        }
    }

    /// A number equal to the seed modulo `n`. An open seed is refined by choosing only what is not known yet.
    fn residue<D: Draws>(&mut self, n: u64, draws: &mut Asking<'_, D>) -> u64 {
        match *self {
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

/// The priority, and the random number if one was drawn for it (semantics: envoy-upstream 0.2, 4.1).
fn choose_priority<D: Draws>(scene: &Scene<'_>, draws: &mut Asking<'_, D>) -> (usize, Option<u64>) {
    let percent = scene.percent();
    let sole = if scene.percent.is_none() { scene.view.sole } else { None };
    if draws.enumerates() {
        return (
            sole.unwrap_or_else(|| draws.share(&percent.iter().map(|p| f64::from(*p)).collect::<Vec<_>>())),
            None,
        );
    }
    match sole {
        Some(priority) if scene.cluster.lb != LbPolicy::Random => (priority, None),
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
