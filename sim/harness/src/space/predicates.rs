//! What can tell requests to one place apart: the conditions of every route and policy on their way, taken from what
//! istiod would send to the proxies concerned.
//!
//! A superset is safe (more classes), a gap is not: a condition that cannot be told apart is named in `gaps`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::OriginId;
use mesh_core::ir::{
    ClusterSpecifier, EndpointAddress, FilterChain, Forward, HashPolicy, HeaderMatcher, HostRewrite,
    HttpConnectionManager, HttpFilter, JwtProvider, Listener, MetadataMatcher, NetworkFilter, PathMatch,
    PathRewrite, Permission, Principal, ProxyKind, QueryMatcher, Rbac, RbacPolicy, RbacRules, Route,
    RouteAction, RouteConfiguration, RouteMatch, RouteSpecifier, Snapshot, StringMatch, Terminal,
    TrafficDirection,
};
use mesh_core::matching::find_virtual_host;
use mesh_engine::world::{PodId, World};

use crate::loaded::LoadedMesh;

/// Most proxies between a client and its server (a gateway on the way, a gateway behind it).
const MAX_PROXIES: u32 = 4;

/// One condition on a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// A route's path condition, with whether case matters.
    Path(PathMatch, bool),
    /// The path without query as policies see it.
    UrlPath(StringMatch),
    /// A URI template.
    Template(mesh_core::Str),
    /// A header, `:method` and `:authority` among them.
    Header(HeaderMatcher),
    /// A query parameter.
    Query(QueryMatcher),
    /// A claim of the verified token.
    Claim(MetadataMatcher),
    /// Address of the TCP peer.
    Direct(IpNet),
    /// Address of the original client.
    Remote(IpNet),
    /// The peer's verified identity: settled by who calls.
    Principal(StringMatch),
    /// Port of the server: settled by where to.
    Port(u16),
    /// Settled likewise: addresses of servers, server names of the mesh.
    Settled,
}

/// A condition with its logic.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Always,
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Test(Test),
}

/// The conditions of one route or one policy rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// When it applies.
    pub(super) when: Expr,
    /// Proxies before this one may have rewritten the path.
    pub(super) behind: bool,
    /// Whose value chooses the host: only their presence makes classes.
    pub(super) hashed: Vec<Hashed>,
    /// A CORS policy looks at preflights.
    pub(super) cors: Vec<StringMatch>,
}

/// Part of a request that chooses the host.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hashed {
    /// A header, with a value to send.
    Header(String, String),
    /// A query parameter.
    Query(String),
}

impl Hashed {
    fn header(name: &str, value: &str) -> Hashed {
        Hashed::Header(name.to_owned(), value.to_owned())
    }
}

/// What one route does to paths.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rewrite {
    /// What the path must match.
    pub(super) when: PathMatch,
    /// Whether case matters there.
    pub(super) case_sensitive: bool,
    /// What it becomes.
    pub(super) how: PathRewrite,
}

impl Rewrite {
    /// The path behind the rewrite; `None` if the route does not take it.
    pub(super) fn image(&self, path: &str) -> Option<String> {
        if !mesh_core::matching::path_matches(&self.when, self.case_sensitive, path) {
            return None;
        }
        Some(match &self.how {
            PathRewrite::Keep => path.to_owned(),
            PathRewrite::Regex(regex, substitution) => regex.replace_all(path, substitution),
            PathRewrite::Prefix(to) => match self.replaced() {
                Some(from) => format!("{to}{}", path.get(from.len()..).unwrap_or("")),
                None => to.to_string(),
            },
        })
    }

    /// The text in front that is replaced; `None`: the whole path.
    pub(super) fn replaced(&self) -> Option<&str> {
        match &self.when {
            PathMatch::Prefix(text) | PathMatch::PathSeparatedPrefix(text) | PathMatch::Path(text) => {
                Some(text)
            }
            PathMatch::Regex(_) => None,
        }
    }
}

