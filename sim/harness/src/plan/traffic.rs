//! What clients send and when: `traffic:` in the engine's words.

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;
use mesh_engine::plan::{Arrivals, ClientRequest, Clients, Dial, Payload, Phase, PodSet, SendMode, Traffic};
use mesh_engine::record::Fate;
use mesh_engine::world::{Pod, PodId, World};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::behavior::law;
use super::no_such_workload;
use crate::directory::Directory;
use crate::format::client::{Client, PodClient, WorkloadRef};
use crate::format::request::Request;
use crate::format::scenario::{ArrivalWords, PhaseWords, SendWord, TrafficWords};

/// The address clients outside have unless they state one (TEST-NET-3).
pub const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

/// Who sends, in the engine's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The pod; `None` = outside.
    pub pod: Option<PodId>,
    /// Source address of a sender outside.
    pub source: Option<IpAddr>,
    /// The gateway a sender outside dials, `ns/name`.
    pub gateway: Option<String>,
}

impl Sender {
    /// In the engine's words.
    #[must_use]
    pub fn clients(&self) -> Clients {
        match self.pod {
            Some(pod) => Clients::pod(pod),
            None => Clients::Outside { source: self.source.unwrap_or(OUTSIDE), gateway: Vec::new() },
        }
    }
}

/// All who send the requests of a traffic: every pod of a workload, through every pod of a gateway.
fn clients(words: &TrafficWords, sender: &Sender, directory: &Directory) -> Clients {
    match &words.from.value {
        Client::Workload(reference) => Clients::Pods(sets(reference, directory)),
        Client::Pod(_) => sender.clients(),
        Client::Gateway(gateway) => Clients::Outside {
            source: gateway.source_ip.unwrap_or(OUTSIDE),
            gateway: vec![PodSet::Workload(gateway.gateway.as_str().into())],
        },
    }
}

/// The pod that a reference names, or the workloads whose pods it means.
fn sets(reference: &WorkloadRef, directory: &Directory) -> Vec<PodSet> {
    let mut sets: Vec<PodSet> = Vec::new();
    for pod in directory.find(reference) {
        let named = match reference {
            WorkloadRef::Name { name, ordinal, .. } => ordinal.is_some() || pod.workload != *name,
            WorkloadRef::Labels { .. } => false,
        };
        let set = match named {
            true => PodSet::One(pod.id),
            false => PodSet::Workload(format!("{}/{}", pod.namespace, pod.workload).as_str().into()),
        };
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// Finds the sender, the first pod of a workload. `client_pods` are the pods made up for `from: {pod: …}`, in order of first appearance.
pub fn sender(
    client: &Client,
    at: Span,
    directory: &Directory,
    client_pods: &[(PodClient, PodId)],
) -> Result<Sender, Box<Diagnostic>> {
    let inside = |pod| Sender { pod: Some(pod), source: None, gateway: None };
    match client {
        Client::Workload(reference) => directory
            .find(reference)
            .first()
            .map(|pod| inside(pod.id))
            .ok_or_else(|| Box::new(no_such_workload(directory, reference, at))),
        Client::Pod(wanted) => {
            client_pods.iter().find(|(pod, _)| pod == wanted).map(|(_, id)| inside(*id)).ok_or_else(|| {
                let message = "the client pod was not made".to_owned();
                Box::new(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message))
            })
        }
        Client::Gateway(gateway) => {
            if directory.gateway_address(&gateway.gateway, 80).is_none() {
                let reference = WorkloadRef::parse(&gateway.gateway);
                let hint = reference.and_then(|r| directory.nearest(&r));
                let message = format!("there is no gateway `{}` in this mesh", gateway.gateway);
                let diagnostic = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message);
                return Err(Box::new(match hint {
                    Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
                    None => diagnostic,
                }));
            }
            Ok(Sender {
                pod: None,
                source: Some(gateway.source_ip.unwrap_or(OUTSIDE)),
                gateway: Some(gateway.gateway.clone()),
            })
        }
    }
}

/// The request as this sender makes it: a client outside reaches the gateway whatever name it has in mind.
///
/// # Errors
/// When the words are no request.
pub fn client_request(
    request: &Request,
    sender: &Sender,
    directory: &Directory,
) -> Result<ClientRequest, String> {
    let mut lowered = request.lower().map_err(|e| e.to_string())?;
    if let Some(gateway) = &sender.gateway {
        let port = match &lowered.dial {
            Dial::Name(_, port) => *port,
            Dial::Address(address) => address.port(),
        };
        let address =
            directory.gateway_address(gateway, port).ok_or_else(|| format!("no gateway `{gateway}`"))?;
        lowered.dial = Dial::Address(address);
    }
    Ok(lowered)
}

