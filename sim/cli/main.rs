//! The `mesh-sim` binary: arguments, files, colours, progress, exit codes. Everything else is in the libraries.
//!
//! stdout carries one byte-stable document; diagnostics, progress and hints go to stderr.

mod args;
mod commands;
mod diagnostics;
mod exit;
mod interrupt;
mod progress;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match cli.global.color {
        args::Color::Auto => {}
        args::Color::Always => anstream::ColorChoice::Always.write_global(),
        args::Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    commands::dispatch(&cli).into()
}
