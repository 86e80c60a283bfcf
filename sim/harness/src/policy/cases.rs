//! The cases of one policy test.

use mesh_config::decode::Spanned;
use mesh_config::diagnostic::Severity;
use mesh_config::source::Sources;
use mesh_reports::checks::{CaseVerdict, FileResult, Status};

use super::{TestOptions, errors, for_all, pods, result_of};
use crate::document::PolicyDocument;
use crate::expect::judge;
use crate::format::client::Client;
use crate::format::policy::CaseWords;
use crate::format::request::Request;
use crate::loaded::{LoadedMesh, MeshInput};
use crate::plan::behavior::{Behaviors, behaviors};
use crate::plan::traffic::{client_request, sender};
use crate::predict::{Prediction, predict};

/// Judges the cases of a document; `None` when none of them is wanted.
pub(super) fn test(document: &PolicyDocument, sources: Sources, options: &TestOptions) -> Option<FileResult> {
    let mut result = result_of(&document.heading, "PolicyTest");
    let wanted: Vec<&CaseWords> =
        document.cases.iter().filter(|c| options.takes(&result.file, &c.name)).collect();
    if wanted.is_empty() {
        return None;
    }
    let mut input = MeshInput { words: document.spec.mesh.clone(), ..MeshInput::default() };
    // All cases: the addresses of client pods must not depend on the filter.
    for from in document.cases.iter().filter_map(|c| c.from.as_ref()) {
        input.note_client(&from.value);
    }
    if document.cases.iter().any(|c| c.for_all.is_some()) {
        for stranger in for_all::strangers() {
            input.note_client(&Client::Pod(stranger));
        }
    }
    let mut mesh = LoadedMesh::load(sources, &input, document.heading.base());
    let mut problems = std::mem::take(&mut mesh.diagnostics);
    let behaviors = behaviors(&document.spec.behaviors, &mesh.directory, &mut problems);
    if problems.iter().any(|d| d.severity == Severity::Error) {
        result.broken = errors(&mesh.sources, &problems);
        return Some(result);
    }
    result.cases = wanted.iter().map(|case| judge_case(case, &mesh, &behaviors)).collect();
    Some(result)
}

fn judge_case(case: &CaseWords, mesh: &LoadedMesh, behaviors: &Behaviors) -> CaseVerdict {
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
    if let Some(words) = &case.for_all {
        return for_all::judge_case(case, words, mesh, behaviors, verdict);
    }
    let (Some(from), Some(request)) = (&case.from, &case.request) else {
        return failed(verdict, "a case needs `from` and `request`, or `pod`".to_owned());
    };
    verdict.reproduce = reproduce(from, &request.value, mesh);
    let predictions = match answers(from, &request.value, mesh, behaviors) {
        Ok(predictions) => predictions,
        Err(reason) => return failed(verdict, reason),
    };
    let (status, differences, reason) = judge(&case.expect, &predictions, &mesh.world);
    if let Some((object, place)) = decision(&predictions, mesh) {
        verdict.decided_by = object;
        verdict.decided_at = place;
    }
    CaseVerdict { status, differences, reason, ..verdict }
}

fn answers(
    from: &Spanned<Client>,
    request: &Request,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
) -> Result<Vec<Prediction>, String> {
    let sender = sender(&from.value, from.span, &mesh.directory, &mesh.clients).map_err(|d| {
        d.help.as_ref().map_or_else(|| d.message.clone(), |help| format!("{} ({help})", d.message))
    })?;
    let lowered = client_request(request, &sender, &mesh.directory)?;
    predict(mesh, &sender, &lowered, behaviors, false)
}

/// The resource that decided the most probable outcome: the last hop that names one.
fn decision(predictions: &[Prediction], mesh: &LoadedMesh) -> Option<(String, String)> {
    let likely = predictions.iter().max_by(|a, b| a.p.total_cmp(&b.p))?;
    let (object, place) = likely.record.hops.iter().rev().find_map(|h| mesh.decision(h))?;
    Some((object.to_string(), place.unwrap_or_default()))
}

/// The command that shows the decision.
fn reproduce(from: &Spanned<Client>, request: &Request, mesh: &LoadedMesh) -> String {
    let files: Vec<String> = mesh.manifest_names().map(|f| format!("-f {}", quoted(f))).collect();
    let from = match &from.value {
        Client::Workload(reference) => format!("--from {reference}"),
        Client::Gateway(gateway) => {
            let source = gateway.source_ip.map(|ip| format!(" --source-ip {ip}")).unwrap_or_default();
            format!("--from gateway:{}{source}", gateway.gateway)
        }
        Client::Pod(pod) => format!("--from pod:{}/{}", pod.namespace, pod.service_account),
    };
    let words = &request.words;
    let url =
        request.url().map(|u| format!("{}://{}{}", u.scheme, u.authority, u.target)).unwrap_or_default();
    let method =
        words.method.as_deref().filter(|m| *m != "GET").map(|m| format!("-X {m} ")).unwrap_or_default();
    let headers: String =
        words.headers.0.iter().map(|(n, v)| format!(" -H {}", quoted(&format!("{n}: {v}")))).collect();
    format!("mesh-sim explain {} {from} {method}{}{headers}", files.join(" "), quoted(&url))
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+#".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
