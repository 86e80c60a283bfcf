//! istiod's validation webhook: what it refuses and what it warns about, per kind (semantics: istio-validation 2, 3).
//!
//! Judges one object on its own, after the schema; never looks at other objects. Cross-object findings are `check`.

mod authentication;
mod authorization_policy;
mod blocks;
mod destination_rule;
mod gateway;
mod header_value;
mod http_route;
mod load_balancer;
mod reachability;
mod retry_on;
mod server_tls;
mod service_entry;
mod sidecar;
mod virtual_service;
mod workload_entry;

use serde::de::DeserializeOwned;

use crate::decode::{DecodeCx, from_node};
use crate::diagnostic::{Code, Diagnostic, Stage, codes};
use crate::document::RawObject;
use crate::source::Span;

/// Findings about one object.
pub(crate) struct Findings<'a> {
    /// The object, for its namespace and metadata.
    object: &'a RawObject,
    out: Vec<Diagnostic>,
}

impl Findings<'_> {
    /// The webhook refuses the object.
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.push(codes::REFUSED, true, span, message.into());
    }

    /// The webhook accepts with a warning.
    fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.push(codes::ADMITTED_WITH_WARNING, false, span, message.into());
    }

    /// A warning with a code of its own.
    fn warn_as(&mut self, code: Code, span: Span, message: String) {
        self.push(code, false, span, message);
    }

    /// Drops the warnings said since `out` had a length: istiod loses them on the way.
    fn forget_warnings(&mut self, since: usize) {
        let mut index = 0;
        self.out.retain(|d| {
            index += 1;
            index <= since || d.is_error()
        });
    }

    fn push(&mut self, code: Code, error: bool, span: Span, message: String) {
        let span = if span.is_none() { self.object.name_span() } else { span };
        let found = if error {
            Diagnostic::error(code, Stage::Webhook, span, message)
        } else {
            Diagnostic::warning(code, Stage::Webhook, span, message)
        };
        self.out.push(found);
    }

    fn namespace(&self) -> &str {
        &self.object.namespace
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.object.labels.get(name).map(String::as_str)
    }

    /// What is written at a place of `spec`, numbers as text.
    fn written(&self, path: &str) -> Option<String> {
        let node = self.object.spec()?.path(path)?;
        node.as_str().map(str::to_owned).or_else(|| Some(node.to_json()))
    }

    fn has_errors(&self) -> bool {
        self.out.iter().any(|d| d.severity == crate::diagnostic::Severity::Error)
    }
}

/// What istiod's webhook says of an object. Kinds it does not validate give nothing.
pub fn validate(object: &RawObject) -> Vec<Diagnostic> {
    let mut findings = Findings { object, out: Vec::new() };
    let group = object.group();
    if !group.ends_with("istio.io") {
        return Vec::new();
    }
    match (group, object.kind.as_str()) {
        ("networking.istio.io", "VirtualService") => run(&mut findings, virtual_service::validate),
        ("networking.istio.io", "DestinationRule") => run(&mut findings, destination_rule::validate),
        ("networking.istio.io", "Gateway") => run(&mut findings, gateway::validate),
        ("networking.istio.io", "ServiceEntry") => run(&mut findings, service_entry::validate),
        ("networking.istio.io", "Sidecar") => run(&mut findings, sidecar::validate),
        ("networking.istio.io", "WorkloadEntry") => run(&mut findings, workload_entry::validate),
        ("networking.istio.io", "WorkloadGroup") => run(&mut findings, workload_entry::validate_group),
        ("security.istio.io", "PeerAuthentication") => run(&mut findings, authentication::validate_peer),
        ("security.istio.io", "RequestAuthentication") => {
            run(&mut findings, authentication::validate_request)
        }
        ("security.istio.io", "AuthorizationPolicy") => run(&mut findings, authorization_policy::validate),
        _ => {}
    }
    metadata(&mut findings);
    findings.out
}

fn run<T: DeserializeOwned + Default>(findings: &mut Findings<'_>, validate: fn(&T, &mut Findings<'_>)) {
    let mut cx = DecodeCx::new(None, "spec");
    let spec = match findings.object.spec() {
        Some(node) => from_node::<T>(node, &mut cx).unwrap_or_default(),
        None => T::default(),
    };
    for problem in cx.diagnostics.into_iter().filter(|d| d.code == codes::WRONG_TYPE) {
        let span = problem.labels.first().map_or(Span::NONE, |label| label.span);
        findings.error(span, problem.message);
    }
    validate(&spec, findings);
}

/// Annotations that istiod refuses (semantics: istio-validation 1.4).
fn metadata(f: &mut Findings<'_>) {
    let action = f
        .object
        .spec()
        .and_then(|spec| spec.get("action"))
        .and_then(|node| node.as_str())
        .unwrap_or("ALLOW")
        .to_owned();
    let span = f.object.name_span();
    for (name, value) in f.object.annotations.clone() {
        match name.as_str() {
            "istio.io/dry-run" => {
                if f.object.kind != "AuthorizationPolicy" {
                    f.error(span, "the annotation `istio.io/dry-run` is for AuthorizationPolicy only");
                } else if matches!(action.as_str(), "AUDIT" | "CUSTOM") {
                    f.error(span, format!("`istio.io/dry-run` is not supported with action {action}"));
                }
                let words = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
                if !words.contains(&value.as_str()) {
                    f.error(span, format!("`istio.io/dry-run: {value}` is not a boolean"));
                }
            }
            "internal.istio.io/webhook-always-reject"
            | "internal.istio.io/parents"
            | "internal.istio.io/parent-namespace" => {
                f.error(span, format!("the annotation `{name}` is reserved for istiod"));
            }
            _ => {}
        }
    }
}
