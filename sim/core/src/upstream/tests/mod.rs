//! Tests of the upstream half as a whole: a cluster to vary, draws to script. Recorded answers, timelines, shares.

mod admission;
mod balancing;
mod changes;
mod ejections;
mod exact;
mod recorded;
mod retries;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::cx::{Draws, Purpose};
use crate::ids::{HostId, Nanos, OriginId, Str};
use crate::ir::*;

pub(super) const MS: Nanos = 1_000_000;
pub(super) const SECOND: Nanos = 1_000 * MS;

/// Counting draws: a different number for every draw, the same ones in every run.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting {
    state: u64,
}

impl Counting {
    pub(super) fn new(seed: u64) -> Self {
        Counting { state: seed }
    }
}

impl Draws for Counting {
    fn draw(&mut self, _purpose: Purpose) -> u64 {
        self.state += 1;
        balance::mix(0x5eed, self.state)
    }
}

/// Visits every combination of intervals once, with its probability.
pub(super) fn enumerate<T>(mut run: impl FnMut(&mut Script) -> T) -> Vec<(f64, T)> {
    let mut results = Vec::new();
    let mut path: Vec<usize> = Vec::new();
    loop {
        let mut script = Script { path: path.clone(), widths: Vec::new(), at: 0, probability: 1.0 };
        let result = run(&mut script);
        results.push((script.probability, result));
        path = script.path;
        path.truncate(script.at);
        loop {
            let Some(last) = path.pop() else { return results };
            let widths = &script.widths[path.len()];
            if let Some(next) = (last + 1..widths.len()).find(|i| widths[*i] > 0) {
                path.push(next);
                break;
            }
        }
    }
}

/// One path through all choices.
pub(super) struct Script {
    path: Vec<usize>,
    widths: Vec<Vec<u64>>,
    at: usize,
    probability: f64,
}

impl Draws for Script {
    fn draw(&mut self, _purpose: Purpose) -> u64 {
        0
    }

    fn enumerates(&self) -> bool {
        true
    }

    fn choose(&mut self, _purpose: Purpose, ends: &[u64]) -> usize {
        let mut from = 0;
        let widths: Vec<u64> = ends.iter().map(|end| end - std::mem::replace(&mut from, *end)).collect();
        let total: u64 = widths.iter().sum();
        if self.at == self.path.len() {
            self.path.push(widths.iter().position(|w| *w > 0).unwrap());
        }
        let chosen = self.path[self.at];
        self.probability *= widths[chosen] as f64 / total as f64;
        self.widths.truncate(self.at);
        self.widths.push(widths);
        self.at += 1;
        chosen
    }
}

pub(super) fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 244, 0, last))
}

pub(super) fn endpoint(last: u8, weight: u32) -> Endpoint {
    Endpoint {
        address: EndpointAddress::Ip(ip(last), 8080),
        weight,
        health: Health::Healthy,
        tls_mode_istio: true,
        workload: format!("default/web#{last}").into(),
        origin: OriginId::NONE,
    }
}

pub(super) fn group(locality: &str, priority: u32, weight: u32, hosts: Vec<Endpoint>) -> LocalityEndpoints {
    LocalityEndpoints { locality: locality.into(), weight, priority, hosts }
}

/// A cluster of equal hosts 10.244.0.0 … as istiod would send it.
pub(super) fn cluster(hosts: u8) -> Cluster {
    cluster_of(vec![group("", 0, 0, (0..hosts).map(|i| endpoint(i, 1)).collect())])
}

pub(super) fn cluster_of(endpoints: Vec<LocalityEndpoints>) -> Cluster {
    Cluster {
        name: "outbound|80||web.default.svc.cluster.local".into(),
        discovery: Discovery::Eds,
        lb: LbPolicy::RoundRobin(SlowStart::default()),
        common_lb: CommonLb {
            healthy_panic_threshold: 0,
            locality_weighted: false,
            update_merge_window_ns: SECOND,
        },
        connect_timeout_ns: 10 * SECOND,
        breakers: CircuitBreakers::default(),
        outlier: None,
        protocol: UpstreamProtocol::Http1,
        transport: Transport::Plaintext,
        proxy_protocol: 0,
        idle_timeout_ns: 3_600 * SECOND,
        max_requests_per_connection: 0,
        max_connection_duration_ns: None,
        max_concurrent_streams: 1024,
        upstream_port_override: 0,
        upstream_bind: None,
        endpoints,
        overprovisioning_factor: 140,
        host: Str::from("web.default.svc.cluster.local"),
        port: 80,
        subset: Str::from(""),
        taints: Vec::new(),
        origin: OriginId::NONE,
    }
}

/// Envoy's defaults with Istio's two changes.
pub(super) fn outlier() -> OutlierDetection {
    OutlierDetection {
        interval_ns: 10 * SECOND,
        base_ejection_time_ns: 30 * SECOND,
        max_ejection_time_ns: 300 * SECOND,
        max_ejection_percent: 10,
        consecutive_5xx: 5,
        enforcing_consecutive_5xx: 100,
        consecutive_gateway_failure: 5,
        enforcing_consecutive_gateway_failure: 0,
        split_external_local_origin_errors: false,
        consecutive_local_origin_failure: 5,
        enforcing_consecutive_local_origin_failure: 100,
        enforcing_success_rate: 0,
        success_rate_minimum_hosts: 5,
        success_rate_request_volume: 100,
        success_rate_stdev_factor: 1900,
        enforcing_failure_percentage: 0,
        failure_percentage_threshold: 85,
        failure_percentage_minimum_hosts: 5,
        failure_percentage_request_volume: 50,
        error_codes: Vec::new(),
        origin: OriginId::NONE,
    }
}

pub(super) fn no_dns(_: &str) -> Vec<IpAddr> {
    Vec::new()
}

pub(super) fn state_of(cluster: &Cluster, draws: &mut impl Draws) -> ClusterState {
    ClusterState::new(cluster, 0, &no_dns, draws)
}

/// Ids of `n` picks, one after the other, nothing in flight.
pub(super) fn picks(
    state: &mut ClusterState,
    cluster: &Cluster,
    n: usize,
    draws: &mut impl Draws,
) -> Vec<u32> {
    let context = PickContext { attempt: 1, ..PickContext::default() };
    (0..n).filter_map(|_| state.pick(cluster, &context, 0, draws)).map(|id| id.0).collect()
}

pub(super) fn no_sink(_: OutlierEvent) {}

/// Reports `n` statuses of a host at one instant.
pub(super) fn statuses(
    state: &mut ClusterState,
    cluster: &Cluster,
    host: u32,
    status: u16,
    n: usize,
    now_ns: Nanos,
) -> Vec<OutlierEvent> {
    let mut events = Vec::new();
    for _ in 0..n {
        state.on_event(
            cluster,
            HostId(host),
            UpstreamEvent::Status(status),
            now_ns,
            &mut Counting::default(),
            &mut |e| events.push(e),
        );
    }
    events
}
