//! `forAll:` an expectation held for every caller, port, method and path class that the mesh can tell apart, with a
//! witness when it is refuted.
//!
//! Callers: one per distinct identity among the pods, and pods that no manifest has (with and without a sidecar).
//! Requests: every service port that leads to the target; the usual methods and those that an AuthorizationPolicy
//! names; every path that one names, and one that none names. Policies that look at anything else (headers, addresses, tokens, hosts) make more classes than
//! these: the case is then `unknown`, with the place, instead of proved.

use std::collections::BTreeSet;

use mesh_config::resource::authorization_policy::{Operation, Rule, Source};
use mesh_config::source::Span;
use mesh_reports::checks::{CaseVerdict, Status};

use crate::directory::PodEntry;
use crate::expect::judge;
use crate::format::client::{PodClient, WorkloadRef};
use crate::format::policy::{CaseWords, ForAllWords, WhereWords};
use crate::format::request::{Request, RequestWords};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{Sender, client_request};
use crate::predict::predict;

/// A namespace that no manifest should have.
const STRANGE: &str = "mesh-sim-elsewhere";
/// The methods that proxies take (semantics: envoy-routing 9.4), so that one is there that no policy names.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
/// A path that no policy names.
const STRANGE_PATH: &str = "/mesh-sim-elsewhere";

/// The callers that no manifest has.
pub(super) fn strangers() -> [PodClient; 2] {
    [true, false].map(|sidecar| PodClient {
        namespace: STRANGE.to_owned(),
        sidecar: Some(sidecar),
        ..PodClient::default()
    })
}

/// Judges the case.
pub(super) fn judge_case(
    case: &CaseWords,
    words: &ForAllWords,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    mut verdict: CaseVerdict,
) -> CaseVerdict {
    let undecidable = |mut verdict: CaseVerdict, status: Status, reason: String| {
        verdict.status = status;
        verdict.reason = reason;
        verdict
    };
    if let Some(span) = further_classes(mesh) {
        let reason =
            "an AuthorizationPolicy looks at more than identities, ports, methods and paths".to_owned();
        let place = mesh.place(span).map(|p| format!(" at {p}")).unwrap_or_default();
        return undecidable(verdict, Status::Unknown, format!("{reason}{place}"));
    }
    let (callers, targets) = (callers(words, case.restriction.as_ref(), mesh), targets(words, mesh));
    if callers.is_empty() || targets.is_empty() {
        let what = if callers.is_empty() { "no caller" } else { "no service port of the target" };
        return undecidable(verdict, Status::Failed, format!("{what} is left: nothing would be proved"));
    }
    let (methods, paths) = classes(words, mesh);
    let mut checked = 0_u32;
    for caller in &callers {
        for (host, port) in &targets {
            for (method, path) in methods.iter().flat_map(|m| paths.iter().map(move |p| (m, p))) {
                let request = Request {
                    words: RequestWords {
                        method: Some(method.clone()),
                        url: Some(format!("http://{host}:{port}{path}")),
                        ..RequestWords::default()
                    },
                };
                let sender = Sender { pod: Some(caller.id), source: None, gateway: None };
                let predictions = client_request(&request, &sender, &mesh.directory)
                    .and_then(|lowered| predict(mesh, &sender, &lowered, behaviors, false));
                let witness = format!("{method} http://{host}:{port}{path} from {}", caller.reference);
                let predictions = match predictions {
                    Ok(predictions) => predictions,
                    Err(why) => return undecidable(verdict, Status::Unknown, format!("{why}: {witness}")),
                };
                let mtls = case.restriction.as_ref().and_then(|w| w.mtls);
                // A request that reached no server is neither.
                let spoke = |wanted: bool| predictions.iter().any(|p| p.outcome.mtls == Some(wanted));
                if mtls.is_some_and(|wanted| !spoke(wanted)) {
                    continue;
                }
                checked += 1;
                let (status, differences, reason) = judge(&case.expect, &predictions, &mesh.world);
                if status != Status::Passed {
                    verdict.status = status;
                    verdict.differences = differences;
                    verdict.reason = format!("witness: {witness} {reason}").trim_end().to_owned();
                    return verdict;
                }
            }
        }
    }
    if checked == 0 {
        return undecidable(
            verdict,
            Status::Failed,
            "no request class is left: nothing would be proved".to_owned(),
        );
    }
    verdict.status = Status::Passed;
    verdict.reason = format!("{checked} request classes");
    verdict
}

/// `any` is no workload's name here.
fn anybody(reference: Option<&WorkloadRef>) -> bool {
    reference.is_none_or(
        |r| matches!(r, WorkloadRef::Name { namespace: None, name, ordinal: None } if name == "any"),
    )
}

