//! The record of a run, made from its counts when it is over.

use std::collections::BTreeMap;

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::response::Flags;

use super::Sim;
use super::tally::{ClusterTally, Counts, TrafficTally};
use crate::draws::Chance;
use crate::stats::{EdgeRecord, PodRecord, RunRecord, TrafficRecord};
use crate::world::ProxyId;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Everything counted, under names.
    pub(crate) fn into_record(mut self) -> RunRecord {
        let mut requests = std::mem::take(&mut self.records);
        requests.sort_by_key(|r| (r.traffic, r.number));
        let tallies = std::mem::take(&mut self.tally.traffic);
        let clusters = std::mem::take(&mut self.tally.clusters);
        RunRecord {
            seed: self.plan.seed,
            replication: self.plan.replication,
            duration_ns: self.plan.duration_ns,
            warmup_ns: self.plan.warmup_ns,
            traffic: tallies.into_iter().enumerate().map(|(i, t)| self.traffic_record(i, t)).collect(),
            edges: clusters.into_iter().enumerate().map(|(i, t)| self.edge_record(i, t)).collect(),
            pods: self.pods.iter().map(pod_record).collect(),
            ejections: std::mem::take(&mut self.tally.ejections),
            requests,
            events: self.events,
            overloaded_ns: self.overloaded_ns,
        }
    }

    fn traffic_record(&self, index: usize, t: TrafficTally) -> TrafficRecord {
        let name = self.plan.traffic.get(index).map(|p| p.name.clone()).unwrap_or_default();
        let mut clusters = BTreeMap::new();
        for (ix, n) in t.clusters.iter().enumerate().filter(|(_, n)| **n > 0) {
            if let Some(run) = self.clusters.get(ix) {
                *clusters.entry(run.name.clone()).or_default() += n;
            }
        }
        let mut workloads: BTreeMap<Str, u64> = BTreeMap::new();
        for (ix, n) in t.pods.iter().enumerate().filter(|(_, n)| **n > 0) {
            if let Some(run) = self.pods.get(ix) {
                *workloads.entry(run.pod.reference.clone()).or_default() += n;
            }
        }
        if t.internet > 0 {
            workloads.insert(self.internet_name(), t.internet);
        }
        let denials =
            t.denials.iter().filter_map(|(d, n)| Some((self.tally.deniers.get(d as usize)?.clone(), n)));
        TrafficRecord {
            name,
            requests: t.requests,
            status: t.status.into_map(),
            fates: t.fates.into_map(),
            flags: texts(&t.flags),
            clusters,
            workloads,
            denials: denials.collect(),
            attempts: t.attempts.into_map(),
            unknown: t.unknown,
            unsent: t.unsent,
            latency: t.latency,
            windows: t.windows,
        }
    }

    fn edge_record(&self, index: usize, t: ClusterTally) -> EdgeRecord {
        let run = self.clusters.get(index);
        let proxy = run.map_or(0, |r| r.proxy);
        let mut hosts: BTreeMap<Str, u64> = BTreeMap::new();
        for (i, n) in t.hosts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let host = run.and_then(|r| r.state.host(mesh_core::ids::HostId(i as u32)));
            let name = match host {
                Some(h) if h.workload.is_empty() => Str::from(h.address.text()),
                Some(h) => h.workload.clone(),
                None => continue,
            };
            *hosts.entry(name).or_default() += n;
        }
        let over = run.map(|r| r.state.breakers().overflows).unwrap_or_default();
        EdgeRecord {
            proxy: ProxyId(proxy),
            proxy_name: self.proxies.get(proxy as usize).map(|p| p.name.clone()).unwrap_or_default(),
            cluster: run.map(|r| r.name.clone()).unwrap_or_default(),
            requests: t.requests,
            hosts,
            status: t.status.into_map(),
            flags: texts(&t.flags),
            retries: t.retries,
            overflow: [over.connections, over.pending, over.requests, over.retries],
            connections: t.connections,
            blocked_ejections: run.map_or(0, |r| r.blocked),
            latency: t.latency,
        }
    }
}

fn texts(flags: &Counts<Flags>) -> BTreeMap<Str, u64> {
    flags.iter().map(|(f, n)| (Str::from(f.text()), n)).collect()
}

fn pod_record(run: &super::mesh::PodRun) -> PodRecord {
    PodRecord {
        reference: run.pod.reference.clone(),
        requests: run.requests,
        rejected: run.rejected,
        busy_ns: run.busy_ns,
        waited_ns: run.waited_ns,
        longest_queue: run.longest,
        concurrency: run.behavior.concurrency,
    }
}
