//! `mesh-sim explain`: the trace of every outcome of one request, or of one request of a run, in words, with the YAML
//! behind each step.

use mesh_core::OriginId;
use mesh_core::cx::Step;
use mesh_engine::plan::ClientRequest;
use mesh_engine::{Followed, follow};
use mesh_reports::explain::{ExplainedOutcome, ExplainedStep, Explanation, Happened};
use mesh_reports::outcome::Outcome;

use crate::expect::packet_path;
use crate::loaded::LoadedMesh;
use crate::outcome::outcome;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::Sender;
use crate::predict::{Prediction, predict};
use crate::report::ms;
use crate::scenario::Prepared;

/// Explains a request.
///
/// # Errors
/// When there are too many outcomes.
pub fn explain(
    mesh: &LoadedMesh,
    sender: &Sender,
    request: &ClientRequest,
    behaviors: &Behaviors,
    words: (String, String),
) -> Result<Explanation, String> {
    let mut predictions = predict(mesh, sender, request, behaviors, true)?;
    // Stable: equally probable outcomes stay in the order of the enumeration.
    predictions.sort_by(|a, b| b.p.total_cmp(&a.p));
    let outcomes = predictions.into_iter().map(|p| explained(p, mesh)).collect();
    Ok(Explanation { request: words.0, from: words.1, happened: None, outcomes })
}

/// Explains the `number`-th request (from 1) of a scenario's first run, as it happened there.
///
/// # Errors
/// The number of the run's requests, when there are fewer.
pub fn explain_number(name: &str, prepared: &Prepared, number: u64) -> Result<Explanation, u64> {
    let Followed { record, steps, begun } = follow(&prepared.plan, number);
    let Some(record) = record else { return Err(begun) };
    let (mesh, traffic) = (&prepared.mesh, record.traffic as usize);
    let (from, request) = prepared.traffic_words.get(traffic).cloned().unwrap_or_default();
    let (times, steps): (Vec<u64>, Vec<Step>) = steps.into_iter().unzip();
    let first = record.hops.iter().filter(|h| h.call == 0 && !h.shadow).min_by_key(|h| h.start_ns);
    let begin = record.start_ns;
    let happened = Happened {
        scenario: name.to_owned(),
        seed: prepared.plan.seed,
        number,
        traffic: prepared.plan.traffic.get(traffic).map(|t| t.name.to_string()).unwrap_or_default(),
        begin_ms: ms(begin),
        took_ms: ms(record.end_ns.saturating_sub(begin)),
        attempts: first.map_or(0, |h| h.attempts),
    };
    let outcome = outcome(1.0, &record, &mesh.world, mesh);
    let mut told = explained(Prediction { p: 1.0, outcome, record, steps }, mesh);
    for (step, at) in told.steps.iter_mut().zip(times) {
        step.after_ms = Some(ms(at.saturating_sub(begin)));
    }
    // What is said after the last step is said of the request's end.
    for step in told.steps.iter_mut().filter(|s| s.after_ms.is_none()) {
        step.after_ms = Some(happened.took_ms);
    }
    Ok(Explanation { request, from, happened: Some(happened), outcomes: vec![told] })
}

fn explained(prediction: Prediction, mesh: &LoadedMesh) -> ExplainedOutcome {
    let path = packet_path(&prediction.record, &mesh.world).into_iter().map(str::to_owned).collect();
    let mut steps: Vec<ExplainedStep> = prediction.steps.iter().map(|s| step(s, mesh)).collect();
    if let Some((object, place)) = prediction.record.hops.iter().rev().find_map(|h| mesh.decision(h)) {
        steps.push(ExplainedStep {
            kind: "decision".to_owned(),
            text: "decided by".to_owned(),
            by: object.to_string(),
            place: place.unwrap_or_default(),
            after_ms: None,
        });
    }
    ExplainedOutcome {
        p: prediction.p,
        summary: summary(&prediction.outcome),
        path,
        steps,
        outcome: prediction.outcome,
    }
}

