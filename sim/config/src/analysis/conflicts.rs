//! Objects that contradict each other; istiod resolves each of them by age, in silence (semantics: istio-validation 6.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hosts::{fqdn, scopes};
use super::{Findings, Subject, texts};
use crate::diagnostic::codes;
use crate::lower::hosts::matches;
use crate::mesh::Mesh;
use crate::mesh::pod::DataPlane;
use crate::resource::meta::Object;
use crate::resource::scalar::IntOrString;
use crate::resource::selector::is_subset;
use crate::resource::service::{Service, ServicePort};
use crate::resource::service_entry::ServiceEntry;
use crate::resource::sidecar::Sidecar;
use crate::resource::virtual_service::VirtualService;

const ALL: &str = "*";

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    virtual_services(mesh, found);
    sidecars(mesh, found);
    service_entries(mesh, found);
    deployments(mesh, found);
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join("`, `")
}

/// Two VirtualServices of the mesh for one host in one scope: only the oldest one's routes count.
fn virtual_services(mesh: &Mesh, found: &mut Findings) {
    type Owners<'a> = Vec<&'a Arc<Object<VirtualService>>>;
    let mut owners: BTreeMap<(String, String), Owners<'_>> = BTreeMap::new();
    for object in &mesh.inventory.virtual_services {
        let spec = &object.spec;
        if !spec.gateways.is_empty() && !texts(&spec.gateways).any(|g| g == "mesh") {
            continue;
        }
        for scope in scopes(spec.export_to.iter().map(String::as_str), &object.meta.namespace) {
            for host in texts(&spec.hosts) {
                owners.entry((scope.clone(), fqdn(host, &object.meta.namespace))).or_default().push(object);
            }
        }
    }
    let mut told = BTreeSet::new();
    for ((scope, host), own) in &owners {
        let mut rivals = own.clone();
        if scope != ALL {
            let everywhere = owners.iter().filter(|((s, h), _)| s == ALL && matches(host, h));
            rivals.extend(everywhere.flat_map(|(_, o)| o));
        }
        if rivals.len() < 2 {
            continue;
        }
        let names: Vec<String> = rivals.iter().map(|o| o.meta.key()).collect();
        for object in rivals {
            if !told.insert(object.meta.key()) {
                continue;
            }
            let others = names.iter().filter(|n| **n != object.meta.key()).map(String::as_str);
            let message = format!("VirtualService `{}` is for `{host}` too", joined(others));
            let help = "inside the mesh one of them decides alone (the oldest) and the others' rules are never used: merge them, or use delegates";
            let subject = Subject { kind: "VirtualService", meta: &object.meta };
            let at = object.spec.hosts.first().map_or(object.spec.origin, |h| h.span);
            found.warn(codes::CONFLICTING_HOSTS, subject, at, message, help);
        }
    }
}

fn sidecars(mesh: &Mesh, found: &mut Findings) {
    let labels =
        |s: &Object<Sidecar>| s.spec.workload_selector.as_ref().map(|w| w.labels.clone()).unwrap_or_default();
    let mut general: BTreeMap<&str, Vec<&Object<Sidecar>>> = BTreeMap::new();
    let mut of_pod: BTreeMap<String, Vec<&Object<Sidecar>>> = BTreeMap::new();
    for object in &mesh.inventory.sidecars {
        let selector = labels(object);
        if selector.is_empty() {
            general.entry(&object.meta.namespace).or_default().push(object);
            continue;
        }
        let selected: Vec<_> = mesh
            .pods
            .iter()
            .filter(|p| p.namespace == object.meta.namespace && is_subset(&selector, &p.labels))
            .collect();
        if selected.is_empty() {
            let subject = Subject { kind: "Sidecar", meta: &object.meta };
            let message = format!(
                "no pod of `{}` has the labels `{}`",
                object.meta.namespace,
                super::selector_text(&selector)
            );
            let help = "the Sidecar applies to nothing: compare with the labels of the pod templates";
            found.warn(codes::SELECTS_NOTHING, subject, object.spec.origin, message, help);
        }
        for pod in selected {
            of_pod.entry(pod.key()).or_default().push(object);
        }
    }
    for (pod, rivals) in of_pod.iter().filter(|(_, all)| all.len() > 1) {
        for object in rivals {
            let subject = Subject { kind: "Sidecar", meta: &object.meta };
            let message = format!(
                "pod `{pod}` is selected by {} Sidecars: `{}`",
                rivals.len(),
                joined(rivals.iter().map(|r| r.meta.name.as_str()))
            );
            found.warn(
                codes::CONFLICTING_SIDECARS,
                subject,
                object.spec.origin,
                message,
                "only the oldest one applies to it",
            );
        }
    }
    for (namespace, rivals) in general.iter().filter(|(_, all)| all.len() > 1) {
        for object in rivals {
            let subject = Subject { kind: "Sidecar", meta: &object.meta };
            let message = format!(
                "`{namespace}` has {} Sidecars without workloadSelector: `{}`",
                rivals.len(),
                joined(rivals.iter().map(|r| r.meta.name.as_str()))
            );
            found.warn(
                codes::SEVERAL_DEFAULT_SIDECARS,
                subject,
                object.spec.origin,
                message,
                "only the oldest one applies",
            );
        }
    }
}

