//! What retries can make of one request, and the load from which on they keep an overload alive.
//!
//! Both are read off the call tree of the idle mesh, not sampled. The worst case multiplies the tries that every layer
//! allows, whatever makes it try. The storm load asks more: a workload that is slow because it has too much to do gets
//! more to do if, and only if, some layer above it gives up waiting and tries again, while the work it gave up on is
//! still done. Refusals (a full queue, an open breaker) cost nothing and keep no overload alive by themselves.

use std::collections::BTreeMap;

use mesh_core::ir::{RetryPolicy, RouteAction};
use mesh_core::upstream::{AttemptOutcome, covers};
use mesh_engine::PodId;
use mesh_engine::plan::{Behavior, Call, ClientRequest, Law, Traffic};
use mesh_engine::record::{Hop, Side};
use mesh_engine::stats::RunRecord;

use super::workload_of;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{Sender, each_client};
use crate::predict::predict;

/// Layers that are followed.
const MOST_DEPTH: usize = 32;
/// Calls that are followed.
const MOST_CALLS: usize = 4_096;

/// The outcome.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Amplification {
    /// The most attempts one request of a client can cause at one service.
    pub worst_case_attempts: u64,
    /// Workload, its storm load and its capacity, both in requests per second of all traffics.
    pub storm: Option<(String, f64, f64)>,
    /// Workloads that call each other in circles, in order.
    pub circle: Option<String>,
}

/// One layer above a workload: the client-side proxy and, below the first, the application that calls.
#[derive(Debug, Clone)]
struct Layer {
    policy: Option<RetryPolicy>,
    timeout_ns: u64,
    retries: u32,
    /// Tries that further proxies of the same hop allow (a sidecar in front of an egress gateway).
    further: u64,
    /// Patience of the calling application, its own retries, and whether it fails with the call.
    call: Option<(Option<u64>, u32, bool)>,
}

/// Load of one workload, per second.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    nominal: f64,
    amplified: f64,
}

struct Walk<'a> {
    mesh: &'a LoadedMesh,
    behaviors: &'a Behaviors,
    /// The same without calls: one layer at a time.
    single: Behaviors,
    worst: u64,
    loads: BTreeMap<String, Load>,
    circle: Option<String>,
    calls: usize,
}

/// Follows every traffic down its call tree.
#[must_use]
pub fn amplification(
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    traffic: &[Traffic],
    run: Option<&RunRecord>,
) -> Amplification {
    let mut walk = Walk::new(mesh, behaviors);
    let mut offered = 0.0;
    for (i, one) in traffic.iter().enumerate() {
        let rate = offered_rate(run, i);
        offered += rate;
        let total: u64 = one.mix.iter().map(|(weight, _)| weight).sum();
        let clients = each_client(one, &mesh.world);
        for (client, (weight, request)) in clients.iter().flat_map(|c| c.mix.iter().map(move |r| (c, r))) {
            let share = if total == 0 { 0.0 } else { client.share * *weight as f64 / total as f64 };
            walk.follow(&client.sender, request, None, rate * share, &mut Vec::new(), &mut Vec::new());
        }
    }
    let storm = walk.storm(offered);
    Amplification { worst_case_attempts: walk.worst, storm, circle: walk.circle }
}

/// The most attempts that one request can cause at one service, its own calls included; calls beside each other do not
/// multiply.
#[must_use]
pub fn worst_attempts(
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    sender: &Sender,
    request: &ClientRequest,
) -> u64 {
    let mut walk = Walk::new(mesh, behaviors);
    walk.follow(sender, request, None, 0.0, &mut Vec::new(), &mut Vec::new());
    walk.worst
}

/// What the run offered, per second.
fn offered_rate(run: Option<&RunRecord>, traffic: usize) -> f64 {
    let Some(run) = run else { return 0.0 };
    let seconds = run.duration_ns.saturating_sub(run.warmup_ns) as f64 / 1e9;
    let requests = run.traffic.get(traffic).map_or(0, |t| t.requests) as f64;
    if seconds > 0.0 { requests / seconds } else { 0.0 }
}

