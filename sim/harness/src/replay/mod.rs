//! Access logs of the past, asked again of a proposed configuration.
//!
//! Lines of client-side proxies (sidecars' outbound lines, gateways) are requests; the server side of the same requests
//! is left out. What an application answered is its own: compared is whether a request arrives, through which cluster,
//! and what a proxy answers itself. Headers and tokens are not in the log: where a decision looks at them and differs
//! from the log, the request is unknown.

mod line;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use mesh_config::source::Span;
use mesh_core::cx::Step;
use mesh_reports::replay::{LeftOut, ReplayReport, ReplayedRequest};
use rayon::prelude::*;

use crate::format::client::{Client, GatewayClient, WorkloadRef};
use crate::format::request::{HeaderWords, Request, RequestWords};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{client_request, sender};
use crate::predict::{Prediction, outbound_parts, predict};
use line::{Line, parse};

/// Lines with the same request and end.
#[derive(Debug, Clone)]
struct Group {
    line: Line,
    lines: u64,
    first: String,
}

/// Asks every request of the logs (name and text) again. `from` is the sender of lines without a prefix.
#[must_use]
pub fn replay(mesh: &LoadedMesh, logs: &[(String, String)], from: Option<&Client>) -> ReplayReport {
    let mut report = ReplayReport::default();
    let mut left: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut groups: BTreeMap<Line, Group> = BTreeMap::new();
    for (name, text) in logs {
        for (number, raw) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let Some(mut line) = parse(raw) else {
                *left.entry("no access-log line in Istio's text or JSON format").or_default() += 1;
                continue;
            };
            if line.cluster.as_deref().is_some_and(|c| c.starts_with("inbound|")) {
                *left.entry("the server side of a request").or_default() += 1;
                continue;
            }
            // What an application answered, and ports of clients, tell nothing apart; 401 and 403 may be a proxy's.
            if matches!(End::of_line(&line), End::Arrived(_)) && !may_be_refused(line.code) {
                (line.code, line.flags) = (200, None);
            }
            line.downstream_remote = address(line.downstream_remote.as_ref()).map(|a| a.ip().to_string());
            line.upstream_host = line.upstream_host.map(|_| "reached".to_owned());
            let first = format!("{name}:{}", number + 1);
            groups.entry(line.clone()).or_insert(Group { line, lines: 0, first }).lines += 1;
        }
    }
    let groups: Vec<Group> = groups.into_values().collect();
    let judged: Vec<Judged> = groups.par_iter().map(|g| judge(mesh, g, from)).collect();
    for (group, judged) in groups.iter().zip(judged) {
        match judged {
            Judged::LeftOut(why) => *left.entry(why).or_default() += group.lines,
            Judged::Same => report.same += group.lines,
            Judged::Different(request) => report.different.push(*request),
            Judged::Unknown(request) => report.unknown.push(*request),
        }
    }
    let most_first = |list: &mut Vec<ReplayedRequest>| {
        list.sort_by(|a, b| (b.lines, &a.request, &a.from).cmp(&(a.lines, &b.request, &b.from)));
    };
    most_first(&mut report.different);
    most_first(&mut report.unknown);
    let asked = |list: &[ReplayedRequest]| list.iter().map(|r| r.lines).sum::<u64>();
    report.replayed = report.same + asked(&report.different) + asked(&report.unknown);
    report.left_out = left.into_iter().map(|(why, lines)| LeftOut { why: why.to_owned(), lines }).collect();
    report
}

