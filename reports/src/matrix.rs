//! `mesh-sim matrix`: who reaches what, and what a change of policy would break.
//!
//! Callers and targets are listed once; a cell is one question asked of the mesh. Cells are sparse: a gateway has one
//! only for what its routes lead to.

use serde::{Deserialize, Serialize};

use crate::run::RESULT_VERSION;

/// Every caller against every service port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// What was asked of HTTP ports: `GET /`.
    pub asked: String,
    /// Who asks, in order.
    pub callers: Vec<MatrixCaller>,
    /// Who is asked, in order.
    pub targets: Vec<MatrixTarget>,
    /// The answers, by caller, then target.
    pub cells: Vec<MatrixCell>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixCaller {
    /// `ns/workload`, `gateway:ns/name`, `kubelet`, or the name of a pod that no manifest has.
    pub name: String,
    /// What it is.
    pub kind: CallerKind,
    /// SPIFFE id it shows; empty if none.
    pub identity: String,
    /// `file:line:column` of the workload; empty if no manifest has it.
    pub place: String,
}

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallerKind {
    /// A workload with a sidecar.
    #[default]
    Sidecar,
    /// A workload without one.
    Plain,
    /// Clients outside, through a gateway.
    Gateway,
    /// Probes of the kubelet that Istio does not rewrite.
    Kubelet,
    /// A pod that no manifest has.
    Stranger,
}

impl CallerKind {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Plain => "no sidecar",
            Self::Gateway => "gateway",
            Self::Kubelet => "kubelet",
            Self::Stranger => "stranger",
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixTarget {
    /// `host:port`; what the cells refer to.
    pub name: String,
    /// The shortest name people use: `reviews:9080`, with the namespace where it is not `default`.
    pub short: String,
    /// Protocol of the port as istiod sees it.
    pub protocol: String,
    /// `file:line:column` of the port; empty if no manifest has it.
    pub place: String,
}

/// What a cell amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CellVerdict {
    /// The application answers.
    Allowed,
    /// It depends on chance: some outcomes are allowed.
    Partly,
    /// Not modelled, so not known.
    #[default]
    Unknown,
    /// A security policy refuses.
    Denied,
    /// It fails otherwise.
    Failed,
}

impl CellVerdict {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Partly => "partly",
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// How the connection to the server was protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protection {
    /// Mutual TLS of the mesh.
    Mtls,
    /// Plaintext, or TLS that the server's proxy does not know.
    Plain,
    /// It depends on the pod that answers.
    Mixed,
    /// No server was reached.
    #[default]
    None,
}

impl Protection {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mtls => "mTLS",
            Self::Plain => "plain",
            Self::Mixed => "mixed",
            Self::None => "-",
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixCell {
    /// Name of the caller.
    pub caller: String,
    /// Name of the target.
    pub target: String,
    /// What it amounts to.
    pub verdict: CellVerdict,
    /// What the client gets: `200`, `503 UC`, `reset`; several when chance decides.
    pub answer: String,
    /// How the last hop was protected.
    pub mtls: Protection,
    /// `Kind/namespace/name` that decided; empty when nothing but the defaults did.
    pub by: String,
    /// `file:line:column` of it.
    pub place: String,
    /// Details of the proxy, or why the answer is unknown.
    pub why: String,
    /// The request that was asked: `GET http://reviews.default.svc.cluster.local:9080/`.
    pub request: String,
}

/// Counts of cells by verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixTotals {
    /// All.
    pub cells: u32,
    /// Allowed with mutual TLS.
    pub mtls: u32,
    /// Allowed without (or with and without).
    pub plain: u32,
    /// Allowed by chance.
    pub partly: u32,
    /// Denied.
    pub denied: u32,
    /// Failed.
    pub failed: u32,
    /// Unknown.
    pub unknown: u32,
}

impl MatrixReport {
    /// An empty report of the current version.
    #[must_use]
    pub fn new(asked: String) -> Self {
        MatrixReport { api_version: RESULT_VERSION.to_owned(), asked, ..MatrixReport::default() }
    }

