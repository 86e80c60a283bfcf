//! One file per command; here only the choice.

mod completions;
mod graph;
mod inputs;
mod lint;
mod output;
mod run;

use crate::args::{Cli, Command};
use crate::exit::Exit;

/// Runs the chosen command.
pub(crate) fn dispatch(cli: &Cli) -> Exit {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(args, global),
        Command::Lint(args) => lint::lint(args, global),
        Command::Graph(args) => graph::graph(args, global),
        Command::Completions { shell } => completions::completions(*shell),
        Command::Man => completions::man(),
        _ => Exit::Internal,
    }
}
