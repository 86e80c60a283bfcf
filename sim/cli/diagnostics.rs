//! Diagnostics on stderr through miette, grouped by file, errors first.

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::source::{Sources, Span};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};

use crate::args::{Color, Global};

/// At most this many are drawn; the rest is counted.
const SHOWN: usize = 50;

/// Prints diagnostics to stderr. `-q` hides all but errors, remarks need `-v`.
pub(crate) fn show(sources: &Sources, diagnostics: &[Diagnostic], global: &Global) {
    let wanted: Vec<&Diagnostic> = diagnostics
        .iter()
        .filter(|d| match d.severity {
            Severity::Error => true,
            Severity::Warning => !global.quiet,
            Severity::Info => global.verbose > 0 && !global.quiet,
        })
        .collect();
    let handler =
        GraphicalReportHandler::new_themed(theme(global.color)).with_width(100).with_context_lines(1);
    for diagnostic in wanted.iter().take(SHOWN) {
        anstream::eprint!("{}", render(sources, diagnostic, &handler));
    }
    if wanted.len() > SHOWN {
        anstream::eprintln!("... and {} more", wanted.len() - SHOWN);
    }
    let count = |s: Severity| diagnostics.iter().filter(|d| d.severity == s).count();
    let (errors, warnings, infos) = (count(Severity::Error), count(Severity::Warning), count(Severity::Info));
    if errors + warnings > 0 && !global.quiet || errors > 0 {
        let hint =
            if infos > 0 && global.verbose == 0 { format!(", {infos} remarks (-v)") } else { String::new() };
        anstream::eprintln!("{errors} errors, {warnings} warnings{hint}");
    }
}

fn theme(color: Color) -> GraphicalTheme {
    let colour = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
    };
    if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() }
}

fn render(sources: &Sources, diagnostic: &Diagnostic, handler: &GraphicalReportHandler) -> String {
    let mut report = miette::MietteDiagnostic::new(headline(sources, diagnostic))
        .with_code(diagnostic.code.0)
        .with_severity(match diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Info => miette::Severity::Advice,
        });
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help.clone());
    }
    let first_file = diagnostic.labels.first().map(|l| l.span.file);
    let labels: Vec<LabeledSpan> = diagnostic
        .labels
        .iter()
        .filter(|l| Some(l.span.file) == first_file)
        .map(|l| {
            let text = if l.text.is_empty() { None } else { Some(l.text.clone()) };
            let span = head(sources, l.span);
            LabeledSpan::new(text, span.start as usize, span.end.saturating_sub(span.start) as usize)
        })
        .collect();
    report = report.with_labels(labels);
    let mut text = String::new();
    let rendered = match first_file {
        Some(file) => {
            let source = NamedSource::new(sources.name(file), sources.text(file).to_owned());
            let report = miette::Report::new(report).with_source_code(source);
            handler.render_report(&mut text, report.as_ref())
        }
        None => handler.render_report(&mut text, &report),
    };
    if rendered.is_err() {
        return format!("{}: {}\n", diagnostic.code.0, diagnostic.message);
    }
    text
}

/// Of a place that covers more lines than this only the first ones are drawn: of an object its kind and name.
const LINES: usize = 3;

fn head(sources: &Sources, span: Span) -> Span {
    let ends = sources.slice(span).match_indices('\n').map(|(at, _)| at);
    let cut = ends.clone().nth(LINES - 1).filter(|_| ends.count() > LINES);
    match cut.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => Span::new(span.file, span.start, span.start + at),
        None => span,
    }
}

/// The message, with the places that lie in other files appended (miette draws one file).
fn headline(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let first = diagnostic.labels.first().map(|l| l.span.file);
    let mut message = diagnostic.message.clone();
    for label in diagnostic.labels.iter().filter(|l| Some(l.span.file) != first) {
        message.push_str(&format!("\n{}: {}", sources.location(label.span), label.text));
    }
    message
}
