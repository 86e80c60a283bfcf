//! `forAll:` an expectation held for every request class that the mesh can tell apart ([`crate::space`]), with a
//! witness when it is refuted.
//!
//! Proved means: asked for every class, and no condition of the YAML was left out. What was left out makes the case
//! `unknown`, with the place, never a pass; a refutation counts whatever was left out.

use std::collections::BTreeSet;

use mesh_engine::world::PodId;
use mesh_reports::checks::{CaseVerdict, Status};
use rayon::prelude::*;

use crate::directory::PodEntry;
use crate::document::PolicyDocument;
use crate::expect::{judge, verdict as verdict_of};
use crate::format::client::{Client, WorkloadRef};
use crate::format::policy::{CaseWords, ForAllWords, VerdictWord, WhereWords};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::predict::Prediction;
use crate::space::{self, Class, Plane, Scope, Space};

/// What became of one class.
enum Judged {
    /// The case is not about it.
    Apart,
    Held,
    Refuted(Box<CaseVerdict>),
    Unknown(String),
}

/// Judges the case.
pub(super) fn judge_case(
    (document, case): (&PolicyDocument, &CaseWords),
    words: &ForAllWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    mut verdict: CaseVerdict,
) -> CaseVerdict {
    let (scope, question) = question((document, case), words, mesh, behaviors, verdict.clone());
    for (reference, what) in [(&scope.from, "caller"), (&scope.to, "target")] {
        if let Some(missing) = reference.as_ref().filter(|r| mesh.directory.find(r).is_empty()) {
            let hint = mesh.directory.nearest(missing).map(|n| format!(" (did you mean `{n}`?)"));
            return failed(
                verdict,
                format!("the {what} `{missing}` does not exist{}", hint.unwrap_or_default()),
            );
        }
    }
    let space = Space::of(&[mesh], &scope);
    let judged: Vec<Judged> = space.classes.par_iter().map(|class| question.judge(class)).collect();
    let mut held = 0_u32;
    let mut unknown = None;
    for one in judged {
        match one {
            Judged::Apart => {}
            Judged::Held => held += 1,
            Judged::Refuted(refuted) => return *refuted,
            Judged::Unknown(reason) => unknown = unknown.or(Some(reason)),
        }
    }
    let limit = space.limits.first().map(|l| {
        let place = l.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
        format!("{held} request classes hold, which is no proof: {}{place}", l.what)
    });
    if let Some(reason) = unknown.or(limit) {
        verdict.status = Status::Unknown;
        verdict.reason = reason;
        return verdict;
    }
    if held == 0 {
        return failed(verdict, "no request class is left: nothing would be proved".to_owned());
    }
    verdict.status = Status::Passed;
    verdict.reason = format!("{held} request classes");
    verdict
}

/// Every outcome that the case is about, with its steps.
pub(super) fn asked(
    (document, case): (&PolicyDocument, &CaseWords),
    words: &ForAllWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
) -> Vec<Prediction> {
    let (scope, question) = question((document, case), words, mesh, behaviors, CaseVerdict::default());
    let space = Space::of(&[mesh], &scope);
    let concerned = |class: &Class| {
        let outcomes = || space::explained_with(mesh, class, behaviors);
        question.concerned(class, outcomes).ok().flatten().unwrap_or_default()
    };
    space.classes.par_iter().flat_map_iter(concerned).collect()
}

fn question<'a>(
    (document, case): (&PolicyDocument, &'a CaseWords),
    words: &ForAllWords,
    mesh: &'a LoadedMesh,
    behaviors: &'a Behaviors,
    blank: CaseVerdict,
) -> (Scope, Question<'a>) {
    let to = named(words.to.as_ref().map(|t| &t.value));
    let scope = Scope {
        from: named(words.from.as_ref().map(|f| &f.value)),
        to: to.clone(),
        port: words.port,
        methods: words.methods.clone(),
        paths: words.paths.clone(),
        ..Scope::default()
    };
    let into_mesh = words.to.is_some() && to.is_none();
    let target = to.map(|reference| space::pods(mesh, &reference));
    let document = document.heading.file.to_string_lossy().into_owned();
    (scope, Question { case, mesh, behaviors, into_mesh, target, blank, document })
}

fn failed(mut verdict: CaseVerdict, reason: String) -> CaseVerdict {
    verdict.status = Status::Failed;
    verdict.reason = reason;
    verdict
}

/// `any` is no workload's name here.
fn named(reference: Option<&WorkloadRef>) -> Option<WorkloadRef> {
    let any = |r: &&WorkloadRef| matches!(r, WorkloadRef::Name { namespace: None, name, ordinal: None } if name == "any");
    reference.filter(|r| !any(r)).cloned()
}

struct Question<'a> {
    case: &'a CaseWords,
    mesh: &'a LoadedMesh,
    behaviors: &'a Behaviors,
    /// The pods that are meant; `None` = all, and the world outside.
    target: Option<BTreeSet<PodId>>,
    /// `to: any`: any workload of the mesh, not the world outside.
    into_mesh: bool,
    blank: CaseVerdict,
    /// The file of the case.
    document: String,
}