enum Judged {
    LeftOut(&'static str),
    Same,
    Different(Box<ReplayedRequest>),
    Unknown(Box<ReplayedRequest>),
}

fn judge(mesh: &LoadedMesh, group: &Group, from: Option<&Client>) -> Judged {
    let line = &group.line;
    let client = match line.proxy.as_deref() {
        Some(proxy) => of_proxy(mesh, proxy, line),
        None => from.map(|client| with_source(client, line)),
    };
    let Some(client) = client else {
        return Judged::LeftOut("no sender: the manifests have no such proxy (or give --from)");
    };
    let Some(words) = request(line, matches!(client, Client::Gateway(_))) else {
        return Judged::LeftOut("a connection whose destination the log does not name");
    };
    let shown = (client_words(&client), request_words(&words));
    let predictions = sender(&client, Span::NONE, &mesh.directory, &mesh.clients)
        .map_err(|d| d.message)
        .and_then(|sender| {
            let lowered = client_request(&Request { words }, &sender, &mesh.directory)?;
            predict(mesh, &sender, &lowered, &Behaviors::default(), true)
        });
    let Ok(predictions) = predictions else {
        return Judged::LeftOut("a request that cannot be sent again");
    };
    let item = |kind: &str, decided_by: String| {
        Box::new(ReplayedRequest {
            kind: kind.to_owned(),
            from: shown.0.clone(),
            request: shown.1.clone(),
            was: End::of_line(line).text(),
            now: ends(&predictions),
            lines: group.lines,
            first: group.first.clone(),
            decided_by,
        })
    };
    if let Some(unknown) = predictions.iter().flat_map(|p| &p.outcome.unknown).next() {
        let place = unknown.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
        return Judged::Unknown(item("unknown", format!("{}{place}", unknown.what)));
    }
    let was = End::of_line(line);
    let now: Vec<End> = predictions.iter().map(End::of_prediction).collect();
    // The client's side of the log shows what the server's proxy answered as if it came from the application.
    let refused = |p: &Prediction| {
        let hop = p.record.client_hop();
        p.refused_by_server().is_some()
            && hop.is_some_and(|h| {
                h.code == Some(line.code) && h.cluster_name.as_deref() == line.cluster.as_deref()
            })
    };
    if matches!(was, End::Arrived(_)) && predictions.iter().any(refused) {
        return Judged::Same;
    }
    if now.contains(&was) {
        if matches!(was, End::Arrived(_)) && may_be_refused(line.code) {
            let why =
                format!("the log does not tell whether the application or a policy answered {}", line.code);
            return Judged::Unknown(item("unknown", why));
        }
        return Judged::Same;
    }
    if let Some(why) = not_in_log(mesh, &predictions, line) {
        return Judged::Unknown(item("unknown", why));
    }
    let kind = match (&was, now.iter().any(|e| matches!(e, End::Arrived(_)))) {
        (End::Arrived(_), true) => "rerouted",
        (End::Arrived(_), false) => "lost",
        (End::Ended { .. }, true) => "gained",
        (End::Ended { .. }, false) => "changed",
    };
    let decided = predictions.iter().find_map(|p| p.record.hops.iter().rev().find_map(|h| mesh.decision(h)));
    let decided = decided.map_or_else(String::new, |(object, place)| {
        format!("decided by {object} {}", place.unwrap_or_default()).trim_end().to_owned()
    });
    Judged::Different(item(kind, decided))
}

/// Answers that policies give too.
fn may_be_refused(code: u16) -> bool {
    matches!(code, 401 | 403)
}

/// How a request ended, without what applications and chance decide.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// A server was reached through this cluster.
    Arrived(String),
    /// A proxy ended it.
    Ended { code: u16, flags: String, details: String },
}

impl End {
    fn of_line(line: &Line) -> End {
        let details = line.details.clone().unwrap_or_default();
        let arrived = details.is_empty() || details == "via_upstream";
        match (&line.cluster, &line.upstream_host) {
            (Some(cluster), Some(_)) if arrived => End::Arrived(cluster.clone()),
            _ => End::Ended {
                code: line.code,
                flags: line.flags.clone().unwrap_or_else(|| "-".to_owned()),
                details,
            },
        }
    }

    fn of_prediction(prediction: &Prediction) -> End {
        let Some(hop) = prediction.record.client_hop() else {
            let code = prediction.outcome.status.unwrap_or(0);
            return End::Ended { code, flags: "-".to_owned(), details: String::new() };
        };
        let details = hop.details.as_deref().unwrap_or_default();
        let arrived = details.is_empty() || details == "via_upstream";
        match (&hop.cluster_name, hop.upstream_host) {
            (Some(cluster), Some(_)) if arrived && prediction.refused_by_server().is_none() => {
                End::Arrived(cluster.to_string())
            }
            _ => End::Ended {
                code: hop.code.unwrap_or(0),
                flags: hop.flags.text(),
                details: prediction.refused_by_server().unwrap_or(details).to_owned(),
            },
        }
    }

    fn text(&self) -> String {
        match self {
            End::Arrived(cluster) => format!("arrives through {cluster}"),
            End::Ended { code, flags, details } => format!("{code} {flags} {details}").trim_end().to_owned(),
        }
    }
}

fn ends(predictions: &[Prediction]) -> String {
    let mut all: Vec<String> = predictions.iter().map(|p| End::of_prediction(p).text()).collect();
    all.dedup();
    all.join(", or ")
}

