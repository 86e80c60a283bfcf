//! The cases of Istio's authorization builder: policies, one workload, and contexts that its RBAC allows or denies.
//!
//! The policies are lowered as for any mesh; the filters are asked without the rest of their chain, because the contexts
//! are made of the rules' own words and are no requests that a codec would take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mesh_config::input::InputFile;
use mesh_config::load::read_into;
use mesh_config::source::Sources;
use mesh_core::cx::NoTrace;
use mesh_core::decide::{Authorization, RbacSubject, RbacVerdict, authorize};
use mesh_core::ir::{
    HttpFilter, NetworkFilter, Rbac, RbacAction, RbacRules, Snapshot, Terminal, TrafficDirection,
};
use mesh_core::request::{Connection, FirstBytes, Headers, Peer, Protocol};
use mesh_core::tls::{Certificate, TrustAnchor};
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::conformance::predictor;
use crate::loaded::{LoadedMesh, MeshInput};
use crate::tokens;

/// Directory of the group.
const GROUP: &str = "authz-builder";

#[derive(Deserialize)]
struct Case {
    id: String,
    protocol: String,
    workload: Workload,
    context: Context,
    expected: Map<String, Value>,
}

#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Workload {
    namespace: String,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Context {
    principal: Option<String>,
    #[serde(rename = "sourceIP")]
    source_ip: IpAddr,
    #[serde(rename = "remoteIP")]
    remote_ip: IpAddr,
    #[serde(rename = "destinationIP")]
    destination_ip: IpAddr,
    port: u16,
    sni: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    jwt: Option<Value>,
    /// Metadata of other filters; conditions on it are not modelled.
    #[serde(default, rename = "metadata")]
    _metadata: Option<Value>,
}

/// Judges the group.
///
/// # Errors
/// When a file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    let mut report = ConformanceReport::default();
    let dir = root.join(GROUP);
    if !dir.is_dir() {
        return Ok(report);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))? {
        let entry = entry.map_err(|e| format!("{}: {e}", dir.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        report.merge(directory(&dir.join(&name), &format!("{GROUP}/{name}"))?);
    }
    Ok(report)
}

fn directory(dir: &Path, name: &str) -> Result<ConformanceReport, String> {
    let read =
        |file: &str| std::fs::read_to_string(dir.join(file)).map_err(|e| format!("{name}/{file}: {e}"));
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in read("cases.jsonl")?.lines().enumerate() {
        cases.push(serde_json::from_str(line).map_err(|e| format!("{name}/cases.jsonl:{}: {e}", index + 1))?);
    }
    let workloads: BTreeSet<Workload> = cases.iter().map(|c| c.workload.clone()).collect();
    let workloads: Vec<Workload> = workloads.into_iter().collect();
    let mesh = load(dir, &read("policy.yaml")?, &workloads);
    let mut report = ConformanceReport::default();
    for case in &cases {
        let judged = mesh.as_ref().map_err(Clone::clone).and_then(|mesh| one(mesh, &workloads, case));
        let (verdict, reason, differences) = match judged {
            Ok(differences) if differences.is_empty() => (Verdict::Agree, None, differences),
            Ok(differences) => (Verdict::Disagree, None, differences),
            Err(reason) => (Verdict::Unsupported, Some(reason), Vec::new()),
        };
        report.push(CaseResult {
            mesh: name.to_owned(),
            id: format!("{name}/{}", case.id),
            verdict,
            reason,
            predicted: vec![],
            differences,
            also: vec![],
        });
    }
    Ok(report)
}

/// The policies beside one pod per workload, `workload-<i>`.
fn load(dir: &Path, policies: &str, workloads: &[Workload]) -> Result<LoadedMesh, String> {
    let mut sources = Sources::default();
    let mut input = MeshInput::default();
    let config = dir.join("meshconfig.yaml");
    if config.is_file() {
        input.words.config = Some(predictor::mesh_config(&mut sources, &config)?);
    }
    let pods: Vec<String> = workloads
        .iter()
        .enumerate()
        .map(|(i, w)| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": format!("workload-{i}"), "namespace": w.namespace, "labels": w.labels},
                "spec": {"containers": [{"name": "app", "image": "app"}]},
            })
            .to_string()
        })
        .collect();
    let file =
        |name: &str, text: String| InputFile { display_name: name.to_owned(), bytes: text.into_bytes() };
    let files = vec![file("policy.yaml", policies.to_owned()), file("workloads.yaml", pods.join("\n---\n"))];
    let (objects, problems) = read_into(&mut sources, files);
    let mesh = LoadedMesh::of_objects(sources, objects, &input, problems);
    let error = mesh.diagnostics.iter().find(|d| d.is_error());
    match error {
        Some(error) => Err(error.message.clone()),
        None => Ok(mesh),
    }
}

fn one(mesh: &LoadedMesh, workloads: &[Workload], case: &Case) -> Result<Vec<Difference>, String> {
    let position = workloads.iter().position(|w| *w == case.workload).ok_or("no such workload")?;
    let pod = format!("workload-{position}");
    let proxies = &mesh.lowering.mesh.proxies;
    let index = proxies.iter().position(|p| p.id.ends_with(&pod)).ok_or("the workload has no proxy")?;
    let id = mesh_config::mesh::proxy::ProxyId(index as u32);
    let snapshot = mesh.lowering.snapshot(id).ok_or("no snapshot")?;
    let filters = filters(&snapshot, &case.protocol)?;
    let answer = ask(&filters, &case.context, case.protocol == "http");
    if let Some(taint) = answer.taint {
        return Err(taint.what.to_string());
    }
    Ok(compare(case, &filters, &answer))
}

