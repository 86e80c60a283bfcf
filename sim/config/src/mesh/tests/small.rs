//! Small meshes, one rule of semantics: istio-networking 1 each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Mesh, MeshOptions, mesh_of};
use crate::decode::Spanned;
use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Health, Registry, Resolution, Service, TrafficDistribution};
use crate::mesh::workload::MAX_REPLICAS;
use crate::source::Span;

/// A document; `head` is `Kind name` with optional metadata in braces, `spec` a flow mapping.
fn doc(api: &str, kind: &str, metadata: &str, rest: &str) -> String {
    format!("---\napiVersion: {api}\nkind: {kind}\nmetadata: {{{metadata}}}\n{rest}\n")
}

fn service(metadata: &str, spec: &str) -> String {
    doc("v1", "Service", metadata, &format!("spec: {{{spec}}}"))
}

fn entry(metadata: &str, spec: &str) -> String {
    doc("networking.istio.io/v1", "ServiceEntry", metadata, &format!("spec: {{{spec}}}"))
}

fn workload_entry(metadata: &str, spec: &str) -> String {
    doc("networking.istio.io/v1", "WorkloadEntry", metadata, &format!("spec: {{{spec}}}"))
}

fn deployment(name: &str, replicas: i64, labels: &str, pod: &str) -> String {
    let spec = format!(
        "spec: {{replicas: {replicas}, template: {{metadata: {{labels: {{{labels}}}}}, spec: {{{pod}}}}}}}"
    );
    doc("apps/v1", "Deployment", &format!("name: {name}"), &spec)
}

fn mesh(text: &str) -> Mesh {
    let (mesh, problems) = mesh_of(text, &MeshOptions::default());
    let errors: Vec<_> = problems.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    mesh
}

fn only<'a>(mesh: &'a Mesh, host: &str) -> &'a Service {
    let found: Vec<_> = mesh.services_of(host).collect();
    assert_eq!(found.len(), 1, "{host}");
    found[0]
}

/// `address:port` of the endpoints of a port.
fn endpoints(mesh: &Mesh, host: &str, port: u32) -> Vec<String> {
    let service = mesh.services_of(host).next().expect("service");
    let port = service.port(port).expect("port");
    mesh.endpoints.by_name(service, port).map(|e| format!("{}:{}", e.address, e.port)).collect()
}

#[test]
fn kubernetes_services_become_model_services() {
    let text = [
        service("name: vip", "clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9, 'fd00::9'], ports: [{port: 80, name: http}]"),
        service("name: headless", "clusterIP: None, ports: [{port: 80, name: http}]"),
        service("name: plain", "ports: [{port: 3306}, {port: 53, protocol: UDP, name: dns}]"),
        service("name: alias", "type: ExternalName, externalName: vip.default.svc.cluster.local"),
        service("name: hollow", "type: ExternalName"),
        service(
            "name: tuned, annotations: {networking.istio.io/exportTo: '., other', \
             alpha.istio.io/kubernetes-serviceaccounts: 'a,b', alpha.istio.io/canonical-serviceaccounts: 'x'}",
            "internalTrafficPolicy: Local, trafficDistribution: PreferClose, publishNotReadyAddresses: true",
        ),
    ]
    .concat();
    let mesh = mesh(&text);
    let host = |name: &str| only(&mesh, &format!("{name}.default.svc.cluster.local"));
    assert_eq!(
        (host("vip").resolution, host("vip").address.as_str()),
        (Resolution::ClientSideLb, "10.0.0.9")
    );
    assert_eq!(host("vip").extra_addresses, ["fd00::9"]);
    assert_eq!(
        (host("headless").resolution, host("headless").address.as_str()),
        (Resolution::Passthrough, "0.0.0.0")
    );
    assert_eq!(host("plain").ports[0].protocol, Protocol::Tcp);
    assert_eq!(host("plain").ports[1].protocol, Protocol::Udp);
    assert_eq!((host("alias").resolution, host("alias").mesh_external), (Resolution::Alias, true));
    assert_eq!(host("vip").aliases[0].host, "alias.default.svc.cluster.local");
    assert_eq!(
        (host("hollow").resolution, host("hollow").address.as_str()),
        (Resolution::ClientSideLb, "0.0.0.0")
    );
    let tuned = host("tuned");
    assert_eq!(tuned.export_to.iter().map(String::as_str).collect::<Vec<_>>(), [".", "other"]);
    let accounts = ["x", "spiffe://cluster.local/ns/default/sa/a", "spiffe://cluster.local/ns/default/sa/b"];
    assert_eq!(tuned.service_accounts, accounts);
    assert!(tuned.node_local && tuned.publish_not_ready);
    assert_eq!(tuned.traffic_distribution, TrafficDistribution::PreferSameZone);
}

