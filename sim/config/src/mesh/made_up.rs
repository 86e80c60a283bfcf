//! The ingress gateway that Gateway resources select and no manifest defines (FORMATS section 1).
//!
//! Made up as `istioctl install` makes it: Deployment and Service `istio-ingressgateway` in the root namespace, ports 80 to
//! 8080 and 443 to 8443. Other ports that its Gateways name are opened as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ingress;
use super::meshconfig::MeshSettings;
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::pod::{Container, ContainerPort, PodSpec, PodTemplate, TemplateMeta};
use crate::resource::scalar::IntOrString;
use crate::resource::selector::is_subset;
use crate::resource::service::{Service, ServicePort};
use crate::resource::workload::Controller;

const NAME: &str = "istio-ingressgateway";

/// Port name, service port, port of the pod.
const PORTS: [(&str, u32, u32); 4] =
    [("http2", 80, 8080), ("https", 443, 8443), ("tcp", 31400, 31400), ("tls", 15443, 15443)];

/// Adds the gateway if it is needed, and says so.
pub(super) fn add_ingress_gateway(
    inventory: &mut Inventory,
    settings: &MeshSettings,
    out: &mut Vec<Diagnostic>,
) {
    let root = settings.root_namespace.as_str();
    let labels: BTreeMap<String, String> =
        [("app", NAME), ("istio", "ingressgateway")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let written = inventory.gateways.iter().map(|g| (reference("Gateway", &g.meta), Arc::clone(g)));
    let of_ingresses = ingress::taken(inventory, settings)
        .map(|i| (reference("Ingress", &i.meta), ingress::gateway(i, settings)));
    let wanted: Vec<_> = written
        .chain(of_ingresses)
        .filter(|(_, g)| g.spec.selector.contains_key("istio") && is_subset(&g.spec.selector, &labels))
        .collect();
    let Some((object, first)) = wanted.first() else { return };
    let missing = wanted.iter().all(|(_, g)| !any_template(inventory, &g.spec.selector));
    let taken = inventory.deployments.iter().any(|d| d.meta.name == NAME && d.meta.namespace == root);
    if !missing || taken {
        return;
    }
    let message = format!(
        "no manifest defines the pods that {} `{}/{}` selects: `{root}/{NAME}` was made up",
        object.kind, object.namespace, object.name
    );
    out.push(
        Diagnostic::info(codes::MADE_UP_GATEWAY, Stage::Support, first.spec.origin, message)
            .object(object.clone()),
    );
    let known = |number: u32| PORTS.iter().any(|(_, port, target)| *port == number || *target == number);
    let numbers = wanted.iter().flat_map(|(_, g)| &g.spec.servers).filter_map(|s| s.port.as_ref());
    let more: BTreeSet<u32> = numbers.map(|p| p.number).filter(|n| *n != 0 && !known(*n)).collect();
    let ports = PORTS.iter().map(|(name, port, target)| ((*name).to_owned(), *port, *target));
    let ports: Vec<_> = ports.chain(more.into_iter().map(|n| (format!("port-{n}"), n, n))).collect();
    inventory.deployments.push(Arc::new(deployment(root, &labels, &ports)));
    inventory.deployments.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    if !inventory.services.iter().any(|s| s.meta.name == NAME && s.meta.namespace == root) {
        inventory.services.push(Arc::new(service(root, labels, ports)));
        inventory.services.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    }
}

fn reference(kind: &str, meta: &ObjectMeta) -> ObjectRef {
    ObjectRef { kind: kind.to_owned(), namespace: meta.namespace.clone(), name: meta.name.clone() }
}

/// Whether any workload's pods carry these labels.
fn any_template(inventory: &Inventory, selector: &BTreeMap<String, String>) -> bool {
    let controllers =
        [&inventory.deployments, &inventory.stateful_sets, &inventory.daemon_sets, &inventory.replica_sets];
    let mut labels = controllers.into_iter().flatten().map(|c| &c.spec.template.metadata.labels);
    labels.any(|l| is_subset(selector, l))
        || inventory.pods.iter().any(|p| is_subset(selector, &p.meta.labels))
}

fn meta(root: &str, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { name: NAME.to_owned(), namespace: root.to_owned(), labels, ..ObjectMeta::default() }
}

fn deployment(
    root: &str,
    labels: &BTreeMap<String, String>,
    ports: &[(String, u32, u32)],
) -> Object<Controller> {
    let port = |(_, _, target): &(String, u32, u32)| ContainerPort {
        container_port: *target,
        ..ContainerPort::default()
    };
    let container = Container {
        name: "istio-proxy".to_owned(),
        args: vec!["proxy".to_owned(), "router".to_owned()],
        ports: ports.iter().map(port).collect(),
        ..Container::default()
    };
    let spec = PodSpec {
        service_account_name: format!("{NAME}-service-account"),
        containers: vec![container],
        ..PodSpec::default()
    };
    let metadata = TemplateMeta { labels: labels.clone(), ..TemplateMeta::default() };
    let template = PodTemplate { metadata, spec, ..PodTemplate::default() };
    Object { meta: meta(root, labels.clone()), spec: Controller { template, ..Controller::default() } }
}

fn service(root: &str, labels: BTreeMap<String, String>, ports: Vec<(String, u32, u32)>) -> Object<Service> {
    let port = |(name, port, target): (String, u32, u32)| ServicePort {
        name,
        port,
        target_port: Some(IntOrString::Int(i64::from(target))),
        ..ServicePort::default()
    };
    let spec = Service {
        type_: "LoadBalancer".to_owned(),
        selector: Some(labels.clone()),
        ports: ports.into_iter().map(port).collect(),
        ..Service::default()
    };
    Object { meta: meta(root, labels), spec }
}
