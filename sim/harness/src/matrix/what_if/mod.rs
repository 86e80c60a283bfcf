//! `matrix --what-if`: the same questions before and after a change, who breaks and why, and what keeps them working.
//!
//! Nothing is claimed that was not asked: the change and every exemption are applied to the model as the text that is
//! printed, and the questions are put again. An exemption that does not restore a call is not offered for it.

mod cause;
mod change;
mod documents;
mod exempt;
mod select;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::source::Span;
use mesh_reports::matrix::{
    Broken, CallerKind, CellVerdict, Exemption, MatrixCell, MatrixReport, Protection, WhatIfReport,
};
use mesh_reports::run::RESULT_VERSION;

pub use change::{Change, Reach, WhatIf};

use super::callers::Caller;
use super::targets::Target;
use super::{MatrixOptions, Questions, answer, outcomes_of, questions};
use crate::loaded::LoadedMesh;
use crate::stop::Stop;
use cause::Call;
use documents::{Doc, applied};
use exempt::{Draft, Need};

/// What a change would break.
///
/// # Errors
/// When the change cannot be made: no such workload or namespace.
pub fn what_if(mesh: &LoadedMesh, options: &MatrixOptions, what: &WhatIf) -> Result<WhatIfReport, String> {
    let change = change::document(mesh, what)?;
    let asked = questions(mesh, options);
    let before = answer(mesh, &asked, options.threads, &Stop::default());
    let changed = applied(mesh, std::slice::from_ref(&change), "the change");
    let after = answer(&changed, &asked, options.threads, &Stop::default());
    let study = Study { asked: &asked, changed: &changed, before: &before, after: &after, options };
    let mut report = WhatIfReport {
        api_version: RESULT_VERSION.to_owned(),
        change: what.text(),
        applied: vec![change.manifest()],
        asked: before.asked.clone(),
        questions: before.cells.len() as u32,
        ..WhatIfReport::default()
    };
    let (mut broken, shut_out) = study.broken();
    report.shut_out = shut_out.into_iter().map(|b| b.line).collect();
    report.unknown = after.cells.iter().filter(|c| c.verdict == CellVerdict::Unknown).cloned().collect();
    if what.change == Change::Strict {
        report.still_plain = study.still_plain(&what.reach);
    }
    report.exemptions = study.exemptions(what.change, &mut broken);
    report.broken = broken.into_iter().map(|b| b.line).collect();
    Ok(report)
}

/// A broken call with its positions.
struct Lost<'a> {
    line: Broken,
    caller: &'a Caller,
    target: &'a Target,
    with_identity: bool,
    rule: Option<Span>,
}

struct Study<'a> {
    asked: &'a Questions,
    changed: &'a LoadedMesh,
    before: &'a MatrixReport,
    after: &'a MatrixReport,
    options: &'a MatrixOptions,
}

/// Whether less gets through than before.
fn worse(before: &MatrixCell, after: &MatrixCell) -> bool {
    let level = |v: CellVerdict| match v {
        CellVerdict::Allowed => 2,
        CellVerdict::Partly => 1,
        CellVerdict::Denied | CellVerdict::Failed => 0,
        CellVerdict::Unknown => 3,
    };
    after.verdict != CellVerdict::Unknown
        && before.verdict != CellVerdict::Unknown
        && level(after.verdict) < level(before.verdict)
}

impl<'a> Study<'a> {
    /// (callers of the manifests, pods that no manifest has)
    fn broken(&self) -> (Vec<Lost<'a>>, Vec<Lost<'a>>) {
        let (mut known, mut strangers) = (Vec::new(), Vec::new());
        for (before, after) in self.before.cells.iter().zip(&self.after.cells) {
            if !worse(before, after) {
                continue;
            }
            let caller = self.asked.callers.iter().find(|c| c.shown.name == before.caller);
            let target = self.asked.targets.iter().find(|t| t.shown.name == before.target);
            let (Some(caller), Some(target)) = (caller, target) else { continue };
            let outcomes = outcomes_of(self.changed, self.asked, before);
            let call = Call { caller, target, before, after, predictions: &outcomes };
            let line = cause::broken(self.changed, &call);
            let rule = exempt::by_rule(&line).then(|| cause::rule_span(self.changed, &call)).flatten();
            let with_identity = before.mtls == Protection::Mtls;
            let lost = Lost { line, caller, target, with_identity, rule };
            if caller.shown.kind == CallerKind::Stranger { strangers.push(lost) } else { known.push(lost) }
        }
        (known, strangers)
    }

