//! `kind: PolicyTest`: requests and verdicts, no clock.

use std::collections::BTreeMap;

use mesh_config::decode::Spanned;
use mesh_config::resource::http_route::{
    Delegate, Headers, HttpFaultInjection, HttpRedirect, HttpRewrite, HttpRouteDestination,
};
use mesh_config::source::Span;
use serde::Deserialize;

use super::behavior::BehaviorWords;
use super::client::{Client, WorkloadRef};
use super::gates::{AuditWords, UsesWords};
use super::mesh::MeshWords;
use super::quantity::{Duration, Percent};
use super::request::{HeaderWords, Request};

/// `spec:` of a policy test, without its cases (their `matrix` is expanded before they are decoded).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySpec {
    /// The mesh.
    pub mesh: MeshWords,
    /// What pods answer.
    pub behaviors: Vec<BehaviorWords>,
    /// Gates whose cases are judged too.
    pub uses: UsesWords,
    /// Outcome tables that are kept in files.
    pub snapshots: Vec<SnapshotWords>,
}

/// One of `snapshots:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Name; part of the file's name.
    pub name: String,
    /// A workload, or `any`.
    pub from: Option<Spanned<WorkloadRef>>,
    /// The workload that is called, or `any`.
    pub to: Option<Spanned<WorkloadRef>>,
    /// Only this port.
    pub port: Option<u16>,
    /// Only these methods.
    pub methods: Vec<String>,
    /// Only these paths.
    pub paths: Vec<String>,
}

/// One of `cases:`, with `${…}` of its matrix filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CaseWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Name.
    pub name: String,
    /// Who sends.
    pub from: Option<Spanned<Client>>,
    /// What is sent.
    pub request: Option<Spanned<Request>>,
    /// Of weighted destinations the one that Envoy's random value (modulo the total weight) chooses.
    pub draw: Option<Spanned<u64>>,
    /// A pod to look at; nothing is sent.
    pub pod: Option<Spanned<WorkloadRef>>,
    /// All request classes between two sides.
    pub for_all: Option<ForAllWords>,
    /// A check of the mesh as a whole.
    pub audit: Option<AuditWords>,
    /// Restricts `forAll`.
    #[serde(rename = "where")]
    pub restriction: Option<WhereWords>,
    /// The expectation.
    pub expect: ExpectWords,
}

/// `forAll:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForAllWords {
    /// A workload, or `any`.
    pub from: Option<Spanned<WorkloadRef>>,
    /// The workload that is called, or `any`.
    pub to: Option<Spanned<WorkloadRef>>,
    /// Only this port.
    pub port: Option<u16>,
    /// Only these methods.
    pub methods: Vec<String>,
    /// Only these paths.
    pub paths: Vec<String>,
}

/// `where:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WhereWords {
    /// Only callers that (do not) speak mesh mTLS.
    pub mtls: Option<bool>,
    /// Only callers of this namespace.
    pub namespace: Option<String>,
    /// Only callers of other namespaces.
    pub not_namespace: Option<String>,
    /// Only callers with this service account (`ns/name`).
    pub service_account: Option<String>,
    /// Only callers without this service account.
    pub not_service_account: Option<String>,
}

