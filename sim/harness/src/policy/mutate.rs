//! `mesh-sim test --mutate`: which small changes of the rules would no test notice?
//!
//! Every test whose mesh holds the changed document is judged again; a case, snapshot or gate that passed and no longer
//! does notices the change. Changes that nobody could notice (every request class ends the same) are not reported, and
//! neither are those that a cluster would refuse. Runs take long, so scenarios are only asked about what no policy test
//! notices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mesh_config::diagnostic::Severity;
use mesh_config::document::RawObject;
use mesh_config::load::admission;
use mesh_config::source::Sources;
use mesh_reports::checks::Status;
use mesh_reports::findings::Finding;
use mesh_reports::mutation::{MutationReport, Survivor};
use mesh_reports::run::GateVerdict;
use rayon::prelude::*;

use super::cases::{self, Prepared};
use super::mutants::{Mutant, mutants};
use super::{TestOptions, errors};
use crate::document::{PolicyDocument, ReadDocuments, ScenarioDocument, TestDocument, read_file};
use crate::format::policy::SnapshotWords;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::scenario::{self, Ran, RunOptions};
use crate::snapshot::{self, State};
use crate::space::{self, Endings, Scope, Space};

/// A test document with what passes of it.
struct Suite {
    file: String,
    mesh: LoadedMesh,
    tests: Tests,
}

/// What passes, by position.
enum Tests {
    Policy { document: PolicyDocument, behaviors: Behaviors, cases: Vec<usize>, snapshots: Vec<usize> },
    Scenario { document: ScenarioDocument, sources: Sources, gates: Vec<usize> },
}