#[test]
fn traffic_distribution_is_spec_then_annotation_then_namespace() {
    let key = "networking.istio.io/traffic-distribution";
    let mut text =
        doc("v1", "Namespace", &format!("name: default, annotations: {{{key}: PreferSameNode}}"), "");
    for (name, annotation, spec) in [
        ("ns", "", ""),
        ("own", "preferclose", ""),
        ("odd", "nearby", ""),
        ("spec", "PreferSameNode", "trafficDistribution: PreferSameZone"),
    ] {
        let annotations = if annotation.is_empty() {
            String::new()
        } else {
            format!(", annotations: {{{key}: {annotation}}}")
        };
        text += &service(&format!("name: {name}{annotations}"), spec);
    }
    let mesh = mesh(&text);
    let of = |name: &str| only(&mesh, &format!("{name}.default.svc.cluster.local")).traffic_distribution;
    use TrafficDistribution::{Any, PreferSameNode, PreferSameZone};
    assert_eq!(
        [of("ns"), of("own"), of("odd"), of("spec")],
        [PreferSameNode, PreferSameZone, Any, PreferSameZone]
    );
}

#[test]
fn registry_order_is_time_then_name_then_namespace() {
    let at = |time: &str| format!("creationTimestamp: '2025-02-0{time}T00:00:00Z'");
    let text = [
        service(&format!("name: late, {}", at("2")), ""),
        entry(&format!("name: zzz, {}", at("1")), "hosts: [a.example, late]"),
        service(&format!("name: b, namespace: n2, {}", at("1")), ""),
        service(&format!("name: b, namespace: n1, {}", at("1")), ""),
        service("name: untimed", ""),
    ]
    .concat();
    let mesh = mesh(&text);
    let order: Vec<_> = mesh.services.iter().map(|s| format!("{}/{}", s.namespace, s.name)).collect();
    assert_eq!(
        order,
        ["default/untimed", "default/a.example", "n1/b", "n2/b", "default/late", "default/late"]
    );
    assert_eq!(mesh.services[4].registry, Registry::External);
}

#[test]
fn service_entries_become_one_service_per_host_and_address() {
    let text = [
        entry("name: a", "hosts: [a.example, b.example], addresses: [1.2.3.4, 10.0.0.0/8, 5.6.7.8/32], ports: [{number: 80, name: http, protocol: HTTP}]"),
        entry("name: b", "hosts: [dns.example], resolution: DNS, location: MESH_INTERNAL, ports: [{number: 443, name: tls, protocol: TLS}]"),
        entry("name: c", "hosts: ['*.wild.example'], ports: [{number: 80, name: x, targetPort: 8080}]"),
        entry("name: d, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}", "hosts: [off.example], resolution: DNS"),
    ]
    .concat();
    let mesh = mesh(&text);
    let addresses: Vec<_> = mesh.services_of("b.example").map(|s| s.address.as_str()).collect();
    assert_eq!(addresses, ["1.2.3.4", "10.0.0.0/8", "5.6.7.8"]);
    let dns = only(&mesh, "dns.example");
    assert_eq!(
        (dns.resolution, dns.mesh_external, dns.address.as_str()),
        (Resolution::DnsLb, false, "0.0.0.0")
    );
    assert_eq!(dns.auto_allocated.as_deref(), Some("240.240.0.1"));
    let wild = only(&mesh, "*.wild.example");
    assert_eq!((wild.resolution, wild.mesh_external), (Resolution::Passthrough, true));
    assert_eq!((wild.passthrough_ports.get(&80), wild.ports[0].protocol), (Some(&8080), Protocol::Auto));
    assert_eq!((wild.auto_allocated.as_ref(), &only(&mesh, "off.example").auto_allocated), (None, &None));
}

