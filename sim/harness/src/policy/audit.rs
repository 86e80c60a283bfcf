//! `audit:` checks of the mesh as a whole: what lint finds, weights, retries, egress.

use mesh_config::analysis::analyze;
use mesh_config::decode::closest;
use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;
use mesh_reports::checks::{CaseVerdict, KeyDifference, Status};
use rayon::prelude::*;

use crate::directory::PodEntry;
use crate::format::gates::{AuditWords, EgressWord};
use crate::format::request::Request;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{Sender, client_request};
use crate::predict::{Prediction, predict};
use crate::report::amplification::worst_attempts;
use crate::space::{Class, Scope, Space, explained_with, outcomes_with, question_of};

/// Requests to what nobody names; the addresses are TEST-NET-2.
const OUTSIDE: [&str; 4] = [
    "GET http://mesh-sim-elsewhere.example/",
    "GET https://mesh-sim-elsewhere.example/",
    "GET http://198.51.100.1/",
    "tcp://198.51.100.1:7777",
];

/// Codes that do not exist.
pub(super) fn missing(words: &AuditWords) -> Vec<Diagnostic> {
    let unknown =
        |code: &&mesh_config::decode::Spanned<String>| !codes::ALL.iter().any(|c| c.code.0 == code.value);
    let problem = |code: &mesh_config::decode::Spanned<String>| {
        let message = format!("there is no code `{}` (`mesh-sim lint --list` has all)", code.value);
        let problem = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, code.span, message);
        match closest(&code.value, codes::ALL.iter().map(|c| c.code.0)) {
            Some(hint) => problem.help(format!("did you mean `{hint}`?")),
            None => problem,
        }
    };
    words.no_findings.iter().filter(unknown).map(problem).collect()
}

/// One thing that is against the rules.
struct Offence {
    key: String,
    expected: String,
    got: String,
    at: Span,
}

/// Judges the case.
pub(super) fn judge_case(
    words: &AuditWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    mut verdict: CaseVerdict,
) -> CaseVerdict {
    let mut offences = findings(words, mesh);
    offences.extend(words.weights_sum.iter().flat_map(|sum| weights(*sum, mesh)));
    let mut unknown = None;
    if let Some(most) = words.max_attempts {
        match attempts(most, mesh, behaviors) {
            Ok(found) => offences.extend(found),
            Err(why) => unknown = Some(why),
        }
    }
    if words.egress == Some(EgressWord::Closed) {
        match egress(mesh, behaviors) {
            Ok(found) => offences.extend(found),
            Err(why) => unknown = unknown.or(Some(why)),
        }
    }
    verdict.status = match (&unknown, offences.is_empty()) {
        (_, false) => Status::Failed,
        (Some(_), true) => Status::Unknown,
        (None, true) => Status::Passed,
    };
    verdict.reason = unknown.unwrap_or_default();
    let first = offences.iter().map(|o| o.at).find(|at| !at.is_none());
    verdict.decided_at = first.and_then(|at| mesh.place(at)).unwrap_or_default();
    let object = first.and_then(|at| mesh.lowering.tools.origins.object_at(at));
    verdict.decided_by = object.map(ToString::to_string).unwrap_or_default();
    verdict.differences = offences
        .into_iter()
        .map(|o| {
            let place = mesh.place(o.at).map(|p| format!(" ({p})")).unwrap_or_default();
            KeyDifference { key: format!("{}{place}", o.key), expected: o.expected, got: o.got }
        })
        .collect();
    verdict
}

/// Every outcome that the audit looks at, with its steps; findings and weights ask nothing.
pub(super) fn asked(words: &AuditWords, mesh: &LoadedMesh, behaviors: &Behaviors) -> Vec<Prediction> {
    let mut all = Vec::new();
    if words.max_attempts.is_some() {
        let classes = Space::of(&[mesh], &Scope::default()).classes;
        let outcomes = |class: &Class| explained_with(mesh, class, behaviors).unwrap_or_default();
        all.par_extend(classes.par_iter().flat_map_iter(outcomes));
    }
    if words.egress == Some(EgressWord::Closed) {
        for sender in senders(mesh) {
            let requests = OUTSIDE.iter().filter_map(|text| Request::parse(text).ok());
            let lowered = requests.filter_map(|r| client_request(&r, &sender.1, &mesh.directory).ok());
            all.extend(
                lowered.flat_map(|r| predict(mesh, &sender.1, &r, behaviors, true).unwrap_or_default()),
            );
        }
    }
    all
}

fn findings(words: &AuditWords, mesh: &LoadedMesh) -> Vec<Offence> {
    if words.no_findings.is_empty() {
        return Vec::new();
    }
    let mut found = analyze(&mesh.lowering.mesh);
    found.retain(|d| words.no_findings.iter().any(|c| c.value == d.code.0));
    found.sort_by_key(|d| (d.span(), d.code));
    let offence = |d: Diagnostic| Offence {
        key: d.code.0.to_owned(),
        expected: "no finding".to_owned(),
        at: d.span(),
        got: d.message,
    };
    found.into_iter().map(offence).collect()
}

