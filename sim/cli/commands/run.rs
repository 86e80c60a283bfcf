//! `run`: simulate scenarios and print the prediction.

use std::path::Path;

use mesh_harness::document::Override;
use mesh_harness::findings::rules;
use mesh_harness::format::quantity::{Duration, Percent};
use mesh_harness::scenario::{self, Ran, RunOptions};
use mesh_reports::checks::{EXPECTATION, FileResult, GATE, Stopped, TestReport, UNKNOWN};
use mesh_reports::render::run_table::run_table;
use mesh_reports::render::{github, gitlab, graph_text, html, junit, markdown, sarif, svg, tap, tests};
use mesh_reports::run::{GateVerdict, RESULT_VERSION, RunReport};
use serde::Serialize;

use super::inputs::Additions;
use super::output::{self, ReportTarget};
use crate::args::{Global, Output, Overrides, RunArgs};
use crate::diagnostics;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Progress;

/// What is made of reports alone, on stdout or into a file.
const FORMS: [&str; 10] =
    ["json", "ndjson", "yaml", "junit", "sarif", "tap", "markdown", "github", "gitlab", "html"];
/// What needs the records, or a file of its own for each run.
const EACH: [&str; 7] = ["dot", "mermaid", "svg", "d3", "prom", "openmetrics", "access-log"];

/// `-o json`: the runs with their version.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Results<'a> {
    api_version: &'static str,
    runs: &'a [RunReport],
    /// Why not every scenario was run; absent when all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    /// Files with scenarios that were not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_run: &'a Vec<String>,
}

/// What was run, and what an interrupt left out.
struct Done {
    reports: Vec<RunReport>,
    not_run: Vec<String>,
    strict: bool,
}

/// The command.
pub(crate) fn run(args: &RunArgs, global: &Global) -> Exit {
    let known: Vec<&str> = FORMS.into_iter().chain(EACH).collect();
    let targets = match output::targets(&global.report, &known) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let Some(form) = form(global.output.unwrap_or(Output::Table)) else {
        let known: Vec<&str> = ["table", "wide", "name"].into_iter().chain(FORMS).collect();
        return output::no_such_format("run", global, &known);
    };
    let (options, overrides) = match options(&args.overrides, global) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let additions = match Additions::read(&args.manifests, global) {
        Ok(additions) => additions,
        Err(exit) => return exit,
    };
    let (paths, how) = (args.scenarios.clone(), global.clone());
    let (files, interrupted) = interrupt::pieces(move |out| {
        for path in &paths {
            let mut found = 0;
            let given = Given { options: &options, overrides: &overrides, additions: &additions };
            let (ran, exit) = run_file(path, given, &how, &mut found);
            out.put((ran, exit, found));
        }
    });
    let not_run: Vec<String> =
        args.scenarios.iter().skip(files.len()).map(|p| p.display().to_string()).collect();
    let mut exit = if interrupted { Exit::Interrupted } else { Exit::Good };
    let (mut all, mut found, mut broken) = (Vec::new(), 0, false);
    for (ran, e, scenarios) in files {
        broken |= e == Exit::Input;
        exit = exit.worst(e);
        all.extend(ran);
        found += scenarios;
    }
    if broken {
        return exit;
    }
    if found == 0 && !interrupted {
        anstream::eprintln!("error: no document of kind Scenario in {}", list(&args.scenarios));
        return Exit::Nothing;
    }
    for ran in &all {
        for target in targets.iter().filter(|t| EACH.contains(&t.kind.as_str())) {
            exit = exit.worst(report(ran, target, all.len()));
        }
    }
    if !not_run.is_empty() {
        anstream::eprintln!("interrupted: not run: {}", not_run.join(", "));
    }
    let reports: Vec<RunReport> = all.into_iter().map(|ran| ran.report).collect();
    let done = Done { reports, not_run, strict: global.strict };
    for target in targets.iter().filter(|t| FORMS.contains(&t.kind.as_str())) {
        exit = exit.worst(output::file(&target.path, &text(&done, &target.kind)));
    }
    let printed = output::stdout(&text(&done, form));
    exit.worst(printed).worst(verdict(&done.reports, global.strict))
}

