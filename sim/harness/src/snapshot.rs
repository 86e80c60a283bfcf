//! Outcome snapshots: what every request of a scope ends in, kept as a text file beside the policy test that asks for
//! it (`spec.snapshots`), compared by `mesh-sim test`, written and reviewed by `mesh-sim snapshot`.
//!
//! Nothing here writes: the command line does, and never in CI.

mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mesh_reports::checks::{CaseVerdict, FileResult, KeyDifference, Status};
use mesh_reports::findings::{Finding, Level};
use rayon::prelude::*;

pub use table::Table;

use crate::document::{Heading, Override, PolicyDocument, TestDocument, is_ours, read_file};
use crate::format::client::WorkloadRef;
use crate::format::policy::SnapshotWords;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::policy::prepared;
use crate::predict::Prediction;
use crate::space::{Class, Scope, Space, explained_with};

/// The directory of snapshot files, beside the documents that ask for them.
const DIRECTORY: &str = "snapshots";
/// Extension of snapshot files.
const EXTENSION: &str = "snap";
/// Most differences that a verdict shows.
const SHOWN: usize = 5;

/// How a snapshot file compares with today's prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Equal.
    Same,
    /// There is no file.
    Missing,
    /// Different outcomes.
    Changed(Vec<Difference>),
    /// The file is not whole, or was edited: line and reason.
    Broken(usize, String),
}

/// One request that ends differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The request and its sender.
    pub request: String,
    /// Line of the file; 0 = it is not there.
    pub line: usize,
    /// As recorded; empty = not recorded.
    pub recorded: String,
    /// As predicted; empty = no longer asked.
    pub predicted: String,
}

/// One snapshot, compared.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The snapshot file.
    pub file: PathBuf,
    /// Name of the snapshot.
    pub name: String,
    /// How it compares.
    pub state: State,
    /// What the file would hold today.
    pub text: String,
}

/// Everything under some paths.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// In order of documents.
    pub snapshots: Vec<Compared>,
    /// Files that no document asks for.
    pub obsolete: Vec<PathBuf>,
    /// What could not be read.
    pub broken: Vec<Finding>,
}

/// Compares every snapshot that documents under these files ask for.
#[must_use]
pub fn survey(files: &[PathBuf], overrides: &[Override]) -> Survey {
    let mut survey = Survey { obsolete: obsolete(files), ..Survey::default() };
    for file in files {
        let read = read_file(file, overrides);
        if read.has_errors() {
            survey.broken.extend(crate::findings::findings(&read.sources, &read.diagnostics));
            continue;
        }
        for document in &read.documents {
            let TestDocument::Policy(policy) = document else { continue };
            if policy.spec.snapshots.is_empty() {
                continue;
            }
            match prepared(policy, read.sources.clone()) {
                Ok((mesh, behaviors)) => survey.snapshots.extend(
                    policy.spec.snapshots.iter().map(|words| compare(policy, words, &mesh, &behaviors)),
                ),
                Err(broken) => survey.broken.extend(broken),
            }
        }
    }
    survey.broken.retain(|f| f.severity == Level::Error);
    survey
}

/// Compares one snapshot.
#[must_use]
pub fn compare(
    document: &PolicyDocument,
    words: &SnapshotWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
) -> Compared {
    let space = Space::of(&[mesh], &scope(words));
    let today = Table::of(mesh, &space, behaviors, document.spec.mesh.profile.as_deref());
    let file = file(&document.heading, &words.name);
    let state = match std::fs::read(&file) {
        Err(_) => State::Missing,
        Ok(bytes) => match Table::parse(&String::from_utf8_lossy(&bytes)) {
            Err((line, why)) => State::Broken(line, why),
            Ok(recorded) => {
                let differences = recorded.differences(&today);
                if differences.is_empty() { State::Same } else { State::Changed(differences) }
            }
        },
    };
    Compared { file, name: words.name.clone(), state, text: today.text() }
}

/// What a snapshot asks.
fn scope(words: &SnapshotWords) -> Scope {
    let any = |reference: &WorkloadRef| !matches!(reference, WorkloadRef::Name { namespace: None, name, ordinal: None } if name == "any");
    Scope {
        from: words.from.as_ref().map(|f| f.value.clone()).filter(any),
        to: words.to.as_ref().map(|t| t.value.clone()).filter(any),
        port: words.port,
        methods: words.methods.clone(),
        paths: words.paths.clone(),
        ..Scope::default()
    }
}

