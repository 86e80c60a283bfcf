//! Policy tests: does what is expected hold for every predicted outcome?
//!
//! Certainty is part of an expectation: `status: 200` fails when one outcome in ten thousand is a 503. Only `split`
//! speaks of shares. An unknown outcome makes the case unknown, unless `verdict: unknown` was expected.

mod header_match;
pub mod log_line;
mod packet_path;
mod rule;

use std::collections::BTreeMap;

use mesh_engine::record::{Hop, Side};
use mesh_engine::world::World;
use mesh_reports::checks::{KeyDifference, Status};
use mesh_reports::outcome::{Connection, HeaderMap, Outcome};

use crate::format::client::WorkloadRef;
use crate::format::policy::{ConnectionWord, ExpectWords, HeaderMatchWords, VerdictWord};
use crate::format::request::HeaderWords;
use crate::loaded::LoadedMesh;
use crate::predict::{Prediction, outbound_parts, same_host};

pub use log_line::entry as access_log_entry;
pub use packet_path::packet_path;

/// Instead of a header: there was no request (or answer) that could have had it.
const NO_MESSAGE: &str = "nothing arrives";

/// What an outcome amounts to.
#[must_use]
pub fn verdict(prediction: &Prediction) -> VerdictWord {
    let outcome = &prediction.outcome;
    if !outcome.unknown.is_empty() {
        return VerdictWord::Unknown;
    }
    if outcome.workload.is_some() {
        return VerdictWord::Allowed;
    }
    if prediction.record.hops.iter().any(denies) { VerdictWord::Denied } else { VerdictWord::Failed }
}

/// Whether a security decision ended the request at this hop.
fn denies(hop: &Hop) -> bool {
    let details = hop.details.as_deref().unwrap_or("");
    let by_policy = ["rbac_access_denied", "jwt_authn_access_denied"].iter().any(|d| details.starts_with(d));
    let connection = hop.connection_details.as_deref().is_some_and(|d| d.starts_with("rbac_access_denied"));
    // No chain for plaintext under STRICT, and handshakes that the server side refuses.
    let transport = hop.side == Side::Inbound
        && (details == "filter_chain_not_found" || hop.downstream_failure.is_some());
    by_policy || connection || transport
}

/// Judges the expectation; `differences` is empty when it holds.
#[must_use]
pub fn judge(
    expect: &ExpectWords,
    predictions: &[Prediction],
    mesh: &LoadedMesh,
) -> (Status, Vec<KeyDifference>, String) {
    let world = &*mesh.world;
    let wants_unknown = expect.verdict.as_ref().is_some_and(|v| v.value == VerdictWord::Unknown);
    let unknown = predictions.iter().flat_map(|p| &p.outcome.unknown).next();
    if let Some(unknown) = unknown.filter(|_| !wants_unknown) {
        let place = unknown.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
        return (Status::Unknown, Vec::new(), format!("{}{place}", unknown.what));
    }
    if predictions.is_empty() {
        return (Status::Unknown, Vec::new(), "nothing was predicted".to_owned());
    }
    let mut judge = Judge { predictions, world, differences: Vec::new() };
    judge.simple_keys(expect);
    judge.places(expect);
    judge.messages(expect);
    judge.settings(expect);
    judge.differences.extend(rule::differences(expect, predictions, mesh));
    let status = if judge.differences.is_empty() { Status::Passed } else { Status::Failed };
    (status, judge.differences, String::new())
}

struct Judge<'a> {
    predictions: &'a [Prediction],
    world: &'a World,
    differences: Vec<KeyDifference>,
}

