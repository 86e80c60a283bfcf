//! Arguments of `lint`.

use clap::{Args, ValueEnum};

use super::Manifests;

/// `lint`
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Files or directories, same as -f.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// List every code with its meaning.
    #[arg(long)]
    pub(crate) list: bool,
    /// From which severity on findings make the exit code 1 (errors that a cluster would refuse are always 3).
    #[arg(long, value_enum, default_value_t = FailOn::Never, value_name = "LEVEL")]
    pub(crate) fail_on: FailOn,
}

/// Severity threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Warnings too.
    Warn,
    /// Only refused input.
    Never,
}