impl Question<'_> {
    /// The outcomes of a class that the case is about; `None` when it is about none of them.
    fn concerned(
        &self,
        class: &Class,
        outcomes: impl FnOnce() -> Result<Vec<Prediction>, String>,
    ) -> Result<Option<Vec<Prediction>>, String> {
        let restriction = self.case.restriction.as_ref();
        if restriction.is_some_and(|w| !self.caller_fits(w, class)) {
            return Ok(None);
        }
        if self.into_mesh && !self.leads_into_mesh(class) {
            return Ok(None);
        }
        let predictions = outcomes()?;
        let concerned: Vec<Prediction> =
            predictions.into_iter().filter(|p| self.concerns(class, p)).collect();
        // A request that reached no server neither showed an identity nor lacked one.
        let mtls = restriction.and_then(|w| w.mtls);
        let spoke = |wanted: bool| concerned.iter().any(|p| p.outcome.mtls == Some(wanted));
        let apart = concerned.is_empty() || mtls.is_some_and(|wanted| !spoke(wanted));
        Ok((!apart).then_some(concerned))
    }

    fn judge(&self, class: &Class) -> Judged {
        let outcomes = || space::outcomes_with(self.mesh, class, self.behaviors);
        let concerned = match self.concerned(class, outcomes) {
            Ok(Some(concerned)) => concerned,
            Ok(None) => return Judged::Apart,
            Err(why) => return Judged::Unknown(format!("{why}: {}", class.key)),
        };
        let (status, differences, reason) = judge(&self.case.expect, &concerned, self.mesh);
        match status {
            Status::Passed | Status::Skipped => Judged::Held,
            Status::Unknown => Judged::Unknown(format!("{reason}: {}", class.key)),
            Status::Failed => {
                let (decided_by, decided_at) = space::decision(&concerned, self.mesh).unwrap_or_default();
                // The document says more of its mesh than its manifests: MeshConfig, keys, addresses.
                let manifests = format!("-f {}", space::quoted(&self.document));
                Judged::Refuted(Box::new(CaseVerdict {
                    status,
                    differences,
                    reason: format!("witness: {} {reason}", class.key).trim_end().to_owned(),
                    reproduce: space::command(&class.client.client, &class.request, &manifests),
                    decided_by,
                    decided_at,
                    ..self.blank.clone()
                }))
            }
        }
    }

    /// Whether the host that is dialled has pods of the mesh behind it that are no gateways. Clients outside dial a
    /// gateway.
    fn leads_into_mesh(&self, class: &Class) -> bool {
        if class.client.plane == Plane::Outside {
            return true;
        }
        let Ok(url) = class.request.url() else { return false };
        let model = &self.mesh.lowering.mesh;
        let has_pods = |s: &mesh_config::mesh::service::Service| {
            let gateway = |id: u32| self.mesh.directory.pods.get(id as usize).is_none_or(|p| p.gateway);
            model.endpoints.of(s).iter().any(|e| e.pod.is_some_and(|id| !gateway(id.0)))
        };
        model.services.iter().any(|s| s.host == url.host && has_pods(s))
    }

    /// Whether an outcome is about the workload that is called.
    fn concerns(&self, class: &Class, prediction: &Prediction) -> bool {
        let Some(target) = &self.target else {
            // Behind a gateway no host is dialled: what is not sent on was for no workload.
            let outside = class.client.plane == Plane::Outside;
            return !(self.into_mesh && outside) || verdict_of(prediction) != VerdictWord::Failed;
        };
        let world = &self.mesh.world;
        let server = prediction.record.server_hop().and_then(|h| world.proxy(h.proxy)).map(|p| p.pod);
        let answered = prediction.outcome.workload.as_deref().and_then(|w| world.pod_by_reference(w));
        match server.or(answered) {
            Some(pod) => target.contains(&pod),
            // Behind a gateway no host is dialled: what is not sent on (404, redirect) was not for this workload.
            None => class.client.plane != Plane::Outside || verdict_of(prediction) != VerdictWord::Failed,
        }
    }

    fn caller_fits(&self, w: &WhereWords, class: &Class) -> bool {
        let Some(pod) = self.caller(&class.client.client) else { return false };
        let account = self.account(pod);
        w.namespace.as_ref().is_none_or(|n| *n == pod.namespace)
            && w.not_namespace.as_ref().is_none_or(|n| *n != pod.namespace)
            && w.service_account.as_ref().is_none_or(|a| *a == account)
            && w.not_service_account.as_ref().is_none_or(|a| *a != account)
    }

    /// The pod whose identity a caller shows: for clients outside, the gateway's.
    fn caller(&self, client: &Client) -> Option<&PodEntry> {
        let directory = &self.mesh.directory;
        match client {
            Client::Workload(reference) => directory.find(reference).first().copied(),
            Client::Gateway(gateway) => {
                directory.pods.iter().find(|p| format!("{}/{}", p.namespace, p.workload) == gateway.gateway)
            }
            Client::Pod(pod) => {
                let (_, id) = self.mesh.clients.iter().find(|(known, _)| known == pod)?;
                directory.pods.iter().find(|p| p.id == *id)
            }
        }
    }

    fn account(&self, pod: &PodEntry) -> String {
        let model = self.mesh.lowering.mesh.pods.get(pod.id.0 as usize);
        model.map(|p| format!("{}/{}", p.namespace, p.service_account)).unwrap_or_default()
    }
}
