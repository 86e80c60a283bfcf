//! `mesh-sim test`: every policy test and gated scenario under some paths, judged.
//!
//! Files are judged in parallel and reported in path order: threads change nothing but the waiting.

pub(crate) mod asked;
mod audit;
mod cases;
mod explain;
mod for_all;
mod mutants;
mod mutate;
mod names;
mod pods;

use std::path::{Path, PathBuf};

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::source::Sources;
use mesh_reports::checks::{CaseVerdict, FileResult, Status, Stopped, TestReport};
use mesh_reports::findings::Finding;
use rayon::prelude::*;

use crate::document::{
    Heading, Override, PolicyDocument, ReadDocuments, ScenarioDocument, TestDocument, is_ours, read_file,
};
use crate::findings::findings;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::scenario::{self, RunOptions};
use crate::snapshot;
use crate::stop::Stop;

pub use explain::{CaseExplained, explain_case};
pub use mutate::mutate;

/// How tests are run.
#[derive(Debug, Clone, Default)]
pub struct TestOptions {
    /// Overrides of every document.
    pub overrides: Vec<Override>,
    /// How scenarios are run.
    pub run: RunOptions,
    /// Only cases whose `file: name` contains one of these; empty = all.
    pub filter: Vec<String>,
    /// Only files at positions `i` of every `n`.
    pub shard: Option<(u32, u32)>,
    /// Stop after the first file that fails.
    pub fail_fast: bool,
    /// Asked when the user wants no more.
    pub stop: Stop,
}

impl TestOptions {
    /// Whether a case is wanted.
    pub(crate) fn takes(&self, file: &str, name: &str) -> bool {
        let text = format!("{file}: {name}");
        self.filter.is_empty() || self.filter.iter().any(|f| text.contains(f.as_str()))
    }
}

/// The files under some paths that hold documents of ours, sorted. Directories are searched to the bottom; a file
/// named directly is always taken.
#[must_use]
pub fn find(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() { search(path, &mut found) } else { found.push(path.clone()) }
    }
    found.sort();
    found.dedup();
    found
}

fn search(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            search(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml")
            && std::fs::read_to_string(&path).is_ok_and(|text| is_ours(&text))
        {
            found.push(path);
        }
    }
}

/// Judges everything found under some paths. When it is stopped, or something fails under `fail_fast`, the files that
/// were not judged are listed.
#[must_use]
pub fn test_paths(paths: &[PathBuf], options: &TestOptions) -> TestReport {
    let mine = |index: usize| options.shard.is_none_or(|(i, n)| index as u32 % n.max(1) == i);
    let files: Vec<PathBuf> =
        find(paths).into_iter().enumerate().filter(|(i, _)| mine(*i)).map(|(_, f)| f).collect();
    let judge = |file: &PathBuf| (!options.stop.asked()).then(|| test_file(file, options));
    let mut report = TestReport::new(Vec::new());
    let mut failed = false;
    let mut take = |file: &PathBuf, judged: Option<Vec<FileResult>>| match judged {
        Some(mut results) => report.files.append(&mut results),
        None => report.not_run.push(file.to_string_lossy().into_owned()),
    };
    if options.fail_fast {
        for file in &files {
            let judged = if failed { None } else { judge(file) };
            failed |= judged.as_ref().is_some_and(|r| TestReport::new(r.clone()).failed(false));
            take(file, judged);
        }
    } else {
        let all = || files.par_iter().map(judge).collect::<Vec<_>>();
        let judged = match rayon::ThreadPoolBuilder::new().num_threads(options.run.threads).build() {
            Ok(pool) => pool.install(all),
            Err(_) => all(),
        };
        files.iter().zip(judged).for_each(|(file, judged)| take(file, judged));
    }
    report.files.extend(snapshot::obsolete(&files).iter().map(|f| snapshot::obsolete_result(f)));
    if !report.not_run.is_empty() {
        report.stopped = Some(if failed { Stopped::FailFast } else { Stopped::Interrupted });
    }
    report
}

