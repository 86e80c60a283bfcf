//! Self-contained pages: no request leaves them, they read without JavaScript, and they follow the reader's colours.

use std::fmt::Write as _;

use super::svg::escape;
use super::tests::summary;
use crate::checks::{CaseVerdict, FileResult, Status, TestReport};
use crate::coverage::{CoverageKind, CoverageReport};
use crate::findings::{Finding, Level};
use crate::run::{GateVerdict, RunReport};

/// Verdicts of tests: a section per file, open when something in it needs a look, and a filter.
#[must_use]
pub fn tests(report: &TestReport) -> String {
    let totals = report.totals();
    let mut body = format!("<h1>mesh-sim test</h1>\n<p class=\"sum\">{}</p>\n", escape(&summary(report)));
    let counts = [
        ("fail", totals.failed),
        ("unknown", totals.unknown),
        ("pass", totals.passed),
        ("skip", totals.skipped),
    ];
    body.push_str("<p class=\"pick\" hidden>Show: ");
    for (word, n) in counts {
        let _ = write!(
            body,
            "<label class=\"{word}\"><input type=\"checkbox\" value=\"{word}\" checked> {word} {n}</label> "
        );
    }
    body.push_str("<label>Find <input id=\"find\" type=\"search\" autocomplete=\"off\"></label></p>\n");
    for file in &report.files {
        test_file(file, &mut body);
    }
    if !report.not_run.is_empty() {
        body.push_str("<h2>Not judged</h2>\n<ul>\n");
        for file in &report.not_run {
            let _ = writeln!(body, "<li><code>{}</code></li>", escape(file));
        }
        body.push_str("</ul>\n");
    }
    if let Some(coverage) = &report.coverage {
        covered(coverage, &mut body);
    }
    page("mesh-sim test", &body, FILTER)
}

fn covered(coverage: &CoverageReport, out: &mut String) {
    let share = coverage.share(None);
    let _ = writeln!(
        out,
        "<h2>Coverage: {} ({} of {})</h2>\n<table><thead><tr><th>part</th><th>covered</th><th>of</th><th>share</th></tr></thead><tbody>",
        share.percent(),
        share.covered,
        share.total
    );
    for kind in CoverageKind::ALL {
        let share = coverage.share(Some(kind));
        let cells = (kind.words(), share.covered, share.total, share.percent());
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cells.0, cells.1, cells.2, cells.3
        );
    }
    out.push_str("</tbody></table>\n");
    for item in coverage.items.iter().filter(|i| i.tests == 0) {
        let _ = write!(
            out,
            "<div class=\"case skip\"><b>no test</b> <span>{} {}</span> <code>{}</code>",
            escape(&item.object),
            escape(&item.path),
            escape(&item.place)
        );
        if let Some(why) = &item.unreachable {
            let _ = write!(out, "<p>{}</p>", escape(why));
        }
        if let Some(case) = &item.proposal {
            let _ = write!(out, "<pre>{}</pre>", escape(case));
        }
        out.push_str("</div>\n");
    }
}

fn test_file(file: &FileResult, out: &mut String) {
    let bad = !file.broken.is_empty()
        || file.cases.iter().any(|c| matches!(c.status, Status::Failed | Status::Unknown));
    let passed = file.cases.iter().filter(|c| c.status == Status::Passed).count();
    let _ = writeln!(
        out,
        "<details class=\"file\"{}><summary><code>{}</code> {} <span class=\"n\">{passed} of {}</span></summary>",
        if bad { " open" } else { "" },
        escape(&file.file),
        escape(&file.name),
        file.cases.len()
    );
    for finding in &file.broken {
        let _ = writeln!(
            out,
            "<div class=\"case fail\"><b>fail</b> <span>{}</span></div>",
            escape(&finding.text())
        );
    }
    for case in &file.cases {
        test_case(case, out);
    }
    out.push_str("</details>\n");
}

fn test_case(case: &CaseVerdict, out: &mut String) {
    let word = case.status.word();
    let _ = write!(out, "<div class=\"case {word}\"><b>{word}</b> <span>{}</span>", escape(&case.name));
    if matches!(case.status, Status::Failed | Status::Unknown) {
        if !case.place.is_empty() {
            let _ = write!(out, " <code>{}</code>", escape(&case.place));
        }
        if !case.differences.is_empty() {
            out.push_str(
                "<table><thead><tr><th>key</th><th>expected</th><th>predicted</th></tr></thead><tbody>",
            );
            for d in &case.differences {
                let _ = write!(
                    out,
                    "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(&d.key),
                    escape(&d.expected),
                    escape(&d.got)
                );
            }
            out.push_str("</tbody></table>");
        }
        if !case.reason.is_empty() {
            let _ = write!(out, "<p>{}</p>", escape(&case.reason));
        }
        if !case.decided_by.is_empty() || !case.decided_at.is_empty() {
            let decided = format!("{} {}", case.decided_by, case.decided_at);
            let _ = write!(out, "<p>decided by <code>{}</code></p>", escape(decided.trim()));
        }
        if !case.reproduce.is_empty() {
            let _ = write!(out, "<pre>{}</pre>", escape(&case.reproduce));
        }
    }
    out.push_str("</div>\n");
}

