//! Scenario and policy files, expectations, explanations, conformance: everything between the files people write and
//! the engine that knows none of them.
//!
//! * [`conformance`] — predictions judged by recorded answers of a real mesh.
//! * [`tokens`] — JWTs, real and shorthand.
//! * [`translation`] — lowering compared with what istiod really sent.
//!
//! Prints nothing: results are plain data of `mesh-reports`.

pub mod conformance;
pub mod directory;
pub mod document;
pub mod expect;
pub mod format;
pub mod outcome;
pub mod plan;
pub mod predict;
pub mod tokens;
pub mod translation;
