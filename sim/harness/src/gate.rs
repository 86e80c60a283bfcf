//! Gates of a scenario, judged: `expect:` against the report and the kept requests.
//!
//! A name that does not exist is an error found before the run ([`check_names`]), never an empty match. A sampled split
//! whose tolerance is below the sampling error at one in a million is refused with the sample it would need.

mod requests;
mod splits;

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;
use mesh_engine::stats::RunRecord;
use mesh_reports::run::{Gate, GateVerdict, RunReport, TrafficRow};

use crate::format::gate::{Condition, GateWords, Unit, Window};
use crate::loaded::LoadedMesh;
use crate::plan::no_such_workload;
use crate::report::exact::Exact;

/// What gates are judged by.
pub struct Evidence<'a> {
    /// The mesh at time 0.
    pub mesh: &'a LoadedMesh,
    /// One record per replication.
    pub runs: &'a [RunRecord],
    /// Closed-form shares.
    pub exact: &'a Exact,
    /// The report so far.
    pub report: &'a RunReport,
}

/// A judgement before it is placed.
pub(crate) struct Finding {
    pub(crate) verdict: GateVerdict,
    pub(crate) got: String,
    pub(crate) expected: String,
    pub(crate) decided_by: String,
}

impl Finding {
    pub(crate) fn of(holds: bool, got: impl Into<String>, expected: impl Into<String>) -> Finding {
        let verdict = if holds { GateVerdict::Passed } else { GateVerdict::Failed };
        Finding { verdict, got: got.into(), expected: expected.into(), decided_by: String::new() }
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Finding {
        Finding {
            verdict: GateVerdict::Unknown,
            got: why.into(),
            expected: String::new(),
            decided_by: String::new(),
        }
    }
}

/// Judges one gate.
#[must_use]
pub fn judge(words: &GateWords, evidence: &Evidence<'_>) -> Gate {
    let finding = if let Some(split) = &words.split {
        splits::judge(split, words, evidence)
    } else if let Some(metric) = &words.metric {
        metric_gate(metric, words, evidence)
    } else {
        requests::judge(words, evidence)
    };
    Gate {
        text: evidence.mesh.sources.slice(words.origin).split_whitespace().collect::<Vec<_>>().join(" "),
        verdict: if evidence.report.unknown > 0 && finding.verdict == GateVerdict::Passed {
            GateVerdict::Unknown
        } else {
            finding.verdict
        },
        got: finding.got,
        expected: finding.expected,
        place: evidence.mesh.sources.location(words.origin),
        decided_by: finding.decided_by,
    }
}

/// Names of gates that do not exist: an error each, with the nearest name.
pub fn check_names(gates: &[GateWords], traffic: &[String], mesh: &LoadedMesh, out: &mut Vec<Diagnostic>) {
    for gate in gates {
        let mut traffics: Vec<(&str, Span)> = Vec::new();
        let kinds = [&gate.count, &gate.only, &gate.never];
        traffics.extend(gate.traffic.iter().map(|t| (t.value.as_str(), t.span)));
        traffics.extend(
            kinds.iter().filter_map(|k| k.as_ref()?.traffic.as_ref()).map(|t| (t.value.as_str(), t.span)),
        );
        traffics.extend(gate.sequence.iter().map(|s| (s.traffic.value.as_str(), s.traffic.span)));
        traffics.extend(
            gate.denied.iter().filter_map(|d| d.traffic.as_ref()).map(|t| (t.value.as_str(), t.span)),
        );
        for (name, span) in traffics.into_iter().filter(|(name, _)| !traffic.iter().any(|t| t == name)) {
            let message = format!("there is no traffic `{name}`");
            let mut diagnostic = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, span, message);
            diagnostic.help = mesh_config::decode::closest(name, traffic.iter().map(String::as_str))
                .map(|n| format!("did you mean `{n}`?"));
            out.push(diagnostic);
        }
        let mut references = Vec::new();
        references.extend(gate.edge.iter().flat_map(|e| [&e.from, &e.to]));
        references.extend(gate.log.iter().map(|l| &l.proxy));
        references.extend(gate.ejected.iter().chain(gate.by.iter()));
        references.extend(gate.never.iter().filter_map(|n| n.ejected.as_ref()));
        for reference in references {
            if mesh.directory.find(&reference.value).is_empty() {
                out.push(no_such_workload(&mesh.directory, &reference.value, reference.span));
            }
        }
        if let Some(metric) = gate.metric.as_ref().filter(|m| !METRICS.contains(&m.value.as_str())) {
            let message = format!("there is no metric `{}`", metric.value);
            let mut diagnostic = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, metric.span, message);
            diagnostic.help = mesh_config::decode::closest(&metric.value, METRICS.iter().copied())
                .map(|n| format!("did you mean `{n}`?"));
            out.push(diagnostic);
        }
    }
}