/// One pod per identity, labels and data plane.
fn callers<'a>(
    words: &ForAllWords,
    restriction: Option<&WhereWords>,
    mesh: &'a LoadedMesh,
) -> Vec<&'a PodEntry> {
    let from = words.from.as_ref().map(|f| &f.value);
    let account = |pod: &PodEntry| {
        let model = mesh.lowering.mesh.pods.get(pod.id.0 as usize);
        model.map(|p| format!("{}/{}", p.namespace, p.service_account)).unwrap_or_default()
    };
    let chosen: Vec<&PodEntry> = match from {
        Some(reference) if !anybody(Some(reference)) => mesh.directory.find(reference),
        _ => mesh.directory.pods.iter().collect(),
    };
    let fits = |pod: &&PodEntry| {
        let Some(w) = restriction else { return true };
        w.namespace.as_ref().is_none_or(|n| *n == pod.namespace)
            && w.not_namespace.as_ref().is_none_or(|n| *n != pod.namespace)
            && w.service_account.as_ref().is_none_or(|a| *a == account(pod))
            && w.not_service_account.as_ref().is_none_or(|a| *a != account(pod))
    };
    let mut seen = BTreeSet::new();
    chosen
        .into_iter()
        .filter(|p| !p.gateway)
        .filter(fits)
        .filter(|p| seen.insert((account(p), p.labels.clone(), p.sidecar)))
        .collect()
}

/// (host, port) of the service ports that lead to the target.
fn targets(words: &ForAllWords, mesh: &LoadedMesh) -> BTreeSet<(String, u32)> {
    let to = words.to.as_ref().map(|t| &t.value);
    let wanted: Option<BTreeSet<u32>> = match to {
        Some(reference) if !anybody(Some(reference)) => {
            Some(mesh.directory.find(reference).iter().map(|p| p.id.0).collect())
        }
        _ => None,
    };
    let model = &mesh.lowering.mesh;
    let mut found = BTreeSet::new();
    for service in &model.services {
        for endpoint in model.endpoints.of(service) {
            let Some(pod) = endpoint.pod else { continue };
            let gateway = mesh.directory.pods.get(pod.0 as usize).is_none_or(|p| p.gateway);
            if gateway || wanted.as_ref().is_some_and(|w| !w.contains(&pod.0)) {
                continue;
            }
            let port = service.ports.iter().find(|p| p.name == endpoint.port_name);
            found.extend(port.map(|p| (service.host.clone(), p.number)));
        }
    }
    found.retain(|(host, port)| !host.contains('*') && words.port.is_none_or(|p| u32::from(p) == *port));
    found
}

fn operations(mesh: &LoadedMesh) -> impl Iterator<Item = &Operation> {
    rules(mesh).flat_map(|r| r.to.iter().filter_map(|t| t.operation.as_ref()))
}

fn rules(mesh: &LoadedMesh) -> impl Iterator<Item = &Rule> {
    mesh.lowering.mesh.inventory.authorization_policies.iter().flat_map(|p| &p.spec.rules)
}

/// Methods and paths: those the case names, else one of every class that policies make.
fn classes(words: &ForAllWords, mesh: &LoadedMesh) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut methods: BTreeSet<String> = words.methods.iter().cloned().collect();
    let mut paths: BTreeSet<String> = words.paths.iter().cloned().collect();
    // `*` stands for some text.
    let example = |text: &str| text.replace('*', "mesh-sim");
    if methods.is_empty() {
        methods.extend(METHODS.map(str::to_owned));
        methods.extend(
            operations(mesh).flat_map(|o| o.methods.iter().chain(&o.not_methods)).map(|m| example(m)),
        );
    }
    if paths.is_empty() {
        paths.extend(["/".to_owned(), STRANGE_PATH.to_owned()]);
        let named = operations(mesh).flat_map(|o| o.paths.iter().chain(&o.not_paths)).map(|p| example(p));
        paths.extend(named.map(|p| if p.starts_with('/') { p } else { format!("/{p}") }));
    }
    (methods, paths)
}

/// The first policy part that makes classes beyond those enumerated.
fn further_classes(mesh: &LoadedMesh) -> Option<Span> {
    let model = &mesh.lowering.mesh.inventory;
    if let Some(authentication) = model.request_authentications.first() {
        return Some(authentication.meta.origin);
    }
    let source = |s: &Source| {
        let lists = [&s.request_principals, &s.not_request_principals, &s.ip_blocks, &s.not_ip_blocks];
        let more = [&s.remote_ip_blocks, &s.not_remote_ip_blocks, &s.trust_domains, &s.not_trust_domains];
        lists.into_iter().chain(more).any(|l| !l.is_empty()).then_some(s.origin)
    };
    let operation = |o: &Operation| {
        let templates = o.paths.iter().chain(&o.not_paths).any(|p| p.contains('{'));
        (!o.hosts.is_empty() || !o.not_hosts.is_empty() || templates).then_some(o.origin)
    };
    rules(mesh).find_map(|rule| {
        let when = rule.when.first().map(|c| c.origin);
        when.or_else(|| rule.from.iter().filter_map(|f| f.source.as_ref()).find_map(source))
            .or_else(|| rule.to.iter().filter_map(|t| t.operation.as_ref()).find_map(operation))
    })
}
