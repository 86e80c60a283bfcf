//! The engine through its public API, on meshes built by hand.

mod allocations;
mod closed_form;
mod fixture;
mod recorded;
mod walk;
