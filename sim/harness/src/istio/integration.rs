//! The integration cases: every call of Istio's integration tests, judged by what its test asserts and, where a real
//! mesh was recorded, by what that mesh did.
//!
//! Lines on which the two differ, and lines whose recording was dropped, are counted and kept out of the score.

use std::path::Path;

use mesh_config::mesh::meshconfig::Authorizer;
use mesh_config::source::Sources;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Prediction, Verdict};
use rayon::prelude::*;

use super::asserted;
use super::directory::{self, Line, MeshDirectory};
use crate::conformance::{judge, predictor};
use crate::format::mesh::MeshWords;
use crate::loaded::LoadedMesh;

/// What the names of the group's directories start with.
const GROUPS: [&str; 9] = [
    "authz-",
    "jwt-",
    "k8s-ingress",
    "locality-",
    "mirror-",
    "normalization-",
    "passthrough-",
    "reachability-",
    "routing-",
];
/// Built of policies, not of meshes.
const OTHERS: [&str; 1] = ["authz-builder"];

/// Which lines are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that count.
    Scored,
    /// Those without a recording, by the test's assertion alone: not part of a score.
    NotObserved,
}

/// Judges the group.
///
/// # Errors
/// When a file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    judge_some(root, Scope::Scored, |_| true)
}

/// Judges the directories that `wanted` takes by name.
///
/// # Errors
/// When a file cannot be read.
pub fn judge_some(
    root: &Path,
    scope: Scope,
    wanted: impl Fn(&str) -> bool,
) -> Result<ConformanceReport, String> {
    let ours =
        |name: &str| GROUPS.iter().any(|g| name.starts_with(g)) && !OTHERS.contains(&name) && wanted(name);
    let names = directory::names(root, ours)?;
    let parts: Vec<Result<ConformanceReport, String>> =
        names.par_iter().map(|name| Ok(mesh(&directory::read(root, name)?, scope))).collect();
    let mut report = ConformanceReport::default();
    for part in parts {
        report.merge(part?);
    }
    Ok(report)
}

/// Judges the lines of one directory.
fn mesh(directory: &MeshDirectory, scope: Scope) -> ConformanceReport {
    let mut report = ConformanceReport::default();
    let mut lines: Vec<&Line> = Vec::new();
    for line in &directory.lines {
        let reason = line.disputed.as_ref().map(|_| "the test and the recorded mesh differ");
        let reason = reason.or(line.not_observed.as_ref().map(|_| "the recording was dropped"));
        match (reason, scope) {
            (None, Scope::Scored) => lines.push(line),
            (Some(reason), Scope::Scored) => report.keep_out(reason),
            (_, Scope::NotObserved) => {
                if line.not_observed.is_some() {
                    lines.push(line);
                }
            }
        }
    }
    if lines.is_empty() {
        return report;
    }
    let loaded = surroundings(directory).and_then(|words| predictor::load_at(&directory.mesh, words));
    let judged: Vec<CaseResult> = lines
        .par_iter()
        .map(|line| match &loaded {
            Ok(mesh) => one(&directory.mesh.name, line, mesh),
            Err(reason) => unsupported(&directory.mesh.name, line, reason.clone()),
        })
        .collect();
    judged.into_iter().for_each(|case| report.push(case));
    report
}

/// What the recorder's cluster was like: its istiod reached no URL, and its applications answer every HTTP request with 200
/// and speak no authorization protocol over gRPC.
fn surroundings(directory: &MeshDirectory) -> Result<MeshWords, String> {
    let mut words = MeshWords { addresses: directory.addresses.clone(), ..MeshWords::default() };
    words.jwks.insert("*".to_owned(), "unreachable".to_owned());
    let Some(path) = &directory.mesh.mesh_config else { return Ok(words) };
    let config = predictor::mesh_config(&mut Sources::default(), path)?;
    for provider in &config.extension_providers {
        // Authorizers on the loopback address are for the lowering to find or not to find.
        let service = provider.envoy_ext_authz_http.as_ref().map(|p| &p.service);
        let service = service.or(provider.envoy_ext_authz_grpc.as_ref().map(|p| &p.service));
        if !service.is_some_and(|s| s.ends_with(".svc.cluster.local")) {
            continue;
        }
        let answer =
            if provider.envoy_ext_authz_http.is_some() { Authorizer::Allow } else { Authorizer::Error };
        words.authorizers.insert(provider.name.clone(), answer);
    }
    Ok(words)
}

fn unsupported(mesh: &str, line: &Line, reason: String) -> CaseResult {
    CaseResult {
        mesh: mesh.to_owned(),
        id: format!("{mesh}/{}", line.id),
        verdict: Verdict::Unsupported,
        reason: Some(reason),
        predicted: vec![],
        differences: vec![],
        also: vec![],
    }
}

fn one(name: &str, line: &Line, mesh: &LoadedMesh) -> CaseResult {
    let case = line.case();
    let predicted = match predictor::predict_case(mesh, &case) {
        Ok(predicted) => predicted,
        Err(reason) => return unsupported(name, line, reason),
    };
    let judged = judge::judge(&case, &predicted);
    if judged.verdict == Verdict::Unsupported {
        let reason = judged.reason.unwrap_or_default();
        let predicted = predicted.into_iter().map(Prediction::from).collect();
        return CaseResult { predicted, ..unsupported(name, line, reason) };
    }
    let mut differences = if line.is_observed() { judged.differences } else { Vec::new() };
    let mut unjudged = None;
    let follow = |location: &str| {
        let mut next = case.clone();
        if let Some(request) = next.request.as_object_mut() {
            request.insert("url".to_owned(), location.into());
            request.remove("hostHeader");
        }
        predictor::predict_case(mesh, &next)
    };
    for found in asserted::judge(line, &predicted, follow) {
        match found {
            asserted::Finding::Differs(difference) => differences.push(difference),
            asserted::Finding::Unjudged(reason) => unjudged = unjudged.or(Some(reason)),
        }
    }
    let (verdict, reason) = match (differences.is_empty(), unjudged) {
        (false, _) => (Verdict::Disagree, None),
        (true, Some(reason)) => (Verdict::Unsupported, Some(reason)),
        (true, None) => (Verdict::Agree, None),
    };
    let also = judged.also;
    let predicted = predicted.into_iter().map(Prediction::from).collect();
    CaseResult {
        mesh: name.to_owned(),
        id: format!("{name}/{}", line.id),
        verdict,
        reason,
        predicted,
        differences,
        also,
    }
}
