//! What the simulator tells people: plain, serialisable records of what was predicted, and the ways to show them.
//!
//! * [`outcome`] — one predicted outcome of one request, in the words of the conformance corpus.
//! * [`conformance`] — the verdict table of `mesh-sim conformance`.
//!
//! Nothing here computes a decision: reports format what the harness hands over.

pub mod conformance;
pub mod outcome;
