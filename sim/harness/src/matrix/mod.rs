//! `mesh-sim matrix`: every caller asks every service port; and what a change of policy would break (`what_if`).
//!
//! `callers` and `targets` list who takes part, `gateways` what clients outside can ask, `answer` asks. Questions
//! are kept apart from answers so that the same ones can be put to another version of the mesh. Applications answer as
//! they do without behaviours: at once, 200.

pub mod callers;
mod cell;
mod gateways;
pub mod known;
mod probes;
pub mod targets;
pub mod what_if;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use mesh_reports::matrix::{CallerKind, CellVerdict, MatrixCell, MatrixReport};
use rayon::prelude::*;

use crate::format::request::Request;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::client_request;
use crate::predict::{Prediction, predict};
use crate::stop::Stop;
use callers::Caller;
use known::{KnownCall, is_known};
use targets::Target;

/// What is asked, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixOptions {
    /// Method for HTTP ports; gRPC is always POST.
    pub method: String,
    /// Path for HTTP ports; gateways ask what their routes match.
    pub path: String,
    /// Only callers whose name fits one of these (`*` matches any text); empty = all.
    pub from: Vec<String>,
    /// Only targets whose host, short name or `ns/name` fits one of these; empty = all.
    pub to: Vec<String>,
    /// Only these calls, and those of pods that no manifest has; `None` = everybody asks everybody.
    pub calls: Option<Vec<KnownCall>>,
    /// Pods are asked by their addresses too.
    pub pod_ips: bool,
    /// Threads; 0 = as many as there are cores. The answer does not depend on it.
    pub threads: usize,
}

impl Default for MatrixOptions {
    fn default() -> Self {
        MatrixOptions {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            from: Vec::new(),
            to: Vec::new(),
            calls: None,
            pod_ips: false,
            threads: 0,
        }
    }
}

/// One question: positions in the lists of callers and targets.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) caller: usize,
    pub(crate) target: usize,
    pub(crate) request: Request,
}

/// Everything that can be asked of a mesh.
#[derive(Debug, Clone)]
pub struct Questions {
    /// Who asks.
    pub callers: Vec<Caller>,
    /// Who is asked.
    pub targets: Vec<Target>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    asks: Vec<Ask>,
    asked: String,
}

impl Questions {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.asks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }
}

/// What can be asked of this mesh.
#[must_use]
pub fn questions(mesh: &LoadedMesh, options: &MatrixOptions) -> Questions {
    let mut callers = callers::callers(mesh);
    let (mut targets, mut skipped) = targets::targets(mesh, options);
    let mut asks = Vec::new();
    for caller in 0..callers.len() {
        for (target, asked) in targets.iter().enumerate() {
            asks.push(Ask { caller, target, request: asked.request(options) });
        }
    }
    let (behind, more, remarks) = gateways::gateways(mesh, &targets, options, callers.len());
    callers.extend(behind);
    asks.extend(more);
    probes::add(mesh, options, &mut callers, &mut targets, &mut asks);
    skipped.extend(remarks);
    skipped.sort();
    skipped.dedup();
    let wanted = |ask: &Ask| {
        let from = callers.get(ask.caller).is_some_and(|c| fits(&options.from, &[&c.shown.name]));
        from && targets
            .get(ask.target)
            .is_some_and(|t| fits(&options.to, &[&t.host, &t.key, &t.shown.short, &t.shown.name]))
    };
    asks.retain(wanted);
    if let Some(calls) = &options.calls {
        asks.retain(|ask| {
            let (Some(caller), Some(target)) = (callers.get(ask.caller), targets.get(ask.target)) else {
                return false;
            };
            let kept = matches!(caller.shown.kind, CallerKind::Stranger | CallerKind::Kubelet);
            kept || is_known(mesh, calls, caller, target)
        });
    }
    Questions { callers, targets, skipped, asks, asked: format!("{} {}", options.method, options.path) }
}

/// Whether one of the names fits one of the patterns; no pattern fits everything.
fn fits(patterns: &[String], names: &[&str]) -> bool {
    patterns.is_empty() || patterns.iter().any(|p| names.iter().any(|n| glob(p, n)))
}

/// `*` matches any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(tail) = text.strip_prefix(head) else { return false };
            let ends = tail.char_indices().map(|(i, _)| i).chain([tail.len()]);
            ends.into_iter().any(|i| tail.get(i..).is_some_and(|t| glob(rest, t)))
        }
    }
}

