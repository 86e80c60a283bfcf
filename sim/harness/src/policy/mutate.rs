//! `mesh-sim test --mutate`: which small changes of the rules would no test notice?
//!
//! Every policy test whose mesh holds the changed document is judged again; a case that passed and no longer does
//! notices the change. Changes that nobody could notice (every request class ends the same) are not reported, and
//! neither are those that a cluster would refuse. Scenarios take no part: runs are too long to be repeated per change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesh_config::diagnostic::Severity;
use mesh_config::document::RawObject;
use mesh_config::load::admission;
use mesh_reports::checks::Status;
use mesh_reports::mutation::{MutationReport, Survivor};
use rayon::prelude::*;

use super::cases::{self, Prepared};
use super::mutants::{Mutant, mutants};
use super::{TestOptions, errors};
use crate::document::{PolicyDocument, ReadDocuments, TestDocument, read_file};
use crate::loaded::LoadedMesh;
use crate::space::{self, Endings, Scope, Space};

/// A policy test with the cases that pass.
struct Suite {
    file: String,
    document: PolicyDocument,
    prepared: Prepared,
    passing: Vec<usize>,
}

/// A change and the tests whose mesh it changes: (suite, object).
struct Planned {
    mutant: Mutant,
    place: String,
    object: String,
    suites: Vec<(usize, usize)>,
}

/// What became of a change.
enum Fate {
    Killed,
    Survived,
    Equivalent,
    Refused,
}

/// Changes the rules behind the policy tests of some files, at most `limit` times.
#[must_use]
pub fn mutate(files: &[PathBuf], options: &TestOptions, limit: usize) -> MutationReport {
    let mut report = MutationReport::new();
    let suites = suites(files, options, &mut report);
    let planned = planned(&suites);
    report.possible = planned.len() as u64;
    let chosen = spread(planned, limit);
    let wanted = |_: &&Planned| !options.stop.asked();
    let judge = || chosen.par_iter().filter(wanted).map(|p| (fate(p, &suites), p)).collect::<Vec<_>>();
    let judged = match rayon::ThreadPoolBuilder::new().num_threads(options.run.threads).build() {
        Ok(pool) => pool.install(judge),
        Err(_) => judge(),
    };
    for (fate, planned) in judged {
        report.tried += 1;
        match fate {
            Fate::Killed => report.killed += 1,
            Fate::Equivalent => report.equivalent += 1,
            Fate::Refused => report.refused += 1,
            Fate::Survived => report.survivors.push(Survivor {
                what: planned.mutant.what.clone(),
                object: planned.object.clone(),
                place: planned.place.clone(),
                diff: planned.mutant.diff.clone(),
                tests: planned
                    .suites
                    .iter()
                    .filter_map(|(s, _)| suites.get(*s))
                    .map(|s| s.file.clone())
                    .collect(),
            }),
        }
    }
    report
}

fn suites(files: &[PathBuf], options: &TestOptions, report: &mut MutationReport) -> Vec<Suite> {
    let mut all = Vec::new();
    for path in files {
        let read = read_file(path, &options.overrides);
        if read.has_errors() {
            report.broken.extend(errors(&read.sources, &read.diagnostics));
            continue;
        }
        let ReadDocuments { sources, documents, .. } = read;
        for document in documents {
            let TestDocument::Policy(document) = document else { continue };
            match cases::prepare(&document, sources.clone()) {
                Err(broken) => report.broken.extend(broken),
                Ok(prepared) => {
                    let file = path.to_string_lossy().into_owned();
                    let passing = passing(&document, &prepared, options, &file);
                    if !passing.is_empty() {
                        all.push(Suite { file, document: *document, prepared, passing });
                    }
                }
            }
        }
    }
    report.tests = all.iter().map(|s| s.passing.len() as u64).sum();
    all
}

/// The cases that can notice something.
fn passing(document: &PolicyDocument, prepared: &Prepared, options: &TestOptions, file: &str) -> Vec<usize> {
    let judged = document.cases.par_iter().enumerate().filter(|(_, case)| {
        options.takes(file, &case.name)
            && cases::judge_case(document, case, &prepared.mesh, &prepared.behaviors).status == Status::Passed
    });
    judged.map(|(i, _)| i).collect()
}

