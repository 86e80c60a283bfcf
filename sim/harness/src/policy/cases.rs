//! The cases of one policy test.

use mesh_config::decode::Spanned;
use mesh_config::diagnostic::Severity;
use mesh_config::source::Sources;
use mesh_reports::checks::{CaseVerdict, FileResult, Status};
use mesh_reports::findings::Finding;
use rayon::prelude::*;

use super::{TestOptions, audit, errors, for_all, names, pods, result_of, skipped};
use crate::chosen;
use crate::document::PolicyDocument;
use crate::expect::judge;
use crate::format::client::Client;
use crate::format::policy::{CaseWords, SnapshotWords};
use crate::format::request::Request;
use crate::loaded::{LoadedMesh, MeshInput};
use crate::plan::behavior::{Behaviors, behaviors};
use crate::plan::traffic::{client_request, sender};
use crate::predict::{Prediction, predict};
use crate::snapshot;
use crate::space::{decision, populated, quoted};

/// The mesh of a policy test, ready for its cases.
pub(super) struct Prepared {
    pub(super) mesh: LoadedMesh,
    pub(super) behaviors: Behaviors,
}

/// Reads the mesh of a document.
///
/// # Errors
/// What is wrong with it.
pub(super) fn prepare(document: &PolicyDocument, sources: Sources) -> Result<Prepared, Vec<Finding>> {
    let mut input = MeshInput { words: document.spec.mesh.clone(), ..MeshInput::default() };
    // All cases: the addresses of client pods must not depend on the filter.
    for from in document.cases.iter().filter_map(|c| c.from.as_ref()) {
        input.note_client(&from.value);
    }
    let mut mesh = LoadedMesh::load(sources, &input, document.heading.base());
    let mut problems = std::mem::take(&mut mesh.diagnostics);
    if document.cases.iter().any(|c| c.for_all.is_some()) || !document.spec.snapshots.is_empty() {
        mesh = populated(&mesh);
    }
    let behaviors = behaviors(&document.spec.behaviors, &mesh.directory, &mesh.later, &mut problems);
    if problems.iter().any(|d| d.severity == Severity::Error) {
        return Err(errors(&mesh.sources, &problems));
    }
    Ok(Prepared { mesh, behaviors })
}

/// Judges the cases of a document. What a filter leaves out is skipped; a case that names what does not exist is
/// listed as broken, and the others are judged all the same.
pub(super) fn test(document: &PolicyDocument, sources: Sources, options: &TestOptions) -> FileResult {
    let mut result = result_of(&document.heading, "PolicyTest");
    let file = result.file.clone();
    let wanted = |case: &CaseWords| options.takes(&file, &case.name);
    let kept = |words: &SnapshotWords| options.takes(&file, &format!("snapshot {}", words.name));
    if !document.cases.iter().any(wanted) && !document.spec.snapshots.iter().any(kept) {
        let snapshots = document.spec.snapshots.iter().map(|s| format!("snapshot {}", s.name));
        let names = document.cases.iter().map(|c| c.name.clone()).chain(snapshots);
        result.cases = names.map(|name| skipped(&name)).collect();
        return result;
    }
    let Prepared { mesh, behaviors } = match prepare(document, sources) {
        Ok(prepared) => prepared,
        Err(broken) => {
            result.broken = broken;
            return result;
        }
    };
    let judged: Vec<(Option<CaseVerdict>, Vec<Finding>)> = document
        .cases
        .par_iter()
        .map(|case| {
            if !wanted(case) {
                return (Some(skipped(&case.name)), Vec::new());
            }
            let broken = errors(&mesh.sources, &names::missing(case, &mesh));
            (broken.is_empty().then(|| judge_case(document, case, &mesh, &behaviors)), broken)
        })
        .collect();
    for (verdict, mut broken) in judged {
        result.cases.extend(verdict);
        result.broken.append(&mut broken);
    }
    for words in &document.spec.snapshots {
        if !kept(words) {
            result.cases.push(skipped(&format!("snapshot {}", words.name)));
            continue;
        }
        let compared = snapshot::compare(document, words, &mesh, &behaviors);
        match snapshot::judge(&compared, mesh.place(words.origin).unwrap_or_default()) {
            Ok(verdict) => result.cases.push(verdict),
            Err(broken) => result.broken.push(*broken),
        }
    }
    result
}