#[test]
fn target_ports_are_numbers_names_or_the_port_itself() {
    let pod = "initContainers: [{name: s, restartPolicy: Always, ports: [{name: side, containerPort: 7000}]}], \
               containers: [{name: c, ports: [{name: web, containerPort: 8080}, {name: web, containerPort: 53, protocol: UDP}]}]";
    let text = deployment("d", 1, "app: a", pod)
        + &service(
            "name: s",
            "selector: {app: a}, ports: [{name: p1, port: 80}, {name: p2, port: 81, targetPort: 9000}, {name: p3, port: 82, targetPort: web}, \
             {name: p4, port: 83, targetPort: side}, {name: p5, port: 84, targetPort: gone}, {name: p6, port: 85, targetPort: web, protocol: UDP}]",
        );
    let mesh = mesh(&text);
    let host = "s.default.svc.cluster.local";
    let ports: Vec<Vec<String>> = (80..=85).map(|p| endpoints(&mesh, host, p)).collect();
    let want = [":80", ":9000", ":8080", ":7000", "", ":53"].map(|p| match p {
        "" => vec![],
        p => vec![format!("10.244.0.1{p}")],
    });
    assert_eq!(ports, want);
    let targets: Vec<u32> = mesh.proxies[0].targets.iter().map(|t| t.target_port).collect();
    assert_eq!(targets, [80, 9000, 8080, 7000, 53]);
}

#[test]
fn a_target_port_counts_once_per_service_and_protocol() {
    let text = deployment("d", 1, "app: a", "")
        + &service(
            "name: b",
            "selector: {app: a}, ports: [{name: http-1, port: 80, targetPort: 1}, {name: http-2, port: 81, targetPort: 1}, {name: tcp, port: 82, targetPort: 1}]",
        )
        + &service(
            "name: a, creationTimestamp: '2025-02-01T00:00:00Z'",
            "selector: {app: a}, ports: [{name: http, port: 80, targetPort: 1}]",
        );
    let mesh = mesh(&text);
    let found: Vec<_> = mesh.proxies[0]
        .targets
        .iter()
        .map(|t| (mesh.services[t.service.0 as usize].name.as_str(), t.port))
        .collect();
    assert_eq!(found, [("b", 0), ("b", 2), ("a", 0)]);
}

#[test]
fn endpoints_of_service_entries() {
    let ports = "ports: [{number: 80, name: http, targetPort: 8080}, {number: 90, name: adm}]";
    let text = [
        entry("name: host", &format!("hosts: [host.example], resolution: DNS, {ports}")),
        entry("name: inline", &format!("hosts: [inline.example], resolution: STATIC, {ports}, endpoints: [\
            {{address: 1.1.1.1}}, {{address: 2.2.2.2, ports: {{http: 9000}}, serviceAccount: sa, locality: r/z, weight: 5}}, \
            {{address: 'unix:///run/x', labels: {{security.istio.io/tlsMode: custom}}}}]")),
        entry("name: selected", &format!("hosts: [sel.example], resolution: STATIC, {ports}, workloadSelector: {{labels: {{app: a}}}}")),
        entry("name: dnssel", &format!("hosts: [dnssel.example], resolution: DNS, {ports}, workloadSelector: {{labels: {{app: a}}}}")),
        entry("name: again", &format!("hosts: [inline.example], resolution: STATIC, {ports}, endpoints: [{{address: 3.3.3.3}}]")),
        entry("name: rr1", "hosts: [rr.example], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http}], endpoints: [{address: a.example}]"),
        entry("name: rr2", "hosts: [rr.example], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http}], endpoints: [{address: b.example}]"),
        deployment("d", 1, "app: a", ""),
        workload_entry("name: vm, labels: {app: a}", "address: 9.9.9.9, ports: {adm: 91}, labels: {app: overridden}"),
        workload_entry("name: named", "address: vm.example, labels: {app: a}"),
        workload_entry("name: checked, annotations: {proxy.istio.io/health-checks-enabled: 'true'}", "address: 8.8.8.8, labels: {app: a}"),
        workload_entry("name: far, namespace: other", "address: 7.7.7.7, labels: {app: a}"),
    ]
    .concat();
    let mesh = mesh(&text);
    assert_eq!(endpoints(&mesh, "host.example", 80), ["host.example:8080"]);
    assert_eq!(endpoints(&mesh, "host.example", 90), ["host.example:90"]);
    assert_eq!(
        endpoints(&mesh, "inline.example", 80),
        ["3.3.3.3:8080", "1.1.1.1:8080", "2.2.2.2:9000", "/run/x:0"]
    );
    assert_eq!(endpoints(&mesh, "sel.example", 90), ["10.244.0.1:90", "9.9.9.9:91"]);
    assert_eq!(
        endpoints(&mesh, "dnssel.example", 80),
        ["10.244.0.1:8080", "vm.example:8080", "9.9.9.9:8080"]
    );
    assert_eq!(endpoints(&mesh, "rr.example", 80), ["a.example:80"]);
    let inline = mesh.services_of("inline.example").next().expect("service");
    let modes: Vec<_> =
        mesh.endpoints.of(inline).iter().map(|e| (&*e.tls_mode, &*e.service_account)).collect();
    let sa = "spiffe://cluster.local/ns/default/sa/sa";
    assert_eq!(
        modes[2..],
        [("disabled", ""), ("disabled", ""), ("istio", sa), ("istio", sa), ("custom", ""), ("custom", "")]
    );
    let second = mesh.endpoints.of(inline).iter().find(|e| e.address == "2.2.2.2").expect("endpoint");
    assert_eq!((second.weight, second.locality.to_string().as_str()), (5, "r/z"));
}

