//! What a sweep found: one row per point of a grid of parameters and seed.
//!
//! Plain data, filled by the harness; [`crate::render::sweep`] shows it. The parts of a sweep that several machines ran
//! hold the same heading and different rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::{GateVerdict, Latency};

/// The `apiVersion` of sweeps.
pub const SWEEP_VERSION: &str = "mesh-sim.dev/sweep/v1alpha1";

/// A sweep, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// [`SWEEP_VERSION`].
    pub api_version: String,
    /// What is swept.
    #[serde(flatten)]
    pub heading: SweepHeading,
    /// Which part this is; absent when it is all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// In order of task. Tasks that an interrupt left out are missing.
    pub rows: Vec<SweepRow>,
}

/// What makes two parts parts of one sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepHeading {
    /// Scenario name.
    pub scenario: String,
    /// Scenario file as given.
    pub file: String,
    /// Fingerprint of the program's version, the options, the scenario and its manifests.
    pub inputs: String,
    /// What varies, slowest first.
    pub parameters: Vec<Parameter>,
    /// Seeds of every point, which vary fastest.
    pub seeds: Vec<u64>,
    /// Points times seeds.
    pub tasks: u64,
}

/// Something that varies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// As `--set` takes it: `spec.traffic[0].rate`, `VirtualService/default/web:spec.http[0].timeout`.
    pub path: String,
    /// Its values.
    pub values: Vec<String>,
}

impl Parameter {
    /// The last word of the path.
    #[must_use]
    pub fn short(&self) -> &str {
        self.path.rsplit(['.', ':']).next().unwrap_or(&self.path)
    }
}

/// Tasks `index`, `index + of`, `index + 2 of` …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// Number of parts.
    pub of: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepRow {
    /// From 0.
    pub task: u64,
    /// Value of every parameter, in their order.
    pub values: Vec<String>,
    /// Seed.
    pub seed: u64,
    /// What the clients saw; empty where the configuration is refused.
    pub traffic: Vec<SweepTraffic>,
    /// Ejections over all proxies.
    pub ejections: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Refusals of breakers and queues.
    pub overflows: u64,
    /// Verdicts of `expect`.
    pub gates: Vec<SweepGate>,
    /// Requests whose fate is unknown.
    pub unknown: u64,
    /// Why there was no run: the configuration is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What one traffic saw.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepTraffic {
    /// Name.
    pub name: String,
    /// Requests that ended.
    pub requests: u64,
    /// Share of answers below 500.
    pub success: f64,
    /// Mean attempts of the client-side proxy.
    pub attempts_mean: f64,
    /// Seen by the client.
    pub latency: Latency,
}

/// The verdict of one expectation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepGate {
    /// The expectation in words.
    pub text: String,
    /// Whether it held.
    pub verdict: GateVerdict,
    /// What was predicted.
    pub got: String,
}

impl SweepRow {
    /// Gates that did not hold; what is unknown counts under `strict`.
    pub fn failed(&self, strict: bool) -> impl Iterator<Item = &SweepGate> {
        self.gates.iter().filter(move |gate| match gate.verdict {
            GateVerdict::Passed => false,
            GateVerdict::Unknown => strict,
            GateVerdict::Failed | GateVerdict::Refused => true,
        })
    }
}

/// The JSON Schema (draft 7) of `-o json`.
#[must_use]
pub fn sweep_schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<SweepReport>()
}
