//! `sweep`: a scenario over a grid of parameters and seeds; `sweep merge` joins its parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_config::source::Sources;
use mesh_harness::document::{Override, ScenarioDocument};
use mesh_harness::scenario::{self, DEFAULT_SEED, RunOptions};
use mesh_harness::sweep::{self, Grid, Task};
use mesh_reports::render::sweep::{sweep_csv, sweep_markdown, sweep_table};
use mesh_reports::sweep::{SWEEP_VERSION, Shard, SweepHeading, SweepReport, SweepRow};

use super::inputs::Additions;
use super::{output, run, test};
use crate::args::{Global, Output, SweepArgs, SweepCommand};
use crate::diagnostics;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Progress;

/// What is made of a sweep.
const FORMS: [&str; 5] = ["table", "json", "yaml", "csv", "markdown"];

/// The command.
pub(crate) fn sweep(args: &SweepArgs, global: &Global) -> Exit {
    let form = global.output.unwrap_or(Output::Table).name();
    if !FORMS.contains(&form) {
        return output::no_such_format("sweep", global, &FORMS);
    }
    let targets = match output::targets(&global.report, &FORMS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let made = match &args.command {
        Some(SweepCommand::Merge { files }) => merged(files).map(|report| (report, false)),
        None => swept(args, global),
    };
    let (report, interrupted) = match made {
        Ok(made) => made,
        Err(exit) => return exit,
    };
    let mut exit = verdict(&report, global.strict);
    if interrupted {
        anstream::eprintln!("interrupted: {} runs are done", report.rows.len());
        exit = Exit::Interrupted;
    }
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &text(&report, &target.kind, global.strict)));
    }
    exit.worst(output::stdout(&text(&report, form, global.strict)))
}

fn text(report: &SweepReport, form: &str, strict: bool) -> String {
    match form {
        "json" => output::json(report),
        "yaml" => output::yaml(report),
        "csv" => sweep_csv(report),
        "markdown" => sweep_markdown(report, strict),
        _ => sweep_table(report, strict),
    }
}

fn verdict(report: &SweepReport, strict: bool) -> Exit {
    let refused = report.rows.iter().any(|row| row.error.is_some());
    let failed = report.rows.iter().any(|row| row.failed(strict).next().is_some());
    let unknown = strict && report.rows.iter().any(|row| row.unknown > 0);
    let exit = if failed || unknown { Exit::Failed } else { Exit::Good };
    exit.worst(if refused { Exit::Input } else { Exit::Good })
}

fn merged(files: &[PathBuf]) -> Result<SweepReport, Exit> {
    let mut parts: Vec<SweepReport> = Vec::new();
    for file in files {
        let read = std::fs::read_to_string(file).map_err(|why| why.to_string());
        match read.and_then(|text| serde_json::from_str(&text).map_err(|why| why.to_string())) {
            Ok(part) => parts.push(part),
            Err(why) => {
                anstream::eprintln!("error: {}: {why}", file.display());
                return Err(Exit::Input);
            }
        }
    }
    sweep::merge(parts).map_err(|why| {
        anstream::eprintln!("error: {why}");
        Exit::Input
    })
}

/// What every task needs.
struct Setting {
    path: PathBuf,
    grid: Grid,
    options: RunOptions,
    overrides: Vec<Override>,
    additions: Additions,
}

