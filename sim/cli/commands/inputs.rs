//! Reading what commands name: manifests from files, directories, globs and stdin.

use std::mem::ManuallyDrop;
use std::path::Path;

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::document::RawObject;
use mesh_config::input::{Expand, InputFile, expand};
use mesh_config::load;
use mesh_config::source::Sources;
use mesh_harness::document::{Override, ScenarioDocument, TestDocument, is_ours, read_file};
use mesh_harness::format::mesh::MeshWords;
use mesh_harness::loaded::{LoadedMesh, MeshInput};

use super::git;
use crate::args::{Global, Manifests};
use crate::diagnostics;
use crate::exit::Exit;

/// Everything the `-f` options name.
pub(crate) struct Read {
    /// The file table.
    pub(crate) sources: Sources,
    /// Objects in order.
    pub(crate) objects: Vec<RawObject>,
    /// Problems of reading.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads manifests; `-` is stdin, `git:REV:PATH` a revision.
pub(crate) fn read(manifests: &Manifests, more: &[String]) -> Read {
    let (files, mut diagnostics) = files(manifests, more);
    let result = load::read(files);
    diagnostics.extend(result.diagnostics);
    Read { sources: result.sources, objects: result.objects, diagnostics }
}

fn files(manifests: &Manifests, more: &[String]) -> (Vec<InputFile>, Vec<Diagnostic>) {
    let all = manifests.filename.iter().chain(more).cloned();
    let (revisions, arguments): (Vec<String>, Vec<String>) = all.partition(|a| git::parse(a).is_some());
    let mut stdin = std::io::stdin();
    let how =
        Expand { base: None, recursive: manifests.recursive || !more.is_empty(), stdin: Some(&mut stdin) };
    let (mut files, mut diagnostics) = expand(&arguments, how);
    for (revision, path) in revisions.iter().filter_map(|a| git::parse(a)) {
        match git::files(revision, path) {
            Ok(found) => files.extend(found),
            Err(problem) => diagnostics.push(*problem),
        }
    }
    (files, diagnostics)
}

/// The mesh that the `-f` options make: manifests, or the mesh of scenario and policy files with manifests added.
/// `prepare` may add clients. Diagnostics are shown; with errors there is no mesh.
///
/// The mesh is not taken apart at the end: the process ends with the command, and giving back a large mesh piece by
/// piece takes longer than asking it.
pub(crate) fn mesh(
    manifests: &Manifests,
    command: &str,
    prepare: impl FnOnce(&mut MeshInput),
    global: &Global,
) -> Result<ManuallyDrop<LoadedMesh>, Exit> {
    mesh_and_document(manifests, command, prepare, global).map(|(mesh, _)| ManuallyDrop::new(mesh))
}

/// The same, with the scenario or policy test that names the mesh, if one does.
pub(crate) fn mesh_and_document(
    manifests: &Manifests,
    command: &str,
    prepare: impl FnOnce(&mut MeshInput),
    global: &Global,
) -> Result<(LoadedMesh, Option<TestDocument>), Exit> {
    if manifests.filename.is_empty() {
        anstream::eprintln!(
            "error: {command} needs manifests: mesh-sim {command} -f k8s/, or -f scenario.yaml"
        );
        return Err(Exit::Usage);
    }
    let mut input = MeshInput { namespace: manifests.namespace.clone(), ..MeshInput::default() };
    let (documents, plain): (Vec<_>, Vec<_>) =
        manifests.filename.iter().cloned().partition(|f| is_test_file(f));
    let (mut sources, mut objects, mut problems) = (Sources::default(), Vec::new(), Vec::new());
    let mut found_document = None;
    for file in &documents {
        let path = Path::new(file);
        let read = read_file(path, &[]);
        if read.has_errors() {
            diagnostics::show(&read.sources, &read.diagnostics, global);
            return Err(Exit::Input);
        }
        let Some(document) = read.documents.into_iter().next() else { continue };
        let words = document.mesh().clone();
        if documents.len() > 1 {
            anstream::eprintln!(
                "error: {command} takes one scenario or policy file, not {}",
                documents.len()
            );
            return Err(Exit::Usage);
        }
        input.words = words;
        let (files, found) = input.files(path.parent().unwrap_or(Path::new("")));
        problems.extend(found);
        let (more, found) = load::read_into(&mut sources, files);
        objects.extend(more);
        problems.extend(found);
        found_document = Some(document);
        input.read_key_sets(path.parent().unwrap_or(Path::new("")), &mut problems);
    }
    given(manifests, &mut input, &mut sources, &mut problems)?;
    let mut stdin = std::io::stdin();
    let how = Expand { base: None, recursive: manifests.recursive, stdin: Some(&mut stdin) };
    let (files, found) = expand(&plain, how);
    problems.extend(found);
    let (more, found) = load::read_into(&mut sources, files);
    objects.extend(more);
    problems.extend(found);
    problems.extend(load::admission(&objects));
    prepare(&mut input);
    let mesh = LoadedMesh::of_objects(sources, objects, &input, problems);
    diagnostics::show(&mesh.sources, &suppressed(mesh.diagnostics.clone(), global), global);
    if mesh.has_errors() { Err(Exit::Input) } else { Ok((mesh, found_document)) }
}

/// The scenarios of one file.
pub(crate) struct Scenarios {
    /// The file table.
    pub(crate) sources: Sources,
    /// In order.
    pub(crate) scenarios: Vec<ScenarioDocument>,
    /// Problems of reading.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Scenarios {
    /// Whether something is wrong.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// What options add to the meshes of scenarios.
pub(crate) struct Additions {
    files: Vec<InputFile>,
    manifests: Manifests,
}

impl Additions {
    /// Reads the `-f` options, stdin among them; problems are shown.
    pub(crate) fn read(manifests: &Manifests, global: &Global) -> Result<Additions, Exit> {
        let (files, problems) = files(manifests, &[]);
        diagnostics::show(&Sources::default(), &problems, global);
        if problems.iter().any(|d| d.severity == Severity::Error) {
            return Err(Exit::Input);
        }
        Ok(Additions { files, manifests: manifests.clone() })
    }

