//! The verdict table of `mesh-sim conformance`: what agreed with the recorded mesh, what did not, what was not predicted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::Outcome;
use crate::over_time::OverTime;

/// The verdict on one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The prediction contains what was observed, with the certainty the observation has.
    Agree,
    /// It does not.
    Disagree,
    /// There is no prediction. Never a pass.
    Unsupported,
}

/// One key in which prediction and observation differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The key (`status`, `upstream.headers.x-user`, `split_workload` …).
    pub key: String,
    /// Distinct predicted values.
    pub predicted: Vec<Value>,
    /// The observed value.
    pub observed: Value,
}

/// One predicted outcome of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prediction {
    /// Of a scenario: all its requests over many simulated runs.
    OverTime(Box<OverTime>),
    /// Of one request.
    Outcome(Box<Outcome>),
}

impl From<Outcome> for Prediction {
    fn from(outcome: Outcome) -> Self {
        Prediction::Outcome(Box::new(outcome))
    }
}

/// The verdict on one case with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Mesh directory.
    pub mesh: String,
    /// Case id.
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why there is no prediction, with `file:line`.
    pub reason: Option<String>,
    /// Every predicted outcome.
    pub predicted: Vec<Prediction>,
    /// Keys that decided against the case.
    pub differences: Vec<Difference>,
    /// Keys that differ without counting: log fields, protocol versions, further received requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Difference>,
}

impl CaseResult {
    /// The id, with its mesh where ids say nothing about it.
    fn name(&self) -> String {
        let told = !self.mesh.contains('/') || self.id.starts_with(&self.mesh);
        if told { self.id.clone() } else { format!("{} {}", self.mesh, self.id) }
    }
}

/// More meshes than this are shown by group.
const MAX_ROWS: usize = 40;

/// What a mesh name has before its first `/` or, without one, before its first `-`.
fn group_of(mesh: &str) -> &str {
    mesh.split_once('/').or_else(|| mesh.split_once('-')).map_or(mesh, |(group, _)| group)
}

/// Counts of one mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Cases that agree.
    pub agree: u32,
    /// Cases that disagree.
    pub disagree: u32,
    /// Cases without a prediction.
    pub unsupported: u32,
}

impl Totals {
    /// Counts one verdict.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Agree => self.agree += 1,
            Verdict::Disagree => self.disagree += 1,
            Verdict::Unsupported => self.unsupported += 1,
        }
    }

    /// All cases.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.agree + self.disagree + self.unsupported
    }
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConformanceReport {
    /// Cases in order of mesh and file.
    pub cases: Vec<CaseResult>,
    /// Counts per mesh.
    pub totals: BTreeMap<String, Totals>,
    /// The user interrupted it: the cases that would follow were not judged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Cases that are not judged, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_out: BTreeMap<String, u32>,
}

impl FromIterator<CaseResult> for ConformanceReport {
    fn from_iter<I: IntoIterator<Item = CaseResult>>(cases: I) -> Self {
        let mut report = ConformanceReport::default();
        for case in cases {
            report.push(case);
        }
        report
    }
}

impl ConformanceReport {
    /// Adds one case and counts it.
    pub fn push(&mut self, case: CaseResult) {
        self.totals.entry(case.mesh.clone()).or_default().count(case.verdict);
        self.cases.push(case);
    }

    /// Counts a case that is not judged.
    pub fn keep_out(&mut self, reason: &str) {
        *self.kept_out.entry(reason.to_owned()).or_default() += 1;
    }

    /// Adds the cases of another report.
    pub fn merge(&mut self, other: ConformanceReport) {
        for case in other.cases {
            self.push(case);
        }
        for (reason, count) in other.kept_out {
            *self.kept_out.entry(reason).or_default() += count;
        }
    }

    /// Keeps the cases that fit and counts anew.
    pub fn retain(&mut self, fits: impl Fn(&CaseResult) -> bool) {
        let cases = std::mem::take(&mut self.cases);
        self.totals.clear();
        for case in cases.into_iter().filter(|case| fits(case)) {
            self.push(case);
        }
    }

    /// Counts over all meshes.
    #[must_use]
    pub fn total(&self) -> Totals {
        self.totals.values().fold(Totals::default(), |sum, t| Totals {
            agree: sum.agree + t.agree,
            disagree: sum.disagree + t.disagree,
            unsupported: sum.unsupported + t.unsupported,
        })
    }

    /// Counts per row of the table: per mesh, or per group of meshes where there are too many to read.
    fn rows(&self) -> BTreeMap<&str, Totals> {
        let grouped = self.totals.len() > MAX_ROWS;
        let mut rows: BTreeMap<&str, Totals> = BTreeMap::new();
        for (mesh, totals) in &self.totals {
            let name = if grouped { group_of(mesh) } else { mesh };
            let row = rows.entry(name).or_default();
            row.agree += totals.agree;
            row.disagree += totals.disagree;
            row.unsupported += totals.unsupported;
        }
        rows
    }

    /// The table people read: counts per mesh (or group of meshes), then every case that does not agree.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let rows = self.rows();
        let width = rows.keys().map(|name| name.len()).max().unwrap_or(0).max(5);
        let _ = writeln!(out, "{:width$}  {:>6}  {:>8}  {:>11}", "MESH", "AGREE", "DISAGREE", "UNSUPPORTED");
        let mut row = |name: &str, t: Totals| {
            let _ = writeln!(out, "{name:width$}  {:>6}  {:>8}  {:>11}", t.agree, t.disagree, t.unsupported);
        };
        for (name, totals) in rows {
            row(name, totals);
        }
        row("total", self.total());
        if self.interrupted {
            out.push_str("interrupted: the cases that would follow were not judged\n");
        }
        for (reason, count) in &self.kept_out {
            let _ = writeln!(out, "not judged: {count} ({reason})");
        }
        for case in self.cases.iter().filter(|c| c.verdict == Verdict::Disagree) {
            let _ = writeln!(out, "\ndisagree {}", case.name());
            for d in &case.differences {
                let predicted: Vec<String> = d.predicted.iter().map(Value::to_string).collect();
                let _ = writeln!(
                    out,
                    "  {}: predicted {}, observed {}",
                    d.key,
                    predicted.join(" | "),
                    d.observed
                );
            }
        }
        for case in self.cases.iter().filter(|c| c.verdict == Verdict::Unsupported) {
            let reason = case.reason.as_deref().unwrap_or("no prediction");
            let _ = writeln!(out, "\nunsupported {}: {reason}", case.name());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_and_table_count_every_verdict() {
        let mut report = ConformanceReport::default();
        for (id, verdict) in
            [("a-1", Verdict::Agree), ("a-2", Verdict::Disagree), ("a-3", Verdict::Unsupported)]
        {
            report.push(CaseResult {
                mesh: "a".into(),
                id: id.into(),
                verdict,
                reason: (verdict == Verdict::Unsupported).then(|| "EnvoyFilter at x.yaml:3".to_owned()),
                predicted: vec![],
                differences: vec![],
                also: vec![],
            });
        }
        assert_eq!(report.total(), Totals { agree: 1, disagree: 1, unsupported: 1 });
        let table = report.table();
        assert!(
            table.contains("disagree a-2") && table.contains("unsupported a-3: EnvoyFilter at x.yaml:3"),
            "{table}"
        );
        assert!(!table.contains("a-1\n"));
    }
}