/// The paths under which nothing was found that could fail: a misspelt directory, a scenario without gates. Not asked
/// of a part (a shard, a run that was stopped).
#[must_use]
pub fn without_tests<'a>(paths: &'a [PathBuf], report: &TestReport) -> Vec<&'a Path> {
    // `.` is a prefix of nothing that is shown.
    let below = |path: &Path, file: &str| path == Path::new(".") || Path::new(file).starts_with(path);
    let empty = |path: &&PathBuf| !report.files.iter().any(|f| below(path, &f.file));
    paths.iter().filter(empty).map(PathBuf::as_path).collect()
}

/// The mesh and behaviours of a policy test.
///
/// # Errors
/// What is wrong with it.
pub fn prepared(
    document: &PolicyDocument,
    sources: Sources,
) -> Result<(LoadedMesh, Behaviors), Vec<Finding>> {
    cases::prepare(document, sources).map(|p| (p.mesh, p.behaviors))
}

/// Judges a PolicyTest that was read already, as the file `path`; `None` when it holds none.
pub(crate) fn test_read(read: ReadDocuments, path: &Path, options: &TestOptions) -> Option<FileResult> {
    judged(read, path, options).into_iter().next()
}

/// Judges one file: one result per document.
fn test_file(path: &Path, options: &TestOptions) -> Vec<FileResult> {
    judged(read_file(path, &options.overrides), path, options)
}

fn judged(read: ReadDocuments, path: &Path, options: &TestOptions) -> Vec<FileResult> {
    let file = path.to_string_lossy().into_owned();
    if read.has_errors() {
        let broken = errors(&read.sources, &read.diagnostics);
        return vec![FileResult { file, broken, ..FileResult::default() }];
    }
    let ReadDocuments { sources, documents, .. } = read;
    let judged = documents.into_iter().map(|document| match &document {
        TestDocument::Policy(policy) => cases::test(policy, sources.clone(), options),
        TestDocument::Scenario(scenario) => gates(scenario, sources.clone(), options),
    });
    // A scenario without gates proves nothing.
    judged.filter(|r| !r.cases.is_empty() || !r.broken.is_empty()).collect()
}

/// A case that the filter leaves out.
fn skipped(name: &str) -> CaseVerdict {
    CaseVerdict {
        name: name.to_owned(),
        status: Status::Skipped,
        reason: "left out by the filter".to_owned(),
        ..CaseVerdict::default()
    }
}

/// What every result starts from.
fn result_of(heading: &Heading, kind: &str) -> FileResult {
    FileResult {
        file: heading.file.to_string_lossy().into_owned(),
        kind: kind.to_owned(),
        name: heading.name.clone(),
        rows: heading.rows.clone(),
        ..FileResult::default()
    }
}

/// The gates of a scenario; a filter takes all of them or none, by the scenario's name.
fn gates(document: &ScenarioDocument, sources: Sources, options: &TestOptions) -> FileResult {
    let mut result = result_of(&document.heading, "Scenario");
    if !options.takes(&result.file, &document.heading.name) {
        let count = document.spec.expect.len();
        result.cases = (1..=count).map(|i| skipped(&format!("{} gate {i}", document.heading.name))).collect();
    }
    if document.spec.expect.is_empty() || !result.cases.is_empty() {
        return result;
    }
    // The files are judged in parallel already.
    match scenario::run(document, sources, &RunOptions { threads: 1, ..options.run }) {
        Ok(ran) => {
            let reproduce = format!("mesh-sim run {}", result.file);
            result.cases = ran.report.gates.iter().map(|g| CaseVerdict::of_gate(g, &reproduce)).collect();
        }
        Err(problems) => {
            let (sources, diagnostics) = *problems;
            result.broken = errors(&sources, &diagnostics);
        }
    }
    result
}

/// The errors among some diagnostics.
fn errors(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<Finding> {
    let errors: Vec<Diagnostic> =
        diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
    findings(sources, &errors)
}

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
