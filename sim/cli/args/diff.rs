//! Arguments of `diff`.

use std::path::PathBuf;

use clap::Args;

/// Below the options of `diff --help`.
pub(crate) const HELP: &str = "\
Every request that either configuration can tell apart is put to both, and outcomes are enumerated, not sampled:
what is not listed did not change. Categories, most alarming first: unknown, newly-denied, lost, gained,
newly-plaintext, rerouted, reweighted, slower, changed (headers, status, timeout, retries).

  mesh-sim diff git:origin/main:k8s k8s                     # what this branch changes
  mesh-sim diff old/ new/ --allow reweighted                # a canary step is intended
  mesh-sim diff git:HEAD~1:k8s k8s -o markdown > comment.md # for the pull request
  mesh-sim diff old/ new/ --scenario scenarios/canary.yaml  # its traffic too";

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The old configuration: a directory (with everything below), a file, a glob, or `git:REV:PATH`.
    #[arg(value_name = "BASE")]
    pub(crate) base: String,
    /// The new configuration.
    #[arg(value_name = "HEAD")]
    pub(crate) head: String,
    /// Ask the requests of this scenario's traffic as well; repeat.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Vec<PathBuf>,
    /// Differences of this category are intended; repeat, or a comma list.
    #[arg(long, value_name = "CATEGORY")]
    pub(crate) allow: Vec<String>,
    /// Most witnesses per category.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) witnesses: usize,
    /// Only requests of this caller.
    #[arg(long, value_name = "NS/WORKLOAD")]
    pub(crate) from: Option<String>,
    /// Only requests that may arrive at this workload.
    #[arg(long, value_name = "NS/WORKLOAD")]
    pub(crate) to: Option<String>,
    /// Most requests asked; when more could be told apart, the report says so.
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) max_classes: usize,
    /// Namespace of objects that state none.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
}
