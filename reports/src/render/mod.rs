//! Reports as text. Every function returns a `String` that ends in a newline; nothing prints.

pub mod graph_text;
pub mod layout;
pub mod run_table;
pub mod style;
pub mod svg;
pub mod tests;
