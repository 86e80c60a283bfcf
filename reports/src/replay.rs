//! Requests of the past against a proposed configuration: which of them would end differently.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What became of the lines of some access logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// Lines that are access-log lines of client-side proxies and were asked again.
    pub replayed: u64,
    /// Those that end as before.
    pub same: u64,
    /// Those that end differently, as kinds of requests, most frequent first.
    pub different: Vec<ReplayedRequest>,
    /// Those of which the log does not tell enough.
    pub unknown: Vec<ReplayedRequest>,
    /// Lines that were not asked again, by reason.
    pub left_out: Vec<LeftOut>,
}

/// Lines with the same request and the same end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedRequest {
    /// `lost`, `gained`, `rerouted`, `changed`; for unknown ones `unknown`.
    pub kind: String,
    /// Who sent it, as `--from` takes it.
    pub from: String,
    /// Method and URL.
    pub request: String,
    /// How it ended, from the log.
    pub was: String,
    /// How it would end.
    pub now: String,
    /// Lines.
    pub lines: u64,
    /// `file:line` of the first.
    pub first: String,
    /// What decides now, with its place; or why it is unknown.
    pub decided_by: String,
}

/// Lines that were not asked again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Why.
    pub why: String,
    /// How many.
    pub lines: u64,
}

/// Counts first, then what differs.
#[must_use]
pub fn table(report: &ReplayReport) -> String {
    let mut out = String::new();
    let lines = |list: &[ReplayedRequest]| list.iter().map(|r| r.lines).sum::<u64>();
    let _ = writeln!(
        out,
        "{} requests replayed: {} end as before, {} end differently, {} unknown",
        report.replayed,
        report.same,
        lines(&report.different),
        lines(&report.unknown)
    );
    for left in &report.left_out {
        let _ = writeln!(out, "{} lines left out: {}", left.lines, left.why);
    }
    for request in report.different.iter().chain(&report.unknown) {
        let _ = writeln!(
            out,
            "{:<9} {} from {}   {} lines, first {}\n          was {}\n          now {}",
            request.kind.to_uppercase(),
            request.request,
            request.from,
            request.lines,
            request.first,
            request.was,
            request.now
        );
        if !request.decided_by.is_empty() {
            let _ = writeln!(out, "          {}", request.decided_by);
        }
    }
    out
}

/// For pull-request comments.
#[must_use]
pub fn markdown(report: &ReplayReport) -> String {
    let lines = |list: &[ReplayedRequest]| list.iter().map(|r| r.lines).sum::<u64>();
    let mut out = format!(
        "### Replay: {} of {} past requests would end differently\n",
        lines(&report.different),
        report.replayed
    );
    if !report.different.is_empty() || !report.unknown.is_empty() {
        out.push_str("\n| kind | lines | request | was | now |\n|---|---|---|---|---|\n");
    }
    let code = |text: &str| format!("`{}`", text.replace('`', "'").replace('|', "\\|"));
    for r in report.different.iter().chain(&report.unknown) {
        let request = format!("{} from {}", r.request, r.from);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            r.kind,
            r.lines,
            code(&request),
            code(&r.was),
            code(&r.now)
        );
    }
    out
}
