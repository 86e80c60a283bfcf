//! GitLab's code quality report: a JSON list (docs.gitlab.com/ci/testing/code_quality, "Code Quality report format").

use std::collections::BTreeMap;

use serde_json::json;

use super::sarif::fingerprint;
use crate::findings::{Finding, Level};

/// One issue a finding. GitLab wants a place, so findings without a file are shown at `.`; fingerprints are unique.
#[must_use]
pub fn code_quality(findings: &[Finding]) -> String {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let issues: Vec<_> = findings
        .iter()
        .map(|f| {
            let mut print = fingerprint(f);
            let times = seen.entry(print.clone()).or_default();
            *times += 1;
            if *times > 1 {
                print = format!("{print}#{times}");
            }
            json!({
                "description": f.message,
                "check_name": f.code,
                "fingerprint": print,
                "severity": match f.severity {
                    Level::Error => "major",
                    Level::Warning => "minor",
                    Level::Info => "info",
                },
                "location": {
                    "path": if f.file.is_empty() { "." } else { &f.file },
                    "lines": {"begin": f.line.max(1)},
                },
            })
        })
        .collect();
    serde_json::to_string_pretty(&issues).unwrap_or_default() + "\n"
}
