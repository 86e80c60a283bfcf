//! Gateways against the pods, Services and Secrets they need, and against each other (semantics: istio-validation 6.1, 6.2, 6.4).

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Subject, selector_text, texts};
use crate::diagnostic::codes;
use crate::mesh::Mesh;
use crate::mesh::pod::Pod;
use crate::resource::gateway::{Gateway, Server};
use crate::resource::meta::Object;
use crate::resource::scalar::IntOrString;
use crate::resource::selector::is_subset;
use crate::resource::tls::ServerTlsSettings;

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    for object in &mesh.inventory.gateways {
        let subject = Subject { kind: "Gateway", meta: &object.meta };
        let pods: Vec<&Pod> =
            mesh.pods.iter().filter(|p| is_subset(&object.spec.selector, &p.labels)).collect();
        if pods.is_empty() {
            let message = format!("no pod has the labels `{}`", selector_text(&object.spec.selector));
            let help =
                "the Gateway configures nothing: compare with the labels of the gateway's pod template";
            found.warn(codes::SELECTS_NOTHING, subject, object.spec.origin, message, help);
        } else {
            ports(mesh, object, &pods, subject, found);
        }
        secrets(mesh, object, &pods, subject, found);
        conflicts(mesh, object, subject, found);
        certificates(mesh, object, subject, found);
    }
}

/// Ports that a Service of the gateway's pods opens: its own and those of the pods behind it.
fn ports(mesh: &Mesh, object: &Object<Gateway>, pods: &[&Pod], subject: Subject<'_>, found: &mut Findings) {
    let mut open = BTreeSet::new();
    for service in &mesh.inventory.services {
        let selector = service.spec.selector.clone().unwrap_or_default();
        let selects = |p: &&&Pod| p.namespace == service.meta.namespace && is_subset(&selector, &p.labels);
        if !pods.iter().any(|p| selects(&p)) {
            continue;
        }
        for port in service.spec.ports.iter().filter(|p| p.protocol.is_empty() || p.protocol == "TCP") {
            open.insert(port.port);
            if let Some(IntOrString::Int(target)) = &port.target_port {
                open.extend(u32::try_from(*target).ok().filter(|t| *t != 0));
            }
        }
    }
    for server in &object.spec.servers {
        let Some(port) = server.port.as_ref().filter(|p| !open.contains(&p.number)) else { continue };
        let message = format!("no Service of the gateway's pods has the port {}", port.number);
        let help = "nobody outside can connect to this server: add the port to the gateway's Service, or use one it has";
        found.warn(codes::GATEWAY_PORT_NOT_ON_SERVICE, subject, port.origin, message, help);
    }
}

fn secrets(mesh: &Mesh, object: &Object<Gateway>, pods: &[&Pod], subject: Subject<'_>, found: &mut Findings) {
    let namespaces: BTreeSet<&str> = pods.iter().map(|p| p.namespace.as_str()).collect();
    for tls in object.spec.servers.iter().filter_map(|s| s.tls.as_ref()) {
        let Some(name) = Some(tls.credential_name.as_str()).filter(|n| !n.is_empty()) else { continue };
        let exists = |namespace: &&str| {
            mesh.inventory.secrets.iter().any(|s| s.meta.name == name && s.meta.namespace == *namespace)
        };
        if let Some(namespace) = namespaces.iter().find(|n| !exists(n)) {
            let message = format!("no manifest holds the Secret `{namespace}/{name}`");
            let help = "it must exist in the namespace of the gateway's pods, or the server refuses every connection; predictions take it as present";
            found.note(codes::UNKNOWN_SECRET, subject, tls.origin, message, help);
        }
    }
}

/// Another Gateway on the same pods has the same port, host and bind address.
fn conflicts(mesh: &Mesh, object: &Object<Gateway>, subject: Subject<'_>, found: &mut Findings) {
    for server in &object.spec.servers {
        let rivals: Vec<String> = mesh
            .inventory
            .gateways
            .iter()
            .filter(|other| other.meta.key() != object.meta.key())
            .filter(|other| share_pods(mesh, &object.spec.selector, &other.spec.selector))
            .filter(|other| other.spec.servers.iter().any(|s| collide(server, s)))
            .map(|other| other.meta.key())
            .collect();
        if !rivals.is_empty() {
            let message = format!(
                "Gateway `{}` has the same host, port and address on the same pods",
                rivals.join("`, `")
            );
            let help =
                "the older one wins, this server may be ignored: give each host of a port to one Gateway";
            found.warn(codes::CONFLICTING_GATEWAYS, subject, server.origin, message, help);
        }
    }
}

fn share_pods(mesh: &Mesh, a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    let (x, y) = (selector_text(a), selector_text(b));
    let both = |p: &Pod| is_subset(a, &p.labels) && is_subset(b, &p.labels);
    x == y || ((x.contains(&y) || y.contains(&x)) && mesh.pods.iter().any(both))
}

fn collide(a: &Server, b: &Server) -> bool {
    let number = |s: &Server| s.port.as_ref().map_or(0, |p| p.number);
    number(a) == number(b)
        && a.bind == b.bind
        && texts(&a.hosts).any(|host| texts(&b.hosts).any(|other| host == other))
}

/// Browsers reuse an HTTP/2 connection for every host of a certificate: two Gateways with one certificate answer 404 to
/// each other's requests.
fn certificates(mesh: &Mesh, object: &Object<Gateway>, subject: Subject<'_>, found: &mut Findings) {
    let others = mesh.inventory.gateways.iter().filter(|other| other.meta.key() != object.meta.key());
    for other in others.filter(|other| is_subset(&object.spec.selector, &other.spec.selector)) {
        let mine = object.spec.servers.iter().filter_map(|s| s.tls.as_ref());
        for tls in mine {
            let theirs = other.spec.servers.iter().filter_map(|s| s.tls.as_ref());
            for _ in theirs.filter(|theirs| same_certificate(tls, theirs)) {
                let message = format!("Gateway `{}` uses the same certificate", other.meta.key());
                let help = "clients that reuse an HTTP/2 connection reach the wrong Gateway and get 404: one Gateway for all hosts of a certificate";
                found.warn(codes::DUPLICATE_CERTIFICATE, subject, tls.origin, message, help);
            }
        }
    }
}

fn same_certificate(a: &ServerTlsSettings, b: &ServerTlsSettings) -> bool {
    match (a.credential_name.is_empty(), b.credential_name.is_empty()) {
        (false, false) => a.credential_name == b.credential_name,
        (true, true) => {
            !a.server_certificate.is_empty()
                && !a.private_key.is_empty()
                && a.server_certificate == b.server_certificate
                && a.private_key == b.private_key
        }
        _ => false,
    }
}