/// The changes of all manifests, once per file however many tests use it.
fn planned(suites: &[Suite]) -> Vec<Planned> {
    let mut by_place: BTreeMap<(String, u32, u32, String), Planned> = BTreeMap::new();
    for (s, suite) in suites.iter().enumerate() {
        let mesh = &suite.prepared.mesh;
        for mutant in mutants(&mesh.objects, &mesh.sources) {
            let Some(object) = mesh.objects.get(mutant.object) else { continue };
            let file = mesh.sources.name(mutant.span.file).to_owned();
            let key = (plain(&file), mutant.span.start, object.span.start, mutant.what.clone());
            let at = (s, mutant.object);
            by_place
                .entry(key)
                .or_insert_with(|| Planned {
                    place: mesh.place(mutant.span).unwrap_or_default(),
                    object: object.reference().to_string(),
                    mutant,
                    suites: Vec::new(),
                })
                .suites
                .push(at);
        }
    }
    by_place.into_values().collect()
}

/// One file has one name, however a test spells its way there (`policies/../meshes/a.yaml`).
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|p| *p != ".." && !p.is_empty()) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// At most `limit` of them, spread evenly.
fn spread(all: Vec<Planned>, limit: usize) -> Vec<Planned> {
    let total = all.len();
    if total <= limit {
        return all;
    }
    // The i-th of n is taken when i * limit / n moves on.
    let taken = |i: usize| (i + 1) * limit / total > i * limit / total;
    all.into_iter().enumerate().filter(|(i, _)| taken(*i)).map(|(_, p)| p).collect()
}

fn fate(planned: &Planned, suites: &[Suite]) -> Fate {
    let mut changed: Vec<(&Suite, LoadedMesh)> = Vec::new();
    for (s, object) in &planned.suites {
        let Some(suite) = suites.get(*s) else { continue };
        let mut objects = suite.prepared.mesh.objects.clone();
        let Some(target) = objects.get_mut(*object) else { continue };
        *target = RawObject { node: planned.mutant.node.clone(), ..target.clone() };
        if admission(std::slice::from_ref(target)).iter().any(|d| d.severity == Severity::Error) {
            return Fate::Refused;
        }
        let mesh = suite.prepared.mesh.with_objects(objects);
        if mesh.has_errors() {
            return Fate::Refused;
        }
        if notices(suite, &mesh) {
            return Fate::Killed;
        }
        changed.push((suite, mesh));
    }
    let same = changed.iter().all(|(suite, mesh)| equivalent(&suite.prepared.mesh, mesh));
    if same { Fate::Equivalent } else { Fate::Survived }
}

fn notices(suite: &Suite, mesh: &LoadedMesh) -> bool {
    suite.passing.iter().filter_map(|i| suite.document.cases.get(*i)).any(|case| {
        let verdict = cases::judge_case(&suite.document, case, mesh, &suite.prepared.behaviors);
        verdict.status != Status::Passed
    })
}

/// Whether every class of requests ends the same.
fn equivalent(original: &LoadedMesh, mutant: &LoadedMesh) -> bool {
    let both = space::all_populated(&[original, mutant]);
    let [original, mutant] = both.as_slice() else { return false };
    let space = Space::of(&[original, mutant], &Scope::default());
    space.classes.par_iter().all(|class| {
        let ends = |mesh| space::outcomes(mesh, class).map(|p| Endings::of(&p, mesh));
        match (ends(original), ends(mutant)) {
            (Ok(a), Ok(b)) => a.same(&b),
            (a, b) => a == b,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_told_apart_by_where_they_lead() {
        assert_eq!(plain("policies/../meshes/./a.yaml"), "meshes/a.yaml");
        assert_eq!(plain("../x/a.yaml"), "../x/a.yaml");
        assert_eq!(plain("/a/../b.yaml"), "/b.yaml");
    }
}
