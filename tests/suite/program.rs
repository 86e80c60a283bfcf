//! mesh-sim as a person at a desk starts it: without the variables by which it would know a pipeline.
//!
//! CI sets `CI`, and CI never writes snapshots: a test about pipelines sets it itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A command of this program, without colours, nothing to read.
pub(crate) fn command() -> Command {
    at_a_desk(Command::new(env!("CARGO_BIN_EXE_mesh-sim")))
}

/// The same environment for another program, such as a shell that calls mesh-sim.
pub(crate) fn at_a_desk(mut command: Command) -> Command {
    command.env("NO_COLOR", "1").env_remove("CI").stdin(Stdio::null());
    command
}

/// Runs mesh-sim in a directory.
pub(crate) fn mesh_sim_in(dir: &Path, args: &[&str]) -> Output {
    command().args(args).current_dir(dir).output().expect("the binary runs")
}

/// Runs mesh-sim in the repository.
pub(crate) fn mesh_sim(args: &[&str]) -> Output {
    mesh_sim_in(&root(), args)
}
