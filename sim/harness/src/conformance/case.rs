//! The recorded corpus as data: mesh directories and their `cases.jsonl` (FORMATS section 4). No judging here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A corpus that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of `cases.jsonl` is no case.
    #[error("{}:{line}: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// One recorded request.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Unique in the corpus.
    pub id: String,
    /// Who sent it, in FORMATS' words.
    pub from: Value,
    /// What was sent, in FORMATS' words.
    pub request: Value,
    /// How often it was sent; absent = once.
    #[serde(default)]
    pub repeat: Option<u32>,
    /// What the test behind the case asserts, in cases made from Istio's tests.
    #[serde(default)]
    pub expected: Map<String, Value>,
    /// What the client saw.
    pub observed: Map<String, Value>,
    /// What the configuration leaves to chance.
    #[serde(default)]
    pub chance: Option<Value>,
    /// Log line of the client-side proxy.
    #[serde(default)]
    pub client_log: Option<Map<String, Value>>,
    /// Log line of the server-side proxy.
    #[serde(default)]
    pub server_log: Option<Map<String, Value>>,
}

/// One mesh directory of the corpus.
#[derive(Debug, Clone)]
pub struct CorpusMesh {
    /// Directory name.
    pub name: String,
    /// Its path.
    pub directory: PathBuf,
    /// Manifest files, sorted.
    pub manifests: Vec<PathBuf>,
    /// `meshconfig.yaml`, if there is one.
    pub mesh_config: Option<PathBuf>,
    /// The client pods that no manifest has, in the order of their numbers when recorded.
    pub clients: Vec<Value>,
    /// Cases in file order.
    pub cases: Vec<Case>,
}

/// What makes a directory a mesh of the corpus: requests, or what istiod sent its proxies.
const CASES_OR_XDS: [&str; 2] = ["cases.jsonl", "xds.json.gz"];

/// Reads `dir`: a corpus (directories with `cases.jsonl` or `xds.json.gz`) or a single mesh directory. Directories whose
/// cases are no requests (`admission`, `yaml`, `dynamic`) are passed over. Sorted by name.
///
/// # Errors
/// The first file that cannot be read or parsed.
pub fn read_corpus(dir: &Path) -> Result<Vec<CorpusMesh>, CorpusError> {
    let is_mesh = |dir: &Path| CASES_OR_XDS.iter().any(|name| dir.join(name).is_file());
    if is_mesh(dir) {
        return Ok(read_mesh(dir)?.into_iter().collect());
    }
    let mut meshes = Vec::new();
    for path in sorted_entries(dir)? {
        if is_mesh(&path) {
            meshes.extend(read_mesh(&path)?);
        }
    }
    Ok(meshes)
}

/// The lines of a `.jsonl` file as `T`; none if there is no such file.
///
/// # Errors
/// When it cannot be read or a line is no `T`.
pub fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, CorpusError> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| CorpusError::Read { path: path.to_owned(), source })?;
    let parse = |(index, line): (usize, &str)| {
        let at = |source| CorpusError::Line { path: path.to_owned(), line: index + 1, source };
        serde_json::from_str(line).map_err(at)
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let read = |source| CorpusError::Read { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn read_mesh(dir: &Path) -> Result<Option<CorpusMesh>, CorpusError> {
    let path = dir.join("cases.jsonl");
    let mut cases = Vec::new();
    for (index, value) in lines::<Value>(&path)?.into_iter().enumerate() {
        if ["from", "request", "observed"].iter().any(|key| value.get(key).is_none()) {
            continue;
        }
        let at = |source| CorpusError::Line { path: path.clone(), line: index + 1, source };
        cases.push(serde_json::from_value(value).map_err(at)?);
    }
    if cases.is_empty() && !dir.join("xds.json.gz").is_file() {
        return Ok(None);
    }
    let is_yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let (config, manifests) = sorted_entries(dir)?
        .into_iter()
        .filter(is_yaml)
        .partition::<Vec<_>, _>(|p| p.file_stem().is_some_and(|s| s == "meshconfig"));
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Some(CorpusMesh {
        name,
        directory: dir.to_owned(),
        manifests,
        mesh_config: config.into_iter().next(),
        clients: clients(dir)?,
        cases,
    }))
}

/// `addresses.json`: a map from the words of a client pod to `namespace/client-N`; none without that file.
fn clients(dir: &Path) -> Result<Vec<Value>, CorpusError> {
    #[derive(Deserialize)]
    struct Addresses {
        #[serde(default)]
        clients: BTreeMap<String, String>,
    }
    let path = dir.join("addresses.json");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text =
        std::fs::read_to_string(&path).map_err(|source| CorpusError::Read { path: path.clone(), source })?;
    let at = |source| CorpusError::Line { path: path.clone(), line: 1, source };
    let addresses: Addresses = serde_json::from_str(&text).map_err(at)?;
    let mut numbered = BTreeMap::new();
    for (words, name) in &addresses.clients {
        let number = name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
        let pod: Value = serde_json::from_str(words).map_err(at)?;
        numbered.insert((number, name), serde_json::json!({ "pod": pod }));
    }
    Ok(numbered.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_corpus_is_read_whole() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
        let meshes = read_corpus(&dir).expect("corpus");
        let cases: usize = meshes.iter().map(|m| m.cases.len()).sum();
        assert_eq!((meshes.len(), cases), (15, 985));
        let gateway = meshes.iter().find(|m| m.name == "gateway-lab").expect("gateway-lab");
        assert!(gateway.mesh_config.is_some());
        assert_eq!(gateway.manifests.len(), 5);
    }
}
