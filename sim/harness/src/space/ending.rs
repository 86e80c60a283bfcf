//! What becomes of a class, short enough to compare and to read: the outcomes by answer and destination, with shares.

use std::fmt;

use mesh_reports::outcome::Unknown;

use crate::expect::verdict;
use crate::format::policy::VerdictWord;
use crate::loaded::LoadedMesh;
use crate::predict::{Prediction, outbound_parts};

/// Shares closer than this are equal.
const SAME_SHARE: f64 = 1e-9;

/// Equal outcomes of one class, whichever pod of a workload answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// Probability, in (0, 1].
    pub p: f64,
    /// What it amounts to.
    pub verdict: VerdictWord,
    /// `200`, `503 UH`, `reset`.
    pub answer: String,
    /// Workload that answered (`ns/name`, `internet`), or empty.
    pub workload: String,
    /// Where the client's proxy sent it: `reviews.default.svc.cluster.local:9080 v2`, another cluster's name, or empty.
    pub destination: String,
    /// The server saw a peer identity; `None` = no server was reached.
    pub mtls: Option<bool>,
    /// The resource that denied it, or empty.
    pub denied_by: String,
    /// Mean time to the end of the request on an idle mesh, ns.
    pub duration_ns: f64,
    /// What the server got and the client got back, beyond the rest.
    pub messages: String,
    /// Not predictable, because of this.
    pub unknown: Option<Unknown>,
}

/// Where a class ends, most probable first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endings(pub Vec<Ending>);

impl Endings {
    /// Sums up predictions.
    #[must_use]
    pub fn of(predictions: &[Prediction], mesh: &LoadedMesh) -> Endings {
        let mut all: Vec<Ending> = Vec::new();
        for prediction in predictions {
            let one = ending(prediction, mesh);
            match all.iter_mut().find(|known| known.same(&one)) {
                Some(known) => {
                    let p = known.p + one.p;
                    known.duration_ns = (known.duration_ns * known.p + one.duration_ns * one.p) / p;
                    known.p = p;
                }
                None => all.push(one),
            }
        }
        all.sort_by(|a, b| b.p.total_cmp(&a.p).then_with(|| a.order().cmp(&b.order())));
        Endings(all)
    }

    /// Probability of what `fits`.
    #[must_use]
    pub fn share(&self, fits: impl Fn(&Ending) -> bool) -> f64 {
        self.0.iter().filter(|e| fits(e)).map(|e| e.p).sum()
    }

    /// The first reason why this is no prediction.
    #[must_use]
    pub fn unknown(&self) -> Option<&Unknown> {
        self.0.iter().find_map(|e| e.unknown.as_ref())
    }

    /// Mean time to the end, ns.
    #[must_use]
    pub fn duration_ns(&self) -> f64 {
        self.0.iter().map(|e| e.p * e.duration_ns).sum()
    }

    /// Whether nobody could tell the two apart.
    #[must_use]
    pub fn same(&self, other: &Endings) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|mine| {
                other.0.iter().any(|theirs| {
                    mine.same(theirs)
                        && (mine.p - theirs.p).abs() < SAME_SHARE
                        && (mine.duration_ns - theirs.duration_ns).abs() < 0.5
                })
            })
    }
}

impl Ending {
    /// Equal but for share and time.
    fn same(&self, other: &Ending) -> bool {
        let key = |e: &Ending| Ending { p: 0.0, duration_ns: 0.0, ..e.clone() };
        key(self) == key(other)
    }

    fn order(&self) -> (&str, &str, &str, &str) {
        (&self.answer, &self.workload, &self.destination, &self.messages)
    }
}

/// `200 from default/reviews-v1 via reviews.default.svc.cluster.local:9080 v1, mTLS 90%`
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(unknown) = &self.unknown {
            write!(f, "unknown: {}", unknown.what)?;
        } else {
            write!(f, "{}", self.answer)?;
            if !self.workload.is_empty() {
                write!(f, " from {}", self.workload)?;
            }
            if !self.destination.is_empty() {
                write!(f, " via {}", self.destination)?;
            }
            match self.mtls {
                Some(true) => write!(f, ", mTLS")?,
                Some(false) => write!(f, ", plaintext")?,
                None => {}
            }
            if !self.denied_by.is_empty() {
                write!(f, ", denied by {}", self.denied_by)?;
            }
        }
        if self.p < 1.0 - SAME_SHARE {
            let share = format!("{:.4}", self.p * 100.0);
            write!(f, " {}%", share.trim_end_matches('0').trim_end_matches('.'))?;
        }
        Ok(())
    }
}

fn ending(prediction: &Prediction, mesh: &LoadedMesh) -> Ending {
    let outcome = &prediction.outcome;
    let verdict = verdict(prediction);
    let flags = outcome.flags.as_deref().filter(|f| *f != "-").map(|f| format!(" {f}")).unwrap_or_default();
    let answer = match outcome.status {
        Some(status) => format!("{status}{flags}"),
        None => format!("{}{flags}", outcome.connection.text()),
    };
    let cluster = outcome.cluster.as_deref().unwrap_or("");
    let destination = match outbound_parts(cluster) {
        Some((port, "", host)) => format!("{host}:{port}"),
        Some((port, subset, host)) => format!("{host}:{port} {subset}"),
        None => cluster.to_owned(),
    };
    let workload = outcome.workload.as_deref().unwrap_or("");
    let denied_by = match verdict {
        VerdictWord::Denied => {
            let hops = prediction.record.hops.iter().rev();
            hops.filter_map(|h| mesh.decision(h)).map(|(object, _)| object.to_string()).next()
        }
        _ => None,
    };
    let client = prediction.record.client_hop();
    let settings = client.map(|h| (h.timeout_ns, h.retries));
    Ending {
        p: prediction.p,
        verdict,
        answer,
        workload: workload.split_once('#').map_or(workload, |(name, _)| name).to_owned(),
        destination,
        mtls: outcome.mtls,
        denied_by: denied_by.unwrap_or_default(),
        duration_ns: prediction.record.end_ns.saturating_sub(prediction.record.start_ns) as f64,
        messages: messages(prediction, settings),
        unknown: outcome.unknown.first().cloned(),
    }
}

/// The request as the server saw it, the answer's headers and body, timeout and retries.
fn messages(prediction: &Prediction, settings: Option<(u64, u32)>) -> String {
    let outcome = &prediction.outcome;
    let mut parts = Vec::new();
    if let Some(upstream) = &outcome.upstream {
        let authority = upstream.authority.as_deref().unwrap_or("-");
        parts.push(format!("{} {authority} {}", upstream.method, upstream.path));
        parts.extend(upstream.headers.iter().map(|(n, v)| format!("{n}: {}", v.lines().join(", "))));
    }
    if let Some(response) = &outcome.response {
        parts.extend(response.headers.iter().map(|(n, v)| format!("<{n}: {}", v.lines().join(", "))));
    }
    parts.extend(outcome.body.clone());
    let mirrors = outcome.received.iter().map(|r| {
        let workload = r.workload.split('#').next().unwrap_or("");
        format!("{} {} to {workload} x{}", r.method, r.path, r.times)
    });
    parts.extend(mirrors);
    parts.extend(settings.map(|(timeout, retries)| format!("timeout {timeout} ns, {retries} retries")));
    parts.join("\n")
}
