//! Arguments of `test`.

use std::path::PathBuf;

use clap::Args;

use super::Overrides;

/// `test`
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only cases whose `file: name` contains this text; repeat for any of them.
    #[arg(short = 'k', long = "filter", value_name = "TEXT")]
    pub(crate) filter: Vec<String>,
    /// Only part i of n of the files, by position (`0/4`).
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
    /// Stop after the first file that fails.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Change the rules instead (drop a rule, a match or a value, swap rules, move weight, widen a path, flip an
    /// action, loosen mTLS) and list the changes that no passing case, snapshot or gate notices; exit code 1 if there are any.
    #[arg(long, conflicts_with_all = ["shard", "fail_fast"])]
    pub(crate) mutate: bool,
    /// With --mutate: most changes that are tried, spread over all that are possible.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) mutants: usize,
    #[command(flatten)]
    pub(crate) coverage: CoverageArgs,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Coverage of `test`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CoverageArgs {
    /// Which routes, destinations, subsets, policy rules, mTLS modes, Sidecar egress lines and Gateway servers no test
    /// passes through (`--report lcov=PATH` for editors).
    #[arg(long = "coverage")]
    pub(crate) show: bool,
    /// Exit with 1 when less than this share is covered; never rounded up. Implies --coverage.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) fail_under: Option<String>,
    /// For everything uncovered a case that would cover it, ready to paste, or why there is none. Implies --coverage.
    #[arg(long)]
    pub(crate) missing: bool,
}

impl CoverageArgs {
    /// Whether anything of it was asked for.
    pub(crate) fn wanted(&self) -> bool {
        self.show || self.missing || self.fail_under.is_some()
    }
}
