//! Arguments of `graph`.

use std::path::PathBuf;

use clap::Args;

use super::{Manifests, Overrides};

/// `graph`
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// A scenario: the graph of its run, with rates.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}
