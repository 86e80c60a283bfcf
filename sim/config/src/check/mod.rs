//! Security policies that look right and are not: accepted by a cluster, and doing something else than they say.
//!
//! Every check states what Istio does with the policy as written (semantics: istio-security 7) and what was probably
//! meant; none of them changes what is predicted. Whether an object would be accepted at all is `schema`'s and
//! `webhook`'s business.

mod attached;
mod identity;
mod mutual_tls;
mod operation;
mod rules;
mod scope;
mod servers;
mod tcp;
mod tokens;

use crate::diagnostic::{Code, Diagnostic, ObjectRef, Stage};
use crate::lower::Lowering;
use crate::resource::meta::ObjectMeta;
use crate::source::Span;
use attached::Attached;

/// Everything the security checks find in a mesh, policy by policy.
#[must_use]
pub fn security(lowering: &Lowering) -> Vec<Diagnostic> {
    let mut out = Findings { list: Vec::new(), subject: None };
    let attached = Attached::new(lowering);
    mutual_tls::check(lowering, &attached, &mut out);
    tokens::check(lowering, &attached, &mut out);
    servers::check(lowering, &mut out);
    scope::check(lowering, &attached, &mut out);
    rules::check(lowering, &attached, &mut out);
    tcp::check(lowering, &attached, &mut out);
    for policy in &lowering.indexes.authorization_policies {
        out.about("AuthorizationPolicy", &policy.meta);
        operation::check(policy, &mut out);
        identity::check(lowering, &attached, policy, &mut out);
    }
    out.list
}

/// What was found, and about which object.
struct Findings {
    list: Vec<Diagnostic>,
    subject: Option<ObjectRef>,
}

impl Findings {
    fn about(&mut self, kind: &str, meta: &ObjectMeta) {
        self.subject = Some(ObjectRef {
            kind: kind.to_owned(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        });
    }

    /// Something that does not do what it says.
    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::warning(code, Stage::Analysis, span, message), help.into());
    }

    /// Something worth knowing that may be meant.
    fn note(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::info(code, Stage::Analysis, span, message), help.into());
    }

    fn push(&mut self, mut diagnostic: Diagnostic, help: String) {
        diagnostic.object.clone_from(&self.subject);
        self.list.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }
}

/// The most similar of some names, if one is similar enough to be meant.
fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(name, wanted);
    known
        .min_by_key(|name| (distance(name), (*name).to_owned()))
        .filter(|name| distance(name) <= 2 && distance(name) < wanted.len())
}
