//! Routes and policy rules that no request reaches, and what takes their requests: every request that the rules of one
//! place tell apart is put to each of them.
//!
//! Only certain findings: where conditions cannot be told apart, or depend on tokens, nothing is said; nor of meshes with
//! more than 150 proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use mesh_config::diagnostic::{Code, Diagnostic, Stage, codes};
use mesh_core::OriginId;
use mesh_core::ir::{
    HttpFilter, PathMatch, RbacAction, Route, Snapshot, StringPattern, Terminal, TrafficDirection,
};
use mesh_core::matching::{header_matches, query_matches, string_matches};
use mesh_core::request::Headers;

use super::clients::populated;
use super::combine::{Asked, Only, authority_matchers, header_texts, requests};
use super::predicates::{Expr, Predicates, Rule, Test, inside};
use super::texts::Automata;
use crate::loaded::LoadedMesh;

/// Most requests per place; where more can be told apart, nothing is said.
const MAX_REQUESTS: usize = 1024;
/// Most proxies: a finding needs the configurations of all of them, and more of those are too much for a quick check.
const MAX_PROXIES: usize = 150;
/// Most requests times callers.
const MAX_SAMPLES: usize = 100_000;

/// What is known of one route or rule over all proxies that have it.
#[derive(Default)]
struct Seen {
    /// Somewhere it decides something, or that could not be told.
    alive: bool,
    /// Something satisfies it.
    matches: bool,
    /// What takes its requests.
    taken_by: BTreeSet<OriginId>,
}

/// Findings about a mesh.
#[must_use]
pub fn shadows(mesh: &LoadedMesh) -> Vec<Diagnostic> {
    if mesh.world.proxies.len() > MAX_PROXIES {
        return Vec::new();
    }
    let (mut routes, mut rules) = (BTreeMap::new(), BTreeMap::new());
    // Callers that only rules name are there, so a rule about them is not dead.
    let populated = populated(mesh);
    let callers = callers(&populated);
    let mut known = BTreeSet::new();
    for proxy in &populated.world.proxies {
        if known.insert(std::sync::Arc::as_ptr(proxy.snapshot()) as usize) {
            of_routes(proxy.snapshot(), &mut routes);
            of_rules(proxy.snapshot(), &callers, &mut rules);
        }
    }
    let mut found = Vec::new();
    let all = [
        (routes, codes::SHADOWED_ROUTE, codes::IMPOSSIBLE_ROUTE, "route"),
        (rules, codes::SHADOWED_RULE, codes::IMPOSSIBLE_RULE, "rule"),
    ];
    for (seen, shadowed, impossible, word) in all {
        for (origin, seen) in seen {
            found.extend(finding(&populated, origin, &seen, (shadowed, impossible), word));
        }
    }
    found
}

fn finding(
    mesh: &LoadedMesh,
    origin: OriginId,
    seen: &Seen,
    (shadowed, impossible): (Code, Code),
    word: &str,
) -> Option<Diagnostic> {
    if seen.alive {
        return None;
    }
    let place = mesh.lowering.origin(origin)?;
    let mut diagnostic = if seen.matches {
        let message = format!("this {word} never decides: other {word}s take all its requests");
        Diagnostic::warning(shadowed, Stage::Analysis, place.span, message)
            .help(format!("remove it, or move it before the {word} that takes its requests"))
    } else {
        let message = format!("no request can satisfy this {word}");
        Diagnostic::warning(impossible, Stage::Analysis, place.span, message)
    };
    for blocker in &seen.taken_by {
        if let Some(at) = mesh.lowering.origin(*blocker) {
            diagnostic = diagnostic.label(at.span, format!("this {word} takes them"));
        }
    }
    Some(match place.object {
        Some(object) => diagnostic.object(object),
        None => diagnostic,
    })
}

fn rule(when: Expr) -> Rule {
    Rule { when, behind: false, hashed: Vec::new(), cors: Vec::new() }
}

/// The requests that some rules tell apart, with the `Host` headers that do; `None` if there are too many, or some
/// stay together.
fn asked(rules: Vec<Rule>) -> Option<(Vec<Asked>, Vec<String>)> {
    let predicates = Predicates { rules, ..Predicates::default() };
    let only = Only { methods: &[], paths: &[], limit: MAX_REQUESTS, outside: false };
    let mut known = Automata::default();
    let (asked, mut gaps) = requests(&predicates, only, &mut known);
    let matchers = authority_matchers(&predicates);
    let mut hosts = vec!["any.mesh-sim.example".to_owned()];
    if !matchers.is_empty() {
        hosts.extend(header_texts(&matchers.iter().collect::<Vec<_>>(), &mut gaps, &mut known));
    }
    gaps.is_empty().then_some((asked, hosts))
}

