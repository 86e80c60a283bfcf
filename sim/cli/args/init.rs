//! Arguments of `init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Manifests;

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Write the scenario to a new file, with paths relative to it; without this it goes to stdout, for a file in the
    /// current directory.
    #[arg(short, long, conflicts_with = "ci", value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// A CI configuration instead of a scenario.
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub(crate) ci: Option<Ci>,
}

/// CI systems `init` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// pre-commit.
    PreCommit,
}