/// Everything that was found for one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Predicates {
    pub(super) rules: Vec<Rule>,
    pub(super) rewrites: Vec<Rewrite>,
    pub(super) providers: Vec<JwtProvider>,
    /// Pods that requests may arrive at.
    pub(super) reach: BTreeSet<PodId>,
    /// Virtual hosts that were chosen.
    pub(super) virtual_hosts: Vec<String>,
    /// What is not told apart, and where it stands.
    pub(super) gaps: Vec<(String, OriginId)>,
}

impl Predicates {
    /// Joins what another mesh asks.
    pub(super) fn join(&mut self, other: Predicates) {
        for rule in other.rules {
            self.rule(rule);
        }
        for rewrite in other.rewrites {
            if !self.rewrites.contains(&rewrite) {
                self.rewrites.push(rewrite);
            }
        }
        for provider in other.providers {
            self.provider(provider);
        }
        self.reach.extend(other.reach);
        self.virtual_hosts.extend(other.virtual_hosts);
        self.gaps.extend(other.gaps);
    }

    fn rule(&mut self, rule: Rule) {
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    fn provider(&mut self, provider: JwtProvider) {
        // The place and the position do not change what a token must be.
        let known = self.providers.iter().any(|p| {
            p.issuer == provider.issuer
                && p.audiences == provider.audiences
                && p.jwks == provider.jwks
                && p.from_headers == provider.from_headers
                && p.from_params == provider.from_params
                && p.from_cookies == provider.from_cookies
        });
        if !known {
            self.providers.push(provider);
        }
    }
}

/// Where a request is sent, as the proxies see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Port of the destination (for gateways: of the pod).
    pub(super) port: u16,
    /// The `Host` header.
    pub(super) authority: &'a str,
    /// Server name of the client's own TLS.
    pub(super) sni: Option<&'a str>,
}

/// Walks from a client's proxy (or from none) to the servers.
pub(super) struct Walk<'a> {
    world: &'a World,
    seen: BTreeSet<(PodId, u16, bool)>,
    out: Predicates,
}

impl<'a> Walk<'a> {
    pub(super) fn new(mesh: &'a LoadedMesh) -> Self {
        Walk { world: &mesh.world, seen: BTreeSet::new(), out: Predicates::default() }
    }

    pub(super) fn done(self) -> Predicates {
        self.out
    }

    /// What the client's proxy (or the gateway) sends out.
    pub(super) fn outbound(&mut self, snapshot: &Snapshot, place: Place<'_>, depth: u32) {
        for listener in &snapshot.listeners {
            let theirs = listener.direction == TrafficDirection::Outbound && listener.port == place.port;
            if !theirs {
                continue;
            }
            let default = listener.default_filter_chain.as_ref();
            for chain in listener.filter_chains.iter().chain(default).filter(|c| meets(c, place.sni)) {
                self.chain(snapshot, listener, chain, place, depth);
            }
        }
    }

    /// A server's proxy, or a gateway on the way.
    pub(super) fn server(&mut self, pod: PodId, place: Place<'_>, depth: u32) {
        self.out.reach.insert(pod);
        if depth >= MAX_PROXIES || !self.seen.insert((pod, place.port, depth > 0)) {
            return;
        }
        let proxy = self.world.pod(pod).and_then(|p| p.proxy).and_then(|id| self.world.proxy(id));
        let Some(proxy) = proxy else { return };
        let snapshot = proxy.snapshot().clone();
        if snapshot.kind == ProxyKind::Gateway {
            self.outbound(&snapshot, place, depth);
            return;
        }
        for listener in snapshot.listeners.iter().filter(|l| l.direction == TrafficDirection::Inbound) {
            let default = listener.default_filter_chain.as_ref();
            let here = |c: &&FilterChain| c.matcher.destination_port.is_none_or(|p| p == place.port);
            for chain in listener.filter_chains.iter().chain(default).filter(here) {
                self.filters(chain, true);
                if let Terminal::Http(hcm) = &chain.terminal {
                    self.http_filters(hcm, true);
                    if let RouteSpecifier::Inline(config) = &hcm.route_specifier {
                        for route in config.virtual_hosts.iter().flat_map(|v| &v.routes) {
                            self.route(route, true);
                        }
                    }
                }
            }
        }
    }

