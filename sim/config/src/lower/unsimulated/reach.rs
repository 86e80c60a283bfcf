//! How far an unsimulated object reaches, kind by kind. In doubt it reaches further.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::RawObject;
use crate::lower::virtual_service::labels_subset;
use crate::lower::{Ctx, http_route};
use crate::mesh::registry::service_host;
use crate::mesh::service::{Registry, Service};
use crate::yaml::Node;

/// What of a proxy an object may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing.
    Nothing,
    /// Anything.
    Proxy,
    /// How requests and connections to these services are routed.
    Routes(BTreeSet<String>),
    /// Policies or endpoints of these services.
    Clusters(BTreeSet<String>),
}

impl Reach {
    fn proxy_if(touched: bool) -> Reach {
        if touched { Reach::Proxy } else { Reach::Nothing }
    }
}

/// The reach of an object, for one proxy.
pub(super) fn of(cx: &Ctx<'_>, object: &RawObject) -> Reach {
    match (object.group(), object.kind.as_str()) {
        ("networking.istio.io", "EnvoyFilter") => {
            let selected = selects(cx, object, "spec/workloadSelector/labels");
            Reach::proxy_if(selected && patches_this_kind(cx, object))
        }
        (group, _) if group.ends_with(".istio.io") => {
            Reach::proxy_if(selects(cx, object, "spec/selector/matchLabels"))
        }
        ("gateway.networking.k8s.io" | "gateway.networking.x-k8s.io", kind) => gateway_api(cx, object, kind),
        ("inference.networking.k8s.io", _) => Reach::proxy_if(!cx.is_sidecar()),
        ("networking.k8s.io" | "extensions", "Ingress") => {
            Reach::proxy_if(!cx.is_sidecar() && is_taken(cx, object))
        }
        ("networking.k8s.io" | "extensions", "NetworkPolicy") => Reach::proxy_if(
            object.namespace == cx.namespace() && pods_match(cx, object.node.path("spec/podSelector")),
        ),
        ("cilium.io" | "crd.projectcalico.org" | "projectcalico.org", _) => {
            Reach::proxy_if(object.namespace.is_empty() || object.namespace == cx.namespace())
        }
        ("multicluster.x-k8s.io", _) => Reach::Nothing,
        // Flagger rewrites routes and rules of the services it manages.
        ("flagger.app", _) | ("serving.knative.dev", _) => Reach::Routes(services(cx, object, |_| true)),
        ("" | "apps.openshift.io" | "argoproj.io", _) => made_pods(cx, object),
        _ => Reach::Proxy,
    }
}

/// Objects of the root namespace are for every proxy, others for those of their namespace; a selector narrows both.
fn selects(cx: &Ctx<'_>, object: &RawObject, selector: &str) -> bool {
    let root = object.namespace == cx.lowering.mesh.settings.root_namespace;
    (root || object.namespace == cx.namespace())
        && labels_subset(&strings(object.node.path(selector)), cx.labels())
}

fn strings(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.map(Node::mapping).unwrap_or_default().iter();
    entries.filter_map(|(key, value)| Some((key.text.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether any patch of an EnvoyFilter is for this kind of proxy.
fn patches_this_kind(cx: &Ctx<'_>, filter: &RawObject) -> bool {
    let patches = filter.node.path("spec/configPatches").map(Node::sequence).unwrap_or_default();
    patches.iter().any(|patch| match patch.path("match/context").and_then(Node::as_str) {
        Some("GATEWAY") => !cx.is_sidecar(),
        Some("SIDECAR_INBOUND" | "SIDECAR_OUTBOUND") => cx.is_sidecar(),
        _ => true,
    })
}

/// Gateways of the Gateway API have pods of their own; what concerns sidecars is attached to services.
fn gateway_api(cx: &Ctx<'_>, object: &RawObject, kind: &str) -> Reach {
    match kind {
        // A manual gateway is served by pods that exist.
        "Gateway" => {
            let addresses = object.node.path("spec/addresses").map(Node::sequence).unwrap_or_default();
            Reach::proxy_if(!cx.is_sidecar() && !addresses.is_empty())
        }
        "HTTPRoute" if http_route::is_simulated(object) => {
            Reach::proxy_if(!cx.is_sidecar() && http_route::has_gateway_parent(object))
        }
        kind if kind.ends_with("Route") => {
            let hosts = references(object, "spec/parentRefs");
            if hosts.is_empty() { Reach::proxy_if(!cx.is_sidecar()) } else { Reach::Routes(hosts) }
        }
        kind if kind.ends_with("Policy") => Reach::Clusters(references(object, "spec/targetRefs")),
        _ => Reach::proxy_if(!cx.is_sidecar()),
    }
}

/// The services (and hosts of ServiceEntries of that name) that a list of references names.
fn references(object: &RawObject, list: &str) -> BTreeSet<String> {
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
    let items = object.node.path(list).map(Node::sequence).unwrap_or_default().iter();
    items
        .filter(|item| matches!(text(item, "kind").as_str(), "Service" | "ServiceEntry" | "Hostname"))
        .map(|item| {
            let namespace = Some(text(item, "namespace")).filter(|ns| !ns.is_empty());
            let namespace = namespace.unwrap_or_else(|| object.namespace.clone());
            match text(item, "kind").as_str() {
                "Hostname" => text(item, "name"),
                _ => service_host(&text(item, "name"), &namespace),
            }
        })
        .collect()
}

/// Whether istiod takes an Ingress (semantics: istio-networking 7.7).
fn is_taken(cx: &Ctx<'_>, ingress: &RawObject) -> bool {
    let settings = &cx.lowering.mesh.settings;
    if settings.ingress_controller_mode == "OFF" {
        return false;
    }
    if let Some(class) = ingress.annotations.get("kubernetes.io/ingress.class") {
        return *class == settings.ingress_class;
    }
    match ingress.node.path("spec/ingressClassName").and_then(Node::as_str) {
        Some(class) => {
            let declared = cx.lowering.mesh.inventory.others.iter().map(|other| &other.raw);
            let declared = declared.filter(|raw| raw.kind == "IngressClass" && raw.name == class);
            let controller = declared.filter_map(|raw| raw.node.path("spec/controller")?.as_str()).next();
            controller.is_none_or(|controller| controller == "istio.io/ingress-controller")
        }
        None => settings.ingress_controller_mode == "DEFAULT",
    }
}

/// Whether a label selector may take this pod; expressions are not evaluated and may.
fn pods_match(cx: &Ctx<'_>, selector: Option<&Node>) -> bool {
    labels_subset(&strings(selector.and_then(|s| s.get("matchLabels"))), cx.labels())
}

/// Pods made in ways that are not read are endpoints of the services that select them.
fn made_pods(cx: &Ctx<'_>, object: &RawObject) -> Reach {
    let labels = strings(object.node.path("spec/template/metadata/labels"));
    Reach::Clusters(services(cx, object, |service| {
        !service.selector.is_empty() && (labels.is_empty() || labels_subset(&service.selector, &labels))
    }))
}

/// Kubernetes services of the object's namespace.
fn services(cx: &Ctx<'_>, object: &RawObject, which: impl Fn(&Service) -> bool) -> BTreeSet<String> {
    let all = cx.scope.services.iter().filter(|s| s.registry == Registry::Kubernetes);
    let own = all.filter(|s| s.namespace == object.namespace && which(s));
    own.map(|s| s.host.clone()).collect()
}