fn swept(args: &SweepArgs, global: &Global) -> Result<(SweepReport, bool), Exit> {
    let usage = |why: String| {
        anstream::eprintln!("error: {why}");
        Exit::Usage
    };
    let path = args.scenario.clone().unwrap_or_default();
    let (options, overrides) = run::options(&args.overrides, global)?;
    let parameters = args
        .parameters
        .iter()
        .map(|text| sweep::parameter(text).map_err(|why| usage(format!("--param {why}"))))
        .collect::<Result<Vec<_>, Exit>>()?;
    let shard = match args.shard.as_deref().map(|text| (text, test::parse_shard(text))) {
        None => None,
        Some((_, Some((index, of)))) => Some(Shard { index: index.into(), of: of.into() }),
        Some((text, None)) => {
            return Err(usage(format!("--shard {text}: write I/N with I below N, such as 0/4")));
        }
    };
    let additions = Additions::read(&args.manifests, global)?;
    let (document, sources) = base(&path, &overrides, &additions, &options, global)?;
    let first = options.seed.or(document.spec.seed).unwrap_or(DEFAULT_SEED);
    let seeds = seeds(args.seeds.as_deref(), first).map_err(usage)?;
    let grid = Grid::new(parameters, seeds).map_err(usage)?;
    let said = format!("{:?}", (&args.overrides.set, options.duration_ns, options.replications));
    let heading = grid.heading(&document, &sources, &said);
    let threads = global.threads.unwrap_or(0);
    let mine = shard.map_or(grid.tasks(), |s| grid.tasks().saturating_sub(s.index).div_ceil(s.of));
    let progress = Progress::start(&format!("{}: {mine} runs", document.heading.name), global);
    let setting = Arc::new(Setting { path, grid, options, overrides, additions });
    let (rows, interrupted) = interrupt::pieces(move |out| {
        let one = |task: &Task| setting.run(task);
        sweep::run_all(&setting.grid, shard, threads, one, |row| out.put(row));
    });
    progress.finish();
    Ok((whole(heading, shard, rows), interrupted))
}

fn whole(heading: SweepHeading, shard: Option<Shard>, rows: Vec<SweepRow>) -> SweepReport {
    SweepReport { api_version: SWEEP_VERSION.to_owned(), heading, shard, rows }
}

/// The scenario as it stands, with its files; what is wrong with it is wrong at every point.
fn base(
    path: &Path,
    overrides: &[Override],
    additions: &Additions,
    options: &RunOptions,
    global: &Global,
) -> Result<(ScenarioDocument, Sources), Exit> {
    let read = additions.scenarios(path, overrides)?;
    diagnostics::show(&read.sources, &read.diagnostics, global);
    if read.has_errors() {
        return Err(Exit::Input);
    }
    let number = read.scenarios.len();
    let Some(scenario) = read.scenarios.into_iter().next().filter(|_| number == 1) else {
        anstream::eprintln!("error: {} holds {number} scenarios; sweep takes one", path.display());
        return Err(if number == 0 { Exit::Nothing } else { Exit::Usage });
    };
    match scenario::prepare(&scenario, read.sources, options) {
        Ok(prepared) => {
            let shown = super::inputs::suppressed(prepared.mesh.diagnostics, global);
            diagnostics::show(&prepared.mesh.sources, &shown, global);
            Ok((scenario, prepared.mesh.sources))
        }
        Err(problems) => {
            diagnostics::show(&problems.0, &problems.1, global);
            Err(Exit::Input)
        }
    }
}

impl Setting {
    fn run(&self, task: &Task) -> SweepRow {
        let mut overrides = self.overrides.clone();
        match self.grid.overrides(task) {
            Ok(more) => overrides.extend(more),
            Err(why) => {
                return SweepRow { error: Some(why), ..sweep::refused(task, &Sources::default(), &[]) };
            }
        }
        let Ok(read) = self.additions.scenarios(&self.path, &overrides) else {
            return sweep::refused(task, &Sources::default(), &[]);
        };
        match read.scenarios.first().filter(|_| !read.has_errors()) {
            Some(scenario) => sweep::run(task, scenario, read.sources, &self.options),
            None => sweep::refused(task, &read.sources, &read.diagnostics),
        }
    }
}

/// `5`: so many from the first on; `1..200`: these, both ends included.
fn seeds(words: Option<&str>, first: u64) -> Result<Vec<u64>, String> {
    let Some(words) = words else { return Ok(vec![first]) };
    let wrong = || format!("--seeds {words}: write how many (`20`) or which (`1..200`)");
    let (from, to) = match words.split_once("..") {
        Some((from, to)) => (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?),
        None => {
            let count: u64 = words.parse().map_err(|_| wrong())?;
            let last = count.checked_sub(1).map(|more| first.saturating_add(more));
            (first, last.ok_or_else(wrong)?)
        }
    };
    if to < from || to - from >= 1_000_000 {
        return Err(wrong());
    }
    Ok((from..=to).collect())
}
