//! `test`: every PolicyTest and gated Scenario; the CI entry point.

use std::path::PathBuf;

use mesh_harness::policy::{TestOptions, find, test_paths};
use mesh_reports::checks::TestReport;
use mesh_reports::render::tests;

use super::{output, run};
use crate::args::{Global, Output, TestArgs};
use crate::exit::Exit;
use crate::progress::Progress;

const REPORTS: [&str; 6] = ["json", "yaml", "junit", "tap", "markdown", "github"];

/// The command.
pub(crate) fn test(args: &TestArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let options = match options(args, global) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let paths = if args.paths.is_empty() { defaults() } else { args.paths.clone() };
    if let Some(missing) = paths.iter().find(|p| !p.exists()) {
        anstream::eprintln!("error: {} does not exist", missing.display());
        return Exit::Input;
    }
    let files = find(&paths);
    let progress = Progress::start(&format!("testing {} files", files.len()), global);
    let report = test_paths(&files, &options);
    progress.finish();
    let totals = report.totals();
    if files.is_empty() || totals.passed + totals.failed + totals.unknown == 0 {
        anstream::eprintln!("error: no PolicyTest case and no gated Scenario matched");
        return Exit::Nothing;
    }
    let mut exit = print(&report, global);
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &text(&report, &target.kind)));
    }
    if report.files.iter().any(|f| !f.broken.is_empty()) {
        exit = exit.worst(Exit::Input);
    }
    if report.failed(global.strict) { exit.worst(Exit::Failed) } else { exit }
}

fn options(args: &TestArgs, global: &Global) -> Result<TestOptions, Exit> {
    let (run, overrides) = run::options(&args.overrides, global)?;
    let shard = match args.shard.as_deref() {
        None => None,
        Some(text) => match parse_shard(text) {
            Some(shard) => Some(shard),
            None => {
                anstream::eprintln!("error: --shard {text}: write I/N with I below N, such as 0/4");
                return Err(Exit::Usage);
            }
        },
    };
    Ok(TestOptions { filter: args.filter.clone(), shard, fail_fast: args.fail_fast, overrides, run })
}

fn parse_shard(text: &str) -> Option<(u32, u32)> {
    let (part, of) = text.split_once('/')?;
    let (part, of) = (part.parse().ok()?, of.parse().ok()?);
    (part < of).then_some((part, of))
}

fn defaults() -> Vec<PathBuf> {
    let usual: Vec<PathBuf> =
        ["policies", "scenarios"].map(PathBuf::from).into_iter().filter(|p| p.is_dir()).collect();
    if usual.is_empty() { vec![PathBuf::from(".")] } else { usual }
}

fn print(report: &TestReport, global: &Global) -> Exit {
    let kind = match global.output.unwrap_or(Output::Table) {
        Output::Table | Output::Wide => return output::stdout(&tests::table(report, global.quiet)),
        Output::Json => "json",
        Output::Yaml => "yaml",
        Output::Markdown => "markdown",
        Output::Github => "github",
        Output::Tap => "tap",
        Output::Junit => "junit",
        Output::Ndjson => {
            let lines: String =
                report.files.iter().map(|f| serde_json::to_string(f).unwrap_or_default() + "\n").collect();
            return output::stdout(&lines);
        }
        Output::Name => {
            let names: String = report.files.iter().map(|f| format!("{}\n", f.file)).collect();
            return output::stdout(&names);
        }
        other => {
            anstream::eprintln!(
                "error: test has no output {other:?}; it has table, json, yaml, ndjson, markdown, github, tap, junit, name"
            );
            return Exit::Usage;
        }
    };
    output::stdout(&text(report, kind))
}

fn text(report: &TestReport, kind: &str) -> String {
    match kind {
        "junit" => tests::junit(report),
        "tap" => tests::tap(report),
        "markdown" => tests::markdown(report),
        "github" => tests::github(report),
        "yaml" => output::yaml(report),
        _ => output::json(report),
    }
}
