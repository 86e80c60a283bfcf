//! One request of a run over time, recorded or simulated, in the same words.

use std::collections::{BTreeMap, BTreeSet};

use mesh_engine::record::{Fate, Hop, LogKind, RequestRecord, Side, Try, TryAction};
use mesh_engine::stats::{EjectionKind, RunRecord};

/// What one request came to. Values of keys are texts; a key that is absent was not observed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Traffic and number: the identity of the request.
    pub id: (String, u64),
    /// Planned arrival, ms.
    pub planned_ms: f64,
    /// How much later than planned the client began, ms.
    pub late_ms: f64,
    /// From the beginning to the end, ms.
    pub lasted_ms: f64,
    /// Discrete results by key.
    pub values: BTreeMap<&'static str, String>,
    /// What servers saw of the request itself (no copies), in order.
    pub tries: Vec<TryRow>,
}

/// A try as its server saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct TryRow {
    /// Server, `ns/workload#ordinal`.
    pub workload: String,
    /// Anything but an answer below 500.
    pub failed: bool,
    /// Complete at the server, ms.
    pub at_ms: f64,
    /// Answered, or ended by the peer first, ms; `None` = neither.
    pub end_ms: Option<f64>,
}

/// Whether what a server did (`200`, `reset`, `gone` …) is a failure of its.
pub(super) fn is_failure(action: &str) -> bool {
    !action.parse::<u16>().is_ok_and(|status| status < 500)
}

/// An ejection with its end.
#[derive(Debug, Clone, PartialEq)]
pub struct EjectionRow {
    /// Host, `ns/workload#ordinal`.
    pub workload: String,
    /// Whose detector, `ns/workload#ordinal`.
    pub by: String,
    /// Begin, ms.
    pub from_ms: f64,
    /// End, ms; `None` = still out when the run ended.
    pub until_ms: Option<f64>,
    /// n-th ejection of the host by this detector.
    pub num: u32,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Requests by identity.
    pub rows: Vec<Row>,
    /// Ejections in order of time.
    pub ejections: Vec<EjectionRow>,
    /// What client proxies counted of refusals and retries: `pod cluster statistic`, in Envoy's words; 0 where absent.
    pub statistics: BTreeMap<String, u64>,
    /// The pods whose proxies' statistics were kept; of simulated runs none, they keep all.
    pub counting: BTreeSet<String>,
}

/// The statistics that are compared.
pub(super) const STATISTICS: [&str; 6] = [
    "upstream_cx_overflow",
    "upstream_rq_pending_overflow",
    "upstream_rq_active_overflow",
    "upstream_rq_retry_overflow",
    "upstream_rq_retry",
    "outlier_detection.ejections_overflow",
];

/// Text of a value that is null or nothing.
pub(super) const NONE: &str = "none";

/// The simulated run in these words. `pod_of_proxy` names the pod of a proxy as references do.
#[must_use]
pub fn simulated(record: &RunRecord, pod_of_proxy: &dyn Fn(u32) -> String) -> Run {
    let mut rows: Vec<Row> = record.requests.iter().map(|r| row(record, r, pod_of_proxy)).collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Run {
        rows,
        ejections: ejections(record, pod_of_proxy),
        statistics: statistics(record, pod_of_proxy),
        counting: BTreeSet::new(),
    }
}

fn statistics(record: &RunRecord, pod_of_proxy: &dyn Fn(u32) -> String) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for edge in &record.edges {
        let [connections, pending, requests, retries] = edge.overflow;
        let values = [connections, pending, requests, retries, edge.retries, edge.blocked_ejections];
        for (name, value) in STATISTICS.iter().zip(values).filter(|(_, value)| *value > 0) {
            let key = format!("{} {} {name}", pod_of_proxy(edge.proxy.0), edge.cluster);
            *all.entry(key).or_default() += value;
        }
    }
    all
}

