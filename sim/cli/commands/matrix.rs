//! `matrix`: every caller against every service port; with `--what-if`, who breaks and what keeps them working.

use mesh_harness::loaded::LoadedMesh;
use mesh_harness::matrix::callers::invite;
use mesh_harness::matrix::known::known_calls;
use mesh_harness::matrix::what_if::{WhatIf, what_if};
use mesh_harness::matrix::{MatrixOptions, answer, questions};
use mesh_harness::stop::Stop;
use mesh_reports::matrix::{MatrixReport, WhatIfReport};
use mesh_reports::render::{matrix as render, what_if as render_what_if};

use super::{inputs, output};
use crate::args::{Global, MatrixArgs, Output};
use crate::exit::Exit;
use crate::interrupt;

const REPORTS: [&str; 7] = ["json", "yaml", "csv", "html", "markdown", "table", "exemptions"];

/// The command.
pub(crate) fn matrix(args: &MatrixArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let what = match args.what_if.as_deref().map(WhatIf::parse) {
        Some(Ok(what)) => Some(what),
        Some(Err(why)) => {
            anstream::eprintln!("error: --what-if: {why}");
            return Exit::Usage;
        }
        None => None,
    };
    let stop = Stop::default();
    if what.is_none() {
        interrupt::asks(&stop);
    }
    let (mesh, document) = match inputs::mesh_and_document(&args.manifests, "matrix", invite, global) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let mut options = options(args, global);
    if args.calls {
        let Some(document) = &document else {
            anstream::eprintln!("error: --calls needs a scenario or policy file: -f scenarios/shop.yaml");
            return Exit::Usage;
        };
        options.calls = Some(known_calls(document));
    }
    match what {
        Some(what) => changed(mesh, options, what, &targets, global),
        None => matrix_of(&mesh, &options, &stop, &targets, global),
    }
}

fn options(args: &MatrixArgs, global: &Global) -> MatrixOptions {
    MatrixOptions {
        method: args.method.clone(),
        path: if args.path.starts_with('/') { args.path.clone() } else { format!("/{}", args.path) },
        from: args.from.clone(),
        to: args.to.clone(),
        calls: None,
        pod_ips: args.pod_ips,
        threads: global.threads.unwrap_or(0),
    }
}

fn matrix_of(
    mesh: &LoadedMesh,
    options: &MatrixOptions,
    stop: &Stop,
    targets: &[output::ReportTarget],
    global: &Global,
) -> Exit {
    let asked = questions(mesh, options);
    if asked.is_empty() {
        anstream::eprintln!("error: no caller and service port are left to ask");
        return Exit::Nothing;
    }
    let report = answer(mesh, &asked, options.threads, stop);
    let text = |kind: &str| matrix_text(&report, kind);
    let unknown = global.strict && report.totals().unknown > 0;
    let exit = shown(text, targets, global).worst(if unknown { Exit::Failed } else { Exit::Good });
    if stop.asked() { exit.worst(Exit::Interrupted) } else { exit }
}

fn matrix_text(report: &MatrixReport, kind: &str) -> Option<String> {
    Some(match kind {
        "table" => render::matrix_table(report),
        "wide" => render::matrix_wide(report),
        "json" => output::json(report),
        "yaml" => output::yaml(report),
        "markdown" => render::matrix_markdown(report),
        "csv" => render::matrix_csv(report),
        "html" => render::matrix_html(report),
        _ => return None,
    })
}

fn changed(
    mesh: LoadedMesh,
    options: MatrixOptions,
    what: WhatIf,
    targets: &[output::ReportTarget],
    global: &Global,
) -> Exit {
    let change = what.text();
    let (found, interrupted) = interrupt::pieces(move |out| out.put(what_if(&mesh, &options, &what)));
    let report = match found.into_iter().next() {
        Some(Ok(report)) => report,
        Some(Err(why)) => {
            anstream::eprintln!("error: --what-if: {why}");
            return Exit::Usage;
        }
        None => WhatIfReport { change, interrupted, ..WhatIfReport::default() },
    };
    if report.interrupted {
        return shown(|kind| what_if_text(&report, kind), targets, global).worst(Exit::Interrupted);
    }
    if report.questions == 0 {
        anstream::eprintln!("error: no caller and service port are left to ask");
        return Exit::Nothing;
    }
    let verdict = if report.failed(global.strict) { Exit::Failed } else { Exit::Good };
    shown(|kind| what_if_text(&report, kind), targets, global).worst(verdict)
}

fn what_if_text(report: &WhatIfReport, kind: &str) -> Option<String> {
    Some(match kind {
        "table" | "wide" => render_what_if::what_if_table(report),
        "json" => output::json(report),
        "yaml" => output::yaml(report),
        "markdown" => render_what_if::what_if_markdown(report),
        "csv" => render_what_if::what_if_csv(report),
        "html" => render_what_if::what_if_html(report),
        "exemptions" => render_what_if::what_if_manifests(report),
        _ => return None,
    })
}

/// The reports asked for, then the one document on stdout.
fn shown(text: impl Fn(&str) -> Option<String>, targets: &[output::ReportTarget], global: &Global) -> Exit {
    let wanted = global.output.unwrap_or(Output::Table).name();
    let Some(document) = text(wanted) else {
        anstream::eprintln!(
            "error: matrix has no output {wanted}; it has table, wide, json, yaml, markdown, csv, html"
        );
        return Exit::Usage;
    };
    let mut exit = Exit::Good;
    for target in targets {
        match text(&target.kind) {
            Some(report) => exit = exit.worst(output::file(&target.path, &report)),
            None => {
                anstream::eprintln!("error: there are no {} without --what-if", target.kind);
                exit = exit.worst(Exit::Usage);
            }
        }
    }
    exit.worst(output::stdout(&document))
}
