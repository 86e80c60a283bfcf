//! Which parts of a configuration tests pass through: data, the table people read, and lcov for editors.
//!
//! Shares are never rounded up: 100% means all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::checks::place;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CoverageKind {
    /// A match of a VirtualService route (or the route, when it has none).
    #[default]
    Route,
    /// A destination of a VirtualService route.
    Destination,
    /// A subset of a DestinationRule.
    Subset,
    /// A rule of an AuthorizationPolicy, or the policy when it has none.
    AuthorizationRule,
    /// An `mtls` block of a PeerAuthentication: its own, or a port's.
    PeerAuthentication,
    /// A host line of an egress listener of a Sidecar.
    SidecarEgress,
    /// A server of a Gateway.
    GatewayServer,
}

impl CoverageKind {
    /// All kinds, in the order of reports.
    pub const ALL: [CoverageKind; 7] = [
        CoverageKind::Route,
        CoverageKind::Destination,
        CoverageKind::Subset,
        CoverageKind::AuthorizationRule,
        CoverageKind::PeerAuthentication,
        CoverageKind::SidecarEgress,
        CoverageKind::GatewayServer,
    ];

    /// As reports name it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            CoverageKind::Route => "VirtualService routes",
            CoverageKind::Destination => "route destinations",
            CoverageKind::Subset => "DestinationRule subsets",
            CoverageKind::AuthorizationRule => "AuthorizationPolicy rules",
            CoverageKind::PeerAuthentication => "PeerAuthentication modes",
            CoverageKind::SidecarEgress => "Sidecar egress lines",
            CoverageKind::GatewayServer => "Gateway servers",
        }
    }
}

/// One part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageItem {
    /// What it is.
    pub kind: CoverageKind,
    /// `file:line:column`
    pub place: String,
    /// `Kind/namespace/name`
    pub object: String,
    /// The field (`spec.http[0].match[1]`).
    pub path: String,
    /// How many tests pass through it.
    pub tests: u32,
    /// One of them (`file: case`); empty for none.
    pub example: String,
    /// With `--missing`: a case that would pass through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
    /// With `--missing`: why there is no proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// The coverage of a run of tests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageReport {
    /// All parts, by file and line.
    pub items: Vec<CoverageItem>,
}

/// Covered parts of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Those that a test passes through.
    pub covered: u64,
    /// All.
    pub total: u64,
}

impl Share {
    /// Two decimals, cut off: `99.99%` of 20,000 is not all of them. Of nothing, all is covered.
    #[must_use]
    pub fn percent(self) -> String {
        let hundredths = (self.covered * 10_000).checked_div(self.total).unwrap_or(10_000);
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }

    /// Whether the share reaches a threshold in hundredths of a percent.
    #[must_use]
    pub fn reaches(self, hundredths: u64) -> bool {
        u128::from(self.covered) * 10_000 >= u128::from(hundredths) * u128::from(self.total)
    }
}

/// A threshold (`90`, `92.5`, `100%`) in hundredths of a percent; `None` is none, or above 100.
#[must_use]
pub fn threshold(text: &str) -> Option<u64> {
    let text = text.strip_suffix('%').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 2 || text.ends_with('.') {
        return None;
    }
    let hundredths =
        whole.parse::<u64>().ok()?.checked_mul(100)? + format!("{part:0<2}").parse::<u64>().ok()?;
    (hundredths <= 10_000).then_some(hundredths)
}

impl CoverageReport {
    /// The share of one kind, or of everything.
    #[must_use]
    pub fn share(&self, kind: Option<CoverageKind>) -> Share {
        let mut share = Share::default();
        for item in self.items.iter().filter(|i| kind.is_none_or(|k| i.kind == k)) {
            share.total += 1;
            share.covered += u64::from(item.tests > 0);
        }
        share
    }

    /// Joins what another part of a run found: the same place is the same part.
    pub fn join(&mut self, other: CoverageReport) {
        self.add(other, |known, more| known + more);
    }

    /// Adds what the same tests pass through later, when the mesh has changed: no test is counted twice.
    pub fn later(&mut self, other: CoverageReport) {
        self.add(other, u32::max);
    }

    fn add(&mut self, other: CoverageReport, tests: fn(u32, u32) -> u32) {
        let mut at: BTreeMap<(String, CoverageKind, String), usize> = BTreeMap::new();
        let key = |i: &CoverageItem| (i.place.clone(), i.kind, i.path.clone());
        for (index, item) in self.items.iter().enumerate() {
            at.insert(key(item), index);
        }
        for item in other.items {
            let known = at.get(&key(&item)).and_then(|i| self.items.get_mut(*i));
            match known {
                Some(known) => {
                    known.tests = tests(known.tests, item.tests);
                    if known.example.is_empty() {
                        known.example = item.example;
                    }
                    known.proposal = known.proposal.take().or(item.proposal);
                    known.unreachable = known.unreachable.take().or(item.unreachable);
                }
                None => {
                    at.insert(key(&item), self.items.len());
                    self.items.push(item);
                }
            }
        }
        // What one mesh reaches is not unreachable.
        for item in &mut self.items {
            if item.tests > 0 {
                item.proposal = None;
            }
            if item.tests > 0 || item.proposal.is_some() {
                item.unreachable = None;
            }
        }
        self.items.sort_by(|a, b| order(a).cmp(&order(b)));
    }
}