    /// Calls to pods with sidecars in reach that still need no mutual TLS, with what keeps them so.
    fn still_plain(&self, reach: &Reach) -> Vec<MatrixCell> {
        let mesh = &self.changed.lowering.mesh;
        let index = &self.changed.lowering.indexes.peer_authentication;
        let mut found = Vec::new();
        for cell in &self.after.cells {
            let through = matches!(cell.verdict, CellVerdict::Allowed | CellVerdict::Partly);
            if !through || matches!(cell.mtls, Protection::Mtls | Protection::None) {
                continue;
            }
            let Some(target) = self.asked.targets.iter().find(|t| t.shown.name == cell.target) else {
                continue;
            };
            let within = target.pods.iter().find_map(|(id, port)| {
                let pod = mesh.pods.get(*id as usize)?;
                let proxy = mesh.proxy_of(mesh_config::mesh::service::PodId(*id));
                let inside = match reach {
                    Reach::Mesh => true,
                    Reach::Namespace(namespace) => pod.namespace == *namespace,
                    Reach::Workload(namespace, name) => pod.namespace == *namespace && pod.workload == *name,
                };
                (inside && proxy.is_some()).then_some((pod, *port))
            });
            let Some((pod, port)) = within else { continue };
            let mut cell = cell.clone();
            if let Some((policy, span)) = index.effective(&pod.namespace, &pod.labels).port(port).by {
                cell.by = format!("PeerAuthentication/{}", policy.meta.key());
                cell.place = self.changed.place(span).unwrap_or_default();
            }
            found.push(cell);
        }
        found
    }

    /// Documents that restore what broke, numbered in the broken calls.
    fn exemptions(&self, change: Change, broken: &mut [Lost<'a>]) -> Vec<Exemption> {
        let mut drafts = self.drafts(change, broken);
        let mut tried = self.asked_again(&drafts);
        // A DestinationRule that was put right may not be enough: the port is left open then.
        let mut again = false;
        for lost in broken.iter_mut() {
            if lost.rule.is_some() && !restored(self.before, &tried, &lost.line) {
                lost.rule = None;
                again = true;
            }
        }
        if again {
            drafts = self.drafts(change, broken);
            tried = self.asked_again(&drafts);
        }
        // What restores nothing is not offered.
        let works: BTreeSet<usize> = broken
            .iter()
            .enumerate()
            .filter(|(_, lost)| restored(self.before, &tried, &lost.line))
            .map(|(at, _)| at)
            .collect();
        drafts.retain(|d| d.calls.iter().any(|at| works.contains(at)));
        for (number, draft) in (1..).zip(&drafts) {
            for at in draft.calls.intersection(&works) {
                if let Some(lost) = broken.get_mut(*at) {
                    lost.line.exemptions.push(number);
                }
            }
        }
        let mut changes = self.further_changes(&drafts, broken, &tried);
        drafts
            .into_iter()
            .enumerate()
            .map(|(at, draft)| {
                let (also_admits, also_breaks) = changes.remove(&at).unwrap_or_default();
                Exemption { text: draft.text, manifest: draft.doc.manifest(), also_admits, also_breaks }
            })
            .collect()
    }

    fn drafts(&self, change: Change, broken: &[Lost<'a>]) -> Vec<Draft> {
        let needs: Vec<Need<'_>> = broken
            .iter()
            .enumerate()
            .map(|(at, lost)| Need {
                at,
                call: &lost.line,
                caller: lost.caller,
                target: lost.target,
                with_identity: lost.with_identity,
                rule: lost.rule,
            })
            .collect();
        match change {
            Change::Strict => exempt::strict(self.changed, &needs),
            Change::DefaultDeny => exempt::allow(self.changed, &needs),
        }
    }

    fn asked_again(&self, drafts: &[Draft]) -> MatrixReport {
        if drafts.is_empty() {
            return self.after.clone();
        }
        let documents: Vec<Doc> = drafts.iter().map(|d| d.doc.clone()).collect();
        let exempted = applied(self.changed, &documents, "the exemptions");
        answer(&exempted, self.asked, self.options.threads, &Stop::default())
    }

    /// Calls beyond those asked for that change (let through again, or broken), by the document that is for their service.
    fn further_changes(
        &self,
        drafts: &[Draft],
        broken: &[Lost<'a>],
        tried: &MatrixReport,
    ) -> BTreeMap<usize, Further> {
        let asked_for: BTreeSet<(&str, &str)> =
            broken.iter().map(|l| (l.line.caller.as_str(), l.line.target.as_str())).collect();
        // The first document for a service stands for it.
        let mut by_target: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            for lost in draft.calls.iter().filter_map(|call| broken.get(*call)) {
                by_target.entry(&lost.line.target).or_insert(at);
            }
        }
        let mut found: BTreeMap<usize, Further> = BTreeMap::new();
        for (after, now) in self.after.cells.iter().zip(&tried.cells) {
            let other = !asked_for.contains(&(now.caller.as_str(), now.target.as_str()));
            let Some(at) = by_target.get(now.target.as_str()).filter(|_| other) else { continue };
            let call = format!("{} -> {}", now.caller, now.target);
            let (admits, breaks) = found.entry(*at).or_default();
            if worse(now, after) {
                admits.push(call);
            } else if worse(after, now) {
                breaks.push(call);
            }
        }
        found
    }
}

/// Calls that a document lets through beyond those asked for, and calls that it breaks.
type Further = (Vec<String>, Vec<String>);

/// Whether a call gets what it got before the change.
fn restored(before: &MatrixReport, now: &MatrixReport, call: &Broken) -> bool {
    let of = |report: &MatrixReport| report.cell(&call.caller, &call.target).map(|c| c.verdict);
    of(before) == of(now)
}
