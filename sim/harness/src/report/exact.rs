//! Closed-form shares: every random choice of one request enumerated on the idle mesh, per traffic and variant.

use std::collections::BTreeMap;

use mesh_engine::plan::Traffic;
use mesh_engine::record::{Hop, Side};
use mesh_reports::outcome::Unknown;

use super::host_of;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::each_client;
use crate::predict::predict_exactly;

/// How a split is keyed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// Service host.
    pub host: String,
    /// Cluster.
    pub cluster: String,
    /// `ns/workload#ordinal` or address; empty when the choice is the balancer's.
    pub pod: String,
}

/// Expected numbers per traffic.
#[derive(Debug, Clone, Default)]
pub struct TrafficExact {
    /// Expected requests per leg, for one request of the traffic.
    pub legs: BTreeMap<Leg, f64>,
    /// Share that succeeds.
    pub success: f64,
    /// Mean attempts of the client-side proxy, of requests that it forwarded; 0 without any.
    pub attempts: f64,
    /// Share that some proxy denied.
    pub denied: f64,
}

/// Closed-form answers of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Exact {
    /// Per traffic, in order; empty legs where enumeration was not possible.
    pub traffic: Vec<TrafficExact>,
    /// Why there are none.
    pub incomplete: Option<String>,
    /// Not modelled parts met on the way.
    pub unknown: Vec<Unknown>,
}

/// Enumerates every variant of every traffic once.
#[must_use]
pub fn exact(mesh: &LoadedMesh, traffic: &[Traffic], behaviors: &Behaviors) -> Exact {
    let mut all = Exact::default();
    for one in traffic {
        let mut numbers = TrafficExact::default();
        let mut forwarded = 0.0;
        let total: u64 = one.mix.iter().map(|(weight, _)| weight).sum();
        let clients = each_client(one, &mesh.world);
        for (client, (weight, request)) in clients.iter().flat_map(|c| c.mix.iter().map(move |r| (c, r))) {
            let share = if total == 0 { 0.0 } else { client.share * *weight as f64 / total as f64 };
            match predict_exactly(mesh, &client.sender, request, behaviors, one) {
                Ok(predictions) => {
                    for p in predictions {
                        let weight = share * p.p;
                        if p.outcome.status.is_some_and(|s| s < 500) || answered(&p.record) {
                            numbers.success += weight;
                        }
                        if let Some(hop) = p.record.client_hop().filter(|h| h.attempts > 0) {
                            numbers.attempts += weight * f64::from(hop.attempts);
                            forwarded += weight;
                        }
                        if p.record.hops.iter().any(|h| !h.shadow && super::denied(h)) {
                            numbers.denied += weight;
                        }
                        for hop in p.record.hops.iter().filter(|h| h.side != Side::Inbound && !h.shadow) {
                            if let Some(leg) = leg(hop) {
                                *numbers.legs.entry(leg).or_default() += weight;
                            }
                        }
                        for unknown in p.outcome.unknown {
                            if !all.unknown.contains(&unknown) {
                                all.unknown.push(unknown);
                            }
                        }
                    }
                }
                Err(why) => all.incomplete = Some(why),
            }
        }
        if forwarded > 0.0 {
            numbers.attempts /= forwarded;
        }
        all.traffic.push(numbers);
    }
    all
}

/// A line client got its answer.
fn answered(record: &mesh_engine::RequestRecord) -> bool {
    record.response.is_none() && record.answer.is_some()
}

fn leg(hop: &Hop) -> Option<Leg> {
    Some(Leg {
        host: host_of(hop)?,
        cluster: hop.cluster_name.as_ref()?.to_string(),
        pod: hop.upstream_workload.as_ref().map(ToString::to_string).unwrap_or_default(),
    })
}
