//! Virtual host selection: envoy-routing 1.4.

use mesh_core::matching::find_virtual_host;

use crate::fixture::*;

const DOMAINS: &[&str] = &[
    "foo.com",
    "foo.com:8080",
    "Bar.COM",
    "*.baz.com",
    "*-bar.baz.com",
    "*.x.baz.com",
    "api.*",
    "api.v1.*",
    "multi.baz.*",
    "*:9090",
];

const CASES: &[(&str, &str)] = &[
    ("foo.com", "foo.com"),
    ("FOO.com", "foo.com"),
    ("foo.com:8080", "foo.com:8080"),
    ("foo.com:80", ""),
    ("bar.com", "Bar.COM"),
    ("a.baz.com", "*.baz.com"),
    ("a.b.baz.com", "*.baz.com"),
    (".baz.com", ""),
    ("baz.com", ""),
    ("a-bar.baz.com", "*-bar.baz.com"),
    ("-bar.baz.com", "*.baz.com"),
    ("foo.com.", ""),
    ("api.foo", "api.*"),
    ("api.", ""),
    ("api.v1.foo", "api.v1.*"),
    ("api.v1.", "api.*"),
    ("multi.baz.com", "*.baz.com"),
    ("api.x.baz.com", "*.x.baz.com"),
    ("zz:9090", "*:9090"),
    ("[::1]:9090", "*:9090"),
    ("a.baz.com:80", ""),
    ("", ""),
];

/// With `ignore_port_in_host_matching` and an added `*`.
const WITHOUT_PORT: &[(&str, &str)] = &[
    ("foo.com:8080", "foo.com"),
    ("a.baz.com:80", "*.baz.com"),
    ("zz:9090", "*"),
    ("foo.com:abc", "foo.com"),
    ("foo.com:", "foo.com"),
    ("foo.com:1:2", "*"),
    ("[::1]", "*"),
];

fn check(domains: &[&str], ignore_port: bool, cases: &[(&str, &str)]) {
    let hosts = domains.iter().map(|d| virtual_host(d, &[d], vec![forward(prefix("/"))])).collect();
    let mut snapshot = proxy(hosts, hcm());
    snapshot.routes[0].ignore_port_in_host_matching = ignore_port;
    let scanned = snapshot.clone();
    snapshot.seal();
    for (authority, expected) in cases {
        let head = get(authority);
        for proxy in [&snapshot, &scanned] {
            let decision = decide(proxy, &head);
            let name = decision.virtual_host(proxy).map_or("", |v| v.name.as_ref());
            assert_eq!(name, *expected, "host `{authority}`");
        }
        let scan = find_virtual_host(&scanned.routes[0], authority).map(|(v, _)| v);
        assert_eq!(scan.map_or("", |v| domains[v as usize]), *expected);
    }
}

#[test]
fn domains_are_chosen_as_envoy_does() {
    check(DOMAINS, false, CASES);
}

#[test]
fn ports_are_ignored_in_the_request_only() {
    let with_default: Vec<&str> = DOMAINS.iter().copied().chain(["*"]).collect();
    check(&with_default, true, WITHOUT_PORT);
}

#[test]
fn a_chosen_virtual_host_is_final() {
    let hosts = vec![
        virtual_host("foo", &["foo.com"], vec![forward(prefix("/only"))]),
        virtual_host("any", &["*"], vec![forward(prefix("/"))]),
    ];
    let snapshot = proxy(hosts, hcm());
    let decision = decide(&snapshot, &get("foo.com/x"));
    assert_eq!((reply(&decision).status, reply(&decision).details.as_ref()), (404, "route_not_found"));
    assert_eq!(decision.flags.text(), "NR");
}

#[test]
fn require_tls_redirects_before_routes() {
    let mut host = virtual_host("v", &["*"], vec![]);
    host.require_tls = true;
    let snapshot = proxy(vec![host], hcm());
    let decision = decide(&snapshot, &get("h.com:8080/a?b"));
    assert_eq!(reply(&decision).status, 301);
    assert_eq!(reply(&decision).headers[0].1.as_ref(), "https://h.com:8080/a?b");
    let secure = with_headers(get("h.com/a"), &[("x-forwarded-proto", "https")]);
    assert_eq!(reply(&decide(&snapshot, &secure)).status, 404);
}
