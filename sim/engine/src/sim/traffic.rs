//! Traffic sources: when requests begin, and what is kept of them when they end.

use std::sync::Arc;

use mesh_core::cx::{Draws, Purpose, TraceSink};
use mesh_core::ids::Nanos;

use super::client::Calling;
use super::memo::Memo;
use super::sender::Sender;
use super::state::{Answerer, ClientEnd, Lineage, PodIx, Root, RootId, Summary, Waiter};
use super::template::Template;
use super::{Event, Sim};
use crate::draws::{At, Chance, SourceStream, mix};
use crate::plan::{Arrivals, Phase, Traffic};
use crate::record::{Fate, RequestRecord};
use crate::sample::{exponential, sample};

/// Requests in flight at which a run offers no more.
const MOST_IN_FLIGHT: usize = 50_000;

/// Which variant of the mix.
const VARIANT: Purpose = Purpose::Other(10);

/// The state of one traffic source.
pub(crate) struct Source {
    keys: SourceStream,
    gaps: SourceStream,
    number: u64,
    /// Scripted and even arrivals: position. Phases: expected number of arrivals so far.
    position: u64,
    expected: f64,
    /// Requests of the mix, shared.
    mix: Vec<Arc<Template>>,
    ends: Vec<u64>,
    /// The pods that send, or the gateway's that are dialled; `None` = to be looked up.
    pub(super) running: Option<Vec<PodIx>>,
    /// Users that wait for a pod to run.
    idle: Vec<u32>,
}

impl Source {
    pub(super) fn new(seed: u64, replication: u32, traffic: &Traffic, memo: &mut Memo) -> Source {
        let mut total = 0;
        let ends = traffic
            .mix
            .iter()
            .map(|(w, _)| {
                total += w;
                total
            })
            .collect();
        let requests = traffic.mix.iter().map(|(_, r)| Template::new(r, memo.head_class())).collect();
        Source {
            keys: SourceStream::new(seed, replication, &traffic.name),
            gaps: SourceStream::new(seed, replication, &format!("{}#arrivals", traffic.name)),
            number: 0,
            position: 0,
            expected: 0.0,
            mix: requests,
            ends,
            running: None,
            idle: Vec::new(),
        }
    }

    /// The next arrival of an open loop, if there is one before the end.
    fn next_arrival(&mut self, arrivals: &Arrivals, duration: Nanos) -> Option<Nanos> {
        let at = match arrivals {
            Arrivals::At(times) => {
                let at = times.get(self.position as usize).copied();
                self.position += 1;
                return at;
            }
            Arrivals::Constant { start_ns, rate, count } => {
                if count.is_some_and(|c| self.position >= c) || *rate <= 0.0 {
                    return None;
                }
                let offset = libm::round(self.position as f64 * 1e9 / rate);
                self.position += 1;
                start_ns.saturating_add(offset as Nanos)
            }
            Arrivals::Phases { phases, poisson } => {
                if *poisson {
                    self.expected += exponential(self.gaps.next());
                } else {
                    self.expected = self.position as f64;
                    self.position += 1;
                }
                time_of(phases, self.expected)?
            }
            Arrivals::Users { .. } => return None,
        };
        (at < duration).then_some(at)
    }
}

/// When a source with these phases has `expected` arrivals behind it.
fn time_of(phases: &[Phase], expected: f64) -> Option<Nanos> {
    let (mut from_ns, mut left) = (0u64, expected);
    for phase in phases {
        let length = phase.until_ns.saturating_sub(from_ns) as f64 / 1e9;
        let area = (phase.from_rate + phase.to_rate) / 2.0 * length;
        if left < area {
            return Some(from_ns + (within(phase, length, left) * 1e9) as Nanos);
        }
        left -= area;
        from_ns = phase.until_ns;
    }
    None
}

