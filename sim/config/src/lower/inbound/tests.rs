//! Inbound sides that no recording shows (semantics: istio-networking 5.5, 6.5, istio-security 2).

use std::sync::Arc;

use mesh_core::ir::{Discovery, EndpointAddress, Snapshot, TransportProtocol};

use crate::inventory::Inventory;
use crate::lower::Lowering;
use crate::mesh::proxy::ProxyId;
use crate::mesh::{Mesh, MeshOptions, config_layers};
use crate::source::FileId;

const APP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 90, targetPort: 9090}]}
";

fn web(more: &str, settings: &str) -> Arc<Snapshot> {
    let (objects, problems) = crate::load::read_text(FileId(0), &format!("{APP}---\n{more}"));
    assert!(problems.is_empty(), "{problems:?}");
    let (inventory, problems) = Inventory::new(&objects, "default");
    assert!(problems.is_empty(), "{problems:?}");
    let config = config_layers::of_text(FileId(1), settings).0;
    let options = MeshOptions { config: config.into_iter().collect(), ..MeshOptions::default() };
    let lowering = Lowering::new(Arc::new(Mesh::new(inventory, &options).0));
    let at = lowering.mesh.proxies.iter().position(|p| p.id == "default/web-0").expect("the pod");
    lowering.snapshot(ProxyId(u32::try_from(at).expect("index"))).expect("snapshot")
}

/// `port transport` per chain of `virtualInbound`, `*` for every port.
fn chains(snapshot: &Snapshot) -> Vec<String> {
    let listener = snapshot.listeners.iter().find(|l| l.name.as_ref() == "virtualInbound").expect("inbound");
    let shown = |chain: &mesh_core::ir::FilterChain| {
        let port = chain.matcher.destination_port.map_or("*".to_owned(), |port| port.to_string());
        let transport = match chain.matcher.transport_protocol {
            Some(TransportProtocol::Tls) => "tls",
            Some(TransportProtocol::RawBuffer) => "raw",
            None => "-",
        };
        format!("{port} {transport}")
    };
    listener.filter_chains.iter().map(shown).collect()
}

#[test]
fn port_levels_of_undeclared_ports_have_chains_of_their_own() {
    let policy = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  mtls: {mode: STRICT}
  portLevelMtls: {8080: {mode: DISABLE}, 7000: {mode: DISABLE}}
";
    let snapshot = web(policy, "");
    assert_eq!(
        chains(&snapshot),
        ["15006 -", "* tls", "* tls", "7000 raw", "7000 raw", "8080 raw", "9090 tls"],
        "passthrough, undeclared port, declared ports"
    );
    let listener = snapshot.listeners.iter().find(|l| l.name.as_ref() == "virtualInbound").expect("inbound");
    let tls = listener.listener_filters.tls_inspector.as_ref().expect("an inspector");
    assert!(!tls.looks_at(8080) && !tls.looks_at(7000) && tls.looks_at(9090) && tls.looks_at(1234));
}

#[test]
fn ingress_listeners_replace_the_services() {
    let sidecar = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own, namespace: default}
spec:
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: a}, defaultEndpoint: '127.0.0.1:1234'}
  - {port: {number: 8081, protocol: TCP, name: b}, defaultEndpoint: 'unix:///run/app.sock'}
  - {port: {number: 8082, protocol: TCP, name: c}, captureMode: NONE, bind: 0.0.0.0}
  egress: [{hosts: ['./*']}]
";
    let snapshot = web(sidecar, "");
    let ports: Vec<String> = chains(&snapshot).into_iter().filter(|c| c.starts_with("808")).collect();
    assert_eq!(ports, ["8080 tls", "8080 raw", "8081 tls", "8081 tls", "8081 raw"]);
    assert!(snapshot.listeners.iter().any(|l| l.name.as_ref() == "0.0.0.0_8082" && l.bind_to_port));
    let cluster = |name: &str| snapshot.clusters.iter().find(|c| c.name.as_ref() == name).expect("cluster");
    let local = cluster("inbound|8080||");
    assert_eq!(local.endpoints[0].hosts[0].address, EndpointAddress::Ip([127, 0, 0, 1].into(), 1234));
    assert_eq!(local.upstream_bind, None, "loopback is not captured");
    assert_eq!(
        cluster("inbound|8081||").endpoints[0].hosts[0].address,
        EndpointAddress::Pipe("/run/app.sock".into())
    );
    assert_eq!(cluster("inbound|8082||").discovery, Discovery::OriginalDst);
    assert!(!snapshot.clusters.iter().any(|c| c.name.as_ref() == "inbound|9090||"));
}

#[test]
fn the_mesh_may_send_to_localhost_and_retry() {
    let settings = "{inboundTrafficPolicy: {mode: LOCALHOST}, defaultInboundHttpRetryPolicy: {attempts: 0}}";
    let snapshot = web("", settings);
    let cluster = snapshot.clusters.iter().find(|c| c.name.as_ref() == "inbound|8080||").expect("cluster");
    assert_eq!(cluster.discovery, Discovery::Static);
    let text = format!("{:?}", snapshot.listeners.iter().find(|l| l.name.as_ref() == "virtualInbound"));
    assert!(!text.contains("reset-before-request"), "no inbound retries");
}

const OWN_TLS: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: default}
spec:
  ingress:
  - {port: {number: 9443, name: https, protocol: HTTPS}, defaultEndpoint: 127.0.0.1:9443,
     tls: {mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: default}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {9443: {mode: DISABLE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [{name: ENABLE_TLS_ON_SIDECAR_INGRESS, value: 'FLAG'}]}]}}}
";

#[test]
fn tls_of_a_sidecar_ingress_counts_where_istiod_is_told_so_and_mutual_tls_is_off() {
    let on = |port: &str, snapshot: &Snapshot| -> Vec<String> {
        chains(snapshot).into_iter().filter(|chain| chain.starts_with(port)).collect()
    };
    let flagged = OWN_TLS.replace("FLAG", "true");
    let snapshot = web(&flagged, "");
    assert_eq!(on("9443", &snapshot), ["9443 tls"]);
    let listener = snapshot.listeners.iter().find(|l| l.name.as_ref() == "virtualInbound").expect("inbound");
    let chain = listener.filter_chains.iter().find(|c| c.matcher.destination_port == Some(9443));
    let chain = chain.expect("its chain");
    assert!(matches!(chain.terminal, mesh_core::ir::Terminal::Http(_)), "inside HTTPS is HTTP");
    assert!(!chain.tls.as_ref().expect("terminates").require_client_certificate);
    assert_eq!(on("9443", &web(&OWN_TLS.replace("FLAG", "false"), "")), ["9443 raw"]);
    let strict = flagged.replace("mode: DISABLE", "mode: STRICT");
    let listener = web(&strict, "");
    let listener = listener.listeners.iter().find(|l| l.name.as_ref() == "virtualInbound").expect("inbound");
    let chain = listener.filter_chains.iter().find(|c| c.matcher.destination_port == Some(9443));
    assert!(chain.and_then(|c| c.tls.as_ref()).is_some_and(|tls| tls.require_client_certificate));
}
