//! `matrix`: every caller against every service port; with `--what-if`, who breaks and what keeps them working.

use mesh_harness::loaded::LoadedMesh;
use mesh_harness::matrix::{MatrixOptions, answer, questions};
use mesh_reports::matrix::MatrixReport;
use mesh_reports::render::matrix as render;

use super::{inputs, output};
use crate::args::{Global, MatrixArgs, Output};
use crate::exit::Exit;

const REPORTS: [&str; 6] = ["json", "yaml", "csv", "html", "markdown", "table"];

/// The command.
pub(crate) fn matrix(args: &MatrixArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let mesh = match inputs::mesh(&args.manifests, "matrix", mesh_harness::matrix::callers::invite, global) {
        Ok(mesh) => mesh,
        Err(exit) => return exit,
    };
    let options = options(args, global);
    matrix_of(&mesh, &options, &targets, global)
}

fn options(args: &MatrixArgs, global: &Global) -> MatrixOptions {
    MatrixOptions {
        method: args.method.clone(),
        path: if args.path.starts_with('/') { args.path.clone() } else { format!("/{}", args.path) },
        from: args.from.clone(),
        to: args.to.clone(),
        pod_ips: args.pod_ips,
        threads: global.threads.unwrap_or(0),
    }
}

fn matrix_of(
    mesh: &LoadedMesh,
    options: &MatrixOptions,
    targets: &[output::ReportTarget],
    global: &Global,
) -> Exit {
    let asked = questions(mesh, options);
    if asked.is_empty() {
        anstream::eprintln!("error: no caller and service port are left to ask");
        return Exit::Nothing;
    }
    let report = answer(mesh, &asked, options.threads);
    let text = |format: Output| -> Option<String> {
        Some(match format {
            Output::Table => render::matrix_table(&report),
            Output::Wide => render::matrix_wide(&report),
            Output::Json => output::json(&report),
            Output::Yaml => output::yaml(&report),
            Output::Markdown => render::matrix_markdown(&report),
            Output::Csv => render::matrix_csv(&report),
            Output::Html => render::matrix_html(&report),
            _ => return None,
        })
    };
    let mut exit = Exit::Good;
    for target in targets {
        if let Some(text) = format(&target.kind).and_then(text) {
            exit = exit.worst(output::file(&target.path, &text));
        }
    }
    let wanted = global.output.unwrap_or(Output::Table);
    let Some(text) = text(wanted) else {
        anstream::eprintln!(
            "error: matrix has no output {}; it has table, wide, json, yaml, markdown, csv, html",
            wanted.name()
        );
        return Exit::Usage;
    };
    exit.worst(output::stdout(&text)).worst(verdict(&report, global))
}

/// What is unknown fails under `--strict`.
fn verdict(report: &MatrixReport, global: &Global) -> Exit {
    if global.strict && report.totals().unknown > 0 { Exit::Failed } else { Exit::Good }
}

/// The format of a `--report KIND`.
pub(super) fn format(kind: &str) -> Option<Output> {
    Some(match kind {
        "table" => Output::Table,
        "json" => Output::Json,
        "yaml" => Output::Yaml,
        "csv" => Output::Csv,
        "html" => Output::Html,
        "markdown" => Output::Markdown,
        _ => return None,
    })
}
