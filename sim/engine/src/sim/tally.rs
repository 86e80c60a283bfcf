//! Counting: what aggregates keep of requests, clusters and pods while a run goes on.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use mesh_core::Str;
use mesh_core::ids::{HostId, Nanos};
use mesh_core::response::Flags;

use super::state::{Answerer, ClientEnd, ClusterIx, PodIx, Summary};
use crate::record::Fate;
use crate::stats::{Ejection, Window, latency_histogram};

/// How often each of a few things was seen, in order of first sight: shorter to search than a tree.
#[derive(Debug, Clone)]
pub(crate) struct Counts<T>(Vec<(T, u64)>);

impl<T: Copy + Ord> Counts<T> {
    pub(super) fn add(&mut self, what: T) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, n)) => *n += 1,
            None => self.0.push((what, 1)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (T, u64)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn into_map(self) -> BTreeMap<T, u64> {
        self.0.into_iter().collect()
    }
}

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Counts(Vec::new())
    }
}

/// Counts of one traffic source, by index.
pub(crate) struct TrafficTally {
    pub(crate) requests: u64,
    pub(crate) status: Counts<u16>,
    pub(crate) fates: Counts<Fate>,
    pub(crate) flags: Counts<Flags>,
    pub(crate) clusters: Vec<u64>,
    pub(crate) pods: Vec<u64>,
    pub(crate) internet: u64,
    pub(crate) denials: Counts<u32>,
    pub(crate) attempts: Counts<u32>,
    pub(crate) unknown: u64,
    pub(crate) unsent: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) windows: Vec<Window>,
}

/// Counts of one cluster of one proxy.
pub(crate) struct ClusterTally {
    pub(crate) requests: u64,
    pub(crate) hosts: Vec<u64>,
    pub(crate) status: Counts<u16>,
    pub(crate) flags: Counts<Flags>,
    pub(crate) retries: u64,
    pub(crate) connections: u64,
    pub(crate) latency: Histogram<u32>,
}

/// All counts of a run.
pub(crate) struct Tally {
    pub(crate) traffic: Vec<TrafficTally>,
    pub(crate) clusters: Vec<ClusterTally>,
    pub(crate) ejections: Vec<Ejection>,
    pub(crate) deniers: Vec<Str>,
    window_ns: Nanos,
}

impl Tally {
    pub(super) fn new(traffic: usize, pods: usize, window_ns: Nanos) -> Tally {
        let one = || TrafficTally {
            requests: 0,
            status: Counts::default(),
            fates: Counts::default(),
            flags: Counts::default(),
            clusters: Vec::new(),
            pods: vec![0; pods],
            internet: 0,
            denials: Counts::default(),
            attempts: Counts::default(),
            unknown: 0,
            unsent: 0,
            latency: latency_histogram(3),
            windows: Vec::new(),
        };
        Tally {
            traffic: (0..traffic).map(|_| one()).collect(),
            clusters: Vec::new(),
            ejections: Vec::new(),
            deniers: Vec::new(),
            window_ns: window_ns.max(1),
        }
    }

    /// The world has more pods now.
    pub(super) fn grow(&mut self, pods: usize) {
        for t in &mut self.traffic {
            t.pods.resize(pods.max(t.pods.len()), 0);
        }
    }

    pub(super) fn add_cluster(&mut self) {
        self.clusters.push(ClusterTally {
            requests: 0,
            hosts: Vec::new(),
            status: Counts::default(),
            flags: Counts::default(),
            retries: 0,
            connections: 0,
            latency: latency_histogram(2),
        });
    }

    /// No pod ran that could have sent a request.
    pub(super) fn unsent(&mut self, traffic: u32) {
        if let Some(t) = self.traffic.get_mut(traffic as usize) {
            t.unsent += 1;
        }
    }

    /// Index of a policy that denied something.
    pub(super) fn denier(&mut self, name: &str) -> u32 {
        let at = self.deniers.iter().position(|d| d.as_ref() == name);
        at.unwrap_or_else(|| {
            self.deniers.push(name.into());
            self.deniers.len() - 1
        }) as u32
    }

    /// An attempt goes to a host.
    pub(super) fn attempt(&mut self, cluster: ClusterIx, host: HostId) {
        let Some(t) = self.clusters.get_mut(cluster as usize) else { return };
        if t.hosts.len() <= host.index() {
            t.hosts.resize(host.index() + 1, 0);
        }
        if let Some(n) = t.hosts.get_mut(host.index()) {
            *n += 1;
        }
    }

    pub(super) fn retried(&mut self, cluster: ClusterIx) {
        if let Some(t) = self.clusters.get_mut(cluster as usize) {
            t.retries += 1;
        }
    }

    pub(super) fn connected(&mut self, cluster: ClusterIx) {
        if let Some(t) = self.clusters.get_mut(cluster as usize) {
            t.connections += 1;
        }
    }

    /// A stream or session of a cluster ended.
    pub(super) fn edge(
        &mut self,
        cluster: ClusterIx,
        flags: Flags,
        code: u16,
        _attempts: u32,
        duration: Nanos,
    ) {
        let Some(t) = self.clusters.get_mut(cluster as usize) else { return };
        t.requests += 1;
        t.status.add(code);
        t.flags.add(flags);
        t.latency.saturating_record(duration);
    }

    /// A request of a traffic source ended.
    pub(super) fn request(
        &mut self,
        traffic: u32,
        start: Nanos,
        end: &ClientEnd,
        summary: Summary,
        unknown: bool,
    ) {
        let window = (start / self.window_ns) as usize;
        let Some(t) = self.traffic.get_mut(traffic as usize) else { return };
        t.requests += 1;
        let status = end.response.as_ref().map_or(0, |r| r.status);
        t.status.add(status);
        t.fates.add(end.fate);
        t.unknown += u64::from(unknown);
        if let Some(first) = summary.first {
            t.flags.add(first.flags);
            t.attempts.add(first.attempts);
            if let Some(cluster) = first.cluster {
                bump(&mut t.clusters, cluster);
            }
        }
        if let Some(denier) = summary.denied {
            t.denials.add(denier);
        }
        match end.workload {
            Some(Answerer::Pod(pod)) => bump(&mut t.pods, pod),
            Some(Answerer::Internet) => t.internet += 1,
            None => {}
        }
        let answered = end.fate == Fate::Ok;
        if answered {
            t.latency.saturating_record(end.at_ns - start);
        }
        let grpc_good = end.response.as_ref().is_none_or(|r| r.grpc_status.is_none_or(|g| g == 0));
        let success = answered && grpc_good && status < 500;
        if t.windows.len() <= window {
            t.windows.resize(window + 1, Window::default());
        }
        if let Some(w) = t.windows.get_mut(window) {
            w.requests += 1;
            w.success += u64::from(success);
        }
    }
}

fn bump(counts: &mut Vec<u64>, at: PodIx) {
    let at = at as usize;
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    if let Some(n) = counts.get_mut(at) {
        *n += 1;
    }
}
