//! Rotations, schedules, shares; sequences against stationary distributions.

use super::*;

fn context() -> PickContext<'static> {
    PickContext { attempt: 1, ..PickContext::default() }
}

/// The enumerated distribution of a first pick equals the closed form.
fn enumerated(cluster: &Cluster) -> Vec<(u32, f64)> {
    let mut shares: std::collections::BTreeMap<u32, f64> = std::collections::BTreeMap::new();
    for (p, id) in enumerate(|draws| {
        let mut state = ClusterState::new(cluster, 0, &no_dns, draws);
        state.pick(cluster, &context(), 0, draws)
    }) {
        *shares.entry(id.map_or(u32::MAX, |id| id.0)).or_default() += p;
    }
    let state = ClusterState::new(cluster, 0, &no_dns, &mut Counting::new(1));
    let mut closed = state.pick_distribution(cluster, &context(), 0);
    closed.sort_by_key(|(id, _)| *id);
    if closed.is_empty() {
        assert_eq!(shares.keys().collect::<Vec<_>>(), [&u32::MAX]);
    } else {
        assert_eq!(closed.len(), shares.len());
    }
    for ((id, a), (other, b)) in closed.iter().zip(&shares) {
        assert!(id.0 == *other && (a - b).abs() < 1e-9, "{id:?} {a} {b}");
    }
    shares.into_iter().collect()
}

/// Shares of `n` simulated picks.
fn simulated(cluster: &Cluster, n: usize) -> Vec<f64> {
    let mut draws = Counting::new(77);
    let mut state = state_of(cluster, &mut draws);
    let ids = picks(&mut state, cluster, n, &mut draws);
    let hosts = state.hosts().count();
    (0..hosts).map(|h| ids.iter().filter(|id| **id as usize == h).count() as f64 / n as f64).collect()
}

fn every_policy() -> Vec<LbPolicy> {
    let slow = SlowStart::default();
    vec![
        LbPolicy::RoundRobin(slow),
        LbPolicy::LeastRequest(2, slow),
        LbPolicy::Random,
        LbPolicy::RingHash { minimum_ring_size: 1024, maximum_ring_size: 8_388_608 },
        LbPolicy::Maglev { table_size: 1021 },
    ]
}

#[test]
fn simulation_agrees_with_enumeration() {
    let meshes = [
        vec![group("", 0, 0, vec![endpoint(1, 1), endpoint(2, 1), endpoint(3, 1)])],
        vec![group("", 0, 0, vec![endpoint(1, 1), endpoint(2, 2), endpoint(3, 5)])],
        vec![
            group("a", 0, 80, vec![endpoint(1, 1), endpoint(2, 3)]),
            group("b", 0, 20, vec![endpoint(3, 1), endpoint(4, 1), endpoint(5, 1)]),
        ],
        vec![
            group("a", 0, 0, vec![endpoint(1, 1), Endpoint { health: Health::Unhealthy, ..endpoint(2, 1) }]),
            group("b", 1, 0, vec![endpoint(3, 1), endpoint(4, 1), endpoint(5, 1)]),
        ],
    ];
    for endpoints in meshes {
        for lb in every_policy() {
            for locality_weighted in [false, true] {
                let mut cluster = cluster_of(endpoints.clone());
                cluster.lb = lb.clone();
                cluster.common_lb.locality_weighted = locality_weighted;
                let exact = enumerated(&cluster);
                let sum: f64 = exact.iter().map(|(_, p)| p).sum();
                assert!((sum - 1.0).abs() < 1e-9);
                let seen = simulated(&cluster, 20_000);
                for (h, p) in &exact {
                    let got = seen[*h as usize];
                    assert!((got - p).abs() < 0.015, "{lb:?} {locality_weighted} host {h}: {got} for {p}");
                }
            }
        }
    }
}

#[test]
fn a_rotation_keeps_its_index_through_every_change() {
    // semantics: envoy-upstream 2.1 and 15: one start value explains every pick.
    let (three, four, two) = (cluster(3), cluster(4), cluster(2));
    let mut draws = Counting::new(9);
    let mut state = state_of(&three, &mut draws);
    let mut seen = picks(&mut state, &three, 4, &mut draws);
    state.update(&three, &four, SECOND, &no_dns, &mut draws);
    seen.extend(picks(&mut state, &four, 6, &mut draws));
    state.update(&four, &two, 2 * SECOND, &no_dns, &mut draws);
    seen.extend(picks(&mut state, &two, 4, &mut draws));
    let lengths = [3_u64; 4].into_iter().chain([4; 6]).chain([2; 4]);
    let explained = (0..12_u64).any(|start| {
        seen.iter().zip(lengths.clone()).zip(0..).all(|((id, len), i)| u64::from(*id) == (start + i) % len)
    });
    assert!(explained, "{seen:?}");
}