/// Why the log cannot tell: what decides looks at something that no log line holds.
fn not_in_log(mesh: &LoadedMesh, predictions: &[Prediction], line: &Line) -> Option<String> {
    for step in predictions.iter().flat_map(|p| &p.steps) {
        let Step::RouteMiss(_, why, origin) = step else { continue };
        let looks = ["header `", "no verified token", "the token's claim"].iter().any(|w| why.starts_with(w));
        if looks && !why.starts_with("header `user-agent`") {
            let place = mesh.lowering.origin(*origin).and_then(|o| mesh.place(o.span)).unwrap_or_default();
            return Some(format!("the log does not hold what decides: {why} {place}").trim_end().to_owned());
        }
    }
    let refused = |details: &str| details.starts_with("rbac_") || details.starts_with("jwt_");
    let by_policy = line.details.as_deref().is_some_and(refused)
        || predictions.iter().any(|p| p.refused_by_server().is_some_and(refused));
    let inventory = &mesh.lowering.mesh.inventory;
    let rules = inventory.authorization_policies.iter().flat_map(|p| &p.spec.rules);
    let more = rules.flat_map(|r| &r.when).any(|w| w.key.starts_with("request."));
    (by_policy && (more || !inventory.request_authentications.is_empty()))
        .then(|| "the log does not hold the tokens and headers that policies look at".to_owned())
}

impl Prediction {
    /// Details of the server-side proxy when it refused what reached it.
    fn refused_by_server(&self) -> Option<&str> {
        let hop = self.record.server_hop()?;
        let details = hop.details.as_deref().or(hop.connection_details.as_deref())?;
        (details != "via_upstream" && self.outcome.workload.is_none()).then_some(details)
    }
}

fn address(text: Option<&String>) -> Option<SocketAddr> {
    text?.parse().ok()
}

/// The pod of a prefix: `ns/workload-0`, or a pod of a cluster (`workload-5d7f9c-x2b4q`).
fn of_proxy(mesh: &LoadedMesh, proxy: &str, line: &Line) -> Option<Client> {
    let (namespace, name) = match proxy.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, proxy),
    };
    let fits = |p: &&crate::directory::PodEntry| {
        namespace.is_none_or(|n| p.namespace == n)
            && (p.name == name
                || name.strip_prefix(&p.workload).is_some_and(|rest| rest.starts_with(['-', '#'])))
    };
    let pod = mesh.directory.pods.iter().filter(fits).max_by_key(|p| p.workload.len())?;
    if pod.gateway {
        let gateway = format!("{}/{}", pod.namespace, pod.workload);
        return Some(Client::Gateway(GatewayClient { gateway, source_ip: source(line) }));
    }
    Some(Client::Workload(WorkloadRef::Name {
        namespace: Some(pod.namespace.clone()),
        name: pod.workload.clone(),
        ordinal: None,
    }))
}

fn source(line: &Line) -> Option<IpAddr> {
    line.downstream_remote.as_ref()?.parse().ok()
}

fn with_source(client: &Client, line: &Line) -> Client {
    match client {
        Client::Gateway(gateway) => Client::Gateway(GatewayClient {
            source_ip: source(line).or(gateway.source_ip),
            ..gateway.clone()
        }),
        other => other.clone(),
    }
}

/// The request of a line; a connection only when the log names its service.
fn request(line: &Line, outside: bool) -> Option<RequestWords> {
    let (Some(method), Some(path), Some(authority)) = (&line.method, &line.path, &line.authority) else {
        let (port, _, host) = line.cluster.as_deref().and_then(outbound_parts)?;
        let url = Some(format!("tcp://{host}:{port}"));
        return Some(RequestWords { url, ..RequestWords::default() });
    };
    let port = address(line.downstream_local.as_ref()).map(|a| a.port());
    let bare = authority.rsplit_once(':').filter(|(_, p)| p.parse::<u16>().is_ok());
    let host = bare.map_or(authority.as_str(), |(host, _)| host);
    let dialled = port.or_else(|| bare.and_then(|(_, p)| p.parse().ok())).unwrap_or(80);
    let scheme = if outside && line.server_name.is_some() { "https" } else { "http" };
    let headers = line.user_agent.iter().map(|agent| ("user-agent".to_owned(), agent.clone())).collect();
    Some(RequestWords {
        method: Some(method.clone()),
        url: Some(format!("{scheme}://{host}:{dialled}{path}")),
        host_header: Some(authority.clone()),
        headers: HeaderWords(headers),
        sni: line.server_name.clone().filter(|_| outside),
        ..RequestWords::default()
    })
}

fn client_words(client: &Client) -> String {
    match client {
        Client::Workload(reference) => reference.to_string(),
        Client::Gateway(gateway) => format!("gateway:{}", gateway.gateway),
        Client::Pod(pod) => pod.reference(),
    }
}

fn request_words(words: &RequestWords) -> String {
    let url = words.url.as_deref().unwrap_or_default();
    words.method.as_ref().map_or_else(|| url.to_owned(), |method| format!("{method} {url}"))
}
