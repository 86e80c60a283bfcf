//! Which outbound listeners a sidecar gets, and what happens where two want one address (semantics: istio-networking 6).

use super::*;

fn entry(name: &str, spec: &str) -> String {
    object("ServiceEntry", "default", name, spec)
}

const HTTP: &str = "http/1.1 h2c";

#[test]
fn classes_of_ports_have_their_listeners() {
    let mesh = service("default", "web", "http:80 tcp-a:5000 other:6000 udp-x:7000");
    let snapshot = client(&mesh);
    assert_eq!(listener_names(&snapshot), ["0.0.0.0_80", "10.96.0.1_5000", "10.96.0.1_6000"]);
    let host = "web.default.svc.cluster.local";
    assert_eq!(
        chains(&snapshot, "0.0.0.0_80"),
        [format!("[{HTTP}] rds 80"), "default [] PassthroughCluster".into()]
    );
    assert_eq!(chains(&snapshot, "10.96.0.1_5000"), [format!("[] outbound|5000||{host}")]);
    assert_eq!(
        chains(&snapshot, "10.96.0.1_6000"),
        [format!("[{HTTP}] rds {host}:6000"), format!("default [] outbound|6000||{host}")]
    );
}

#[test]
fn a_detected_port_has_a_table_of_its_own_for_any_host() {
    let snapshot = client(&service("default", "web", "other:6000"));
    let table = configuration(&snapshot, "web.default.svc.cluster.local:6000");
    let [only] = table.virtual_hosts.as_slice() else { panic!("{table:?}") };
    assert_eq!(only.domains.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["*"]);
}

#[test]
fn a_tcp_entry_without_address_takes_the_fallback_of_the_port() {
    let mesh = service("default", "web", "http:80")
        + &entry(
            "db",
            "hosts: [db.example.com]\nresolution: DNS\nports: [{number: 80, name: tcp, protocol: TCP}]",
        )
        + &entry(
            "late",
            "hosts: [late.example.com]\nresolution: DNS\nports: [{number: 80, name: tcp, protocol: TCP}]",
        );
    assert_eq!(
        chains(&client(&mesh), "0.0.0.0_80"),
        [format!("[{HTTP}] rds 80"), "default [] outbound|80||db.example.com".to_owned()]
    );
}

#[test]
fn tls_entries_without_address_are_told_apart_by_sni() {
    let tls = |name: &str| {
        entry(
            name,
            &format!(
                "hosts: [{name}.example.com]\nresolution: DNS\nports: [{{number: 443, name: tls, protocol: TLS}}]"
            ),
        )
    };
    assert_eq!(
        chains(&client(&(tls("a") + &tls("b"))), "0.0.0.0_443"),
        [
            "[sni=a.example.com] outbound|443||a.example.com",
            "[sni=b.example.com] outbound|443||b.example.com",
            "default [] PassthroughCluster"
        ]
    );
}

#[test]
fn parsed_protocols_share_a_port_with_nothing() {
    let entry_of = |name: &str, protocol: &str| {
        entry(
            name,
            &format!(
                "hosts: [{name}.example.com]\nresolution: DNS\nports: [{{number: 900, name: p, protocol: {protocol}}}]"
            ),
        )
    };
    let mesh = entry_of("a", "MONGO") + &entry_of("b", "TCP") + &entry_of("c", "HTTP");
    assert_eq!(chains(&client(&mesh), "0.0.0.0_900"), ["[] outbound|900||a.example.com"]);
}

#[test]
fn a_cidr_is_a_condition_of_the_wildcard_listener() {
    let mesh = entry(
        "net",
        "hosts: [net.example.com]\naddresses: [10.1.2.0/24]\nports: [{number: 5000, name: tcp, protocol: TCP}]",
    );
    assert_eq!(
        chains(&client(&mesh), "0.0.0.0_5000"),
        ["[to=10.1.2.0/24] outbound|5000||net.example.com", "default [] PassthroughCluster"]
    );
}

#[test]
fn headless_services_listen_at_every_pod_but_their_own() {
    let mesh = "
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec: {replicas: 2, serviceName: db, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}}
";
    let lowering = lowered(mesh, "");
    assert_eq!(listener_names(&of(&lowering, "default/client-0")), ["10.244.0.2_5432", "10.244.0.3_5432"]);
    assert_eq!(listener_names(&of(&lowering, "default/db-0")), ["10.244.0.3_5432"]);
    assert_eq!(listener_names(&of(&lowering, "default/db-1")), ["10.244.0.2_5432"]);
}

#[test]
fn sni_routes_replace_the_service_and_fall_through_to_the_outside() {
    let mesh = service("default", "web", "https:443")
        + &object(
            "VirtualService",
            "default",
            "v",
            "
hosts: [web]
tls:
- match: [{sniHosts: [web.default.svc.cluster.local]}]
  route: [{destination: {host: web, subset: v1}, weight: 9}, {destination: {host: web, subset: v2}, weight: 1}]",
        );
    let host = "web.default.svc.cluster.local";
    assert_eq!(
        chains(&client(&mesh), "10.96.0.1_443"),
        [
            format!("[sni={host}] outbound|443|v1|{host}=9 outbound|443|v2|{host}=1"),
            "default [] PassthroughCluster".to_owned()
        ]
    );
}

#[test]
fn tcp_routes_with_subnets_stand_before_the_service() {
    let mesh = service("default", "web", "tcp:5000")
        + &object(
            "VirtualService",
            "default",
            "v",
            "
hosts: [web]
tcp:
- match: [{destinationSubnets: [10.9.0.0/16], port: 5000}]
  route: [{destination: {host: web, subset: v1}}]
- match: [{port: 1}]
  route: [{destination: {host: web, subset: v2}}]",
        );
    let host = "web.default.svc.cluster.local";
    assert_eq!(
        chains(&client(&mesh), "10.96.0.1_5000"),
        [format!("[to=10.9.0.0/16] outbound|5000|v1|{host}"), format!("default [] outbound|5000||{host}")]
    );
}

#[test]
fn the_unknown_goes_where_the_policy_says() {
    let mesh = service("default", "web", "http:80")
        + &object("Sidecar", "default", "s", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
    let snapshot = client(&mesh);
    assert_eq!(chains(&snapshot, "0.0.0.0_80")[1], "default [] BlackHoleCluster");
    assert_eq!(
        chains(&snapshot, "virtualOutbound"),
        ["[port=15001] BlackHoleCluster", "[] BlackHoleCluster"]
    );
    let proxied = service("default", "web", "http:80")
        + &object(
            "Sidecar",
            "default",
            "s",
            "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: proxy.example.com, port: {number: 99}}}",
        );
    assert_eq!(chains(&client(&proxied), "0.0.0.0_80")[1], "default [] outbound|99||proxy.example.com");
}
