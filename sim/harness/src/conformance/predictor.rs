//! Predictions for corpus cases: the mesh of a directory, and one enumeration per case.

use std::path::Path;

use mesh_config::source::Sources;
use mesh_reports::outcome::Outcome;
use serde::Deserialize;

use super::case::{Case, CorpusMesh};
use crate::format::client::Client;
use crate::format::mesh::MeshWords;
use crate::format::request;
use crate::loaded::{LoadedMesh, MeshInput};
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{client_request, sender};
use crate::predict::{Prediction, predict, repeat};

/// Loads the mesh of a corpus directory.
///
/// # Errors
/// The first error among its diagnostics, with its place.
pub fn load(mesh: &CorpusMesh) -> Result<LoadedMesh, String> {
    load_at(mesh, MeshWords::default())
}

/// Loads the mesh of a corpus directory with what its recording says beside the manifests (addresses, what parties
/// outside answered).
///
/// # Errors
/// The first error among its diagnostics, with its place.
pub fn load_at(mesh: &CorpusMesh, words: MeshWords) -> Result<LoadedMesh, String> {
    let mut input = MeshInput { words, ..MeshInput::default() };
    input.words.manifests = mesh.manifests.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    for from in mesh.clients.iter().chain(mesh.cases.iter().map(|c| &c.from)) {
        if let Ok(client) = Client::deserialize(from) {
            input.note_client(&client);
        }
    }
    let mut sources = Sources::default();
    if let Some(path) = &mesh.mesh_config {
        input.words.config = Some(mesh_config(&mut sources, path)?);
    }
    let loaded = LoadedMesh::load(sources, &input, Path::new(""));
    let first = loaded.diagnostics.iter().find(|d| d.severity == mesh_config::diagnostic::Severity::Error);
    match first {
        Some(error) => {
            let place = loaded.place(error.span()).unwrap_or_default();
            Err(format!("{} at {place}", error.message))
        }
        None => Ok(loaded),
    }
}

/// `meshconfig.yaml`: the fields of MeshConfig, no manifest.
pub(crate) fn mesh_config(
    sources: &mut Sources,
    path: &Path,
) -> Result<mesh_config::resource::mesh_config::MeshConfig, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let file = sources.add(path.to_string_lossy().into_owned(), text.clone());
    let (documents, problems) = mesh_config::yaml::parse_stream(file, &text);
    if let Some(problem) = problems.first() {
        return Err(problem.message.clone());
    }
    let mut cx = mesh_config::decode::DecodeCx::default();
    let node = documents.into_iter().next().map(|d| d.node).unwrap_or_default();
    let decoded = mesh_config::decode::from_node(&node, &mut cx);
    match cx.diagnostics.first() {
        Some(problem) => Err(format!("{} at {}", problem.message, sources.location(problem.span()))),
        None => decoded.ok_or_else(|| format!("{}: no MeshConfig", path.display())),
    }
}

/// Predicts one case.
///
/// # Errors
/// Why there is no prediction.
pub fn predict_case(mesh: &LoadedMesh, case: &Case) -> Result<Vec<Outcome>, String> {
    let client = Client::deserialize(&case.from).map_err(|e| format!("from: {e}"))?;
    let request = request::from_json(&case.request).map_err(|e| format!("request: {e}"))?;
    let sender = sender(&client, mesh_config::source::Span::NONE, &mesh.directory, &mesh.clients)
        .map_err(|d| d.message)?;
    let lowered = client_request(&request, &sender, &mesh.directory)?;
    let behaviors = Behaviors::default();
    let predictions = predict(mesh, &sender, &lowered, &behaviors, false)?;
    let fails = |p: &Prediction| p.outcome.status.is_none_or(|s| s >= 500);
    match case.repeat {
        // Failures change the state of the proxies (ejections): the requests are no longer independent.
        Some(n) if n > 1 && predictions.iter().any(fails) => {
            Ok(repeat(mesh, &sender, &lowered, &behaviors, n))
        }
        _ => Ok(predictions.into_iter().map(|p| p.outcome).collect()),
    }
}
