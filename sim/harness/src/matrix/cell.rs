//! Every outcome of one question, as one cell.

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::lower::security::peer_authentication::Mode;
use mesh_config::mesh::service::PodId as MeshPodId;
use mesh_engine::record::{Hop, Side};
use mesh_reports::matrix::{CellVerdict, MatrixCell, Protection};
use mesh_reports::outcome::Outcome;

use crate::expect::verdict;
use crate::format::policy::VerdictWord;
use crate::loaded::LoadedMesh;
use crate::predict::Prediction;

/// The cell of some predictions; names of caller and target are the caller's business.
pub(super) fn cell(mesh: &LoadedMesh, predictions: &[Prediction], request: String) -> MatrixCell {
    let mut cell = MatrixCell { request, ..MatrixCell::default() };
    if let Some(unknown) = predictions.iter().flat_map(|p| &p.outcome.unknown).next() {
        cell.verdict = CellVerdict::Unknown;
        cell.answer = "?".to_owned();
        cell.why.clone_from(&unknown.what);
        cell.place = unknown.place.clone().unwrap_or_default();
        return cell;
    }
    // Most probable first; equally probable ones in the order of the enumeration.
    let mut likely: Vec<&Prediction> = predictions.iter().collect();
    likely.sort_by(|a, b| b.p.total_cmp(&a.p));
    let words: BTreeSet<u8> = likely.iter().map(|p| rank(verdict(p))).collect();
    cell.verdict = match (words.first(), words.len()) {
        (Some(0), 1) => CellVerdict::Allowed,
        (Some(0), _) => CellVerdict::Partly,
        (Some(1), _) => CellVerdict::Denied,
        (Some(2), _) => CellVerdict::Failed,
        _ => CellVerdict::Unknown,
    };
    let mut answers: Vec<String> = Vec::new();
    for prediction in &likely {
        let answer = answer(&prediction.outcome);
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    cell.answer = answers.join("/");
    cell.mtls = protection(&likely);
    // Where chance decides, what refuses is what people look for.
    let telling = likely.iter().find(|p| verdict(p) != VerdictWord::Allowed).or(likely.first());
    if let Some(prediction) = telling {
        decided(mesh, prediction, &mut cell);
    }
    cell
}

fn rank(verdict: VerdictWord) -> u8 {
    match verdict {
        VerdictWord::Allowed => 0,
        VerdictWord::Denied => 1,
        VerdictWord::Failed => 2,
        VerdictWord::Unknown => 3,
    }
}

/// `200`, `503 UC`, `reset`; `ok` for lines.
fn answer(outcome: &Outcome) -> String {
    let words = match outcome.status {
        Some(status) => status.to_string(),
        None => outcome.connection.text().to_owned(),
    };
    match outcome.flags.as_deref().filter(|f| *f != "-" && outcome.status.is_some()) {
        Some(flags) => format!("{words} {flags}"),
        None => words,
    }
}

fn protection(predictions: &[&Prediction]) -> Protection {
    let seen: BTreeSet<bool> = predictions.iter().filter_map(|p| p.outcome.mtls).collect();
    match (seen.contains(&true), seen.contains(&false)) {
        (true, false) => Protection::Mtls,
        (false, true) => Protection::Plain,
        (true, true) => Protection::Mixed,
        (false, false) => Protection::None,
    }
}

/// Who decided: the policy that denied; else the one that allowed; else the one that asks for mutual TLS.
fn decided(mesh: &LoadedMesh, prediction: &Prediction, cell: &mut MatrixCell) {
    let hops = &prediction.record.hops;
    if verdict(prediction) == VerdictWord::Allowed {
        let server = hops.iter().rev().find(|h| h.side == Side::Inbound);
        if let Some((by, place)) = server.and_then(|hop| allowed_by(mesh, hop)) {
            (cell.by, cell.place) = (by, place);
        }
        return;
    }
    cell.why = hops
        .iter()
        .rev()
        .find_map(|h| h.details.as_deref().filter(|d| !d.is_empty() && *d != "via_upstream"))
        .or(prediction.outcome.details.as_deref())
        .unwrap_or_default()
        .to_owned();
    if let Some((object, place)) = hops.iter().rev().find_map(|h| mesh.decision(h)) {
        (cell.by, cell.place) = (object.to_string(), place.unwrap_or_default());
    }
}

/// The ALLOW policy that Envoy names, at its rule; else the PeerAuthentication behind the port's mode.
fn allowed_by(mesh: &LoadedMesh, hop: &Hop) -> Option<(String, String)> {
    if let Some((policy, true)) = &hop.rbac
        && let Some(found) = named_rule(mesh, policy)
    {
        return Some(found);
    }
    let model = &mesh.lowering.mesh;
    let pod = mesh.world.proxy(hop.proxy)?.pod;
    let proxy = model.proxy_of(MeshPodId(pod.0)).and_then(|p| model.proxy(p))?;
    let effective = mesh.lowering.indexes.peer_authentication.effective(&proxy.namespace, &proxy.labels);
    let decision = effective.port(hop.local.port());
    let (policy, span) = decision.by.filter(|_| decision.mode != Mode::Permissive)?;
    let object = format!("PeerAuthentication/{}", policy.meta.key());
    Some((object, mesh.place(span).unwrap_or_default()))
}

/// `ns[a]-policy[b]-rule[0]` as `AuthorizationPolicy/a/b` and the place of the rule.
fn named_rule(mesh: &LoadedMesh, key: &str) -> Option<(String, String)> {
    let rest = key.strip_prefix("ns[")?;
    let (namespace, rest) = rest.split_once("]-policy[")?;
    let (name, rest) = rest.rsplit_once("]-rule[")?;
    let index: usize = rest.strip_suffix(']')?.parse().ok()?;
    let policies = &mesh.lowering.mesh.inventory.authorization_policies;
    let policy = policies.iter().find(|p| p.meta.namespace == namespace && p.meta.name == name)?;
    let span = policy.spec.rules.get(index).map_or(policy.meta.origin, |r| r.origin);
    Some((format!("AuthorizationPolicy/{namespace}/{name}"), mesh.place(span).unwrap_or_default()))
}

/// One cell of several requests for the same pair: the one that gets furthest.
pub(super) fn best(cells: Vec<MatrixCell>) -> Vec<MatrixCell> {
    let mut joined: BTreeMap<(String, String), MatrixCell> = BTreeMap::new();
    let mut order: Vec<(String, String)> = Vec::new();
    for cell in cells {
        let key = (cell.caller.clone(), cell.target.clone());
        match joined.get_mut(&key) {
            Some(known) if cell.verdict < known.verdict => *known = cell,
            Some(_) => {}
            None => {
                order.push(key.clone());
                joined.insert(key, cell);
            }
        }
    }
    order.into_iter().filter_map(|key| joined.remove(&key)).collect()
}
