//! The prediction of one scenario: what `mesh-sim run` shows and what every other report is made from.
//!
//! Plain data, filled by the harness; [`crate::render`] shows it. Times are milliseconds, shares are 0..=1,
//! counts are after the warm-up. Order of every list is part of the format (stable, never by hash).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::ServiceGraph;

/// The `apiVersion` of machine-readable results.
pub const RESULT_VERSION: &str = "mesh-sim.dev/result/v1alpha1";

/// One run (or the join of several replications).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Scenario name.
    pub name: String,
    /// Scenario description.
    pub description: String,
    /// Scenario file as given.
    pub file: String,
    /// Seed.
    pub seed: u64,
    /// Simulated time, ms.
    pub duration_ms: f64,
    /// Not counted at the beginning, ms.
    pub warmup_ms: f64,
    /// Independent runs.
    pub replications: u32,
    /// Counted requests of all traffics.
    pub requests: u64,
    /// Semantics profile.
    pub profile: String,
    /// What was read.
    pub inputs: InputSummary,
    /// Splits by host, in order of first use.
    pub splits: Vec<SplitTable>,
    /// One row per traffic, in the order of the file.
    pub traffic: Vec<TrafficRow>,
    /// Who was ejected when, in time order.
    pub ejections: Vec<Ejection>,
    /// Denials by the policy that decided.
    pub denials: Vec<Denial>,
    /// Counts by response flag text (`-`, `UF,URX`), most frequent first.
    pub flags: Vec<Count>,
    /// Retry totals.
    pub retries: RetrySummary,
    /// Closed-form shares and means beside the sampled ones, where chance has a part in them.
    pub compared: Vec<Compared>,
    /// The tolerance that [`Compared::runs_needed`] is about (shares absolute, means relative).
    pub tolerance: f64,
    /// What overflowed where.
    pub overflows: Vec<Overflow>,
    /// The service graph with rates.
    pub graph: ServiceGraph,
    /// The verdicts of `expect`.
    pub gates: Vec<Gate>,
    /// Overload, unknown parts, made-up gateways and other remarks, with a place where there is one.
    pub notes: Vec<Note>,
    /// Requests whose fate is unknown because of something not modelled.
    pub unknown: u64,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputSummary {
    /// Objects that take part.
    pub objects: u32,
    /// Files.
    pub files: u32,
    /// Objects of kinds that are listed but not simulated.
    pub listed: u32,
    /// Pods.
    pub pods: u32,
    /// Pods with a sidecar.
    pub sidecars: u32,
    /// Gateway pods.
    pub gateways: u32,
    /// Services of the registry (Services and ServiceEntry hosts).
    pub services: u32,
}

/// How the traffic to one host split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SplitTable {
    /// Host name as dialled or as in the registry.
    pub host: String,
    /// What decided (`VirtualService default/reviews`), empty for plain load balancing.
    pub decided_by: String,
    /// `file:line:column` of what decided; empty without one.
    pub place: String,
    /// `subset`, `workload` …
    pub by: String,
    /// Rows.
    pub rows: Vec<SplitRow>,
}

/// One destination of a split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SplitRow {
    /// Subset or workload.
    pub name: String,
    /// Configured (closed-form) share, if there is one.
    pub configured: Option<f64>,
    /// Observed share.
    pub observed: f64,
    /// Interval of the observed share at 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Requests.
    pub requests: u64,
    /// Requests per second.
    pub rps: f64,
    /// Latency.
    pub latency: Latency,
    /// Share of 5xx and connection failures.
    pub error_share: f64,
}

/// Latency percentiles, ms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Smallest.
    pub min_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

/// What one traffic experienced.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRow {
    /// Name of the traffic.
    pub name: String,
    /// Client.
    pub from: String,
    /// Request in short.
    pub request: String,
    /// Requests that ended.
    pub requests: u64,
    /// Still in flight at the end.
    pub in_flight: u64,
    /// Offered requests per second.
    pub rps: f64,
    /// Share of answers below 500 (connection failures count as errors).
    pub success: f64,
    /// Exact share without sampling, where the configuration leaves only independent percentages to chance.
    pub success_exact: Option<f64>,
    /// Counts by outcome text (`200`, `503 UF,URX`, `reset`), most frequent first.
    pub outcomes: Vec<Count>,
    /// Latency seen by the client.
    pub latency: Latency,
    /// Mean attempts of the client-side proxy.
    pub attempts_mean: f64,
    /// Largest number of attempts.
    pub attempts_max: u32,
}