#[test]
fn kubernetes_services_select_workload_entries_too() {
    let text = workload_entry("name: vm", "address: 9.9.9.9, labels: {app: a}, ports: {web: 1234}")
        + &workload_entry("name: named", "address: vm.example, labels: {app: a}")
        + &service(
            "name: s",
            "selector: {app: a}, ports: [{name: http, port: 80, targetPort: 8080}, {name: web, port: 81, targetPort: 8081}, {name: p3, port: 82, targetPort: web}, {name: p4, port: 83, targetPort: gone}]",
        )
        + &service("name: h", "clusterIP: None, selector: {app: a}, ports: [{name: http, port: 80}]");
    let mesh = mesh(&text);
    let host = "s.default.svc.cluster.local";
    let found: Vec<_> = (80..=83).flat_map(|p| endpoints(&mesh, host, p)).collect();
    assert_eq!(found, ["9.9.9.9:8080", "9.9.9.9:1234", "9.9.9.9:1234"]);
    assert!(endpoints(&mesh, "h.default.svc.cluster.local", 80).is_empty());
}

#[test]
fn services_without_selector_have_the_addresses_given() {
    let slice = "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [5.5.5.5]}, \
                 {addresses: [6.6.6.6], conditions: {ready: false, terminating: false}}, {addresses: [7.7.7.7], conditions: {ready: false}}, \
                 {addresses: [10.244.0.1]}, {addresses: [8.8.8.8], targetRef: {kind: Pod, name: nobody, namespace: default}}]";
    let text = deployment("d", 1, "app: a", "")
        + &service("name: s", "clusterIP: None, ports: [{name: http, port: 80}]")
        + &doc(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "name: s-1, labels: {kubernetes.io/service-name: s}",
            slice,
        )
        + &service("name: old", "publishNotReadyAddresses: true, ports: [{name: http, port: 80}]")
        + &doc(
            "v1",
            "Endpoints",
            "name: old",
            "subsets: [{addresses: [{ip: 1.1.1.1}], notReadyAddresses: [{ip: 2.2.2.2}], ports: [{name: http, port: 90}]}]",
        );
    let mesh = mesh(&text);
    let host = "s.default.svc.cluster.local";
    assert_eq!(endpoints(&mesh, host, 80), ["5.5.5.5:8080", "6.6.6.6:8080", "10.244.0.1:8080"]);
    let of: Vec<_> = mesh
        .endpoints
        .of(only(&mesh, host))
        .iter()
        .map(|e| (e.health, e.pod.is_some(), &*e.tls_mode))
        .collect();
    let plain = (Health::Healthy, false, "disabled");
    assert_eq!(of, [plain, (Health::Unhealthy, false, "disabled"), (Health::Healthy, true, "istio")]);
    let old = mesh.endpoints.of(only(&mesh, "old.default.svc.cluster.local"));
    assert!(old.len() == 2 && old.iter().all(|e| e.health == Health::Healthy));
    // No selector leads to the pod, but a slice does.
    assert_eq!(mesh.proxies[0].targets.len(), 1);
}