    fn chain(
        &mut self,
        snapshot: &Snapshot,
        listener: &Listener,
        chain: &FilterChain,
        place: Place<'_>,
        depth: u32,
    ) {
        self.filters(chain, depth > 0);
        match &chain.terminal {
            Terminal::Tcp(proxy) => {
                // Without a server name of their own, chains of other services share the port.
                let own = place.sni.is_some() || snapshot.kind == ProxyKind::Gateway || listener.ip.is_some();
                for (cluster, _) in proxy.clusters.iter().filter(|_| own) {
                    self.cluster(snapshot, cluster, place, depth);
                }
            }
            Terminal::Http(hcm) => {
                self.http_filters(hcm, depth > 0);
                let config = match &hcm.route_specifier {
                    RouteSpecifier::Inline(config) => Some(&**config),
                    RouteSpecifier::Rds(name) => {
                        snapshot.route_config_by_name(name).and_then(|id| snapshot.routes.get(id.index()))
                    }
                };
                if let Some(config) = config {
                    self.virtual_host(snapshot, config, place, depth);
                }
            }
        }
    }

    fn virtual_host(
        &mut self,
        snapshot: &Snapshot,
        config: &RouteConfiguration,
        place: Place<'_>,
        depth: u32,
    ) {
        let chosen = find_virtual_host(config, place.authority);
        let Some(host) = chosen.and_then(|(v, _)| config.virtual_hosts.get(v as usize)) else { return };
        self.out.virtual_hosts.push(format!("{}/{}", config.name, host.name));
        for route in &host.routes {
            self.route(route, depth > 0);
            let RouteAction::Forward(forward) = &route.action else { continue };
            let rewritten = match &forward.host_rewrite {
                HostRewrite::Literal(host) => host.clone(),
                HostRewrite::Keep | HostRewrite::Auto => place.authority.into(),
            };
            let place = Place { authority: &rewritten, ..place };
            for cluster in clusters(forward) {
                self.cluster(snapshot, cluster, place, depth);
            }
        }
    }

    fn cluster(&mut self, snapshot: &Snapshot, name: &str, place: Place<'_>, depth: u32) {
        let Some(cluster) = snapshot.cluster_by_name(name).and_then(|id| snapshot.clusters.get(id.index()))
        else {
            return;
        };
        for endpoint in cluster.endpoints.iter().flat_map(|l| &l.hosts) {
            let EndpointAddress::Ip(_, port) = endpoint.address else { continue };
            if let Some(pod) = self.world.pod_by_reference(&endpoint.workload) {
                self.server(pod, Place { port, sni: None, ..place }, depth + 1);
            }
        }
    }

    fn filters(&mut self, chain: &FilterChain, behind: bool) {
        for filter in &chain.network_filters {
            match filter {
                NetworkFilter::Rbac(rbac) => self.rbac(rbac, behind),
                NetworkFilter::ExtAuthz(filter) => self.condition(&filter.when, behind),
                NetworkFilter::Observer(_) | NetworkFilter::Unmodelled(_) => {}
            }
        }
    }

    fn http_filters(&mut self, hcm: &HttpConnectionManager, behind: bool) {
        for filter in &hcm.http_filters {
            match filter {
                HttpFilter::Rbac(rbac) => self.rbac(rbac, behind),
                HttpFilter::JwtAuthn(jwt) => {
                    for provider in &jwt.providers {
                        self.out.provider(provider.clone());
                    }
                }
                HttpFilter::ExtAuthz(filter) => self.condition(&filter.when, behind),
                HttpFilter::Unmodelled { when: Some(rbac), .. } => self.condition(rbac, behind),
                // Always unknown, whatever is asked; or without conditions of their own.
                HttpFilter::Unmodelled { when: None, .. }
                | HttpFilter::Fault
                | HttpFilter::Cors
                | HttpFilter::IstioAlpn => {}
            }
        }
    }

    fn rbac(&mut self, rbac: &Rbac, behind: bool) {
        // Dry-run rules change no outcome.
        self.rules(rbac.rules.as_ref(), behind);
    }

    /// Rules that decide whether another filter acts: the shadow rules count too.
    fn condition(&mut self, when: &Rbac, behind: bool) {
        self.rules(when.rules.as_ref(), behind);
        self.rules(when.shadow_rules.as_ref(), behind);
    }

