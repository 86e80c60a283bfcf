//! Mesh directories of Istio's tests as data: manifests, `meshconfig.yaml`, `addresses.json` and the lines of
//! `cases.jsonl` (or `requests.jsonl`). No judging here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conformance::case::{Case, CorpusMesh};
use crate::format::mesh::AddressWords;

/// Keys of a request that only describe it.
const DESCRIBING: [&str; 2] = ["jwtDecoded", "dialPod"];

/// One line: a call of Istio's test with what it asserts, and what a recorded mesh did with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) id: String,
    from: Value,
    request: Map<String, Value>,
    /// How often it was sent.
    #[serde(default)]
    pub(super) repeat: Option<u32>,
    /// What the test asserts.
    #[serde(default)]
    pub(super) expected: Map<String, Value>,
    /// `ns/service` of the test's target.
    #[serde(default)]
    pub(super) to: Option<String>,
    #[serde(default)]
    observed: Option<Map<String, Value>>,
    #[serde(default)]
    chance: Option<Value>,
    #[serde(default, rename = "client_log")]
    client_log: Option<Map<String, Value>>,
    #[serde(default, rename = "server_log")]
    server_log: Option<Map<String, Value>>,
    /// Why the test and the recorded mesh differ.
    #[serde(default)]
    pub(super) disputed: Option<String>,
    /// Why there is no recording.
    #[serde(default)]
    pub(super) not_observed: Option<String>,
}

impl Line {
    /// Whether a recorded mesh answered.
    pub(super) fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// What was observed, without what the recorder reads from log lines that it does not have: `mtls` without the server's
    /// line, and what the client's proxy logs where the request carries the marks of a proxy and no line was found.
    fn logged(&self) -> Map<String, Value> {
        let mut observed = self.observed.clone().unwrap_or_default();
        let reached = observed.get("workload").is_some_and(Value::is_string);
        if reached && self.server_log.is_none() && observed.get("mtls") == Some(&Value::Null) {
            observed.remove("mtls");
        }
        let headers = self.observed.as_ref().and_then(|o| o.get("upstream")?.get("headers")?.as_object());
        let proxied = headers.is_some_and(|h| h.keys().any(|name| name.starts_with("x-envoy-")));
        if proxied && self.client_log.is_none() && self.server_log.is_none() {
            for key in ["flags", "details", "cluster", "route"] {
                observed.remove(key);
            }
        }
        observed
    }

    /// The line in the corpus' words.
    pub(super) fn case(&self) -> Case {
        let mut request = self.request.clone();
        request.retain(|key, _| !DESCRIBING.contains(&key.as_str()));
        if let Some(shown) = request.remove("clientCertificate") {
            request.insert("clientCert".to_owned(), shown);
        }
        // The recorder's line client sends this where the case names no bytes.
        if request.get("protocol").is_some_and(|p| p == "tcp" || p == "tls") {
            request.entry("body").or_insert_with(|| "ping\n".into());
        }
        Case {
            id: self.id.clone(),
            expected: self.expected.clone(),
            from: self.from.clone(),
            request: Value::Object(request),
            repeat: self.repeat,
            observed: self.logged(),
            chance: self.chance.clone(),
            client_log: self.client_log.clone(),
            server_log: self.server_log.clone(),
        }
    }
}

/// One mesh directory.
#[derive(Debug, Clone)]
pub(super) struct MeshDirectory {
    pub(super) mesh: CorpusMesh,
    pub(super) lines: Vec<Line>,
    /// Addresses of the recorded pods.
    pub(super) addresses: AddressWords,
}

/// Names of the directories below `root` that hold request lines and are taken by `wanted`, sorted.
pub(super) fn names(root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(root).map_err(|e| format!("{}: {e}", root.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| format!("{}: {e}", root.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if wanted(&name) && lines_file(&entry.path()).is_some() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn lines_file(dir: &Path) -> Option<PathBuf> {
    ["cases.jsonl", "requests.jsonl"].into_iter().map(|n| dir.join(n)).find(|p| p.is_file())
}

/// Reads one directory.
pub(super) fn read(root: &Path, name: &str) -> Result<MeshDirectory, String> {
    let dir = root.join(name);
    let path = lines_file(&dir).ok_or_else(|| format!("{}: no cases", dir.display()))?;
    let mut lines: Vec<Line> = Vec::new();
    for (index, line) in text(&path)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        lines.push(serde_json::from_str(line).map_err(|e| format!("{}:{}: {e}", path.display(), index + 1))?);
    }
    let (config, manifests) = yaml_files(&dir)?.into_iter().partition::<Vec<_>, _>(|p| is_mesh_config(p));
    let mesh = CorpusMesh {
        name: name.to_owned(),
        directory: dir.clone(),
        clients: Vec::new(),
        manifests,
        mesh_config: config.into_iter().next(),
        cases: lines.iter().map(Line::case).collect(),
    };
    Ok(MeshDirectory { mesh, lines, addresses: addresses(&dir)? })
}

fn is_mesh_config(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "meshconfig")
}

fn yaml_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    Ok(files)
}

fn addresses(dir: &Path) -> Result<AddressWords, String> {
    let path = dir.join("addresses.json");
    let mut words = AddressWords::default();
    if path.is_file() {
        let pods: BTreeMap<String, IpAddr> =
            serde_json::from_str(&text(&path)?).map_err(|e| format!("{}: {e}", path.display()))?;
        words.pods = pods;
    }
    Ok(words)
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
