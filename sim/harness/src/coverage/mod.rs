//! Which routes, destinations, subsets, rules, modes, egress lines and servers no test passes through.
//!
//! `targets` lists what there is, `exercised` what a request passes through, `missing` looks for requests that
//! would pass through the rest. Counted are the cases of policy tests and, on the mesh before its first change, the
//! requests of scenarios with gates: what nobody expects anything of is not tested.

mod exercised;
mod missing;
mod targets;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use mesh_config::source::Sources;
use mesh_reports::coverage::{CoverageItem, CoverageReport};
use rayon::prelude::*;

use crate::document::{ReadDocuments, ScenarioDocument, TestDocument, read_file};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::policy::{TestOptions, asked};
use crate::predict::Prediction;
use exercised::Exercised;
use missing::{Found, missing as proposals};
use targets::{Target, targets};

/// A request of a test, predicted.
pub(crate) struct Asked {
    /// `file: case`
    pub(crate) test: String,
    /// Every outcome, with its steps.
    pub(crate) predictions: Vec<Prediction>,
}

/// The coverage of some test files (see [`crate::policy::find`]); with `propose`, what would cover the rest. Files
/// that cannot be judged add nothing.
#[must_use]
pub fn coverage(files: &[PathBuf], options: &TestOptions, propose: bool) -> CoverageReport {
    let parts: Vec<CoverageReport> =
        files.par_iter().flat_map_iter(|file| of_file(file, options, propose)).collect();
    let mut report = CoverageReport::default();
    for part in parts {
        report.join(part);
    }
    report
}

fn of_file(path: &Path, options: &TestOptions, propose: bool) -> Vec<CoverageReport> {
    let read = read_file(path, &options.overrides);
    if read.has_errors() || options.stop.asked() {
        return Vec::new();
    }
    let ReadDocuments { sources, documents, .. } = read;
    documents.iter().filter_map(|d| of_document(d, sources.clone(), options, propose)).collect()
}

fn of_document(
    document: &TestDocument,
    sources: Sources,
    options: &TestOptions,
    propose: bool,
) -> Option<CoverageReport> {
    let (mesh, behaviors, asked) = match document {
        TestDocument::Policy(policy) => asked::of_policy(policy, sources, options)?,
        TestDocument::Scenario(scenario) => of_scenario(scenario, sources, options)?,
    };
    let targets = targets(&mesh.lowering.mesh.inventory);
    let mut items: Vec<CoverageItem> = targets.iter().map(|t| item(t, &mesh)).collect();
    for one in &asked {
        let mut exercised = Exercised::new(&mesh);
        exercised.add(&one.predictions);
        for (target, item) in targets.iter().zip(&mut items).filter(|(t, _)| exercised.covers(t)) {
            let _ = target;
            item.tests += 1;
            if item.example.is_empty() {
                item.example.clone_from(&one.test);
            }
        }
    }
    if propose {
        let wanted: Vec<&Target> =
            targets.iter().zip(&items).filter(|(_, i)| i.tests == 0).map(|(t, _)| t).collect();
        if !wanted.is_empty() {
            let found = proposals(mesh, &behaviors, &wanted);
            for (item, found) in items.iter_mut().filter(|i| i.tests == 0).zip(found) {
                match found {
                    Found::Case(case) => item.proposal = Some(case),
                    Found::Nothing(why) => item.unreachable = Some(why),
                }
            }
        }
    }
    Some(CoverageReport { items })
}

fn item(target: &Target, mesh: &LoadedMesh) -> CoverageItem {
    CoverageItem {
        kind: target.kind,
        place: mesh.place(target.span).unwrap_or_default(),
        object: target.object.to_string(),
        path: target.path.clone(),
        ..CoverageItem::default()
    }
}

/// The requests of a scenario with gates, on its mesh as it is at the start.
fn of_scenario(
    document: &ScenarioDocument,
    sources: Sources,
    options: &TestOptions,
) -> Option<(LoadedMesh, Behaviors, Vec<Asked>)> {
    let file = document.heading.file.to_string_lossy();
    if document.spec.expect.is_empty() || !options.takes(&file, &document.heading.name) {
        return None;
    }
    let prepared = crate::scenario::prepare(document, sources, &options.run).ok()?;
    let behaviors = Behaviors { pods: prepared.plan.behaviors.clone(), internet: None };
    let mut asked = Vec::new();
    for traffic in &prepared.plan.traffic {
        let test = format!("{file}: {}", traffic.name);
        for (_, request) in &traffic.mix {
            let sender =
                crate::plan::traffic::Sender { pod: traffic.pod, source: traffic.source, gateway: None };
            let predictions = crate::predict::predict(&prepared.mesh, &sender, request, &behaviors, true);
            asked.extend(predictions.ok().map(|predictions| Asked { test: test.clone(), predictions }));
        }
    }
    Some((prepared.mesh, behaviors, asked))
}
