//! The outlier detector of a cluster: ejections, the interval timer, success rates (semantics: envoy-upstream 5.4–5.9).
//!
//! Stamps taken inside a tick lie an instant after it, as in the real detector: a comparison that falls exactly on a
//! tick boundary is a race there (5.6), and drawn here, once per tick. Success-rate and failure-percentage detection run only where they are enforced; unenforced
//! they change nothing but counters.

use super::balance::mix;
use super::outlier::{EjectionType, OutlierEvent, OutlierEventKind, UpstreamEvent};
use super::state::ClusterState;
use crate::cx::{Draws, Purpose};
use crate::ids::{HostId, Nanos};
use crate::ir::{Cluster, OutlierDetection};

/// A comparison exactly on a tick boundary succeeds in this many of [`RACES`] ticks (measured: 16 of 38).
const RACES_WON: u64 = 2;
/// See [`RACES_WON`].
const RACES: u64 = 5;
/// Sets the draw of that race apart from the order of hosts.
const RACE_SALT: u64 = 0x7469_636b;
/// Sets the lateness of ticks apart from both.
const LATE_SALT: u64 = 0x6c61_7465;

/// Timer and counts of one detector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detector {
    /// Whole intervals since the start.
    next_tick_ns: Nanos,
    interval_ns: Nanos,
    /// How late a tick may be, and what draws it.
    late_ns: Nanos,
    late_seed: u64,
    /// Ejections in force (a doubly ejected host counts twice, 5.9).
    ejected: u32,
    /// Something a tick could change.
    busy: bool,
}

impl Detector {
    /// A detector that starts with its cluster.
    pub(super) fn new(config: &OutlierDetection, now_ns: Nanos) -> Detector {
        let interval_ns = config.interval_ns.max(1);
        Detector {
            next_tick_ns: now_ns + interval_ns,
            interval_ns,
            late_ns: 0,
            late_seed: 0,
            ejected: 0,
            busy: false,
        }
    }

    /// Ticks come up to this much late, each by another draw of `seed`.
    pub(super) fn jitter(&mut self, most_ns: Nanos, seed: u64) {
        (self.late_ns, self.late_seed) = (most_ns, seed);
    }

    /// How late a tick may be.
    pub(super) fn late_ns(&self) -> Nanos {
        self.late_ns
    }

    fn due_ns(&self) -> Nanos {
        let late = mix(self.late_seed ^ LATE_SALT, self.next_tick_ns) % (self.late_ns + 1);
        self.next_tick_ns + late
    }

    /// When the next tick matters.
    pub(super) fn timer(&self) -> Option<Nanos> {
        self.busy.then(|| self.due_ns())
    }

    /// An ejected host left the cluster.
    pub(super) fn forget_ejected(&mut self) {
        self.ejected = self.ejected.saturating_sub(1);
    }

    /// Ticks that had nothing to do are skipped, the phase stays.
    fn skip_idle_ticks(&mut self, now_ns: Nanos) {
        if !self.busy && self.next_tick_ns <= now_ns {
            let missed = (now_ns - self.next_tick_ns) / self.interval_ns + 1;
            self.next_tick_ns += missed * self.interval_ns;
        }
    }

    /// The percentage after one more ejection (semantics: envoy-upstream 5.5).
    fn may_eject(&self, config: &OutlierDetection, hosts: usize) -> bool {
        let percent = 100.0 * (f64::from(self.ejected) + 1.0) / hosts as f64;
        percent <= f64::from(config.max_ejection_percent.min(100))
    }
}

fn samples_rates(config: &OutlierDetection) -> bool {
    config.enforcing_success_rate > 0 || config.enforcing_failure_percentage > 0
}

impl ClusterState {
    /// Tells the outlier detector what happened to an attempt (semantics: envoy-upstream 5.3). Call it before the
    /// retry decision, and ask [`Self::next_timer`] again afterwards.
    pub fn on_event<D: Draws>(
        &mut self,
        cluster: &Cluster,
        host: HostId,
        event: UpstreamEvent,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let (Some(config), Some(detector)) = (&cluster.outlier, &mut self.detector) else { return };
        let Some(target) = self.hosts.get_mut(host.index()).filter(|h| !h.removed) else { return };
        detector.skip_idle_ticks(now_ns);
        detector.busy |= samples_rates(config);
        let triggers = target.monitor.count(event, config);
        for by in triggers.into_iter().flatten() {
            self.trigger(cluster, config, host, by, now_ns, draws, sink);
        }
    }

    /// semantics: envoy-upstream 5.4
    #[expect(clippy::too_many_arguments, reason = "the surroundings of a decision, passed on as they came")]
    fn trigger<D: Draws>(
        &mut self,
        cluster: &Cluster,
        config: &OutlierDetection,
        host: HostId,
        by: EjectionType,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        if self.host(host).is_none_or(|h| h.ejected) {
            return;
        }
        self.eject(cluster, config, host, by, (now_ns, now_ns), draws, sink);
        if let Some(host) = self.hosts.get_mut(host.index()) {
            host.monitor.restart(by);
        }
    }