#[test]
fn alias_chains_end_at_the_service_and_loops_nowhere() {
    let alias = |name: &str, to: &str| {
        service(
            &format!("name: {name}"),
            &format!("type: ExternalName, externalName: {to}.default.svc.cluster.local"),
        )
    };
    let text = alias("a", "b")
        + &alias("b", "real")
        + &alias("x", "z")
        + &alias("z", "x")
        + &service("name: real", "");
    let mesh = mesh(&text);
    let names: Vec<_> =
        only(&mesh, "real.default.svc.cluster.local").aliases.iter().map(|a| a.host.as_str()).collect();
    assert_eq!(names, ["a.default.svc.cluster.local", "b.default.svc.cluster.local"]);
    let loops = mesh.services.iter().filter(|s| s.name == "x" || s.name == "z");
    assert!(loops.into_iter().all(|s| s.aliases.is_empty()));
}

#[test]
fn identities_are_those_of_all_endpoints_in_every_trust_domain() {
    let text = deployment("d", 2, "app: a", "serviceAccountName: sa")
        + &service(
            "name: s, annotations: {alpha.istio.io/canonical-serviceaccounts: 'dns.name'}",
            "selector: {app: a}, ports: [{name: http, port: 80}]",
        )
        + &doc(
            "v1",
            "ConfigMap",
            "name: istio, namespace: istio-system",
            "data: {mesh: 'trustDomainAliases: [old]'}",
        );
    let mesh = mesh(&text);
    let accounts = mesh.service_accounts(only(&mesh, "s.default.svc.cluster.local"));
    assert_eq!(
        accounts,
        ["dns.name", "spiffe://cluster.local/ns/default/sa/sa", "spiffe://old/ns/default/sa/sa"]
    );
}

#[test]
fn replicas_zero_many_and_absurd() {
    let text = deployment("none", 0, "a: b", "")
        + &deployment("absurd", 1_000_000, "a: b", "")
        + &deployment("two", 2, "a: b", "");
    let (mesh, problems) = mesh_of(&text, &MeshOptions::default());
    let count = |name: &str| mesh.pods_of_workload("default", name).len();
    assert_eq!((count("none"), count("two")), (0, 2));
    assert_eq!(count("absurd"), MAX_REPLICAS as usize);
    let codes: Vec<_> = problems.iter().map(|d| d.code.0).collect();
    assert_eq!(codes, ["MS0202"]);
    let last = mesh.pod(mesh.pods_of_workload("default", "two")[1]).expect("pod");
    assert_eq!((last.name.as_str(), last.reference().as_str()), ("two-1", "default/two#1"));
}

#[test]
fn declared_addresses_are_kept_and_wrong_ones_refused() {
    let text = deployment("d", 2, "a: b", "")
        + &service("name: s", "")
        + &service("name: t", "clusterIP: 10.96.0.1");
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, Spanned<String>> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Spanned::new((*v).to_owned(), Span::NONE))).collect()
    };
    let options = MeshOptions {
        pod_addresses: given(&[
            ("default/d-1", "10.244.0.1"),
            ("default/x", "1.1.1.1"),
            ("default/d-0", "x"),
        ]),
        service_addresses: given(&[("default/s", "10.96.0.1"), ("default/gone", "10.96.0.9")]),
        ..MeshOptions::default()
    };
    let (mesh, problems) = mesh_of(&text, &options);
    let ips: Vec<_> = mesh.pods.iter().map(|p| p.ip.to_string()).collect();
    assert_eq!(ips, ["10.244.0.2", "10.244.0.1"]);
    let messages: Vec<_> = problems.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "address `x` of pod `default/d-0`: not an IP address",
            "address `1.1.1.1` of pod `default/x`: there is no such pod",
            "address `10.96.0.1` of service `default/t`: another service has it",
            "address `10.96.0.9` of service `default/gone`: there is no such service",
        ]
    );
}

