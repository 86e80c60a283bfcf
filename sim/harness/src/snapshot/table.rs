//! The text of a snapshot: a header, then every request with what it ends in and for whom, sorted.
//!
//! Callers that fare alike stand below one ending, so that a change of one rule is a change of few lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rayon::prelude::*;
use xxhash_rust::xxh64::xxh64;

use super::Difference;
use crate::loaded::{LoadedMesh, PROFILES};
use crate::plan::behavior::Behaviors;
use crate::space::{self, Class, Endings, Space};

const FIRST: &str = "# mesh-sim snapshot 1; written by `mesh-sim snapshot`, not by hand";
const LAST: &str = "# end: ";

/// What every request ends in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    /// (request, caller) -> line of the file (0 when predicted), ending.
    entries: BTreeMap<(String, String), (usize, String)>,
}

impl Table {
    /// Asks every class.
    #[must_use]
    pub fn of(mesh: &LoadedMesh, space: &Space, behaviors: &Behaviors, profile: Option<&str>) -> Table {
        let entry = |class: &Class| {
            let ending = match space::outcomes_with(mesh, class, behaviors) {
                Ok(predictions) => {
                    let endings = Endings::of(&predictions, mesh);
                    endings.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
                }
                Err(why) => format!("unknown: {why}"),
            };
            let (request, caller) = class.key.rsplit_once(" from ").unwrap_or((&class.key, ""));
            ((request.to_owned(), caller.to_owned()), (0, ending))
        };
        let mut header = vec![
            format!("# tool: mesh-sim {}", env!("CARGO_PKG_VERSION")),
            format!("# profile: {}", profile.or(PROFILES.last().copied()).unwrap_or("")),
            format!("# inputs: {:016x}", digest(mesh)),
        ];
        header.extend(space.limits.iter().map(|l| format!("# not told apart: {}", l.what)));
        Table { header, entries: space.classes.par_iter().map(entry).collect() }
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{FIRST}\n");
        for line in &self.header {
            let _ = writeln!(out, "{line}");
        }
        let mut requests: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
        for ((request, caller), (_, ending)) in &self.entries {
            requests.entry(request).or_default().entry(ending).or_default().push(caller);
        }
        for (request, endings) in requests {
            let _ = writeln!(out, "{request}");
            for (ending, callers) in endings {
                let _ = writeln!(out, "  {ending}");
                for caller in callers {
                    let _ = writeln!(out, "    {caller}");
                }
            }
        }
        let _ = writeln!(out, "{LAST}{} requests", self.entries.len());
        out
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Line and reason when it is not whole.
    pub fn parse(text: &str) -> Result<Table, (usize, String)> {
        let lines: Vec<&str> = text.lines().collect();
        if lines.first() != Some(&FIRST) {
            return Err((1, "this is no snapshot, or one of another version of the format".to_owned()));
        }
        let end = lines.last().and_then(|l| l.strip_prefix(LAST)).and_then(|l| l.strip_suffix(" requests"));
        let Some(count) = end.and_then(|n| n.parse::<usize>().ok()).filter(|_| text.ends_with('\n')) else {
            return Err((lines.len(), "the file ends in the middle: its last line is missing".to_owned()));
        };
        let mut table = Table::default();
        let (mut request, mut ending) = (None, None);
        for (number, line) in (1..).zip(&lines).skip(1).take(lines.len().saturating_sub(2)) {
            if line.starts_with('#') {
                table.header.push((*line).to_owned());
            } else if let Some(caller) = line.strip_prefix("    ") {
                let (Some(request), Some(ending)) = (request, ending) else {
                    return Err((number, "a caller stands below no outcome".to_owned()));
                };
                let key: (&str, &str) = (request, caller);
                let ending: &str = ending;
                if table
                    .entries
                    .insert((key.0.to_owned(), key.1.to_owned()), (number, ending.to_owned()))
                    .is_some()
                {
                    return Err((number, format!("`{caller}` stands twice below `{request}`")));
                }
            } else if let Some(text) = line.strip_prefix("  ") {
                if request.is_none() {
                    return Err((number, "an outcome stands below no request".to_owned()));
                }
                ending = Some(text);
            } else {
                (request, ending) = (Some(*line), None);
            }
        }
        if table.entries.len() != count {
            let why = format!("{} requests are there, the last line says {count}", table.entries.len());
            return Err((lines.len(), why));
        }
        Ok(table)
    }

    /// What `today` says differently; headers do not count.
    #[must_use]
    pub fn differences(&self, today: &Table) -> Vec<Difference> {
        let mut all = Vec::new();
        for (key, (line, recorded)) in &self.entries {
            let predicted = today.entries.get(key).map_or("", |(_, e)| e.as_str());
            if predicted != recorded {
                all.push(difference(key, *line, recorded, predicted));
            }
        }
        for (key, (_, predicted)) in &today.entries {
            if !self.entries.contains_key(key) {
                all.push(difference(key, 0, "", predicted));
            }
        }
        all
    }
}

fn difference(key: &(String, String), line: usize, recorded: &str, predicted: &str) -> Difference {
    Difference {
        request: format!("{} from {}", key.0, key.1),
        line,
        recorded: recorded.to_owned(),
        predicted: predicted.to_owned(),
    }
}

/// A fingerprint of the objects, whatever their order and formatting.
fn digest(mesh: &LoadedMesh) -> u64 {
    let mut objects: Vec<String> = mesh.objects.iter().map(|o| o.node.to_json()).collect();
    objects.sort();
    xxh64(objects.join("\n").as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let entry = |r: &str, c: &str, e: &str| ((r.to_owned(), c.to_owned()), (0, e.to_owned()));
        Table {
            header: vec!["# tool: mesh-sim 1".to_owned()],
            entries: [
                entry("GET http://a/", "x/one", "200"),
                entry("GET http://a/", "x/two", "200"),
                entry("GET http://b/", "x/one", "503 UH"),
            ]
            .into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = table().text();
        assert!(
            text.contains("GET http://a/\n  200\n    x/one\n    x/two\nGET http://b/\n  503 UH\n"),
            "{text}"
        );
        let read = Table::parse(&text).expect("whole");
        assert!(read.differences(&table()).is_empty());
        assert_eq!(read.entries[&("GET http://b/".to_owned(), "x/one".to_owned())].0, 9);
    }

    #[test]
    fn half_a_file_is_none() {
        let text = table().text();
        for cut in 1..text.len() {
            assert!(Table::parse(&text[..cut]).is_err(), "{}", &text[..cut]);
        }
        let edited = text.replace("    x/two\n", "");
        assert_eq!(Table::parse(&edited).map_err(|(line, _)| line), Err(9));
        let twice = text.replace("    x/two\n", "    x/one\n");
        assert_eq!(Table::parse(&twice).map_err(|(line, _)| line), Err(6));
    }

    #[test]
    fn differences_name_the_request_and_the_line() {
        let mut today = table();
        today.entries.remove(&("GET http://b/".to_owned(), "x/one".to_owned()));
        let changed = ("GET http://a/".to_owned(), "x/two".to_owned());
        today.entries.insert(changed, (0, "404".to_owned()));
        today.entries.insert(("GET http://c/".to_owned(), "x/one".to_owned()), (0, "200".to_owned()));
        let recorded = Table::parse(&table().text()).expect("whole");
        let all: Vec<(String, usize, String)> = recorded
            .differences(&today)
            .into_iter()
            .map(|d| (d.request, d.line, format!("{} -> {}", d.recorded, d.predicted)))
            .collect();
        let row = |r: &str, l, t: &str| (r.to_owned(), l, t.to_owned());
        assert_eq!(
            all,
            [
                row("GET http://a/ from x/two", 6, "200 -> 404"),
                row("GET http://b/ from x/one", 9, "503 UH -> "),
                row("GET http://c/ from x/one", 0, " -> 200"),
            ]
        );
    }
}
