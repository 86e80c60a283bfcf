//! `mesh-sim diff`: the same requests put to two configurations, and how their outcomes differ.
//!
//! The requests are one of every class that either side tells apart ([`crate::space`]) and, if wanted, the traffic of
//! scenarios. Outcomes are enumerated, not sampled, so there is no noise that common seeds would have to cancel.

use mesh_reports::diff::{Category, CategoryCount, DiffReport, Witness};
use rayon::prelude::*;

use crate::document::ScenarioDocument;
use crate::expect::verdict;
use crate::format::client::Client;
use crate::format::policy::VerdictWord;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::{Behaviors, behaviors};
use crate::plan::traffic::requests;
use crate::predict::Prediction;
use crate::space::{self, Class, ClientClass, Ending, Endings, Plane, Scope, Space};
use crate::stop::Stop;

/// Shares and times that differ by less are equal.
const SAME: f64 = 1e-9;
/// Requests that take less than this longer are not slower, ns.
const SLOWER_NS: f64 = 1_000.0;

/// One side of a comparison.
pub struct Side<'a> {
    /// As given: a directory, a file, `git:REV:PATH`.
    pub name: &'a str,
    /// The mesh; both sides need the same further callers ([`space::all_populated`]).
    pub mesh: &'a LoadedMesh,
}

/// What to compare and what to show.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Which requests.
    pub scope: Scope,
    /// Most witnesses per category.
    pub witnesses: usize,
    /// Categories that are intended.
    pub allowed: Vec<Category>,
    /// Asked when the user wants no more.
    pub stop: Stop,
}

/// One request with what pods do meanwhile.
struct Question {
    class: Class,
    base: Behaviors,
    head: Behaviors,
}

/// Compares two sides over all classes and over the traffic of scenarios.
#[must_use]
pub fn diff(
    base: &Side<'_>,
    head: &Side<'_>,
    scenarios: &[ScenarioDocument],
    options: &DiffOptions,
) -> DiffReport {
    let mut report = DiffReport::new(base.name, head.name);
    let space = Space::of(&[base.mesh, head.mesh], &options.scope);
    report.limits = space.limits;
    let mut questions: Vec<Question> = space
        .classes
        .into_iter()
        .map(|class| Question { class, base: Behaviors::default(), head: Behaviors::default() })
        .collect();
    for document in scenarios {
        questions.extend(of_scenario(document, base.mesh, head.mesh));
    }
    let (both, one_sided): (Vec<Question>, Vec<Question>) = questions
        .into_iter()
        .partition(|q| space::exists(base.mesh, &q.class) && space::exists(head.mesh, &q.class));
    for question in one_sided {
        let reference = question.class.client.reference();
        let list = if space::exists(base.mesh, &question.class) {
            &mut report.callers.only_in_base
        } else {
            &mut report.callers.only_in_head
        };
        if !list.contains(&reference) {
            list.push(reference);
        }
    }
    let ask = |question| (!options.stop.asked()).then(|| compare(question, base, head));
    let changes: Vec<Option<Option<(Category, Witness)>>> = both.par_iter().map(ask).collect();
    report.asked = changes.iter().flatten().count() as u64;
    report.not_asked = both.len() as u64 - report.asked;
    fill(&mut report, changes.into_iter().flatten().flatten(), options);
    report
}

fn fill(report: &mut DiffReport, changes: impl Iterator<Item = (Category, Witness)>, options: &DiffOptions) {
    let mut all: Vec<(Category, Witness)> = changes.collect();
    // Stable: within a category the order of the classes stays.
    all.sort_by_key(|(category, _)| *category);
    for (category, witness) in all {
        let shown = match report.counts.last_mut().filter(|c| c.category == category) {
            Some(count) => {
                count.requests += 1;
                count.requests
            }
            None => {
                let allowed = options.allowed.contains(&category);
                report.counts.push(CategoryCount { category, requests: 1, allowed });
                1
            }
        };
        if shown <= options.witnesses as u64 {
            report.witnesses.push(witness);
        }
    }
}

/// The requests of a scenario's traffic, with its behaviours.
fn of_scenario(document: &ScenarioDocument, base: &LoadedMesh, head: &LoadedMesh) -> Vec<Question> {
    let mut all = Vec::new();
    for traffic in &document.spec.traffic {
        for request in requests(traffic) {
            let client = traffic.from.value.clone();
            let plane = match &client {
                Client::Gateway(_) => Plane::Outside,
                Client::Workload(_) | Client::Pod(_) => Plane::Sidecar,
            };
            let client = ClientClass { client, plane };
            let url = request.url().map(|u| format!("{}://{}{}", u.scheme, u.authority, u.target));
            let method = request.words.method.as_deref().unwrap_or("GET");
            let headers: String = request.words.headers.0.iter().map(|(n, v)| format!(" {n}={v}")).collect();
            let key = format!(
                "{}/{}: {method} {}{headers} from {}",
                document.heading.name,
                traffic.name,
                url.unwrap_or_default(),
                client.reference()
            );
            let behaved = |mesh: &LoadedMesh| {
                behaviors(&document.spec.behaviors, &mesh.directory, &mesh.later, &mut Vec::new())
            };
            all.push(Question {
                class: Class { key, client, request },
                base: behaved(base),
                head: behaved(head),
            });
        }
    }
    all
}

