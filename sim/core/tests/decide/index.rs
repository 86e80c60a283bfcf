//! The index against the linear scan.

use mesh_core::ir::*;
use proptest::prelude::*;

use crate::fixture::*;

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "A", "v1", "items", "x-y", "%2F", "", "7"])
        .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..4).prop_map(|words| format!("/{}", words.join("/")))
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    let regexes = prop::sample::select(vec![
        "/a.*",
        "/[^/]+/b",
        "/items/[0-9]+",
        ".*",
        "/(a|b)/.*",
        "(?i)/ab",
        "/a/?",
        ".*/v1",
        "/x-y/.*/7",
        "/",
    ]);
    prop_oneof![
        path().prop_map(|p| PathMatch::Prefix(p.into())),
        path().prop_map(|p| PathMatch::Path(p.into())),
        path().prop_map(|p| PathMatch::PathSeparatedPrefix(p.into())),
        regexes.prop_map(|p| PathMatch::Regex(regex(p))),
    ]
}

fn header() -> impl Strategy<Value = HeaderMatcher> {
    let exact = word().prop_map(|w| HeaderCondition::Value(StringMatch::new(StringPattern::Exact(w.into()))));
    let start =
        word().prop_map(|w| HeaderCondition::Value(StringMatch::new(StringPattern::Prefix(w.into()))));
    let condition = prop_oneof![exact, start, any::<bool>().prop_map(HeaderCondition::Present)];
    let name = prop::sample::select(vec!["x-a", "x-b", ":method"]);
    (name, condition, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(name, condition, invert, treat_missing_as_empty)| HeaderMatcher {
            name: name.into(),
            condition,
            invert,
            treat_missing_as_empty,
        },
    )
}

fn a_route() -> impl Strategy<Value = Route> {
    (path_match(), prop::bool::weighted(0.9), prop::collection::vec(header(), 0..3)).prop_map(
        |(path, case_sensitive, headers)| {
            forward(RouteMatch { path, case_sensitive, headers, query: vec![], metadata: vec![] })
        },
    )
}

fn domain() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "*", "a.com", "b.com", "*.com", "*.a.com", "*a.com", "a.*", "b.a.*", "*:80", "A.org", "a.com:80",
        "x*", "*x",
    ])
    .prop_map(str::to_owned)
}

fn authority() -> impl Strategy<Value = String> {
    let free = prop::collection::vec(prop::sample::select(vec!["a", "b", "x", ".", "com", ":80", "A"]), 0..6);
    prop_oneof![domain().prop_map(|d| d.replace('*', "q")), free.prop_map(|parts| parts.concat())]
}

fn request() -> impl Strategy<Value = mesh_core::request::RequestHead> {
    let headers = prop::collection::vec((prop::sample::select(vec!["x-a", "x-b"]), word()), 0..3);
    (authority(), path(), headers, any::<bool>()).prop_map(|(authority, path, headers, query)| {
        let mut head = get("h/");
        head.authority = Some(authority.into());
        head.path = if query { format!("{path}?q=1").into() } else { path.into() };
        for (name, value) in headers {
            head.headers.append(name, &value);
        }
        head
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_indexed_snapshot_decides_like_a_scanned_one(
        routes in prop::collection::vec(a_route(), 1..60),
        domains in prop::collection::btree_set(domain(), 1..8),
        ignore_port in any::<bool>(),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let hosts = domains.iter().map(|d| virtual_host(d, &[d], routes.clone())).collect();
        let mut scanned = proxy(hosts, hcm());
        scanned.routes[0].ignore_port_in_host_matching = ignore_port;
        let mut indexed = scanned.clone();
        indexed.seal();
        for head in &requests {
            let (a, b) = (decide(&indexed, head), decide(&scanned, head));
            prop_assert_eq!((a.virtual_host, a.route), (b.virtual_host, b.route), "{:?}", head);
            prop_assert_eq!(a, b);
        }
    }
}