    /// semantics: envoy-upstream 5.5. `at` is the time of the event and the stamp it leaves.
    #[expect(clippy::too_many_arguments, reason = "the surroundings of a decision, passed on as they came")]
    fn eject<D: Draws>(
        &mut self,
        cluster: &Cluster,
        config: &OutlierDetection,
        id: HostId,
        by: EjectionType,
        at: (Nanos, Nanos),
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let (now_ns, stamp_ns) = at;
        let hosts = self.members.len();
        let (Some(detector), Some(host)) = (&mut self.detector, self.hosts.get_mut(id.index())) else {
            return;
        };
        let mut event = OutlierEvent {
            at_ns: now_ns,
            host: id,
            kind: OutlierEventKind::Overflow(by),
            visible_at_ns: now_ns,
        };
        if !detector.may_eject(config, hosts) {
            return sink(event);
        }
        if !draws.happens(Purpose::Enforcing, enforcing(config, by).saturating_mul(10_000)) {
            event.kind = OutlierEventKind::NotEnforced(by);
            return sink(event);
        }
        detector.ejected += 1;
        detector.busy = true;
        host.ejected = true;
        let monitor = &mut host.monitor;
        monitor.num_ejections += 1;
        monitor.last_ejection_ns = stamp_ns;
        let time = u128::from(monitor.multiplier) * u128::from(config.base_ejection_time_ns);
        let cap = u128::from(config.max_ejection_time_ns) + u128::from(config.base_ejection_time_ns);
        if time < cap {
            monitor.multiplier += 1;
        }
        event.kind = OutlierEventKind::Eject {
            by,
            num_ejections: monitor.num_ejections,
            multiplier: monitor.multiplier,
        };
        event.visible_at_ns = self.health_changed(cluster, now_ns);
        sink(event);
    }

    /// One tick of the interval timer (semantics: envoy-upstream 5.6).
    pub(super) fn tick<D: Draws>(
        &mut self,
        cluster: &Cluster,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let (Some(config), Some(detector)) = (&cluster.outlier, &mut self.detector) else { return };
        let now_ns = detector.due_ns();
        detector.next_tick_ns += detector.interval_ns;
        let order = self.tick_order(now_ns);
        let late_ns = self.tick_late_ns(now_ns);
        for id in &order {
            self.unejects(cluster, config, *id, (now_ns, late_ns), sink);
            if let Some(host) = self.hosts.get_mut(id.index()) {
                host.monitor.external.rotate();
                host.monitor.local.rotate();
            }
        }
        if samples_rates(config) {
            self.judge_rates(cluster, config, &order, Origin::External, now_ns, draws, sink);
            self.judge_rates(cluster, config, &order, Origin::Local, now_ns, draws, sink);
        }
        let mut busy = false;
        for id in order {
            busy |= self.decay(config, id, now_ns + late_ns);
        }
        if let Some(detector) = &mut self.detector {
            detector.busy = busy;
        }
    }

    /// The order of a hash map in the real detector: unknown, hence any, but not always the same.
    fn tick_order(&self, now_ns: Nanos) -> Vec<HostId> {
        let mut order = self.members.clone();
        order.sort_by_key(|id| (mix(mix(self.order_seed, now_ns), u64::from(id.0)), id.0));
        order
    }

    /// How much later than an exact tick this one is: 0, or the instant that stamps of ticks lie after theirs.
    fn tick_late_ns(&self, now_ns: Nanos) -> Nanos {
        u64::from(mix(mix(self.order_seed ^ RACE_SALT, now_ns), RACES) % RACES < RACES_WON)
    }

    fn unejects(
        &mut self,
        cluster: &Cluster,
        config: &OutlierDetection,
        id: HostId,
        (now_ns, late_ns): (Nanos, Nanos),
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let Some(host) = self.hosts.get_mut(id.index()).filter(|h| h.ejected) else { return };
        let served = (now_ns + late_ns).saturating_sub(host.monitor.last_ejection_ns);
        let sentence = config
            .base_ejection_time_ns
            .saturating_mul(u64::from(host.monitor.multiplier))
            .min(config.max_ejection_time_ns);
        if served < sentence || host.monitor.last_ejection_ns > now_ns {
            return;
        }
        host.ejected = false;
        host.monitor.unejected(now_ns + 1);
        if let Some(detector) = &mut self.detector {
            detector.ejected = detector.ejected.saturating_sub(1);
        }
        let visible_at_ns = self.health_changed(cluster, now_ns);
        sink(OutlierEvent { at_ns: now_ns, host: id, kind: OutlierEventKind::Uneject, visible_at_ns });
    }

