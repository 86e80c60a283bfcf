//! Several attempts of one request: what is enumerated against many balancers that begin anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

const ATTEMPTS: u16 = 3;
const SAMPLES: u64 = 1_500;

/// The hosts of three attempts.
fn attempts(
    state: &mut ClusterState,
    cluster: &Cluster,
    policy: &RetryPolicy,
    draws: &mut impl Draws,
) -> Vec<HostId> {
    let mut tried = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let context = PickContext { attempt, tried: &tried, retry: Some(policy), ..PickContext::default() };
        let id = state.pick(cluster, &context, 0, draws);
        tried.extend(id);
    }
    tried
}

fn shapes() -> Vec<(bool, Vec<LocalityEndpoints>)> {
    let down = |i| Endpoint { health: Health::Unhealthy, ..endpoint(i, 1) };
    vec![
        (false, vec![group("", 0, 0, vec![endpoint(1, 1), endpoint(2, 1), endpoint(3, 1)])]),
        (false, vec![group("", 0, 0, vec![endpoint(1, 1), endpoint(2, 2), endpoint(3, 5)])]),
        (
            true,
            vec![
                group("a", 0, 60, vec![endpoint(1, 1), endpoint(2, 3)]),
                group("b", 0, 40, vec![endpoint(3, 1), endpoint(4, 3)]),
            ],
        ),
        (
            false,
            vec![
                group("a", 0, 0, vec![endpoint(1, 1), down(2)]),
                group("b", 1, 0, vec![endpoint(3, 1), endpoint(4, 2)]),
            ],
        ),
    ]
}

fn policies() -> Vec<LbPolicy> {
    vec![
        LbPolicy::RoundRobin(SlowStart::default()),
        LbPolicy::RoundRobin(SlowStart { window_ns: 10 * SECOND, aggression: 1.0, min_weight_percent: 10.0 }),
        LbPolicy::LeastRequest(2, SlowStart::default()),
        LbPolicy::Random,
        LbPolicy::RingHash { minimum_ring_size: 64, maximum_ring_size: 8_388_608 },
        LbPolicy::Maglev { table_size: 251 },
    ]
}

#[test]
fn attempts_of_a_request_are_exact_together() {
    let tables = Arc::new(HashTables::default());
    let retries = [
        RetryPolicy { previous_hosts: false, ..retries::policy("5xx", 2) },
        RetryPolicy { previous_hosts: true, host_selection_max_attempts: 1, ..retries::policy("5xx", 2) },
        RetryPolicy { previous_hosts: true, host_selection_max_attempts: 5, ..retries::policy("5xx", 2) },
        RetryPolicy { previous_priorities: 1, previous_hosts: false, ..retries::policy("5xx", 2) },
    ];
    for (locality_weighted, endpoints) in shapes() {
        let mut cluster = cluster_of(endpoints);
        cluster.common_lb.locality_weighted = locality_weighted;
        for (lb, policy) in policies().iter().flat_map(|lb| retries.iter().map(move |r| (lb, r))) {
            cluster.lb = lb.clone();
            let mut exact: BTreeMap<Vec<HostId>, f64> = BTreeMap::new();
            for (p, ids) in enumerate(|draws| {
                let mut state = state_of(&cluster, draws);
                state.share_tables(&tables);
                let ids = attempts(&mut state, &cluster, policy, draws);
                assert!(!state.is_approximate());
                ids
            }) {
                *exact.entry(ids).or_default() += p;
            }
            let mut seen: BTreeMap<Vec<HostId>, f64> = BTreeMap::new();
            for sample in 0..SAMPLES {
                let mut draws = Counting::new(sample << 10);
                let mut state = state_of(&cluster, &mut draws);
                state.share_tables(&tables);
                *seen.entry(attempts(&mut state, &cluster, policy, &mut draws)).or_default() += 1.0;
            }
            let n = SAMPLES as f64;
            assert!((exact.values().sum::<f64>() - 1.0).abs() < 1e-9, "{lb:?}");
            for ids in exact.keys().chain(seen.keys()) {
                let p = exact.get(ids).copied().unwrap_or(0.0);
                let share = seen.get(ids).copied().unwrap_or(0.0) / n;
                let error = libm::sqrt(p * (1.0 - p) / n);
                assert!(
                    (share - p).abs() <= 5.0 * error + 1.0 / n && (p > 0.0 || share == 0.0),
                    "{lb:?} {:?} {ids:?}: {share} for {p}",
                    (policy.previous_hosts, policy.host_selection_max_attempts, policy.previous_priorities)
                );
            }
        }
    }
}

#[test]
fn retries_in_a_schedule_go_on_from_the_first_pick() {
    // Localities 1:1: the schedule alternates, so a retry always leaves the locality of the first attempt.
    let mut cluster = cluster_of(vec![
        group("a", 0, 50, vec![endpoint(1, 1), endpoint(2, 1)]),
        group("b", 0, 50, vec![endpoint(3, 1), endpoint(4, 1)]),
    ]);
    cluster.common_lb.locality_weighted = true;
    let policy = RetryPolicy { previous_hosts: false, ..retries::policy("5xx", 2) };
    for (_, ids) in enumerate(|draws| attempts(&mut state_of(&cluster, draws), &cluster, &policy, draws)) {
        let sides: Vec<bool> = ids.iter().map(|id| id.0 < 2).collect();
        assert!(sides[0] != sides[1] && sides[1] != sides[2], "{ids:?}");
    }
}

#[test]
fn weights_without_a_measure_are_not_called_exact() {
    let (fine, coarse) = ([40_009, 30_011, 7_001], [4, 3, 1]);
    for (weights, approximate) in [(fine, true), (coarse, false)] {
        let hosts = weights.iter().zip(1..).map(|(w, i)| endpoint(i, *w)).collect();
        let cluster = cluster_of(vec![group("", 0, 0, hosts)]);
        let policy = RetryPolicy { previous_hosts: true, ..retries::policy("5xx", 2) };
        let results = enumerate(|draws| {
            let mut state = state_of(&cluster, draws);
            let first = state.pick(&cluster, &PickContext { attempt: 1, ..PickContext::default() }, 0, draws);
            assert!(!state.is_approximate(), "one pick has its share whatever the weights");
            let tried = [first.unwrap()];
            let context =
                PickContext { attempt: 2, tried: &tried, retry: Some(&policy), ..PickContext::default() };
            state.pick(&cluster, &context, 0, draws);
            state.is_approximate()
        });
        assert!(results.iter().all(|(_, inexact)| *inexact == approximate), "{weights:?}");
    }
}

#[test]
fn a_hash_towards_a_host_leads_there() {
    let mut cluster = cluster_of(shapes().remove(3).1);
    for lb in [
        LbPolicy::RingHash { minimum_ring_size: 64, maximum_ring_size: 8_388_608 },
        LbPolicy::Maglev { table_size: 251 },
    ] {
        cluster.lb = lb;
        let mut draws = Counting::new(5);
        let mut state = state_of(&cluster, &mut draws);
        for (id, healthy) in [(0, true), (1, false), (2, true), (3, true)] {
            let hash = state.hash_towards(&cluster, HostId(id), 0);
            assert_eq!(hash.is_some(), healthy, "{id}");
            if hash.is_some() {
                let context = PickContext { hash, attempt: 1, ..PickContext::default() };
                assert_eq!(state.pick(&cluster, &context, 0, &mut draws), Some(HostId(id)));
            }
        }
    }
}
