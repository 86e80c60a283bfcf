//! What the simulator tells people: plain, serialisable records of what was predicted, and the ways to show them.
//!
//! * [`run`] — the prediction of one scenario.
//! * [`checks`] — the verdicts of `mesh-sim test`.
//! * [`graph`] — the service graph of a mesh or a run.
//! * [`access_log`] — access log lines in Istio's formats; [`metrics`] — Istio's standard metrics.
//! * [`explain`] — one request, step by step.
//! * [`findings`] — what lint found, and what is wrong with a test file.
//! * [`matrix`] — callers against services, and what a change of policy would break.
//! * [`outcome`] — one predicted outcome of one request, in the words of the conformance corpus.
//! * [`over_time`] — what a scenario was predicted to do, beside a recording.
//! * [`mutation`] — changes of rules that no test notices.
//! * [`diff`] — what changes between two configurations.
//! * [`conformance`] — the verdict table of `mesh-sim conformance`.
//!
//! Nothing here computes a decision: reports format what the harness hands over.

pub mod access_log;
pub mod checks;
pub mod conformance;
pub mod coverage;
pub mod diff;
pub mod explain;
pub mod findings;
pub mod graph;
pub mod matrix;
pub mod metrics;
pub mod mutation;
pub mod outcome;
pub mod over_time;
pub mod render;
pub mod replay;
pub mod run;
pub mod sweep;