/// `200 from default/reviews-v2#0 via outbound|9080|v2|…`, `503 UH no_healthy_upstream`, `reset: …`.
fn summary(outcome: &Outcome) -> String {
    if let Some(unknown) = outcome.unknown.first() {
        let place = unknown.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
        return format!("unknown: {}{place}", unknown.what);
    }
    let mut words = match outcome.status {
        Some(status) => status.to_string(),
        None => outcome.connection.text().to_owned(),
    };
    if let Some(flags) = outcome.flags.as_ref().filter(|f| *f != "-") {
        words.push_str(&format!(" {flags}"));
    }
    match (&outcome.workload, &outcome.details) {
        (Some(workload), _) => words.push_str(&format!(" from {workload}")),
        (None, Some(details)) => words.push_str(&format!(" {details}")),
        (None, None) => {}
    }
    if let Some(cluster) = &outcome.cluster {
        words.push_str(&format!(" via {cluster}"));
    }
    match outcome.mtls {
        Some(true) => words.push_str(", mutual TLS"),
        Some(false) => words.push_str(", plaintext or foreign TLS"),
        None => {}
    }
    words
}

fn step(step: &Step, mesh: &LoadedMesh) -> ExplainedStep {
    let (kind, text, origin) = words(step);
    let (mut by, mut place) = (String::new(), String::new());
    if let Some(found) = mesh.lowering.origin(origin) {
        by = found.object.map(|o| o.to_string()).unwrap_or_default();
        place = mesh.place(found.span).unwrap_or_default();
    }
    ExplainedStep { kind: kind.to_owned(), text, by, place, after_ms: None }
}

/// (kind, text, place) of a step.
fn words(step: &Step) -> (&'static str, String, OriginId) {
    let named = |name: &str| if name.is_empty() { "(unnamed)".to_owned() } else { format!("`{name}`") };
    match step {
        Step::Listener(Some(name), origin) => ("listener", format!("listener `{name}`"), *origin),
        Step::Listener(None, origin) => ("listener", "nothing listens here".to_owned(), *origin),
        Step::FilterChain(name, origin) => ("chain", format!("filter chain {}", named(name)), *origin),
        Step::FilterChainMiss(name, why) => {
            ("miss", format!("filter chain {}: {why}", named(name)), OriginId::NONE)
        }
        Step::Tls(text) => ("tls", text.to_string(), OriginId::NONE),
        Step::VirtualHost(name, domain, origin) => {
            ("virtualHost", format!("virtual host `{name}` by domain `{domain}`"), *origin)
        }
        Step::RouteMiss(name, why, origin) => ("miss", format!("route {}: {why}", named(name)), *origin),
        Step::Route(name, origin) => ("route", format!("route {}", named(name)), *origin),
        Step::Filter(filter, verdict, origin) => ("filter", format!("{filter}: {verdict}"), *origin),
        Step::Cluster(name, None, origin) => ("cluster", format!("cluster `{name}`"), *origin),
        Step::Cluster(name, Some((own, total)), origin) => {
            ("cluster", format!("cluster `{name}` by weight {own} of {total}"), *origin)
        }
        Step::Host(address, why, origin) => {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            ("host", format!("host {address}{why}"), *origin)
        }
        Step::Reply(reply) => {
            ("reply", format!("the proxy answers: {} {}", reply.status, reply.details), reply.origin)
        }
        Step::Taint(what, origin) => ("unknown", format!("not modelled: {what}"), *origin),
        // The engine announces every proxy with its side in brackets.
        Step::Note(text) => {
            (if text.ends_with(')') { "hop" } else { "note" }, text.to_string(), OriginId::NONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{case, predictor};
    use crate::format::client::{Client, WorkloadRef};
    use crate::format::request::Request;
    use crate::plan::traffic::{client_request, sender};

    #[test]
    fn hops_near_misses_and_places_are_told() {
        let dir =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/bookinfo-canary");
        let corpus = case::read_corpus(&dir).expect("corpus");
        let mesh = predictor::load(&corpus[0]).expect("mesh");
        let from = Client::Workload(WorkloadRef::parse("default/productpage-v1").expect("client"));
        let sender =
            sender(&from, mesh_config::source::Span::NONE, &mesh.directory, &mesh.clients).expect("sender");
        let request = Request::parse("GET http://reviews:9080/reviews/0").expect("request");
        let lowered = client_request(&request, &sender, &mesh.directory).expect("request");
        let words = ("GET http://reviews:9080/reviews/0".to_owned(), "default/productpage-v1".to_owned());
        let explanation =
            explain(&mesh, &sender, &lowered, &Behaviors::default(), words).expect("explanation");
        let total: f64 = explanation.outcomes.iter().map(|o| o.p).sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
        let text = explanation.text();
        for part in [
            "pod -> iptables -> 15001 -> proxy -> wire -> iptables -> 15006 -> proxy -> app",
            "default/productpage-v1-0 (outbound)",
            "virtual host `reviews.default.svc.cluster.local:9080`",
            "      - route ",
            "VirtualService/default/reviews",
            "routing.yaml:",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
