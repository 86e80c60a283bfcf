//! Arguments of `schema`.

use clap::{Args, ValueEnum};

/// `schema`
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which one.
    #[arg(value_enum)]
    pub(crate) what: SchemaKind,
}

/// Schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// Scenario files.
    Scenario,
    /// PolicyTest files.
    Policy,
    /// Results (`run -o json`).
    Result,
    /// Sweeps (`sweep -o json`).
    Sweep,
}