impl<'a> Walk<'a> {
    fn new(mesh: &'a LoadedMesh, behaviors: &'a Behaviors) -> Self {
        let mut single = behaviors.clone();
        single.pods.iter_mut().for_each(|b| b.calls.clear());
        Walk { mesh, behaviors, single, worst: 1, loads: BTreeMap::new(), circle: None, calls: 0 }
    }

    /// `above` are the layers from the client down; `path` the workloads on the way.
    fn follow(
        &mut self,
        sender: &Sender,
        request: &ClientRequest,
        call: Option<&Call>,
        rate: f64,
        above: &mut Vec<Layer>,
        path: &mut Vec<String>,
    ) {
        self.calls += 1;
        if above.len() >= MOST_DEPTH || self.calls > MOST_CALLS {
            return;
        }
        let Ok(predictions) = predict(self.mesh, sender, request, &self.single, false) else { return };
        let mut reached: BTreeMap<String, (f64, Layer)> = BTreeMap::new();
        for p in predictions {
            let hops: Vec<&Hop> =
                p.record.hops.iter().filter(|h| h.side != Side::Inbound && !h.shadow).collect();
            let layer = self.layer(&hops, call);
            let worst = above.iter().chain([&layer]).map(Layer::most_tries).fold(1, u64::saturating_mul);
            self.worst = self.worst.max(worst);
            let Some(workload) = p.record.workload.as_deref().map(workload_of) else { continue };
            reached.entry(workload.to_owned()).or_insert((0.0, layer)).0 += p.p;
        }
        for (workload, (p, layer)) in reached {
            if let Some(start) = path.iter().position(|w| *w == workload) {
                let round: Vec<&str> = path.iter().skip(start).map(String::as_str).collect();
                self.circle.get_or_insert(format!("{} → {workload}", round.join(" → ")));
                continue;
            }
            above.push(layer);
            path.push(workload.clone());
            self.arrive(&workload, rate * p, above, path);
            path.pop();
            above.pop();
        }
    }

    fn arrive(&mut self, workload: &str, rate: f64, above: &mut Vec<Layer>, path: &mut Vec<String>) {
        let world = &self.mesh.world;
        let pod = world.pods.iter().position(|p| workload_of(&p.reference) == workload);
        let Some(pod) = pod.map(|i| PodId(i as u32)) else { return };
        let behavior = self.behavior(pod).cloned().unwrap_or_default();
        let load = self.loads.entry(workload.to_owned()).or_default();
        load.nominal += rate;
        load.amplified += rate * tries_when_slow(above, longest_wait_ns(&behavior));
        for call in behavior.calls.iter().flatten() {
            let sender = Sender { pod: Some(pod), source: None, gateway: None };
            self.follow(&sender, &call.request, Some(call), rate, above, path);
        }
    }

    /// The last behavior that names the pod.
    fn behavior(&self, pod: PodId) -> Option<&Behavior> {
        self.behaviors.pods.iter().rev().find(|b| b.pods.contains(&pod))
    }

    fn layer(&self, hops: &[&Hop], call: Option<&Call>) -> Layer {
        let hop = hops.first().copied();
        let tries = hops.iter().skip(1).map(|h| u64::from(h.retries) + 1);
        Layer {
            further: tries.fold(1, u64::saturating_mul),
            policy: hop.and_then(|h| self.policy(h)).cloned(),
            timeout_ns: hop.map_or(0, |h| h.timeout_ns),
            retries: hop.map_or(0, |h| h.retries),
            call: call.map(|c| (c.timeout_ns, c.retries, c.fail)),
        }
    }

