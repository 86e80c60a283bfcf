//! Arguments of `snapshot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Below the options of `snapshot --help`.
pub(crate) const HELP: &str = "\
A PolicyTest asks for snapshots with `spec.snapshots: [{name: all, from: any, to: any}]`; each is a text file in
`snapshots/` beside it: every request that the mesh can tell apart, and what it ends in. `mesh-sim test` fails when one
differs, is missing, is obsolete or is not whole. In CI (CI is set) nothing is ever written.

  mesh-sim snapshot                   # write what is missing; changed ones go to FILE.new
  mesh-sim snapshot review            # accept, reject or skip each change
  mesh-sim snapshot review --accept   # accept all of them";

/// `snapshot`
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SnapshotCommand>,
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Write missing files; put what changed beside the file for review (the default).
    Write(SnapshotPaths),
    /// The files and how they compare.
    List(SnapshotPaths),
    /// Accept, reject or skip what changed.
    Review(ReviewArgs),
}

/// Which documents.
#[derive(Debug, Args)]
pub(crate) struct SnapshotPaths {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `snapshot review`
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Accept everything without asking.
    #[arg(long, conflicts_with = "reject")]
    pub(crate) accept: bool,
    /// Reject everything without asking: files stay as they are.
    #[arg(long)]
    pub(crate) reject: bool,
}
