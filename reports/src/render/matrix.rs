//! The matrix of callers and services: a grid where it fits a terminal, else a block per service; flat for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::style::table;
use super::svg::escape;
use crate::matrix::{CallerKind, CellVerdict, MatrixCell, MatrixReport};

/// Columns of a terminal that is not asked how wide it is: the same bytes everywhere.
const WIDTH: usize = 118;
/// Names listed of a group on a line, and in a cell of the grid; the rest is counted.
const NAMES: usize = 4;
const LINES: usize = 12;
/// Columns of the flat forms.
const COLUMNS: [&str; 9] =
    ["CALLER", "KIND", "SERVICE", "VERDICT", "ANSWER", "MTLS", "DECIDED BY", "PLACE", "WHY"];

/// For people: equal callers and equal services are one row and one column.
#[must_use]
pub fn matrix_table(report: &MatrixReport) -> String {
    let grouped = Grouped::new(report);
    let grid = grouped.grid();
    let fits = grid.lines().all(|line| line.chars().count() <= WIDTH);
    let mut out = if fits { grid } else { grouped.blocks() };
    grouped.notes(&mut out);
    for line in &report.skipped {
        let _ = writeln!(out, "left out: {line}");
    }
    out.push_str(&totals_line(report));
    out
}

fn totals_line(report: &MatrixReport) -> String {
    let t = report.totals();
    format!(
        "{} callers × {} service ports, {} asked: {} mTLS · {} plain · {} partly · {} denied · {} failed · {} unknown\n",
        report.callers.len(),
        report.targets.len(),
        report.asked,
        t.mtls,
        t.plain,
        t.partly,
        t.denied,
        t.failed,
        t.unknown
    )
}

/// What a row or column is compared by.
fn essence(cell: Option<&MatrixCell>) -> (String, String, String) {
    cell.map(|c| (short(c), c.by.clone(), c.why.clone())).unwrap_or_default()
}

/// `200 mTLS`, `403`, `503 UC`, `?`.
fn short(cell: &MatrixCell) -> String {
    match cell.verdict {
        CellVerdict::Allowed | CellVerdict::Partly => format!("{} {}", cell.answer, cell.mtls.word()),
        CellVerdict::Unknown => "?".to_owned(),
        CellVerdict::Denied | CellVerdict::Failed => cell.answer.clone(),
    }
}

/// Callers with equal rows and services with equal columns.
struct Grouped<'a> {
    cells: BTreeMap<(&'a str, &'a str), &'a MatrixCell>,
    /// Names of callers by group, and one of them.
    callers: Vec<(Vec<String>, &'a str)>,
    /// Short names of services by group, and the full name of one.
    targets: Vec<(Vec<String>, &'a str)>,
    /// What decided, by (object, place, why), in order of appearance.
    reasons: Vec<(String, String, String)>,
}

impl<'a> Grouped<'a> {
    fn new(report: &'a MatrixReport) -> Self {
        let cells: BTreeMap<_, _> =
            report.cells.iter().map(|c| ((c.caller.as_str(), c.target.as_str()), c)).collect();
        let at = |caller: &str, target: &str| cells.get(&(caller, target)).copied();
        let mut callers: Vec<(Vec<String>, &str)> = Vec::new();
        for caller in &report.callers {
            let equal = |other: &str| {
                report
                    .targets
                    .iter()
                    .all(|t| essence(at(other, &t.name)) == essence(at(&caller.name, &t.name)))
            };
            let shown = match caller.kind {
                CallerKind::Stranger | CallerKind::Kubelet => caller.name.clone(),
                kind => format!("{} ({})", caller.name, kind.word()),
            };
            match callers.iter_mut().find(|(_, one)| equal(one)) {
                Some((names, _)) => names.push(shown),
                None => callers.push((vec![shown], &caller.name)),
            }
        }
        let mut targets: Vec<(Vec<String>, &str)> = Vec::new();
        for target in &report.targets {
            let equal = |other: &str| {
                report
                    .callers
                    .iter()
                    .all(|c| essence(at(&c.name, other)) == essence(at(&c.name, &target.name)))
            };
            match targets.iter_mut().find(|(_, one)| equal(one)) {
                Some((names, _)) => names.push(target.short.clone()),
                None => targets.push((vec![target.short.clone()], &target.name)),
            }
        }
        let mut reasons: Vec<(String, String, String)> = Vec::new();
        for (_, caller) in &callers {
            for (_, target) in &targets {
                let Some(reason) = at(caller, target).and_then(reason) else { continue };
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        Grouped { cells, callers, targets, reasons }
    }

    /// `403 [1]`
    fn text(&self, caller: &str, target: &str) -> String {
        let Some(cell) = self.cells.get(&(caller, target)) else { return "·".to_owned() };
        let number = reason(cell).and_then(|r| self.reasons.iter().position(|known| *known == r));
        match number {
            Some(n) => format!("{} [{}]", short(cell), n + 1),
            None => short(cell),
        }
    }

    fn grid(&self) -> String {
        let heads: Vec<String> = self.targets.iter().map(|(names, _)| stacked(names)).collect();
        let mut header = vec!["CALLER"];
        header.extend(heads.iter().map(String::as_str));
        let mut rows = Vec::new();
        for (names, caller) in &self.callers {
            let mut row = vec![stacked(names)];
            row.extend(self.targets.iter().map(|(_, target)| self.text(caller, target)));
            rows.push(row);
        }
        table(&header, &[], &rows)
    }

    /// One block per group of services, one line per answer.
    fn blocks(&self) -> String {
        let mut out = String::new();
        for (names, target) in &self.targets {
            let _ = writeln!(out, "{}", some(names));
            let mut lines: Vec<(String, Vec<String>)> = Vec::new();
            for (members, caller) in &self.callers {
                let text = self.text(caller, target);
                match lines.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, all)) => all.extend(members.iter().cloned()),
                    None => lines.push((text, members.clone())),
                }
            }
            lines.retain(|(text, _)| text != "·");
            let rows: Vec<Vec<String>> =
                lines.into_iter().map(|(text, all)| vec![text, some(&all)]).collect();
            out.push_str(&bare(&rows));
        }
        out
    }

    fn notes(&self, out: &mut String) {
        for (index, (by, place, why)) in self.reasons.iter().enumerate() {
            let parts: Vec<&str> =
                [by.as_str(), place, why].into_iter().filter(|text| !text.is_empty()).collect();
            let _ = writeln!(out, "[{}] {}", index + 1, parts.join("  "));
        }
    }
}

