//! New configuration, endpoints and DNS answers; hosts made on demand.

use super::*;

#[test]
fn endpoints_keep_their_state_by_address_and_lose_it_by_leaving() {
    let mut three = cluster(3);
    three.outlier = Some(OutlierDetection { max_ejection_percent: 100, ..outlier() });
    let with = |hosts: Vec<u8>| Cluster {
        endpoints: vec![group("", 0, 0, hosts.into_iter().map(|i| endpoint(i, 1)).collect())],
        ..three.clone()
    };
    let mut draws = Counting::new(1);
    let mut state = state_of(&three, &mut draws);
    statuses(&mut state, &three, 1, 500, 5, SECOND);
    assert!(state.host(HostId(1)).unwrap().ejected && !state.is_published_healthy(HostId(1)));
    let grown = with(vec![3, 1, 0, 2]);
    state.update(&three, &grown, 2 * SECOND, &no_dns, &mut draws);
    assert!(state.host(HostId(1)).unwrap().ejected, "same address, same host");
    let order: Vec<u32> = state.hosts().map(|(id, _)| id.0).collect();
    assert_eq!(order, [3, 1, 0, 2], "the order of the new assignment");
    let without = with(vec![0, 2, 3]);
    state.update(&grown, &without, 3 * SECOND, &no_dns, &mut draws);
    let again = with(vec![0, 1, 2, 3]);
    state.update(&without, &again, 4 * SECOND, &no_dns, &mut draws);
    let (id, host) = state.hosts().find(|(_, h)| h.address.socket().unwrap().ip() == ip(1)).unwrap();
    assert!(id == HostId(4) && !host.ejected && host.num_ejections() == 0, "a new host");
    assert!(state.is_published_healthy(id));
}

#[test]
fn a_changed_cluster_forgets_ejections() {
    let mut old = cluster(2);
    old.outlier = Some(OutlierDetection { max_ejection_percent: 100, ..outlier() });
    let mut draws = Counting::new(1);
    let mut state = state_of(&old, &mut draws);
    statuses(&mut state, &old, 0, 500, 5, SECOND);
    // Only line numbers changed: the same cluster.
    let mut moved = old.clone();
    moved.origin = OriginId(7);
    moved.outlier.as_mut().unwrap().origin = OriginId(8);
    state.update(&old, &moved, 2 * SECOND, &no_dns, &mut draws);
    assert!(state.hosts().any(|(_, h)| h.ejected));
    let mut changed = moved.clone();
    changed.outlier.as_mut().unwrap().consecutive_5xx = 3;
    state.update(&moved, &changed, 3 * SECOND, &no_dns, &mut draws);
    assert!(state.hosts().all(|(id, h)| !h.ejected && state.is_published_healthy(id)));
}

#[test]
fn health_only_changes_wait_for_the_merge_window() {
    let old = cluster(2);
    let mut sick = old.clone();
    sick.endpoints[0].hosts[0].health = Health::Unhealthy;
    let mut draws = Counting::new(1);
    let mut state = state_of(&old, &mut draws);
    state.update(&old, &sick, SECOND, &no_dns, &mut draws);
    assert!(!state.is_published_healthy(HostId(0)), "the first change is seen at once");
    state.update(&sick, &old, SECOND + 500 * MS, &no_dns, &mut draws);
    assert!(!state.is_published_healthy(HostId(0)), "the second is held back");
    assert_eq!(state.next_timer(), Some(2 * SECOND + 500 * MS));
    state.on_timer(&old, 2 * SECOND + 500 * MS, &mut draws, &mut no_sink);
    assert!(state.is_published_healthy(HostId(0)));
    assert_eq!(state.next_timer(), None);
}

#[test]
fn names_become_hosts() {
    let dns = |name: &str| match name {
        "two.example" => vec![ip(1), ip(2)],
        _ => Vec::new(),
    };
    let named = |discovery, name: &str| {
        let host = Endpoint { address: EndpointAddress::Dns(name.into(), 443), ..endpoint(0, 1) };
        Cluster { discovery, ..cluster_of(vec![group("", 0, 0, vec![host])]) }
    };
    let hosts = |cluster: &Cluster| {
        let state = ClusterState::new(cluster, 0, &dns, &mut Counting::new(1));
        let text: Vec<String> =
            state.hosts().map(|(_, h)| format!("{} {}", h.hostname, h.address.text())).collect();
        text
    };
    assert_eq!(
        hosts(&named(Discovery::StrictDns, "two.example")),
        ["two.example 10.244.0.1:443", "two.example 10.244.0.2:443"]
    );
    assert_eq!(hosts(&named(Discovery::LogicalDns, "two.example")), ["two.example 10.244.0.1:443"]);
    let none = named(Discovery::StrictDns, "none.example");
    let mut state = ClusterState::new(&none, 0, &dns, &mut Counting::new(1));
    assert_eq!(picks(&mut state, &none, 1, &mut Counting::new(1)), [0_u32; 0], "503 UH");
    // A new answer for the same name: hosts come and go, the cluster stays.
    let two = named(Discovery::StrictDns, "two.example");
    let mut state = ClusterState::new(&two, 0, &dns, &mut Counting::new(1));
    state.update(&two, &two, SECOND, &|_| vec![ip(2), ip(3)], &mut Counting::new(1));
    assert_eq!(state.hosts().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn original_destinations_live_while_they_are_used() {
    let passthrough = Cluster {
        discovery: Discovery::OriginalDst,
        lb: LbPolicy::ClusterProvided,
        ..cluster_of(Vec::new())
    };
    let mut draws = Counting::new(1);
    let mut state = state_of(&passthrough, &mut draws);
    let mut pick = |state: &mut ClusterState, to: &str, now| {
        let context =
            PickContext { attempt: 1, original_dst: Some(to.parse().unwrap()), ..PickContext::default() };
        state.pick(&passthrough, &context, now, &mut draws).unwrap().0
    };
    assert_eq!(pick(&mut state, "1.2.3.4:80", 0), 0);
    assert_eq!(pick(&mut state, "1.2.3.4:443", 0), 1);
    assert_eq!(pick(&mut state, "1.2.3.4:80", SECOND), 0);
    state.connection_opened(HostId(0));
    for now in [5, 10, 15] {
        state.on_timer(&passthrough, now * SECOND, &mut Counting::new(1), &mut no_sink);
    }
    assert_eq!(pick(&mut state, "1.2.3.4:80", 16 * SECOND), 0, "a pool still refers to it");
    assert_eq!(pick(&mut state, "1.2.3.4:443", 16 * SECOND), 2, "swept and made anew");
    let context = PickContext { attempt: 1, ..PickContext::default() };
    assert_eq!(state.pick(&passthrough, &context, 0, &mut Counting::new(1)), None, "no destination: 503 UH");
}

#[test]
fn a_port_override_replaces_the_port() {
    let cluster =
        Cluster { discovery: Discovery::OriginalDst, upstream_port_override: 8443, ..cluster_of(Vec::new()) };
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let context = PickContext {
        attempt: 1,
        original_dst: Some("1.2.3.4:443".parse().unwrap()),
        ..PickContext::default()
    };
    let id = state.pick(&cluster, &context, 0, &mut Counting::new(1)).unwrap();
    assert_eq!(state.host(id).unwrap().address.text(), "1.2.3.4:8443");
}
