//! One case of a policy test, explained: the same mesh, behaviours and request as `mesh-sim test` judges.

use std::path::Path;

use mesh_config::decode::closest;
use mesh_reports::explain::Explanation;
use mesh_reports::findings::Finding;

use super::{cases, errors, names};
use crate::document::{Override, ReadDocuments, TestDocument, read_file};
use crate::explain::explain;
use crate::format::client::Client;
use crate::plan::traffic::{client_request, sender};

/// What became of the wish to see a case.
#[derive(Debug)]
pub enum CaseExplained {
    /// The explanation.
    Shown(Box<Explanation>),
    /// The file or its mesh is broken.
    Broken(Vec<Finding>),
    /// No case of that name, or one that sends no request; in words.
    Nothing(String),
}

/// Explains the request of a case.
#[must_use]
pub fn explain_case(path: &Path, name: &str, overrides: &[Override]) -> CaseExplained {
    let read = read_file(path, overrides);
    if read.has_errors() {
        return CaseExplained::Broken(errors(&read.sources, &read.diagnostics));
    }
    let ReadDocuments { sources, documents, .. } = read;
    let mut known = Vec::new();
    for document in &documents {
        let TestDocument::Policy(policy) = document else { continue };
        known.extend(policy.cases.iter().map(|c| c.name.as_str()));
        let Some(case) = policy.cases.iter().find(|c| c.name == name) else { continue };
        let (Some(from), Some(request)) = (&case.from, &case.request) else {
            return CaseExplained::Nothing(format!("case `{name}` sends no request that could be explained"));
        };
        let prepared = match cases::prepare(policy, sources) {
            Ok(prepared) => prepared,
            Err(broken) => return CaseExplained::Broken(broken),
        };
        let mesh = &prepared.mesh;
        let broken = errors(&mesh.sources, &names::missing(case, mesh));
        if !broken.is_empty() {
            return CaseExplained::Broken(broken);
        }
        let url = request.value.url().map(|u| format!("{}://{}{}", u.scheme, u.authority, u.target));
        let method = request.value.words.method.as_deref().unwrap_or("GET");
        let words = (format!("{method} {}", url.unwrap_or_default()), client_words(&from.value));
        let explained = sender(&from.value, from.span, &mesh.directory, &mesh.clients)
            .map_err(|d| d.message)
            .and_then(|sender| {
                let lowered = client_request(&request.value, &sender, &mesh.directory)?;
                explain(mesh, &sender, &lowered, &prepared.behaviors, words)
            });
        return match explained {
            Ok(explanation) => CaseExplained::Shown(Box::new(explanation)),
            Err(why) => CaseExplained::Nothing(why),
        };
    }
    let hint = closest(name, known).map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default();
    CaseExplained::Nothing(format!("{} has no case `{name}`{hint}", path.display()))
}

/// The sender as `--from` spells it.
fn client_words(client: &Client) -> String {
    match client {
        Client::Workload(reference) => reference.to_string(),
        Client::Gateway(gateway) => format!("gateway:{}", gateway.gateway),
        Client::Pod(pod) => format!("pod:{}/{}", pod.namespace, pod.service_account),
    }
}
