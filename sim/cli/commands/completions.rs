//! `completions` and `man`: made from the same definitions as `--help`.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::Cli;
use crate::exit::Exit;

/// Shell completions on stdout.
pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mesh-sim", &mut text);
    write(&text)
}

/// The manual page on stdout.
pub(crate) fn man() -> Exit {
    let mut page = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut page) {
        Ok(()) => write(&page),
        Err(_) => Exit::Internal,
    }
}

fn write(bytes: &[u8]) -> Exit {
    if std::io::stdout().write_all(bytes).is_err() { Exit::Internal } else { Exit::Good }
}