impl Tests {
    fn count(&self) -> usize {
        match self {
            Tests::Policy { cases, snapshots, .. } => cases.len() + snapshots.len(),
            Tests::Scenario { gates, .. } => gates.len(),
        }
    }
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

/// Changes the rules behind the tests of some files, at most `limit` times.
#[must_use]
pub fn mutate(files: &[PathBuf], options: &TestOptions, limit: usize) -> MutationReport {
    let mut report = MutationReport::new();
    let suites = suites(files, options, &mut report);
    let planned = planned(&suites);
    report.possible = planned.len() as u64;
    let chosen = spread(planned, limit);
    let wanted = |_: &&Planned| !options.stop.asked();
    let judge =
        || chosen.par_iter().filter(wanted).map(|p| (fate(p, &suites, options), p)).collect::<Vec<_>>();
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
    let found: Vec<(Vec<Suite>, Vec<Finding>)> =
        files.par_iter().map(|path| of_file(path, options)).collect();
    let mut all = Vec::new();
    for (suites, broken) in found {
        all.extend(suites);
        report.broken.extend(broken);
    }
    report.tests = all.iter().map(|s| s.tests.count() as u64).sum();
    all
}

fn of_file(path: &Path, options: &TestOptions) -> (Vec<Suite>, Vec<Finding>) {
    let read = read_file(path, &options.overrides);
    if read.has_errors() {
        return (Vec::new(), errors(&read.sources, &read.diagnostics));
    }
    let ReadDocuments { sources, documents, .. } = read;
    let file = path.to_string_lossy().into_owned();
    let (mut suites, mut broken) = (Vec::new(), Vec::new());
    for document in documents {
        let found = match document {
            TestDocument::Policy(document) => of_policy(*document, sources.clone(), options, &file).map(Some),
            TestDocument::Scenario(document) => of_scenario(*document, sources.clone(), options, &file),
        };
        match found {
            Err(problems) => broken.extend(problems),
            Ok(Some((mesh, tests))) if tests.count() > 0 => {
                suites.push(Suite { file: file.clone(), mesh, tests });
            }
            Ok(_) => {}
        }
    }
    (suites, broken)
}

/// What can notice something of a policy test.
fn of_policy(
    document: PolicyDocument,
    sources: Sources,
    options: &TestOptions,
    file: &str,
) -> Result<(LoadedMesh, Tests), Vec<Finding>> {
    let Prepared { mesh, behaviors } = cases::prepare(&document, sources)?;
    let judged = document.cases.par_iter().enumerate().filter(|(_, case)| {
        options.takes(file, &case.name)
            && cases::judge_case(&document, case, &mesh, &behaviors).status == Status::Passed
    });
    let cases = judged.map(|(i, _)| i).collect();
    let same = |words: &SnapshotWords| same_snapshot(&document, words, &mesh, &behaviors);
    let kept = document.spec.snapshots.iter().enumerate();
    let taken = kept.filter(|(_, w)| options.takes(file, &format!("snapshot {}", w.name)) && same(w));
    let snapshots = taken.map(|(i, _)| i).collect();
    Ok((mesh, Tests::Policy { document, behaviors, cases, snapshots }))
}

fn same_snapshot(
    document: &PolicyDocument,
    words: &SnapshotWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
) -> bool {
    snapshot::compare(document, words, mesh, behaviors).state == State::Same
}

/// What can notice something of a scenario; `None` when nobody expects anything of it.
fn of_scenario(
    document: ScenarioDocument,
    sources: Sources,
    options: &TestOptions,
    file: &str,
) -> Result<Option<(LoadedMesh, Tests)>, Vec<Finding>> {
    if document.spec.expect.is_empty() || !options.takes(file, &document.heading.name) {
        return Ok(None);
    }
    let how = RunOptions { threads: 1, ..options.run };
    let ran = scenario::run(&document, sources.clone(), &how).map_err(|p| errors(&p.0, &p.1))?;
    let gates = passed(&ran);
    Ok(Some((ran.mesh, Tests::Scenario { document, sources, gates })))
}

/// Positions of the gates that hold.
fn passed(ran: &Ran) -> Vec<usize> {
    let gates = ran.report.gates.iter().enumerate();
    gates.filter(|(_, g)| g.verdict == GateVerdict::Passed).map(|(i, _)| i).collect()
}

/// The changes of all manifests, once per file however many tests use it.
fn planned(suites: &[Suite]) -> Vec<Planned> {
    let mut by_place: BTreeMap<(String, u32, u32, String), Planned> = BTreeMap::new();
    for (s, suite) in suites.iter().enumerate() {
        let mesh = &suite.mesh;
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

fn fate(planned: &Planned, suites: &[Suite], options: &TestOptions) -> Fate {
    let mut changed: Vec<(&Suite, LoadedMesh)> = Vec::new();
    for (s, object) in &planned.suites {
        let Some(suite) = suites.get(*s) else { continue };
        let mut objects = suite.mesh.objects.clone();
        let Some(target) = objects.get_mut(*object) else { continue };
        *target = RawObject { node: planned.mutant.node.clone(), ..target.clone() };
        if admission(std::slice::from_ref(target)).iter().any(|d| d.severity == Severity::Error) {
            return Fate::Refused;
        }
        let mesh = suite.mesh.with_objects(objects);
        if mesh.has_errors() {
            return Fate::Refused;
        }
        changed.push((suite, mesh));
    }
    if changed.iter().any(|(suite, mesh)| policy_notices(suite, mesh)) {
        return Fate::Killed;
    }
    if changed.iter().all(|(suite, mesh)| equivalent(&suite.mesh, mesh)) {
        return Fate::Equivalent;
    }
    if changed.iter().any(|(suite, mesh)| gates_notice(suite, mesh, options)) {
        return Fate::Killed;
    }
    Fate::Survived
}

fn policy_notices(suite: &Suite, mesh: &LoadedMesh) -> bool {
    let Tests::Policy { document, behaviors, cases, snapshots } = &suite.tests else { return false };
    let mut passing = cases.iter().filter_map(|i| document.cases.get(*i));
    let mut kept = snapshots.iter().filter_map(|i| document.spec.snapshots.get(*i));
    passing.any(|case| cases::judge_case(document, case, mesh, behaviors).status != Status::Passed)
        || kept.any(|words| !same_snapshot(document, words, mesh, behaviors))
}

/// A scenario that cannot be run any more has noticed too.
fn gates_notice(suite: &Suite, mesh: &LoadedMesh, options: &TestOptions) -> bool {
    let Tests::Scenario { document, sources, gates } = &suite.tests else { return false };
    let how = RunOptions { threads: 1, ..options.run };
    let ran = scenario::run_changed(document, sources.clone(), &how, mesh.objects.clone());
    ran.map_or(true, |ran| {
        let hold = passed(&ran);
        gates.iter().any(|gate| !hold.contains(gate))
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
