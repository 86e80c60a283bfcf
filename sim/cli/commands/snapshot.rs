//! `snapshot`: write, list and review outcome snapshots. The only place that writes them, and never in CI.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use mesh_harness::policy::find;
use mesh_harness::snapshot::{Compared, State, Survey, survey};

use super::{output, test};
use crate::args::{Global, ReviewArgs, SnapshotArgs, SnapshotCommand};
use crate::exit::Exit;
use crate::progress::Progress;

/// Most differences shown per snapshot.
const SHOWN: usize = 20;

/// The command.
pub(crate) fn snapshot(args: &SnapshotArgs, global: &Global) -> Exit {
    let (paths, write) = match &args.command {
        None => (&args.paths, true),
        Some(SnapshotCommand::Write(args)) => (&args.paths, true),
        Some(SnapshotCommand::List(args)) => (&args.paths, false),
        Some(SnapshotCommand::Review(args)) => (&args.paths, args.accept || !args.reject),
    };
    if write && in_ci() {
        anstream::eprintln!("error: CI is set, and CI never writes snapshots; `mesh-sim test` compares them");
        return Exit::Usage;
    }
    let paths = if paths.is_empty() { test::defaults() } else { paths.clone() };
    if let Some(missing) = paths.iter().find(|p| !p.exists()) {
        anstream::eprintln!("error: {} does not exist", missing.display());
        return Exit::Input;
    }
    let progress = Progress::start("predicting", global);
    let found = survey(&find(&paths), &[]);
    progress.finish();
    for finding in &found.broken {
        anstream::eprintln!("error: {}", finding.text());
    }
    if found.snapshots.is_empty() && found.obsolete.is_empty() {
        if found.broken.is_empty() {
            anstream::eprintln!("error: no PolicyTest here has `snapshots:`");
            return Exit::Nothing;
        }
        return Exit::Input;
    }
    let exit = match &args.command {
        Some(SnapshotCommand::List(_)) => list(&found),
        Some(SnapshotCommand::Review(args)) => review(&found, args),
        None | Some(SnapshotCommand::Write(_)) => write_new(&found),
    };
    if found.broken.is_empty() { exit } else { exit.worst(Exit::Input) }
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false" && v != "0")
}

fn word(state: &State) -> String {
    match state {
        State::Same => "same".to_owned(),
        State::Missing => "missing".to_owned(),
        State::Changed(differences) => format!("changed ({} requests)", differences.len()),
        State::Broken(line, why) => format!("broken at line {line}: {why}"),
    }
}

fn list(found: &Survey) -> Exit {
    let mut text = String::new();
    for one in &found.snapshots {
        text.push_str(&format!("{}  {}\n", one.file.display(), word(&one.state)));
    }
    for file in &found.obsolete {
        text.push_str(&format!("{}  obsolete\n", file.display()));
    }
    output::stdout(&text)
}

/// Writes what is missing; what changed goes beside the file, as `….snap.new`, until somebody reviewed it.
fn write_new(found: &Survey) -> Exit {
    let (mut text, mut exit) = (String::new(), Exit::Good);
    for one in &found.snapshots {
        let (path, said) = match &one.state {
            State::Same => {
                text.push_str(&format!("same      {}\n", one.file.display()));
                continue;
            }
            State::Missing => (one.file.clone(), "written "),
            State::Changed(_) | State::Broken(..) => (pending(&one.file), "changed "),
        };
        if one.state != State::Missing {
            exit = exit.worst(Exit::Failed);
        }
        text.push_str(&format!("{said}  {}\n", path.display()));
        exit = exit.worst(whole(&path, &one.text));
    }
    for file in &found.obsolete {
        text.push_str(&format!("obsolete  {}\n", file.display()));
        exit = exit.worst(Exit::Failed);
    }
    if exit != Exit::Good {
        anstream::eprintln!("`mesh-sim snapshot review` accepts or rejects what changed");
    }
    output::stdout(&text).worst(exit)
}