impl Judge<'_> {
    /// Every outcome must give `expected` for this key.
    fn all(&mut self, key: &str, expected: &str, of: impl Fn(&Prediction) -> String) {
        self.all_that(key, expected, of, |got| got == expected);
    }

    fn all_that(
        &mut self,
        key: &str,
        expected: &str,
        of: impl Fn(&Prediction) -> String,
        fits: impl Fn(&str) -> bool,
    ) {
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for prediction in self.predictions {
            *shares.entry(of(prediction)).or_default() += prediction.p;
        }
        if shares.keys().all(|got| fits(got)) {
            return;
        }
        let got = match shares.len() {
            1 => shares.into_keys().next().unwrap_or_default(),
            _ => {
                shares.iter().map(|(v, p)| format!("{v} ({:.4}%)", p * 100.0)).collect::<Vec<_>>().join(", ")
            }
        };
        self.differences.push(KeyDifference { key: key.to_owned(), expected: expected.to_owned(), got });
    }

    fn simple_keys(&mut self, expect: &ExpectWords) {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        if let Some(want) = &expect.verdict {
            self.all("verdict", verdict_text(want.value), |p| verdict_text(verdict(p)).to_owned());
        }
        if let Some(want) = &expect.status {
            let of = |p: &Prediction| p.outcome.status.map_or_else(|| "none".to_owned(), |s| s.to_string());
            self.all("status", &want.value.to_string(), of);
        }
        if let Some(want) = &expect.connection {
            let want = connection(want.value);
            self.all_that(
                "connection",
                want.text(),
                |p| p.outcome.connection.text().to_owned(),
                |got| got == want.text(),
            );
        }
        let flags = |o: &Outcome| o.flags.clone().unwrap_or_else(|| "-".to_owned());
        if let Some(want) = &expect.flags {
            self.all("flags", if want.is_empty() { "-" } else { want }, |p| flags(&p.outcome));
        }
        if let Some(want) = &expect.details {
            self.all("details", want, |p| text(&p.outcome.details));
        }
        if let Some(want) = &expect.cluster {
            self.all("cluster", want, |p| text(&p.outcome.cluster));
        }
        if let Some(want) = &expect.route {
            self.all("route", want, |p| text(&p.outcome.route));
        }
        if let Some(want) = &expect.virtual_host {
            let of = |p: &Prediction| p.record.client_hop().and_then(|h| h.virtual_host.clone());
            self.all("virtualHost", want, |p| of(p).map_or_else(|| "none".to_owned(), |n| n.to_string()));
        }
        if let Some(want) = &expect.mtls {
            let of = |p: &Prediction| p.outcome.mtls.map_or_else(|| "none".to_owned(), |m| m.to_string());
            self.all("mtls", &want.value.to_string(), of);
        }
        if let Some(want) = &expect.body {
            self.all("body", want, |p| text(&p.outcome.body));
        }
        if let Some(want) = &expect.by {
            let of = |p: &Prediction| p.outcome.by.join(", ");
            self.all_that("by", want, of, |got| got.split(", ").any(|one| one == want.value));
        }
    }

    fn places(&mut self, expect: &ExpectWords) {
        fn cluster(p: &Prediction) -> &str {
            p.outcome.cluster.as_deref().unwrap_or("")
        }
        let part = |p: &Prediction, which: fn((u16, &str, &str)) -> String| {
            outbound_parts(cluster(p)).map(which).unwrap_or_else(|| "none".to_owned())
        };
        if let Some(want) = &expect.host {
            let of = |p: &Prediction| part(p, |(_, _, host)| host.to_owned());
            self.all_that("host", want, of, |got| same_host(want, got));
        }
        if let Some(want) = &expect.subset {
            self.all("subset", want, |p| part(p, |(_, subset, _)| subset.to_owned()));
        }
        if let Some(want) = &expect.workload {
            let of = |p: &Prediction| p.outcome.workload.clone().unwrap_or_else(|| "none".to_owned());
            let want_text = want.value.to_string();
            self.all_that("workload", &want_text, of, |got| is_workload(&want.value, got));
        }
        if let Some(want) = &expect.split {
            let mut shares: BTreeMap<String, f64> = want.value.keys().map(|k| (k.clone(), 0.0)).collect();
            for p in self.predictions {
                let subset = part(p, |(_, subset, _)| subset.to_owned());
                *shares.entry(subset).or_default() += p.p;
            }
            let wanted = |name: &String| want.value.get(name).map_or(0.0, |p| p.0);
            if shares.iter().any(|(name, share)| (share - wanted(name)).abs() > 1e-9) {
                let show = |list: Vec<(String, f64)>| {
                    list.iter().map(|(n, s)| format!("{n} {}%", s * 100.0)).collect::<Vec<_>>().join(", ")
                };
                self.differences.push(KeyDifference {
                    key: "split".to_owned(),
                    expected: show(want.value.iter().map(|(n, p)| (n.clone(), p.0)).collect()),
                    got: show(shares.into_iter().collect()),
                });
            }
        }
        if let Some(want) = &expect.hops {
            let of = |p: &Prediction| packet_path(&p.record, self.world).join(", ");
            let expected = want.value.join(", ");
            // The borrow of `self.world` ends before the differences are written.
            let paths: Vec<String> = self.predictions.iter().map(of).collect();
            if let Some(got) = paths.into_iter().find(|got| *got != expected) {
                self.differences.push(KeyDifference { key: "hops".to_owned(), expected, got });
            }
        }
    }

    fn messages(&mut self, expect: &ExpectWords) {
        if let Some(want) = &expect.upstream {
            let field = |pick: fn(&mesh_reports::outcome::Upstream) -> Option<String>| {
                move |p: &Prediction| {
                    p.outcome.upstream.as_ref().and_then(pick).unwrap_or_else(|| "none".to_owned())
                }
            };
            if let Some(method) = &want.method {
                self.all("upstream.method", method, field(|u| Some(u.method.clone())));
            }
            if let Some(path) = &want.path {
                self.all("upstream.path", path, field(|u| Some(u.path.clone())));
            }
            if let Some(authority) = &want.authority {
                self.all("upstream.authority", authority, field(|u| u.authority.clone()));
            }
            self.headers("upstream", &want.headers, |o| o.upstream.as_ref().map(|u| &u.headers));
            self.header_matches("upstream", &want.header_matches, |o| {
                o.upstream.as_ref().map(|u| &u.headers)
            });
        }
        if let Some(want) = &expect.response {
            self.headers("response", &want.headers, |o| o.response.as_ref().map(|r| &r.headers));
            self.header_matches("response", &want.header_matches, |o| {
                o.response.as_ref().map(|r| &r.headers)
            });
        }
    }

    fn headers(&mut self, part: &str, want: &HeaderWords, of: fn(&Outcome) -> Option<&HeaderMap>) {
        let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, value) in &want.0 {
            let lines = wanted.entry(name.to_ascii_lowercase()).or_default();
            if !value.is_empty() {
                lines.push(value);
            }
        }
        for (name, lines) in wanted {
            let got = |p: &Prediction| {
                let Some(headers) = of(&p.outcome) else { return NO_MESSAGE.to_owned() };
                let lines = headers.get(&name).map(|l| l.lines().join(" | "));
                lines.unwrap_or_else(|| "absent".to_owned())
            };
            let expected = if lines.is_empty() { "absent".to_owned() } else { lines.join(" | ") };
            self.all(&format!("{part}.headers.{name}"), &expected, got);
        }
    }

    fn header_matches(
        &mut self,
        part: &str,
        want: &BTreeMap<String, HeaderMatchWords>,
        of: fn(&Outcome) -> Option<&HeaderMap>,
    ) {
        for (name, words) in want {
            let low = name.to_ascii_lowercase();
            let shown = |p: &Prediction| {
                let Some(headers) = of(&p.outcome) else { return NO_MESSAGE.to_owned() };
                let value = headers.get(&low).map(|l| l.lines().join(","));
                value.unwrap_or_else(|| header_match::ABSENT.to_owned())
            };
            self.all_that(&format!("{part}.headerMatches.{low}"), &header_match::text(words), shown, |got| {
                got != NO_MESSAGE && header_match::holds(words, got)
            });
        }
    }

    fn settings(&mut self, expect: &ExpectWords) {
        let client = |p: &Prediction| p.record.client_hop().cloned();
        if let Some(want) = &expect.timeout {
            let ms = |ns: u64| format!("{}ms", ns as f64 / 1e6);
            let of = |p: &Prediction| client(p).map_or_else(|| "none".to_owned(), |h| ms(h.timeout_ns));
            self.all("timeout", &ms(want.value.0), of);
        }
        if let Some(want) = &expect.retries {
            let of = |p: &Prediction| client(p).map_or_else(|| "none".to_owned(), |h| h.retries.to_string());
            self.all("retries", &want.value.to_string(), of);
        }
        if let Some(want) = &expect.client_log {
            self.log("clientLog", want, |p| p.record.client_hop());
        }
        if let Some(want) = &expect.server_log {
            self.log("serverLog", want, |p| p.record.server_hop());
        }
    }

    fn log(&mut self, key: &str, want: &str, hop: fn(&Prediction) -> Option<&Hop>) {
        let world = self.world;
        let of = |p: &Prediction| {
            hop(p).map_or_else(|| "no line".to_owned(), |h| access_log_entry(h, &p.record, world).body())
        };
        self.all_that(key, want, of, |got| log_line::fits(want, got));
    }
}

