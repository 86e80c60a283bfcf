//! Diagnostics of the reader and the model as findings of the reports: spans become `file`, `line`, `column`.

use mesh_config::diagnostic::{Diagnostic, Severity, codes};
use mesh_config::source::Sources;
use mesh_reports::findings::{Finding, Level, Related, Rule};

/// All of them, in order.
#[must_use]
pub fn findings(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<Finding> {
    diagnostics.iter().map(|d| finding(sources, d)).collect()
}

/// One of them.
#[must_use]
pub fn finding(sources: &Sources, diagnostic: &Diagnostic) -> Finding {
    let at = diagnostic.labels.first().map(|l| l.span).filter(|s| !s.is_none());
    let (line, column) = at.map_or((1, 1), |span| sources.line_col(span));
    // The remark at the main place is part of the message's advice: reports have no room for labels.
    let remark = diagnostic.labels.first().map(|l| l.text.clone()).filter(|t| !t.is_empty());
    Finding {
        code: diagnostic.code.0.to_owned(),
        severity: match diagnostic.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
            Severity::Info => Level::Info,
        },
        stage: diagnostic.stage.word().to_owned(),
        message: diagnostic.message.clone(),
        file: at.map(|span| sources.name(span.file).to_owned()).unwrap_or_default(),
        line,
        column,
        object: diagnostic.object.as_ref().map(ToString::to_string),
        help: diagnostic.help.clone().or(remark),
        related: diagnostic
            .labels
            .iter()
            .skip(1)
            .map(|l| Related { place: sources.location(l.span), text: l.text.clone() })
            .collect(),
    }
}

/// Every code with its meaning, for formats that list rules.
pub fn rules() -> impl Iterator<Item = Rule<'static>> {
    codes::ALL.iter().map(|c| Rule { code: c.code.0, title: c.title, explanation: c.explanation })
}
