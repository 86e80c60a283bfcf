//! Weighted clusters, timeouts, hashes, missing clusters: envoy-routing 3.2 to 3.4, 3.11, 4.2.

use mesh_core::OriginId;
use mesh_core::decide::{ForwardPlan, HttpOutcome};
use mesh_core::ir::*;

use crate::fixture::*;

fn weighted(weights: &[u32]) -> ClusterSpecifier {
    let entry = |(name, weight): (&str, &u32)| WeightedCluster {
        name: name.into(),
        weight: *weight,
        headers: HeaderMutations::default(),
        host_rewrite: "".into(),
        origin: OriginId::NONE,
    };
    ClusterSpecifier::Weighted(["a", "b", "c"].into_iter().zip(weights).map(entry).collect())
}

fn proxy_for(forward: Forward) -> Snapshot {
    let mut snapshot = with_routes(vec![route(prefix("/"), RouteAction::Forward(Box::new(forward)))]);
    snapshot.seal();
    snapshot
}

fn plan(snapshot: &Snapshot, random: u64, head: &mut mesh_core::request::RequestHead) -> ForwardPlan {
    match decide_with(snapshot, head, &mut Fixed(random)).outcome {
        HttpOutcome::Forward(plan) => plan,
        HttpOutcome::Reply(reply) => panic!("{reply:?}"),
    }
}

#[test]
fn weights_are_cumulative_intervals() {
    let rows: &[(&[u32], u64, &str)] = &[
        (&[1, 0, 3], 0, "a"),
        (&[1, 0, 3], 1, "c"),
        (&[1, 0, 3], 3, "c"),
        (&[1, 0, 3], 4, "a"),
        (&[1, 0, 3], 5, "c"),
        (&[1, 0, 3], u64::MAX, "c"),
        (&[50, 70], 0, "a"),
        (&[50, 70], 49, "a"),
        (&[50, 70], 50, "b"),
        (&[50, 70], 119, "b"),
        (&[50, 70], 120, "a"),
        (&[50, 70], u64::MAX, "a"),
    ];
    for (weights, random, expected) in rows {
        let snapshot = proxy_for(Forward { cluster: weighted(weights), ..forward_to("") });
        let chosen = plan(&snapshot, *random, &mut get("h/")).cluster;
        assert_eq!(snapshot.clusters[chosen.index()].name.as_ref(), *expected, "{weights:?} {random}");
    }
}

#[test]
fn missing_clusters_answer_nc() {
    for status in [503, 404, 500] {
        let forward = Forward { cluster_not_found_status: status, ..forward_to("nobody") };
        let decision = decide(&proxy_for(forward), &get("h/"));
        let reply = reply(&decision);
        assert_eq!(
            (reply.status, reply.details.as_ref(), reply.body.as_ref()),
            (status, "cluster_not_found", "")
        );
        assert_eq!(decision.flags.text(), "NC");
    }
}

const MS: u64 = 1_000_000;

#[test]
fn timeouts() {
    let base = || forward_to("a");
    let retry = |ms: u64| {
        Some(RetryPolicy {
            retry_on: RetryOn::FIVE_XX,
            retry_on_text: "5xx".into(),
            num_retries: 1,
            retriable_status_codes: vec![],
            per_try_timeout_ns: ms * MS,
            base_interval_ns: 25 * MS,
            max_interval_ns: 250 * MS,
            previous_hosts: false,
            previous_priorities: 0,
            host_selection_max_attempts: 1,
            origin: OriginId::NONE,
        })
    };
    let grpc = |cap: u64| Forward { timeout_ns: 900 * MS, max_grpc_timeout_ns: Some(cap * MS), ..base() };
    // forward, grpc request, grpc-timeout, global, per try
    let rows: Vec<(Forward, bool, &str, u64, u64)> = vec![
        (Forward { timeout_ns: 300 * MS, ..base() }, false, "", 300, 0),
        (Forward { timeout_ns: 200 * MS, max_stream_duration_ns: Some(0), ..base() }, false, "", 0, 0),
        (Forward { timeout_ns: 200 * MS, retry: retry(200), ..base() }, false, "", 200, 0),
        (Forward { timeout_ns: 450 * MS, retry: retry(200), ..base() }, false, "", 450, 200),
        (Forward { timeout_ns: 0, retry: retry(200), ..base() }, false, "", 0, 200),
        (grpc(300), true, "", 300, 0),
        (grpc(300), true, "100m", 100, 0),
        (grpc(300), true, "10S", 300, 0),
        (grpc(0), true, "100m", 100, 0),
        (grpc(0), true, "", 0, 0),
        (grpc(300), false, "100m", 900, 0),
        (grpc(300), true, "soon", 300, 0),
    ];
    for (forward, is_grpc, timeout, global, per_try) in rows {
        let mut head = get("h/");
        if is_grpc {
            head.headers.append("content-type", "application/grpc");
        }
        if !timeout.is_empty() {
            head.headers.append("grpc-timeout", timeout);
        }
        let plan = plan(&proxy_for(forward.clone()), 0, &mut head);
        assert_eq!((plan.timeout_ns / MS, plan.per_try_timeout_ns / MS), (global, per_try), "{forward:?}");
    }
}

#[test]
fn hash_policies() {
    let header = || HashPolicy::Header("x-user".into());
    let query = || HashPolicy::QueryParameter("q".into());
    let cookie =
        |ttl_ns| HashPolicy::Cookie { name: "c".into(), ttl_ns, path: "/".into(), attributes: vec![] };
    let hash = |policies: Vec<HashPolicy>, head: mesh_core::request::RequestHead| {
        let mut head = head;
        plan(&proxy_for(Forward { hash_policy: policies, ..forward_to("a") }), 0, &mut head)
    };
    let user = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("x-user", *line)).collect();
        with_headers(get("h/?q=1"), &lines)
    };
    let one = |text: &str| xxhash_rust::xxh64::xxh64(text.as_bytes(), 0);
    assert_eq!(hash(vec![header()], user(&["u1"])).hash, Some(one("u1")));
    assert_eq!(hash(vec![header()], get("h/")).hash, None);
    assert_eq!(hash(vec![header()], user(&["1", "2"])).hash, hash(vec![header()], user(&["2", "1"])).hash);
    assert_eq!(hash(vec![query()], get("h/?q=a%20b&q=2")).hash, Some(one("a%20b")));
    assert_eq!(hash(vec![HashPolicy::SourceIp], get("h/")).hash, Some(one("10.0.0.9")));
    let both = hash(vec![header(), query()], user(&["u1"])).hash;
    assert_eq!(both, Some(one("u1").rotate_left(1) ^ one("1")));
    assert_eq!(hash(vec![cookie(None)], get("h/")).hash, None);
    let sent = with_headers(get("h/"), &[("cookie", "a=b; c=\"v\"")]);
    assert_eq!(hash(vec![cookie(Some(0))], sent).hash, Some(one("v")));
    let made = hash(vec![cookie(Some(0))], get("h/"));
    let value = made.set_cookie.expect("a cookie").value;
    assert_eq!(made.hash, Some(one(&format!("{value:016x}"))));
}