/// Every outcome of what a snapshot asks, with its steps.
pub(crate) fn asked(words: &SnapshotWords, mesh: &LoadedMesh, behaviors: &Behaviors) -> Vec<Prediction> {
    let classes = Space::of(&[mesh], &scope(words)).classes;
    let outcomes = |class: &Class| explained_with(mesh, class, behaviors).unwrap_or_default();
    classes.par_iter().flat_map_iter(outcomes).collect()
}

/// The verdict of `mesh-sim test`, or what is wrong with the file.
///
/// # Errors
/// A file that is not whole.
pub fn judge(compared: &Compared, place: String) -> Result<CaseVerdict, Box<Finding>> {
    let file = compared.file.to_string_lossy().into_owned();
    let mut verdict = CaseVerdict {
        name: format!("snapshot {}", compared.name),
        status: Status::Failed,
        place,
        ..CaseVerdict::default()
    };
    match &compared.state {
        State::Same => verdict.status = Status::Passed,
        State::Missing => verdict.reason = format!("{file} does not exist: `mesh-sim snapshot` writes it"),
        State::Broken(line, why) => {
            return Err(Box::new(Finding {
                code: "snapshot".to_owned(),
                stage: "parse".to_owned(),
                message: why.clone(),
                file,
                line: u32::try_from(*line).unwrap_or(u32::MAX),
                column: 1,
                help: Some(
                    "restore it from version control, or write it anew with `mesh-sim snapshot review`"
                        .to_owned(),
                ),
                ..Finding::default()
            }));
        }
        State::Changed(differences) => {
            let shown =
                |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
            verdict.differences = differences
                .iter()
                .take(SHOWN)
                .map(|d| KeyDifference {
                    key: d.request.clone(),
                    expected: shown(&d.recorded, "not recorded"),
                    got: shown(&d.predicted, "no longer asked"),
                })
                .collect();
            let first = differences.iter().map(|d| d.line).find(|line| *line > 0).unwrap_or(1);
            verdict.decided_at = format!("{file}:{first}:1");
            verdict.reason = format!(
                "{} requests end differently than {file} says; `mesh-sim snapshot review` accepts or rejects that",
                differences.len()
            );
        }
    }
    Ok(verdict)
}

/// Where a snapshot is kept.
fn file(heading: &Heading, name: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = format!("{}.{name}", heading.name).chars().map(plain).collect();
    heading.base().join(DIRECTORY).join(format!("{name}.{EXTENSION}"))
}

/// Snapshot files beside these documents that no document of their directory asks for, sorted.
#[must_use]
pub fn obsolete(files: &[PathBuf]) -> Vec<PathBuf> {
    let directories: BTreeSet<PathBuf> =
        files.iter().map(|f| f.parent().unwrap_or(Path::new("")).to_path_buf()).collect();
    let mut found = Vec::new();
    for directory in directories {
        let kept = listed(&directory.join(DIRECTORY), EXTENSION);
        if kept.is_empty() {
            continue;
        }
        let documents = ["yaml", "yml"].into_iter().flat_map(|e| listed(&directory, e));
        let wanted: BTreeSet<PathBuf> = documents.flat_map(|d| asked_by(&d)).collect();
        found.extend(kept.into_iter().filter(|f| !wanted.contains(f)));
    }
    found.sort();
    found
}

/// An obsolete file as `mesh-sim test` shows it.
#[must_use]
pub fn obsolete_result(file: &Path) -> FileResult {
    let reason = "obsolete: no PolicyTest beside its directory asks for it; delete it, or let `mesh-sim snapshot review` do so";
    FileResult {
        file: file.to_string_lossy().into_owned(),
        kind: "Snapshot".to_owned(),
        cases: vec![CaseVerdict {
            name: "snapshot is in use".to_owned(),
            status: Status::Failed,
            place: format!("{}:1:1", file.display()),
            reason: reason.to_owned(),
            ..CaseVerdict::default()
        }],
        ..FileResult::default()
    }
}

fn listed(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(here) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries
        .flatten()
        .map(|e| directory.join(e.file_name()))
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    all.sort();
    all
}

/// The snapshot files that a document asks for.
fn asked_by(path: &Path) -> Vec<PathBuf> {
    if !std::fs::read_to_string(path).is_ok_and(|text| is_ours(&text)) {
        return Vec::new();
    }
    let read = read_file(path, &[]);
    let mut all = Vec::new();
    for document in &read.documents {
        if let TestDocument::Policy(policy) = document {
            all.extend(policy.spec.snapshots.iter().map(|words| file(&policy.heading, &words.name)));
        }
    }
    all
}
