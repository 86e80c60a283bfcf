//! One request explained: every outcome, every hop, what decided and why not, with places.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::render::style::{millis, moment};

/// The explanation of one request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The request in words.
    pub request: String,
    /// The client in words.
    pub from: String,
    /// The request of a run that is told; absent when outcomes are enumerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<Happened>,
    /// Outcomes, most probable first; their probabilities sum to 1. Of a request of a run: the one it had.
    pub outcomes: Vec<ExplainedOutcome>,
}

/// Which request of which run, and when.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened {
    /// The scenario.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// Which request of the run in the order they begin, from 1.
    pub number: u64,
    /// Its traffic.
    pub traffic: String,
    /// Simulated time at which it began, ms.
    pub begin_ms: f64,
    /// What the client waited, ms.
    pub took_ms: f64,
    /// Requests that the client's proxy sent for it, retries included; 0 when it sent none.
    pub attempts: u32,
}

/// One outcome with its steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedOutcome {
    /// Probability.
    pub p: f64,
    /// The result in one line.
    pub summary: String,
    /// `pod`, `iptables`, `15001`, `proxy` …: the way of the packets.
    pub path: Vec<String>,
    /// What happened, in order.
    pub steps: Vec<ExplainedStep>,
    /// The outcome in the words of the corpus.
    pub outcome: Outcome,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedStep {
    /// `hop`, `listener`, `route`, `miss` …
    pub kind: String,
    /// What happened.
    pub text: String,
    /// `Kind/namespace/name` of the resource behind it; empty without one.
    pub by: String,
    /// `file:line:column` of the field; empty without one.
    pub place: String,
    /// Time since the request began, ms; absent when outcomes are enumerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<f64>,
}

impl Explanation {
    /// The text people read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}  from {}\n", self.request, self.from);
        if let Some(it) = &self.happened {
            let _ = writeln!(
                out,
                "request {} of {}, seed {}, traffic {}: begun at {}, took {}, attempts {}",
                it.number,
                it.scenario,
                it.seed,
                it.traffic,
                moment(it.begin_ms),
                millis(it.took_ms),
                it.attempts
            );
        }
        for one in &self.outcomes {
            let share = if self.happened.is_some() {
                "happened".to_owned()
            } else if (one.p - 1.0).abs() < 1e-12 {
                "always".to_owned()
            } else {
                format!("{}%", format!("{:.4}", one.p * 100.0).trim_end_matches('0').trim_end_matches('.'))
            };
            let _ = writeln!(out, "\n{share}: {}", one.summary);
            if !one.path.is_empty() {
                let _ = writeln!(out, "  {}", one.path.join(" -> "));
            }
            let mut shown = None;
            for step in &one.steps {
                // The time stands where it moves on.
                if let Some(after) = step.after_ms {
                    let text = format!("+{after:.3}ms");
                    let text = if shown == Some(after) { String::new() } else { text };
                    let _ = write!(out, "{text:>13}");
                    shown = Some(after);
                }
                out.push_str(&line(step));
            }
        }
        out
    }
}

fn line(step: &ExplainedStep) -> String {
    let indent = match step.kind.as_str() {
        "hop" => "  ",
        "miss" => "      - ",
        _ => "    ",
    };
    let source = match (step.by.is_empty(), step.place.is_empty()) {
        (false, false) => format!("   [{} {}]", step.by, step.place),
        (true, false) => format!("   [{}]", step.place),
        (false, true) => format!("   [{}]", step.by),
        (true, true) => String::new(),
    };
    format!("{indent}{}{source}\n", step.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_indented_below_their_hop_with_their_place() {
        let step = |kind: &str, text: &str, by: &str, place: &str| ExplainedStep {
            kind: kind.into(),
            text: text.into(),
            by: by.into(),
            place: place.into(),
            after_ms: None,
        };
        let outcome = ExplainedOutcome {
            p: 0.9,
            summary: "200 from default/a#0".into(),
            path: vec!["pod".into(), "app".into()],
            steps: vec![
                step("hop", "outbound proxy of default/c", "", ""),
                step("route", "route `v1`", "VirtualService/default/a", "vs.yaml:7:5"),
                step("miss", "route `x`: header differs", "", "vs.yaml:3:5"),
            ],
            outcome: Outcome::default(),
        };
        let mut explanation = Explanation {
            request: "GET http://a/".into(),
            from: "default/c".into(),
            happened: None,
            outcomes: vec![outcome],
        };
        assert_eq!(
            explanation.text(),
            "GET http://a/  from default/c\n\n90%: 200 from default/a#0\n  pod -> app\n  outbound proxy of default/c\n    \
             route `v1`   [VirtualService/default/a vs.yaml:7:5]\n      - route `x`: header differs   [vs.yaml:3:5]\n"
        );
        explanation.happened = Some(Happened {
            scenario: "canary".into(),
            seed: 3,
            number: 7,
            traffic: "users".into(),
            begin_ms: 1500.0,
            took_ms: 12.5,
            attempts: 2,
        });
        let times = [0.0, 0.0, 1.25];
        for (step, after) in explanation.outcomes.iter_mut().flat_map(|o| &mut o.steps).zip(times) {
            step.after_ms = Some(after);
        }
        assert_eq!(
            explanation.text(),
            "GET http://a/  from default/c\nrequest 7 of canary, seed 3, traffic users: begun at 1.500s, took 12.5ms, \
             attempts 2\n\nhappened: 200 from default/a#0\n  pod -> app\n     +0.000ms  outbound proxy of \
             default/c\n                 route `v1`   [VirtualService/default/a vs.yaml:7:5]\n     +1.250ms      - \
             route `x`: header differs   [vs.yaml:3:5]\n"
        );
    }
}
