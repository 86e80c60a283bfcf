//! Scenario and policy files, expectations, explanations, conformance: everything between the files people write and
//! the engine that knows none of them.
//!
//! * [`conformance`] — predictions judged by recorded answers of a real mesh.
//! * [`loaded`], [`mod@world`] — a mesh read, modelled, lowered and turned into the engine's world.
//! * [`scenario`], [`timeline`], [`report`], [`gate`] — a run and its verdict.
//! * [`sweep`] — a scenario over a grid of parameters and seeds.
//! * [`explain`] — one request, every step.
//! * [`policy`] — `mesh-sim test`: policy tests and gated scenarios, judged.
//! * [`space`] — the requests that a mesh tells apart, one of every class.
//! * [`diff`] — what changes between two configurations.
//! * [`import`] — tests of other tools.
//! * [`snapshot`] — outcome tables kept in files.
//! * [`lint`] — static findings.
//! * [`matrix`] — callers against services, and what a change of policy would break.
//! * [`tokens`] — JWTs, real and shorthand.
//! * [`translation`] — lowering compared with what istiod really sent.
//!
//! Prints nothing: results are plain data of `mesh-reports`.

mod chosen;
pub mod conformance;
pub mod coverage;
pub mod diff;
pub mod directory;
pub mod document;
pub mod expect;
pub mod explain;
pub mod findings;
pub mod format;
pub mod gate;
pub mod import;
pub mod istio;
pub mod lint;
pub mod loaded;
pub mod matrix;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod predict;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod snapshot;
pub mod space;
pub mod stop;
pub mod sweep;
pub mod timeline;
pub mod tokens;
pub mod translation;
pub mod world;
