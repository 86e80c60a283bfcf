//! Sweeps: a scenario at every point of a grid of parameters, under every seed, in parts that any number of machines can
//! run and one can join.
//!
//! Tasks are numbered: the first parameter varies slowest, the seed fastest. A part is every n-th task, so that parts cost
//! about the same. Every point has the same seeds: draws are keyed by request, so points differ where their
//! configuration matters and nowhere else.

mod values;

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::source::Sources;
use mesh_reports::run::RunReport;
use mesh_reports::sweep::{
    Parameter, SWEEP_VERSION, Shard, SweepGate, SweepHeading, SweepReport, SweepRow, SweepTraffic,
};
use rayon::prelude::*;
use xxhash_rust::xxh64::Xxh64;

use crate::document::{Override, ScenarioDocument};
use crate::scenario::{self, RunOptions};

pub use values::parameter;

/// Most tasks of a sweep.
const MOST_TASKS: u64 = 1_000_000;

/// Tasks that are handed over together.
const AT_ONCE: usize = 16;

/// The points of a grid.
#[derive(Debug, Clone)]
pub struct Grid {
    parameters: Vec<Parameter>,
    seeds: Vec<u64>,
    tasks: u64,
}

/// One point under one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// From 0.
    pub number: u64,
    /// Value of every parameter.
    pub values: Vec<String>,
    /// Seed.
    pub seed: u64,
}

impl Grid {
    /// All combinations.
    ///
    /// # Errors
    /// A message for people: there are none, there are too many, or a path is no path.
    pub fn new(parameters: Vec<Parameter>, seeds: Vec<u64>) -> Result<Grid, String> {
        for parameter in &parameters {
            Override::parse(&format!("{}=0", parameter.path))?;
            if parameters.iter().filter(|other| other.path == parameter.path).count() > 1 {
                return Err(format!("`{}` is there twice", parameter.path));
            }
        }
        let sizes = parameters.iter().map(|p| p.values.len() as u64).chain([seeds.len() as u64]);
        let tasks = sizes.fold(1u64, u64::saturating_mul);
        match tasks {
            0 => Err("there is nothing to run".to_owned()),
            1..=MOST_TASKS => Ok(Grid { parameters, seeds, tasks }),
            _ => Err(format!("{tasks} runs are more than {MOST_TASKS}")),
        }
    }

    /// Number of tasks.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// A task by its number.
    #[must_use]
    pub fn task(&self, number: u64) -> Task {
        let mut rest = number;
        let mut digit = |base: usize| {
            let base = (base as u64).max(1);
            let digit = rest % base;
            rest /= base;
            digit as usize
        };
        let seed = self.seeds.get(digit(self.seeds.len())).copied().unwrap_or_default();
        let mut values: Vec<String> = Vec::with_capacity(self.parameters.len());
        for parameter in self.parameters.iter().rev() {
            values.push(parameter.values.get(digit(parameter.values.len())).cloned().unwrap_or_default());
        }
        values.reverse();
        Task { number, values, seed }
    }

    /// What a task sets.
    ///
    /// # Errors
    /// When a value is none.
    pub fn overrides(&self, task: &Task) -> Result<Vec<Override>, String> {
        let pairs = self.parameters.iter().zip(&task.values);
        pairs.map(|(parameter, value)| Override::parse(&format!("{}={value}", parameter.path))).collect()
    }

    /// What all parts of the sweep have in common. `sources` are the files of the scenario, `options` whatever else decides
    /// about the result.
    #[must_use]
    pub fn heading(&self, scenario: &ScenarioDocument, sources: &Sources, options: &str) -> SweepHeading {
        let mut hash = Xxh64::new(0);
        for text in [env!("CARGO_PKG_VERSION"), options].into_iter().chain(sources.texts()) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        SweepHeading {
            scenario: scenario.heading.name.clone(),
            file: scenario.heading.file.to_string_lossy().into_owned(),
            inputs: format!("{:016x}", hash.digest()),
            parameters: self.parameters.clone(),
            seeds: self.seeds.clone(),
            tasks: self.tasks,
        }
    }
}