fn compare(question: &Question, base: &Side<'_>, head: &Side<'_>) -> Option<(Category, Witness)> {
    let class = &question.class;
    let before = space::outcomes_with(base.mesh, class, &question.base);
    let after = space::outcomes_with(head.mesh, class, &question.head);
    let ends = |mesh: &LoadedMesh, result: &Result<Vec<Prediction>, String>| {
        result.as_ref().map(|p| Endings::of(p, mesh)).map_err(Clone::clone)
    };
    let (old, new) = (ends(base.mesh, &before), ends(head.mesh, &after));
    let category = match (&old, &new) {
        (Ok(old), Ok(new)) => category(old, new)?,
        (Err(old), Err(new)) if old == new => return None,
        _ => Category::Unknown,
    };
    let (decided_by, decided_at) =
        after.as_ref().ok().and_then(|p| decision(p, head.mesh)).unwrap_or_default();
    let shown = |ends: &Result<Endings, String>| match ends {
        Ok(ends) => ends.0.iter().map(Ending::to_string).collect(),
        Err(why) => vec![format!("unknown: {why}")],
    };
    let (mut base_lines, mut head_lines): (Vec<String>, Vec<String>) = (shown(&old), shown(&new));
    if base_lines == head_lines
        && category != Category::Slower
        && let (Ok(old), Ok(new)) = (&old, &new)
    {
        (base_lines, head_lines) = details(old, new);
    }
    if category == Category::Slower {
        let time = |ends: &Result<Endings, String>| {
            ends.as_ref().map_or(String::new(), |e| format!("takes {:.3} ms", e.duration_ns() / 1e6))
        };
        base_lines.push(time(&old));
        head_lines.push(time(&new));
    }
    let command = |side: &Side<'_>| {
        let manifests = format!("-R -f {}", space::quoted(side.name));
        space::command(&class.client.client, &class.request, &manifests)
    };
    let witness = Witness {
        category,
        request: class.key.clone(),
        base: base_lines,
        head: head_lines,
        decided_by,
        decided_at,
        reproduce_base: command(base),
        reproduce_head: command(head),
    };
    Some((category, witness))
}

/// What decides now: who refuses, else what the client's proxy goes by.
fn decision(predictions: &[Prediction], mesh: &LoadedMesh) -> Option<(String, String)> {
    let likely = predictions.iter().max_by(|a, b| a.p.total_cmp(&b.p))?;
    let client = likely.record.client_hop().filter(|_| verdict(likely) != VerdictWord::Denied);
    let Some((object, place)) = client.and_then(|hop| mesh.decision(hop)) else {
        return space::decision(predictions, mesh);
    };
    Some((object.to_string(), place.unwrap_or_default()))
}

/// How an outcome changed; `None` if nobody could tell.
#[must_use]
pub fn category(old: &Endings, new: &Endings) -> Option<Category> {
    if old.same(new) {
        return None;
    }
    if old.unknown().is_some() || new.unknown().is_some() {
        // Where only the reason's place moved, nothing changed.
        let what = |ends: &Endings| ends.unknown().map(|u| u.what.clone());
        return (what(old) != what(new)).then_some(Category::Unknown);
    }
    let share = |ends: &Endings, word: VerdictWord| ends.share(|e| e.verdict == word);
    let more = |word| share(new, word) > share(old, word) + SAME;
    let less = |word| share(new, word) < share(old, word) - SAME;
    if more(VerdictWord::Denied) {
        return Some(Category::NewlyDenied);
    }
    if less(VerdictWord::Allowed) {
        return Some(Category::Lost);
    }
    if more(VerdictWord::Allowed) {
        return Some(Category::Gained);
    }
    let plain = |ends: &Endings| ends.share(|e| e.mtls == Some(false));
    if plain(new) > plain(old) + SAME {
        return Some(Category::NewlyPlaintext);
    }
    let answers = |ends: &Endings| {
        let mut all: Vec<&str> = ends.0.iter().map(|e| e.answer.split(' ').next().unwrap_or("")).collect();
        all.sort_unstable();
        all.dedup();
        all.join(", ")
    };
    if share(new, VerdictWord::Allowed) == 0.0 || answers(old) != answers(new) {
        return Some(Category::Changed);
    }
    let places = |ends: &Endings| {
        let mut all: Vec<(String, String)> =
            ends.0.iter().map(|e| (e.destination.clone(), e.workload.clone())).collect();
        all.sort();
        all.dedup();
        all
    };
    if places(old) != places(new) {
        return Some(Category::Rerouted);
    }
    let moved = places(new).iter().any(|(destination, workload)| {
        let at = |ends: &Endings| ends.share(|e| e.destination == *destination && e.workload == *workload);
        (at(old) - at(new)).abs() > SAME
    });
    if moved {
        return Some(Category::Reweighted);
    }
    if new.duration_ns() > old.duration_ns() + SLOWER_NS {
        return Some(Category::Slower);
    }
    Some(Category::Changed)
}

/// What differs where the short lines are equal.
fn details(old: &Endings, new: &Endings) -> (Vec<String>, Vec<String>) {
    let lines = |ends: &Endings| -> Vec<String> {
        let mut all: Vec<String> =
            ends.0.iter().flat_map(|e| e.messages.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        all.push(format!("takes {:.3} ms", ends.duration_ns() / 1e6));
        all
    };
    let (before, after) = (lines(old), lines(new));
    let only = |mine: &[String], theirs: &[String]| {
        mine.iter().filter(|l| !theirs.contains(l)).cloned().collect::<Vec<_>>()
    };
    (only(&before, &after), only(&after, &before))
}

/// The callers that scenarios bring along, for both sides.
#[must_use]
pub fn clients(scenarios: &[ScenarioDocument]) -> Vec<crate::format::client::PodClient> {
    let mut all = Vec::new();
    for traffic in scenarios.iter().flat_map(|s| &s.spec.traffic) {
        if let Client::Pod(pod) = &traffic.from.value
            && !all.contains(pod)
        {
            all.push(pod.clone());
        }
    }
    all
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
