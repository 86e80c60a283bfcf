//! Gateways that no recording shows: what is merged, what is dropped, what fails (semantics: istio-networking 7).

use std::sync::Arc;

use mesh_core::ir::{RouteAction, Snapshot, Terminal};
use mesh_core::tls::CertificateSource;

use crate::inventory::Inventory;
use crate::lower::Lowering;
use crate::mesh::proxy::ProxyId;
use crate::mesh::{Mesh, MeshOptions};
use crate::source::FileId;

/// The snapshot of the ingress gateway, which is made up where no manifest defines it.
fn gateway(manifests: &str) -> Arc<Snapshot> {
    let (objects, problems) = crate::load::read_text(FileId(0), manifests);
    assert!(problems.is_empty(), "{problems:?}");
    let (inventory, problems) = Inventory::new(&objects, "default");
    assert!(problems.is_empty(), "{problems:?}");
    let lowering = Lowering::new(Arc::new(Mesh::new(inventory, &MeshOptions::default()).0));
    let proxies = &lowering.mesh.proxies;
    let at = proxies.iter().position(|p| p.id == "istio-system/istio-ingressgateway-0").expect("gateway");
    lowering.snapshot(ProxyId(u32::try_from(at).expect("index"))).expect("snapshot")
}

/// A Gateway with these servers, in flow style.
fn servers(name: &str, servers: &[&str]) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{selector: {{istio: ingressgateway}}, servers: [{}]}}\n",
        servers.join(", ")
    )
}

/// `listener: sni,sni > route table or cluster` per chain, listeners in order.
fn chains(snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for listener in &snapshot.listeners {
        for chain in &listener.filter_chains {
            let to = match &chain.terminal {
                Terminal::Http(manager) => match &manager.route_specifier {
                    mesh_core::ir::RouteSpecifier::Rds(name) => name.to_string(),
                    mesh_core::ir::RouteSpecifier::Inline(_) => "inline".to_owned(),
                },
                Terminal::Tcp(proxy) => proxy.clusters.iter().map(|(name, _)| name.to_string()).collect(),
            };
            out.push(format!("{}: {} > {to}", listener.name, chain.matcher.server_names.join(",")));
        }
    }
    out
}

/// `name domain,domain [tls] path,path` per virtual host of a route table.
fn hosts(snapshot: &Snapshot, table: &str) -> Vec<String> {
    let table = snapshot.routes.iter().find(|routes| routes.name.as_ref() == table).expect("the table");
    let shown = |host: &mesh_core::ir::VirtualHost| {
        let routes: Vec<String> = host.routes.iter().map(|r| format!("{:?}", r.matcher.path)).collect();
        let tls = if host.require_tls { " tls" } else { "" };
        format!("{} {}{tls} {}", host.name, host.domains.join(","), routes.join(" "))
    };
    table.virtual_hosts.iter().map(shown).collect()
}

const HTTP: &str = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}";
const HTTPS: &str = "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com, b.com], \
                     tls: {mode: SIMPLE, credentialName: c}}";

#[test]
fn servers_of_a_port_are_merged_or_dropped() {
    let taken = HTTPS.replace("a.com, b.com", "b.com, c.com").replace("name: https", "name: https2");
    let redirect = |name: &str| {
        format!(
            "{{port: {{number: 80, name: {name}, protocol: HTTP}}, hosts: ['*'], tls: {{httpsRedirect: true}}}}"
        )
    };
    let plain = "{port: {number: 443, name: plain, protocol: HTTP}, hosts: [p.com]}";
    let bound = HTTP.replace("hosts", "bind: 10.0.0.9, hosts");
    for (what, given, want) in [
        (
            "plaintext servers share a table",
            servers("a", &[HTTP]) + &servers("b", &[HTTP]),
            vec!["0.0.0.0_8080:  > http.8080"],
        ),
        (
            "a taken host drops the whole server",
            servers("a", &[HTTPS]) + &servers("b", &[&taken]),
            vec!["0.0.0.0_8443: a.com,b.com > https.443.https.a.default"],
        ),
        (
            "also of servers that only redirect",
            servers("a", &[&redirect("r")]) + &servers("b", &[&redirect("s")]),
            vec!["0.0.0.0_8080:  > http.8080"],
        ),
        (
            "plaintext after TLS is a further chain",
            servers("a", &[HTTPS]) + &servers("b", &[plain]),
            vec!["0.0.0.0_8443: a.com,b.com > https.443.https.a.default", "0.0.0.0_8443:  > http.8443"],
        ),
        (
            "TLS after plaintext is dropped",
            servers("a", &[plain]) + &servers("b", &[HTTPS]),
            vec!["0.0.0.0_8443:  > http.8443"],
        ),
        (
            "another address is another listener",
            servers("a", &[HTTP, &bound]),
            vec!["0.0.0.0_8080:  > http.8080", "10.0.0.9_8080:  > http.8080.10.0.0.9"],
        ),
        (
            "TCP without a route has no listener",
            servers("a", &["{port: {number: 3306, name: db, protocol: TCP}, hosts: ['*']}"]),
            vec![],
        ),
        (
            "a star matches every name and none",
            servers("a", &[&HTTPS.replace("a.com, b.com", "'*'")]),
            vec!["0.0.0.0_8443:  > https.443.https.a.default"],
        ),
    ] {
        assert_eq!(chains(&gateway(&given)), want, "{what}");
    }
}

