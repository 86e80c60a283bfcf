//! `test`: every PolicyTest and gated Scenario; the CI entry point.

use std::path::PathBuf;

use mesh_harness::coverage::coverage as covered;
use mesh_harness::findings::rules;
use mesh_harness::policy::{TestOptions, find, mutate, test_paths, without_tests};
use mesh_harness::stop::Stop;
use mesh_reports::checks::{EXPECTATION, GATE, Stopped, TestReport, UNKNOWN};
use mesh_reports::coverage::{self, threshold};
use mesh_reports::render::{github, gitlab, html, junit, markdown, mutation, sarif, tap, tests};

use super::{output, run};
use crate::args::{Global, Output, TestArgs};
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Progress;

pub(super) const REPORTS: [&str; 11] =
    ["json", "ndjson", "yaml", "junit", "sarif", "tap", "markdown", "github", "gitlab", "html", "lcov"];

/// The command.
pub(crate) fn test(args: &TestArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let Some(form) = form(global.output.unwrap_or(Output::Table)) else {
        return output::no_such_format("test", global, &FORMS);
    };
    let (options, least) = match options(args, global).and_then(|o| Ok((o, least(args)?))) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let paths = if args.paths.is_empty() { defaults() } else { args.paths.clone() };
    if let Some(missing) = paths.iter().find(|p| !p.exists()) {
        anstream::eprintln!("error: {} does not exist", missing.display());
        return Exit::Input;
    }
    let files = find(&paths);
    interrupt::asks(&options.stop);
    if args.mutate {
        return mutated(args, &files, &options, global);
    }
    let progress = Progress::start(&format!("testing {} files", files.len()), global);
    let mut report = TestReport { strict: global.strict, ..test_paths(&files, &options) };
    if args.coverage.wanted() || targets.iter().any(|t| t.kind == "lcov") {
        report.coverage = Some(covered(&files, &options, args.coverage.missing));
    }
    progress.finish();
    let mut exit = nothing(args, &paths, &report);
    if exit == Exit::Nothing && report.totals().files == 0 {
        return exit;
    }
    exit = exit.worst(output::stdout(&text(&report, form, global.quiet)));
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &text(&report, &target.kind, global.quiet)));
    }
    if report.files.iter().any(|f| !f.broken.is_empty()) {
        exit = exit.worst(Exit::Input);
    }
    if report.stopped == Some(Stopped::Interrupted) {
        exit = exit.worst(Exit::Interrupted);
    }
    exit = exit.worst(below(&report, least));
    if report.failed(global.strict) { exit.worst(Exit::Failed) } else { exit }
}

/// The threshold of `--fail-under`, in hundredths of a percent.
fn least(args: &TestArgs) -> Result<u64, Exit> {
    let Some(text) = &args.coverage.fail_under else { return Ok(0) };
    threshold(text).ok_or_else(|| {
        anstream::eprintln!(
            "error: --fail-under {text}: a percentage from 0 to 100 with at most two decimals"
        );
        Exit::Usage
    })
}

/// [`Exit::Failed`] when less is covered than was asked for.
fn below(report: &TestReport, least: u64) -> Exit {
    let Some(share) = report.coverage.as_ref().map(|c| c.share(None)).filter(|s| !s.reaches(least)) else {
        return Exit::Good;
    };
    anstream::eprintln!(
        "error: coverage is {} ({} of {}), less than --fail-under asks for",
        share.percent(),
        share.covered,
        share.total
    );
    Exit::Failed
}