/// A client of a traffic and its share of the requests, with the requests as it makes them.
pub struct OneClient {
    /// Who.
    pub sender: Sender,
    /// Of the traffic's requests, in (0, 1].
    pub share: f64,
    /// Weighted requests.
    pub mix: Vec<(u64, ClientRequest)>,
}

/// The clients of a traffic as the run begins, those that nothing tells apart joined: pods in one locality whose proxies
/// have one configuration, or no proxy.
#[must_use]
pub fn each_client(traffic: &Traffic, world: &World) -> Vec<OneClient> {
    let pods = traffic.from.pods(world);
    let share = 1.0 / pods.len().max(1) as f64;
    let mut kinds: Vec<(&Pod, f64, PodId)> = Vec::new();
    for id in pods {
        let Some(pod) = world.pod(id) else { continue };
        match kinds.iter_mut().find(|(known, _, _)| same_client(known, pod, world)) {
            Some((_, sum, _)) => *sum += share,
            None => kinds.push((pod, share, id)),
        }
    }
    let each = |(pod, share, id): (&Pod, f64, PodId)| match &traffic.from {
        Clients::Pods(_) => OneClient {
            sender: Sender { pod: Some(id), source: None, gateway: None },
            share,
            mix: traffic.mix.clone(),
        },
        Clients::Outside { source, .. } => OneClient {
            sender: Sender { pod: None, source: Some(*source), gateway: None },
            share,
            mix: traffic.mix.iter().map(|(weight, request)| (*weight, through(request, pod.ip))).collect(),
        },
    };
    kinds.into_iter().map(each).collect()
}

fn same_client(a: &Pod, b: &Pod, world: &World) -> bool {
    let snapshot = |pod: &Pod| pod.proxy.and_then(|id| world.proxy(id)).map(|p| Arc::as_ptr(p.snapshot()));
    a.namespace == b.namespace
        && a.locality == b.locality
        && a.capture == b.capture
        && a.taint == b.taint
        && snapshot(a) == snapshot(b)
}

/// The request, sent to this machine instead.
fn through(request: &ClientRequest, ip: IpAddr) -> ClientRequest {
    let dial = match &request.dial {
        Dial::Address(address) => Dial::Address(SocketAddr::new(ip, address.port())),
        name @ Dial::Name(..) => name.clone(),
    };
    ClientRequest { dial, ..request.clone() }
}

/// Gives meaning to one traffic; `None` when it cannot be sent.
pub fn traffic(
    words: &TrafficWords,
    directory: &Directory,
    client_pods: &[(PodClient, PodId)],
    duration_ns: u64,
    out: &mut Vec<Diagnostic>,
) -> Option<Traffic> {
    let sender = match sender(&words.from.value, words.from.span, directory, client_pods) {
        Ok(sender) => sender,
        Err(diagnostic) => {
            out.push(*diagnostic);
            return None;
        }
    };
    let mut mix = Vec::new();
    for (weight, request) in variants(words, out) {
        match client_request(&request, &sender, directory) {
            Ok(lowered) => mix.push((weight, lowered)),
            Err(message) => out.push(wrong(words.origin, message)),
        }
    }
    let arrivals = arrivals(words, duration_ns, out)?;
    if mix.is_empty() {
        return None;
    }
    Some(Traffic {
        name: words.name.as_str().into(),
        from: clients(words, &sender, directory),
        mix,
        arrivals,
        client_timeout_ns: words.client_timeout.map(|d| d.0),
        impatient: Fate::ClientClosed,
        send: match words.send {
            None => SendMode::Whole,
            Some(SendWord::HalfHeaders) => SendMode::HalfHeaders,
            Some(SendWord::HalfBody) => SendMode::HalfBody,
        },
    })
}

fn wrong(at: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::CONTRADICTION, Stage::Schema, at, message.into())
}

/// The requests of a traffic, whatever their weights.
#[must_use]
pub fn requests(words: &TrafficWords) -> Vec<Request> {
    variants(words, &mut Vec::new()).into_iter().map(|(_, request)| request).collect()
}

