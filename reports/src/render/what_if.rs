//! `matrix --what-if` for people: who breaks and why, then YAML to apply.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::matrix::csv_field;
use super::style::table;
use super::svg::escape;
use crate::matrix::{Broken, MatrixCell, WhatIfReport};

/// End of the names of services, which says nothing to people.
const LOCAL: &str = ".svc.cluster.local";
/// Callers listed of one target and cause.
const NAMES: usize = 6;

/// For people.
#[must_use]
pub fn what_if_table(report: &WhatIfReport) -> String {
    let mut out = format!("WHAT IF {}\n", report.change);
    for manifest in &report.applied {
        let what = match &manifest.replaces {
            Some(place) => format!("changes {} ({place})", manifest.object),
            None => format!("adds {}", manifest.object),
        };
        let _ = writeln!(out, "  {what}");
    }
    if report.interrupted {
        out.push_str("\ninterrupted: nothing was compared\n");
        return out;
    }
    let _ = writeln!(out, "\nBREAKS  {} of {} calls", report.broken.len(), report.questions);
    breaks(&report.broken, &mut out);
    if !report.shut_out.is_empty() {
        let _ = writeln!(out, "\nSHUTS OUT  pods that no manifest has");
        breaks(&report.shut_out, &mut out);
    }
    cells("UNKNOWN", &report.unknown, &mut out);
    cells("STILL PLAINTEXT", &report.still_plain, &mut out);
    exemptions(report, &mut out);
    out
}

/// Calls by reason; below it callers and services with equal answers together.
fn breaks(all: &[Broken], out: &mut String) {
    let mut reasons: Vec<(&str, &str, &str)> = Vec::new();
    for b in all {
        let reason = (b.why.as_str(), b.by.as_str(), b.place.as_str());
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for (why, by, place) in reasons {
        let behind = [by, place].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("  ");
        let _ = writeln!(
            out,
            "  {why}{}",
            if behind.is_empty() { String::new() } else { format!("   ({behind})") }
        );
        let of_reason =
            all.iter().filter(|b| (b.why.as_str(), b.by.as_str(), b.place.as_str()) == (why, by, place));
        let rows = rows(&of_reason.collect::<Vec<_>>());
        let text = table(&["CALLER", "SERVICE", "ANSWER", "KEPT BY"], &[], &rows);
        out.extend(text.lines().map(|line| format!("  {line}\n")));
    }
}

/// Answer and exemptions of a call, in words.
type Ending = (String, String);
/// Callers of a service that end alike, by service and ending.
type ByTarget<'a> = Vec<((&'a str, Ending), Vec<&'a str>)>;
/// Services by the callers that end alike there.
type ByCallers<'a> = Vec<((Vec<&'a str>, Ending), Vec<String>)>;

/// Callers of one service with equal answers are a row; services with equal rows share it.
fn rows(all: &[&Broken]) -> Vec<Vec<String>> {
    let mut by_target: ByTarget<'_> = Vec::new();
    for b in all {
        let numbers: Vec<String> = b.exemptions.iter().map(|n| format!("[{n}]")).collect();
        let ending = (format!("{} -> {}", b.before, b.after), numbers.join(" "));
        let key = (b.target.as_str(), ending);
        match by_target.iter_mut().find(|(known, _)| *known == key) {
            Some((_, callers)) => callers.push(&b.caller),
            None => by_target.push((key, vec![&b.caller])),
        }
    }
    let mut joined: ByCallers<'_> = Vec::new();
    for ((target, ending), callers) in by_target {
        let target = target.replacen(LOCAL, "", 1);
        let key = (callers, ending);
        match joined.iter_mut().find(|(known, _)| *known == key) {
            Some((_, targets)) => targets.push(target),
            None => joined.push((key, vec![target])),
        }
    }
    let some = |names: Vec<String>| {
        let more = names.len().saturating_sub(NAMES);
        let mut shown: Vec<String> = names.into_iter().take(NAMES).collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        shown.join("\n")
    };
    joined
        .into_iter()
        .map(|((callers, (answer, kept)), targets)| {
            vec![some(callers.into_iter().map(str::to_owned).collect()), some(targets), answer, kept]
        })
        .collect()
}

fn cells(head: &str, all: &[MatrixCell], out: &mut String) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{head}");
    let mut groups: BTreeMap<(&str, &str, &str, &str), Vec<&str>> = BTreeMap::new();
    for cell in all {
        groups.entry((&cell.target, &cell.by, &cell.place, &cell.why)).or_default().push(&cell.caller);
    }
    for ((target, by, place, why), callers) in groups {
        let more = match callers.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = callers.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
        let behind = [by, place, why].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "  {target}  from {names}{more}  {behind}");
    }
}

