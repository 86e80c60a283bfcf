//! The simulation cases: calls of Istio's own `pilot/pkg/simulation` and what they matched.
//!
//! A directory of `simulation/` is a mesh with calls; each call names the proxy whose configuration was asked. Here
//! cases are read and answers compared; `setting` makes the proxy, `walk` walks its snapshot.

mod setting;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;

use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

use setting::{ProxyWords, Setting};
use walk::{Call, Found};

/// One recorded call.
#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    direction: walk::Direction,
    proxy: ProxyWords,
    from: Value,
    request: Call,
    expected: Map<String, Value>,
    #[serde(default)]
    features: BTreeMap<String, bool>,
}

/// A proxy, and the feature flags of its istiod.
type Wanted = (ProxyWords, BTreeMap<String, bool>);

/// Judges every directory of `root/simulation`; nothing when there is none.
///
/// # Errors
/// When a file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    let mut report = ConformanceReport::default();
    let group = root.join("simulation");
    if !group.is_dir() {
        return Ok(report);
    }
    let entries = std::fs::read_dir(&group).map_err(|e| format!("{}: {e}", group.display()))?;
    let mut dirs: Vec<_> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("cases.jsonl").is_file()).collect();
    dirs.sort();
    for dir in dirs {
        for case in judge_mesh(&dir)? {
            report.push(case);
        }
    }
    Ok(report)
}

fn judge_mesh(dir: &Path) -> Result<Vec<CaseResult>, String> {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let path = dir.join("cases.jsonl");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut settings: Vec<(Wanted, Result<Setting, String>)> = Vec::new();
    let mut results = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let mut case: Case =
            serde_json::from_str(line).map_err(|e| format!("{}:{}: {e}", path.display(), index + 1))?;
        if let Some(gateway) = case.from.get("gateway").and_then(Value::as_str) {
            case.proxy.at_gateway(gateway);
        }
        let wanted = (case.proxy.clone(), case.features.clone());
        let known = settings.iter().position(|(setting, _)| *setting == wanted);
        let at = known.unwrap_or_else(|| {
            let setting = Setting::load(dir, &wanted.0, &wanted.1);
            settings.push((wanted, setting));
            settings.len() - 1
        });
        let answer = match settings.get(at) {
            Some((_, Ok(setting))) => walk::walk(&setting.snapshot, case.direction, &case.request),
            Some((_, Err(why))) => Err(why.clone()),
            None => Err("the mesh was not loaded".to_owned()),
        };
        results.push(result(format!("simulation/{name}"), &case, answer));
    }
    Ok(results)
}

fn result(mesh: String, case: &Case, answer: Result<Found, String>) -> CaseResult {
    let blank = CaseResult {
        mesh,
        id: case.id.clone(),
        verdict: Verdict::Agree,
        reason: None,
        predicted: vec![],
        differences: vec![],
        also: vec![],
    };
    match answer.and_then(|found| differences(&case.expected, &found)) {
        Err(reason) => CaseResult { verdict: Verdict::Unsupported, reason: Some(reason), ..blank },
        Ok(differences) if differences.is_empty() => blank,
        Ok(differences) => CaseResult { verdict: Verdict::Disagree, differences, ..blank },
    }
}

/// A cluster as the tests name it: their resources have no domain, so that short hosts end at the namespace.
fn short(cluster: &str) -> String {
    cluster.strip_suffix(".svc.cluster.local").unwrap_or(cluster).to_owned()
}

