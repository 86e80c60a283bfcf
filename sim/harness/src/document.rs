//! Files to documents: scenarios and policy tests, with overrides applied and matrices expanded.
//!
//! Reading is `mesh-config`'s: spans, all errors at once, "did you mean". A file may hold several documents;
//! manifests beside them are not ours and are reported.

mod cases;
mod expand;
mod gates;
mod overrides;

use std::path::{Path, PathBuf};

use mesh_config::decode::{DecodeCx, from_node};
use mesh_config::diagnostic::{Diagnostic, Severity, Stage, codes};
use mesh_config::document::RawObject;
use mesh_config::input::{Expand, InputFile, expand as expand_inputs};
use mesh_config::load;
use mesh_config::source::{Sources, Span};
use serde::Deserialize;

use crate::format::mesh::MeshWords;
use crate::format::policy::{CaseWords, PolicySpec};
use crate::format::scenario::ScenarioSpec;
pub use gates::BUILT_IN as BUILT_IN_GATES;
pub use overrides::Override;

/// The API version of our documents.
pub const API_VERSION: &str = "mesh-sim.dev/v1alpha1";

/// What every document has.
#[derive(Debug, Clone, Default)]
pub struct Heading {
    /// `metadata.name`
    pub name: String,
    /// `metadata.description`
    pub description: String,
    /// Rows of the walk-throughs the document shows (label `row`, comma-separated).
    pub rows: Vec<String>,
    /// The file it stands in.
    pub file: PathBuf,
    /// Its place.
    pub origin: Span,
}

impl Heading {
    /// The directory that relative manifest paths start from.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// A scenario document.
#[derive(Debug, Clone)]
pub struct ScenarioDocument {
    /// Name, place …
    pub heading: Heading,
    /// What it says.
    pub spec: ScenarioSpec,
}

/// A policy test document.
#[derive(Debug, Clone)]
pub struct PolicyDocument {
    /// Name, place …
    pub heading: Heading,
    /// Mesh and behaviours.
    pub spec: PolicySpec,
    /// Cases, matrices expanded.
    pub cases: Vec<CaseWords>,
}

/// One document of a file.
#[derive(Debug, Clone)]
pub enum TestDocument {
    /// `kind: Scenario`
    Scenario(Box<ScenarioDocument>),
    /// `kind: PolicyTest`
    Policy(Box<PolicyDocument>),
}

impl TestDocument {
    /// The mesh under test.
    #[must_use]
    pub fn mesh(&self) -> &MeshWords {
        match self {
            TestDocument::Scenario(document) => &document.spec.mesh,
            TestDocument::Policy(document) => &document.spec.mesh,
        }
    }
}

/// Everything one file holds.
#[derive(Debug, Default)]
pub struct ReadDocuments {
    /// The file table of all spans.
    pub sources: Sources,
    /// Documents in order.
    pub documents: Vec<TestDocument>,
    /// Problems; with an error among them the documents are incomplete.
    pub diagnostics: Vec<Diagnostic>,
}

impl ReadDocuments {
    /// Whether something is wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    description: String,
    labels: std::collections::BTreeMap<String, String>,
    #[serde(rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopLevel {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    #[serde(rename = "spec")]
    _spec: serde::de::IgnoredAny,
}

/// Reads one file.
#[must_use]
pub fn read_file(path: &Path, overrides: &[Override]) -> ReadDocuments {
    let (inputs, problems) = expand_inputs(&[path.to_string_lossy().into_owned()], Expand::default());
    let mut out = read_inputs(inputs, path, overrides);
    out.diagnostics.splice(0..0, problems);
    out
}

/// Reads documents that need not be on any disk; `path` is where they would stand, which relative paths start from.
#[must_use]
pub fn read_inputs(inputs: Vec<InputFile>, path: &Path, overrides: &[Override]) -> ReadDocuments {
    let read = load::read(inputs);
    let mut out =
        ReadDocuments { sources: read.sources, documents: Vec::new(), diagnostics: read.diagnostics };
    for object in read.objects {
        one(object, path, overrides, &mut out);
    }
    out
}

/// Whether a text is worth reading as one of our documents.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    text.contains("mesh-sim.dev/")
}

