//! Aggregates of a run: bounded memory whatever the number of requests.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use mesh_core::Str;
use mesh_core::ids::Nanos;

use crate::record::{Fate, RequestRecord};
use crate::world::ProxyId;

/// Everything a run produced.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// User seed.
    pub seed: u64,
    /// Replication.
    pub replication: u32,
    /// Simulated duration, ns.
    pub duration_ns: Nanos,
    /// Not counted before this, ns.
    pub warmup_ns: Nanos,
    /// Per traffic, in the plan's order.
    pub traffic: Vec<TrafficRecord>,
    /// Per (proxy, cluster): what the proxy sent where.
    pub edges: Vec<EdgeRecord>,
    /// Per pod: load on the application, in the order of the world's pods at time 0, later ones after.
    pub pods: Vec<PodRecord>,
    /// Ejections and returns in order of time.
    pub ejections: Vec<Ejection>,
    /// Every request, when asked for; in order of (traffic, number).
    pub requests: Vec<RequestRecord>,
    /// Events processed.
    pub events: u64,
    /// When so many requests were in flight that the run offered no more, ns; `None` = it never came to that.
    pub overloaded_ns: Option<Nanos>,
}

/// Counts of one traffic.
#[derive(Debug, Clone)]
pub struct TrafficRecord {
    /// Name.
    pub name: Str,
    /// Counted requests that ended.
    pub requests: u64,
    /// By status; 0 = no HTTP answer.
    pub status: BTreeMap<u16, u64>,
    /// By end of connection.
    pub fates: BTreeMap<Fate, u64>,
    /// By flags of the client-side proxy, as in the access log.
    pub flags: BTreeMap<Str, u64>,
    /// By cluster the client-side proxy chose.
    pub clusters: BTreeMap<Str, u64>,
    /// By `ns/workload#ordinal` that answered.
    pub workloads: BTreeMap<Str, u64>,
    /// Denied requests by policy name (`ns[..]-policy[..]-rule[..]`, or `none`) of whichever proxy denied.
    pub denials: BTreeMap<Str, u64>,
    /// By attempts of the client-side proxy.
    pub attempts: BTreeMap<u32, u64>,
    /// Requests whose answer is unknown.
    pub unknown: u64,
    /// Requests of an open loop that nobody sent, since no pod of the client ran; not counted elsewhere.
    pub unsent: u64,
    /// Latency of answered requests, ns.
    pub latency: Histogram<u64>,
    /// Successful (answered below 500) and all requests per window.
    pub windows: Vec<Window>,
}

/// Counts of one time window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Requests that began in it.
    pub requests: u64,
    /// Of those, answered with a status below 500 (gRPC: status 0).
    pub success: u64,
}

/// What one proxy sent to one cluster.
#[derive(Debug, Clone)]
pub struct EdgeRecord {
    /// The proxy.
    pub proxy: ProxyId,
    /// Its name.
    pub proxy_name: Str,
    /// Cluster name.
    pub cluster: Str,
    /// Requests or connections routed to it.
    pub requests: u64,
    /// Attempts by host (`ns/workload#ordinal` or address).
    pub hosts: BTreeMap<Str, u64>,
    /// By status at this proxy; 0 = none.
    pub status: BTreeMap<u16, u64>,
    /// By flags.
    pub flags: BTreeMap<Str, u64>,
    /// Retries started.
    pub retries: u64,
    /// Breaker refusals: connections held back, pending, requests, retries.
    pub overflow: [u64; 4],
    /// Connections opened.
    pub connections: u64,
    /// Detections that did not eject because of `max_ejection_percent` (`outlier_detection.ejections_overflow`).
    pub blocked_ejections: u64,
    /// Durations at this proxy, ns.
    pub latency: Histogram<u32>,
}

/// Load of one pod's application.
#[derive(Debug, Clone)]
pub struct PodRecord {
    /// `ns/workload#ordinal`.
    pub reference: Str,
    /// Requests served.
    pub requests: u64,
    /// Refused because the queue was full.
    pub rejected: u64,
    /// Sum of service times, ns.
    pub busy_ns: u128,
    /// Sum of waiting times, ns.
    pub waited_ns: u128,
    /// Longest queue.
    pub longest_queue: u32,
    /// Parallel requests allowed; `None` = unlimited.
    pub concurrency: Option<u32>,
}

impl PodRecord {
    /// Arrival rate over capacity; above 1 the queue grows without bound. `None` without a limit.
    #[must_use]
    pub fn utilization(&self, duration_ns: Nanos) -> Option<f64> {
        let servers = self.concurrency?;
        if duration_ns == 0 || servers == 0 {
            return None;
        }
        Some(self.busy_ns as f64 / (duration_ns as f64 * f64::from(servers)))
    }
}

/// An entry of the outlier event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// When, ns.
    pub at_ns: Nanos,
    /// When the balancer sees it, ns (semantics: envoy-upstream 0.4).
    pub visible_ns: Nanos,
    /// Whose detector.
    pub proxy: ProxyId,
    /// Its name.
    pub proxy_name: Str,
    /// Cluster.
    pub cluster: Str,
    /// Host: `ns/workload#ordinal`, or its address.
    pub host: Str,
    /// Ejected (with Envoy's type name, whether enforced, and the n-th ejection) or returned.
    pub kind: EjectionKind,
}

/// What happened to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EjectionKind {
    /// Ejected.
    Eject {
        /// Envoy's type, e.g. `CONSECUTIVE_5XX`.
        cause: Str,
        /// Enforced, or only counted.
        enforced: bool,
        /// n-th ejection of the host.
        count: u32,
    },
    /// Returned.
    Return,
}

/// A histogram from 1 µs to 10 min with three digits (`u64` counters).
#[must_use]
pub fn latency_histogram<C: hdrhistogram::Counter>(digits: u8) -> Histogram<C> {
    match Histogram::new_with_bounds(1_000, 600_000_000_000, digits) {
        Ok(h) => h,
        // The bounds are constants that the crate accepts.
        Err(_) => unreachable!("constant histogram bounds"),
    }
}
