//! Gates over kept requests: edges, counts, sequences, log lines, ejections, denials, windowed metrics.

use mesh_engine::record::{Hop, RequestRecord};
use mesh_reports::outcome::Connection;

use super::{Evidence, Finding, inside, shown};
use crate::format::client::WorkloadRef;
use crate::format::gate::{GateWords, KindWords, Window};
use crate::outcome::connection;
use crate::report::{client_hops, latency, ms, requests, workload_of};

pub(super) fn judge(words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    if let Some(reference) = &words.ejected {
        return ejected(&reference.value, words, evidence);
    }
    if let Some(edge) = &words.edge {
        let count = requests(evidence.runs)
            .flat_map(client_hops)
            .filter(|h| pod_of(h, evidence).is_some_and(|p| refers(&edge.from.value, &p, evidence)))
            .filter(|h| h.upstream_workload.as_deref().is_some_and(|p| refers(&edge.to.value, p, evidence)))
            .count();
        return conditioned(count as f64, words);
    }
    if let Some(kind) = &words.count {
        return conditioned(matching(kind, words, evidence).count() as f64, words);
    }
    if let Some(kind) = &words.only {
        let all = in_scope(kind, words, evidence).count();
        let fits = matching(kind, words, evidence).count();
        return Finding::of(all > 0 && fits == all, format!("{fits} of {all} requests"), "all of them");
    }
    if let Some(kind) = &words.never {
        return never(kind, words, evidence);
    }
    if let Some(sequence) = &words.sequence {
        return rotation(&sequence.traffic.value, sequence.alternates, evidence);
    }
    if let Some(log) = &words.log {
        let count = requests(evidence.runs)
            .flat_map(|r| &r.hops)
            .filter(|h| pod_of(h, evidence).is_some_and(|p| refers(&log.proxy.value, &p, evidence)))
            .filter(|h| log.flags.as_ref().is_none_or(|f| has_flags(f, &h.flags.text())))
            .filter(|h| log.details.as_ref().is_none_or(|d| h.details.as_deref() == Some(d.as_str())))
            .filter(|h| log.status.is_none_or(|s| h.code == Some(s)))
            .count();
        return conditioned(count as f64, words);
    }
    if words.denied.is_some() {
        return denied(words, evidence);
    }
    Finding::unknown("the gate names nothing to judge")
}

fn conditioned(value: f64, words: &GateWords) -> Finding {
    match &words.condition {
        Some(condition) => Finding::of(
            condition.value.holds(value),
            shown(value, &condition.value),
            condition.value.text.clone(),
        ),
        None => Finding::of(value > 0.0, format!("{value}"), "> 0"),
    }
}

fn pod_of(hop: &Hop, evidence: &Evidence<'_>) -> Option<String> {
    let world = &evidence.mesh.world;
    Some(world.pod(world.proxy(hop.proxy)?.pod)?.reference.to_string())
}

/// Whether a reference means a pod (`ns/workload#ordinal`); pods that came later count by their workload.
fn refers(reference: &WorkloadRef, pod: &str, evidence: &Evidence<'_>) -> bool {
    if evidence.mesh.directory.find(reference).iter().any(|p| p.reference.as_ref() == pod) {
        return true;
    }
    match reference {
        WorkloadRef::Name { namespace, name, ordinal: None } => {
            workload_of(pod) == format!("{}/{name}", namespace.as_deref().unwrap_or("default"))
        }
        _ => false,
    }
}

fn traffic_is(record: &RequestRecord, name: Option<&str>, evidence: &Evidence<'_>) -> bool {
    name.is_none_or(|name| {
        evidence.report.traffic.get(record.traffic as usize).is_some_and(|t| t.name == name)
    })
}

fn in_scope<'a>(
    kind: &'a KindWords,
    words: &'a GateWords,
    evidence: &'a Evidence<'a>,
) -> impl Iterator<Item = &'a RequestRecord> {
    let name = kind.traffic.as_ref().or(words.traffic.as_ref()).map(|t| t.value.as_str());
    requests(evidence.runs)
        .filter(move |r| traffic_is(r, name, evidence))
        .filter(move |r| words.window.is_none_or(|w| inside(w, ms(r.start_ns))))
}

fn matching<'a>(
    kind: &'a KindWords,
    words: &'a GateWords,
    evidence: &'a Evidence<'a>,
) -> impl Iterator<Item = &'a RequestRecord> {
    in_scope(kind, words, evidence).filter(move |r| is_kind(r, kind))
}

fn is_kind(record: &RequestRecord, kind: &KindWords) -> bool {
    let hop = record.client_hop().or_else(|| record.server_hop());
    let flags = hop.map_or_else(|| "-".to_owned(), |h| h.flags.text());
    let details = hop.and_then(|h| h.details.as_deref()).unwrap_or("-");
    let end = match connection(record.fate) {
        Connection::Ok => "ok",
        Connection::Reset => "reset",
        Connection::Refused => "refused",
        Connection::Closed => "closed",
        Connection::Timeout => "timeout",
    };
    kind.status.is_none_or(|s| record.status() == Some(s))
        && kind.flags.as_ref().is_none_or(|f| has_flags(f, &flags))
        && kind.details.as_ref().is_none_or(|d| d == details)
        && kind.connection.as_ref().is_none_or(|c| c == end)
}

/// A single flag matches lines that contain it, several match exactly.
fn has_flags(wanted: &str, flags: &str) -> bool {
    wanted == flags || (!wanted.contains(',') && flags.split(',').any(|f| f == wanted))
}