    /// The policy of the route that the hop took.
    fn policy(&self, hop: &Hop) -> Option<&RetryPolicy> {
        let snapshot = self.mesh.world.proxy(hop.proxy)?.snapshot();
        let (name, index) = (hop.virtual_host.as_ref()?, hop.route_index? as usize);
        let hosts = snapshot.routes.iter().flat_map(|r| &r.virtual_hosts).filter(|v| v.name == *name);
        hosts.filter_map(|v| v.routes.get(index)).find_map(|route| match &route.action {
            RouteAction::Forward(forward) => {
                forward.retry.as_ref().filter(|policy| policy.num_retries == hop.retries)
            }
            _ => None,
        })
    }

    /// The workload that gives way first: the least load at which its attempts reach its capacity.
    fn storm(&self, offered: f64) -> Option<(String, f64, f64)> {
        let mut first: Option<(String, f64, f64)> = None;
        for (workload, load) in &self.loads {
            let Some(capacity) = self.capacity(workload) else { continue };
            if load.amplified <= load.nominal * (1.0 + 1e-9) || offered <= 0.0 {
                continue;
            }
            let storm = offered * capacity / load.amplified;
            if first.as_ref().is_none_or(|(_, least, _)| storm < *least) {
                first = Some((workload.clone(), storm, offered * capacity / load.nominal));
            }
        }
        first
    }

    /// Requests per second that all pods of the workload can serve; `None` without a limit.
    fn capacity(&self, workload: &str) -> Option<f64> {
        let pods = self.mesh.world.pods.iter().enumerate();
        let mut sum = 0.0;
        for (i, _) in pods.filter(|(_, p)| workload_of(&p.reference) == workload) {
            let behavior = self.behavior(PodId(i as u32))?;
            let servers = f64::from(behavior.concurrency?);
            let mean = mean_ns(&behavior.service_time);
            if mean <= 0.0 {
                return None;
            }
            sum += servers * 1e9 / mean;
        }
        (sum > 0.0).then_some(sum)
    }
}

impl Layer {
    /// Tries that the layer allows, whatever makes it try.
    fn most_tries(&self) -> u64 {
        let own = u64::from(self.retries) + 1;
        let calls = self.call.map_or(1, |(_, retries, _)| u64::from(retries) + 1);
        own.saturating_mul(calls).saturating_mul(self.further)
    }
}

/// How long a request can wait for its answer at most, ns; `u64::MAX` with an endless queue.
fn longest_wait_ns(behavior: &Behavior) -> u64 {
    match (behavior.queue, behavior.concurrency) {
        (Some(queue), Some(servers)) if servers > 0 => {
            let waiting = f64::from(queue) / f64::from(servers) + 1.0;
            (waiting * mean_ns(&behavior.service_time)) as u64
        }
        _ => u64::MAX,
    }
}

/// What the layer below reports.
enum State {
    /// Nothing yet: it waits.
    Slow,
    /// A failure.
    Status(u16),
    /// An answer that is good enough.
    Well,
}

/// Attempts that one request makes at a workload that answers too late, from the innermost layer outwards.
fn tries_when_slow(layers: &[Layer], longest_ns: u64) -> f64 {
    let mut tries = 1.0;
    let mut state = State::Slow;
    for layer in layers.iter().rev() {
        let again = f64::from(layer.retries) + 1.0;
        let per_try = layer.policy.as_ref().map_or(0, |p| p.per_try_timeout_ns);
        let retried = |outcome| layer.policy.as_ref().is_some_and(|p| covers(p, outcome));
        state = match state {
            State::Slow if per_try > 0 && per_try < longest_ns => {
                if retried(AttemptOutcome::PerTryTimeout) {
                    tries *= again;
                }
                State::Status(504)
            }
            State::Slow if layer.timeout_ns > 0 && layer.timeout_ns < longest_ns => State::Status(504),
            State::Slow => State::Slow,
            State::Status(status) => {
                let headers = AttemptOutcome::Headers { status, grpc_status: None, rate_limited: false };
                if retried(headers) {
                    tries *= again;
                }
                State::Status(status)
            }
            State::Well => return tries,
        };
        let Some((patience, retries, fails)) = layer.call else { continue };
        let gives_up = match state {
            State::Slow => patience.is_some_and(|ns| ns < longest_ns),
            State::Status(_) => true,
            State::Well => false,
        };
        if gives_up {
            tries *= f64::from(retries) + 1.0;
            state = if fails { State::Status(500) } else { State::Well };
        }
    }
    tries
}