/// Keys in which the asserted and the found result differ. With `exact` an absent key asserts absence.
fn differences(expected: &Map<String, Value>, found: &Found) -> Result<Vec<Difference>, String> {
    let exact = expected.get("exact") == Some(&Value::Bool(true));
    let keys = found.keys();
    let mut out = Vec::new();
    for (key, value) in expected {
        match (key.as_str(), value.as_str()) {
            ("exact", _) => {}
            ("noVirtualHostFor", Some(host)) => {
                if let Some(name) = found.virtual_host_named(host) {
                    out.push(Difference {
                        key: key.clone(),
                        predicted: vec![Value::from(name)],
                        observed: value.clone(),
                    });
                }
            }
            _ if keys.iter().any(|(known, _)| known == key) => {}
            _ => return Err(format!("the case asserts `{key}`, which is not compared")),
        }
    }
    for (key, ours) in keys {
        let theirs = expected.get(key).and_then(Value::as_str);
        let same = theirs.unwrap_or_default() == ours || key == "cluster" && theirs == Some(&short(ours));
        if (theirs.is_some() || exact) && !same {
            out.push(Difference {
                key: key.to_owned(),
                predicted: vec![Value::from(ours)],
                observed: theirs.map_or(Value::Null, Value::from),
            });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One Gateway and VirtualService, and what two calls are said to match.
    const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec: {hosts: [a.com], gateways: [g], http: [{name: r, match: [{uri: {prefix: /x}, headers: {h: {exact: '1'}}}],
  route: [{destination: {host: b, port: {number: 81}}}]}]}
";

    fn case(path: &str, expected: &Value) -> String {
        json!({
            "id": path, "direction": "gateway", "from": {"gateway": "istio-system/istio-ingressgateway"},
            "proxy": {"type": "router", "namespace": "default", "ips": ["1.1.1.1"],
                      "labels": {"istio": "ingressgateway"}},
            "request": {"url": format!("http://a.com:80{path}"), "dial": "1.3.3.7:80", "protocol": "http",
                        "tls": "plaintext"},
            "expected": expected,
        })
        .to_string()
    }

    fn verdicts(name: &str, cases: &[String]) -> Vec<(Verdict, Vec<String>)> {
        let dir = std::env::temp_dir().join(format!("mesh-sim-simulation-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join("mesh.yaml"), MESH).expect("mesh");
        std::fs::write(dir.join("cases.jsonl"), cases.join("\n")).expect("cases");
        let judged = judge_mesh(&dir).expect("judged");
        std::fs::remove_dir_all(&dir).expect("removed");
        judged.into_iter().map(|c| (c.verdict, c.differences.into_iter().map(|d| d.key).collect())).collect()
    }

    #[test]
    fn every_asserted_key_counts_and_exact_ones_count_when_absent() {
        let good = json!({"listener": "0.0.0.0_80", "routeConfig": "http.80", "virtualHost": "a.com:80",
                          "route": "r", "cluster": "outbound|81||b.default"});
        let mut exact = good.clone();
        exact["exact"] = json!(true);
        let mut partial = json!({"cluster": "outbound|81||b.default", "exact": true});
        let wrong = json!({"cluster": "outbound|80||b.default"});
        let found = verdicts(
            "keys",
            &[case("/x", &good), case("/x/1", &exact), case("/x/2", &partial), case("/x/3", &wrong)],
        );
        assert_eq!(found[0], (Verdict::Agree, vec![]));
        assert_eq!(found[1], (Verdict::Agree, vec![]));
        assert_eq!(found[2].1, ["listener", "routeConfig", "virtualHost", "route"]);
        assert_eq!(found[3].1, ["cluster"]);
        partial["colour"] = json!("blue");
        assert_eq!(verdicts("unknown", &[case("/x", &partial)])[0].0, Verdict::Unsupported);
    }

    #[test]
    fn errors_and_absent_hosts_are_keys_too() {
        let found = verdicts(
            "errors",
            &[
                case("/y", &json!({"error": "no route matched"})),
                case("/x", &json!({"error": "no route matched"})),
                case("/z", &json!({"noVirtualHostFor": "b.com"})),
                case("/z/1", &json!({"noVirtualHostFor": "a.com"})),
            ],
        );
        let verdicts: Vec<Verdict> = found.iter().map(|(verdict, _)| *verdict).collect();
        assert_eq!(verdicts, [Verdict::Agree, Verdict::Disagree, Verdict::Agree, Verdict::Disagree]);
    }
}
