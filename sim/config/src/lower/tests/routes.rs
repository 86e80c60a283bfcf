//! Which routes a sidecar gets (semantics: istio-networking 3).

use super::*;

const REVIEWS: &str = "reviews.default.svc.cluster.local:80";

fn vs(name: &str, spec: &str) -> String {
    object("VirtualService", "default", name, spec)
}

fn reviews(spec: &str) -> Vec<String> {
    let mesh = service("default", "reviews", "http:80") + &vs("r", &format!("hosts: [reviews]\n{spec}"));
    routes_of(&client(&mesh), "80", REVIEWS)
}

#[test]
fn matches_that_are_for_others_leave_the_default_route() {
    let for_mobile = "http: [{match: [{sourceLabels: {app: mobile}}], route: [{destination: {host: reviews, subset: v2}}]}]";
    assert_eq!(reviews(for_mobile), ["default /* -> outbound|80||reviews.default.svc.cluster.local"]);
    let more = "
http:
- {match: [{sourceLabels: {app: mobile}}], route: [{destination: {host: reviews, subset: v2}}]}
- {name: x, match: [{headers: {x: {exact: a}}}], route: [{destination: {host: reviews, subset: v1}}]}";
    assert_eq!(reviews(more), ["x /* -> outbound|80|v1|reviews.default.svc.cluster.local"]);
}

#[test]
fn gateways_in_a_match_switch_off_source_labels() {
    let spec = "
gateways: [mesh, gw]
http:
- {name: a, match: [{gateways: [mesh], sourceLabels: {app: nobody}, sourceNamespace: nowhere}], route: [{destination: {host: reviews}}]}
- {name: b, match: [{gateways: [gw]}], route: [{destination: {host: reviews}}]}";
    assert_eq!(reviews(spec), ["a /* -> outbound|80||reviews.default.svc.cluster.local"]);
}

#[test]
fn routes_end_at_the_first_catch_all() {
    let spec = "
http:
- {name: a, match: [{uri: {regex: /.*}}, {uri: {prefix: /}}, {uri: {prefix: /x}}], route: [{destination: {host: reviews}}]}
- {name: b, route: [{destination: {host: reviews}}]}";
    let to = "outbound|80||reviews.default.svc.cluster.local";
    assert_eq!(reviews(spec), [format!("a ~/.* -> {to}"), format!("a /* -> {to}")]);
}

#[test]
fn weights_of_several_destinations_count_and_zero_is_dropped() {
    let spec = "http: [{route: [{destination: {host: reviews, subset: v1}}, {destination: {host: reviews, subset: v2}, weight: 1}]}]";
    assert_eq!(reviews(spec), [" /* -> outbound|80|v2|reviews.default.svc.cluster.local=1"]);
    let spec = "http: [{route: [{destination: {host: reviews, subset: v1}, weight: 37}]}]";
    assert_eq!(reviews(spec), [" /* -> outbound|80|v1|reviews.default.svc.cluster.local"]);
}

#[test]
fn a_destination_without_port_means_the_listeners() {
    let other = service("default", "other", "http:9999");
    let mesh = service("default", "reviews", "http:80")
        + &other
        + &vs("r", "hosts: [reviews]\nhttp: [{route: [{destination: {host: other}}]}]");
    assert_eq!(
        routes_of(&client(&mesh), "80", REVIEWS),
        [" /* -> outbound|80||other.default.svc.cluster.local"]
    );
}

#[test]
fn names_with_a_dot_are_not_expanded() {
    let spec = "http: [{route: [{destination: {host: reviews.default}}]}]";
    assert_eq!(reviews(spec), [" /* -> outbound|80||reviews.default"]);
}

#[test]
fn the_first_exact_virtual_service_owns_the_host_unless_it_yields_nothing() {
    let to = |name: &str| format!("http: [{{name: {name}, route: [{{destination: {{host: reviews}}}}]}}]");
    let mesh = service("default", "reviews", "http:80")
        + &vs("a", &format!("hosts: [reviews]\n{}", to("a")))
        + &vs("b", &format!("hosts: [reviews]\n{}", to("b")));
    let cluster = "outbound|80||reviews.default.svc.cluster.local";
    assert_eq!(routes_of(&client(&mesh), "80", REVIEWS), [format!("a /* -> {cluster}")]);
    let nobody = "hosts: [reviews]\nhttp: [{match: [{sourceLabels: {app: nobody}}], route: [{destination: {host: reviews}}]}]";
    let mesh = service("default", "reviews", "http:80")
        + &vs("a", nobody)
        + &vs("b", &format!("hosts: [reviews]\n{}", to("b")));
    assert_eq!(routes_of(&client(&mesh), "80", REVIEWS), [format!("b /* -> {cluster}")]);
    // A wildcard does not step in for an exact host that was filtered away.
    let mesh = service("default", "reviews", "http:80")
        + &vs("a", nobody)
        + &vs("w", &format!("hosts: ['*.default.svc.cluster.local']\n{}", to("w")));
    assert_eq!(routes_of(&client(&mesh), "80", REVIEWS), [format!("default /* -> {cluster}")]);
}