/// The requests of a traffic with their weights.
fn variants(words: &TrafficWords, out: &mut Vec<Diagnostic>) -> Vec<(u64, Request)> {
    if words.mix.is_empty() {
        return match &words.request {
            Some(request) => vec![(1, request.clone())],
            None => {
                out.push(wrong(
                    words.origin,
                    format!("traffic `{}` sends nothing: give it a `request`", words.name),
                ));
                Vec::new()
            }
        };
    }
    let mut all = Vec::new();
    for variant in &words.mix {
        let Some(mut request) = variant.request.clone().or_else(|| words.request.clone()) else {
            out.push(wrong(variant.origin, "neither the variant nor its traffic has a `request`"));
            continue;
        };
        request.words.headers.0.extend(variant.headers.0.iter().cloned());
        all.push((variant.weight.unwrap_or(1), request));
    }
    all
}

/// What is written beside something that leaves it without meaning.
fn without_meaning(words: &TrafficWords, out: &mut Vec<Diagnostic>) {
    let rate = ("rate", words.rate.is_some());
    let phases = ("phases", !words.phases.is_empty());
    let users = ("users", words.users.is_some());
    let (start, count) = (("start", words.start.is_some()), ("count", words.count.is_some()));
    let think = ("thinkTime", words.think_time.is_some());
    let (why, others) = if matches!(words.arrivals, Some(ArrivalWords::At(_))) {
        ("`arrivals.at` says when every request is sent", vec![rate, phases, users, start, count, think])
    } else if words.users.is_some() {
        let arrivals = ("arrivals", words.arrivals.is_some());
        ("`users` send when they are answered", vec![rate, phases, arrivals, start, count])
    } else if words.phases.is_empty() {
        ("nobody thinks without `users`", vec![think])
    } else {
        ("`phases` say how many are sent when", vec![start, count, think])
    };
    for (name, _) in others.into_iter().filter(|(_, there)| *there) {
        let message = format!("`{name}` of traffic `{}` has no effect: {why}", words.name);
        out.push(Diagnostic::warning(codes::CONTRADICTION, Stage::Schema, words.origin, message));
    }
}

fn arrivals(words: &TrafficWords, duration_ns: u64, out: &mut Vec<Diagnostic>) -> Option<Arrivals> {
    without_meaning(words, out);
    let constant = words.arrivals == Some(ArrivalWords::Constant);
    if let Some(ArrivalWords::At(times)) = &words.arrivals {
        let mut times: Vec<u64> = times.iter().map(|d| d.0).collect();
        times.sort_unstable();
        return Some(Arrivals::At(times));
    }
    if let Some(users) = words.users {
        let think = words.think_time.as_ref().map_or(mesh_engine::plan::Law::Constant(0), law);
        return Some(Arrivals::Users { users, think });
    }
    if !words.phases.is_empty() {
        return Some(Arrivals::Phases { phases: phases(&words.phases, words, out), poisson: !constant });
    }
    let Some(rate) = words.rate else {
        let message = format!(
            "traffic `{}` never sends: give it `rate`, `phases`, `users` or `arrivals.at`",
            words.name
        );
        out.push(wrong(words.origin, message));
        return None;
    };
    if !constant && (words.start.is_some() || words.count.is_some()) {
        out.push(wrong(words.origin, "`start` and `count` need `arrivals: constant`"));
    }
    if constant {
        let start_ns = words.start.map_or(0, |d| d.0);
        return Some(Arrivals::Constant { start_ns, rate: rate.0, count: words.count });
    }
    let phase = Phase { until_ns: duration_ns, from_rate: rate.0, to_rate: rate.0 };
    Some(Arrivals::Phases { phases: vec![phase], poisson: true })
}

fn phases(list: &[PhaseWords], words: &TrafficWords, out: &mut Vec<Diagnostic>) -> Vec<Phase> {
    let mut rate = words.rate.map_or(0.0, |r| r.0);
    let mut until = 0;
    let mut all = Vec::new();
    for phase in list {
        if phase.until.0 < until {
            out.push(wrong(words.origin, "`phases` must be in order of `until`"));
        }
        until = phase.until.0;
        let (from_rate, to_rate) = match (phase.rate, phase.ramp_to) {
            (Some(at), None) => (at.0, at.0),
            (None, Some(to)) => (rate, to.0),
            (Some(from), Some(to)) => (from.0, to.0),
            (None, None) => (rate, rate),
        };
        rate = to_rate;
        all.push(Phase { until_ns: until, from_rate, to_rate });
    }
    all
}

/// Whether a request is HTTP (and so has a status).
#[must_use]
pub fn is_http(request: &ClientRequest) -> bool {
    matches!(request.payload, Payload::Http(_))
}
