//! Recordings against deliberately wrong versions of their scenarios: a judge that lets one pass judges nothing.
//!
//! The table is `mutations.tsv`. What is replaced is text of the recording's own files, so a mutation is exactly what a
//! user would change.

use std::path::{Path, PathBuf};

use super::recording::Recording;

/// One wrong version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Recording.
    pub recording: String,
    /// `routing`, `app` (manifests) or `scenario`.
    pub file: String,
    /// Text that stands there; the first place is changed.
    pub from: String,
    /// What it becomes.
    pub to: String,
}

/// All of them, in the table's order.
#[must_use]
pub fn mutations() -> Vec<Mutation> {
    let lines = include_str!("mutations.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut parts = line.split('\t').map(|part| part.replace("\\n", "\n"));
            let mut next = || parts.next();
            Some(Mutation { recording: next()?, file: next()?, from: next()?, to: next()? })
        })
        .collect()
}

/// The same observations, with a scenario that is wrong; its files are written below `scratch`.
///
/// # Errors
/// Files that cannot be copied, or a text that does not stand where it should.
pub fn mutated(recording: &Recording, mutation: &Mutation, scratch: &Path) -> std::io::Result<Recording> {
    let source = recording.scenario.parent().unwrap_or(Path::new("."));
    let manifests = scratch.join("manifests");
    std::fs::create_dir_all(&manifests)?;
    let changed = match mutation.file.as_str() {
        "scenario" => PathBuf::from("scenario.yaml"),
        manifest => Path::new("manifests").join(format!("{manifest}.yaml")),
    };
    let mut files = vec![PathBuf::from("scenario.yaml")];
    for entry in std::fs::read_dir(source.join("manifests"))? {
        files.push(Path::new("manifests").join(entry?.file_name()));
    }
    let mut found = false;
    for file in files {
        let text = std::fs::read_to_string(source.join(&file))?;
        let text = if file == changed && text.contains(&mutation.from) {
            found = true;
            text.replacen(&mutation.from, &mutation.to, 1)
        } else {
            text
        };
        std::fs::write(scratch.join(&file), text)?;
    }
    if !found {
        let message = format!("{}: no `{}` in {}", mutation.recording, mutation.from, mutation.file);
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, message));
    }
    Ok(Recording { scenario: scratch.join("scenario.yaml"), ..recording.clone() })
}
