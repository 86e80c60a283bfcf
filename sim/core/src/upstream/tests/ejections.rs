//! Outlier detection: what counts, who goes, when it ends, when it is seen (semantics: envoy-upstream 5, 0.4).

use super::*;

fn with(hosts: u8, config: OutlierDetection) -> Cluster {
    Cluster { outlier: Some(config), ..cluster(hosts) }
}

fn all() -> OutlierDetection {
    OutlierDetection { max_ejection_percent: 100, ..outlier() }
}

fn report(
    state: &mut ClusterState,
    cluster: &Cluster,
    events: &[UpstreamEvent],
    now_ns: Nanos,
) -> Vec<OutlierEventKind> {
    let mut heard = Vec::new();
    for event in events {
        state
            .on_event(cluster, HostId(0), *event, now_ns, &mut Counting::new(1), &mut |e| heard.push(e.kind));
    }
    heard
}

fn ejects(config: OutlierDetection, events: &[UpstreamEvent]) -> bool {
    let cluster = with(1, config);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let heard = report(&mut state, &cluster, events, SECOND);
    heard.iter().any(|k| matches!(k, OutlierEventKind::Eject { .. }))
}

/// Advances to `until_ns`, collecting (ms, what).
fn advance(state: &mut ClusterState, cluster: &Cluster, until_ns: Nanos) -> Vec<(Nanos, OutlierEventKind)> {
    let mut heard = Vec::new();
    state.on_timer(cluster, until_ns, &mut Counting::new(1), &mut |e| heard.push((e.at_ns / MS, e.kind)));
    heard
}

#[test]
fn percentages_decide_who_may_go() {
    // (hosts, percent, how many of them may be out): semantics: envoy-upstream 5.5.
    for (hosts, percent, out) in [
        (1, 10, 0),
        (1, 99, 0),
        (1, 100, 1),
        (2, 49, 0),
        (2, 50, 1),
        (3, 33, 0),
        (3, 34, 1),
        (3, 66, 1),
        (3, 67, 2),
        (3, 10, 0),
        (4, 10, 0),
        (4, 25, 1),
        (10, 10, 1),
    ] {
        let cluster = with(hosts, OutlierDetection { max_ejection_percent: percent, ..outlier() });
        let mut state = state_of(&cluster, &mut Counting::new(1));
        for host in 0..u32::from(hosts) {
            statuses(&mut state, &cluster, host, 500, 5, SECOND);
        }
        assert_eq!(state.hosts().filter(|(_, h)| h.ejected).count(), out, "{hosts} {percent}");
    }
}

