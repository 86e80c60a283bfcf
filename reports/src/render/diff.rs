//! A diff as text for people, Markdown for pull requests and GitHub annotations.

use std::fmt::Write as _;

use crate::diff::{CategoryCount, DiffReport, Witness};
use crate::findings::{Finding, Level};
use crate::render::github::annotations;
use crate::render::style::count;

/// For the terminal: counts first, then witnesses by category.
#[must_use]
pub fn table(report: &DiffReport) -> String {
    let mut out = format!("DIFF  {} -> {}\n", report.base, report.head);
    if report.counts.is_empty() {
        let _ = writeln!(out, "no request ends differently ({} asked)", count(report.asked));
    }
    for c in &report.counts {
        let allowed = if c.allowed { "  (allowed)" } else { "" };
        let _ = writeln!(out, "  {:<16}{:>8}{allowed}", c.category.word(), count(c.requests));
    }
    if !report.counts.is_empty() {
        let _ = writeln!(out, "  {:<16}{:>8}", "asked", count(report.asked));
    }
    for c in &report.counts {
        let shown: Vec<&Witness> = report.witnesses.iter().filter(|w| w.category == c.category).collect();
        if shown.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}", heading(c, shown.len()));
        for witness in shown {
            let _ = writeln!(out, "  {}", witness.request);
            lines(&mut out, "    - ", &witness.base);
            lines(&mut out, "    + ", &witness.head);
            if !witness.decided_by.is_empty() {
                let _ = writeln!(out, "      by {}  {}", witness.decided_by, witness.decided_at);
            }
            let _ = writeln!(out, "      try: {}", witness.reproduce_head);
        }
    }
    notes(report, &mut out, "");
    out
}

fn heading(c: &CategoryCount, shown: usize) -> String {
    let more = c.requests.saturating_sub(shown as u64);
    let rest = if more > 0 { format!(", {} more", count(more)) } else { String::new() };
    format!(
        "{} ({}{rest})",
        c.category.word().to_uppercase(),
        if more > 0 { shown.to_string() } else { count(c.requests) }
    )
}

fn lines(out: &mut String, mark: &str, all: &[String]) {
    for line in all {
        let _ = writeln!(out, "{mark}{line}");
    }
}

fn notes(report: &DiffReport, out: &mut String, bullet: &str) {
    if report.not_asked > 0 {
        let _ = writeln!(out, "\n{bullet}interrupted: {} requests were not asked", count(report.not_asked));
    }
    for (what, list) in
        [("only in base", &report.callers.only_in_base), ("only in head", &report.callers.only_in_head)]
    {
        if !list.is_empty() {
            let _ = writeln!(out, "\n{bullet}callers {what}, not compared: {}", list.join(", "));
        }
    }
    for limit in &report.limits {
        let place = limit.place.as_ref().map(|p| format!("  {p}")).unwrap_or_default();
        let _ = writeln!(out, "\n{bullet}not told apart: {}{place}", limit.what);
    }
}

/// For a pull-request comment.
#[must_use]
pub fn markdown(report: &DiffReport) -> String {
    let mut out = String::from("## mesh-sim: traffic that changes\n\n");
    if report.counts.is_empty() {
        let _ = writeln!(out, "No request ends differently ({} asked).", count(report.asked));
        notes(report, &mut out, "* ");
        return out;
    }
    out.push_str("| change | requests |\n|---|---:|\n");
    for c in &report.counts {
        let allowed = if c.allowed { " (allowed)" } else { "" };
        let _ = writeln!(out, "| {}{allowed} | {} |", c.category.word(), count(c.requests));
    }
    let _ = writeln!(out, "| *asked* | {} |", count(report.asked));
    for c in &report.counts {
        let shown: Vec<&Witness> = report.witnesses.iter().filter(|w| w.category == c.category).collect();
        if shown.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n<details><summary>{}</summary>\n\n```diff", heading(c, shown.len()));
        for witness in shown {
            let _ = writeln!(out, "# {}", witness.request);
            lines(&mut out, "- ", &witness.base);
            lines(&mut out, "+ ", &witness.head);
            if !witness.decided_by.is_empty() {
                let _ = writeln!(out, "# by {}  {}", witness.decided_by, witness.decided_at);
            }
            let _ = writeln!(out, "# {}", witness.reproduce_head);
        }
        out.push_str("```\n</details>\n");
    }
    notes(report, &mut out, "* ");
    out
}

/// GitHub workflow annotations: one per witness, at the place that decides now.
#[must_use]
pub fn github(report: &DiffReport) -> String {
    let findings: Vec<Finding> = report.witnesses.iter().map(|w| finding(report, w)).collect();
    let counts: Vec<String> =
        report.counts.iter().map(|c| format!("{} {}", c.requests, c.category.word())).collect();
    let summary =
        if counts.is_empty() { "no request ends differently".to_owned() } else { counts.join(", ") };
    annotations(&findings, &format!("{summary} ({} asked)", report.asked))
}

fn finding(report: &DiffReport, witness: &Witness) -> Finding {
    let allowed = report.counts.iter().any(|c| c.category == witness.category && c.allowed);
    let mut place = witness.decided_at.rsplitn(3, ':');
    let (column, line) = (place.next().unwrap_or(""), place.next().unwrap_or(""));
    Finding {
        code: witness.category.word().to_owned(),
        severity: if allowed { Level::Info } else { Level::Warning },
        message: format!("{}\n- {}\n+ {}", witness.request, witness.base.join("; "), witness.head.join("; ")),
        file: place.next().unwrap_or("").to_owned(),
        line: line.parse().unwrap_or(0),
        column: column.parse().unwrap_or(0),
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Category;

    fn report() -> DiffReport {
        let mut report = DiffReport::new("base", "head");
        report.asked = 1200;
        report.counts = vec![
            CategoryCount { category: Category::Lost, requests: 2, allowed: false },
            CategoryCount { category: Category::Slower, requests: 1, allowed: true },
        ];
        report.witnesses = vec![Witness {
            category: Category::Lost,
            request: "GET http://a/ from b/c".to_owned(),
            base: vec!["200".to_owned()],
            head: vec!["503 UH".to_owned()],
            decided_by: "VirtualService/b/a".to_owned(),
            decided_at: "x,y.yaml:3:5".to_owned(),
            reproduce_base: "one".to_owned(),
            reproduce_head: "two".to_owned(),
        }];
        report
    }

    #[test]
    fn counts_come_first_and_say_what_is_hidden() {
        let text = table(&report());
        let (counts, rest) = text.split_once("LOST (1, 1 more)").expect("heading");
        assert!(counts.contains("lost                   2") && counts.contains("(allowed)"), "{text}");
        assert!(
            rest.contains("    - 200\n    + 503 UH\n      by VirtualService/b/a  x,y.yaml:3:5"),
            "{text}"
        );
    }

    #[test]
    fn annotations_follow_githubs_grammar() {
        let text = github(&report());
        let first = text.lines().next().expect("line");
        assert_eq!(
            first,
            "::warning file=x%2Cy.yaml,line=3,col=5,title=mesh-sim lost::GET http://a/ from b/c%0A- 200%0A+ 503 UH"
        );
        assert!(markdown(&report()).contains("| lost | 2 |"));
    }

    #[test]
    fn words_of_categories_are_read_in_all_spellings() {
        for category in Category::ALL {
            assert_eq!(Category::parse(category.word()), Some(category));
        }
        assert_eq!(Category::parse("re-routed"), Some(Category::Rerouted));
        assert_eq!(Category::parse("newlyDenied"), Some(Category::NewlyDenied));
        assert_eq!(Category::parse("worse"), None);
    }
}
