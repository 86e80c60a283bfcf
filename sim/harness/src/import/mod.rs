//! Tests of other tools as a PolicyTest: istio-config-validator and Envoy's router_check_tool.
//!
//! Each foreign test becomes one case that asks the same request of the same manifests; `icv` and `router_check` read
//! the formats, `sender` says who asks (the other tools know no clients), `stand_ins` what stands for objects that the
//! manifests lack (the other tools need no Services). Nothing is weakened: what has no counterpart is left out, by name
//! and place. Formats follow getyourguide/istio-config-validator (docs/test-cases.md) and Envoy's
//! test/tools/router_check/validation.proto.

mod icv;
mod router_check;
mod sender;
mod stand_ins;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use mesh_config::diagnostic::{Diagnostic, Severity, Stage, codes};
use mesh_config::input::InputFile;
use mesh_config::load::read_into;
use mesh_config::source::{Sources, Span};
use mesh_config::yaml::{Document, Node, parse_stream};
use mesh_reports::checks::{CaseVerdict, FileResult, Status};
use serde_json::{Map, Value};

use crate::document::{ReadDocuments, TestDocument, read_inputs};
use crate::findings::finding;
use crate::format::client::Client;
use crate::loaded::{LoadedMesh, MeshInput};
use crate::policy::{self, TestOptions};

/// A format of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// istio-config-validator: `testCases:`.
    Icv,
    /// Envoy's router_check_tool: `tests:`.
    RouterCheck,
}

/// What is imported into what.
#[derive(Debug, Clone)]
pub struct Order {
    /// The format of the tests.
    pub format: Format,
    /// The test files.
    pub tests: Vec<InputFile>,
    /// The manifests.
    pub manifests: Vec<InputFile>,
    /// The manifests as the document is to name them.
    pub spelled: Vec<String>,
    /// Fields of MeshConfig, if any.
    pub config: Option<Value>,
    /// Who asks; by default whom the VirtualService of the host is for.
    pub from: Option<Client>,
    /// Name of the document.
    pub name: String,
}

/// A PolicyTest made of other tools' tests.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// The document.
    pub text: String,
    /// The file table of all places.
    pub sources: Sources,
    /// What was left out ([`codes::NOT_IMPORTED`]), what stands in ([`codes::STAND_IN`]), and problems of the manifests.
    pub diagnostics: Vec<Diagnostic>,
    /// Cases as written; a case with a matrix is one.
    pub cases: usize,
    /// Places of the tests by the names of the cases, matrices expanded.
    places: BTreeMap<String, String>,
}

/// One foreign test in our words.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    /// Its place in the other tool's file.
    at: Span,
    asked: Asked,
    headers: Vec<(String, String)>,
    draw: Option<u64>,
    expect: Map<String, Value>,
}

/// The requests of a test: all combinations.
#[derive(Debug, Clone, Default)]
struct Asked {
    authorities: Vec<String>,
    methods: Vec<String>,
    /// Paths with their query.
    paths: Vec<String>,
    /// The test wants the request to have come by TLS.
    secure: bool,
}

/// Why a test was left out.
fn left_out(at: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(codes::NOT_IMPORTED, Stage::Kind, at, message)
}

