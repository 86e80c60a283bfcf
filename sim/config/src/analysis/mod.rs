//! Findings about the mesh as a whole: what every single object's admission lets through and the mesh then does not do.
//!
//! The findings of `istioctl analyze` that bear on traffic, one code each (`istioctl`'s number is in the code's
//! explanation). Pods are those of the manifests' controllers, so that files alone are judged like a running mesh.
//! semantics: istio-validation 6. Policies about identities are `security`'s; nothing here is an error: a cluster takes all of it.

mod conflicts;
mod destination_rules;
mod gateways;
mod hosts;
mod names;
mod policies;
mod virtual_services;

#[cfg(test)]
mod tests;

use crate::decode::Spanned;
use crate::diagnostic::{Code, Diagnostic, ObjectRef, Severity, Stage};
use crate::mesh::Mesh;
use crate::resource::meta::ObjectMeta;
use crate::source::Span;

/// Everything found, in no particular order.
#[must_use]
pub fn analyze(mesh: &Mesh) -> Vec<Diagnostic> {
    let mut found = Findings::default();
    virtual_services::check(mesh, &mut found);
    destination_rules::check(mesh, &mut found);
    gateways::check(mesh, &mut found);
    conflicts::check(mesh, &mut found);
    policies::check(mesh, &mut found);
    names::check(mesh, &mut found);
    found.0
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Diagnostic>);

/// The object a check looks at.
#[derive(Clone, Copy)]
struct Subject<'a> {
    kind: &'static str,
    meta: &'a ObjectMeta,
}

impl Findings {
    fn warn(&mut self, code: Code, subject: Subject<'_>, at: Span, message: String, help: &str) {
        self.add(Severity::Warning, code, subject, at, message, help);
    }

    fn note(&mut self, code: Code, subject: Subject<'_>, at: Span, message: String, help: &str) {
        self.add(Severity::Info, code, subject, at, message, help);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        subject: Subject<'_>,
        at: Span,
        message: String,
        help: &str,
    ) {
        let at = if at.is_none() { subject.meta.origin } else { at };
        let object = ObjectRef {
            kind: subject.kind.to_owned(),
            namespace: subject.meta.namespace.clone(),
            name: subject.meta.name.clone(),
        };
        let diagnostic = match severity {
            Severity::Info => Diagnostic::info(code, Stage::Analysis, at, message),
            _ => Diagnostic::warning(code, Stage::Analysis, at, message),
        };
        self.0.push(diagnostic.help(help).object(object));
    }
}

fn texts(written: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    written.iter().map(|w| w.value.as_str())
}

/// `a=b,c=d`, as kubectl writes selectors.
fn selector_text(labels: &std::collections::BTreeMap<String, String>) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}
