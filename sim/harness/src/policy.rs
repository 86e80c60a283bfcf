//! `mesh-sim test`: every policy test and gated scenario under some paths, judged.
//!
//! Files are judged in parallel and reported in path order: threads change nothing but the waiting.

mod cases;
mod for_all;
mod pods;

use std::path::{Path, PathBuf};

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::source::Sources;
use mesh_reports::checks::{CaseVerdict, FileResult, KeyDifference, Status, TestReport};
use mesh_reports::run::{Gate, GateVerdict};
use rayon::prelude::*;

use crate::document::{Heading, Override, ReadDocuments, ScenarioDocument, TestDocument, is_ours, read_file};
use crate::scenario::{self, RunOptions};

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
}

impl TestOptions {
    /// Whether a case is wanted.
    fn takes(&self, file: &str, name: &str) -> bool {
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

/// Judges everything found under some paths.
#[must_use]
pub fn test_paths(paths: &[PathBuf], options: &TestOptions) -> TestReport {
    let mine = |index: usize| options.shard.is_none_or(|(i, n)| index as u32 % n.max(1) == i);
    let files: Vec<PathBuf> =
        find(paths).into_iter().enumerate().filter(|(i, _)| mine(*i)).map(|(_, f)| f).collect();
    let mut results = Vec::new();
    if options.fail_fast {
        for file in &files {
            results.extend(test_file(file, options));
            if TestReport::new(results.clone()).failed(false) {
                break;
            }
        }
    } else {
        let judge = || files.par_iter().map(|f| test_file(f, options)).collect::<Vec<_>>();
        let all = match rayon::ThreadPoolBuilder::new().num_threads(options.run.threads).build() {
            Ok(pool) => pool.install(judge),
            Err(_) => judge(),
        };
        results = all.into_iter().flatten().collect();
    }
    TestReport::new(results)
}

/// Judges one file: one result per document.
fn test_file(path: &Path, options: &TestOptions) -> Vec<FileResult> {
    let read = read_file(path, &options.overrides);
    let file = path.to_string_lossy().into_owned();
    if read.has_errors() {
        let broken = errors(&read.sources, &read.diagnostics);
        return vec![FileResult { file, broken, ..FileResult::default() }];
    }
    let ReadDocuments { sources, documents, .. } = read;
    let mut results = Vec::new();
    for document in documents {
        let result = match &document {
            TestDocument::Policy(policy) => cases::test(policy, sources.clone(), options),
            TestDocument::Scenario(scenario) => gates(scenario, sources.clone(), options),
        };
        // A scenario without gates proves nothing.
        results.extend(result.filter(|r| !r.cases.is_empty() || !r.broken.is_empty()));
    }
    results
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

/// The gates of a scenario; `None` when none of them is wanted.
fn gates(document: &ScenarioDocument, sources: Sources, options: &TestOptions) -> Option<FileResult> {
    let mut result = result_of(&document.heading, "Scenario");
    let wanted = options.takes(&result.file, &document.heading.name);
    if document.spec.expect.is_empty() || !wanted {
        return None;
    }
    // The files are judged in parallel already.
    match scenario::run(document, sources, &RunOptions { threads: 1, ..options.run }) {
        Ok(ran) => {
            let reproduce = format!("mesh-sim run {}", result.file);
            result.cases = ran.report.gates.iter().map(|g| gate_case(g, &reproduce)).collect();
        }
        Err(problems) => {
            let (sources, diagnostics) = *problems;
            result.broken = errors(&sources, &diagnostics);
        }
    }
    Some(result)
}

fn gate_case(gate: &Gate, reproduce: &str) -> CaseVerdict {
    let (status, reason) = match gate.verdict {
        GateVerdict::Passed => (Status::Passed, String::new()),
        GateVerdict::Failed => (Status::Failed, String::new()),
        GateVerdict::Unknown => (Status::Unknown, gate.got.clone()),
        GateVerdict::Refused => (Status::Failed, gate.got.clone()),
    };
    let difference =
        KeyDifference { key: "gate".to_owned(), expected: gate.expected.clone(), got: gate.got.clone() };
    CaseVerdict {
        name: gate.text.clone(),
        status,
        differences: if status == Status::Failed { vec![difference] } else { Vec::new() },
        place: gate.place.clone(),
        decided_at: gate.decided_by.clone(),
        reproduce: reproduce.to_owned(),
        reason,
        ..CaseVerdict::default()
    }
}

/// The errors among some diagnostics, one line each.
fn errors(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| {
        let place =
            if d.span().is_none() { String::new() } else { format!("{}: ", sources.location(d.span())) };
        let help = d.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{place}{}: {}{help}", d.code.0, d.message)
    };
    diagnostics.iter().filter(|d| d.severity == Severity::Error).map(line).collect()
}

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