    fn rules(&mut self, rules: Option<&RbacRules>, behind: bool) {
        for policy in rules.iter().flat_map(|r| &r.policies) {
            self.out.rule(Rule {
                when: Expr::of_policy(policy),
                behind,
                hashed: Vec::new(),
                cors: Vec::new(),
            });
            self.out.gaps.extend(policy.taints.iter().map(|t| (t.what.to_string(), t.origin)));
        }
    }

    fn route(&mut self, route: &Route, behind: bool) {
        let matcher = &route.matcher;
        let mut hashed = Vec::new();
        if let RouteAction::Forward(forward) = &route.action {
            for policy in &forward.hash_policy {
                match policy {
                    HashPolicy::Header(name) => hashed.push(Hashed::header(name, "x")),
                    HashPolicy::QueryParameter(name) => hashed.push(Hashed::Query(name.to_string())),
                    HashPolicy::Cookie { name, .. } => {
                        hashed.push(Hashed::header("cookie", &format!("{name}=x")));
                    }
                    HashPolicy::SourceIp => {}
                }
            }
            if forward.path_rewrite != PathRewrite::Keep {
                if matches!(forward.path_rewrite, PathRewrite::Regex(..)) {
                    let what = "paths behind a regex rewrite are those that occur in front of it".to_owned();
                    self.out.gaps.push((what, route.action_origin));
                }
                let rewrite = Rewrite {
                    when: matcher.path.clone(),
                    case_sensitive: matcher.case_sensitive,
                    how: forward.path_rewrite.clone(),
                };
                if !self.out.rewrites.contains(&rewrite) {
                    self.out.rewrites.push(rewrite);
                }
            }
        }
        let cors = route.cors.as_ref().map(|c| c.allow_origins.clone()).unwrap_or_default();
        self.out.rule(Rule { when: Expr::of_route(matcher), behind, hashed, cors });
    }
}

/// Whether a chain may take connections with this server name.
fn meets(chain: &FilterChain, sni: Option<&str>) -> bool {
    let names = &chain.matcher.server_names;
    let fits = |name: &str, sni: &str| match name.strip_prefix('*') {
        Some(suffix) => sni.ends_with(suffix),
        None => sni == name,
    };
    names.is_empty() || sni.is_some_and(|sni| names.iter().any(|n| fits(n, sni)))
}

fn clusters(forward: &Forward) -> Vec<&str> {
    let mut all: Vec<&str> = match &forward.cluster {
        ClusterSpecifier::Cluster(name) => vec![name],
        ClusterSpecifier::Weighted(list) => list.iter().map(|c| c.name.as_ref()).collect(),
    };
    all.dedup();
    all
}

fn permission(p: &Permission) -> Expr {
    match p {
        Permission::Any => Expr::Always,
        Permission::And(all) => Expr::All(all.iter().map(permission).collect()),
        Permission::Or(any) => Expr::Any(any.iter().map(permission).collect()),
        Permission::Not(not) => Expr::Not(Box::new(permission(not))),
        Permission::Header(header) => Expr::Test(Test::Header(header.clone())),
        Permission::UrlPath(text) => Expr::Test(Test::UrlPath(text.clone())),
        Permission::UriTemplate(template) => Expr::Test(Test::Template(template.clone())),
        Permission::Metadata(matcher) => Expr::Test(Test::Claim(matcher.clone())),
        Permission::DestinationPort(port) => Expr::Test(Test::Port(*port)),
        Permission::DestinationIp(_) | Permission::RequestedServerName(_) => Expr::Test(Test::Settled),
    }
}

fn principal(p: &Principal) -> Expr {
    match p {
        Principal::Any => Expr::Always,
        Principal::And(all) => Expr::All(all.iter().map(principal).collect()),
        Principal::Or(any) => Expr::Any(any.iter().map(principal).collect()),
        Principal::Not(not) => Expr::Not(Box::new(principal(not))),
        Principal::Header(header) => Expr::Test(Test::Header(header.clone())),
        Principal::Metadata(matcher) => Expr::Test(Test::Claim(matcher.clone())),
        Principal::DirectRemoteIp(net) => Expr::Test(Test::Direct(*net)),
        Principal::RemoteIp(net) => Expr::Test(Test::Remote(*net)),
        Principal::Authenticated(name) => Expr::Test(Test::Principal(name.clone())),
    }
}