pub(super) fn judge_case(
    document: &PolicyDocument,
    case: &CaseWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
) -> CaseVerdict {
    let mut verdict = CaseVerdict {
        name: case.name.clone(),
        place: mesh.place(case.origin).unwrap_or_default(),
        ..CaseVerdict::default()
    };
    let failed = |mut verdict: CaseVerdict, reason: String| {
        verdict.status = Status::Failed;
        verdict.reason = reason;
        verdict
    };
    if let Some(pod) = &case.pod {
        return match pods::differences(&pod.value, &case.expect, &mesh.directory) {
            Ok(differences) => {
                verdict.status = if differences.is_empty() { Status::Passed } else { Status::Failed };
                verdict.differences = differences;
                verdict
            }
            Err(reason) => failed(verdict, reason),
        };
    }
    if let Some(words) = &case.audit {
        return audit::judge_case(words, mesh, behaviors, verdict);
    }
    if let Some(words) = &case.for_all {
        return for_all::judge_case((document, case), words, mesh, behaviors, verdict);
    }
    let (Some(from), Some(request)) = (&case.from, &case.request) else {
        return failed(verdict, "a case needs `from` and `request`, or `pod`".to_owned());
    };
    verdict.reproduce = reproduce(document, case);
    let predictions = match outcomes(case, from, &request.value, mesh, behaviors, false) {
        Ok(predictions) => predictions,
        // Too many combinations of random choices.
        Err(reason) => return CaseVerdict { status: Status::Unknown, reason, ..verdict },
    };
    let (status, differences, reason) = judge(&case.expect, &predictions, mesh);
    if status == Status::Unknown {
        // What is not modelled is the place to look at, not what would decide without it.
        let unknown = predictions.iter().flat_map(|p| &p.outcome.unknown).next();
        verdict.decided_at = unknown.and_then(|u| u.place.clone()).unwrap_or_default();
    } else if let Some((object, place)) = decision(&predictions, mesh) {
        verdict.decided_by = object;
        verdict.decided_at = place;
    }
    CaseVerdict { status, differences, reason, ..verdict }
}

/// Every outcome of a case's request that its `draw` leaves.
pub(super) fn outcomes(
    case: &CaseWords,
    from: &Spanned<Client>,
    request: &Request,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    explain: bool,
) -> Result<Vec<Prediction>, String> {
    let sender = sender(&from.value, from.span, &mesh.directory, &mesh.clients).map_err(|d| {
        d.help.as_ref().map_or_else(|| d.message.clone(), |help| format!("{} ({help})", d.message))
    })?;
    let lowered = client_request(request, &sender, &mesh.directory)?;
    let all = predict(mesh, &sender, &lowered, behaviors, explain)?;
    Ok(match &case.draw {
        Some(draw) => drawn(all, draw.value, mesh),
        None => all,
    })
}

/// Of the outcomes those that remain when a random value chooses among weighted clusters at the client's proxy.
fn drawn(predictions: Vec<Prediction>, value: u64, mesh: &LoadedMesh) -> Vec<Prediction> {
    let fits = |p: &Prediction| {
        let hop = p.record.client_hop();
        let chosen = hop.and_then(|h| chosen::weighted(chosen::route(mesh, h)?.1, value));
        chosen.is_none_or(|cluster| hop.and_then(|h| h.cluster_name.as_deref()) == Some(cluster))
    };
    let mut left: Vec<Prediction> = predictions.into_iter().filter(fits).collect();
    let total: f64 = left.iter().map(|p| p.p).sum();
    for prediction in &mut left {
        prediction.p /= total;
        prediction.outcome.p = prediction.p;
    }
    left
}

/// The command that shows every step of a case.
fn reproduce(document: &PolicyDocument, case: &CaseWords) -> String {
    let file = document.heading.file.to_string_lossy();
    format!("mesh-sim explain {} --case {}", quoted(&file), quoted(&case.name))
}