/// `test --mutate`
fn mutated(args: &TestArgs, files: &[PathBuf], options: &TestOptions, global: &Global) -> Exit {
    let form = global.output.unwrap_or(Output::Table).name();
    if !MUTATION_FORMS.contains(&form) {
        return output::no_such_format("test --mutate", global, &MUTATION_FORMS);
    }
    let progress = Progress::start("changing rules", global);
    let report = mutate(files, options, args.mutants);
    progress.finish();
    for finding in &report.broken {
        anstream::eprintln!("error: {}", finding.text());
    }
    if report.tests == 0 {
        anstream::eprintln!("error: no case, snapshot or gate passes here, so none could notice a change");
        return if report.broken.is_empty() { Exit::Nothing } else { Exit::Input };
    }
    let text = match form {
        "json" => output::json(&report),
        "yaml" => output::yaml(&report),
        "markdown" => mutation::markdown(&report),
        "github" => mutation::github(&report),
        _ => mutation::table(&report),
    };
    let mut exit = output::stdout(&text);
    if options.stop.asked() {
        anstream::eprintln!("interrupted: {} of {} changes were tried", report.tried, report.possible);
        exit = exit.worst(Exit::Interrupted);
    }
    if !report.broken.is_empty() {
        exit = exit.worst(Exit::Input);
    }
    if report.survivors.is_empty() { exit } else { exit.worst(Exit::Failed) }
}

const MUTATION_FORMS: [&str; 5] = ["table", "json", "yaml", "markdown", "github"];

/// What was asked for and holds no test: [`Exit::Nothing`], with the reason on stderr. Part of a run cannot tell.
fn nothing(args: &TestArgs, paths: &[PathBuf], report: &TestReport) -> Exit {
    if args.shard.is_some() || report.stopped.is_some() {
        return Exit::Good;
    }
    let empty = without_tests(paths, report);
    for path in &empty {
        anstream::eprintln!("error: {} holds no PolicyTest and no Scenario with `expect`", path.display());
    }
    let totals = report.totals();
    if empty.is_empty() && totals.passed + totals.failed + totals.unknown == 0 {
        let filters: Vec<String> = args.filter.iter().map(|f| format!("`{f}`")).collect();
        anstream::eprintln!(
            "error: none of the {} cases has {} in its `file: name` (`-o name` lists the files)",
            totals.skipped,
            filters.join(" or ")
        );
        return Exit::Nothing;
    }
    if empty.is_empty() { Exit::Good } else { Exit::Nothing }
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
    let stop = Stop::default();
    Ok(TestOptions { filter: args.filter.clone(), shard, fail_fast: args.fail_fast, overrides, run, stop })
}

/// `0/4`.
pub(crate) fn parse_shard(text: &str) -> Option<(u32, u32)> {
    let (part, of) = text.split_once('/')?;
    let (part, of) = (part.parse().ok()?, of.parse().ok()?);
    (part < of).then_some((part, of))
}

/// Where tests are looked for when nothing is named.
pub(crate) fn defaults() -> Vec<PathBuf> {
    let usual: Vec<PathBuf> =
        ["policies", "scenarios"].map(PathBuf::from).into_iter().filter(|p| p.is_dir()).collect();
    if usual.is_empty() { vec![PathBuf::from(".")] } else { usual }
}

pub(super) const FORMS: [&str; 12] = [
    "table", "json", "yaml", "ndjson", "markdown", "github", "gitlab", "tap", "junit", "sarif", "html",
    "name",
];

pub(super) fn form(output: Output) -> Option<&'static str> {
    let name = output.name();
    // A test has no more columns to show.
    let name = if name == "wide" { "table" } else { name };
    FORMS.into_iter().find(|f| *f == name)
}

pub(super) fn text(report: &TestReport, form: &str, quiet: bool) -> String {
    let all = || [EXPECTATION, GATE, UNKNOWN].into_iter().chain(rules());
    match form {
        "table" => {
            tests::table(report, quiet) + &report.coverage.as_ref().map(coverage::table).unwrap_or_default()
        }
        "lcov" => report.coverage.as_ref().map(coverage::lcov).unwrap_or_default(),
        "junit" => junit::junit(report),
        "tap" => tap::tap(report),
        "markdown" => {
            markdown::tests(report) + &report.coverage.as_ref().map(coverage::markdown).unwrap_or_default()
        }
        "html" => html::tests(report),
        "github" => github::annotations(&report.problems(), &tests::summary(report)),
        "gitlab" => gitlab::code_quality(&report.problems()),
        "sarif" => sarif::sarif(&report.problems(), all()),
        "yaml" => output::yaml(report),
        "ndjson" => report.files.iter().map(output::line).collect(),
        "name" => report.files.iter().map(|f| format!("{}\n", f.file)).collect(),
        _ => output::json(report),
    }
}
