//! GitHub workflow commands (`::error file=…,line=…,col=…,title=…::message`), one annotation a finding.
//!
//! GitHub shows about ten of each kind and step: errors come first, and the last line counts all of them.

use std::fmt::Write as _;

use crate::findings::{Finding, Level};

/// Annotations of some findings, then a notice with `summary`.
#[must_use]
pub fn annotations(findings: &[Finding], summary: &str) -> String {
    let mut out = String::new();
    for finding in findings {
        let level = match finding.severity {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let mut properties = Vec::new();
        if !finding.file.is_empty() {
            properties.push(format!("file={}", property(&finding.file)));
            properties.push(format!("line={},col={}", finding.line.max(1), finding.column.max(1)));
        }
        properties.push(format!("title={}", property(&format!("mesh-sim {}", finding.code))));
        let _ = writeln!(out, "::{level} {}::{}", properties.join(","), data(&text(finding)));
    }
    let _ = writeln!(out, "::notice title=mesh-sim::{}", data(summary));
    out
}

fn text(finding: &Finding) -> String {
    let mut lines = vec![finding.message.clone()];
    lines.extend(finding.related.iter().map(|r| format!("{}: {}", r.place, r.text)));
    lines.extend(finding.help.clone());
    lines.join("\n")
}

/// As the runner's own toolkit escapes (actions/toolkit, core/src/command.ts).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_ends_its_line() {
        let finding = Finding {
            code: "x".into(),
            message: "100% a\nb".into(),
            file: "a,b:c.yaml".into(),
            line: 3,
            column: 7,
            help: Some("do that".into()),
            ..Finding::default()
        };
        assert_eq!(
            annotations(&[finding], "1 failed"),
            "::error file=a%2Cb%3Ac.yaml,line=3,col=7,title=mesh-sim x::100%25 a%0Ab%0Ado that\n\
             ::notice title=mesh-sim::1 failed\n"
        );
    }
}
