//! Keys and hosts of real proxies: conformance/dynamic/lb-ring-hash*, conformance/lb-subset.

use xxhash_rust::xxh64::xxh64;

use super::*;

fn ring(minimum_ring_size: u64) -> LbPolicy {
    LbPolicy::RingHash { minimum_ring_size, maximum_ring_size: 8_388_608 }
}

/// The host of a header value, cookie, parameter or address.
fn host_of(state: &mut ClusterState, cluster: &Cluster, text: &str) -> u32 {
    let context = PickContext { hash: Some(xxh64(text.as_bytes(), 0)), attempt: 1, ..PickContext::default() };
    state.pick(cluster, &context, 0, &mut Counting::new(3)).unwrap().0
}

fn by_user(state: &mut ClusterState, cluster: &Cluster) -> String {
    (0..200).map(|n| host_of(state, cluster, &format!("user-{n}")).to_string()).collect()
}

const BEFORE: &str = "21014141311301421400122243231201002140024401420133023224213313402242312212104412110111\
    323214321442303413242004434043301113123420344241024214020223441013240411202314210034042000143043241410430043034301";
const AFTER: &str = "43011141311301411100144013131101010100034404430131033314313333101341314113104410111111\
    343114341443303413300010434003301113133340344041144014010043401014300411104314010034043000043043441410430043034301";

#[test]
fn ring_of_five_hosts_before_and_after_an_ejection() {
    let mut cluster = cluster_of(vec![group("", 0, 0, (2..7).map(|i| endpoint(i, 1)).collect())]);
    cluster.lb = ring(1024);
    cluster.outlier = Some(OutlierDetection { consecutive_5xx: 1, max_ejection_percent: 100, ..outlier() });
    let mut state = state_of(&cluster, &mut Counting::new(1));
    assert_eq!(by_user(&mut state, &cluster), BEFORE);
    statuses(&mut state, &cluster, 2, 500, 1, 2_200 * MS);
    assert_eq!(by_user(&mut state, &cluster), AFTER);
}

#[test]
fn ring_over_weights() {
    let weights = [(2, 1), (3, 2), (4, 3), (5, 5)];
    let mut cluster =
        cluster_of(vec![group("", 0, 0, weights.iter().map(|(i, w)| endpoint(*i, *w)).collect())]);
    cluster.lb = ring(128);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let hosts = by_user(&mut state, &cluster);
    let count = |c: char| hosts.chars().filter(|h| *h == c).count();
    assert_eq!([count('0'), count('1'), count('2'), count('3')], [7, 48, 54, 91]);
    assert_eq!(&hosts[..40], RECORDED_WEIGHTS);
}

const RECORDED_WEIGHTS: &str = "3213311333233323120323113333331231102103";

/// Hashed text, index of the host that answered (10.244.0.4 … 10.244.0.7).
const RING: &[(&str, u32)] = &[
    ("u0", 0),
    ("u1", 1),
    ("u3", 1),
    ("u4", 3),
    ("u5", 0),
    ("u0,u1", 0),
    ("", 3),
    ("U0", 3),
    ("abc", 3),
    ("xyz", 2),
    ("%75%30", 0),
    ("10.244.0.2", 2),
];

#[test]
fn recorded_keys_of_ring_and_maglev() {
    let mut cluster = cluster_of(vec![group("", 0, 0, (4..8).map(|i| endpoint(i, 1)).collect())]);
    for (lb, rows) in
        [(ring(1024), RING), (LbPolicy::Maglev { table_size: 1021 }, &[("u0", 0), ("u2", 2)][..])]
    {
        cluster.lb = lb;
        let mut state = state_of(&cluster, &mut Counting::new(1));
        for (text, expected) in rows {
            assert_eq!(host_of(&mut state, &cluster, text), *expected, "{text}");
        }
    }
}

#[test]
fn sizes_of_recorded_tables() {
    // ring_hash_lb.size 132, min 12 and max 60 hashes per host for weights 1:2:3:5, minimum 128.
    let hosts: Vec<(String, f64)> = [1.0, 2.0, 3.0, 5.0]
        .iter()
        .enumerate()
        .map(|(i, w)| (format!("10.244.0.{}:8080", i + 2), w / 11.0))
        .collect();
    let table::Table::Ring(entries) = table::Table::ring(&hosts, 128, 8_388_608) else { panic!() };
    let per_host = |h: u32| entries.iter().filter(|(_, host)| *host == h).count();
    assert_eq!((entries.len(), per_host(0), per_host(3)), (132, 12, 60));
    // Maglev, 1009 slots: 92 to 458 entries per host (semantics: envoy-upstream 4.4).
    let table::Table::Maglev(slots) = table::Table::maglev(&hosts, 1009) else { panic!() };
    let per_host = |h: u32| slots.iter().filter(|host| **host == h).count();
    assert_eq!((per_host(0), per_host(3)), (92, 458));
}
