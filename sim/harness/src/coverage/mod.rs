//! Which routes, destinations, subsets, rules, modes, egress lines and servers no test passes through.
//!
//! `targets` lists what there is, `exercised` what a request passes through, `missing` looks for requests that
//! would pass through the rest. Counted are the cases of policy tests (of `forAll`, audits and snapshots every request
//! they look at) and, on the mesh at the start and after every step of the timeline, the requests of scenarios with
//! gates: what nobody expects anything of is not tested.

mod exercised;
mod missing;
mod targets;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use mesh_config::source::Sources;
use mesh_reports::coverage::{CoverageItem, CoverageReport};
use rayon::prelude::*;

use crate::document::{PolicyDocument, ReadDocuments, ScenarioDocument, TestDocument, read_file};
use crate::format::scenario::TrafficWords;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::{Behaviors, behaviors};
use crate::plan::traffic::{client_request, requests, sender};
use crate::policy::{TestOptions, asked};
use crate::predict::{Prediction, predict};
use crate::scenario::{self, Prepared};
use crate::timeline;
use exercised::Exercised;
use missing::{Found, missing as proposals};
use targets::{Target, targets};

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
    let of = |document: &TestDocument| match document {
        TestDocument::Policy(policy) => of_policy(policy, sources.clone(), options, propose),
        TestDocument::Scenario(scenario) => of_scenario(scenario, sources.clone(), options, propose),
    };
    documents.iter().filter_map(of).collect()
}

fn of_policy(
    document: &PolicyDocument,
    sources: Sources,
    options: &TestOptions,
    propose: bool,
) -> Option<CoverageReport> {
    let (mesh, behaviors) = asked::mesh(document, sources)?;
    let mut counted = Counted::new(&mesh);
    asked::visit(document, &mesh, &behaviors, options, |test, outcomes| counted.add(&test, &outcomes));
    let (targets, mut items) = (counted.targets, counted.items);
    if propose {
        proposed(mesh, &behaviors, &targets, &mut items);
    }
    Some(CoverageReport { items })
}

/// The parts of a mesh, and which tests pass through them.
struct Counted<'m> {
    mesh: &'m LoadedMesh,
    targets: Vec<Target>,
    items: Vec<CoverageItem>,
}

impl<'m> Counted<'m> {
    fn new(mesh: &'m LoadedMesh) -> Counted<'m> {
        let targets = targets(&mesh.lowering.mesh.inventory);
        let items = targets.iter().map(|t| item(t, mesh)).collect();
        Counted { mesh, targets, items }
    }

    /// A test with everything it looks at.
    fn add(&mut self, test: &str, outcomes: &[Prediction]) {
        let mut exercised = Exercised::new(self.mesh);
        exercised.add(outcomes);
        for (_, item) in self.targets.iter().zip(&mut self.items).filter(|(t, _)| exercised.covers(t)) {
            item.tests += 1;
            if item.example.is_empty() {
                test.clone_into(&mut item.example);
            }
        }
    }
}

/// Proposals for what no test passes through.
fn proposed(mesh: LoadedMesh, behaviors: &Behaviors, targets: &[Target], items: &mut [CoverageItem]) {
    let wanted: Vec<&Target> =
        targets.iter().zip(&*items).filter(|(_, i)| i.tests == 0).map(|(t, _)| t).collect();
    if wanted.is_empty() {
        return;
    }
    let found = proposals(mesh, behaviors, &wanted);
    for (item, found) in items.iter_mut().filter(|i| i.tests == 0).zip(found) {
        match found {
            Found::Case(case) => item.proposal = Some(case),
            Found::Nothing(why) => item.unreachable = Some(why),
        }
    }
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

/// The requests of a scenario with gates, on its mesh at the start and after every change of it.
fn of_scenario(
    document: &ScenarioDocument,
    sources: Sources,
    options: &TestOptions,
    propose: bool,
) -> Option<CoverageReport> {
    let file = document.heading.file.to_string_lossy();
    if document.spec.expect.is_empty() || !options.takes(&file, &document.heading.name) {
        return None;
    }
    // Only to know that it can be run; its mesh holds the files of all changes.
    let Prepared { mut mesh, .. } = scenario::prepare(document, sources, &options.run).ok()?;
    let mut versions = vec![mesh.objects.clone()];
    let timeline = &document.spec.timeline;
    let stages = timeline::stages(timeline, &mut mesh, document.heading.base(), &mut Vec::new());
    versions.extend(stages.into_iter().flatten());
    let mut report = CoverageReport::default();
    for objects in versions {
        let mesh = mesh.changed(mesh.sources.clone(), objects);
        let behaviors = behaviors(&document.spec.behaviors, &mesh.directory, &mesh.later, &mut Vec::new());
        let mut counted = Counted::new(&mesh);
        for traffic in &document.spec.traffic {
            let outcomes = of_traffic(traffic, &mesh, &behaviors);
            counted.add(&format!("{file}: {}", traffic.name), &outcomes);
        }
        let (targets, mut items) = (counted.targets, counted.items);
        if propose {
            proposed(mesh, &behaviors, &targets, &mut items);
        }
        report.later(CoverageReport { items });
    }
    Some(report)
}

/// Every outcome of every request of a traffic. Who is not there at that time asks nothing.
fn of_traffic(words: &TrafficWords, mesh: &LoadedMesh, behaviors: &Behaviors) -> Vec<Prediction> {
    let (from, clients) = (&words.from, &mesh.clients);
    let Ok(sender) = sender(&from.value, from.span, &mesh.directory, clients) else { return Vec::new() };
    let lowered = requests(words)
        .into_iter()
        .filter_map(|request| client_request(&request, &sender, &mesh.directory).ok());
    lowered
        .flat_map(|request| predict(mesh, &sender, &request, behaviors, true).unwrap_or_default())
        .collect()
}
