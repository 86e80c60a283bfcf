//! Arguments of `sweep`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Manifests, Overrides};

/// Below the options of `sweep --help`.
pub(crate) const HELP: &str = "\
Values are a list, a range FROM..TO:STEP whose numbers may have a unit, or a YAML list. Every combination is run under
every seed; exit code 1 when a gate fails somewhere.

  mesh-sim sweep scenarios/canary.yaml --param 'spec.traffic[0].rate=100/s..500/s:100/s' --seeds 5
  mesh-sim sweep scenarios/canary.yaml --param 'VirtualService/reviews:spec.http[0].retries.attempts=0,1,2,4' -o csv
  mesh-sim sweep big.yaml --param 'spec.traffic[0].rate=1..9:1' --shard $JOB_COMPLETION_INDEX/8 --report json=part.json
  mesh-sim sweep merge part-*.json                # the same bytes as one machine would have printed";

/// `sweep`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct SweepArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SweepCommand>,
    /// Scenario file, with one scenario.
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
    /// What varies: a field as `--set` takes it, and its values; repeat for a grid, the first varies slowest.
    #[arg(long = "param", value_name = "PATH=VALUES")]
    pub(crate) parameters: Vec<String>,
    /// Seeds of every point: how many, from the scenario's seed on, or which (`1..200`).
    #[arg(long, value_name = "N|A..B")]
    pub(crate) seeds: Option<String>,
    /// Only part i of n of the runs (`0/8`); write it with `--report json=PATH` and join the parts with `sweep merge`.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Commands of `sweep`.
#[derive(Debug, Subcommand)]
pub(crate) enum SweepCommand {
    /// Join the parts of one sweep; refuses gaps, parts that are there twice and parts of different inputs.
    Merge {
        /// JSON files that `sweep --shard` wrote.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}