/// Findings of lint.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    let count = |level: Level| findings.iter().filter(|f| f.severity == level).count();
    let mut body = format!(
        "<h1>mesh-sim lint</h1>\n<p class=\"sum\">{} errors · {} warnings · {} remarks</p>\n",
        count(Level::Error),
        count(Level::Warning),
        count(Level::Info)
    );
    for f in findings {
        let (word, class) = match f.severity {
            Level::Error => ("error", "fail"),
            Level::Warning => ("warning", "unknown"),
            Level::Info => ("info", "skip"),
        };
        let place =
            if f.file.is_empty() { String::new() } else { format!("{}:{}:{}", f.file, f.line, f.column) };
        let _ = write!(
            body,
            "<div class=\"case {class}\"><b>{word}</b> <span>{} {}</span> <code>{}</code>",
            escape(&f.code),
            escape(&f.message),
            escape(&place)
        );
        if let Some(help) = &f.help {
            let _ = write!(body, "<p>{}</p>", escape(help));
        }
        body.push_str("</div>\n");
    }
    page("mesh-sim lint", &body, "")
}

/// Predictions of runs: gates, traffic, splits, and the graph as a picture.
#[must_use]
pub fn runs(runs: &[RunReport]) -> String {
    let mut body = String::new();
    for run in runs {
        let _ = writeln!(body, "<h1>{}</h1>\n<p>{}</p>", escape(&run.name), escape(&run.description));
        for gate in &run.gates {
            let (word, class) = match gate.verdict {
                GateVerdict::Passed => ("pass", "pass"),
                GateVerdict::Failed => ("fail", "fail"),
                GateVerdict::Unknown => ("unknown", "unknown"),
                GateVerdict::Refused => ("refused", "fail"),
            };
            let _ = writeln!(
                body,
                "<div class=\"case {class}\"><b>{word}</b> <span>{}</span> <code>{}</code><p>predicted {}, expected {}</p></div>",
                escape(&gate.text),
                escape(&gate.place),
                escape(&gate.got),
                escape(&gate.expected)
            );
        }
        // The terminal's table holds everything, in an order people know.
        let _ = writeln!(body, "<pre>{}</pre>", escape(&super::run_table::run_table(run, true)));
        let _ = writeln!(body, "<div class=\"picture\">{}</div>", super::svg::svg(&run.graph));
    }
    page("mesh-sim run", &body, "")
}

fn page(title: &str, body: &str, script: &str) -> String {
    let script = if script.is_empty() { String::new() } else { format!("<script>{script}</script>") };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n<meta name=\"viewport\" content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<style>{STYLE}</style></head>\n<body><main>\n{body}</main>{script}</body></html>\n",
        escape(title)
    )
}

const STYLE: &str = ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--line:#d5dae0;--soft:#f4f6f8;--fail:#b3261e;--unknown:#8a5a00;--pass:#1a6e37;--skip:#5c6670}@media(prefers-color-scheme:dark){:root{--bg:#15181c;--fg:#e6e9ec;--line:#343a41;--soft:#1e2329;--fail:#ff8a80;--unknown:#f0b429;--pass:#6cc788;--skip:#9aa4ae}}body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:var(--fg);background:var(--bg)}main{max-width:70rem;margin:auto}h1{font-size:1.5rem;margin:.5rem 0}.sum{font-size:1.1rem}.pick label{margin-right:1rem}code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--soft);padding:.6rem;overflow:auto;border-radius:4px}details.file{border-top:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer}.n{color:var(--skip)}.case{margin:.3rem 0 .3rem 1rem;padding:.15rem .7rem;border-left:4px solid var(--line)}.case b{display:inline-block;min-width:4.6rem}.case.fail{border-color:var(--fail)}.fail b,label.fail{color:var(--fail)}.case.unknown{border-color:var(--unknown)}.unknown b,label.unknown{color:var(--unknown)}.case.pass{border-color:var(--pass)}.pass b,label.pass{color:var(--pass)}.skip b,label.skip{color:var(--skip)}table{border-collapse:collapse;margin:.4rem 0}th,td{padding:.15rem .8rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}p{margin:.3rem 0}.picture{overflow:auto;background:#fff;border:1px solid var(--line)}@media print{.pick{display:none}}";

const FILTER: &str = "const P=document.querySelector('.pick');P.hidden=false;const B=[...P.querySelectorAll('input[type=checkbox]')],Q=document.getElementById('find');function show(){const on=new Set(B.filter(b=>b.checked).map(b=>b.value)),s=Q.value.trim().toLowerCase();for(const f of document.querySelectorAll('.file')){const head=f.querySelector('summary').textContent.toLowerCase();let any=false;for(const c of f.querySelectorAll('.case')){const k=['fail','unknown','pass','skip'].find(w=>c.classList.contains(w));const ok=on.has(k)&&(!s||head.includes(s)||c.textContent.toLowerCase().includes(s));c.hidden=!ok;any=any||ok}f.hidden=!any}}P.addEventListener('input',show);";

#[cfg(test)]
mod tests_of_pages {
    use super::*;

    #[test]
    fn user_text_is_escaped_and_nothing_is_fetched() {
        let case = CaseVerdict { name: "<script>alert(1)</script>".into(), ..CaseVerdict::default() };
        let file = FileResult { file: "a\"b.yaml".into(), cases: vec![case], ..FileResult::default() };
        let text = tests(&TestReport::new(vec![file]));
        assert!(text.contains("&lt;script&gt;alert") && !text.contains("<script>alert"), "{text}");
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
}