fn never(kind: &KindWords, words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    if let Some(reference) = &kind.ejected {
        let times =
            evidence.report.ejections.iter().filter(|e| refers(&reference.value, &e.host, evidence)).count();
        return Finding::of(times == 0, format!("ejected {times} times"), "never");
    }
    let count = matching(kind, words, evidence).count();
    Finding::of(count == 0, format!("{count} requests"), "none")
}

fn rotation(traffic: &str, expected: bool, evidence: &Evidence<'_>) -> Finding {
    let pods: Vec<&str> = requests(evidence.runs)
        .filter(|r| traffic_is(r, Some(traffic), evidence))
        .filter_map(|r| r.workload.as_deref())
        .collect();
    let mut distinct: Vec<&str> = pods.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let n = distinct.len();
    let strict = n > 1 && pods.len() > n && pods.windows(n + 1).all(|w| w.first() == w.last()) && {
        let mut first: Vec<&str> = pods.iter().take(n).copied().collect();
        first.sort_unstable();
        first == distinct
    };
    let word = |yes: bool| if yes { "a strict rotation" } else { "no strict rotation" };
    Finding::of(
        strict == expected && pods.len() > n,
        format!("{} over {n} pods in {} requests", word(strict), pods.len()),
        word(expected),
    )
}

fn ejected(reference: &WorkloadRef, words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    let hits: Vec<String> = evidence
        .report
        .ejections
        .iter()
        .filter(|e| refers(reference, &e.host, evidence))
        .filter(|e| words.by.as_ref().is_none_or(|by| refers(&by.value, &e.by, evidence)))
        .map(|e| format!("{:.3}s", e.at_ms / 1000.0))
        .collect();
    let in_time = evidence
        .report
        .ejections
        .iter()
        .filter(|e| refers(reference, &e.host, evidence))
        .filter(|e| words.by.as_ref().is_none_or(|by| refers(&by.value, &e.by, evidence)))
        .any(|e| words.within.is_none_or(|w| inside(w, e.at_ms)));
    let got =
        if hits.is_empty() { "never ejected".to_owned() } else { format!("ejected at {}", hits.join(", ")) };
    let until =
        |w: Window| w.until.map_or_else(|| "the end".to_owned(), |u| format!("{:.3}s", u.0 as f64 / 1e9));
    let expected = words.within.map_or_else(
        || "ejected".to_owned(),
        |w| format!("ejected between {:.3}s and {}", w.from.0 as f64 / 1e9, until(w)),
    );
    Finding::of(in_time, got, expected)
}

fn denied(words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    let Some(kind) = &words.denied else { return Finding::unknown("no `denied`") };
    let name = kind.traffic.as_ref().or(words.traffic.as_ref()).map(|t| t.value.as_str());
    let (mut all, mut hit) = (0_u64, 0_u64);
    for record in requests(evidence.runs).filter(|r| traffic_is(r, name, evidence)) {
        all += 1;
        let by_wanted = |hop: &Hop| {
            crate::report::denied(hop)
                && kind.by.as_ref().is_none_or(|by| {
                    evidence.mesh.decision(hop).is_some_and(|(object, _)| object.to_string() == by.value)
                })
        };
        hit += u64::from(record.hops.iter().any(by_wanted));
    }
    let share = if all == 0 { 0.0 } else { hit as f64 / all as f64 };
    let expected = kind.share.map_or_else(|| "> 0".to_owned(), |s| format!("{:.3}%", s.0 * 100.0));
    let holds = kind.share.map_or(hit > 0, |s| (share - s.0).abs() < 1e-9);
    Finding::of(holds && all > 0, format!("{hit} of {all} requests ({:.3}%)", share * 100.0), expected)
}

/// A metric over requests that begin in a window.
pub(super) fn windowed_metric(
    metric: &str,
    traffic: Option<&str>,
    window: Window,
    evidence: &Evidence<'_>,
) -> Option<f64> {
    let records: Vec<&RequestRecord> = requests(evidence.runs)
        .filter(|r| traffic_is(r, traffic, evidence) && inside(window, ms(r.start_ns)))
        .collect();
    if records.is_empty() {
        return (metric == "requests").then_some(0.0);
    }
    let n = records.len() as f64;
    let good = records.iter().filter(|r| r.status().map_or(r.answer.is_some(), |s| s < 500)).count() as f64;
    let mut times: Vec<u64> = records.iter().map(|r| r.end_ns.saturating_sub(r.start_ns)).collect();
    let attempts = || records.iter().filter_map(|r| r.client_hop()).map(|h| f64::from(h.attempts));
    let latency = latency(&mut times);
    Some(match metric {
        "success_rate" => good / n,
        "error_rate" => 1.0 - good / n,
        "requests" => n,
        "rps" => n / window.until.map_or(1.0, |u| (u.0 - window.from.0) as f64 / 1e9).max(1e-9),
        "latency.min" => latency.min_ms,
        "latency.mean" => latency.mean_ms,
        "latency.p50" => latency.p50_ms,
        "latency.p90" => latency.p90_ms,
        "latency.p95" => latency.p95_ms,
        "latency.p99" => latency.p99_ms,
        "latency.p999" => latency.p999_ms,
        "latency.max" => latency.max_ms,
        "attempts_per_request.mean" => attempts().sum::<f64>() / n,
        "attempts_per_request.max" => attempts().fold(0.0, f64::max),
        _ => return None,
    })
}
