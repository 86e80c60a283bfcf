//! Reports as text. Every function returns a `String` that ends in a newline; nothing prints.
//!
//! Verdicts ([`crate::checks`]) become tables, TAP, JUnit, Markdown and HTML; findings ([`crate::findings`]), and
//! verdicts that did not pass as findings, become GitHub annotations, SARIF and GitLab code quality.

pub mod diff;
pub mod flags;
pub mod github;
pub mod gitlab;
pub mod graph_text;
pub mod html;
pub mod junit;
pub mod layout;
pub mod manifest;
pub mod markdown;
pub mod matrix;
pub mod mutation;
pub mod run_table;
pub mod sarif;
pub mod style;
pub mod svg;
pub mod sweep;
pub mod tap;
pub mod tests;
pub mod what_if;