fn pending(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Never leaves half a file behind.
fn whole(path: &Path, text: &str) -> Exit {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let written = output::file(&temporary, text);
    if written != Exit::Good {
        return written;
    }
    match std::fs::rename(&temporary, path) {
        Ok(()) => Exit::Good,
        Err(e) => {
            anstream::eprintln!("error: cannot write {}: {e}", path.display());
            Exit::Input
        }
    }
}

/// What somebody decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Accept,
    Reject,
    Skip,
    Quit,
}

fn review(found: &Survey, args: &ReviewArgs) -> Exit {
    let (mut text, mut exit) = (String::new(), Exit::Good);
    let mut quit = false;
    let open = found.snapshots.iter().filter(|s| s.state != State::Same);
    let items = open.map(Item::Snapshot).chain(found.obsolete.iter().map(Item::Obsolete));
    for item in items {
        item.show();
        let decision = match (quit, args.accept, args.reject) {
            (true, ..) => Decision::Skip,
            (_, true, _) => Decision::Accept,
            (_, _, true) => Decision::Reject,
            _ => ask(),
        };
        quit |= decision == Decision::Quit;
        let word = match decision {
            Decision::Accept => {
                exit = exit.worst(item.accept());
                "accepted"
            }
            Decision::Reject => {
                let _ = std::fs::remove_file(pending(item.file()));
                exit = exit.worst(Exit::Failed);
                "rejected"
            }
            Decision::Skip | Decision::Quit => {
                exit = exit.worst(Exit::Failed);
                "skipped "
            }
        };
        text.push_str(&format!("{word}  {}\n", item.file().display()));
    }
    if text.is_empty() {
        text.push_str("nothing to review\n");
    }
    output::stdout(&text).worst(exit)
}

enum Item<'a> {
    Snapshot(&'a Compared),
    Obsolete(&'a PathBuf),
}

impl Item<'_> {
    fn file(&self) -> &Path {
        match self {
            Item::Snapshot(one) => &one.file,
            Item::Obsolete(file) => file,
        }
    }

    fn show(&self) {
        match self {
            Item::Obsolete(file) => anstream::eprintln!("{}: obsolete; accepting deletes it", file.display()),
            Item::Snapshot(one) => {
                anstream::eprintln!("{}: {}", one.file.display(), word(&one.state));
                if let State::Changed(differences) = &one.state {
                    for d in differences.iter().take(SHOWN) {
                        anstream::eprintln!("  {}", d.request);
                        for (mark, text) in [('-', &d.recorded), ('+', &d.predicted)] {
                            if !text.is_empty() {
                                anstream::eprintln!("    {mark} {text}");
                            }
                        }
                    }
                    if differences.len() > SHOWN {
                        anstream::eprintln!("  ... and {} more", differences.len() - SHOWN);
                    }
                }
            }
        }
    }

    fn accept(&self) -> Exit {
        let _ = std::fs::remove_file(pending(self.file()));
        match self {
            Item::Snapshot(one) => whole(&one.file, &one.text),
            Item::Obsolete(file) => match std::fs::remove_file(file) {
                Ok(()) => Exit::Good,
                Err(e) => {
                    anstream::eprintln!("error: cannot delete {}: {e}", file.display());
                    Exit::Input
                }
            },
        }
    }
}

/// One answer from stdin; its end is "quit".
fn ask() -> Decision {
    loop {
        anstream::eprint!("[a]ccept, [r]eject, [s]kip, [q]uit? ");
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => return Decision::Quit,
            Ok(_) => match line.trim() {
                "a" | "accept" => return Decision::Accept,
                "r" | "reject" => return Decision::Reject,
                "s" | "skip" | "" => return Decision::Skip,
                "q" | "quit" => return Decision::Quit,
                other => anstream::eprintln!("`{other}`?"),
            },
        }
    }
}