fn service_entries(mesh: &Mesh, found: &mut Findings) {
    type Entry<'a> = (String, &'a Object<ServiceEntry>);
    let mut index: BTreeMap<(String, &str, u32), Vec<Entry<'_>>> = BTreeMap::new();
    for object in &mesh.inventory.service_entries {
        for scope in scopes(object.spec.export_to.iter().map(String::as_str), &object.meta.namespace) {
            for host in texts(&object.spec.hosts) {
                for port in &object.spec.ports {
                    let entry = (port.protocol.to_ascii_uppercase(), object.as_ref());
                    index.entry((scope.clone(), host, port.number)).or_default().push(entry);
                }
            }
        }
    }
    let mut told = BTreeSet::new();
    for ((scope, host, port), own) in &index {
        let everywhere = (scope != ALL).then(|| index.get(&(ALL.to_owned(), host, *port))).flatten();
        let all: Vec<&Entry<'_>> = own.iter().chain(everywhere.into_iter().flatten()).collect();
        let protocols: BTreeSet<&str> = all.iter().map(|(p, _)| p.as_str()).collect();
        if protocols.len() < 2 {
            continue;
        }
        for (_, object) in &all {
            if !told.insert(object.meta.key()) {
                continue;
            }
            let subject = Subject { kind: "ServiceEntry", meta: &object.meta };
            let message = format!(
                "port {port} of `{host}` has several protocols: {}",
                protocols.iter().copied().collect::<Vec<_>>().join(", ")
            );
            let help = "one of the ServiceEntries decides for all: give the port one protocol";
            found.warn(codes::CONFLICTING_PROTOCOLS, subject, object.spec.origin, message, help);
        }
    }
}

/// Services that disagree about the ports of one Deployment's pods.
fn deployments(mesh: &Mesh, found: &mut Findings) {
    for object in &mesh.inventory.deployments {
        let (namespace, labels) = (&object.meta.namespace, &object.spec.template.metadata.labels);
        let in_mesh = mesh.pods.iter().any(|p| {
            p.kind == "Deployment"
                && p.workload == object.meta.name
                && p.namespace == *namespace
                && p.data_plane != DataPlane::None
        });
        if !in_mesh {
            continue;
        }
        let selecting: Vec<&Arc<Object<Service>>> = mesh
            .inventory
            .services
            .iter()
            .filter(|s| s.meta.namespace == *namespace)
            .filter(|s| s.spec.selector.as_ref().is_some_and(|sel| !sel.is_empty() && is_subset(sel, labels)))
            .collect();
        let ports = || selecting.iter().flat_map(|s| s.spec.ports.iter().map(move |p| (s, p)));
        let subject = Subject { kind: "Deployment", meta: &object.meta };
        let mut protocols: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        let mut targets: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for (_, port) in ports() {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            protocols.entry(port.port).or_default().insert(protocol);
            targets.entry(target(port)).or_default().insert(port.port);
        }
        for (port, _) in protocols.iter().filter(|(_, all)| all.len() > 1) {
            let message = format!("Services of these pods use port {port} with different protocols");
            found.warn(
                codes::PORT_PROTOCOLS_DIFFER,
                subject,
                object.meta.origin,
                message,
                "one port number, one protocol",
            );
        }
        for (target, numbers) in targets.iter().filter(|(_, all)| all.len() > 1) {
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            let message = format!(
                "port {target} of these pods is reached by different Service ports: {}",
                numbers.join(", ")
            );
            let help = "the inbound listener belongs to one of them: policies and protocol of the others are not applied";
            found.warn(codes::TARGET_PORT_SHARED, subject, object.meta.origin, message, help);
        }
    }
}

fn target(port: &ServicePort) -> String {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => port.port.to_string(),
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::Text(name)) => name.clone(),
    }
}