#[test]
fn blocked_detections_start_counting_again() {
    // semantics: envoy-upstream 5.4: 12 failures at threshold 2 → 6 detections.
    let cluster = with(2, OutlierDetection { consecutive_5xx: 2, max_ejection_percent: 10, ..outlier() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let heard = statuses(&mut state, &cluster, 0, 500, 12, SECOND);
    assert_eq!(heard.len(), 6);
    assert!(heard.iter().all(|e| e.kind == OutlierEventKind::Overflow(EjectionType::Consecutive5xx)));
}

#[test]
fn what_counts_as_what() {
    use UpstreamEvent as E;
    let two = |e: E| [e, e];
    let five_xx = || OutlierDetection { consecutive_5xx: 2, ..all() };
    let gateway = || OutlierDetection {
        consecutive_5xx: 0,
        consecutive_gateway_failure: 2,
        enforcing_consecutive_gateway_failure: 100,
        ..all()
    };
    let grpc = |grpc_status| E::GrpcStatus { status: 200, grpc_status };
    // (event twice, trips consecutive 5xx, trips gateway failures)
    for (event, is_5xx, is_gateway) in [
        (E::Status(500), true, false),
        (E::Status(503), true, true),
        (E::Status(429), false, false),
        (grpc(14), true, true),
        (grpc(4), true, true),
        (grpc(2), true, false),
        (grpc(12), true, false),
        (grpc(13), true, false),
        (grpc(15), true, false),
        (grpc(1), false, false),
        (grpc(8), false, false),
        (grpc(16), false, false),
        (E::PoolReady, false, false),
        (E::ConnectFailure, true, true),
        (E::ConnectTimeout, true, true),
        (E::ResetBeforeHeaders, true, true),
        (E::ProtocolError, true, true),
        (E::GlobalTimeout, true, true),
        (E::PerTryTimeout, true, true),
        (E::TcpConnectFailure, true, true),
        (E::TcpConnectTimeout, true, true),
        (E::TcpConnected, false, false),
    ] {
        assert_eq!(ejects(five_xx(), &two(event)), is_5xx, "{event:?}");
        assert_eq!(ejects(gateway(), &two(event)), is_gateway, "{event:?}");
    }
    assert!(!ejects(five_xx(), &[E::Status(500), E::Status(404), E::Status(500)]), "404 is a success");
    assert!(
        !ejects(gateway(), &[E::Status(503), E::Status(500), E::Status(503)]),
        "500 is no gateway failure"
    );
    assert!(!ejects(OutlierDetection { consecutive_5xx: 0, ..all() }, &two(E::Status(500))));
    // A response cut in its body: success, then failure, for ever.
    let cut = [E::Status(200), E::ResetAfterHeaders];
    assert!(!ejects(five_xx(), &cut.repeat(10)));
}

#[test]
fn split_mode_counts_connecting_separately() {
    use UpstreamEvent as E;
    let split = |threshold| OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: threshold,
        consecutive_5xx: 2,
        ..all()
    };
    assert!(ejects(split(3), &[E::ConnectFailure; 3]));
    assert!(!ejects(split(3), &[E::ConnectFailure; 2]));
    // Accepted connections succeed first: a sequence of timeouts alternates.
    assert!(!ejects(split(2), &[E::PoolReady, E::GlobalTimeout].repeat(10)));
    // Unless they overlap.
    let overlapping =
        [E::PoolReady, E::PoolReady, E::PoolReady, E::GlobalTimeout, E::GlobalTimeout, E::GlobalTimeout];
    assert!(ejects(split(3), &overlapping));
    assert!(ejects(split(5), &[E::Status(500); 2]), "responses are still external");
}

#[test]
fn error_codes_replace_the_5xx_rule() {
    use UpstreamEvent as E;
    let config = || OutlierDetection { consecutive_5xx: 2, error_codes: vec![429], ..all() };
    assert!(ejects(config(), &[E::Status(429); 2]));
    assert!(!ejects(config(), &[E::Status(500); 9]));
    assert!(ejects(config(), &[E::ConnectFailure; 2]), "connection failures are no responses");
}

#[test]
fn both_detections_one_ejection() {
    let config = OutlierDetection {
        consecutive_5xx: 3,
        consecutive_gateway_failure: 3,
        enforcing_consecutive_gateway_failure: 100,
        ..all()
    };
    let cluster = with(1, config);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let heard = report(&mut state, &cluster, &[UpstreamEvent::Status(503); 3], SECOND);
    assert_eq!(
        heard,
        [OutlierEventKind::Eject {
            by: EjectionType::ConsecutiveGatewayFailure,
            num_ejections: 1,
            multiplier: 1
        }]
    );
    // Defaults and five 503s: gateway detected but not enforced, 5xx ejects.
    let cluster = with(1, all());
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let heard = report(&mut state, &cluster, &[UpstreamEvent::Status(503); 5], SECOND);
    assert_eq!(heard[0], OutlierEventKind::NotEnforced(EjectionType::ConsecutiveGatewayFailure));
    assert!(matches!(heard[1], OutlierEventKind::Eject { by: EjectionType::Consecutive5xx, .. }));
}

#[test]
fn timeline_a_the_ejection_time_grows_to_its_cap() {
    let cluster = with(1, OutlierDetection { consecutive_5xx: 2, ..all() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let mut back = 0;
    let mut returns = Vec::new();
    for _ in 0..12 {
        let now = back + 200 * MS;
        statuses(&mut state, &cluster, 0, 500, 2, now);
        assert!(state.host(HostId(0)).unwrap().ejected);
        while state.host(HostId(0)).unwrap().ejected {
            back = state.next_timer().unwrap();
            advance(&mut state, &cluster, back);
        }
        returns.push(back / SECOND);
    }
    assert_eq!(returns, [40, 110, 210, 340, 500, 690, 910, 1160, 1440, 1750, 2060, 2370]);
}

#[test]
fn timeline_b_the_multiplier_decays_by_one_per_quiet_tick() {
    let cluster = with(1, OutlierDetection { consecutive_5xx: 2, ..all() });
    let multiplier_at = |seed: u64, check_s: u64| {
        let mut state = state_of(&cluster, &mut Counting::new(seed));
        for at in [200, 40_200, 110_200, 210_200] {
            advance(&mut state, &cluster, at * MS);
            statuses(&mut state, &cluster, 0, 500, 2, at * MS);
        }
        advance(&mut state, &cluster, check_s * SECOND);
        state.host(HostId(0)).unwrap().monitor.multiplier
    };
    let decays = |seed: u64| -> Vec<u32> {
        [340, 350, 360, 370, 380, 390, 400].into_iter().map(|s| multiplier_at(seed, s)).collect()
    };
    // The first tick after a return is a race (5.6).
    let all: Vec<Vec<u32>> = (1..=40).map(decays).collect();
    let (early, late) = ([4, 3, 2, 1, 0, 0, 0], [4, 4, 3, 2, 1, 0, 0]);
    assert!(all.iter().all(|d| *d == early || *d == late), "{all:?}");
    assert!((8..=24).contains(&all.iter().filter(|d| **d == early).count()), "{all:?}");
}

#[test]
fn timeline_c_as_measured() {
    let config = OutlierDetection {
        interval_ns: 2 * SECOND,
        base_ejection_time_ns: 3 * SECOND,
        consecutive_5xx: 2,
        ..all()
    };
    let cluster = with(1, config);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let mut returns = Vec::new();
    for at in [70, 4_030, 12_020, 30_230] {
        let mut heard = advance(&mut state, &cluster, at * MS);
        statuses(&mut state, &cluster, 0, 500, 2, at * MS);
        heard.extend(advance(&mut state, &cluster, at * MS));
        returns.extend(heard.into_iter().map(|(ms, _)| ms));
    }
    returns.extend(advance(&mut state, &cluster, 40 * SECOND).into_iter().map(|(ms, _)| ms));
    assert_eq!(returns, [4_000, 12_000, 22_000, 34_000]);
}

#[test]
fn nothing_to_do_means_no_timer_and_the_phase_stays() {
    let cluster = with(1, OutlierDetection { consecutive_5xx: 1, ..all() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    assert_eq!(state.next_timer(), None);
    statuses(&mut state, &cluster, 0, 200, 3, 95 * SECOND);
    assert_eq!(state.next_timer(), None);
    statuses(&mut state, &cluster, 0, 500, 1, 95 * SECOND);
    assert_eq!(state.next_timer(), Some(100 * SECOND));
    let heard = advance(&mut state, &cluster, 200 * SECOND);
    assert_eq!(heard, [(130_000, OutlierEventKind::Uneject)]);
    assert_eq!(state.next_timer(), None, "decayed to zero by then");
}

#[test]
fn held_back_ejections_keep_receiving() {
    // conformance/dynamic/outlier-merge-window: the second ejection within a second is seen a second after itself.
    let cluster = with(4, OutlierDetection { consecutive_5xx: 1, ..all() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let first = statuses(&mut state, &cluster, 1, 500, 1, 1_000 * MS);
    let second = statuses(&mut state, &cluster, 2, 500, 1, 1_400 * MS);
    assert_eq!((first[0].visible_at_ns, second[0].visible_at_ns), (1_000 * MS, 2_400 * MS));
    assert!(!state.is_published_healthy(HostId(1)) && state.is_published_healthy(HostId(2)));
    let seen = picks(&mut state, &cluster, 9, &mut Counting::new(1));
    assert!(seen.contains(&2) && !seen.contains(&1));
    // conformance/dynamic/outlier-scale-in-window: a new endpoint takes it along.
    let five = Cluster { endpoints: super::cluster(5).endpoints, ..cluster.clone() };
    let mut grown = state.clone();
    grown.update(&cluster, &five, 1_800 * MS, &no_dns, &mut Counting::new(1));
    assert!(!grown.is_published_healthy(HostId(2)) && grown.is_published_healthy(HostId(4)));
    state.on_timer(&cluster, 2_400 * MS, &mut Counting::new(1), &mut no_sink);
    assert!(!state.is_published_healthy(HostId(2)));
}

#[test]
fn two_hosts_return_a_second_apart() {
    let cluster = with(2, OutlierDetection { consecutive_5xx: 1, ..all() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    statuses(&mut state, &cluster, 0, 500, 1, SECOND);
    statuses(&mut state, &cluster, 1, 500, 1, SECOND);
    advance(&mut state, &cluster, 3 * SECOND);
    assert_eq!(
        picks(&mut state, &cluster, 1, &mut Counting::new(1)),
        [0_u32; 0],
        "all ejected, no panic: UH"
    );
    let mut visible = Vec::new();
    state.on_timer(&cluster, 40 * SECOND, &mut Counting::new(1), &mut |e| visible.push(e.visible_at_ns / MS));
    assert_eq!(visible, [40_000, 41_000]);
    let healthy = |state: &ClusterState| (0..2).filter(|i| state.is_published_healthy(HostId(*i))).count();
    assert_eq!(healthy(&state), 1);
    advance(&mut state, &cluster, 41 * SECOND);
    assert_eq!(healthy(&state), 2);
}

/// Ejected hosts after one interval in which host i had `failures[i]` of 40 requests fail.
fn after_interval(config: OutlierDetection, failures: &[usize]) -> Vec<u32> {
    let cluster = with(failures.len() as u8, config);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    for (host, failed) in (0..).zip(failures) {
        for i in 0..40 {
            // Spread out, so that consecutive failures stay below any threshold.
            let status = if (i * failed) % 40 < *failed { 500 } else { 200 };
            statuses(&mut state, &cluster, host, status, 1, SECOND);
        }
    }
    advance(&mut state, &cluster, 10 * SECOND);
    state.hosts().filter(|(_, h)| h.ejected).map(|(id, _)| id.0).collect()
}

#[test]
fn success_rates() {
    let config = |minimum| OutlierDetection {
        consecutive_5xx: 0,
        enforcing_success_rate: 100,
        success_rate_request_volume: 40,
        success_rate_minimum_hosts: minimum,
        ..all()
    };
    assert_eq!(after_interval(config(5), &[20, 0, 0, 0, 0]), [0]);
    assert_eq!(
        after_interval(config(5), &[1, 0, 0, 0, 0]),
        [0],
        "one failure in forty is an outlier among five"
    );
    assert_eq!(after_interval(config(4), &[20, 0, 0, 0]), [0_u32; 0], "never among four");
    let unenforced = OutlierDetection { enforcing_success_rate: 0, ..config(5) };
    assert_eq!(after_interval(unenforced, &[20, 0, 0, 0, 0]), [0_u32; 0]);
}

#[test]
fn failure_percentages() {
    let config = OutlierDetection {
        consecutive_5xx: 0,
        enforcing_failure_percentage: 100,
        failure_percentage_threshold: 80,
        failure_percentage_request_volume: 40,
        failure_percentage_minimum_hosts: 2,
        ..all()
    };
    assert_eq!(after_interval(config.clone(), &[32, 31]), [0], "80 ejects, 77.5 does not");
    assert_eq!(after_interval(config, &[40]), [0_u32; 0], "too few hosts");
}
