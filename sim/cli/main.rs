//! The mesh-sim binary.
fn main() {}