#[test]
fn an_enumerated_rotation_goes_on_from_its_start() {
    let cluster = cluster(3);
    let runs = enumerate(|draws| {
        let mut state = ClusterState::new(&cluster, 0, &no_dns, draws);
        picks(&mut state, &cluster, 4, draws)
    });
    let sequences: Vec<Vec<u32>> = runs.iter().map(|(_, ids)| ids.clone()).collect();
    assert_eq!(sequences, [vec![0, 1, 2, 0], vec![1, 2, 0, 1], vec![2, 0, 1, 2]]);
}

#[test]
fn least_request_avoids_the_busy_host() {
    // semantics: envoy-upstream 3.1: (1/n)^k.
    for (hosts, choices, share) in [(2, 2, 0.25), (3, 2, 1.0 / 9.0), (3, 3, 1.0 / 27.0)] {
        let mut cluster = cluster(hosts);
        cluster.lb = LbPolicy::LeastRequest(choices, SlowStart::default());
        let mut draws = Counting::new(5);
        let mut state = state_of(&cluster, &mut draws);
        state.attach_tcp(HostId(1));
        let ids = picks(&mut state, &cluster, 20_000, &mut draws);
        let busy = ids.iter().filter(|id| **id == 1).count() as f64 / 20_000.0;
        assert!((busy - share).abs() < 0.012, "{hosts} {choices}: {busy}");
        let exact = state.pick_distribution(&cluster, &context(), 0);
        assert!((exact[1].1 - share).abs() < 1e-12, "{exact:?}");
    }
}

#[test]
fn least_request_with_weights_divides_by_active_requests() {
    // semantics: envoy-upstream 3.3: weights 4:2:2, host 0 holding 1 → thirds; holding 3 → 20/40/40.
    for (held, shares) in [(1, [1.0 / 3.0; 3]), (3, [0.2, 0.4, 0.4])] {
        let endpoints = vec![endpoint(1, 4), endpoint(2, 2), endpoint(3, 2)];
        let mut cluster = cluster_of(vec![group("", 0, 0, endpoints)]);
        cluster.lb = LbPolicy::LeastRequest(2, SlowStart::default());
        let mut draws = Counting::new(5);
        let mut state = state_of(&cluster, &mut draws);
        for _ in 0..held {
            state.attach_tcp(HostId(0));
        }
        let ids = picks(&mut state, &cluster, 3_000, &mut draws);
        for (h, share) in shares.iter().enumerate() {
            let got = ids.iter().filter(|id| **id as usize == h).count() as f64 / 3_000.0;
            assert!((got - share).abs() < 0.01, "{held} {h}: {got}");
        }
    }
}

#[test]
fn locality_weights_follow_health() {
    // semantics: envoy-upstream 1.6: A weight 1 whole, B weight 3 half healthy → 1.0 and 2.1.
    let bad = Endpoint { health: Health::Unhealthy, ..endpoint(4, 1) };
    let mut cluster = cluster_of(vec![
        group("a", 0, 1, vec![endpoint(1, 1), endpoint(2, 1)]),
        group("b", 0, 3, vec![endpoint(3, 1), bad]),
        group("c", 0, 0, vec![endpoint(5, 1)]),
    ]);
    cluster.common_lb.locality_weighted = true;
    let shares = enumerated(&cluster);
    let of = |h: u32| shares.iter().find(|(id, _)| *id == h).map_or(0.0, |(_, p)| *p);
    assert!((of(0) + of(1) - 1.0 / 3.1).abs() < 1e-9 && (of(2) - 2.1 / 3.1).abs() < 1e-9, "{shares:?}");
    assert_eq!((of(3), of(4)), (0.0, 0.0), "unhealthy, and without a weight");
    cluster.common_lb.locality_weighted = false;
    assert_eq!(enumerated(&cluster).len(), 4, "without the option locality weights mean nothing");
}