/// Puts the questions to a mesh. It must hold the pods of the mesh they were made for: policies may differ. When it is
/// stopped, the report says how many questions were left out.
#[must_use]
pub fn answer(mesh: &LoadedMesh, questions: &Questions, threads: usize, stop: &Stop) -> MatrixReport {
    // Callers that nothing can tell apart get one answer, unless they are pods of the service themselves.
    let mut unique: BTreeMap<(String, usize, String), &Ask> = BTreeMap::new();
    let key = |ask: &Ask| -> Option<(String, usize, String)> {
        let caller = questions.callers.get(ask.caller)?;
        let target = questions.targets.get(ask.target)?;
        let member = caller.sender.pod.filter(|id| target.pods.iter().any(|(pod, _)| *pod == id.0));
        let class = member.map_or_else(|| caller.class.clone(), |id| format!("pod {}", id.0));
        Some((class, ask.target, format!("{:?}", ask.request.words)))
    };
    for ask in &questions.asks {
        if let Some(key) = key(ask) {
            unique.entry(key).or_insert(ask);
        }
    }
    let list: Vec<_> = unique.into_iter().collect();
    let ask_all = || -> BTreeMap<_, MatrixCell> {
        let wanted = list.par_iter().filter(|_| !stop.asked());
        wanted.map(|(key, ask)| (key.clone(), one(mesh, questions, ask))).collect()
    };
    let answers = match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(ask_all),
        Err(_) => ask_all(),
    };
    let (mut cells, mut left) = (Vec::new(), 0_usize);
    for ask in &questions.asks {
        let found = key(ask).and_then(|k| answers.get(&k));
        left += usize::from(found.is_none());
        let (Some(found), Some(caller), Some(target)) =
            (found, questions.callers.get(ask.caller), questions.targets.get(ask.target))
        else {
            continue;
        };
        cells.push(MatrixCell {
            caller: caller.shown.name.clone(),
            target: target.shown.name.clone(),
            ..found.clone()
        });
    }
    let mut report = report(questions, cell::best(cells));
    if left > 0 {
        report.skipped.push(format!("interrupted: {left} of {} questions were not asked", questions.len()));
    }
    report
}

/// Every outcome of a question.
fn ask(mesh: &LoadedMesh, questions: &Questions, ask: &Ask) -> Result<Vec<Prediction>, String> {
    let caller = questions.callers.get(ask.caller).ok_or("there is no such caller")?;
    let lowered = client_request(&ask.request, &caller.sender, &mesh.directory)?;
    predict(mesh, &caller.sender, &lowered, &Behaviors::default(), false)
}

/// The outcomes behind a cell, asked again of another version of the mesh.
fn outcomes_of(mesh: &LoadedMesh, questions: &Questions, cell: &MatrixCell) -> Vec<Prediction> {
    let same = |a: &&Ask| {
        questions.callers.get(a.caller).is_some_and(|c| c.shown.name == cell.caller)
            && questions.targets.get(a.target).is_some_and(|t| t.shown.name == cell.target)
            && told(a) == cell.request
    };
    let found = questions.asks.iter().find(same);
    found.and_then(|a| ask(mesh, questions, a).ok()).unwrap_or_default()
}

/// `GET http://reviews:9080/`
fn told(ask: &Ask) -> String {
    let words = &ask.request.words;
    let method = words.method.as_deref().map(|m| format!("{m} ")).unwrap_or_default();
    format!("{method}{}", words.url.as_deref().unwrap_or_default())
}

fn one(mesh: &LoadedMesh, questions: &Questions, question: &Ask) -> MatrixCell {
    let request = told(question);
    match ask(mesh, questions, question) {
        Ok(predictions) => cell::cell(mesh, &predictions, request),
        Err(why) => MatrixCell {
            verdict: CellVerdict::Unknown,
            answer: "?".to_owned(),
            why,
            request,
            ..MatrixCell::default()
        },
    }
}

/// Only callers and targets that have a cell are listed, but a gateway that leads nowhere is worth seeing.
fn report(questions: &Questions, cells: Vec<MatrixCell>) -> MatrixReport {
    let mut report = MatrixReport::new(questions.asked.clone());
    let callers: BTreeSet<&str> = cells.iter().map(|c| c.caller.as_str()).collect();
    let targets: BTreeSet<&str> = cells.iter().map(|c| c.target.as_str()).collect();
    let shown = |c: &&Caller| {
        callers.contains(c.shown.name.as_str()) || (c.shown.kind == CallerKind::Gateway && !cells.is_empty())
    };
    report.callers = questions.callers.iter().filter(shown).map(|c| c.shown.clone()).collect();
    report.targets = questions
        .targets
        .iter()
        .filter(|t| targets.contains(t.shown.name.as_str()))
        .map(|t| t.shown.clone())
        .collect();
    report.skipped.clone_from(&questions.skipped);
    report.cells = cells;
    report
}
