//! A spinner on stderr for runs that last longer than a moment; silent in pipes, in CI and with `-q`.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Global;

/// A running spinner, or nothing.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts one if somebody watches.
    pub(crate) fn start(what: &str, global: &Global) -> Progress {
        let ci = std::env::var_os("CI").is_some_and(|v| v != "false" && v != "0" && !v.is_empty());
        if global.quiet || ci || !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(Some(bar))
    }

    /// Clears the line.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
