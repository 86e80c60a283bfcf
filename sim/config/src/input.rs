//! `-f` arguments to bytes: files, directories, globs and stdin, in a stable order, each file once.
//!
//! Reading is the only thing done here; what the bytes mean is the business of `load`.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use walkdir::WalkDir;

use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::source::Span;

/// Files above this size are refused; a cluster's etcd would not hold a thousandth of it.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// The path as a person would type it; `<stdin>` for `-`.
    pub display_name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How arguments are expanded.
#[derive(Default)]
pub struct Expand<'a> {
    /// Relative paths start here instead of the working directory; display names keep it as a prefix.
    pub base: Option<&'a Path>,
    /// Whether directories are searched below their first level (`-R`).
    pub recursive: bool,
    /// What `-` reads; without it `-` is an error.
    pub stdin: Option<&'a mut dyn Read>,
}

/// Reads everything the arguments name. Directories give their `.yaml`, `.yml` and `.json` files by name.
pub fn expand(arguments: &[String], mut how: Expand<'_>) -> (Vec<InputFile>, Vec<Diagnostic>) {
    let mut reader = Reader { files: Vec::new(), seen: BTreeSet::new(), diagnostics: Vec::new() };
    for argument in arguments {
        if argument == "-" {
            reader.stdin(how.stdin.take());
            continue;
        }
        let path = how.base.map_or_else(|| PathBuf::from(argument), |base| base.join(argument));
        if path.is_dir() {
            reader.directory(&path, how.recursive);
        } else if path.exists() || !is_glob(argument) {
            reader.file(&path);
        } else {
            reader.glob(argument, how.base.unwrap_or(Path::new("")));
        }
    }
    (reader.files, reader.diagnostics)
}

struct Reader {
    files: Vec<InputFile>,
    seen: BTreeSet<PathBuf>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn stdin(&mut self, stdin: Option<&mut dyn Read>) {
        let Some(stdin) = stdin else {
            self.problem("`-` can be given once, and only where stdin is at hand".to_owned());
            return;
        };
        let mut bytes = Vec::new();
        match stdin.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
            Ok(_) => self.accept("<stdin>".to_owned(), bytes),
            Err(e) => self.problem(format!("stdin cannot be read: {e}")),
        }
    }

    fn file(&mut self, path: &Path) {
        let name = display(path);
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if !self.seen.insert(identity) {
            return;
        }
        let size = std::fs::metadata(path).map(|m| m.len());
        match size.and_then(|size| if size > MAX_FILE_BYTES { Ok(Vec::new()) } else { std::fs::read(path) }) {
            Ok(bytes)
                if bytes.is_empty() && std::fs::metadata(path).is_ok_and(|m| m.len() > MAX_FILE_BYTES) =>
            {
                self.problem(format!("`{name}` is larger than {} MiB", MAX_FILE_BYTES >> 20));
            }
            Ok(bytes) => self.accept(name, bytes),
            Err(e) => self.problem(format!("`{name}` cannot be read: {e}")),
        }
    }

    fn accept(&mut self, display_name: String, bytes: Vec<u8>) {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            self.problem(format!("`{display_name}` is larger than {} MiB", MAX_FILE_BYTES >> 20));
            return;
        }
        self.files.push(InputFile { display_name, bytes });
    }

    fn directory(&mut self, path: &Path, recursive: bool) {
        let depth = if recursive { usize::MAX } else { 1 };
        let before = self.files.len();
        for entry in WalkDir::new(path).max_depth(depth).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_manifest(entry.path()) => {
                    self.file(entry.path())
                }
                Ok(_) => {}
                Err(e) => self.problem(format!("`{}` cannot be read: {e}", display(path))),
            }
        }
        if self.files.len() == before && !recursive {
            let below = WalkDir::new(path).into_iter().flatten().any(|e| is_manifest(e.path()));
            if below {
                let name = display(path);
                let d = problem(format!("`{name}` has no manifests at its first level"));
                self.diagnostics.push(d.help("add -R to search its subdirectories"));
            }
        }
    }

    fn glob(&mut self, pattern: &str, base: &Path) {
        let matcher = match GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => glob.compile_matcher(),
            Err(e) => return self.problem(format!("`{pattern}` is not a valid glob: {}", e.kind())),
        };
        // The walk starts at the longest prefix without wildcards.
        let fixed: PathBuf = Path::new(pattern)
            .components()
            .take_while(|c| !is_glob(&c.as_os_str().to_string_lossy()))
            .collect();
        let start = base.join(&fixed);
        let start = if start.as_os_str().is_empty() { PathBuf::from(".") } else { start };
        let mut found = false;
        for entry in WalkDir::new(&start).follow_links(true).sort_by_file_name().into_iter().flatten() {
            let path = entry.path();
            let relative = path.strip_prefix(base).unwrap_or(path);
            let relative = relative.strip_prefix(".").unwrap_or(relative);
            let relative =
                if pattern.starts_with("./") { Path::new(".").join(relative) } else { relative.into() };
            if entry.file_type().is_file() && matcher.is_match(&relative) {
                found = true;
                self.file(path);
            }
        }
        if !found {
            self.problem(format!("no file matches `{pattern}`"));
        }
    }

    fn problem(&mut self, message: String) {
        self.diagnostics.push(problem(message));
    }
}

fn problem(message: String) -> Diagnostic {
    Diagnostic::error(codes::UNREADABLE, Stage::Parse, Span::NONE, message)
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Paths are shown without a leading `./`, without `a/../` and with `/` everywhere: the same on every machine, and as
/// code hosts name the file.
fn display(path: &Path) -> String {
    let short = shortened(path);
    // Behind a symbolic link `..` may lead elsewhere.
    let path = if short.exists() { &short } else { path };
    let text = path.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

fn shortened(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        let below = matches!(out.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && below {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mesh-sim-input-{}", std::process::id()));
        for (name, text) in [("b.yaml", "b"), ("a.yml", "a"), ("sub/c.json", "{}"), ("note.txt", "no")] {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&dir)).expect("temp dir");
            std::fs::write(path, text).expect("temp file");
        }
        dir
    }

    fn names(arguments: &[&str], recursive: bool) -> (Vec<String>, Vec<String>) {
        let dir = root();
        let arguments: Vec<String> = arguments.iter().map(|s| (*s).to_owned()).collect();
        let (files, diagnostics) = expand(&arguments, Expand { base: Some(&dir), recursive, stdin: None });
        let prefix = format!("{}/", dir.display());
        let strip = |s: String| s.replace(&prefix, "").replace(&format!("{}", dir.display()), ".");
        (
            files.into_iter().map(|f| strip(f.display_name)).collect(),
            diagnostics.into_iter().map(|d| strip(d.message)).collect(),
        )
    }

    #[test]
    fn arguments_expand_in_order_and_once() {
        assert_eq!(names(&["."], false).0, ["a.yml", "b.yaml"]);
        assert_eq!(names(&[""], true).0, ["a.yml", "b.yaml", "sub/c.json"]);
        assert_eq!(names(&["b.yaml", "*.y*ml"], false).0, ["b.yaml", "a.yml"]);
        assert_eq!(names(&["**/*.json"], false).0, ["sub/c.json"]);
        assert_eq!(names(&["x/*.yaml"], false).1, ["no file matches `x/*.yaml`"]);
        assert!(names(&["missing.yaml"], false).1.join("").contains("cannot be read"));
        assert_eq!(names(&["-"], false).1.len(), 1);
    }
}