/// What a footnote says; nothing for what needs none.
fn reason(cell: &MatrixCell) -> Option<(String, String, String)> {
    let silent = cell.by.is_empty() && cell.why.is_empty();
    (!silent).then(|| (cell.by.clone(), cell.place.clone(), cell.why.clone()))
}

/// The first names and how many more there are.
fn some(names: &[String]) -> String {
    let head = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => head,
        more => format!("{head} and {more} more"),
    }
}

/// Names below each other, at most [`LINES`] of them.
fn stacked(names: &[String]) -> String {
    if names.len() <= LINES {
        return names.join("\n");
    }
    let head = names.iter().take(LINES - 1).cloned().collect::<Vec<_>>().join("\n");
    format!("{head}\nand {} more", names.len() + 1 - LINES)
}

/// A table without a head.
fn bare(rows: &[Vec<String>]) -> String {
    let text = table(&["", ""], &[], rows);
    text.lines().skip(1).map(|line| format!("{line}\n")).collect()
}

fn flat(report: &MatrixReport) -> Vec<Vec<String>> {
    let kind = |name: &str| report.callers.iter().find(|c| c.name == name).map_or("", |c| c.kind.word());
    report
        .cells
        .iter()
        .map(|c| {
            [
                c.caller.as_str(),
                kind(&c.caller),
                &c.target,
                c.verdict.word(),
                &c.answer,
                c.mtls.word(),
                &c.by,
                &c.place,
                &c.why,
            ]
            .map(str::to_owned)
            .to_vec()
        })
        .collect()
}

/// Every cell on a line of its own.
#[must_use]
pub fn matrix_wide(report: &MatrixReport) -> String {
    let mut out = table(&COLUMNS, &[], &flat(report));
    out.push_str(&totals_line(report));
    out
}

/// Every cell on a line of its own, for spreadsheets (RFC 4180).
#[must_use]
pub fn matrix_csv(report: &MatrixReport) -> String {
    let line = |cells: &[String]| {
        let quoted: Vec<String> = cells.iter().map(|c| csv_field(c)).collect();
        quoted.join(",") + "\r\n"
    };
    let head: Vec<String> = COLUMNS.iter().map(|c| c.to_lowercase()).collect();
    line(&head) + &flat(report).iter().map(|row| line(row)).collect::<String>()
}

pub(super) fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// For pull requests: one row per group of callers.
#[must_use]
pub fn matrix_markdown(report: &MatrixReport) -> String {
    let grouped = Grouped::new(report);
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
    let heads: Vec<String> = grouped.targets.iter().map(|(names, _)| cell(&names.join("\n"))).collect();
    let mut out = format!("| caller | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for (names, caller) in &grouped.callers {
        let row: Vec<String> =
            grouped.targets.iter().map(|(_, target)| cell(&grouped.text(caller, target))).collect();
        let _ = writeln!(out, "| {} | {} |", cell(&names.join("\n")), row.join(" | "));
    }
    out.push('\n');
    for (index, (by, place, why)) in grouped.reasons.iter().enumerate() {
        let _ = writeln!(out, "{}. `{by}` {place} {}", index + 1, cell(why));
    }
    let _ = write!(out, "\n{}", totals_line(report));
    out
}

