//! The engine through its public API, on meshes built by hand.

mod fixture;
mod recorded;
mod walk;