#[test]
fn dumps_of_owners_and_owned_are_not_counted_twice() {
    let owned = |kind: &str, name: &str| {
        format!("ownerReferences: [{{controller: true, kind: {kind}, name: {name}}}]")
    };
    let text = [
        deployment("web", 1, "a: b", ""),
        doc(
            "apps/v1",
            "ReplicaSet",
            &format!("name: web-abc, {}", owned("Deployment", "web")),
            "spec: {replicas: 1}",
        ),
        doc("v1", "Pod", &format!("name: web-abc-1, {}", owned("ReplicaSet", "web-abc")), "spec: {}"),
        doc("v1", "Pod", &format!("name: web-old-1, {}", owned("ReplicaSet", "web-old")), "spec: {}"),
        doc("v1", "Pod", &format!("name: lone, {}", owned("Node", "n")), "spec: {}"),
    ]
    .concat();
    let names: Vec<_> = mesh(&text).pods.iter().map(|p| p.name.clone()).collect();
    assert_eq!(names, ["lone", "web-0"]);
}

#[test]
fn a_missing_ingress_gateway_is_made_up() {
    let gateway = |selector: &str| {
        doc(
            "networking.istio.io/v1",
            "Gateway",
            "name: g",
            &format!(
                "spec: {{selector: {{{selector}}}, servers: [{{port: {{number: 9999, name: x, protocol: HTTP}}, hosts: ['*']}}]}}"
            ),
        )
    };
    let (mesh, problems) = mesh_of(&gateway("istio: ingressgateway"), &MeshOptions::default());
    assert_eq!(problems.iter().map(|d| d.code.0).collect::<Vec<_>>(), ["MS0205"]);
    let proxy = &mesh.proxies[0];
    assert_eq!((proxy.id.as_str(), mesh.proxies.len()), ("istio-system/istio-ingressgateway-0", 1));
    let target = |number: u32| {
        let port = |t: &&crate::mesh::proxy::ServiceTarget| {
            mesh.services[t.service.0 as usize].ports[t.port].number == number
        };
        proxy.targets.iter().find(port).map(|t| t.target_port)
    };
    assert_eq!((target(80), target(443), target(9999)), (Some(8080), Some(8443), Some(9999)));
    let defined = gateway("istio: ingressgateway") + &deployment("mine", 1, "istio: ingressgateway", "");
    assert_eq!(mesh_of(&defined, &MeshOptions::default()).0.proxies[0].id, "default/mine-0");
    assert!(mesh_of(&gateway("app: other"), &MeshOptions::default()).0.pods.is_empty());
}

#[test]
fn a_large_mesh_is_made_quickly_and_completely() {
    let mut text = String::new();
    for i in 0..400 {
        let _ = write!(text, "{}", deployment(&format!("d{i}"), 3, &format!("app: a{i}, team: t"), ""));
        let _ = write!(
            text,
            "{}",
            service(
                &format!("name: s{i}"),
                &format!("selector: {{app: a{i}}}, ports: [{{name: http, port: 80}}]")
            )
        );
    }
    let mesh = mesh(&text);
    assert_eq!((mesh.pods.len(), mesh.proxies.len(), mesh.services.len()), (1_200, 1_200, 400));
    assert!(mesh.services.iter().all(|s| mesh.endpoints.of(s).len() == 3));
    assert!(mesh.proxies.iter().all(|p| p.targets.len() == 1));
}

#[test]
fn slices_by_hand_count_beside_a_selector() {
    let slice = |name: &str, ip: &str, by: &str| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: default, labels: \
             {{kubernetes.io/service-name: s{by}}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{ip}]}}]\n\
             ports: [{{name: p, port: 9000}}]\n"
        )
    };
    let text = deployment("d", 1, "app: a", "containers: [{name: c}]")
        + &service("name: s", "selector: {app: a}, ports: [{name: p, port: 80}]")
        + &slice("own", "1.2.3.4", "")
        + &slice(
            "made",
            "5.6.7.8",
            ", endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io",
        );
    let mesh = mesh(&text);
    let found = mesh.endpoints.of(only(&mesh, "s.default.svc.cluster.local"));
    let addresses: Vec<_> = found.iter().map(|e| (e.address.as_str(), e.port)).collect();
    assert_eq!(addresses, [("10.244.0.1", 80), ("1.2.3.4", 9000)]);
}