/// What is known of a request when the rest of its parts is chosen.
pub(super) struct Known<'a> {
    /// The path as sent and as rewritten on the way.
    pub(super) paths: &'a [String],
    /// The method.
    pub(super) method: &'a str,
}

impl Expr {
    /// The conditions of a route.
    pub(super) fn of_route(matcher: &RouteMatch) -> Expr {
        let mut all = vec![Expr::Test(Test::Path(matcher.path.clone(), matcher.case_sensitive))];
        all.extend(matcher.headers.iter().map(|h| Expr::Test(Test::Header(h.clone()))));
        all.extend(matcher.query.iter().map(|q| Expr::Test(Test::Query(q.clone()))));
        all.extend(matcher.metadata.iter().map(|m| Expr::Test(Test::Claim(m.clone()))));
        Expr::All(all)
    }

    /// The conditions of one rule of a policy.
    pub(super) fn of_policy(policy: &RbacPolicy) -> Expr {
        let permissions = Expr::Any(policy.permissions.iter().map(permission).collect());
        let principals = Expr::Any(policy.principals.iter().map(principal).collect());
        Expr::All(vec![permissions, principals])
    }

    /// Whether the condition holds when every test's answer is known.
    pub(super) fn holds(&self, test: &dyn Fn(&Test) -> bool) -> bool {
        match self {
            Expr::Always => true,
            Expr::All(all) => all.iter().all(|e| e.holds(test)),
            Expr::Any(any) => any.iter().any(|e| e.holds(test)),
            Expr::Not(not) => !not.holds(test),
            Expr::Test(one) => test(one),
        }
    }

    /// Whether the condition holds, as far as path and method settle it.
    pub(super) fn settled(&self, known: &Known<'_>) -> Option<bool> {
        match self {
            Expr::Always => Some(true),
            Expr::All(all) => {
                let mut open = false;
                for one in all {
                    match one.settled(known) {
                        Some(false) => return Some(false),
                        None => open = true,
                        Some(true) => {}
                    }
                }
                (!open).then_some(true)
            }
            Expr::Any(any) => {
                let mut open = false;
                for one in any {
                    match one.settled(known) {
                        Some(true) => return Some(true),
                        None => open = true,
                        Some(false) => {}
                    }
                }
                (!open).then_some(false)
            }
            Expr::Not(not) => not.settled(known).map(|v| !v),
            Expr::Test(test) => test.settled(known),
        }
    }

    /// All its tests.
    pub(super) fn tests<'a>(&'a self, out: &mut Vec<&'a Test>) {
        match self {
            Expr::Always => {}
            Expr::All(list) | Expr::Any(list) => list.iter().for_each(|e| e.tests(out)),
            Expr::Not(not) => not.tests(out),
            Expr::Test(test) => out.push(test),
        }
    }
}

impl Test {
    /// Whether a path passes; `None` if the test is not about paths.
    pub(super) fn path(&self, path: &str) -> Option<bool> {
        match self {
            Test::Path(condition, case) => Some(mesh_core::matching::path_matches(condition, *case, path)),
            Test::UrlPath(text) => Some(mesh_core::matching::string_matches(text, path)),
            Test::Template(template) => Some(mesh_core::matching::template_matches(template, path)),
            _ => None,
        }
    }

    fn settled(&self, known: &Known<'_>) -> Option<bool> {
        if let Test::Header(header) = self
            && header.name.as_ref() == ":method"
        {
            let mut line = mesh_core::request::Headers::default();
            line.append(":method", known.method);
            return Some(mesh_core::matching::header_matches(header, &line));
        }
        let mut verdicts = known.paths.iter().map(|p| self.path(p));
        let first = verdicts.next()??;
        verdicts.all(|v| v == Some(first)).then_some(first)
    }
}

/// Whether an address lies in a block.
pub(super) fn inside(block: &IpNet, ip: IpAddr) -> bool {
    block.contains(&ip)
}