#[test]
fn random_uses_the_draw_of_the_priority_again() {
    // semantics: envoy-upstream 4.1: 20 healthy of 40 → hosts 0–9 get 40.6 %, hosts 10–19 29.6 % in all.
    let down = |i| Endpoint { health: Health::Unhealthy, ..endpoint(i, 1) };
    let first = (0..40).map(|i| if i < 20 { endpoint(i, 1) } else { down(i) }).collect();
    let mut cluster = cluster_of(vec![group("a", 0, 0, first), group("b", 1, 0, vec![endpoint(100, 1)])]);
    cluster.lb = LbPolicy::Random;
    let shares = enumerated(&cluster);
    let sum = |ids: std::ops::Range<u32>| -> f64 {
        shares.iter().filter(|(id, _)| ids.contains(id)).map(|(_, p)| p).sum()
    };
    assert!((sum(0..10) - 0.40).abs() < 1e-9, "{}", sum(0..10));
    assert!((sum(10..20) - 0.30).abs() < 1e-9);
    let seen = simulated(&cluster, 40_000);
    assert!((seen[..10].iter().sum::<f64>() - 0.40).abs() < 0.01);
}

#[test]
fn panic_uses_everyone_and_its_absence_no_one() {
    let down = |i| Endpoint { health: Health::Unhealthy, ..endpoint(i, 1) };
    let mut cluster = cluster_of(vec![group("", 0, 0, vec![down(1), down(2)])]);
    assert_eq!(enumerated(&cluster), [(u32::MAX, 1.0)], "threshold 0: 503 UH");
    cluster.common_lb.healthy_panic_threshold = 50;
    assert_eq!(enumerated(&cluster).len(), 2);
}

#[test]
fn slow_start_follows_the_measured_shares() {
    // semantics: envoy-upstream 2.4: window 10 s, one old host, one new; share of the new one over time.
    let slow =
        |aggression, min_weight_percent| SlowStart { window_ns: 10 * SECOND, aggression, min_weight_percent };
    for (slow, rows) in [
        (slow(1.0, 10.0), [(500, 0.091), (1_500, 0.130), (2_500, 0.200), (5_500, 0.355), (9_500, 0.487)]),
        (slow(2.0, 20.0), [(500, 0.183), (1_500, 0.279), (2_500, 0.333), (5_500, 0.426), (9_500, 0.494)]),
    ] {
        let (mut one, mut two) = (cluster(1), cluster(2));
        one.lb = LbPolicy::RoundRobin(slow);
        two.lb = LbPolicy::RoundRobin(slow);
        let mut draws = Counting::new(5);
        let mut state = state_of(&one, &mut draws);
        state.update(&one, &two, 20 * SECOND, &no_dns, &mut draws);
        for (after_ms, share) in rows {
            let now = 20 * SECOND + after_ms * MS;
            let exact = state.pick_distribution(&two, &context(), now);
            assert!((exact[1].1 - share).abs() < 0.001, "{after_ms}: {exact:?}");
            let new = (0..400).filter(|_| state.pick(&two, &context(), now, &mut draws) == Some(HostId(1)));
            let got = new.count() as f64 / 400.0;
            assert!((got - share).abs() < 0.03, "{after_ms}: {got}");
        }
    }
}

#[test]
fn previous_hosts_asks_again_with_a_moving_index() {
    // semantics: envoy-upstream 15: two hosts both tried: the sixth answer is used, the index moves by six.
    let cluster = cluster(2);
    let mut draws = Counting::new(5);
    let mut state = state_of(&cluster, &mut draws);
    let policy = retries::policy("5xx", 2);
    let mut tried = Vec::new();
    for attempt in 1..=3 {
        let context = PickContext { attempt, tried: &tried, retry: Some(&policy), ..PickContext::default() };
        let id = state.pick(&cluster, &context, 0, &mut draws).unwrap();
        tried.push(id);
    }
    assert_ne!(tried[0], tried[1]);
    // Index after two picks is even again; five rejected asks and a sixth that is taken: the host of the second try.
    assert_eq!(tried[2], tried[1]);
}

#[test]
fn previous_priorities_leave_what_was_tried() {
    let mut cluster =
        cluster_of(vec![group("a", 0, 0, vec![endpoint(1, 1)]), group("b", 1, 0, vec![endpoint(2, 1)])]);
    cluster.lb = LbPolicy::LeastRequest(2, SlowStart::default());
    let mut draws = Counting::new(5);
    let mut state = state_of(&cluster, &mut draws);
    let policy = RetryPolicy { previous_priorities: 2, previous_hosts: false, ..retries::policy("5xx", 5) };
    let mut tried = Vec::new();
    for attempt in 1..=6 {
        let context = PickContext { attempt, tried: &tried, retry: Some(&policy), ..PickContext::default() };
        tried.push(state.pick(&cluster, &context, 0, &mut draws).unwrap());
    }
    let priorities: Vec<u32> = tried.iter().map(|id| id.0).collect();
    // After two tries priority 0 is excluded; after four both are, and the exclusion starts over.
    assert_eq!(priorities, [0, 0, 1, 1, 0, 0]);
}
