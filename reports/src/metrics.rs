//! The run's metrics under Istio's standard names, as Prometheus text and OpenMetrics.
//!
//! Names, labels and buckets: istio/proxy `istio_stats.cc`, Envoy `histogram_impl.cc` (research/ecosystem 1f).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Envoy's default histogram buckets.
pub const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// A histogram over [`BUCKETS`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Histogram {
    /// Observations per bucket (not cumulative); the last element is +Inf.
    pub counts: Vec<u64>,
    /// Sum of observations.
    pub sum: f64,
}

impl Histogram {
    /// Takes one observation.
    pub fn observe(&mut self, value: f64) {
        self.counts.resize(BUCKETS.len() + 1, 0);
        let bucket = BUCKETS.iter().position(|&le| value <= le).unwrap_or(BUCKETS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }
}

/// One label set of Istio's request metrics, at one point in simulated time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// `reporter`, `source_workload`, `destination_service`, `response_code` … in name order.
    pub labels: BTreeMap<String, String>,
    /// `istio_requests_total`
    pub requests: u64,
    /// `istio_request_duration_milliseconds`
    pub duration_ms: Histogram,
    /// `istio_request_bytes`
    pub request_bytes: Histogram,
    /// `istio_response_bytes`
    pub response_bytes: Histogram,
}

/// Series at one point in time; counters are cumulative from the start of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scrape {
    /// Simulated time, ms.
    pub at_ms: f64,
    /// Series in label order.
    pub series: Vec<Series>,
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn label_text(labels: &BTreeMap<String, String>, extra: Option<(&str, &str)>) -> String {
    let mut parts: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
    if let Some((k, v)) = extra {
        parts.push(format!("{k}=\"{v}\""));
    }
    format!("{{{}}}", parts.join(","))
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value}") }
}

/// Prometheus text format 0.0.4: the last scrape, without timestamps.
#[must_use]
pub fn prometheus(scrapes: &[Scrape]) -> String {
    let last: Vec<&Scrape> = scrapes.last().into_iter().collect();
    families(&last, "istio_requests_total", false)
}

/// OpenMetrics text with virtual timestamps (seconds from `epoch_s` on), for `promtool tsdb create-blocks-from openmetrics`.
#[must_use]
pub fn openmetrics(scrapes: &[Scrape], epoch_s: u64) -> String {
    let all: Vec<&Scrape> = scrapes.iter().collect();
    let mut out = families_at(&all, "istio_requests", true, Some(epoch_s));
    out.push_str("# EOF\n");
    out
}

fn families(scrapes: &[&Scrape], counter: &str, open: bool) -> String {
    families_at(scrapes, counter, open, None)
}

type Pick = fn(&Series) -> &Histogram;

fn families_at(scrapes: &[&Scrape], counter: &str, open: bool, epoch_s: Option<u64>) -> String {
    let mut out = format!("# HELP {counter} Requests, predicted.\n# TYPE {counter} counter\n");
    for_each(scrapes, epoch_s, |series, stamp| {
        let _ = writeln!(
            out,
            "istio_requests_total{} {}{stamp}",
            label_text(&series.labels, None),
            series.requests
        );
    });
    let histograms: [(&str, &str, Pick); 3] = [
        ("istio_request_duration_milliseconds", "Duration of requests, predicted.", |s| &s.duration_ms),
        ("istio_request_bytes", "Size of request bodies, predicted.", |s| &s.request_bytes),
        ("istio_response_bytes", "Size of response bodies, predicted.", |s| &s.response_bytes),
    ];
    for (name, help, pick) in histograms {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        for_each(scrapes, epoch_s, |series, stamp| {
            histogram(&mut out, name, series, pick(series), open, stamp)
        });
    }
    out
}

/// Series of all scrapes, one label set after the other (OpenMetrics wants a series' points together).
fn for_each(scrapes: &[&Scrape], epoch_s: Option<u64>, mut each: impl FnMut(&Series, &str)) {
    let mut sets: Vec<&BTreeMap<String, String>> =
        scrapes.iter().flat_map(|s| s.series.iter().map(|x| &x.labels)).collect();
    sets.sort();
    sets.dedup();
    for labels in sets {
        for scrape in scrapes {
            if let Some(series) = scrape.series.iter().find(|s| &s.labels == labels) {
                let stamp =
                    epoch_s.map_or_else(String::new, |e| format!(" {:.3}", e as f64 + scrape.at_ms / 1000.0));
                each(series, &stamp);
            }
        }
    }
}

fn histogram(out: &mut String, name: &str, series: &Series, h: &Histogram, open: bool, stamp: &str) {
    let mut total = 0;
    for (i, le) in BUCKETS
        .iter()
        .map(|b| if open && b.fract() == 0.0 { format!("{b:.1}") } else { number(*b) })
        .chain(["+Inf".to_owned()])
        .enumerate()
    {
        total += h.counts.get(i).copied().unwrap_or(0);
        let _ =
            writeln!(out, "{name}_bucket{} {total}{stamp}", label_text(&series.labels, Some(("le", &le))));
    }
    let _ = writeln!(out, "{name}_sum{} {}{stamp}", label_text(&series.labels, None), number(h.sum));
    let _ = writeln!(out, "{name}_count{} {total}{stamp}", label_text(&series.labels, None));
}
