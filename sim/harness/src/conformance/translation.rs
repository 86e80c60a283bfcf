//! What istiod sent every proxy (`<mesh>/xds.json.gz`) against what our lowering makes of the same manifests: one case
//! per proxy and kind of resource.

use std::io::Read as _;
use std::path::Path;

use mesh_config::mesh::proxy::ProxyId;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde_json::json;

use super::case::{CorpusError, CorpusMesh};
use super::predictor;
use crate::loaded::LoadedMesh;
use crate::translation::{Kind, Recording};

/// Judges the meshes that have a recording; the others are passed over.
///
/// # Errors
/// A recording that cannot be read or is no JSON.
pub fn judge_all(corpus: &[CorpusMesh]) -> Result<ConformanceReport, CorpusError> {
    let mut report = ConformanceReport::default();
    for mesh in corpus {
        let path = mesh.directory.join("xds.json.gz");
        if !path.is_file() {
            continue;
        }
        let recording = read(&path)?;
        let name = format!("translation/{}", mesh.name);
        match predictor::load(mesh) {
            Ok(loaded) => judge(&name, &recording, &loaded, &mut report),
            Err(reason) => report.push(CaseResult {
                reason: Some(reason),
                verdict: Verdict::Unsupported,
                ..case(&name, mesh.name.clone(), Vec::new())
            }),
        }
    }
    Ok(report)
}

fn read(path: &Path) -> Result<Recording, CorpusError> {
    let failed = |source| CorpusError::Read { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).map_err(failed)?;
    Recording::parse(&text).map_err(|e| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, e)))
}

fn judge(name: &str, recording: &Recording, loaded: &LoadedMesh, report: &mut ConformanceReport) {
    let mesh = &loaded.lowering.mesh;
    for proxy in recording.proxies() {
        let found = (0..).map(ProxyId).zip(&mesh.proxies).find(|(_, p)| *p.id == proxy);
        let snapshot = found.and_then(|(id, _)| loaded.lowering.snapshot(id));
        for (kind, word) in
            [(Kind::Listeners, "listeners"), (Kind::Routes, "routes"), (Kind::Clusters, "clusters")]
        {
            let differences = match &snapshot {
                Some(snapshot) => recording.differences(&proxy, snapshot, kind),
                None => vec![crate::translation::Difference {
                    path: "proxy".to_owned(),
                    ours: None,
                    recorded: Some(json!(proxy)),
                }],
            };
            let differences = differences.into_iter().map(|d| Difference {
                key: d.path,
                predicted: d.ours.into_iter().collect(),
                observed: d.recorded.unwrap_or_default(),
            });
            report.push(case(name, format!("{proxy} {word}"), differences.collect()));
        }
    }
    for proxy in mesh.proxies.iter().filter(|p| !recording.proxies().any(|r| r == *p.id)) {
        let unknown_there = Difference {
            key: "proxy".to_owned(),
            predicted: vec![json!(proxy.id.as_str())],
            observed: serde_json::Value::Null,
        };
        report.push(case(name, proxy.id.as_str().to_owned(), vec![unknown_there]));
    }
}

fn case(mesh: &str, id: String, differences: Vec<Difference>) -> CaseResult {
    CaseResult {
        mesh: mesh.to_owned(),
        id,
        verdict: if differences.is_empty() { Verdict::Agree } else { Verdict::Disagree },
        reason: None,
        predicted: Vec::new(),
        differences,
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::read_corpus;
    use super::*;

    #[test]
    fn every_proxy_is_sent_what_istiod_sent() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
        let report = judge_all(&read_corpus(&dir).expect("the corpus")).expect("recordings");
        assert_eq!(report.totals.len(), 15);
        assert!(report.total().agree > 400, "{:?}", report.total());
        assert_eq!(report.total().agree, report.total().all(), "{}", report.table());
    }

    #[test]
    fn every_proxy_of_our_own_meshes_is_sent_what_istiod_makes_of_them() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle");
        let report = judge_all(&read_corpus(&dir).expect("the corpus")).expect("recordings");
        assert_eq!(report.totals.len(), 10);
        assert!(report.total().agree > 200, "{:?}", report.total());
        assert_eq!(report.total().agree, report.total().all(), "{}", report.table());
    }
}