#[test]
fn hosts_outside_the_registry_live_on_port_80_only() {
    let mesh = service("default", "reviews", "http:80 http-b:8080")
        + &vs("ext", "hosts: [ext.example.com]\nhttp: [{name: e, route: [{destination: {host: reviews}}]}]");
    let snapshot = client(&mesh);
    let to = "outbound|80||reviews.default.svc.cluster.local";
    assert_eq!(routes_of(&snapshot, "80", "ext.example.com:80"), [format!("e /* -> {to}")]);
    assert!(routes_of(&snapshot, "8080", "ext.example.com:8080").is_empty());
    let without = service("default", "reviews", "http-b:8080")
        + &vs("r", "hosts: [reviews]\nhttp: [{name: e, route: [{destination: {host: reviews}}]}]")
        + &service("default", "other", "http:80");
    // A service that does not expose port 80 gets a literal virtual host there all the same.
    let snapshot = client(&without);
    assert_eq!(routes_of(&snapshot, "80", REVIEWS), [format!("e /* -> {to}")]);
    let domains = &configuration(&snapshot, "80").virtual_hosts;
    let domains: Vec<_> =
        domains.iter().filter(|v| v.name.as_ref() == REVIEWS).flat_map(|v| &v.domains).collect();
    assert_eq!(domains.len(), 1);
}

#[test]
fn delegates_are_merged_and_missing_ones_drop_their_route() {
    let mesh = service("default", "reviews", "http:80")
        + &vs(
            "root",
            "
hosts: [reviews]
http:
- {name: r, match: [{uri: {prefix: /a}}], delegate: {name: leaf}}
- {name: gone, match: [{uri: {prefix: /b}}], delegate: {name: nobody}}
- {name: rest, route: [{destination: {host: reviews}}]}",
        )
        + &vs(
            "leaf",
            "http: [{name: l, match: [{uri: {exact: /a/1}}], route: [{destination: {host: reviews, subset: v1}}]}]",
        );
    assert_eq!(
        routes_of(&client(&mesh), "80", REVIEWS),
        [
            "r-l /a/1 -> outbound|80|v1|reviews.default.svc.cluster.local",
            "rest /* -> outbound|80||reviews.default.svc.cluster.local"
        ]
    );
}

#[test]
fn the_catch_all_follows_the_outbound_policy() {
    let mesh = service("default", "reviews", "http:80");
    let last = |settings: &str| {
        let snapshot = of(&lowered(&mesh, settings), "default/client-0");
        let host = configuration(&snapshot, "80").virtual_hosts.last().cloned().expect("one");
        format!("{} {}", host.name, route(&host.routes[0]))
    };
    assert_eq!(last(""), "allow_any allow_any /* -> PassthroughCluster");
    assert_eq!(last("outboundTrafficPolicy: {}"), "block_all block_all /* -> direct 502");
    assert_eq!(
        last("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}"),
        "allow_any_dynamic_dns allow_any_dynamic_dns /* -> AllowAnyDynamicDNSCluster"
    );
}

#[test]
fn a_forward_proxy_listener_has_one_table_for_all_ports() {
    let mesh = service("default", "reviews", "http:80 http-b:8080")
        + &object(
            "Sidecar",
            "default",
            "s",
            "egress: [{port: {number: 3128, protocol: HTTP_PROXY, name: p}, bind: 127.0.0.1, captureMode: NONE, hosts: ['./*']}]",
        );
    let snapshot = client(&mesh);
    let table = configuration(&snapshot, "3128");
    let domains = |name: &str| -> Vec<&str> {
        let host = table.virtual_hosts.iter().find(|v| v.name.as_ref() == name).expect("a virtual host");
        host.domains.iter().map(AsRef::as_ref).collect()
    };
    assert!(domains("reviews.default.svc.cluster.local:80").contains(&"reviews"));
    assert!(domains("reviews.default.svc.cluster.local:8080").iter().all(|d| d.contains(':')));
}

#[test]
fn every_route_knows_its_place() {
    let mesh = vs(
        "r",
        "hosts: [reviews]\nhttp: [{name: a, match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]",
    ) + &service("default", "reviews", "http:80");
    let lowering = lowered(&mesh, "");
    let snapshot = of(&lowering, "default/client-0");
    let host = configuration(&snapshot, "80")
        .virtual_hosts
        .iter()
        .find(|v| v.name.as_ref() == REVIEWS)
        .expect("one");
    let origin = lowering.origin(host.routes[0].origin).expect("a place");
    assert_eq!(origin.object.map(|o| o.to_string()).as_deref(), Some("VirtualService/default/r"));
    let text = format!("{mesh}\n{CLIENT}");
    let written = &text[origin.span.start as usize..origin.span.end as usize];
    assert_eq!(written, "{uri: {prefix: /a}}");
}
