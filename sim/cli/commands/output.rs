//! What goes where: the one document on stdout, further reports into files, hints to stderr.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::args::{Global, Output};
use crate::exit::Exit;

/// Writes the document to stdout. A closed pipe is no error.
pub(crate) fn stdout(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Good,
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Exit::Good,
        Err(_) => Exit::Internal,
    }
}

/// One `--report KIND=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportTarget {
    /// `html`, `json`, `junit` …
    pub(crate) kind: String,
    /// Where to.
    pub(crate) path: PathBuf,
}

/// Parses the options; a wrong one is a usage error.
pub(crate) fn targets(options: &[String], known: &[&str]) -> Result<Vec<ReportTarget>, Exit> {
    let mut targets = Vec::new();
    for option in options {
        let Some((kind, path)) = option.split_once('=').filter(|(_, path)| !path.is_empty()) else {
            anstream::eprintln!("error: `--report {option}` needs the form KIND=PATH");
            return Err(Exit::Usage);
        };
        if !known.contains(&kind) {
            anstream::eprintln!("error: this command has no report `{kind}`; it has {}", known.join(", "));
            return Err(Exit::Usage);
        }
        targets.push(ReportTarget { kind: kind.to_owned(), path: PathBuf::from(path) });
    }
    Ok(targets)
}

/// The usage error of a command that has no such `-o`.
pub(crate) fn no_such_format(command: &str, global: &Global, known: &[&str]) -> Exit {
    let wanted = global.output.map(Output::name).unwrap_or_default();
    anstream::eprintln!("error: {command} has no output `{wanted}`; it has {}", known.join(", "));
    Exit::Usage
}

/// Writes a report file; the others are still written when one fails.
pub(crate) fn file(path: &Path, text: &str) -> Exit {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty())
        && let Err(e) = std::fs::create_dir_all(parent)
    {
        anstream::eprintln!("error: cannot create {}: {e}", parent.display());
        return Exit::Input;
    }
    // Whole or not at all: a reader never sees half a report. What is no plain file (`/dev/stderr`) is written as it is.
    let plain = path.metadata().map_or(true, |m| m.is_file());
    let part = path.with_file_name(format!(
        ".{}.{}.part",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let written = if plain {
        std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path))
    } else {
        std::fs::write(path, text)
    };
    match written {
        Ok(()) => Exit::Good,
        Err(e) => {
            let _ = std::fs::remove_file(&part);
            anstream::eprintln!("error: cannot write {}: {e}", path.display());
            Exit::Input
        }
    }
}

/// Any serialisable document as pretty JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Any serialisable document as one line of JSON.
pub(crate) fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// Any serialisable document as YAML.
pub(crate) fn yaml(value: &impl serde::Serialize) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}