    /// Counts.
    #[must_use]
    pub fn totals(&self) -> MatrixTotals {
        let mut totals = MatrixTotals::default();
        for cell in &self.cells {
            totals.cells += 1;
            match cell.verdict {
                CellVerdict::Allowed if cell.mtls == Protection::Mtls => totals.mtls += 1,
                CellVerdict::Allowed => totals.plain += 1,
                CellVerdict::Partly => totals.partly += 1,
                CellVerdict::Denied => totals.denied += 1,
                CellVerdict::Failed => totals.failed += 1,
                CellVerdict::Unknown => totals.unknown += 1,
            }
        }
        totals
    }

    /// The cell of a caller and a target.
    #[must_use]
    pub fn cell(&self, caller: &str, target: &str) -> Option<&MatrixCell> {
        self.cells.iter().find(|c| c.caller == caller && c.target == target)
    }
}

/// What a change would break.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatIfReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// The change in words: `strict=mesh`.
    pub change: String,
    /// The change as it would be applied.
    pub applied: Vec<Manifest>,
    /// What was asked of HTTP ports.
    pub asked: String,
    /// How many questions were asked before and after.
    pub questions: u32,
    /// Callers of the manifests that get through before and not after.
    pub broken: Vec<Broken>,
    /// The same of pods that no manifest has: usually the purpose of the change.
    pub shut_out: Vec<Broken>,
    /// Questions without an answer after the change.
    pub unknown: Vec<MatrixCell>,
    /// Calls that get through as before, though in plaintext, with what keeps them so.
    pub still_plain: Vec<MatrixCell>,
    /// What to apply beside the change so that nobody breaks.
    pub exemptions: Vec<Exemption>,
    /// The user interrupted it: nothing was compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

impl WhatIfReport {
    /// Whether the command must end with 1: somebody breaks, or something is unknown under `strict`.
    #[must_use]
    pub fn failed(&self, strict: bool) -> bool {
        !self.broken.is_empty() || (strict && !self.unknown.is_empty())
    }
}

/// One object to apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `Kind/namespace/name`.
    pub object: String,
    /// Whether an object of that name exists and is replaced; then its `file:line:column`.
    pub replaces: Option<String>,
    /// The document.
    pub yaml: String,
}

/// A call that breaks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Who.
    pub caller: String,
    /// What it is.
    pub kind: CallerKind,
    /// Whom it asks.
    pub target: String,
    /// The request.
    pub request: String,
    /// What it gets today.
    pub before: String,
    /// What it would get.
    pub after: String,
    /// Why, in one word.
    pub cause: Cause,
    /// Why, in words.
    pub why: String,
    /// The object behind the cause; empty if there is none.
    pub by: String,
    /// `file:line:column` of it.
    pub place: String,
    /// Positions (from 1) in [`WhatIfReport::exemptions`] of what keeps this call working; empty: nothing was found.
    pub exemptions: Vec<u32>,
}

/// Why a call breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The caller has no sidecar.
    NoSidecar,
    /// A probe that Istio does not rewrite.
    Probe,
    /// A DestinationRule makes the caller's proxy speak something else than mutual TLS of the mesh.
    DestinationRule,
    /// The caller's proxy sends plaintext because a PeerAuthentication tells it so.
    PeerAuthentication,
    /// The caller's proxy does not know the service (hidden, dialled by address, not captured).
    Passthrough,
    /// A pod of the service cannot speak mutual TLS.
    ServerWithoutMtls,
    /// No ALLOW policy admits the caller.
    NotAllowed,
    /// The gateway itself refuses.
    AtTheGateway,
    /// Something else.
    #[default]
    Other,
}

/// What to apply beside the change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exemption {
    /// What it does, in words.
    pub text: String,
    /// The object.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Calls it keeps working beyond those asked for: `caller -> target`.
    pub also_admits: Vec<String>,
    /// Calls that get through without it and not with it; the document is then no good as it is.
    pub also_breaks: Vec<String>,
}