/// Does the tasks of a part, several at once on up to `threads` threads (0 = as many as there are cores), and hands over
/// their rows in order.
pub fn run_all(
    grid: &Grid,
    shard: Option<Shard>,
    threads: usize,
    one: impl Fn(&Task) -> SweepRow + Sync,
    mut done: impl FnMut(SweepRow),
) {
    let (index, of) = shard.map_or((0, 1), |s| (s.index, s.of.max(1)));
    let mine: Vec<u64> = (index..grid.tasks).step_by(usize::try_from(of).unwrap_or(usize::MAX)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    for numbers in mine.chunks(AT_ONCE) {
        let rows = || numbers.par_iter().map(|number| one(&grid.task(*number))).collect();
        // No threads to be had: the result is the same without.
        let rows: Vec<SweepRow> = match &pool {
            Ok(pool) => pool.install(rows),
            Err(_) => numbers.iter().map(|number| one(&grid.task(*number))).collect(),
        };
        rows.into_iter().for_each(&mut done);
    }
}

/// Runs a task: `document` is the scenario with the task's overrides.
#[must_use]
pub fn run(task: &Task, document: &ScenarioDocument, sources: Sources, options: &RunOptions) -> SweepRow {
    let options = RunOptions { seed: Some(task.seed), threads: 1, ..*options };
    match scenario::run(document, sources, &options) {
        Ok(ran) => row(task, &ran.report),
        Err(problems) => refused(task, &problems.0, &problems.1),
    }
}

/// The row of a task whose configuration is refused.
#[must_use]
pub fn refused(task: &Task, sources: &Sources, problems: &[Diagnostic]) -> SweepRow {
    let first = problems.iter().find(|d| d.severity == Severity::Error);
    let said = first.map(|d| match d.span() {
        span if span.is_none() => d.message.clone(),
        span => format!("{}: {}", sources.location(span), d.message),
    });
    SweepRow {
        task: task.number,
        values: task.values.clone(),
        seed: task.seed,
        error: Some(said.unwrap_or_else(|| "the scenario cannot be run".to_owned())),
        ..SweepRow::default()
    }
}

fn row(task: &Task, report: &RunReport) -> SweepRow {
    let traffic = report.traffic.iter().map(|t| SweepTraffic {
        name: t.name.clone(),
        requests: t.requests,
        success: t.success,
        attempts_mean: t.attempts_mean,
        latency: t.latency,
    });
    let gates = report.gates.iter().map(|g| SweepGate {
        text: g.text.clone(),
        verdict: g.verdict,
        got: g.got.clone(),
    });
    SweepRow {
        task: task.number,
        values: task.values.clone(),
        seed: task.seed,
        traffic: traffic.collect(),
        ejections: report.ejections.len() as u64,
        retries: report.retries.retries,
        overflows: report.overflows.iter().map(|o| o.count).sum(),
        gates: gates.collect(),
        unknown: report.unknown,
        error: None,
    }
}

/// Joins the parts of one sweep, in any order.
///
/// # Errors
/// When the parts are not of one sweep, or tasks are missing or there twice.
pub fn merge(parts: Vec<SweepReport>) -> Result<SweepReport, String> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next().ok_or_else(|| "there are no parts".to_owned())?;
    if whole.api_version != SWEEP_VERSION {
        return Err(format!("`{}` is not `{SWEEP_VERSION}`", whole.api_version));
    }
    for part in parts {
        if part.api_version != whole.api_version || part.heading != whole.heading {
            return Err(difference(&whole.heading, &part.heading));
        }
        whole.rows.extend(part.rows);
    }
    whole.shard = None;
    whole.rows.sort_by_key(|row| row.task);
    let twice = whole.rows.windows(2).find(|pair| matches!(pair, [a, b] if a.task == b.task));
    if let Some([row, _]) = twice {
        return Err(format!("task {} is in two parts", row.task));
    }
    let missing: Vec<u64> = {
        let mut there = whole.rows.iter().map(|row| row.task).peekable();
        (0..whole.heading.tasks).filter(|task| there.next_if_eq(task).is_none()).collect()
    };
    match missing.as_slice() {
        [] => Ok(whole),
        [first, ..] => Err(format!(
            "{} of {} tasks are missing, the first is {first}: not all parts are there, or one was interrupted",
            missing.len(),
            whole.heading.tasks
        )),
    }
}

fn difference(a: &SweepHeading, b: &SweepHeading) -> String {
    let what = if a.scenario != b.scenario {
        "scenario"
    } else if a.parameters != b.parameters {
        "parameters"
    } else if a.seeds != b.seeds {
        "seeds"
    } else if a.file != b.file {
        "file"
    } else {
        "inputs (manifests, options or the program's version)"
    };
    format!("the parts are not of one sweep: their {what} differ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let parameter = |path: &str, values: &[&str]| Parameter {
            path: path.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        let parameters = vec![parameter("spec.a", &["x", "y"]), parameter("spec.b", &["1", "2", "3"])];
        Grid::new(parameters, vec![7, 8]).expect("a grid")
    }

    fn part(rows: &[u64]) -> SweepReport {
        let grid = grid();
        let document = ScenarioDocument { heading: Default::default(), spec: Default::default() };
        let row = |n: &u64| refused(&grid.task(*n), &Sources::default(), &[]);
        SweepReport {
            api_version: SWEEP_VERSION.to_owned(),
            heading: grid.heading(&document, &Sources::default(), ""),
            shard: None,
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn the_first_parameter_varies_slowest_and_the_seed_fastest() {
        let grid = grid();
        assert_eq!(grid.tasks(), 12);
        let shown: Vec<String> =
            (0..12).map(|n| grid.task(n)).map(|t| format!("{}{}", t.values.concat(), t.seed)).collect();
        let all = ["x17", "x18", "x27", "x28", "x37", "x38", "y17", "y18", "y27", "y28", "y37", "y38"];
        assert_eq!(shown, all);
    }

    #[test]
    fn parts_are_joined_in_any_order() {
        let even = part(&[0, 2, 4, 6, 8, 10]);
        let odd = part(&[1, 3, 5, 7, 9, 11]);
        let whole = part(&(0..12).collect::<Vec<_>>());
        assert_eq!(merge(vec![odd.clone(), even.clone()]), Ok(whole.clone()));
        assert_eq!(merge(vec![even.clone(), odd.clone()]), Ok(whole));
        assert!(
            merge(vec![even.clone()])
                .expect_err("half")
                .contains("6 of 12 tasks are missing, the first is 1")
        );
        assert!(
            merge(vec![even.clone(), odd.clone(), odd.clone()])
                .expect_err("twice")
                .contains("task 1 is in two")
        );
        let mut other = odd;
        other.heading.inputs = "0".to_owned();
        assert!(merge(vec![even, other]).expect_err("another").contains("their inputs"));
        assert!(merge(Vec::new()).is_err());
    }

    #[test]
    fn a_grid_has_points_and_not_too_many() {
        let many = |path: &str| Parameter { path: path.into(), values: vec!["0".into(); 2000] };
        assert!(Grid::new(vec![many("a"), many("b")], vec![1]).is_err());
        assert!(Grid::new(vec![many("a"), many("a")], vec![1]).is_err());
        assert!(Grid::new(vec![many("a..b")], vec![1]).is_err());
        assert!(Grid::new(Vec::new(), Vec::new()).is_err());
    }
}
