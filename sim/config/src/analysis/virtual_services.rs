//! What VirtualServices refer to: hosts, ports, subsets, gateways, claims (semantics: istio-validation 6.1, 6.2).

use std::collections::BTreeSet;

use super::hosts::{Hosts, resource_name};
use super::{Findings, Subject, texts};
use crate::diagnostic::codes;
use crate::lower::hosts::{matches, resolve_gateway_name};
use crate::mesh::Mesh;
use crate::resource::gateway::Gateway;
use crate::resource::http_route::Destination;
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::selector::is_subset;
use crate::resource::virtual_service::VirtualService;
use crate::source::Span;

const MESH: &str = "mesh";

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    let hosts = Hosts::new(mesh);
    let subsets = subsets(mesh);
    let subset_hosts = own_subset_hosts(mesh);
    for object in &mesh.inventory.virtual_services {
        let subject = Subject { kind: "VirtualService", meta: &object.meta };
        for used in destinations(&object.spec) {
            destination(&hosts, &subsets, &object.spec.export_to, subject, used, found);
        }
        gateways(mesh, object, subject, found);
        claims(mesh, object, subject, found);
        not_affected(&object.spec, &subset_hosts, subject, found);
    }
}

/// A destination and what it is for.
#[derive(Clone, Copy)]
struct Used<'a> {
    to: &'a Destination,
    at: Span,
    mirror: bool,
}

fn destinations(spec: &VirtualService) -> Vec<Used<'_>> {
    let opaque = spec.tcp.iter().flat_map(|r| &r.route).chain(spec.tls.iter().flat_map(|r| &r.route));
    let opaque = opaque.map(|r| (r.destination.as_ref(), r.origin));
    let http = spec.http.iter().flat_map(|r| &r.route).map(|r| (r.destination.as_ref(), r.origin));
    let mirrors = spec.http.iter().flat_map(|h| {
        let more = h.mirrors.iter().map(|m| (m.destination.as_ref(), m.origin));
        std::iter::once((h.mirror.as_deref(), h.origin)).chain(more)
    });
    let routes = opaque.chain(http).map(|(to, at)| (to, at, false));
    let all = routes.chain(mirrors.map(|(to, at)| (to, at, true)));
    all.filter_map(|(to, at, mirror)| to.map(|to| Used { to, at: place(to, at), mirror })).collect()
}

fn place(to: &Destination, otherwise: Span) -> Span {
    if to.origin.is_none() { otherwise } else { to.origin }
}

/// (namespace, name, subset) of every subset of every DestinationRule: the analyzers look at neither `exportTo` nor clients.
fn subsets(mesh: &Mesh) -> BTreeSet<(String, String, String)> {
    let rules = mesh.inventory.destination_rules.iter();
    rules
        .flat_map(|rule| {
            let (namespace, name) = resource_name(&rule.spec.host.value, &rule.meta.namespace);
            rule.spec.subsets.iter().map(move |s| (namespace.clone(), name.clone(), s.name.clone()))
        })
        .collect()
}

fn destination(
    hosts: &Hosts,
    subsets: &BTreeSet<(String, String, String)>,
    export_to: &[String],
    subject: Subject<'_>,
    used: Used<'_>,
    found: &mut Findings,
) {
    let (to, namespace) = (used.to, subject.meta.namespace.as_str());
    let what = if used.mirror { "mirror host" } else { "destination host" };
    if !to.subset.is_empty() {
        let (ns, name) = resource_name(&to.host, namespace);
        if !subsets.contains(&(ns, name, to.subset.clone())) {
            let message = format!("no DestinationRule of `{}` defines the subset `{}`", to.host, to.subset);
            let help = "requests to it end with 503 (flag NC, cluster_not_found): define the subset, and apply the DestinationRule first";
            let code = if used.mirror { codes::UNKNOWN_MIRROR_SUBSET } else { codes::UNKNOWN_SUBSET };
            found.warn(code, subject, used.at, message, help);
        }
    }
    let Some(known) = hosts.find(&to.host, namespace, export_to) else {
        let message =
            format!("{what} `{}` is no Service and no ServiceEntry that `{namespace}` sees", to.host);
        let help = "a short name means a Service of the VirtualService's own namespace: write `NAME.NAMESPACE.svc.cluster.local` for another";
        let code = if used.mirror { codes::UNKNOWN_MIRROR_HOST } else { codes::UNKNOWN_HOST };
        return found.warn(code, subject, used.at, message, help);
    };
    match &to.port {
        None if known.ports.len() > 1 => {
            let ports: Vec<String> = known.ports.iter().map(u32::to_string).collect();
            let message = format!("`{}` has the ports {}: which one is meant?", to.host, ports.join(", "));
            found.warn(
                codes::PORT_REQUIRED,
                subject,
                used.at,
                message,
                "write `port: {number: …}` beside the host",
            );
        }
        Some(port) if !known.ports.contains(&port.number) => {
            let message = format!("`{}` has no port {}", to.host, port.number);
            let help = "a destination's port is the Service's port, not its targetPort";
            found.warn(codes::UNKNOWN_PORT, subject, used.at, message, help);
        }
        _ => {}
    }
}

fn gateway<'a>(mesh: &'a Mesh, name: &str, namespace: &str) -> Option<&'a Object<Gateway>> {
    let full = resolve_gateway_name(name, namespace);
    mesh.inventory.gateways.iter().find(|g| g.meta.key() == full).map(AsRef::as_ref)
}

/// What istiod makes of the listeners of a Gateway API Gateway; nobody should name these.
const OF_GATEWAY_API: &str = "~istio-autogenerated-k8s-gateway~";

