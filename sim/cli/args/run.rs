//! Arguments of `run`.

use std::path::PathBuf;

use clap::Args;

use super::Manifests;

/// Overrides of a scenario.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Override a field of the scenario (`--set spec.duration=5m`, `--set spec.traffic[0].rate=200/s`) or of an object among
    /// its manifests (`--set VirtualService/default/reviews:spec.http[0].timeout=2s`).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Simulated time instead of the scenario's (`90s`, `5m`).
    #[arg(long, value_name = "DURATION")]
    pub(crate) duration: Option<String>,
    /// Independent runs instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<u32>,
    /// Sampling error of which `run` says how many runs would stay below it (default 1%).
    #[arg(long, value_name = "PERCENT")]
    pub(crate) tolerance: Option<String>,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Scenario files.
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}