/// A request as conditions see it.
struct Request<'a> {
    path: &'a str,
    whole: String,
    headers: Headers,
}

impl<'a> Request<'a> {
    fn new(asked: &'a Asked, host: &str) -> Self {
        let query: Vec<String> = asked.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let whole = format!("{}{query}", asked.path);
        let mut headers = Headers::default();
        let pseudo = [
            (":method", asked.method.as_str()),
            (":authority", host),
            (":scheme", "http"),
            (":path", &whole),
        ];
        for (name, value) in pseudo {
            headers.append(name, value);
        }
        for (name, value) in &asked.headers {
            headers.append(name, value);
        }
        Request { path: &asked.path, whole, headers }
    }

    fn passes(&self, test: &Test, caller: Option<&Caller>, port: u16) -> bool {
        match test {
            Test::Path(..) | Test::UrlPath(_) | Test::Template(_) => test.path(self.path) == Some(true),
            Test::Header(matcher) => header_matches(matcher, &self.headers),
            Test::Query(matcher) => query_matches(matcher, &self.whole),
            Test::Port(wanted) => *wanted == port,
            Test::Principal(name) => {
                caller.and_then(|c| c.principal.as_deref()).is_some_and(|p| string_matches(name, p))
            }
            Test::Direct(block) => caller.is_some_and(|c| inside(block, c.ip)),
            // Rules with these are left alone.
            Test::Claim(_) | Test::Remote(_) | Test::Settled => false,
        }
    }
}

/// Conditions whose texts are not all found by the walk over printable ones, or that tokens decide.
fn uncertain(when: &Expr) -> bool {
    let mut tests = Vec::new();
    when.tests(&mut tests);
    tests.iter().any(|test| match test {
        Test::Path(PathMatch::Regex(_), _) | Test::Claim(_) | Test::Remote(_) | Test::Settled => true,
        Test::UrlPath(text) => matches!(text.pattern, StringPattern::Regex(_)),
        Test::Header(header) => header.name.as_ref() == ":scheme" || header.name.as_ref() == ":path",
        Test::Query(query) => {
            query.value.as_ref().is_some_and(|v| matches!(v.pattern, StringPattern::Regex(_)))
        }
        _ => false,
    })
}

fn constant(when: &Expr) -> bool {
    let mut tests = Vec::new();
    when.tests(&mut tests);
    tests.is_empty()
}

fn of_routes(snapshot: &Snapshot, out: &mut BTreeMap<OriginId, Seen>) {
    let mut known: BTreeSet<Vec<OriginId>> = BTreeSet::new();
    for host in snapshot.routes.iter().flat_map(|c| &c.virtual_hosts) {
        let origins: Vec<OriginId> = host.routes.iter().map(|r| r.origin).collect();
        if origins.iter().any(|o| o.is_some()) && known.insert(origins) {
            of_host(&host.routes, out);
        }
    }
}

fn of_host(routes: &[Route], out: &mut BTreeMap<OriginId, Seen>) {
    let conditions: Vec<Expr> = routes.iter().map(|r| Expr::of_route(&r.matcher)).collect();
    let told = asked(conditions.iter().cloned().map(rule).collect());
    let Some((asked, hosts)) = told else {
        routes.iter().for_each(|r| out.entry(r.origin).or_default().alive = true);
        return;
    };
    for (route, when) in routes.iter().zip(&conditions) {
        let seen = out.entry(route.origin).or_default();
        seen.alive |= uncertain(when);
    }
    for (one, host) in asked.iter().flat_map(|a| hosts.iter().map(move |h| (a, h))) {
        let request = Request::new(one, host);
        let mut winner: Option<OriginId> = None;
        for (route, when) in routes.iter().zip(&conditions) {
            if !when.holds(&|test| request.passes(test, None, 0)) {
                continue;
            }
            let seen = out.entry(route.origin).or_default();
            seen.matches = true;
            match winner {
                None => {
                    seen.alive = true;
                    winner = Some(route.origin);
                }
                // Alternatives of one rule may share their place.
                Some(first) if first != route.origin => {
                    seen.taken_by.insert(first);
                }
                Some(_) => {}
            }
        }
    }
}