fn gateways(mesh: &Mesh, object: &Object<VirtualService>, subject: Subject<'_>, found: &mut Findings) {
    let namespace = &object.meta.namespace;
    for name in object.spec.gateways.iter().filter(|g| g.value != MESH && !g.value.contains(OF_GATEWAY_API)) {
        let known = gateway(mesh, &name.value, namespace);
        let offered: Vec<&str> = match known {
            Some(gateway) => offered_hosts(gateway, namespace),
            None => match listener_hosts(mesh, &resolve_gateway_name(&name.value, namespace)) {
                Some(hosts) => hosts,
                None => {
                    let message = format!("there is no Gateway `{}`", name.value);
                    let help = "write `NAMESPACE/NAME` for a Gateway of another namespace; until it exists these routes take nothing there";
                    found.warn(codes::UNKNOWN_GATEWAY, subject, name.span, message, help);
                    Vec::new()
                }
            },
        };
        let any = offered.iter().any(|g| texts(&object.spec.hosts).any(|h| matches(g, h)));
        if !any {
            let message =
                format!("no server of Gateway `{}` takes any of the VirtualService's hosts", name.value);
            let help = "the servers' `hosts` must cover a host of the VirtualService, and `namespace/host` there must allow its namespace";
            found.warn(codes::HOST_NOT_IN_GATEWAY, subject, name.span, message, help);
        }
    }
}

/// The hosts of a Gateway API Gateway (`namespace/name`); a listener without hostname takes all.
fn listener_hosts<'a>(mesh: &'a Mesh, key: &str) -> Option<Vec<&'a str>> {
    let is_it = |o: &&crate::inventory::Other| {
        o.raw.kind == "Gateway" && format!("{}/{}", o.raw.namespace, o.raw.name) == key
    };
    let gateway = mesh.inventory.others.iter().find(is_it)?;
    let listeners =
        gateway.raw.node.path("spec/listeners").map(crate::yaml::Node::sequence).unwrap_or_default();
    let hostname = |l: &'a crate::yaml::Node| l.get("hostname").and_then(crate::yaml::Node::as_str);
    Some(listeners.iter().map(|l| hostname(l).filter(|h| !h.is_empty()).unwrap_or("*")).collect())
}

/// The hosts of a Gateway's servers that VirtualServices of a namespace may use.
fn offered_hosts<'a>(gateway: &'a Object<Gateway>, namespace: &str) -> Vec<&'a str> {
    let written = gateway.spec.servers.iter().flat_map(|s| texts(&s.hosts));
    let allowed = |host: &'a str| match host.split_once('/') {
        None | Some(("*", _)) => Some(host.split_once('/').map_or(host, |(_, h)| h)),
        Some((".", h)) => (gateway.meta.namespace == namespace).then_some(h),
        Some((ns, h)) => (ns == namespace).then_some(h),
    };
    written.filter_map(allowed).collect()
}

/// Claims are only known where a RequestAuthentication of the gateway's pods verified the token.
fn claims(mesh: &Mesh, object: &Object<VirtualService>, subject: Subject<'_>, found: &mut Findings) {
    let matched = object.spec.http.iter().flat_map(|r| &r.match_);
    let mut keys =
        matched.flat_map(|m| m.headers.keys().chain(m.without_headers.keys()).map(move |k| (k, m.origin)));
    let Some((key, at)) = keys.find(|(k, _)| k.starts_with("@request.auth.claims")) else { return };
    let root = mesh.settings.root_namespace.as_str();
    for name in texts(&object.spec.gateways).filter(|g| *g != MESH) {
        let Some(gateway) = gateway(mesh, name, &object.meta.namespace) else { continue };
        for pod in mesh.pods.iter().filter(|p| is_subset(&gateway.spec.selector, &p.labels)) {
            let verified = mesh.inventory.request_authentications.iter().any(|ra| {
                let here = ra.meta.namespace == root || ra.meta.namespace == pod.namespace;
                here && ra.spec.selector.as_ref().is_none_or(|s| is_subset(&s.match_labels, &pod.labels))
            });
            if !verified {
                let message = format!(
                    "`{key}` never matches: no RequestAuthentication applies to the gateway's pod `{}`",
                    pod.key()
                );
                let help = "a RequestAuthentication in the gateway's namespace, selecting its pods, puts verified claims where routes see them";
                found.warn(codes::CLAIMS_UNVERIFIED, subject, at, message, help);
            }
        }
    }
}

/// Hosts that some VirtualService splits by subset under its own name.
fn own_subset_hosts(mesh: &Mesh) -> Vec<(&ObjectMeta, &str)> {
    let mut found = Vec::new();
    for object in &mesh.inventory.virtual_services {
        let routes = object.spec.http.iter().flat_map(|h| &h.route).filter_map(|r| r.destination.as_ref());
        for to in routes.filter(|d| !d.subset.is_empty() && texts(&object.spec.hosts).any(|h| h == d.host)) {
            found.push((&object.meta, to.host.as_str()));
        }
    }
    found
}

fn not_affected(
    spec: &VirtualService,
    subset_hosts: &[(&ObjectMeta, &str)],
    subject: Subject<'_>,
    found: &mut Findings,
) {
    if spec.gateways.is_empty() {
        return;
    }
    for route in spec.http.iter().flat_map(|h| &h.route) {
        let Some(to) = route.destination.as_ref().filter(|d| d.subset.is_empty()) else { continue };
        for (other, _) in subset_hosts.iter().filter(|(_, host)| *host == to.host) {
            let message = format!(
                "requests through the gateway reach every pod of `{}`: the rules of VirtualService `{}` are not applied to them",
                to.host,
                other.key()
            );
            let help = "a gateway does not consult the rules of the destination's own VirtualService: name the subset here too";
            found.warn(codes::INGRESS_RULES_NOT_AFFECTED, subject, place(to, route.origin), message, help);
        }
    }
}
