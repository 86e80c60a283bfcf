//! What DestinationRules refer to, and servers they do not verify (semantics: istio-validation 6.1, 6.5).

use super::hosts::Hosts;
use super::{Findings, Subject, selector_text};
use crate::diagnostic::codes;
use crate::mesh::Mesh;
use crate::mesh::locality::augment_labels;
use crate::resource::destination_rule::DestinationRule;
use crate::resource::meta::Object;
use crate::resource::selector::is_subset;
use crate::resource::tls::{ClientTlsMode, ClientTlsSettings};
use crate::source::Span;

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    let hosts = Hosts::new(mesh);
    let pods: Vec<_> =
        mesh.pods.iter().map(|p| augment_labels(&p.labels, &p.locality, p.node.as_deref(), "")).collect();
    for object in &mesh.inventory.destination_rules {
        let subject = Subject { kind: "DestinationRule", meta: &object.meta };
        unverified(object, subject, found);
        let host = &object.spec.host;
        let Some(known) = hosts.find(&host.value, &object.meta.namespace, &object.spec.export_to) else {
            let message = format!(
                "`{}` is no Service and no ServiceEntry that `{}` sees",
                host.value, object.meta.namespace
            );
            let help =
                "the rule has no effect; a short name means a Service of the DestinationRule's own namespace";
            found.warn(codes::UNKNOWN_RULE_HOST, subject, host.span, message, help);
            continue;
        };
        for subset in &object.spec.subsets {
            let mut labels = known.workload_labels.clone();
            labels.extend(subset.labels.clone());
            if !pods.iter().any(|pod| is_subset(&labels, pod)) {
                let message =
                    format!("no pod has the labels of subset `{}`: {}", subset.name, selector_text(&labels));
                let help = "requests to an empty subset end with 503 (flag UH, no_healthy_upstream): compare with the labels of the pod templates";
                found.warn(codes::SUBSET_SELECTS_NOTHING, subject, subset.origin, message, help);
            }
        }
    }
}

/// SIMPLE and MUTUAL without a CA certificate accept any server.
fn unverified(object: &Object<DestinationRule>, subject: Subject<'_>, found: &mut Findings) {
    let Some(policy) = &object.spec.traffic_policy else { return };
    let selective = object.spec.workload_selector.is_some();
    let open = |tls: &&ClientTlsSettings| {
        matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual)
            && tls.ca_certificates.is_empty()
            && (!selective || tls.credential_name.is_empty())
    };
    let help = "set `caCertificates` (and `subjectAltNames`), so that only the intended server is accepted";
    let mut warn = |code, at: Span, which: &str| {
        let message = format!(
            "the server's certificate for `{}`{which} is verified against the system's authorities only",
            object.spec.host.value
        );
        found.warn(code, subject, at, message, help);
    };
    if let Some(tls) = policy.tls.as_ref().filter(open) {
        warn(codes::SERVER_UNVERIFIED, tls.origin, "");
    }
    for port in &policy.port_level_settings {
        if let Some(tls) = port.tls.as_ref().filter(open) {
            let number = port.port.as_ref().map_or(0, |p| p.number);
            warn(codes::PORT_SERVER_UNVERIFIED, tls.origin, &format!(" port {number}"));
        }
    }
}