/// Whether `ns/workload#ordinal` is what a reference means.
fn is_workload(want: &WorkloadRef, got: &str) -> bool {
    let Some(WorkloadRef::Name { namespace, name, ordinal }) = WorkloadRef::parse(got) else { return false };
    match want {
        WorkloadRef::Name { namespace: n, name: w, ordinal: o } => {
            let here = n.as_deref().unwrap_or("default") == namespace.as_deref().unwrap_or("default")
                || (n.is_none() && namespace.is_none());
            here && *w == name && o.is_none_or(|o| Some(o) == ordinal)
        }
        WorkloadRef::Labels { .. } => false,
    }
}

/// As `verdict:` spells it.
pub(crate) fn verdict_text(word: VerdictWord) -> &'static str {
    match word {
        VerdictWord::Allowed => "allowed",
        VerdictWord::Denied => "denied",
        VerdictWord::Failed => "failed",
        VerdictWord::Unknown => "unknown",
    }
}

fn connection(word: ConnectionWord) -> Connection {
    match word {
        ConnectionWord::Ok => Connection::Ok,
        ConnectionWord::Reset => Connection::Reset,
        ConnectionWord::Refused => Connection::Refused,
        ConnectionWord::Closed => Connection::Closed,
        ConnectionWord::Timeout => Connection::Timeout,
    }
}
