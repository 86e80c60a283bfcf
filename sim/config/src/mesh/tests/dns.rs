//! Names and addresses as a pod without proxy meets them.

use super::{Mesh, MeshOptions, mesh_of};
use crate::mesh::cluster_dns::{Answer, Destination};

const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: prod}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: hollow, namespace: prod}
spec: {clusterIP: None, selector: {app: nobody}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: inside, namespace: prod}
spec: {type: ExternalName, externalName: web.prod.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: prod}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: v1
kind: Service
metadata: {name: circle, namespace: prod}
spec: {type: ExternalName, externalName: circle.prod.svc.cluster.local}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: prod}
spec: {serviceName: db, replicas: 2, template: {metadata: {labels: {app: db}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec: {replicas: 2, template: {metadata: {labels: {app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: prod}
spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vip, namespace: prod}
spec: {hosts: ['*.vip.example.com'], addresses: [1.2.3.4], ports: [{number: 443, name: tls, protocol: TLS}]}
";

fn mesh() -> Mesh {
    let (mesh, problems) = mesh_of(MESH, &MeshOptions::default());
    assert!(problems.is_empty(), "{problems:?}");
    mesh
}

fn text(answer: Answer) -> String {
    match answer {
        Answer::Addresses(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Answer::External(name) => format!("external {name}"),
        Answer::NoSuchName => "none".to_owned(),
    }
}

#[test]
fn names_are_searched_as_the_kubelet_sets_it_up() {
    let mesh = mesh();
    for (namespace, name, want) in [
        ("prod", "web", "10.96.0.1"),
        ("prod", "WEB", "10.96.0.1"),
        ("other", "web", "none"),
        ("other", "web.prod", "10.96.0.1"),
        ("other", "web.prod.svc", "10.96.0.1"),
        ("other", "web.prod.svc.cluster.local", "10.96.0.1"),
        ("other", "web.prod.svc.cluster.local.", "10.96.0.1"),
        ("other", "web.prod.", "external web.prod"),
        ("other", "gone.prod.svc.cluster.local", "none"),
        ("prod", "db", "10.244.0.1 10.244.0.2"),
        ("prod", "db-1.db", "10.244.0.2"),
        ("other", "db-0.db.prod.svc.cluster.local", "10.244.0.1"),
        ("other", "db-9.db.prod.svc.cluster.local", "none"),
        ("prod", "hollow.prod.svc.cluster.local", "none"),
        ("prod", "inside", "10.96.0.1"),
        ("prod", "outside", "external example.com"),
        ("prod", "circle", "none"),
        ("prod", "10-244-0-7.prod.pod", "10.244.0.7"),
        ("prod", "example.com", "external example.com"),
        ("prod", "a.b.c.d.e.example.com", "external a.b.c.d.e.example.com"),
        ("prod", "[::1]", "::1"),
        ("prod", "10.0.0.1", "10.0.0.1"),
    ] {
        assert_eq!(text(mesh.resolve(namespace, name)), want, "{name} in {namespace}");
    }
}

#[test]
fn a_capturing_proxy_answers_for_service_entries() {
    let mesh = mesh();
    let ask = |name: &str| text(mesh.resolve_captured("prod", name, |_| true));
    assert_eq!(ask("api.example.com"), "240.240.0.1");
    assert_eq!(ask("a.b.vip.example.com"), "1.2.3.4");
    assert_eq!(ask("web"), "10.96.0.1");
    assert_eq!(ask("vip.example.com"), "external vip.example.com");
    assert_eq!(text(mesh.resolve_captured("prod", "api.example.com", |_| false)), "external api.example.com");
}

#[test]
fn addresses_lead_to_pods_services_or_elsewhere() {
    let mesh = mesh();
    let at = |ip: &str, port: u32| mesh.destination(ip.parse().expect("ip"), port);
    assert!(matches!(at("10.244.0.3", 1), Destination::Pod(id) if mesh.pods[id.0 as usize].name == "web-0"));
    let Destination::Service { endpoints, .. } = at("10.96.0.1", 80) else { panic!("a service port") };
    let found: Vec<_> = endpoints.iter().map(|e| format!("{}:{}", e.address, e.port)).collect();
    assert_eq!(found, ["10.244.0.3:8080", "10.244.0.4:8080"]);
    assert!(matches!(at("10.96.0.1", 8080), Destination::UnknownPort(_)));
    assert_eq!(at("9.9.9.9", 80), Destination::Elsewhere);
}
