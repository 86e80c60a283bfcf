//! Reading what commands name: manifests from files, directories, globs and stdin.

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::document::RawObject;
use mesh_config::input::{Expand, expand};
use mesh_config::load;
use mesh_config::source::Sources;

use crate::args::{Global, Manifests};

/// Everything the `-f` options name.
pub(crate) struct Read {
    /// The file table.
    pub(crate) sources: Sources,
    /// Objects in order.
    pub(crate) objects: Vec<RawObject>,
    /// Problems of reading.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads manifests; `-` is stdin.
pub(crate) fn read(manifests: &Manifests, more: &[String]) -> Read {
    let arguments: Vec<String> = manifests.filename.iter().chain(more).cloned().collect();
    let mut stdin = std::io::stdin();
    let how =
        Expand { base: None, recursive: manifests.recursive || !more.is_empty(), stdin: Some(&mut stdin) };
    let (files, mut diagnostics) = expand(&arguments, how);
    let result = load::read(files);
    diagnostics.extend(result.diagnostics);
    Read { sources: result.sources, objects: result.objects, diagnostics }
}

/// Takes out what `-S CODE[=Kind name.ns]` suppresses. Errors stay: a cluster would refuse the object all the same.
pub(crate) fn suppressed(diagnostics: Vec<Diagnostic>, global: &Global) -> Vec<Diagnostic> {
    diagnostics
        .into_iter()
        .filter(|d| d.severity == Severity::Error || !global.suppress.iter().any(|rule| suppresses(rule, d)))
        .collect()
}

fn suppresses(rule: &str, diagnostic: &Diagnostic) -> bool {
    let (code, object) = rule.split_once('=').unwrap_or((rule, ""));
    if code != diagnostic.code.0 {
        return false;
    }
    if object.is_empty() {
        return true;
    }
    let Some(subject) = &diagnostic.object else { return false };
    let text = if subject.namespace.is_empty() {
        format!("{} {}", subject.kind, subject.name)
    } else {
        format!("{} {}.{}", subject.kind, subject.name, subject.namespace)
    };
    glob(object, &text)
}

/// `*` matches any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(tail) = text.strip_prefix(head) else { return false };
            tail.char_indices()
                .map(|(i, _)| i)
                .chain([tail.len()])
                .any(|i| tail.get(i..).is_some_and(|t| glob(rest, t)))
        }
    }
}
