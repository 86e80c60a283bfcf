//! Who sends: every pod of a workload through its own proxy, every pod of a gateway, and only while it runs.

use std::collections::BTreeMap;

use mesh_harness::scenario::Ran;

use crate::simulated::{notes, simulate, workload};

/// Requests by the proxy that sent them to `web`.
fn by_proxy(ran: &Ran) -> BTreeMap<String, u64> {
    let edges = ran.runs.iter().flat_map(|run| &run.edges);
    let to_web = edges.filter(|e| e.cluster.starts_with("outbound|80||web."));
    to_web.map(|e| (e.proxy_name.to_string(), e.requests)).filter(|(_, n)| *n > 0).collect()
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn traffic(words: &str) -> String {
    format!("  traffic: [{{name: users, request: GET http://web/, {words}}}]\n")
}

#[test]
fn even_arrivals_go_round_the_pods_of_a_workload() {
    let manifests = workload("client", 3) + &workload("web", 2);
    let spec = format!("  duration: 3s\n{}", traffic("from: default/client, rate: 10/s, arrivals: constant"));
    let ran = simulate("round", &manifests, &spec);
    let even = [("default/client-0", 10), ("default/client-1", 10), ("default/client-2", 10)];
    assert_eq!(by_proxy(&ran), counts(&even));

    // One pod, when one is named.
    let spec =
        format!("  duration: 3s\n{}", traffic("from: default/client#1, rate: 10/s, arrivals: constant"));
    let ran = simulate("one", &manifests, &spec);
    assert_eq!(by_proxy(&ran), counts(&[("default/client-1", 30)]));
}

#[test]
fn poisson_arrivals_are_split_at_random() {
    let manifests = workload("client", 2) + &workload("web", 1);
    let spec = format!("  duration: 10s\n{}", traffic("from: default/client, rate: 100/s"));
    let sent = by_proxy(&simulate("poisson", &manifests, &spec));
    let (all, first) = (sent.values().sum::<u64>(), sent["default/client-0"]);
    // Five standard deviations of a fair coin.
    let off = first as f64 - all as f64 / 2.0;
    assert!(off.abs() < 5.0 * (all as f64 / 4.0).sqrt(), "{first} of {all}");
}

#[test]
fn users_stay_with_their_pod() {
    // Three users on two pods: two of them share the first, and a user sends again when answered, so that pod sends twice
    // as much.
    let manifests = workload("client", 2) + &workload("web", 1);
    let behavior = "  behaviors: [{workload: default/web, serviceTime: 10ms}]\n";
    let users = traffic("from: default/client, users: 3, thinkTime: 90ms");
    let sent = by_proxy(&simulate("users", &manifests, &format!("  duration: 5s\n{users}{behavior}")));
    let (first, second) = (sent["default/client-0"], sent["default/client-1"]);
    assert_eq!(first, 2 * second, "{sent:?}");
}

#[test]
fn pods_send_while_they_run() {
    let manifests = workload("client", 1) + &workload("web", 1);
    let steps = "  timeline:\n    steps:\n      - {at: 1s, scale: {workload: default/client, replicas: 0}}\n      - {at: 2s, scale: {workload: default/client, replicas: 2}}\n";
    let even = traffic("from: default/client, rate: 10/s, arrivals: constant");
    let ran = simulate("gone", &manifests, &format!("  duration: 4s\n{even}{steps}"));
    let said = notes(&ran, "unsent");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("10 requests of traffic `users` were not sent"), "{said:?}");
    // Ten before, and the twenty after are shared with the pod that has joined.
    assert_eq!(by_proxy(&ran), counts(&[("default/client-0", 20), ("default/client-1", 10)]));

    // A user waits for a pod instead.
    let users = traffic("from: default/client, users: 1, thinkTime: 100ms");
    let ran = simulate("waits", &manifests, &format!("  duration: 4s\n{users}{steps}"));
    assert!(notes(&ran, "unsent").is_empty());
    assert!(by_proxy(&ran)["default/client-0"] > 15, "{:?}", by_proxy(&ran));
}

#[test]
fn every_pod_of_a_gateway_is_dialled() {
    let gateway = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: door, namespace: default}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: door}}\n  template:\n    metadata:\n      labels: {app: door}\n      annotations: {inject.istio.io/templates: gateway, sidecar.istio.io/inject: \"true\"}\n    spec:\n      containers: [{name: istio-proxy, image: auto}]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: door}\nspec:\n  selector: {app: door}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: door}\nspec:\n  selector: {app: door}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\nspec:\n  hosts: [\"*\"]\n  gateways: [door]\n  http: [{route: [{destination: {host: web}}]}]\n---\n";
    let manifests = workload("web", 1) + gateway;
    let even = traffic("from: {gateway: default/door}, rate: 10/s, arrivals: constant");
    let ran = simulate("doors", &manifests, &format!("  duration: 2s\n{even}"));
    assert_eq!(by_proxy(&ran), counts(&[("default/door-0", 10), ("default/door-1", 10)]));
}