fn one(mut object: RawObject, path: &Path, overrides: &[Override], out: &mut ReadDocuments) {
    let reference = object.reference();
    if object.group() != "mesh-sim.dev" {
        let message =
            format!("`{}` is no test document; manifests belong under `spec.mesh.manifests`", object.kind);
        out.diagnostics.push(Diagnostic::warning(codes::NOT_READ, Stage::Kind, object.span, message));
        return;
    }
    // Gates are used by tests; alone they have no mesh.
    if object.api_version == API_VERSION && object.kind == "Gate" {
        return;
    }
    if object.api_version != API_VERSION || !matches!(object.kind.as_str(), "Scenario" | "PolicyTest") {
        let message = format!("`{}` `{}` does not exist", object.api_version, object.kind);
        out.diagnostics.push(
            Diagnostic::error(codes::UNKNOWN_KIND, Stage::Kind, object.span, message)
                .help(format!("`{API_VERSION}` has `Scenario` and `PolicyTest`")),
        );
        return;
    }
    for change in overrides.iter().filter(|change| !change.is_of_object()) {
        if let Err(message) = change.apply(&mut object.node) {
            out.diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, Stage::Schema, object.span, message));
        }
    }
    let mut cx = DecodeCx::new(Some(reference.clone()), "");
    let top: TopLevel = from_node(&object.node, &mut cx).unwrap_or_default();
    out.diagnostics.append(&mut cx.diagnostics);
    let rows = top.metadata.labels.get("row").map(String::as_str).unwrap_or_default();
    let heading = Heading {
        name: top.metadata.name,
        description: top.metadata.description,
        rows: rows.split([',', ' ']).filter(|r| !r.is_empty()).map(str::to_owned).collect(),
        file: path.to_owned(),
        origin: object.span,
    };
    let mut cx = DecodeCx::new(Some(reference), "spec");
    let Some(spec) = object.spec() else {
        let message = format!("{} has no `spec`", object.kind);
        out.diagnostics.push(Diagnostic::error(codes::MISSING_FIELD, Stage::Schema, object.span, message));
        return;
    };
    let of_objects = || overrides.iter().filter(|change| change.is_of_object()).cloned().collect();
    let document = if object.kind == "Scenario" {
        from_node::<ScenarioSpec>(spec, &mut cx).map(|mut spec| {
            spec.mesh.given.overrides = of_objects();
            TestDocument::Scenario(Box::new(ScenarioDocument { heading, spec }))
        })
    } else {
        let at = spec.get("uses").map_or(Span::NONE, |u| u.span);
        cases::policy(spec, &mut cx).map(|(mut spec, mut cases)| {
            spec.mesh.given.overrides = of_objects();
            let gates =
                gates::cases_of(&spec.uses.0, at, heading.base(), &mut out.sources, &mut out.diagnostics);
            cases.extend(gates);
            TestDocument::Policy(Box::new(PolicyDocument { heading, spec, cases }))
        })
    };
    out.diagnostics.append(&mut cx.diagnostics);
    out.documents.extend(document);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_yaml(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("directory") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                all_yaml(&path, out);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                out.push(path);
            }
        }
    }

    #[test]
    fn every_document_of_the_project_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = Vec::new();
        for dir in ["scenarios", "policies", "tests/conformance/dynamic"] {
            all_yaml(&root.join(dir), &mut files);
        }
        let mut documents = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).expect("text");
            if !is_ours(&text) {
                continue;
            }
            let read = read_file(&file, &[]);
            let problems: Vec<String> = read
                .diagnostics
                .iter()
                .map(|d| {
                    let place = d.labels.first().map(|l| read.sources.location(l.span)).unwrap_or_default();
                    format!("{place}: {}", d.message)
                })
                .collect();
            assert!(problems.is_empty(), "{problems:#?}");
            documents += read.documents.len();
        }
        assert!(documents > 90, "{documents}");
    }
}