    /// Multipliers of hosts that have been back for an interval shrink. True while later ticks matter to the host.
    fn decay(&mut self, config: &OutlierDetection, id: HostId, now_ns: Nanos) -> bool {
        let Some(host) = self.hosts.get_mut(id.index()) else { return false };
        let monitor = &mut host.monitor;
        if !host.ejected
            && let Some(since) = monitor.last_unejection_ns
            && now_ns.saturating_sub(since) >= config.interval_ns
        {
            monitor.multiplier = monitor.multiplier.saturating_sub(1);
        }
        let sampled = samples_rates(config) && !(monitor.external.is_empty() && monitor.local.is_empty());
        host.ejected || monitor.multiplier > 0 || sampled
    }

    /// semantics: envoy-upstream 5.8, 5.9
    #[expect(clippy::too_many_arguments, reason = "the surroundings of a decision, passed on as they came")]
    fn judge_rates<D: Draws>(
        &mut self,
        cluster: &Cluster,
        config: &OutlierDetection,
        order: &[HostId],
        origin: Origin,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let rates: Vec<(HostId, u32, f64)> = order
            .iter()
            .filter_map(|id| Some((*id, self.hosts.get(id.index()).filter(|h| !h.ejected)?)))
            .filter_map(|(id, host)| {
                let (volume, rate) = origin.of(host.monitor.external, host.monitor.local).ended()?;
                Some((id, volume, rate))
            })
            .collect();
        let with_volume = |minimum: u32| -> Vec<(HostId, f64)> {
            rates.iter().filter(|(_, volume, _)| *volume >= minimum).map(|(id, _, r)| (*id, *r)).collect()
        };
        let by_success = with_volume(config.success_rate_request_volume);
        let by_failure = with_volume(config.failure_percentage_request_volume);
        let at = (now_ns, now_ns + 1);
        if let Some(threshold) = success_threshold(config, &by_success) {
            for (id, _) in by_success.iter().filter(|(_, rate)| *rate < threshold) {
                self.eject(cluster, config, *id, origin.success_rate(), at, draws, sink);
            }
        }
        if !by_failure.is_empty() && by_failure.len() >= config.failure_percentage_minimum_hosts as usize {
            let threshold = f64::from(config.failure_percentage_threshold);
            for (id, _) in by_failure.iter().filter(|(_, rate)| 100.0 - rate >= threshold) {
                // Not guarded against a host the success rate has just ejected (5.9, a bug kept in 1.40).
                self.eject(cluster, config, *id, origin.failure_percentage(), at, draws, sink);
            }
        }
    }
}

/// Envoy: DetectorImpl::successRateEjectionThreshold; population deviation.
fn success_threshold(config: &OutlierDetection, rates: &[(HostId, f64)]) -> Option<f64> {
    if rates.is_empty() || rates.len() < config.success_rate_minimum_hosts as usize {
        return None;
    }
    let n = rates.len() as f64;
    let mean = rates.iter().map(|(_, r)| r).sum::<f64>() / n;
    let variance = rates.iter().map(|(_, r)| (r - mean) * (r - mean)).sum::<f64>() / n;
    Some(mean - f64::from(config.success_rate_stdev_factor) / 1000.0 * libm::sqrt(variance))
}

/// Percent of detections of a type that eject.
fn enforcing(config: &OutlierDetection, by: EjectionType) -> u32 {
    match by {
        EjectionType::Consecutive5xx => config.enforcing_consecutive_5xx,
        EjectionType::ConsecutiveGatewayFailure => config.enforcing_consecutive_gateway_failure,
        EjectionType::ConsecutiveLocalOriginFailure => config.enforcing_consecutive_local_origin_failure,
        EjectionType::SuccessRate => config.enforcing_success_rate,
        EjectionType::FailurePercentage => config.enforcing_failure_percentage,
        // Istio configures neither; Envoy's defaults are 100 and 0.
        EjectionType::SuccessRateLocalOrigin => {
            if config.enforcing_success_rate == 0 {
                0
            } else {
                100
            }
        }
        EjectionType::FailurePercentageLocalOrigin => 0,
    }
}

/// Which buckets a judgement looks at.
#[derive(Debug, Clone, Copy)]
enum Origin {
    External,
    Local,
}

impl Origin {
    fn of<T>(self, external: T, local: T) -> T {
        match self {
            Origin::External => external,
            Origin::Local => local,
        }
    }

    fn success_rate(self) -> EjectionType {
        self.of(EjectionType::SuccessRate, EjectionType::SuccessRateLocalOrigin)
    }

    fn failure_percentage(self) -> EjectionType {
        self.of(EjectionType::FailurePercentage, EjectionType::FailurePercentageLocalOrigin)
    }
}