fn exemptions(report: &WhatIfReport, out: &mut String) {
    if report.exemptions.is_empty() {
        return;
    }
    let kept = report.broken.iter().filter(|b| !b.exemptions.is_empty()).count();
    let _ = writeln!(
        out,
        "\nEXEMPTIONS  with these beside the change, {kept} of {} broken calls work as before (checked)",
        report.broken.len()
    );
    for (number, exemption) in (1..).zip(&report.exemptions) {
        let _ = writeln!(out, "# [{number}] {}", exemption.text);
        if !exemption.also_admits.is_empty() {
            for other in &exemption.also_admits {
                let _ = writeln!(out, "#     lets through as well: {}", other.replacen(LOCAL, "", 1));
            }
        }
        for other in &exemption.also_breaks {
            let _ = writeln!(out, "#     BREAKS: {}", other.replacen(LOCAL, "", 1));
        }
        out.push_str(&exemption.manifest.yaml);
        if number < report.exemptions.len() {
            out.push_str("---\n");
        }
    }
}

/// The exemptions alone, for `kubectl apply -f -`.
#[must_use]
pub fn what_if_manifests(report: &WhatIfReport) -> String {
    let all = report.exemptions.iter().map(|e| &e.manifest);
    all.map(|m| m.yaml.as_str()).collect::<Vec<_>>().join("---\n")
}

/// For pull requests.
#[must_use]
pub fn what_if_markdown(report: &WhatIfReport) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
    let mut out = format!(
        "**What if `{}`**: {} of {} calls break\n\n| caller | service | before | after | why | decided by | kept by |\n|---|---|---|---|---|---|---|\n",
        report.change,
        report.broken.len(),
        report.questions
    );
    for b in &report.broken {
        let numbers: Vec<String> = b.exemptions.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} {} | {} |",
            cell(&b.caller),
            cell(&b.target),
            b.before,
            b.after,
            cell(&b.why),
            cell(&b.by),
            b.place,
            numbers.join(", ")
        );
    }
    for (number, exemption) in (1..).zip(&report.exemptions) {
        let _ = writeln!(out, "\n{number}. {}\n\n```yaml\n{}```", exemption.text, exemption.manifest.yaml);
    }
    out
}

/// The broken calls, for spreadsheets (RFC 4180).
#[must_use]
pub fn what_if_csv(report: &WhatIfReport) -> String {
    let mut out = "caller,kind,service,before,after,why,decided by,place,kept by\r\n".to_owned();
    for b in &report.broken {
        let numbers: Vec<String> = b.exemptions.iter().map(ToString::to_string).collect();
        let kept = numbers.join(" ");
        let fields = [
            b.caller.as_str(),
            b.kind.word(),
            &b.target,
            &b.before,
            &b.after,
            &b.why,
            &b.by,
            &b.place,
            &kept,
        ];
        out.push_str(&fields.map(csv_field).join(","));
        out.push_str("\r\n");
    }
    out
}

/// One page without anything from elsewhere.
#[must_use]
pub fn what_if_html(report: &WhatIfReport) -> String {
    let mut out = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>what if {0}</title><style>body{{font:14px sans-serif}}\
         table{{border-collapse:collapse}}th,td{{border:1px solid #ccc;padding:3px 8px;text-align:left;\
         vertical-align:top}}</style><h1>What if {0}: {1} of {2} calls break</h1><table><tr><th>caller</th>\
         <th>service</th><th>before</th><th>after</th><th>why</th><th>decided by</th><th>kept by</th></tr>\n",
        escape(&report.change),
        report.broken.len(),
        report.questions
    );
    for b in &report.broken {
        let numbers: Vec<String> = b.exemptions.iter().map(ToString::to_string).collect();
        let by = format!("{} {}", b.by, b.place);
        let kept = numbers.join(", ");
        let fields = [b.caller.as_str(), &b.target, &b.before, &b.after, &b.why, &by, &kept];
        let row: String = fields.iter().map(|f| format!("<td>{}</td>", escape(f))).collect();
        let _ = writeln!(out, "<tr>{row}</tr>");
    }
    out.push_str("</table>\n<ol>\n");
    for e in &report.exemptions {
        let _ = writeln!(out, "<li>{}<pre>{}</pre></li>", escape(&e.text), escape(&e.manifest.yaml));
    }
    out.push_str("</ol>\n");
    out
}