    /// The scenarios of a file with these additions. What is wrong is in `diagnostics`, not shown yet.
    pub(crate) fn scenarios(&self, path: &Path, overrides: &[Override]) -> Result<Scenarios, Exit> {
        let mut read = read_file(path, overrides);
        let mut scenarios = Vec::new();
        for document in read.documents {
            let TestDocument::Scenario(mut scenario) = document else { continue };
            self.give(&mut scenario.spec.mesh, &mut read.sources, &mut read.diagnostics)?;
            scenarios.push(*scenario);
        }
        Ok(Scenarios { sources: read.sources, scenarios, diagnostics: read.diagnostics })
    }

    /// Adds them to the mesh of one document.
    fn give(
        &self,
        words: &mut MeshWords,
        sources: &mut Sources,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<(), Exit> {
        words.given.files.clone_from(&self.files);
        words.given.namespace.clone_from(&self.manifests.namespace);
        let mut input = MeshInput { words: std::mem::take(words), ..MeshInput::default() };
        given(&self.manifests, &mut input, sources, problems)?;
        *words = input.words;
        Ok(())
    }
}

/// What options give beside manifests: `--mesh-config` and `--jwks`.
pub(crate) fn given(
    manifests: &Manifests,
    input: &mut MeshInput,
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Exit> {
    if let Some(path) = &manifests.mesh_config
        && let Err(why) = input.read_mesh_config(sources, path)
    {
        anstream::eprintln!("error: --mesh-config: {why}");
        return Err(Exit::Input);
    }
    for option in &manifests.jwks {
        let Some((url, file)) = option.rsplit_once('=') else {
            anstream::eprintln!("error: `--jwks {option}` needs the form URL=FILE");
            return Err(Exit::Usage);
        };
        let words = MeshWords { jwks: [(url.to_owned(), file.to_owned())].into(), ..MeshWords::default() };
        let mut given = MeshInput { words, ..MeshInput::default() };
        given.read_key_sets(Path::new(""), problems);
        input.words.jwks.append(&mut given.words.jwks);
    }
    Ok(())
}

/// A scenario or policy test, as opposed to manifests.
fn is_test_file(name: &str) -> bool {
    let path = Path::new(name);
    path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| is_ours(&text))
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