/// Who may call, as policies see it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Caller {
    principal: Option<String>,
    ip: IpAddr,
}

fn callers(mesh: &LoadedMesh) -> Vec<Caller> {
    let mut all = BTreeMap::new();
    for pod in &mesh.world.pods {
        let identity = pod.proxy.and_then(|id| mesh.world.proxy(id)).and_then(|p| p.identity.sans.first());
        let principal = identity.map(ToString::to_string);
        all.entry(principal.clone()).or_insert_with(Vec::new).push(Caller { principal, ip: pod.ip });
    }
    all.into_values().flatten().collect()
}

fn of_rules(snapshot: &Snapshot, callers: &[Caller], out: &mut BTreeMap<OriginId, Seen>) {
    for listener in snapshot.listeners.iter().filter(|l| l.direction == TrafficDirection::Inbound) {
        for chain in &listener.filter_chains {
            let Terminal::Http(hcm) = &chain.terminal else { continue };
            let mut rules: Vec<(RbacAction, OriginId, Expr)> = Vec::new();
            for filter in &hcm.http_filters {
                let HttpFilter::Rbac(rbac) = filter else { continue };
                if let Some(set) = &rbac.rules {
                    rules.extend(set.policies.iter().map(|p| (set.action, p.origin, Expr::of_policy(p))));
                }
            }
            if !rules.is_empty() {
                of_chain(&rules, chain.matcher.destination_port, callers, out);
            }
        }
    }
}

fn of_chain(
    rules: &[(RbacAction, OriginId, Expr)],
    port: Option<u16>,
    callers: &[Caller],
    out: &mut BTreeMap<OriginId, Seen>,
) {
    let told = asked(rules.iter().map(|(.., when)| rule(when.clone())).collect());
    let few =
        |(asked, hosts): &(Vec<Asked>, Vec<String>)| asked.len() * hosts.len() * callers.len() <= MAX_SAMPLES;
    let Some((asked, hosts)) = told.filter(few) else {
        rules.iter().for_each(|(_, origin, _)| out.entry(*origin).or_default().alive = true);
        return;
    };
    let mut matched: Vec<Vec<bool>> = rules.iter().map(|_| Vec::new()).collect();
    for (one, host) in asked.iter().flat_map(|a| hosts.iter().map(move |h| (a, h))) {
        let request = Request::new(one, host);
        for (caller, port) in callers.iter().flat_map(|c| ports(rules, port).into_iter().map(move |p| (c, p)))
        {
            for ((.., when), row) in rules.iter().zip(&mut matched) {
                row.push(when.holds(&|test| request.passes(test, Some(caller), port)));
            }
        }
    }
    for (i, ((action, origin, when), row)) in rules.iter().zip(&matched).enumerate() {
        let seen = out.entry(*origin).or_default();
        seen.matches |= row.contains(&true);
        let covers = |j: usize| {
            let Some((other, place, condition)) = rules.get(j) else { return false };
            let Some(theirs) = matched.get(j) else { return false };
            let inside = row.iter().zip(theirs).all(|(mine, theirs)| !mine || *theirs);
            // Of two equal rules the first stays.
            let first = row != theirs || j < i;
            place != origin
                && !uncertain(condition)
                && inside
                && ((other == action && first)
                    || (*action == RbacAction::Allow && *other == RbacAction::Deny))
        };
        let blocker = (0..rules.len()).filter(|j| *j != i).find(|j| covers(*j));
        match blocker.and_then(|j| rules.get(j)).filter(|_| !uncertain(when) && row.contains(&true)) {
            Some((_, place, _)) => {
                seen.taken_by.insert(*place);
            }
            // A policy without rules is meant to match nothing.
            None => seen.alive |= uncertain(when) || row.contains(&true) || constant(when),
        }
    }
}

/// The ports that rules tell apart: the chain's own, or all that they name and one more.
fn ports(rules: &[(RbacAction, OriginId, Expr)], own: Option<u16>) -> Vec<u16> {
    if let Some(port) = own {
        return vec![port];
    }
    let mut tests = Vec::new();
    rules.iter().for_each(|(.., when)| when.tests(&mut tests));
    let named = tests.iter().filter_map(|t| match t {
        Test::Port(port) => Some(*port),
        _ => None,
    });
    let mut all: Vec<u16> = named.chain([0]).collect();
    all.sort_unstable();
    all.dedup();
    all
}
