//! Port names, addresses and labels on which protocols and injection depend (semantics: istio-validation 6.6, 6.7).

use super::{Findings, Subject};
use crate::diagnostic::codes;
use crate::mesh::Mesh;
use crate::mesh::pod::DataPlane;
use crate::mesh::protocol::Protocol;
use crate::resource::meta::Object;
use crate::resource::service::Service;

const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const DATA_PLANE: &str = "istio.io/dataplane-mode";

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    for service in
        mesh.inventory.services.iter().filter(|s| !belongs_to_istio(s, &mesh.settings.root_namespace))
    {
        port_names(service, found);
    }
    addresses(mesh, found);
    namespaces(mesh, found);
    images(mesh, found);
}

/// Namespaces whose Services are nobody's to name.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The control plane's own Services (istioctl: `IsIstioControlPlane`), and those that a Gateway controller makes.
fn belongs_to_istio(service: &Object<Service>, root: &str) -> bool {
    let labels = &service.meta.labels;
    let system = SYSTEM.contains(&service.meta.namespace.as_str()) || service.meta.namespace == root;
    system
        || labels.contains_key("istio")
        || labels.get("release").is_some_and(|r| r == "istio")
        || labels.contains_key("gateway.istio.io/managed")
}

fn port_names(service: &Object<Service>, found: &mut Findings) {
    let subject = Subject { kind: "Service", meta: &service.meta };
    let external = service.spec.type_ == "ExternalName";
    for port in &service.spec.ports {
        let protocol =
            Protocol::of_service_port(port.port, &port.name, &port.protocol, port.app_protocol.as_deref());
        let opaque = external && port.name == "tcp";
        if !(protocol.is_auto() || opaque) {
            continue;
        }
        if external {
            let message = format!("port {} has no name that tells its protocol", port.port);
            let help = "an ExternalName Service needs one (`http-…`, `https-…`): as opaque TCP it takes the port from every other host";
            found.warn(codes::EXTERNAL_PORT_NAME, subject, port.origin, message, help);
        } else {
            let message = format!(
                "the protocol of port {} (`{}`) is detected from each connection's first bytes",
                port.port, port.name
            );
            let help = "name it `http-…`, `grpc-…`, `tcp-…`, or set appProtocol: servers that speak first hang until detection times out";
            found.note(codes::PORT_NAME, subject, port.origin, message, help);
        }
    }
}

/// Opaque ports are told apart by address only.
fn addresses(mesh: &Mesh, found: &mut Findings) {
    let given = &mesh.settings.default_config.proxy_metadata;
    let metadata = |key: &str| given.get(key).is_some_and(|v| v == "true");
    let allocated = metadata("ISTIO_META_DNS_CAPTURE")
        && (metadata("ISTIO_META_DNS_AUTO_ALLOCATE") || metadata("PILOT_ENABLE_IP_AUTOALLOCATE"));
    for object in mesh.inventory.service_entries.iter().filter(|o| o.spec.addresses.is_empty() && !allocated)
    {
        let subject = Subject { kind: "ServiceEntry", meta: &object.meta };
        let opaque = |p: &&crate::resource::service_entry::ServicePort| {
            p.protocol.is_empty() || p.protocol.eq_ignore_ascii_case("tcp")
        };
        for port in object.spec.ports.iter().filter(opaque) {
            let message =
                format!("TCP port {} without `addresses` takes every address of that port", port.number);
            let help = "state the addresses, or let istiod allocate them and capture DNS";
            found.warn(codes::ENTRY_WITHOUT_ADDRESS, subject, port.origin, message, help);
        }
    }
}

fn namespaces(mesh: &Mesh, found: &mut Findings) {
    for object in mesh.inventory.namespaces.iter().filter(|n| n.meta.name != mesh.settings.root_namespace) {
        let subject = Subject { kind: "Namespace", meta: &object.meta };
        let labels = &object.meta.labels;
        let injection = labels.get(INJECTION).map(String::as_str);
        let others = [REVISION, DATA_PLANE].into_iter().filter(|l| labels.contains_key(*l));
        let counted = injection.is_none() || injection == Some("enabled");
        let mut given: Vec<&str> = injection.map(|_| INJECTION).into_iter().collect();
        given.extend(others.filter(|_| counted));
        if given.len() > 1 {
            let message = format!("the namespace is labelled with `{}`", given.join("` and `"));
            let help = "istio-injection wins over istio.io/rev: keep one of them";
            found.warn(codes::SEVERAL_INJECTION_LABELS, subject, object.meta.origin, message, help);
        }
        if labels.get(DATA_PLANE).is_some_and(|m| m == "ambient") {
            continue;
        }
        if injection.is_none_or(str::is_empty) && !labels.contains_key(REVISION) {
            let message = "pods of this namespace get no sidecar".to_owned();
            let help = "label it `istio-injection=enabled` (or `istio.io/rev=…`), or `istio-injection=disabled` to say that this is meant";
            found.note(codes::NOT_INJECTED, subject, object.meta.origin, message, help);
        }
    }
}

/// `image: auto` is replaced by injection; without it the pod cannot start.
fn images(mesh: &Mesh, found: &mut Findings) {
    let mut told = std::collections::BTreeSet::new();
    for pod in mesh.pods.iter().filter(|p| p.data_plane == DataPlane::None) {
        let auto = pod.spec.containers.iter().find(|c| c.name == "istio-proxy" && c.image == "auto");
        let Some(container) = auto else { continue };
        if !told.insert((pod.namespace.as_str(), pod.workload.as_str())) {
            continue;
        }
        let of_pod = mesh.inventory.pods.iter().find(|o| o.meta.key() == pod.key()).map(|o| ("Pod", &o.meta));
        let of_deployment = mesh
            .inventory
            .deployments
            .iter()
            .find(|o| o.meta.namespace == pod.namespace && o.meta.name == pod.workload)
            .map(|o| ("Deployment", &o.meta));
        let Some((kind, meta)) = of_pod.or(of_deployment) else { continue };
        let code = if kind == "Pod" { codes::POD_IMAGE_AUTO } else { codes::IMAGE_AUTO };
        let message = format!("`image: auto` is never replaced: {}", pod.data_plane_reason);
        let help = "label the namespace or the pod for injection, or state the image";
        found.warn(code, Subject { kind, meta }, container.origin, message, help);
    }
}