/// The RBAC filters of the first inbound chain of the protocol; all chains have the same.
fn filters<'s>(snapshot: &'s Snapshot, protocol: &str) -> Result<Vec<&'s Rbac>, String> {
    let inbound = snapshot.listeners.iter().filter(|l| l.direction == TrafficDirection::Inbound);
    // The chain for what is sent to the capture port itself has none.
    let chains = inbound.flat_map(|l| &l.filter_chains).filter(|c| !c.name.contains("blackhole"));
    for chain in chains {
        match (&chain.terminal, protocol) {
            (Terminal::Http(manager), "http") => {
                return Ok(manager
                    .http_filters
                    .iter()
                    .filter_map(|f| if let HttpFilter::Rbac(rbac) = f { Some(rbac) } else { None })
                    .collect());
            }
            (Terminal::Tcp(_), "tcp") => {
                return Ok(chain
                    .network_filters
                    .iter()
                    .filter_map(|f| if let NetworkFilter::Rbac(rbac) = f { Some(rbac) } else { None })
                    .collect());
            }
            _ => {}
        }
    }
    Err(format!("no {protocol} chain"))
}

fn ask<'s>(filters: &[&'s Rbac], context: &Context, http: bool) -> Authorization<'s> {
    let connection = Connection {
        source: SocketAddr::new(context.source_ip, 40_000),
        destination: SocketAddr::new(context.destination_ip, context.port),
        tls: None,
        bytes: if http { FirstBytes::Http(Protocol::Http11) } else { FirstBytes::Silent },
    };
    let certificate = context.principal.as_ref().map(|principal| Certificate {
        issuer: TrustAnchor::Mesh,
        sans: vec![format!("spiffe://{principal}").into()],
        subject: "".into(),
    });
    let peer =
        Peer { certificate, sni: Some(context.sni.as_str().into()).filter(|_| !context.sni.is_empty()) };
    let mut headers = Headers::default();
    let pseudo = [(":method", &context.method), (":authority", &context.host), (":path", &context.path)];
    for (name, value) in pseudo {
        if let Some(value) = value {
            headers.append(name, value);
        }
    }
    for (name, value) in &context.headers {
        headers.append(&name.to_ascii_lowercase(), value);
    }
    let payload = context.jwt.as_ref().map(tokens::claim);
    let subject = RbacSubject {
        conn: &connection,
        peer: &peer,
        remote: context.remote_ip,
        headers: &headers,
        path_only: context.path.as_deref(),
        payload: payload.as_ref(),
    };
    authorize(filters.iter().copied(), &subject, &mut NoTrace)
}

fn compare(case: &Case, filters: &[&Rbac], answer: &Authorization<'_>) -> Vec<Difference> {
    let log = &answer.log;
    let mut got = Map::new();
    let verdict = |allowed: bool| json!(if allowed { "allowed" } else { "denied" });
    got.insert("verdict".into(), verdict(answer.allowed));
    if let Some(by) = log.enforced.and_then(|v| policy(filters, v)) {
        got.insert("by".into(), by);
    }
    let audits = filters.iter().any(|f| f.rules.as_ref().is_some_and(|r| r.action == RbacAction::Log));
    if audits {
        got.insert("audited".into(), json!(log.audit.is_some()));
    }
    let mut dry = Map::new();
    for (name, shadow) in [("deny", log.shadow_deny), ("allow", log.shadow_allow)] {
        let Some(shadow) = shadow else { continue };
        let mut one = Map::from_iter([("verdict".to_owned(), verdict(shadow.allowed))]);
        one.extend(policy(filters, shadow).map(|by| ("by".to_owned(), by)));
        dry.insert(name.into(), Value::Object(one));
    }
    if !dry.is_empty() {
        got.insert("dryRun".into(), Value::Object(dry));
    }
    let keys: BTreeSet<&String> = got.keys().chain(case.expected.keys()).collect();
    let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
    keys.into_iter()
        .filter(|key| of(&got, key) != of(&case.expected, key))
        .map(|key| Difference {
            key: key.clone(),
            predicted: vec![of(&got, key)],
            observed: of(&case.expected, key),
        })
        .collect()
}

/// `{policy, rule}` of a verdict.
fn policy(filters: &[&Rbac], verdict: RbacVerdict) -> Option<Value> {
    let filter = filters.get(verdict.filter as usize)?;
    let rules: &RbacRules =
        if verdict.shadow { filter.shadow_rules.as_ref() } else { filter.rules.as_ref() }?;
    let name = rules.policies.get(verdict.policy? as usize)?.name.as_ref();
    let rest = name.strip_prefix("ns[")?;
    let (namespace, rest) = rest.split_once("]-policy[")?;
    let (policy, rule) = rest.rsplit_once("]-rule[")?;
    let rule: u32 = rule.strip_suffix(']')?.parse().ok()?;
    Some(json!({"policy": format!("AuthorizationPolicy/{namespace}/{policy}"), "rule": rule}))
}
