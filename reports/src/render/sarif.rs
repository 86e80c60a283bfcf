//! SARIF 2.1.0 (OASIS sarif-v2.1.0), as code scanning reads it.
//!
//! A result points at the YAML that decided; the test that noticed is a related location. Fingerprints do not hold
//! line numbers, so that an alert survives edits above it.

use serde_json::{Value, json};

use super::super::checks::place;
use crate::findings::{Finding, Level, Rule};

/// The log of one run of the tool. `rules` may hold more than is used.
#[must_use]
pub fn sarif<'a>(findings: &[Finding], rules: impl IntoIterator<Item = Rule<'a>>) -> String {
    let used = |rule: &Rule<'_>| findings.iter().any(|f| f.code == rule.code);
    let rules: Vec<Rule<'_>> = rules.into_iter().filter(used).collect();
    let described: Vec<Value> = rules
        .iter()
        .map(|r| {
            json!({
                "id": r.code,
                "shortDescription": {"text": r.title},
                "fullDescription": {"text": r.explanation},
            })
        })
        .collect();
    let results: Vec<Value> = findings.iter().map(|f| result(f, &rules)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "mesh-sim",
                "informationUri": "https://github.com/mesh-sim/mesh-sim",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": described,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).unwrap_or_default() + "\n"
}

fn result(finding: &Finding, rules: &[Rule<'_>]) -> Value {
    let mut text = finding.message.clone();
    if let Some(help) = &finding.help {
        text.push_str(&format!("\n{help}"));
    }
    let mut result = json!({
        "ruleId": finding.code,
        "level": match finding.severity {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "note",
        },
        "message": {"text": text},
        "partialFingerprints": {"meshSim/v1": fingerprint(finding)},
    });
    if let Some(index) = rules.iter().position(|r| r.code == finding.code) {
        set(&mut result, "ruleIndex", json!(index));
    }
    if !finding.file.is_empty() {
        let mut location = physical(&finding.file, finding.line, finding.column);
        if let Some(object) = &finding.object {
            set(
                &mut location,
                "logicalLocations",
                json!([{"fullyQualifiedName": object, "kind": "resource"}]),
            );
        }
        set(&mut result, "locations", json!([location]));
    }
    if !finding.related.is_empty() {
        let related: Vec<Value> = finding
            .related
            .iter()
            .map(|r| {
                let (path, line, column) = place(&r.place);
                let mut location = physical(path, line, column);
                set(&mut location, "message", json!({"text": r.text}));
                location
            })
            .collect();
        set(&mut result, "relatedLocations", Value::Array(related));
    }
    result
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

fn physical(file: &str, line: u32, column: u32) -> Value {
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(file)},
        "region": {"startLine": line.max(1), "startColumn": column.max(1)},
    }})
}

/// A path as a URI reference (RFC 3986): what is no path character is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What stays when lines move: code, object or file, message.
pub(super) fn fingerprint(finding: &Finding) -> String {
    format!("{}:{}:{}", finding.code, finding.object.as_deref().unwrap_or(&finding.file), finding.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Related;

    #[test]
    fn a_result_points_at_what_decided() {
        let finding = Finding {
            code: "expectation-failed".into(),
            message: "status: predicted 403".into(),
            file: "k8s/my policy#1.yaml".into(),
            line: 12,
            column: 5,
            object: Some("AuthorizationPolicy/prod/deny".into()),
            related: vec![Related { place: "policies/a.yaml:3:7".into(), text: "expected here".into() }],
            ..Finding::default()
        };
        let log: Value =
            serde_json::from_str(&sarif(&[finding], [crate::checks::EXPECTATION])).expect("json");
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["ruleIndex"], 0);
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "k8s/my%20policy%231.yaml");
        assert_eq!(location["region"]["startLine"], 12);
        assert_eq!(result["relatedLocations"][0]["physicalLocation"]["region"]["startColumn"], 7);
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "expectation-failed");
    }
}
