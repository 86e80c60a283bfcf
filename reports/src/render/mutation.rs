//! Surviving mutants as text, Markdown and GitHub annotations.

use std::fmt::Write as _;

use crate::findings::{Finding, Level};
use crate::mutation::{MutationReport, Survivor};
use crate::render::github::annotations;

/// One line of counts.
#[must_use]
pub fn summary(report: &MutationReport) -> String {
    let left = report.possible.saturating_sub(report.tried);
    let rest = if left > 0 { format!(" · {left} not tried (--mutants)") } else { String::new() };
    format!(
        "{} mutants · {} noticed · {} survived · {} without effect · {} refused{rest}",
        report.tried,
        report.killed,
        report.survivors.len(),
        report.equivalent,
        report.refused
    )
}

/// For the terminal.
#[must_use]
pub fn table(report: &MutationReport) -> String {
    let mut out = String::new();
    for survivor in &report.survivors {
        let _ = writeln!(out, "SURVIVED  {}: {}   {}", survivor.object, survivor.what, survivor.place);
        for line in &survivor.diff {
            let _ = writeln!(out, "    {line}");
        }
        let _ = writeln!(out, "  not noticed by {}", survivor.tests.join(", "));
    }
    let _ = writeln!(out, "{}", summary(report));
    out
}

/// For a pull-request comment.
#[must_use]
pub fn markdown(report: &MutationReport) -> String {
    let mut out = format!("## mesh-sim: changes no test notices\n\n{}\n", summary(report));
    for survivor in &report.survivors {
        let _ =
            writeln!(out, "\n**{}**: {} (`{}`)\n\n```diff", survivor.object, survivor.what, survivor.place);
        for line in &survivor.diff {
            let _ = writeln!(out, "{line}");
        }
        out.push_str("```\n");
    }
    out
}

/// GitHub workflow annotations, one per survivor.
#[must_use]
pub fn github(report: &MutationReport) -> String {
    let findings: Vec<Finding> = report.survivors.iter().map(finding).collect();
    annotations(&findings, &summary(report))
}

fn finding(survivor: &Survivor) -> Finding {
    let mut place = survivor.place.rsplitn(3, ':');
    let (column, line) = (place.next().unwrap_or(""), place.next().unwrap_or(""));
    Finding {
        code: "mutant".to_owned(),
        severity: Level::Warning,
        message: format!("no test notices: {}\n{}", survivor.what, survivor.diff.join("\n")),
        file: place.next().unwrap_or("").to_owned(),
        line: line.parse().unwrap_or(0),
        column: column.parse().unwrap_or(0),
        object: Some(survivor.object.clone()),
        ..Finding::default()
    }
}