/// Routes with one destination have nothing to split: Istio ignores the weight.
fn weights(sum: u32, mesh: &LoadedMesh) -> Vec<Offence> {
    let mut all = Vec::new();
    for vs in &mesh.lowering.mesh.inventory.virtual_services {
        let http = vs.spec.http.iter().map(|r| (r.origin, r.route.iter().map(|d| d.weight).collect()));
        let tls = vs.spec.tls.iter().map(|r| (r.origin, r.route.iter().map(|d| d.weight).collect()));
        let tcp = vs.spec.tcp.iter().map(|r| (r.origin, r.route.iter().map(|d| d.weight).collect()));
        for (at, list) in http.chain(tls).chain(tcp) {
            let list: Vec<i32> = list;
            let total: i64 = list.iter().map(|w| i64::from(*w)).sum();
            if list.len() > 1 && total != i64::from(sum) {
                let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
                all.push(Offence {
                    key: "weights".to_owned(),
                    expected: format!("a sum of {sum}"),
                    got: format!("{} = {total}", shown.join(" + ")),
                    at,
                });
            }
        }
    }
    all
}

/// The worst request of every route that retries too often.
fn attempts(most: u64, mesh: &LoadedMesh, behaviors: &Behaviors) -> Result<Vec<Offence>, String> {
    let space = Space::of(&[mesh], &Scope::default());
    let judged: Vec<Result<Option<Offence>, String>> = space
        .classes
        .par_iter()
        .map(|class| {
            let (sender, request) = question_of(mesh, class)?;
            let worst = worst_attempts(mesh, behaviors, &sender, &request);
            if worst <= most {
                return Ok(None);
            }
            let predictions = outcomes_with(mesh, class, behaviors)?;
            let retrying = predictions.iter().filter_map(|p| p.record.client_hop());
            let origin = retrying.max_by_key(|h| h.retries).and_then(|h| mesh.lowering.origin(h.origin));
            Ok(Some(Offence {
                key: "attempts".to_owned(),
                expected: format!("at most {most}"),
                got: format!("{worst}: {}", class.key),
                at: origin.map_or(Span::NONE, |o| o.span),
            }))
        })
        .collect();
    let mut all: Vec<Offence> = Vec::new();
    for one in judged {
        let Some(offence) = one? else { continue };
        // One witness a place.
        if !all.iter().any(|o| o.at == offence.at) {
            all.push(offence);
        }
    }
    Ok(all)
}

/// A pod of every workload of the manifests that is no gateway: pods of one workload are alike, and pods that no
/// manifest has are nobody's to close.
fn senders(mesh: &LoadedMesh) -> Vec<(&PodEntry, Sender)> {
    let mut seen = std::collections::BTreeSet::new();
    let made_up = |id: u32| mesh.lowering.mesh.pods.get(id as usize).is_none_or(|p| p.is_client());
    let pods = mesh.directory.pods.iter().filter(|p| !p.gateway && !made_up(p.id.0));
    let first = pods.filter(|p| seen.insert((p.namespace.as_str(), p.workload.as_str(), p.sidecar)));
    first.map(|pod| (pod, Sender { pod: Some(pod.id), source: None, gateway: None })).collect()
}

/// Every pod that reaches what nobody names.
fn egress(mesh: &LoadedMesh, behaviors: &Behaviors) -> Result<Vec<Offence>, String> {
    let mut all = Vec::new();
    for (pod, sender) in senders(mesh) {
        for text in OUTSIDE {
            let request = Request::parse(text).map_err(|e| e.to_string())?;
            let lowered = client_request(&request, &sender, &mesh.directory)?;
            let predictions = predict(mesh, &sender, &lowered, behaviors, false)?;
            if let Some(unknown) = predictions.iter().flat_map(|p| &p.outcome.unknown).next() {
                let place = unknown.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
                return Err(format!("{}{place}", unknown.what));
            }
            let Some(reached) = predictions.iter().find(|p| p.outcome.workload.is_some()) else { continue };
            let hop = reached.record.client_hop();
            all.push(Offence {
                key: format!("egress of {}/{}", pod.namespace, pod.workload),
                expected: "out of reach".to_owned(),
                got: match (pod.sidecar, hop.and_then(|h| h.cluster_name.clone())) {
                    (true, Some(cluster)) => format!("{text} leaves through {cluster}"),
                    (true, None) => format!("{text} leaves past the sidecar"),
                    (false, _) => format!("{text} leaves: the pod has no sidecar"),
                },
                at: Span::NONE,
            });
            break;
        }
    }
    Ok(all)
}
