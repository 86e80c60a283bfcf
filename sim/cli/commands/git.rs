//! `git:REV:PATH`: manifests as they were at a revision, read by the `git` command of the machine.

use std::process::{Command, Stdio};

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::input::InputFile;
use mesh_config::source::Span;

/// The revision and the path of an argument; `None` if it is none of ours.
pub(crate) fn parse(argument: &str) -> Option<(&str, &str)> {
    argument.strip_prefix("git:")?.split_once(':')
}

/// The manifests below a path of a revision, by name. An empty path is the working directory.
pub(crate) fn files(revision: &str, path: &str) -> Result<Vec<InputFile>, Box<Diagnostic>> {
    let problem =
        |message: String| Box::new(Diagnostic::error(codes::UNREADABLE, Stage::Parse, Span::NONE, message));
    git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])
        .map_err(|why| match why {
            Failure::NoGit(why) => problem(format!("`git:{revision}:{path}`: git cannot be run: {why}")),
            Failure::Refused(_) => {
                let message = format!("`git:{revision}:{path}`: there is no revision `{revision}` here");
                let help =
                    "a branch, a tag or a commit of this repository; in CI, fetch it first (`fetch-depth: 0`)";
                Box::new(problem(message).help(help))
            }
        })?;
    let directory = if path.is_empty() { "." } else { path };
    let listed = git(&["ls-tree", "-r", "-z", "--name-only", revision, "--", directory])
        .map_err(|why| problem(format!("`git:{revision}:{path}`: {why}")))?;
    let names: Vec<String> = String::from_utf8_lossy(&listed)
        .split('\0')
        .filter(|name| !name.is_empty() && (*name == directory || is_manifest(name)))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(problem(format!("`git:{revision}:{path}`: no manifest is there at that revision")));
    }
    let show = |name: &String| {
        let bytes = git(&["show", &format!("{revision}:./{name}")])
            .map_err(|why| problem(format!("`git:{revision}:{name}`: {why}")))?;
        Ok(InputFile { display_name: format!("git:{revision}:{name}"), bytes })
    };
    names.iter().map(show).collect()
}

fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

enum Failure {
    /// The command could not be started.
    NoGit(String),
    /// It ended with an error.
    Refused(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::NoGit(why) | Failure::Refused(why)) = self;
        f.write_str(why)
    }
}

fn git(arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let output = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::NoGit(e.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("git failed").to_owned();
    Err(Failure::Refused(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_revision_and_path() {
        assert_eq!(parse("git:HEAD~1:k8s/base"), Some(("HEAD~1", "k8s/base")));
        assert_eq!(parse("git:main:"), Some(("main", "")));
        assert_eq!(parse("k8s/"), None);
        assert_eq!(parse("git:main"), None);
    }
}
