//! Breakers and retry budgets (semantics: envoy-upstream 6).

use super::*;

#[test]
fn every_limit_is_tested_before_the_increment() {
    let mut cluster = cluster(1);
    cluster.breakers = CircuitBreakers {
        max_connections: 1,
        max_pending_requests: 1,
        max_requests: 2,
        ..CircuitBreakers::default()
    };
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let host = HostId(0);
    assert!(state.try_pending(&cluster) && !state.try_pending(&cluster));
    assert!(state.try_attach(&cluster, host) && state.try_attach(&cluster, host));
    assert!(!state.try_attach(&cluster, host));
    assert_eq!(state.host(host).unwrap().active_requests, 2);
    assert_eq!(state.may_connect(&cluster, host, true), Connecting::Free);
    state.connection_opened(host);
    assert_eq!(state.may_connect(&cluster, host, false), Connecting::Refused);
    assert!(!state.may_connect_tcp(&cluster));
    assert_eq!(
        state.may_connect(&cluster, host, true),
        Connecting::Last,
        "a pool may always have one connection"
    );
    let overflows = state.breakers().overflows;
    assert_eq!((overflows.pending, overflows.requests, overflows.connections), (1, 1, 3));
    state.release_pending(host);
    state.detach(host);
    state.connection_closed(host);
    let b = state.breakers();
    assert_eq!((b.pending, b.requests, b.connections), (0, 1, 0));
}

/// Retries granted among `failing` requests that fail at the same time.
fn granted(percent: f64, min: u32, failing: u32) -> u32 {
    let mut cluster = cluster(1);
    cluster.breakers.retry_budget = Some((percent, min));
    cluster.breakers.max_retries = 0;
    let mut state = state_of(&cluster, &mut Counting::new(1));
    for _ in 0..failing {
        state.attach_tcp(HostId(0));
    }
    let slots: Vec<_> = (0..failing).filter_map(|_| state.try_retry(&cluster)).collect();
    let n = slots.len() as u32;
    for slot in slots {
        state.release_retry(slot);
    }
    assert_eq!(state.breakers().retries, 0);
    n
}

#[test]
fn retry_budgets_as_measured() {
    // semantics: envoy-upstream 6.4
    assert_eq!(granted(100.0, 0, 1), 1);
    assert_eq!(granted(50.0, 0, 1), 0);
    assert_eq!(granted(50.0, 0, 4), 2);
    assert_eq!(granted(20.0, 1, 10), 2);
    assert_eq!(granted(20.0, 3, 6), 3);
    assert_eq!(granted(20.0, 0, 20), 4);
}

#[test]
fn requests_of_a_replaced_cluster_do_not_count_any_more() {
    let old = cluster(1);
    let mut new = old.clone();
    new.connect_timeout_ns += 1;
    let mut draws = Counting::new(1);
    let mut state = state_of(&old, &mut draws);
    assert!(state.try_attach(&old, HostId(0)));
    state.connection_opened(HostId(0));
    state.update(&old, &new, SECOND, &no_dns, &mut draws);
    assert_eq!((state.breakers().requests, state.breakers().connections), (0, 0));
    assert!(state.host(HostId(0)).unwrap().removed);
    // Its pool goes on by the limits it was created with, and by its own count.
    let mut narrow = old.clone();
    narrow.breakers.max_connections = 1;
    assert_eq!(state.may_connect(&narrow, HostId(0), false), Connecting::Refused);
    assert_eq!(state.may_connect(&narrow, HostId(1), false), Connecting::Free);
    state.detach(HostId(0));
    state.connection_closed(HostId(0));
    assert_eq!(state.host(HostId(0)).unwrap().active_requests, 0);
    assert_eq!(picks(&mut state, &new, 2, &mut draws), [1, 1]);
}
