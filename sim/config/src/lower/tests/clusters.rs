//! What a DestinationRule makes of a cluster (semantics: istio-networking 4).

use mesh_core::ir::{Discovery, LbPolicy, Transport, UpstreamProtocol};

use super::*;

const WEB: &str = "web.default.svc.cluster.local";

fn rule(spec: &str) -> String {
    object("DestinationRule", "default", "web", &format!("host: web\n{spec}"))
}

fn web(ports: &str, spec: &str) -> Arc<Snapshot> {
    client(&(service("default", "web", ports) + &rule(spec)))
}

#[test]
fn port_levels_replace_and_subsets_inherit_by_block() {
    let snapshot = web(
        "http:80 http-b:81",
        "
trafficPolicy:
  connectionPool: {tcp: {maxConnections: 7}}
  outlierDetection: {consecutive5xxErrors: 3}
  portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]
subsets:
- {name: a, trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}}
- {name: b, trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]}}",
    );
    let of = |name: &str| {
        let c = cluster(&snapshot, name);
        (c.breakers.max_connections, c.outlier.is_some(), matches!(c.lb, LbPolicy::LeastRequest(..)))
    };
    assert_eq!(of(&format!("outbound|80||{WEB}")), (7, true, true));
    assert_eq!(of(&format!("outbound|81||{WEB}")), (u32::MAX, false, false));
    assert_eq!(of(&format!("outbound|80|a|{WEB}")), (9, true, true));
    assert_eq!(of(&format!("outbound|80|b|{WEB}")), (u32::MAX, false, false));
    assert_eq!(of(&format!("outbound|81|a|{WEB}")), (9, false, false));
}

#[test]
fn mutual_tls_is_automatic_unless_somebody_says_otherwise() {
    let kind = |spec: &str| match &cluster(&web("http:80", spec), &format!("outbound|80||{WEB}")).transport {
        Transport::Plaintext => "plaintext",
        Transport::Tls(_) => "tls",
        Transport::AutoMtls(_) => "auto",
    };
    assert_eq!(kind("trafficPolicy: {loadBalancer: {simple: RANDOM}}"), "auto");
    assert_eq!(kind("trafficPolicy: {tls: {mode: DISABLE}}"), "plaintext");
    assert_eq!(kind("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}"), "tls");
    assert_eq!(kind("trafficPolicy: {tls: {mode: SIMPLE}}"), "tls");
    // A secret without a selector is dropped on sidecars, and TLS with it.
    assert_eq!(kind("trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"), "plaintext");
    assert_eq!(
        kind(
            "workloadSelector: {matchLabels: {app: client}}\ntrafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"
        ),
        "tls"
    );
    // Mutual TLS of the user's without files fails to build, and the cluster stays without.
    assert_eq!(kind("trafficPolicy: {tls: {mode: MUTUAL}}"), "plaintext");
}

#[test]
fn a_policy_of_one_workload_is_the_endpoints_business() {
    let policy = "
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: p, namespace: default}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}
";
    let snapshot = client(&(service("default", "web", "http:80") + policy));
    let found = cluster(&snapshot, &format!("outbound|80||{WEB}"));
    assert!(matches!(found.transport, Transport::AutoMtls(_)));
    assert!(!found.endpoints[0].hosts[0].tls_mode_istio);
    let policy = policy.replace("selector: {matchLabels: {app: web}}, ", "");
    let snapshot = client(&(service("default", "web", "http:80") + &policy));
    assert_eq!(cluster(&snapshot, &format!("outbound|80||{WEB}")).transport, Transport::Plaintext);
}

#[test]
fn dns_subsets_without_endpoints_do_not_exist() {
    let mesh = object(
        "ServiceEntry",
        "default",
        "e",
        "
hosts: [e.example.com]
resolution: DNS
ports: [{number: 80, name: http, protocol: HTTP}]
endpoints: [{address: a.example.com, labels: {v: '1'}}]",
    ) + &object(
        "DestinationRule",
        "default",
        "e",
        "host: e.example.com\nsubsets: [{name: a, labels: {v: '1'}}, {name: b, labels: {v: '2'}}]",
    );
    let names = cluster_names(&client(&mesh));
    assert_eq!(names, ["outbound|80|a|e.example.com", "outbound|80||e.example.com"]);
    // A Kubernetes subset without pods exists and is empty.
    let snapshot = web("http:80", "subsets: [{name: none, labels: {version: v9}}]");
    assert!(cluster(&snapshot, &format!("outbound|80|none|{WEB}")).endpoints.is_empty());
}

#[test]
fn passthrough_balancing_dials_what_the_client_dialled() {
    let snapshot = web(
        "http:80",
        "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}\nsubsets: [{name: a, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]",
    );
    for name in [format!("outbound|80||{WEB}"), format!("outbound|80|a|{WEB}")] {
        let found = cluster(&snapshot, &name);
        assert_eq!((found.discovery, &found.lb), (Discovery::OriginalDst, &LbPolicy::ClusterProvided));
    }
}

#[test]
fn http_versions_follow_the_port_and_the_upgrade_policy() {
    let version = |ports: &str, spec: &str, port: u16| {
        cluster(&web(ports, spec), &format!("outbound|{port}||{WEB}")).protocol
    };
    let upgrade = "trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}";
    let none = "trafficPolicy: {loadBalancer: {simple: RANDOM}}";
    assert_eq!(version("http:80", none, 80), UpstreamProtocol::Http1);
    assert_eq!(version("grpc:80", none, 80), UpstreamProtocol::Http2);
    assert_eq!(version("x:80", none, 80), UpstreamProtocol::Downstream);
    assert_eq!(version("http:80", upgrade, 80), UpstreamProtocol::Http2);
    assert_eq!(version("x:80", upgrade, 80), UpstreamProtocol::Downstream);
    let client = "trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}";
    assert_eq!(version("http:80", client, 80), UpstreamProtocol::Downstream);
}

#[test]
fn what_is_not_modelled_is_said() {
    let snapshot = web(
        "http:80",
        "trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: true}}, retryBudget: {budgetInterval: 5s}}",
    );
    let taints = &cluster(&snapshot, &format!("outbound|80||{WEB}")).taints;
    let words: Vec<&str> = taints.iter().map(|t| t.what.as_ref()).collect();
    assert_eq!(words, ["retryBudget.budgetInterval", "zoneAwareLbSetting"]);
    assert!(taints.iter().all(|t| t.origin.is_some()));
}

#[test]
fn routes_that_envoy_refuses_leave_the_proxy_unknown() {
    let hash = |hash: &str| format!("trafficPolicy: {{loadBalancer: {{consistentHash: {hash}}}}}");
    let taints = |ports: &str, settings: &str| web(ports, &hash(settings)).taints.len();
    assert_eq!(taints("http:80", "{useSourceIp: false}"), 1);
    assert_eq!(taints("http:80", "{useSourceIp: true}"), 0);
    assert_eq!(taints("tcp:80", "{useSourceIp: false}"), 0);
}