/// Metrics a gate can name.
pub const METRICS: [&str; 19] = [
    "success_rate",
    "error_rate",
    "requests",
    "rps",
    "latency.min",
    "latency.mean",
    "latency.p50",
    "latency.p90",
    "latency.p95",
    "latency.p99",
    "latency.p999",
    "latency.max",
    "attempts_per_request.mean",
    "attempts_per_request.max",
    "attempts_per_request.worst",
    "storm_rps",
    "ejections",
    "overflows",
    "denied",
];

fn metric_gate(metric: &str, words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    let Some(condition) = &words.condition else {
        return Finding::unknown("a metric needs a condition: `is: \">= 99%\"`");
    };
    let traffic = words.traffic.as_ref().map(|t| t.value.as_str());
    let value = match (metric, words.window) {
        ("ejections", window) => Some(ejections(window, evidence)),
        ("overflows", _) => Some(evidence.report.overflows.iter().map(|o| o.count).sum::<u64>() as f64),
        ("attempts_per_request.worst", _) => Some(evidence.report.retries.worst_case_attempts as f64),
        // Without a storm load there is none, however much is offered.
        ("storm_rps", _) => Some(evidence.report.retries.storm_rps.unwrap_or(f64::INFINITY)),
        ("denied", _) => Some(evidence.report.denials.iter().map(|d| d.count).sum::<u64>() as f64),
        (_, Some(window)) => requests::windowed_metric(metric, traffic, window, evidence),
        (_, None) => whole_metric(metric, traffic, evidence.report),
    };
    match value {
        Some(value) => {
            Finding::of(condition.value.holds(value), shown(value, condition), condition.value.text.clone())
        }
        None => Finding::unknown("no requests to measure"),
    }
}

fn ejections(window: Option<Window>, evidence: &Evidence<'_>) -> f64 {
    evidence.report.ejections.iter().filter(|e| window.is_none_or(|w| inside(w, e.at_ms))).count() as f64
}

/// Whether a time in ms lies in a window.
pub(crate) fn inside(window: Window, at_ms: f64) -> bool {
    let at = at_ms * 1e6;
    at >= window.from.0 as f64 && window.until.is_none_or(|until| at <= until.0 as f64)
}

fn whole_metric(metric: &str, traffic: Option<&str>, report: &RunReport) -> Option<f64> {
    let rows: Vec<&TrafficRow> =
        report.traffic.iter().filter(|t| traffic.is_none_or(|name| t.name == name)).collect();
    let requests: u64 = rows.iter().map(|t| t.requests).sum();
    if requests == 0 && metric != "requests" && metric != "rps" {
        return None;
    }
    let weighted = |value: fn(&TrafficRow) -> f64| {
        rows.iter().map(|t| value(t) * t.requests as f64).sum::<f64>() / requests as f64
    };
    let largest = |value: fn(&TrafficRow) -> f64| rows.iter().map(|t| value(t)).fold(0.0, f64::max);
    Some(match metric {
        "success_rate" => weighted(|t| t.success),
        "error_rate" => 1.0 - weighted(|t| t.success),
        "requests" => requests as f64,
        "rps" => rows.iter().map(|t| t.rps).sum(),
        "latency.min" => rows.iter().map(|t| t.latency.min_ms).fold(f64::INFINITY, f64::min),
        "latency.mean" => weighted(|t| t.latency.mean_ms),
        "latency.p50" => largest(|t| t.latency.p50_ms),
        "latency.p90" => largest(|t| t.latency.p90_ms),
        "latency.p95" => largest(|t| t.latency.p95_ms),
        "latency.p99" => largest(|t| t.latency.p99_ms),
        "latency.p999" => largest(|t| t.latency.p999_ms),
        "latency.max" => largest(|t| t.latency.max_ms),
        "attempts_per_request.mean" => weighted(|t| t.attempts_mean),
        "attempts_per_request.max" => largest(|t| f64::from(t.attempts_max)),
        _ => return None,
    })
}

/// A value in the unit of the condition.
pub(crate) fn shown(value: f64, condition: &Condition) -> String {
    match condition.unit {
        Unit::Percent => format!("{:.3}%", value * 100.0),
        Unit::Duration => format!("{value:.3}ms"),
        Unit::Rate => format!("{value:.3}/s"),
        Unit::Plain => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}
