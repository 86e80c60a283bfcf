//! Deciding allocates nothing.

use mesh_core::OriginId;
use mesh_core::ir::*;

use crate::fixture::*;

/// A thousand routes of every kind behind RBAC, with a weighted split, mirrors and a header hash.
fn thousand_routes() -> Snapshot {
    let entry = |name: &str, weight| WeightedCluster {
        name: name.into(),
        weight,
        headers: HeaderMutations::default(),
        host_rewrite: "".into(),
        origin: OriginId::NONE,
    };
    let action = || Forward {
        cluster: ClusterSpecifier::Weighted(vec![entry("a", 90), entry("b", 10)]),
        mirrors: vec![Mirror { cluster: "c".into(), per_million: 500_000, origin: OriginId::NONE }],
        hash_policy: vec![HashPolicy::Header("x-user".into()), HashPolicy::SourceIp],
        ..forward_to("")
    };
    let matcher = |i: usize| match i % 4 {
        0 => matching(PathMatch::Path(format!("/exact/{i}").into())),
        1 => prefix(&format!("/prefix/{i}/")),
        2 => matching(PathMatch::Regex(regex(&format!("/regex/[^/]+/route_{i}")))),
        _ => {
            let mut m = prefix("/");
            m.headers.push(HeaderMatcher {
                name: "x-tenant".into(),
                condition: HeaderCondition::Value(StringMatch::new(StringPattern::Exact(
                    format!("t{i}").into(),
                ))),
                invert: false,
                treat_missing_as_empty: false,
            });
            m
        }
    };
    let routes = (0..1000).map(|i| route(matcher(i), RouteAction::Forward(Box::new(action())))).collect();
    let mut manager = hcm();
    manager.path_normalization.normalize_path = true;
    let policy = RbacPolicy {
        name: "p".into(),
        permissions: vec![Permission::UrlPath(StringMatch::new(StringPattern::Regex(regex(".*"))))],
        principals: vec![Principal::DirectRemoteIp("10.0.0.0/8".parse().expect("a prefix"))],
        taints: vec![],
        origin: OriginId::NONE,
    };
    let rules = Some(RbacRules { action: RbacAction::Allow, policies: vec![policy] });
    let rbac = Rbac { rules, shadow_rules: None, shadow_stat_prefix: "".into() };
    manager.http_filters.insert(0, HttpFilter::Rbac(rbac));
    let mut snapshot = proxy(vec![virtual_host("v", &["*.example.com"], routes)], manager);
    snapshot.seal();
    snapshot
}

#[test]
fn a_decision_over_a_thousand_routes_allocates_nothing() {
    let snapshot = thousand_routes();
    for (path, tenant, expected) in [
        ("/exact/996", "none", 996),
        ("/prefix/997/x", "none", 997),
        ("/regex/abc/route_998", "none", 998),
        ("/whatever?q=1", "t999", 999),
    ] {
        let headers = [("x-tenant", tenant), ("x-user", "u1"), ("user-agent", "curl"), ("accept", "*/*")];
        let mut head = with_headers(get("api.example.com/"), &headers);
        head.path = path.into();
        let mut route = None;
        let count = allocation_counter::measure(|| {
            route = decide_with(&snapshot, &mut head, &mut Fixed(7)).route;
        });
        assert_eq!(route.map(|r| r.route), Some(expected), "{path}");
        assert_eq!(count.count_total, 0, "{path}");
    }
}
