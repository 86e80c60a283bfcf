//! What a Sidecar lets a proxy see (semantics: istio-networking 5).

use super::*;

fn sidecar(namespace: &str, name: &str, spec: &str) -> String {
    object("Sidecar", namespace, name, spec)
}

fn two_namespaces() -> String {
    service("default", "own", "http:80")
        + &service("prod", "reviews", "http:9080")
        + &service("prod", "ratings", "http:9080")
}

#[test]
fn hosts_are_imported_by_namespace_and_name() {
    for (hosts, want) in [
        ("'./*'", vec!["outbound|80||own.default.svc.cluster.local"]),
        ("prod/reviews.prod.svc.cluster.local", vec!["outbound|9080||reviews.prod.svc.cluster.local"]),
        ("prod/reviews", vec![]),
        ("'*/ratings.prod.svc.cluster.local'", vec!["outbound|9080||ratings.prod.svc.cluster.local"]),
        ("'~/*'", vec![]),
        (
            "'*/*', '~prod/reviews.prod.svc.cluster.local'",
            vec![
                "outbound|80||own.default.svc.cluster.local",
                "outbound|9080||ratings.prod.svc.cluster.local",
            ],
        ),
    ] {
        let mesh = two_namespaces() + &sidecar("default", "s", &format!("egress: [{{hosts: [{hosts}]}}]"));
        assert_eq!(cluster_names(&client(&mesh)), want, "{hosts}");
    }
}

#[test]
fn destinations_outside_the_scope_get_clusters_only() {
    let mesh = two_namespaces()
        + &sidecar("default", "s", "egress: [{hosts: ['./*']}]")
        + &object(
            "VirtualService",
            "default",
            "v",
            "hosts: [own]\nhttp: [{route: [{destination: {host: reviews.prod.svc.cluster.local, port: {number: 9080}}}]}]",
        );
    let snapshot = client(&mesh);
    assert!(cluster_names(&snapshot).contains(&"outbound|9080||reviews.prod.svc.cluster.local".to_owned()));
    assert_eq!(listener_names(&snapshot), ["0.0.0.0_80"]);
}

#[test]
fn a_selector_wins_then_the_namespace_then_the_root() {
    let mesh = two_namespaces()
        + &sidecar("istio-system", "root", "egress: [{hosts: ['prod/ratings.prod.svc.cluster.local']}]")
        + &sidecar(
            "default",
            "mine",
            "workloadSelector: {labels: {app: client}}\negress: [{hosts: ['./*']}]",
        );
    let lowering = lowered(&mesh, "");
    let own = ["outbound|80||own.default.svc.cluster.local"];
    let root = ["outbound|9080||ratings.prod.svc.cluster.local"];
    assert_eq!(cluster_names(&of(&lowering, "default/client-0")), own);
    assert_eq!(cluster_names(&of(&lowering, "default/own-0")), root);
    assert_eq!(cluster_names(&of(&lowering, "prod/reviews-0")), root);
}

#[test]
fn listeners_with_a_port_lock_it() {
    let mesh = two_namespaces()
        + &sidecar(
            "default",
            "s",
            "egress: [{port: {number: 9080, protocol: HTTP, name: h}, hosts: ['prod/ratings.prod.svc.cluster.local']}, {hosts: ['*/*']}]",
        );
    let snapshot = client(&mesh);
    let hosts: Vec<&str> =
        configuration(&snapshot, "9080").virtual_hosts.iter().map(|v| v.name.as_ref()).collect();
    assert_eq!(hosts, ["ratings.prod.svc.cluster.local:9080", "allow_any"]);
}

#[test]
fn services_are_visible_as_exported() {
    let hidden = |to: &str| {
        service("prod", "reviews", "http:9080").replace(
            "kind: Service\nmetadata: {name: reviews, namespace: prod}",
            &format!("kind: Service\nmetadata: {{name: reviews, namespace: prod, annotations: {{networking.istio.io/exportTo: '{to}'}}}}"),
        )
    };
    for (to, seen) in [("*", true), (".", false), ("~", false), ("default", true), ("other,default", true)] {
        assert_eq!(!cluster_names(&client(&hidden(to))).is_empty(), seen, "{to}");
    }
}

#[test]
fn pods_of_one_workload_share_a_snapshot() {
    let mesh =
        service("default", "web", "http:80").replace("spec: {template", "spec: {replicas: 3, template");
    let lowering = lowered(&mesh, "");
    assert!(Arc::ptr_eq(&of(&lowering, "default/web-0"), &of(&lowering, "default/web-2")));
    assert!(!Arc::ptr_eq(&of(&lowering, "default/web-0"), &of(&lowering, "default/client-0")));
}