/// One page without anything from elsewhere.
#[must_use]
pub fn matrix_html(report: &MatrixReport) -> String {
    let mut out = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>mesh-sim matrix</title><style>\
         body{font:14px sans-serif}table{border-collapse:collapse}th,td{border:1px solid #ccc;padding:3px 8px;\
         text-align:left;vertical-align:top}.allowed{background:#dfd}.plain{background:#ffd}.partly,.unknown{background:#fe9}\
         .denied{background:#fdd}.failed{background:#ddd}</style><table><tr><th>caller</th>",
    );
    for target in &report.targets {
        let _ = write!(out, "<th title=\"{}\">{}</th>", escape(&target.place), escape(&target.short));
    }
    out.push_str("</tr>\n");
    let cells: BTreeMap<_, _> =
        report.cells.iter().map(|c| ((c.caller.as_str(), c.target.as_str()), c)).collect();
    for caller in &report.callers {
        let _ = write!(out, "<tr><th>{} ({})</th>", escape(&caller.name), caller.kind.word());
        for target in &report.targets {
            match cells.get(&(caller.name.as_str(), target.name.as_str())) {
                None => out.push_str("<td></td>"),
                Some(cell) => {
                    let plain = cell.verdict == CellVerdict::Allowed && cell.mtls.word() != "mTLS";
                    let class = if plain { "plain" } else { cell.verdict.word() };
                    let title = [cell.request.as_str(), &cell.by, &cell.place, &cell.why].join(" ");
                    let _ = write!(
                        out,
                        "<td class=\"{class}\" title=\"{}\">{}</td>",
                        escape(title.trim()),
                        escape(&short(cell))
                    );
                }
            }
        }
        out.push_str("</tr>\n");
    }
    let _ = writeln!(out, "</table><p>{}</p>", escape(totals_line(report).trim()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{MatrixCaller, MatrixTarget, Protection};

    fn report(callers: usize, targets: usize) -> MatrixReport {
        let mut report = MatrixReport::new("GET /".to_owned());
        for c in 0..callers {
            report
                .callers
                .push(MatrixCaller { name: format!("shop/caller-number-{c}"), ..MatrixCaller::default() });
        }
        for t in 0..targets {
            report.targets.push(MatrixTarget {
                name: format!("service-number-{t}.shop.svc.cluster.local:80"),
                short: format!("service-number-{t}.shop:80"),
                ..MatrixTarget::default()
            });
        }
        for (c, t) in (0..callers).flat_map(|c| (0..targets).map(move |t| (c, t))) {
            let denied = c == 1 && t % 2 == 1;
            report.cells.push(MatrixCell {
                caller: format!("shop/caller-number-{c}"),
                target: format!("service-number-{t}.shop.svc.cluster.local:80"),
                verdict: if denied { CellVerdict::Denied } else { CellVerdict::Allowed },
                answer: if denied { "403" } else { "200" }.to_owned(),
                mtls: Protection::Mtls,
                by: if denied { "AuthorizationPolicy/shop/deny".to_owned() } else { String::new() },
                place: if denied { "a,b.yaml:3:1".to_owned() } else { String::new() },
                ..MatrixCell::default()
            });
        }
        report
    }

    #[test]
    fn equal_rows_and_columns_are_shown_once() {
        let text = matrix_table(&report(20, 8));
        assert_eq!(text.matches("403 [1]").count(), 1, "{text}");
        assert!(text.contains("20 callers × 8 service ports, GET / asked: 156 mTLS"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn what_is_too_wide_becomes_blocks() {
        let mut wide = report(2, 12);
        // Every service answers something else.
        for (i, cell) in wide.cells.iter_mut().enumerate().filter(|(_, c)| c.verdict == CellVerdict::Allowed)
        {
            cell.answer = format!("20{i}");
        }
        let text = matrix_table(&wide);
        assert!(text.starts_with("service-number-0.shop:80\n"), "{text}");
        assert!(text.contains("  403 [1]     shop/caller-number-1 (sidecar)\n"), "{text}");
    }

    #[test]
    fn flat_forms_hold_every_cell() {
        let report = report(2, 2);
        assert_eq!(matrix_csv(&report).lines().count(), 5);
        assert!(matrix_csv(&report).contains("\"a,b.yaml:3:1\""));
        assert_eq!(matrix_wide(&report).lines().count(), 6);
        assert!(matrix_markdown(&report).contains("1. `AuthorizationPolicy/shop/deny` a,b.yaml:3:1"));
        assert_eq!(matrix_html(&report).matches("<td").count(), 4);
    }
}