/// Translates the tests. With an error among the diagnostics the document is of no use.
#[must_use]
pub fn import(order: &Order) -> Imported {
    let mut out = Imported::default();
    let (objects, problems) = read_into(&mut out.sources, order.manifests.clone());
    out.diagnostics.extend(problems);
    let mut cases = Vec::new();
    for file in &order.tests {
        for document in documents(file, &mut out) {
            match order.format {
                Format::Icv => icv::cases(&document.node, &mut cases, &mut out.diagnostics),
                Format::RouterCheck => router_check::cases(&document.node, &mut cases, &mut out.diagnostics),
            }
        }
    }
    unique(&mut cases);
    let mut input = MeshInput::default();
    let bare = LoadedMesh::of_objects(out.sources.clone(), objects.clone(), &input, Vec::new());
    let stand_ins = stand_ins::stand_ins(&bare);
    for made in stand_ins.iter().filter(|made| !made.wanted_at.is_none()) {
        let message = format!("{} is not among the manifests: a stand-in is used", made.object());
        out.diagnostics.push(
            Diagnostic::warning(codes::STAND_IN, Stage::Kind, made.wanted_at, message)
                .help("it is under `mesh.inline` of the PolicyTest; add the real one to -f to replace it"),
        );
    }
    input.words.inline = (!stand_ins.is_empty()).then(|| stand_ins::text(&stand_ins));
    let inline = InputFile {
        display_name: "<mesh.inline>".to_owned(),
        bytes: input.words.inline.clone().unwrap_or_default().into_bytes(),
    };
    let mut sources = out.sources.clone();
    let (more, _) = read_into(&mut sources, vec![inline]);
    let mesh = LoadedMesh::of_objects(sources, objects.into_iter().chain(more).collect(), &input, Vec::new());
    out.diagnostics.extend(mesh.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned());
    out.cases = cases.len();
    out.text = write::document(order, &cases, &mesh, input.words.inline.as_deref(), &out.sources);
    let read = read_back(&out.text, "imported");
    let mut documents = read.documents.iter();
    if let Some(TestDocument::Policy(policy)) = documents.next() {
        out.places = write::places(&cases, &policy.cases, &mesh, order, &out.sources);
    }
    out
}

/// The YAML (or JSON) documents of a test file; problems are noted.
fn documents(file: &InputFile, out: &mut Imported) -> Vec<Document> {
    let text = mesh_config::load::text_of_bytes(&file.bytes);
    let id = out.sources.add(file.display_name.as_str(), text.as_str());
    let (documents, problems) = parse_stream(id, &text);
    out.diagnostics.extend(problems);
    documents.into_iter().filter(|d| !d.node.is_null()).collect()
}

/// The list under `key`; anything else is no test file.
fn list<'n>(node: &'n Node, key: &str, out: &mut Vec<Diagnostic>) -> &'n [Node] {
    let list = node.get(key).map(Node::sequence).unwrap_or_default();
    if list.is_empty() {
        let message = format!("this document holds no tests: it has no list `{key}`");
        out.push(left_out(node.site(), message));
    }
    list
}

/// Cases are told apart by their names; other tools allow two of one name.
fn unique(cases: &mut [Case]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases {
        let count = seen.entry(case.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            case.name.push_str(&format!(" ({count})"));
        }
    }
}

fn read_back(text: &str, name: &str) -> ReadDocuments {
    let file = InputFile { display_name: name.to_owned(), bytes: text.as_bytes().to_vec() };
    read_inputs(vec![file], Path::new(name), &[])
}

/// Judges the imported tests at once, as `mesh-sim test` would the document; places are those of the tests. `again` is
/// the command line that writes the document to a file. What was left out is unknown.
#[must_use]
pub fn judge(imported: &Imported, name: &str, again: &str, options: &TestOptions) -> FileResult {
    let mut result = match policy::test_read(read_back(&imported.text, name), Path::new(name), options) {
        Some(result) => result,
        None => FileResult { file: name.to_owned(), kind: "PolicyTest".to_owned(), ..FileResult::default() },
    };
    for case in &mut result.cases {
        if let Some(place) = imported.places.get(&case.name) {
            case.place.clone_from(place);
        }
        if !case.reproduce.is_empty() {
            case.reproduce = format!(
                "{again} --write FILE; mesh-sim explain FILE --case {}",
                crate::space::quoted(&case.name)
            );
        }
    }
    for left in imported.diagnostics.iter().filter(|d| d.code == codes::NOT_IMPORTED) {
        let shown = finding(&imported.sources, left);
        result.cases.push(CaseVerdict {
            name: format!("{}:{}", shown.file, shown.line),
            status: Status::Unknown,
            place: format!("{}:{}:{}", shown.file, shown.line, shown.column),
            reason: format!("not imported: {}", shown.message),
            ..CaseVerdict::default()
        });
    }
    result
}
