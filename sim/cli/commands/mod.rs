//! One file per command; here only the choice.

mod completions;
mod conformance;
mod diff;
mod dump;
mod explain;
mod git;
mod graph;
mod import;
mod init;
mod inputs;
mod lint;
mod matrix;
mod output;
mod replay;
mod run;
mod schema;
mod snapshot;
mod support;
mod sweep;
mod test;

use crate::args::{Cli, Command};
use crate::exit::Exit;

/// Runs the chosen command.
pub(crate) fn dispatch(cli: &Cli) -> Exit {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(args, global),
        Command::Test(args) => test::test(args, global),
        Command::Conformance(args) => conformance::conformance(args, global),
        Command::Lint(args) => lint::lint(args, global),
        Command::Init(args) => init::init(args, global),
        Command::Support(args) => support::support(args, global),
        Command::Schema(args) => schema::schema(args),
        Command::Explain(args) => explain::explain(args, global),
        Command::Matrix(args) => matrix::matrix(args, global),
        Command::Diff(args) => diff::diff(args, global),
        Command::Snapshot(args) => snapshot::snapshot(args, global),
        Command::Replay(args) => replay::replay(args, global),
        Command::Import(args) => import::import(args, global),
        Command::Sweep(args) => sweep::sweep(args, global),
        Command::Graph(args) => graph::graph(args, global),
        Command::Completions { shell } => completions::completions(*shell),
        Command::Man => completions::man(),
    }
}
