//! Reports as text. Every function returns a `String` that ends in a newline; nothing prints.

pub mod run_table;
pub mod style;
pub mod tests;