#[test]
fn hosts_without_virtual_services_redirect_or_answer_404() {
    let redirecting =
        "{port: {number: 80, name: r, protocol: HTTP}, hosts: [A.com, b.com], tls: {httpsRedirect: true}}";
    let snapshot = gateway(&servers("a", &[redirecting]));
    assert_eq!(hosts(&snapshot, "http.8080"), ["A.com:80 a.com,b.com tls "], "no routes: one virtual host");
    assert_eq!(hosts(&gateway(&servers("a", &[HTTP])), "http.8080"), ["blackhole:80 * "]);
}

#[test]
fn certificates_come_from_secrets_or_are_made_up() {
    let certificate = |manifests: &str| {
        let snapshot = gateway(manifests);
        let chain = snapshot.listeners[0].filter_chains[0].clone();
        chain.tls.expect("terminates").certificate
    };
    let server = servers("a", &[HTTPS]);
    let CertificateSource::Known(made_up) = certificate(&server) else { panic!("made up") };
    assert_eq!(made_up.sans, ["a.com".into(), "b.com".into()]);
    let other = "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: istio-system}\n";
    assert_eq!(certificate(&(server + other)), CertificateSource::Missing("kubernetes://c".into()));
    let mesh = servers("a", &[&HTTPS.replace("SIMPLE, credentialName: c", "ISTIO_MUTUAL")]);
    assert_eq!(certificate(&mesh), CertificateSource::Workload);
}

const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default, annotations: {kubernetes.io/ingress.class: istio}}
spec:
  tls: [{hosts: [a.com], secretName: s}, {hosts: [ignored.com]}]
  rules:
  - host: a.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /api/, pathType: Prefix, backend: {service: {name: api, port: {name: http}}}}
      - {path: /api, pathType: Exact, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /old/*, pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /gone, pathType: Exact, backend: {service: {name: nobody, port: {name: http}}}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {selector: {app: api}, ports: [{name: http, port: 8080}]}
";

#[test]
fn ingresses_become_servers_and_routes() {
    let snapshot = gateway(INGRESS);
    assert_eq!(
        chains(&snapshot),
        [
            "0.0.0.0_8080:  > http.8080",
            "0.0.0.0_8443: a.com > https.443.https-443-ingress-web-default-0.\
             web-istio-autogenerated-k8s-ingress-default.istio-system",
        ]
    );
    assert_eq!(
        hosts(&snapshot, "http.8080"),
        [
            "a.com:80 a.com PathSeparatedPrefix(\"/api\") Path(\"/api\") PathSeparatedPrefix(\"/old\") Prefix(\"/\")"
        ],
        "longest first, exact first among equals, trailing slashes cut"
    );
    let table = snapshot.routes.iter().find(|routes| routes.name.as_ref() == "http.8080").expect("table");
    let RouteAction::Forward(to) = &table.virtual_hosts[0].routes[0].action else { panic!("forwards") };
    assert_eq!(
        to.cluster,
        mesh_core::ir::ClusterSpecifier::Cluster("outbound|8080||api.default.svc.cluster.local".into())
    );
}

#[test]
fn ingresses_of_other_classes_do_nothing() {
    let gateway_of_its_own = servers("a", &[HTTP]);
    for class in ["nginx", "istio-internal"] {
        let other = INGRESS.replace("ingress.class: istio", &format!("ingress.class: {class}"));
        let snapshot = gateway(&(other + &gateway_of_its_own));
        assert_eq!(hosts(&snapshot, "http.8080"), ["blackhole:80 * "], "{class}");
        assert!(snapshot.taints.is_empty(), "{class}: {:?}", snapshot.taints);
    }
    let by_class = INGRESS
        .replace(", annotations: {kubernetes.io/ingress.class: istio}", "")
        .replace("spec:\n  tls", "spec:\n  ingressClassName: mesh\n  tls")
        + "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: mesh}\n\
           spec: {controller: istio.io/ingress-controller}\n";
    assert_eq!(hosts(&gateway(&by_class), "http.8080").len(), 1);
}

#[test]
fn a_gateway_may_name_its_service_instead_of_labels() {
    let named = |service: &str| {
        servers("a", &[HTTP, "{port: {number: 82, name: other, protocol: HTTP}, hosts: [a.com]}"]).replace(
            "metadata: {name: a, namespace: default}\nspec: {selector: {istio: ingressgateway}, ",
            &format!(
                "metadata: {{name: a, namespace: istio-system, annotations: \
                 {{internal.istio.io/gateway-service: {service}.istio-system.svc.cluster.local}}}}\nspec: {{"
            ),
        )
    };
    // Another Gateway, so that the gateway's pods are made up.
    let beside = servers("b", &["{port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}"]);
    let found = chains(&gateway(&(named("istio-ingressgateway") + &beside)));
    assert_eq!(found, ["0.0.0.0_8080:  > http.8080"], "its ports only, none where the Service has none");
    assert!(chains(&gateway(&(named("other") + &beside))).is_empty());
}

#[test]
fn tls_routes_of_the_gateway_api_serve_servers_that_terminate() {
    let server = "{port: {number: 443, name: tls, protocol: TLS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c}}";
    let routed = |annotations: &str| {
        format!(
            "{}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: v, namespace: default{annotations}}}\nspec: {{hosts: [a.com], gateways: [g], \
             tls: [{{match: [{{port: 443, sniHosts: [a.com]}}], route: [{{destination: {{host: b, port: {{number: 1}}}}}}]}}]}}\n",
            servers("g", &[server])
        )
    };
    assert!(chains(&gateway(&routed(""))).is_empty(), "TLS routes are for passthrough");
    assert_eq!(
        chains(&gateway(&routed(", annotations: {internal.istio.io/parents: TLSRoute/r.default}"))),
        ["0.0.0.0_8443: a.com > outbound|1||b.default.svc.cluster.local"]
    );
}
