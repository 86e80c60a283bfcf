//! What a case names must exist in its mesh: a misspelt workload, host or subset is never an empty match.

use std::collections::BTreeSet;

use mesh_config::decode::closest;
use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;

use crate::format::client::WorkloadRef;
use crate::format::policy::CaseWords;
use crate::loaded::LoadedMesh;
use crate::plan::no_such_workload;
use crate::plan::traffic::{client_request, sender};
use crate::predict::same_host;

/// Everything the case names that is not there.
pub(super) fn missing(case: &CaseWords, mesh: &LoadedMesh) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let directory = &mesh.directory;
    if let Some(from) = &case.from {
        match sender(&from.value, from.span, directory, &mesh.clients) {
            Err(problem) => problems.push(*problem),
            Ok(sender) => {
                let request = case.request.as_ref();
                problems.extend(request.and_then(|request| {
                    let why = client_request(&request.value, &sender, directory).err()?;
                    Some(Diagnostic::error(codes::INVALID_VALUE, Stage::Schema, request.span, why))
                }));
            }
        }
    }
    let expected = &case.expect.workload;
    for reference in [&case.pod, expected].into_iter().flatten() {
        if directory.find(&reference.value).is_empty() {
            problems.push(no_such_workload(directory, &reference.value, reference.span));
        }
    }
    if let Some(words) = &case.for_all {
        // `any` is no workload's name here.
        let any = |r: &WorkloadRef| r.to_string() == "any";
        for reference in [&words.from, &words.to].into_iter().flatten().filter(|r| !any(&r.value)) {
            if directory.find(&reference.value).is_empty() {
                problems.push(no_such_workload(directory, &reference.value, reference.span));
            }
        }
    }
    problems.extend(case.audit.iter().flat_map(super::audit::missing));
    if let Some(subset) = &case.expect.subset {
        problems.extend(no_such_subset(&subset.value, subset.span, mesh));
    }
    if let Some(split) = &case.expect.split {
        problems.extend(split.value.keys().filter_map(|name| no_such_subset(name, split.span, mesh)));
    }
    if let Some(host) = &case.expect.host {
        problems.extend(no_such_host(&host.value, host.span, mesh));
    }
    problems
}

fn unknown<'a>(what: &str, name: &str, at: Span, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let message = format!("no {what} of this mesh is named `{name}`");
    let problem = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message);
    match closest(name, known) {
        Some(hint) => problem.help(format!("did you mean `{hint}`?")),
        None => problem,
    }
}

/// `""` is the cluster without a subset, `none` no service cluster at all.
fn no_such_subset(name: &str, at: Span, mesh: &LoadedMesh) -> Option<Diagnostic> {
    let rules = &mesh.lowering.mesh.inventory.destination_rules;
    let known: BTreeSet<&str> = rules.iter().flat_map(|r| &r.spec.subsets).map(|s| s.name.as_str()).collect();
    if name.is_empty() || name == "none" || known.contains(name) {
        return None;
    }
    Some(unknown("subset", name, at, known))
}

fn no_such_host(name: &str, at: Span, mesh: &LoadedMesh) -> Option<Diagnostic> {
    let services = &mesh.lowering.mesh.services;
    if name == "none" || services.iter().any(|s| same_host(name, &s.host)) {
        return None;
    }
    Some(unknown("service", name, at, services.iter().map(|s| s.host.as_str())))
}
