//! The calls that a scenario or policy file makes: who really asks whom, as opposed to who could.

use std::collections::BTreeSet;

use crate::document::TestDocument;
use crate::format::behavior::BehaviorWords;
use crate::format::client::{Client, WorkloadRef};
use crate::format::request::Request;
use crate::loaded::LoadedMesh;
use crate::predict::same_host;

use super::callers::Caller;
use super::targets::Target;

/// One call: who, and the host and port that it dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// Who.
    pub from: Client,
    /// Host as written.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// The calls of a document: traffic and what applications call while serving, or the cases.
#[must_use]
pub fn known_calls(document: &TestDocument) -> Vec<KnownCall> {
    let mut calls = Vec::new();
    let mut add = |from: &Client, request: &Request| {
        if let Ok(url) = request.url() {
            let call = KnownCall { from: from.clone(), host: url.host, port: url.port };
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
    };
    let behaviors = match document {
        TestDocument::Scenario(scenario) => {
            for traffic in &scenario.spec.traffic {
                let variants = traffic.mix.iter().filter_map(|m| m.request.as_ref());
                traffic.request.iter().chain(variants).for_each(|r| add(&traffic.from.value, r));
            }
            &scenario.spec.behaviors
        }
        TestDocument::Policy(policy) => {
            for case in &policy.cases {
                if let (Some(from), Some(request)) = (&case.from, &case.request) {
                    add(&from.value, &request.value);
                }
            }
            &policy.spec.behaviors
        }
    };
    for BehaviorWords { workload, calls, .. } in behaviors {
        let from = Client::Workload(workload.clone());
        calls.iter().flat_map(|step| &step.0).for_each(|call| add(&from, &call.request));
    }
    calls
}

/// Whether a question is one of the calls. What clients outside ask of a gateway is known by the gateway: where its routes
/// lead is the mesh's business.
pub(super) fn is_known(mesh: &LoadedMesh, calls: &[KnownCall], caller: &Caller, target: &Target) -> bool {
    let workload = caller.sender.pod.and_then(|id| mesh.directory.pods.get(id.0 as usize));
    let is_caller = |reference: &WorkloadRef| {
        let Some(own) = workload else { return false };
        let found = mesh.directory.find(reference);
        let names: BTreeSet<_> = found.iter().map(|p| (&p.namespace, &p.workload)).collect();
        names.contains(&(&own.namespace, &own.workload))
    };
    calls.iter().any(|call| match &call.from {
        Client::Gateway(gateway) => caller.sender.gateway.as_ref() == Some(&gateway.gateway),
        Client::Workload(reference) => {
            let near = call.host.contains('.') || workload.is_some_and(|w| w.namespace == target.namespace);
            call.port == target.port && near && same_host(&call.host, &target.host) && is_caller(reference)
        }
        Client::Pod(_) => false,
    })
}