fn list(paths: &[std::path::PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Options of the engine and textual overrides of the document.
pub(crate) fn options(words: &Overrides, global: &Global) -> Result<(RunOptions, Vec<Override>), Exit> {
    let mut overrides = Vec::new();
    for text in &words.set {
        match Override::parse(text) {
            Ok(one) => overrides.push(one),
            Err(why) => {
                anstream::eprintln!("error: --set {text}: {why}");
                return Err(Exit::Usage);
            }
        }
    }
    let duration_ns = match words.duration.as_deref().map(Duration::parse) {
        None => None,
        Some(Some(duration)) => Some(duration.0),
        Some(None) => {
            anstream::eprintln!("error: --duration needs a duration such as `90s` or `5m`");
            return Err(Exit::Usage);
        }
    };
    let tolerance = match words.tolerance.as_deref().map(Percent::parse) {
        None => None,
        Some(Some(share)) if share.0 > 0.0 => Some(share.0),
        Some(_) => {
            anstream::eprintln!("error: --tolerance needs a percentage such as `0.5%`");
            return Err(Exit::Usage);
        }
    };
    let options = RunOptions {
        tolerance,
        seed: words.seed,
        duration_ns,
        replications: words.runs,
        threads: global.threads.unwrap_or(0),
    };
    Ok((options, overrides))
}

/// What the command line says of every scenario.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) options: &'a RunOptions,
    pub(crate) overrides: &'a [Override],
    pub(crate) additions: &'a Additions,
}

/// Runs every scenario of a file.
pub(crate) fn run_file(
    path: &Path,
    given: Given<'_>,
    global: &Global,
    found: &mut usize,
) -> (Vec<Ran>, Exit) {
    let read = match given.additions.scenarios(path, given.overrides) {
        Ok(read) => read,
        Err(exit) => return (Vec::new(), exit),
    };
    diagnostics::show(&read.sources, &read.diagnostics, global);
    if read.has_errors() {
        return (Vec::new(), Exit::Input);
    }
    let (mut ran, mut exit) = (Vec::new(), Exit::Good);
    for scenario in read.scenarios {
        *found += 1;
        let progress = Progress::start(&format!("simulating {}", scenario.heading.name), global);
        let result = scenario::run(&scenario, read.sources.clone(), given.options);
        progress.finish();
        match result {
            Ok(one) => {
                let shown = super::inputs::suppressed(one.mesh.diagnostics.clone(), global);
                diagnostics::show(&one.mesh.sources, &shown, global);
                ran.push(one);
            }
            Err(problems) => {
                diagnostics::show(&problems.0, &problems.1, global);
                exit = exit.worst(Exit::Input);
            }
        }
    }
    (ran, exit)
}

fn form(output: Output) -> Option<&'static str> {
    ["table", "wide", "name"].into_iter().chain(FORMS).find(|f| *f == output.name())
}

fn text(done: &Done, form: &str) -> String {
    let (reports, not_run) = (done.reports.as_slice(), &done.not_run);
    let stopped = (!not_run.is_empty()).then_some(Stopped::Interrupted);
    let results = || Results { api_version: RESULT_VERSION, runs: reports, stopped, not_run };
    let gates = || TestReport {
        strict: done.strict,
        stopped,
        not_run: not_run.clone(),
        ..TestReport::new(reports.iter().map(FileResult::of_run).collect())
    };
    let named = || [EXPECTATION, GATE, UNKNOWN].into_iter().chain(rules());
    match form {
        "table" => tables(reports, false),
        "wide" => tables(reports, true),
        "name" => reports.iter().map(|r| format!("{}\n", r.name)).collect(),
        "ndjson" => reports.iter().map(output::line).collect(),
        "yaml" => output::yaml(&results()),
        "markdown" => markdown::runs(reports),
        "html" => html::runs(reports),
        "junit" => junit::junit(&gates()),
        "tap" => tap::tap(&gates()),
        "github" => github::annotations(&gates().problems(), &tests::summary(&gates())),
        "gitlab" => gitlab::code_quality(&gates().problems()),
        "sarif" => sarif::sarif(&gates().problems(), named()),
        _ => output::json(&results()),
    }
}

fn tables(reports: &[RunReport], wide: bool) -> String {
    reports.iter().map(|r| run_table(r, wide)).collect::<Vec<_>>().join("\n")
}

/// The exit code of the gates; what is unknown fails under `--strict`.
pub(crate) fn verdict(reports: &[RunReport], strict: bool) -> Exit {
    let failed = reports.iter().flat_map(|r| &r.gates).any(|gate| match gate.verdict {
        GateVerdict::Passed => false,
        GateVerdict::Unknown => strict,
        GateVerdict::Failed | GateVerdict::Refused => true,
    });
    let unknown = strict && reports.iter().any(|r| r.unknown > 0);
    if failed || unknown { Exit::Failed } else { Exit::Good }
}

/// One report file; several runs get the scenario's name into theirs.
fn report(ran: &Ran, target: &ReportTarget, runs: usize) -> Exit {
    let name = &ran.report.name;
    let text = match target.kind.as_str() {
        "dot" => graph_text::dot(&ran.report.graph),
        "mermaid" => graph_text::mermaid(&ran.report.graph),
        "d3" => graph_text::d3(&ran.report.graph),
        "svg" => svg::svg(&ran.report.graph),
        "prom" => mesh_reports::metrics::prometheus(&mesh_harness::report::metrics::scrapes(ran)),
        "openmetrics" => mesh_reports::metrics::openmetrics(
            &mesh_harness::report::metrics::scrapes(ran),
            mesh_reports::access_log::EPOCH_UNIX_S,
        ),
        _ => mesh_harness::report::logs::access_log(ran),
    };
    let path = if runs == 1 {
        target.path.clone()
    } else {
        let stem = target.path.file_stem().unwrap_or_default().to_string_lossy();
        let extension =
            target.path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        target.path.with_file_name(format!("{stem}-{name}{extension}"))
    };
    output::file(&path, &text)
}