/// Mean of a law, ns.
fn mean_ns(law: &Law) -> f64 {
    match law {
        Law::Constant(ns) | Law::Exponential(ns) => *ns as f64,
        Law::Uniform(low, high) => (*low as f64 + *high as f64) / 2.0,
        Law::LogNormal { p50_ns, p99_ns } => {
            if *p50_ns == 0 {
                return 0.0;
            }
            // The 99th percentile lies 2.326 deviations of the logarithm above the median.
            let sigma = libm::log(*p99_ns as f64 / *p50_ns as f64) / 2.326_347_874_040_841;
            *p50_ns as f64 * libm::exp(sigma * sigma / 2.0)
        }
        Law::Empirical(values) if values.is_empty() => 0.0,
        Law::Empirical(values) => values.iter().map(|v| *v as f64).sum::<f64>() / values.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_core::ids::OriginId;
    use mesh_core::ir::RetryOn;

    fn layer(retries: u32, per_try_ns: u64, on: RetryOn, call: Option<(Option<u64>, u32, bool)>) -> Layer {
        let policy = RetryPolicy {
            retry_on: on,
            retry_on_text: "".into(),
            num_retries: retries,
            retriable_status_codes: Vec::new(),
            per_try_timeout_ns: per_try_ns,
            base_interval_ns: 25_000_000,
            max_interval_ns: 250_000_000,
            previous_hosts: false,
            previous_priorities: 0,
            host_selection_max_attempts: 0,
            origin: OriginId::NONE,
        };
        Layer { policy: Some(policy), timeout_ns: 0, retries, further: 1, call }
    }

    #[test]
    fn only_layers_that_give_up_waiting_multiply() {
        let on = RetryOn::FIVE_XX;
        let patient = layer(3, 0, on, None);
        assert_eq!(tries_when_slow(std::slice::from_ref(&patient), u64::MAX), 1.0, "nothing ends the wait");
        let hasty = layer(3, 1_000, on, None);
        assert_eq!(tries_when_slow(std::slice::from_ref(&hasty), u64::MAX), 4.0);
        assert_eq!(
            tries_when_slow(std::slice::from_ref(&hasty), 900),
            1.0,
            "the queue is shorter than the patience"
        );
        // The innermost gives up, the application above fails with 500, its own proxy retries that.
        let inner = layer(3, 1_000, on, Some((None, 0, true)));
        assert_eq!(tries_when_slow(&[layer(2, 0, on, None), inner.clone()], u64::MAX), 12.0);
        // An application that ignores the failure stops it.
        let ignoring = layer(3, 1_000, on, Some((None, 0, false)));
        assert_eq!(tries_when_slow(&[layer(2, 0, on, None), ignoring], u64::MAX), 4.0);
        // A 500 is no gateway error.
        let gateway = layer(2, 0, RetryOn::GATEWAY_ERROR, None);
        assert_eq!(tries_when_slow(&[gateway, inner], u64::MAX), 4.0);
    }

    #[test]
    fn patience_of_applications_counts() {
        let patient = layer(3, 0, RetryOn::FIVE_XX, Some((Some(5_000), 2, true)));
        assert_eq!(tries_when_slow(&[patient], u64::MAX), 3.0);
        let worst = layer(3, 0, RetryOn::FIVE_XX, Some((Some(5_000), 2, true)));
        assert_eq!(worst.most_tries(), 12);
    }
}
