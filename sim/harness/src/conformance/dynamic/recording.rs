//! Reading `observed.jsonl`, `observed.2.jsonl` and `summary.json` of a recording.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::row::{EjectionRow, NONE, Row, Run, STATISTICS, TryRow, is_failure, join};
use crate::conformance::case::CorpusError;

/// A recorded scenario.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Directory name.
    pub name: String,
    /// The scenario that was executed.
    pub scenario: PathBuf,
    /// What happened, once per run.
    pub runs: Vec<Run>,
}

/// Reads every recording below `dir` in order of names; a directory without `summary.json` is none.
///
/// # Errors
/// Files that cannot be read or are no JSON.
pub fn read(dir: &Path) -> Result<Vec<Recording>, CorpusError> {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(|e| CorpusError::Read { path: dir.to_path_buf(), source: e })?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.join("summary.json").is_file())
        .collect();
    dirs.sort();
    dirs.iter().map(|path| recording(path)).collect()
}

fn recording(dir: &Path) -> Result<Recording, CorpusError> {
    let summary: Value = json(&dir.join("summary.json"), None)?;
    let common = summary.get("common").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut runs = Vec::new();
    for (i, file) in ["observed.jsonl", "observed.2.jsonl"].iter().enumerate() {
        let path = dir.join(file);
        let text = read_text(&path)?;
        let mut rows = Vec::new();
        for (line, text) in text.lines().enumerate() {
            rows.push(row(&parse(&path, Some(line + 1), text)?, &common));
        }
        rows.sort_by(|a: &Row, b: &Row| a.id.cmp(&b.id));
        let (statistics, counting) = statistics(&summary, i);
        runs.push(Run { rows, ejections: ejections(&summary, i), statistics, counting });
    }
    Ok(Recording {
        name: dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        scenario: dir.join("scenario.yaml"),
        runs,
    })
}

fn read_text(path: &Path) -> Result<String, CorpusError> {
    std::fs::read_to_string(path).map_err(|e| CorpusError::Read { path: path.to_path_buf(), source: e })
}

fn json(path: &Path, line: Option<usize>) -> Result<Value, CorpusError> {
    parse(path, line, &read_text(path)?)
}

fn parse(path: &Path, line: Option<usize>, text: &str) -> Result<Value, CorpusError> {
    serde_json::from_str(text).map_err(|e| CorpusError::Line {
        path: path.to_path_buf(),
        line: line.unwrap_or(0),
        source: e,
    })
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => Some(NONE.to_owned()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn row(line: &Value, common: &Map<String, Value>) -> Row {
    let get = |key: &str| line.get(key).or_else(|| common.get(key));
    let number = |key: &str| get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let mut values = BTreeMap::new();
    for key in ["status", "connection", "workload", "flags", "details", "attempts", "cluster"] {
        if let Some(value) = text(get(key)) {
            values.insert(key, value);
        }
    }
    let none = Vec::new();
    let tries = get("tries").and_then(Value::as_array).unwrap_or(&none);
    let is_shadow = |t: &&Value| t.get("shadow").and_then(Value::as_bool).unwrap_or(false);
    let part = |t: &Value, key: &str| text(t.get(key)).unwrap_or_else(|| NONE.to_owned());
    let own = || tries.iter().filter(|t| !is_shadow(t));
    values.insert("tries", join(own().map(|t| format!("{} {}", part(t, "workload"), part(t, "action")))));
    values.insert("connections", join(own().map(|t| format!("{} {}", part(t, "workload"), part(t, "conn")))));
    values.insert("copies", join(tries.iter().filter(is_shadow).map(|t| part(t, "action"))));
    let timeout = own().next().and_then(|t| text(t.get("x-envoy-expected-rq-timeout-ms")));
    values.insert("first timeout", timeout.unwrap_or_else(|| NONE.to_owned()));
    let server = get("server_log").and_then(Value::as_array).unwrap_or(&none);
    values.insert("server", join(server.iter().map(server_line)));
    let (planned_ms, end_ms) = (number("planned_ms"), number("end_ms"));
    let traffic = text(get("traffic")).unwrap_or_default();
    let n = get("n").and_then(Value::as_u64).unwrap_or(0);
    // The request began when the client got to it; what it lost before is no property of the mesh.
    let begun_ms = get("t_ms").and_then(Value::as_f64).unwrap_or(planned_ms);
    let time = |t: &Value, key: &str| t.get(key).and_then(Value::as_f64);
    let seen = own().map(|t| TryRow {
        workload: part(t, "workload"),
        failed: is_failure(&part(t, "action")),
        at_ms: time(t, "t_ms").unwrap_or(0.0),
        end_ms: time(t, "done_ms").or_else(|| time(t, "cut_ms")),
    });
    Row {
        id: (traffic, n),
        planned_ms,
        late_ms: begun_ms - planned_ms,
        lasted_ms: end_ms - begun_ms,
        tries: seen.collect(),
        values,
    }
}

/// The statistics of a run, and the pods that have any.
fn statistics(summary: &Value, run: usize) -> (BTreeMap<String, u64>, BTreeSet<String>) {
    let of_run = summary.get("runs").and_then(|r| r.get(run)).and_then(|r| r.get("stats"));
    let (mut all, mut pods) = (BTreeMap::new(), BTreeSet::new());
    for (pod, values) in of_run.and_then(Value::as_object).into_iter().flatten() {
        pods.insert(pod.clone());
        for (name, value) in values.as_object().into_iter().flatten() {
            let Some((cluster, name)) = name.split_once(";.") else { continue };
            if let Some(value) = value.as_u64().filter(|_| STATISTICS.contains(&name)) {
                all.insert(format!("{pod} {cluster} {name}"), value);
            }
        }
    }
    (all, pods)
}

fn server_line(line: &Value) -> String {
    let part = |key: &str, default: &str| text(line.get(key)).unwrap_or_else(|| default.to_owned());
    format!("{} {} {} {}", part("pod", NONE), part("code", NONE), part("flags", "-"), part("attempts", NONE))
}

fn ejections(summary: &Value, run: usize) -> Vec<EjectionRow> {
    let list = summary.get("runs").and_then(|r| r.get(run)).and_then(|r| r.get("ejections"));
    let none = Vec::new();
    list.and_then(Value::as_array)
        .unwrap_or(&none)
        .iter()
        .map(|e| EjectionRow {
            workload: text(e.get("workload")).unwrap_or_default(),
            by: text(e.get("by")).unwrap_or_default(),
            from_ms: e.get("from_ms").and_then(Value::as_f64).unwrap_or(0.0),
            until_ms: e.get("until_ms").and_then(Value::as_f64),
            num: e.get("num").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        })
        .collect()
}