/// By file, line and column, not by the text of the place.
fn order(item: &CoverageItem) -> (&str, u32, u32, CoverageKind, &str) {
    let (file, line, column) = place(&item.place);
    (file, line, column, item.kind, &item.path)
}

/// The table: a line per kind, then what no test passes through.
#[must_use]
pub fn table(report: &CoverageReport) -> String {
    let mut out = String::new();
    for kind in CoverageKind::ALL {
        let share = report.share(Some(kind));
        if share.total > 0 {
            let _ = writeln!(
                out,
                "COVERAGE  {:>7}  {} of {} {}",
                share.percent(),
                share.covered,
                share.total,
                kind.words()
            );
        }
    }
    for item in report.items.iter().filter(|i| i.tests == 0) {
        let _ = writeln!(out, "NO TEST   {} {}   {}", item.object, item.path, item.place);
        if let Some(why) = &item.unreachable {
            let _ = writeln!(out, "          {why}");
        }
        for line in item.proposal.iter().flat_map(|p| p.lines()) {
            let _ = writeln!(out, "    {line}");
        }
    }
    let share = report.share(None);
    let _ = writeln!(out, "COVERAGE  {:>7}  {} of {} in all", share.percent(), share.covered, share.total);
    out
}

/// For pull-request comments.
#[must_use]
pub fn markdown(report: &CoverageReport) -> String {
    let share = report.share(None);
    let mut out = format!("### Coverage: {} ({} of {})\n\n", share.percent(), share.covered, share.total);
    out.push_str("| part | covered | of | share |\n|---|---|---|---|\n");
    for kind in CoverageKind::ALL {
        let share = report.share(Some(kind));
        if share.total > 0 {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                kind.words(),
                share.covered,
                share.total,
                share.percent()
            );
        }
    }
    let missing: Vec<&CoverageItem> = report.items.iter().filter(|i| i.tests == 0).collect();
    if !missing.is_empty() {
        out.push_str("\n<details><summary>No test passes through</summary>\n\n");
        for item in missing {
            let _ = writeln!(out, "* `{}` `{}` at `{}`", item.object, item.path, item.place);
        }
        out.push_str("\n</details>\n");
    }
    out
}

/// lcov's tracefile: a line is hit as often as the least used part that begins in it.
#[must_use]
pub fn lcov(report: &CoverageReport) -> String {
    let mut files: BTreeMap<&str, BTreeMap<u32, u32>> = BTreeMap::new();
    for item in &report.items {
        let (file, line, _) = place(&item.place);
        let hits = files.entry(file).or_default().entry(line).or_insert(u32::MAX);
        *hits = (*hits).min(item.tests);
    }
    let mut out = String::new();
    for (file, lines) in files {
        let _ = writeln!(out, "TN:mesh-sim\nSF:{file}");
        for (line, hits) in &lines {
            let _ = writeln!(out, "DA:{line},{hits}");
        }
        let hit = lines.values().filter(|h| **h > 0).count();
        let _ = writeln!(out, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_cut_off_and_compared_exactly() {
        let share = Share { covered: 19_999, total: 20_000 };
        assert_eq!(share.percent(), "99.99%");
        assert!(share.reaches(9_999) && !share.reaches(10_000));
        assert_eq!(Share { covered: 2, total: 3 }.percent(), "66.66%");
        assert!(!Share { covered: 2, total: 3 }.reaches(6_667));
        assert_eq!(Share::default().percent(), "100.00%");
        for (text, expected) in [
            ("90", Some(9_000)),
            ("92.5", Some(9_250)),
            ("99.99%", Some(9_999)),
            ("100", Some(10_000)),
            ("100.01", None),
            ("", None),
            ("-1", None),
            ("9.999", None),
            ("9.", None),
            ("ninety", None),
        ] {
            assert_eq!(threshold(text), expected, "{text}");
        }
    }

    #[test]
    fn runs_are_joined_by_place() {
        let item = |place: &str, tests: u32, unreachable: bool| CoverageItem {
            place: place.into(),
            tests,
            unreachable: unreachable.then(|| "no".into()),
            ..CoverageItem::default()
        };
        let mut report = CoverageReport { items: vec![item("a:10:1", 0, true), item("a:9:1", 1, false)] };
        report.join(CoverageReport { items: vec![item("a:10:1", 2, false), item("b:1:1", 0, false)] });
        let seen: Vec<_> =
            report.items.iter().map(|i| (i.place.as_str(), i.tests, i.unreachable.is_some())).collect();
        assert_eq!(seen, [("a:9:1", 1, false), ("a:10:1", 2, false), ("b:1:1", 0, false)]);
        assert_eq!(
            lcov(&report),
            "TN:mesh-sim\nSF:a\nDA:9,1\nDA:10,2\nLF:2\nLH:2\nend_of_record\nTN:mesh-sim\nSF:b\nDA:1,0\nLF:1\nLH:0\nend_of_record\n"
        );
    }
}
