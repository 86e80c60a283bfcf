//! The one integration binary.
//!
//! Tests are data where they can be: scenarios, policy tests, corpus lines. This binary runs them and holds the
//! rules no compiler holds.

#![expect(clippy::tests_outside_test_module, reason = "this whole binary is tests")]

mod bad_input;
mod changes;
mod cli;
mod conformance;
mod docs;
mod dynamic;
mod gates;
mod golden;
mod import;
mod interrupt;
mod matrix;
mod number;
mod place;
mod program;
mod replay;
mod same_numbers;
mod senders;
mod simulated;
mod sweep;
mod testing;
mod theory;
mod tidy;
mod walkthroughs;
mod witness;
