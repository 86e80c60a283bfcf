//! Small meshes and the codes they earn; Istio's own cases are judged by `mesh-sim conformance --judge istio`.

use super::analyze;
use crate::inventory::Inventory;
use crate::load::read_text;
use crate::mesh::{Mesh, MeshOptions};
use crate::source::FileId;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web, version: v1}}, spec: {containers: [{name: c, image: i}]}}
---
";

/// `code object` of everything found in the shop with more objects.
fn found(more: &str) -> Vec<String> {
    let (objects, problems) = read_text(FileId(0), &format!("{SHOP}{more}"));
    assert!(problems.is_empty(), "{problems:?}");
    let (inventory, problems) = Inventory::new(&objects, "shop");
    assert!(problems.is_empty(), "{problems:?}");
    let (mesh, _) = Mesh::new(inventory, &MeshOptions::default());
    let mut all: Vec<String> = analyze(&mesh)
        .into_iter()
        .map(|d| format!("{} {}", d.code.0, d.object.map(|o| o.name).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

fn virtual_service(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"
    )
}

fn rule(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: rule}}\nspec: {spec}\n---\n"
    )
}

#[test]
fn a_sound_mesh_earns_nothing() {
    let subset = rule("{host: web, subsets: [{name: v1, labels: {version: v1}}]}");
    let route =
        "{hosts: [web], http: [{route: [{destination: {host: web, subset: v1, port: {number: 80}}}]}]}";
    assert_eq!(found(&(subset + &virtual_service("web", route))), [""; 0]);
}

#[test]
fn references_that_lead_nowhere() {
    for (destination, code) in [
        ("{host: wbe}", "MS0701 vs"),
        ("{host: web.other}", "MS0701 vs"),
        ("{host: web, port: {number: 8080}}", "MS0703 vs"),
        ("{host: web, subset: v1}", "MS0704 vs"),
    ] {
        let spec = format!("{{hosts: [web], http: [{{route: [{{destination: {destination}}}]}}]}}");
        assert_eq!(found(&virtual_service("vs", &spec)), [code], "{destination}");
    }
    let mirror = "{hosts: [web], http: [{route: [{destination: {host: web}}], mirror: {host: wbe}}]}";
    assert_eq!(found(&virtual_service("vs", mirror)), ["MS0702 vs"]);
    let gateway = "{hosts: [web], gateways: [edge], http: [{route: [{destination: {host: web}}]}]}";
    assert_eq!(found(&virtual_service("vs", gateway)), ["MS0706 vs", "MS0711 vs"]);
}

#[test]
fn rules_for_nobody() {
    assert_eq!(found(&rule("{host: wbe}")), ["MS0714 rule"]);
    assert_eq!(found(&rule("{host: web, subsets: [{name: v9, labels: {version: v9}}]}")), ["MS0713 rule"]);
    let open = "{host: web, trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: MUTUAL, clientCertificate: a, privateKey: b}}]}}";
    assert_eq!(found(&rule(open)), ["MS0726 rule", "MS0727 rule"]);
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: {selector: {matchLabels: {app: wbe}}, rules: [{from: [{source: {namespaces: [shpo]}}]}]}\n";
    assert_eq!(found(policy), ["MS0709 p", "MS0725 p"]);
}

#[test]
fn two_for_one() {
    let route = "{hosts: [web], http: [{route: [{destination: {host: web}}]}]}";
    let fqdn = route.replacen("web", "web.shop.svc.cluster.local", 1);
    let both = virtual_service("a", route) + &virtual_service("b", &fqdn);
    assert_eq!(found(&both), ["MS0717 a", "MS0717 b"]);
    let own = route.replacen("hosts", "exportTo: [other], hosts", 1);
    assert_eq!(found(&(virtual_service("a", route) + &virtual_service("b", &own))), ["MS0717 a", "MS0717 b"]);
    let sidecar = |n: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {n}}}\nspec: {{workloadSelector: {{labels: {{app: web}}}}}}\n---\n"
        )
    };
    assert_eq!(found(&(sidecar("a") + &sidecar("b"))), ["MS0718 a", "MS0718 b"]);
}

#[test]
fn gateways_need_pods_ports_and_hosts_of_their_own() {
    let gateway = |name: &str, selector: &str, port: u32| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec: {{selector: {{{selector}}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: [a.b]}}]}}\n---\n"
        )
    };
    assert_eq!(found(&gateway("g", "app: nobody", 80)), ["MS0707 g"]);
    assert_eq!(found(&gateway("g", "app: web", 8081)), ["MS0716 g"]);
    let two = gateway("g", "app: web", 80) + &gateway("h", "app: web", 80);
    assert_eq!(found(&two), ["MS0720 g", "MS0720 h"]);
}
