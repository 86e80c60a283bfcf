//! What a scenario was predicted to do, request by request over many simulated runs: the prediction of a recording over
//! time (FORMATS section 4), complete enough for another program to judge the recording again.
//!
//! One request's keys are given each by itself; how they go together in one run is not kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What all simulated runs of one scenario came to. One outcome, of probability 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OverTime {
    /// Probability: 1.
    pub p: f64,
    /// Simulated runs, each under its own seed. Shares below are multiples of 1/`runs`.
    pub runs: u32,
    /// Every request, in order of traffic and number.
    pub requests: Vec<RequestOverTime>,
    /// The ejections of each run.
    pub ejections: Vec<EjectionsOfRun>,
    /// Least and most that client proxies counted, by `pod cluster statistic` in Envoy's words; absent = 0.
    pub statistics: BTreeMap<String, [u64; 2]>,
}

/// One request over all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestOverTime {
    /// Traffic.
    pub traffic: String,
    /// Number in its traffic, from 0.
    pub n: u64,
    /// Planned arrival, ms.
    pub planned_ms: f64,
    /// Shortest and longest duration, ms.
    pub lasted_ms: [f64; 2],
    /// For each key of `observed.jsonl` (`status`, `flags`, `attempts`, `workload` …) the share of runs per value;
    /// `none` = nothing (null).
    #[serde(flatten)]
    pub keys: BTreeMap<String, BTreeMap<String, f64>>,
}

/// The ejections of one simulated run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EjectionsOfRun {
    /// Share of runs with exactly these: 1/`runs`, or more where equal ones are taken together.
    pub p: f64,
    /// In order of time; the keys of `summary.json`.
    pub ejections: Vec<EjectionOverTime>,
}

/// One predicted ejection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EjectionOverTime {
    /// Host, `ns/workload#ordinal`.
    pub workload: String,
    /// Whose detector, `ns/workload#ordinal`.
    pub by: String,
    /// Begin, ms.
    pub from_ms: f64,
    /// End, ms; `None` = out to the end of the run.
    pub until_ms: Option<f64>,
    /// n-th ejection of the host by this detector.
    pub num: u32,
}
