//! `lint`: everything a cluster would refuse, warn about, or silently not do.

use mesh_config::diagnostic::{Diagnostic, Severity, codes};
use mesh_config::source::Sources;
use mesh_harness::lint as checks;
use serde::Serialize;

use super::{inputs, output};
use crate::args::{FailOn, Global, LintArgs, Output};
use crate::diagnostics;
use crate::exit::Exit;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    code: &'static str,
    severity: &'static str,
    stage: &'static str,
    message: String,
    file: String,
    line: u32,
    column: u32,
    object: Option<String>,
    help: Option<String>,
}

/// The command.
pub(crate) fn lint(args: &LintArgs, global: &Global) -> Exit {
    if args.list {
        let text: String = codes::ALL
            .iter()
            .map(|c| format!("{}  {}\n        {}\n", c.code.0, c.title, c.explanation))
            .collect();
        return output::stdout(&text);
    }
    if args.manifests.filename.is_empty() && args.paths.is_empty() {
        anstream::eprintln!(
            "error: lint needs manifests: mesh-sim lint -f k8s/, or helm template . | mesh-sim lint -f -"
        );
        return Exit::Usage;
    }
    let read = inputs::read(&args.manifests, &args.paths);
    let nothing = read.objects.is_empty() && read.diagnostics.is_empty();
    let (sources, found) =
        checks::lint(read.sources, read.objects, read.diagnostics, &args.manifests.namespace);
    let found = inputs::suppressed(found, global);
    let printed = print(&sources, &found, global);
    if nothing {
        return Exit::Nothing;
    }
    let has = |s: Severity| found.iter().any(|d| d.severity == s);
    let verdict = if has(Severity::Error) {
        Exit::Input
    } else if has(Severity::Warning) && (args.fail_on == FailOn::Warn || global.strict) {
        Exit::Failed
    } else {
        Exit::Good
    };
    printed.worst(verdict)
}

fn print(sources: &Sources, found: &[Diagnostic], global: &Global) -> Exit {
    match global.output.unwrap_or(Output::Table) {
        Output::Table | Output::Wide => {
            diagnostics::show(sources, found, global);
            Exit::Good
        }
        Output::Json => output::stdout(&output::json(&findings(sources, found))),
        Output::Yaml => output::stdout(&output::yaml(&findings(sources, found))),
        Output::Ndjson => {
            let lines: String = findings(sources, found)
                .iter()
                .map(|f| serde_json::to_string(f).unwrap_or_default() + "\n")
                .collect();
            output::stdout(&lines)
        }
        Output::Github => {
            let lines: String = findings(sources, found)
                .iter()
                .map(|f| {
                    let level = match f.severity {
                        "error" => "error",
                        "warning" => "warning",
                        _ => "notice",
                    };
                    format!(
                        "::{level} file={},line={},col={},title={}::{}\n",
                        f.file,
                        f.line,
                        f.column,
                        f.code,
                        f.message.replace('\n', "%0A")
                    )
                })
                .collect();
            output::stdout(&lines)
        }
        Output::Sarif => output::stdout(&output::json(&sarif(sources, found))),
        other => {
            anstream::eprintln!(
                "error: lint has no output {other:?}; it has table, json, yaml, ndjson, github, sarif"
            );
            Exit::Usage
        }
    }
}

fn severity(d: &Diagnostic) -> &'static str {
    match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn findings(sources: &Sources, found: &[Diagnostic]) -> Vec<Finding> {
    found
        .iter()
        .map(|d| {
            let at = d.labels.first().map(|l| l.span);
            let (line, column) = at.map_or((1, 1), |span| sources.line_col(span));
            Finding {
                code: d.code.0,
                severity: severity(d),
                stage: d.stage.word(),
                message: d.message.clone(),
                file: at.map(|span| sources.name(span.file).to_owned()).unwrap_or_default(),
                line,
                column,
                object: d.object.as_ref().map(ToString::to_string),
                help: d.help.clone(),
            }
        })
        .collect()
}

/// SARIF 2.1.0.
fn sarif(sources: &Sources, found: &[Diagnostic]) -> serde_json::Value {
    use serde_json::json;
    let rules: Vec<_> = codes::ALL
        .iter()
        .filter(|c| found.iter().any(|d| d.code == c.code))
        .map(|c| json!({"id": c.code.0, "shortDescription": {"text": c.title}, "fullDescription": {"text": c.explanation}}))
        .collect();
    let results: Vec<_> = findings(sources, found)
        .into_iter()
        .map(|f| {
            let level = if f.severity == "info" { "note" } else { f.severity };
            let fingerprint = format!("{}:{}:{}", f.code, f.object.as_deref().unwrap_or(&f.file), f.message);
            json!({
                "ruleId": f.code,
                "level": level,
                "message": {"text": f.message},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": f.file},
                    "region": {"startLine": f.line.max(1), "startColumn": f.column.max(1)}}}],
                "partialFingerprints": {"meshSim/v1": fingerprint},
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "mesh-sim", "informationUri": "https://github.com/mesh-sim/mesh-sim", "version": env!("CARGO_PKG_VERSION"), "rules": rules}}, "results": results}],
    })
}