/// A text with a count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// One ejection seen by one proxy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ejection {
    /// `ns/workload#ordinal` of the ejected pod, or its address.
    pub host: String,
    /// The proxy (its workload reference) that ejected it.
    pub by: String,
    /// Envoy's cluster name.
    pub cluster: String,
    /// `consecutive_5xx` …
    pub kind: String,
    /// When the detector ejected, ms.
    pub at_ms: f64,
    /// When the balancer stopped using it (update merge window), ms.
    pub visible_ms: f64,
    /// When it came back, ms; absent if still out at the end.
    pub until_ms: Option<f64>,
    /// How often this host has been ejected, from 1.
    pub number: u32,
    /// Replication, from 0.
    pub replication: u32,
}

/// Requests denied by one policy at one workload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// Workload that denied.
    pub workload: String,
    /// `AuthorizationPolicy/ns/name`, `PeerAuthentication/ns/name` …
    pub by: String,
    /// `file:line:column`
    pub place: String,
    /// Envoy's details.
    pub details: String,
    /// Status; 0 = connection ended.
    pub status: u16,
    /// How many requests.
    pub count: u64,
    /// Share of the requests to that workload.
    pub share: f64,
}

/// Retries over all proxies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetrySummary {
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that ended well after a retry.
    pub recovered: u64,
    /// Upstream attempts per downstream request.
    pub amplification: f64,
    /// The worst number of attempts one user request can cause at the deepest service (product over the call tree).
    pub worst_case_attempts: u64,
    /// Offered load of all traffics together (requests per second) from which on retries keep an overload alive that
    /// would otherwise pass, if there is such a load: attempts that time out use up the capacity they need.
    pub storm_rps: Option<f64>,
    /// The workload that gives way first.
    pub storm_at: String,
    /// Load of all traffics together that this workload serves without retries; 0 without `storm_rps`.
    pub capacity_rps: f64,
}

/// A closed-form number beside the sampled one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// `users: success`, `users: attempts`, `users: denied`, `reviews.default.svc.cluster.local: v1`.
    pub what: String,
    /// Closed form, on the idle mesh: without load, ejections and changes on the way.
    pub exact: f64,
    /// As sampled.
    pub sampled: f64,
    /// Half of the 95 % interval of the sampled number.
    pub error: f64,
    /// Runs like this one (replications) that would hold the sampling error below the tolerance at one false alarm in
    /// a million.
    pub runs_needed: u64,
}

/// A breaker or queue that refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overflow {
    /// Proxy or workload.
    pub at: String,
    /// Cluster; empty for application queues.
    pub cluster: String,
    /// `pending`, `requests`, `retries`, `connections`, `queue`
    pub what: String,
    /// How often.
    pub count: u64,
    /// The object that sets the limit, and its `file:line:column`; empty = default.
    pub place: String,
}

/// The verdict of one `expect` entry.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The expectation in words.
    pub text: String,
    /// Whether it held.
    pub verdict: GateVerdict,
    /// What was predicted.
    pub got: String,
    /// What was expected.
    pub expected: String,
    /// `file:line:column` of the expectation.
    pub place: String,
    /// `file:line:column` of the YAML that decided, if one did.
    pub decided_by: String,
}

/// Whether a gate held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateVerdict {
    /// It held.
    Passed,
    /// It did not.
    #[default]
    Failed,
    /// The prediction is unknown; never a pass.
    Unknown,
    /// The sampling error is wider than the tolerance: the check is refused (the text says what would be needed).
    Refused,
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// `overload`, `unknown`, `made-up`, `listed`, `propagation` …
    pub kind: String,
    /// The remark.
    pub text: String,
    /// `file:line:column`; empty without one.
    pub place: String,
}

/// JSON Schema (draft 7) of one run, as `-o json` and `--report json` write them below `runs`.
#[must_use]
pub fn result_schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<RunReport>()
}