/// `expect:`; only what is given is compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExpectWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// allowed, denied, failed, unknown
    pub verdict: Option<Spanned<VerdictWord>>,
    /// HTTP status.
    pub status: Option<Spanned<u16>>,
    /// End of the connection.
    pub connection: Option<Spanned<ConnectionWord>>,
    /// Flags of the client-side proxy.
    pub flags: Option<Spanned<String>>,
    /// Response code details.
    pub details: Option<Spanned<String>>,
    /// Envoy's cluster name.
    pub cluster: Option<Spanned<String>>,
    /// Route name.
    pub route: Option<Spanned<String>>,
    /// Name of the virtual host at the client's proxy; `none` when there is none.
    pub virtual_host: Option<Spanned<String>>,
    /// What the VirtualService's HTTP rule that decides says.
    pub rule: Option<Spanned<RuleWords>>,
    /// Each of these is not what the HTTP rule that decides says.
    pub not_rule: Option<Spanned<RuleWords>>,
    /// Service the request goes to.
    pub host: Option<Spanned<String>>,
    /// Subset it goes to.
    pub subset: Option<Spanned<String>>,
    /// Workload or pod that answers.
    pub workload: Option<Spanned<WorkloadRef>>,
    /// Shares by subset.
    pub split: Option<Spanned<BTreeMap<String, Percent>>>,
    /// Whether the server saw a peer identity.
    pub mtls: Option<Spanned<bool>>,
    /// `Kind/namespace/name` that decided.
    pub by: Option<Spanned<String>>,
    /// The request as the server sees it.
    pub upstream: Option<Spanned<UpstreamWords>>,
    /// The answer as the client sees it.
    pub response: Option<Spanned<ResponseExpectWords>>,
    /// Route timeout.
    pub timeout: Option<Spanned<Duration>>,
    /// Retries the route allows.
    pub retries: Option<Spanned<u32>>,
    /// Body.
    pub body: Option<Spanned<String>>,
    /// Kinds of hops in order.
    pub hops: Option<Spanned<Vec<String>>>,
    /// Access log line of the client-side proxy.
    pub client_log: Option<Spanned<String>>,
    /// Access log line of the server-side proxy.
    pub server_log: Option<Spanned<String>>,
    /// `pod:` has a sidecar.
    pub sidecar: Option<Spanned<bool>>,
    /// `pod:` runs so many containers.
    pub containers: Option<Spanned<u32>>,
    /// `pod:` is a gateway.
    pub gateway: Option<Spanned<bool>>,
}

/// `verdict:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VerdictWord {
    /// The application was reached.
    Allowed,
    /// A security policy refused it.
    Denied,
    /// It failed otherwise.
    Failed,
    /// Not predictable.
    Unknown,
}

/// `connection:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionWord {
    /// An answer came.
    Ok,
    /// Reset.
    Reset,
    /// Refused.
    Refused,
    /// Closed without an answer.
    Closed,
    /// Nothing came.
    Timeout,
}

/// `rule:` and `notRule:`, in the words of VirtualService; only what is given is compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleWords {
    /// The destinations, all of them; ports and weights only where they are given.
    pub route: Option<Vec<HttpRouteDestination>>,
    /// The redirect.
    pub redirect: Option<HttpRedirect>,
    /// The rewrite.
    pub rewrite: Option<HttpRewrite>,
    /// Injected faults.
    pub fault: Option<HttpFaultInjection>,
    /// Header changes of the rule.
    pub headers: Option<Headers>,
    /// The delegation that led to the rule.
    pub delegate: Option<Delegate>,
}

/// What a header's value must be like; all that is given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderMatchWords {
    /// The whole value.
    pub exact: Option<String>,
    /// Its beginning.
    pub prefix: Option<String>,
    /// Its end.
    pub suffix: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// RE2, the whole value.
    pub regex: Option<String>,
    /// Whether the header is there at all.
    pub present: Option<bool>,
    /// The contrary of the above.
    pub not: bool,
}

/// `upstream:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamWords {
    /// Method.
    pub method: Option<String>,
    /// Path with query.
    pub path: Option<String>,
    /// Authority.
    pub authority: Option<String>,
    /// Headers; text must be equal, an empty text means absent.
    pub headers: HeaderWords,
    /// Headers by what their values are like; several lines are one value, joined by commas.
    pub header_matches: BTreeMap<String, HeaderMatchWords>,
}

/// `response:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseExpectWords {
    /// Headers; text must be equal, an empty text means absent.
    pub headers: HeaderWords,
    /// Headers by what their values are like; several lines are one value, joined by commas.
    pub header_matches: BTreeMap<String, HeaderMatchWords>,
}
