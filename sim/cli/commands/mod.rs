//! One file per command; here only the choice.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Cli, Command};
use crate::exit::Exit;

/// Runs the chosen command.
pub(crate) fn dispatch(cli: &Cli) -> Exit {
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "mesh-sim", &mut std::io::stdout());
            Exit::Good
        }
        Command::Man => man(),
        _ => Exit::Internal,
    }
}

fn man() -> Exit {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    if rendered.is_err() || std::io::stdout().write_all(&page).is_err() {
        return Exit::Internal;
    }
    Exit::Good
}