/// Solves `from * t + slope * t² / 2 = area` for t.
fn within(phase: &Phase, length: f64, area: f64) -> f64 {
    let slope = (phase.to_rate - phase.from_rate) / length;
    if slope.abs() < 1e-12 {
        return area / phase.from_rate;
    }
    let root = libm::sqrt((phase.from_rate * phase.from_rate + 2.0 * slope * area).max(0.0));
    2.0 * area / (phase.from_rate + root)
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Schedules the first arrivals.
    pub(super) fn start_traffic(&mut self) {
        let plan = self.plan;
        for (i, traffic) in plan.traffic.iter().enumerate() {
            match &traffic.arrivals {
                Arrivals::Users { users, think } => {
                    for user in 0..*users {
                        let Some(source) = self.sources.get_mut(i) else { continue };
                        let wait = sample(think, mix(source.gaps.next(), u64::from(user)));
                        self.queue.at(wait, Event::Arrival(i as u32, user));
                    }
                }
                _ => self.schedule_arrival(i as u32),
            }
        }
    }

    fn schedule_arrival(&mut self, traffic: u32) {
        let Some(plan) = self.plan.traffic.get(traffic as usize) else { return };
        let Some(source) = self.sources.get_mut(traffic as usize) else { return };
        if let Some(at) = source.next_arrival(&plan.arrivals, self.plan.duration_ns) {
            self.queue.at(at, Event::Arrival(traffic, 0));
        }
    }

    /// A request begins.
    pub(super) fn arrival(&mut self, traffic: u32, user: u32) {
        let plan = self.plan;
        let Some(spec) = plan.traffic.get(traffic as usize) else { return };
        let now = self.queue.now();
        let closed = matches!(spec.arrivals, Arrivals::Users { .. });
        if closed && now >= plan.duration_ns {
            return;
        }
        if self.is_overloaded() {
            return;
        }
        self.schedule_arrival(traffic);
        let Some(source) = self.sources.get_mut(traffic as usize) else { return };
        let number = source.number;
        source.number += 1;
        let key = source.keys.next();
        let turn = if closed { u64::from(user) } else { number };
        let Some(sender) = self.sender(traffic, turn, key) else {
            self.unsent(traffic, closed.then_some(user));
            return;
        };
        let Some(source) = self.sources.get_mut(traffic as usize) else { return };
        let variant = if source.ends.len() > 1 {
            At { key, chance: &mut self.chance }.choose(VARIANT, &source.ends)
        } else {
            0
        };
        let Some(template) = source.mix.get(variant).cloned() else { return };
        let head = template.head(number);
        let root = self.roots.insert(Root {
            traffic,
            user,
            number,
            variant: variant as u32,
            start_ns: now,
            open: 0,
            calls: 0,
            end: None,
            hops: Vec::new(),
            tries: Vec::new(),
            unknown: None,
            summary: Summary::default(),
        });
        self.begun += 1;
        if let Some((number, id)) = &mut self.follow
            && *number == self.begun
        {
            *id = Some(root);
        }
        let (pod, source, through) = match sender {
            Sender::Pod(pod) => (Some(pod), None, None),
            Sender::Outside(source, gateway) => (None, Some(source), gateway),
        };
        self.call(Calling {
            retries: 0,
            line: Lineage { root, call: 0, depth: 0, shadow: false, key },
            waiter: Waiter::Traffic,
            pod,
            source,
            through,
            template,
            head,
            send: spec.send,
            patience: spec.client_timeout_ns.map(|ns| (ns, spec.impatient)),
            fail: false,
        });
    }

    /// No pod runs that could send a request: a user waits for one, other requests do not happen.
    fn unsent(&mut self, traffic: u32, user: Option<u32>) {
        match user {
            Some(user) => {
                if let Some(source) = self.sources.get_mut(traffic as usize) {
                    source.idle.push(user);
                }
            }
            None if self.queue.now() >= self.plan.warmup_ns => self.tally.unsent(traffic),
            None => {}
        }
    }

    /// Users that waited for a pod try again.
    pub(super) fn wake_users(&mut self) {
        for (i, source) in self.sources.iter_mut().enumerate() {
            for user in std::mem::take(&mut source.idle) {
                self.queue.after(0, Event::Arrival(i as u32, user));
            }
        }
    }

    /// Whether so many requests are in flight that the run offers no more: memory is bounded whatever is offered for
    /// how long. From then on it only finishes what it has.
    fn is_overloaded(&mut self) -> bool {
        if self.overloaded_ns.is_none() && self.roots.len() >= MOST_IN_FLIGHT {
            self.overloaded_ns = Some(self.queue.now());
        }
        self.overloaded_ns.is_some()
    }

    /// The client has its answer, or none; the rest of what the request caused may still run.
    pub(super) fn root_answered(&mut self, id: RootId, end: ClientEnd) {
        let Some(root) = self.roots.get_mut(id) else { return };
        let (traffic, user) = (root.traffic, root.user);
        root.end = Some(end);
        if let Some(Arrivals::Users { think, .. }) =
            self.plan.traffic.get(traffic as usize).map(|t| &t.arrivals)
            && let Some(source) = self.sources.get_mut(traffic as usize)
        {
            let wait = sample(think, source.gaps.next());
            self.queue.after(wait, Event::Arrival(traffic, user));
        }
    }

    /// One activity of a request has ended; the record is closed with the last one.
    pub(super) fn close_activity(&mut self, id: RootId) {
        let Some(root) = self.roots.get_mut(id) else { return };
        root.open = root.open.saturating_sub(1);
        if root.open == 0 && root.end.is_some() {
            self.close_root(id);
        }
    }

    /// Closes what is still open when the run ends.
    pub(super) fn close_all(&mut self) {
        let now = self.queue.now();
        for id in self.roots.ids() {
            if let Some(root) = self.roots.get_mut(id)
                && root.end.is_none()
            {
                root.end = Some(ClientEnd {
                    at_ns: now,
                    fate: Fate::Timeout,
                    fate_also: None,
                    response: None,
                    workload: None,
                    rare: None,
                });
            }
            self.close_root(id);
        }
    }

    fn close_root(&mut self, id: RootId) {
        self.log_open_sessions(id);
        let Some(root) = self.roots.remove(id) else { return };
        let Some(end) = root.end else { return };
        let plan = self.plan;
        if root.start_ns >= plan.warmup_ns {
            self.tally.request(root.traffic, root.start_ns, &end, root.summary, root.unknown.is_some());
        }
        let passed_over = self.follow.is_some_and(|(_, followed)| followed != Some(id));
        if !plan.record.requests || passed_over {
            return;
        }
        let workload = end.workload.map(|who| match who {
            Answerer::Pod(pod) => {
                self.pods.get(pod as usize).map(|p| p.pod.reference.clone()).unwrap_or_default()
            }
            Answerer::Internet => self.internet_name(),
        });
        // Lists grow by doubling; what is kept of many requests has no room to spare.
        let (mut hops, mut tries) = (Vec::with_capacity(root.hops.len()), root.tries);
        hops.extend(root.hops.into_iter().flatten());
        tries.shrink_to_fit();
        let rare = end.rare.map(|rare| *rare).unwrap_or_default();
        self.records.push(RequestRecord {
            traffic: root.traffic,
            number: root.number,
            variant: root.variant,
            start_ns: root.start_ns,
            end_ns: end.at_ns,
            fate: end.fate,
            fate_also: end.fate_also,
            response: end.response,
            answer: rare.answer,
            tls: rare.tls,
            tls_alpn: rare.tls_alpn,
            workload,
            hops,
            tries,
            unknown: root.unknown.map(|unknown| *unknown),
        });
    }

    /// Pooled connections outlive the request that opened them: their sessions are logged as far as they are.
    fn log_open_sessions(&mut self, id: RootId) {
        if !self.roots.get(id).is_some_and(|r| r.hops.iter().any(Option::is_none)) {
            return;
        }
        for session in self.sessions.ids() {
            if self.sessions.get(session).is_some_and(|s| s.line.root == id) {
                self.log_session_id(session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_its_arrivals_where_its_area_is() {
        let phases = [
            Phase { until_ns: 10_000_000_000, from_rate: 100.0, to_rate: 100.0 },
            Phase { until_ns: 20_000_000_000, from_rate: 100.0, to_rate: 300.0 },
        ];
        assert_eq!(time_of(&phases, 500.0), Some(5_000_000_000));
        assert_eq!(time_of(&phases, 1000.0), Some(10_000_000_000));
        // Half of the ramp's time has 100*5 + 20*25/2 = 750 arrivals.
        let half = time_of(&phases, 1750.0).map(|t| t as f64 / 1e9);
        assert!((half.unwrap_or_default() - 15.0).abs() < 1e-6, "{half:?}");
        assert_eq!(time_of(&phases, 3000.1), None);
    }
}
