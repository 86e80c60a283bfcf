//! Exit codes: part of the interface (docs: "Exit codes" in every `--help`).

use std::process::ExitCode;

/// How the program ends. When several apply, [`Exit::worst`] decides: interrupted > internal > usage > input > failed > nothing > good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All good.
    Good,
    /// An expectation failed, or differences were found.
    Failed,
    /// Wrong command line.
    Usage,
    /// Invalid or unreadable input.
    Input,
    /// Nothing matched.
    Nothing,
    /// Internal error.
    Internal,
    /// The user stopped it.
    Interrupted,
}

impl Exit {
    fn rank(self) -> u8 {
        match self {
            Exit::Good => 0,
            Exit::Nothing => 1,
            Exit::Failed => 2,
            Exit::Input => 3,
            Exit::Usage => 4,
            Exit::Internal => 5,
            Exit::Interrupted => 6,
        }
    }

    /// The one that wins.
    pub(crate) fn worst(self, other: Exit) -> Exit {
        if other.rank() > self.rank() { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Good => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Input => 3,
            Exit::Nothing => 4,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
        })
    }
}