fn row(run: &RunRecord, r: &RequestRecord, pod_of_proxy: &dyn Fn(u32) -> String) -> Row {
    let traffic = run.traffic.get(r.traffic as usize).map(|t| t.name.to_string()).unwrap_or_default();
    let ms = |ns: u64| ns as f64 / 1e6;
    let text = |v: Option<String>| v.unwrap_or_else(|| NONE.to_owned());
    let mut values = BTreeMap::new();
    values.insert("status", text(r.status().map(|s| s.to_string())));
    values.insert("connection", connection(r.fate).to_owned());
    values.insert("workload", text(r.workload.as_ref().map(ToString::to_string)));
    // As with the recorder, a request that never became one has no line.
    let line = r.client_hop().filter(|h| h.kind == LogKind::Http);
    let logged = |value: &dyn Fn(&Hop) -> Option<String>| text(line.and_then(value));
    values.insert("flags", logged(&|hop| Some(hop.flags.text())));
    values.insert("details", logged(&|hop| hop.details.as_ref().map(ToString::to_string)));
    values.insert("attempts", logged(&|hop| Some(hop.attempts.to_string())));
    values.insert("cluster", logged(&|hop| hop.cluster_name.as_ref().map(ToString::to_string)));
    let own: Vec<&Try> = r.tries.iter().filter(|t| !t.shadow).collect();
    let shadows: Vec<&Try> = r.tries.iter().filter(|t| t.shadow).collect();
    values.insert("tries", join(own.iter().map(|t| format!("{} {}", t.workload, action(t)))));
    values.insert("connections", join(own.iter().map(|t| format!("{} {}", t.workload, t.connection))));
    values.insert("copies", join(shadows.iter().map(|t| action(t))));
    let timeout = own.first().and_then(|t| t.header("x-envoy-expected-rq-timeout-ms"));
    values.insert("first timeout", text(timeout.map(str::to_owned)));
    let server = r.hops.iter().filter(|h| h.side == Side::Inbound).map(|h| server_line(h, pod_of_proxy));
    values.insert("server", join(server));
    let tries = own.iter().map(|t| TryRow {
        workload: t.workload.to_string(),
        failed: is_failure(&action(t)),
        at_ms: ms(t.at_ns),
        end_ms: t.done_ns.or(t.cut_ns).map(ms),
    });
    Row {
        id: (traffic, r.number),
        planned_ms: ms(r.start_ns),
        late_ms: 0.0,
        lasted_ms: ms(r.end_ns - r.start_ns),
        values,
        tries: tries.collect(),
    }
}

fn server_line(hop: &Hop, pod_of_proxy: &dyn Fn(u32) -> String) -> String {
    format!("{} {} {} {}", pod_of_proxy(hop.proxy.0), hop.code.unwrap_or(0), hop.flags.text(), hop.attempts)
}

pub(super) fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn connection(fate: Fate) -> &'static str {
    match fate {
        Fate::Ok => "ok",
        Fate::Reset => "reset",
        Fate::Refused => "refused",
        Fate::Closed => "closed",
        Fate::Timeout => "timeout",
        Fate::ClientClosed => "client-closed",
    }
}

fn action(t: &Try) -> String {
    match t.action {
        TryAction::Status(status) => status.to_string(),
        // The recorder has one word for both resets.
        TryAction::Reset | TryAction::ResetStream => "reset".into(),
        TryAction::Close => "close".into(),
        TryAction::Truncate => "truncate".into(),
        TryAction::Hang => "hang".into(),
        TryAction::Gone => "gone".into(),
        TryAction::Pending => "pending".into(),
        TryAction::Line => "line".into(),
    }
}

fn ejections(record: &RunRecord, pod_of_proxy: &dyn Fn(u32) -> String) -> Vec<EjectionRow> {
    let mut rows: Vec<EjectionRow> = Vec::new();
    for event in &record.ejections {
        let (workload, by) = (event.host.to_string(), pod_of_proxy(event.proxy.0));
        let at_ms = event.at_ns as f64 / 1e6;
        match &event.kind {
            EjectionKind::Eject { enforced: true, count, .. } => {
                rows.push(EjectionRow { workload, by, from_ms: at_ms, until_ms: None, num: *count });
            }
            EjectionKind::Eject { .. } => {}
            EjectionKind::Return => {
                let open = rows
                    .iter_mut()
                    .rev()
                    .find(|r| r.workload == workload && r.by == by && r.until_ms.is_none());
                if let Some(row) = open {
                    row.until_ms = Some(at_ms);
                }
            }
        }
    }
    rows
}
