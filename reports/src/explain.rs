//! One request explained: every outcome, every hop, what decided and why not, with places.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// The explanation of one request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The request in words.
    pub request: String,
    /// The client in words.
    pub from: String,
    /// Outcomes, most probable first; their probabilities sum to 1.
    pub outcomes: Vec<ExplainedOutcome>,
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
}

impl Explanation {
    /// The text people read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}  from {}\n", self.request, self.from);
        for one in &self.outcomes {
            let share = if (one.p - 1.0).abs() < 1e-12 {
                "always".to_owned()
            } else {
                format!("{}%", format!("{:.4}", one.p * 100.0).trim_end_matches('0').trim_end_matches('.'))
            };
            let _ = writeln!(out, "\n{share}: {}", one.summary);
            if !one.path.is_empty() {
                let _ = writeln!(out, "  {}", one.path.join(" -> "));
            }
            for step in &one.steps {
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
        let explanation = Explanation {
            request: "GET http://a/".into(),
            from: "default/c".into(),
            outcomes: vec![outcome],
        };
        assert_eq!(
            explanation.text(),
            "GET http://a/  from default/c\n\n90%: 200 from default/a#0\n  pod -> app\n  outbound proxy of default/c\n    \
             route `v1`   [VirtualService/default/a vs.yaml:7:5]\n      - route `x`: header differs   [vs.yaml:3:5]\n"
        );
    }
}
