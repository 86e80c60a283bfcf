//! What is not simulated taints what it may touch, and nothing else.

use super::*;

fn raw(api: &str, kind: &str, namespace: &str, spec: &str) -> String {
    format!(
        "\n---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn mesh(more: &str) -> Lowering {
    lowered(&(service("default", "web", "http:80 tcp:90") + &service("prod", "api", "http:80") + more), "")
}

fn whole(lowering: &Lowering, pod: &str) -> usize {
    of(lowering, pod).taints.len()
}

#[test]
fn envoy_filters_taint_the_proxies_they_patch() {
    let filter = |namespace: &str, context: &str, selector: &str| {
        let spec =
            format!("{{{selector}configPatches: [{{applyTo: LISTENER, match: {{context: {context}}}}}]}}");
        mesh(&raw("networking.istio.io/v1alpha3", "EnvoyFilter", namespace, &spec))
    };
    let client = "workloadSelector: {labels: {app: client}}, ";
    for (lowering, want) in [
        (filter("default", "SIDECAR_OUTBOUND", ""), [1, 1, 0]),
        (filter("default", "ANY", client), [1, 0, 0]),
        (filter("istio-system", "SIDECAR_INBOUND", ""), [1, 1, 1]),
        (filter("istio-system", "GATEWAY", ""), [0, 0, 0]),
    ] {
        assert_eq!(
            ["default/client-0", "default/web-0", "prod/api-0"].map(|pod| whole(&lowering, pod)),
            want
        );
    }
}

#[test]
fn routes_attached_to_services_taint_their_virtual_hosts() {
    let route = raw(
        "gateway.networking.k8s.io/v1",
        "GRPCRoute",
        "default",
        "{parentRefs: [{kind: Service, group: '', name: web}]}",
    );
    let lowering = mesh(&route);
    let snapshot = of(&lowering, "default/client-0");
    assert!(snapshot.taints.is_empty());
    let hosts = &configuration(&snapshot, "80").virtual_hosts;
    let tainted: Vec<&str> =
        hosts.iter().filter(|v| !v.routes[0].taints.is_empty()).map(|v| v.name.as_ref()).collect();
    assert_eq!(tainted, ["web.default.svc.cluster.local:80"]);
    let to_gateway =
        raw("gateway.networking.k8s.io/v1", "HTTPRoute", "default", "{parentRefs: [{name: gw}]}");
    assert_eq!(whole(&mesh(&to_gateway), "default/client-0"), 0);
}

#[test]
fn unread_pods_taint_the_services_that_select_them() {
    let rollout =
        raw("argoproj.io/v1alpha1", "Rollout", "default", "{template: {metadata: {labels: {app: web}}}}");
    let snapshot = of(&mesh(&rollout), "default/client-0");
    let tainted = snapshot.clusters.iter().filter(|c| !c.taints.is_empty()).map(|c| c.host.to_string());
    let tainted: std::collections::BTreeSet<String> = tainted.collect();
    assert_eq!(tainted.into_iter().collect::<Vec<_>>(), ["web.default.svc.cluster.local"]);
}

#[test]
fn network_policies_taint_the_pods_they_select() {
    let policy =
        raw("networking.k8s.io/v1", "NetworkPolicy", "default", "{podSelector: {matchLabels: {app: web}}}");
    let lowering = mesh(&policy);
    assert_eq!((whole(&lowering, "default/web-0"), whole(&lowering, "default/client-0")), (1, 0));
}
