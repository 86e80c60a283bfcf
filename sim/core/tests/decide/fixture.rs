//! Small snapshots and requests.

use mesh_core::OriginId;
use mesh_core::cx::{Cx, Draws, NoTrace, Purpose, Token, TokenStatus, Tokens};
use mesh_core::decide::{HttpDecision, HttpOutcome, decide_http};
use mesh_core::ids::{ChainId, ListenerId, Str};
use mesh_core::index::SnapshotIndex;
use mesh_core::ir::*;
use mesh_core::request::*;
use mesh_core::response::LocalReply;

pub(crate) const CHAIN: ChainId = ChainId { listener: ListenerId(0), chain: Some(0) };

/// Tokens are never read here.
pub(crate) struct NoTokens;

impl Tokens for NoTokens {
    fn decode(&self, _token: &str) -> Result<Token, Str> {
        Err("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections".into())
    }
    fn verify(&self, _token: &str, _jwks: &str) -> TokenStatus {
        TokenStatus::Unknown
    }
    fn now_unix(&self) -> i64 {
        0
    }
}

/// Always the same number.
pub(crate) struct Fixed(pub(crate) u64);

impl Draws for Fixed {
    fn draw(&mut self, _purpose: Purpose) -> u64 {
        self.0
    }
}

pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        discovery: Discovery::Static,
        lb: LbPolicy::Random,
        common_lb: CommonLb {
            healthy_panic_threshold: 0,
            locality_weighted: false,
            update_merge_window_ns: 1_000_000_000,
        },
        connect_timeout_ns: 10_000_000_000,
        breakers: CircuitBreakers::default(),
        outlier: None,
        protocol: UpstreamProtocol::Downstream,
        transport: Transport::Plaintext,
        proxy_protocol: 0,
        idle_timeout_ns: 0,
        max_requests_per_connection: 0,
        max_connection_duration_ns: None,
        max_concurrent_streams: 1024,
        upstream_port_override: 0,
        upstream_bind: None,
        endpoints: vec![],
        overprovisioning_factor: 140,
        host: "".into(),
        port: 0,
        subset: "".into(),
        taints: vec![],
        origin: OriginId::NONE,
    }
}

pub(crate) fn hcm() -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: "test".into(),
        route_specifier: RouteSpecifier::Rds("80".into()),
        http_filters: vec![HttpFilter::IstioAlpn, HttpFilter::Fault, HttpFilter::Cors],
        path_normalization: PathNormalization::default(),
        use_remote_address: false,
        xff_num_trusted_hops: 0,
        forward_client_cert: ForwardClientCert::Sanitize,
        client_cert_details: ClientCertDetails::default(),
        server_name: "envoy".into(),
        accept_http_10: false,
        stream_idle_timeout_ns: 0,
        upgrades: vec!["websocket".into()],
        origin: OriginId::NONE,
    }
}

/// A proxy with one HTTP listener on 80 and these virtual hosts.
pub(crate) fn proxy(virtual_hosts: Vec<VirtualHost>, hcm: HttpConnectionManager) -> Snapshot {
    let chain = FilterChain {
        name: "".into(),
        matcher: FilterChainMatch::default(),
        tls: None,
        network_filters: vec![],
        terminal: Terminal::Http(Box::new(hcm)),
        taints: vec![],
        origin: OriginId::NONE,
    };
    let listener = Listener {
        name: "0.0.0.0_80".into(),
        ip: None,
        port: 80,
        pipe: None,
        direction: TrafficDirection::Outbound,
        bind_to_port: false,
        use_original_dst: false,
        listener_filters: ListenerFilters::default(),
        listener_filters_timeout_ns: 0,
        filter_chains: vec![chain],
        default_filter_chain: None,
        taints: vec![],
        origin: OriginId::NONE,
    };
    let config = RouteConfiguration {
        name: "80".into(),
        virtual_hosts,
        ignore_port_in_host_matching: false,
        headers: HeaderMutations::default(),
    };
    Snapshot {
        kind: ProxyKind::Sidecar,
        listeners: vec![listener],
        routes: vec![config],
        clusters: ["a", "b", "c"].map(cluster).to_vec(),
        taints: vec![],
        index: SnapshotIndex::default(),
    }
}

pub(crate) fn virtual_host(name: &str, domains: &[&str], routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|d| Str::from(*d)).collect(),
        routes,
        require_tls: false,
        include_request_attempt_count: false,
        headers: HeaderMutations::default(),
        origin: OriginId::NONE,
    }
}

pub(crate) fn matching(path: PathMatch) -> RouteMatch {
    RouteMatch { path, case_sensitive: true, headers: vec![], query: vec![], metadata: vec![] }
}

pub(crate) fn prefix(text: &str) -> RouteMatch {
    matching(PathMatch::Prefix(text.into()))
}

pub(crate) fn regex(text: &str) -> mesh_core::re2::Regex {
    mesh_core::re2::Regex::new(text).expect("a regex")
}

pub(crate) fn forward_to(cluster: &str) -> Forward {
    Forward {
        cluster: ClusterSpecifier::Cluster(cluster.into()),
        cluster_not_found_status: 503,
        timeout_ns: 0,
        max_grpc_timeout_ns: None,
        max_stream_duration_ns: None,
        retry: None,
        path_rewrite: PathRewrite::Keep,
        host_rewrite: HostRewrite::Keep,
        mirrors: vec![],
        hash_policy: vec![],
    }
}

pub(crate) fn route(matcher: RouteMatch, action: RouteAction) -> Route {
    Route {
        name: "".into(),
        matcher,
        action,
        headers: HeaderMutations::default(),
        decorator: "".into(),
        fault: None,
        cors: None,
        taints: vec![],
        origin: OriginId::NONE,
        action_origin: OriginId::NONE,
    }
}

pub(crate) fn forward(matcher: RouteMatch) -> Route {
    route(matcher, RouteAction::Forward(Box::new(forward_to("a"))))
}

/// A proxy whose one virtual host `*` has these routes.
pub(crate) fn with_routes(routes: Vec<Route>) -> Snapshot {
    proxy(vec![virtual_host("v", &["*"], routes)], hcm())
}

pub(crate) fn conn() -> Connection {
    Connection {
        source: "10.0.0.9:40000".parse().expect("an address"),
        destination: "10.96.0.1:80".parse().expect("an address"),
        tls: None,
        bytes: FirstBytes::Http(Protocol::Http11),
    }
}

/// A GET of `host/path`.
pub(crate) fn get(url: &str) -> RequestHead {
    let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: Some(host.into()),
        path: if path.is_empty() { "/".into() } else { path.into() },
        protocol: Protocol::Http11,
        headers: Headers::default(),
        body_bytes: 0,
    }
}

pub(crate) fn with_headers(mut head: RequestHead, headers: &[(&str, &str)]) -> RequestHead {
    for (name, value) in headers {
        head.headers.append(name, value);
    }
    head
}

pub(crate) fn decide_with(
    snapshot: &Snapshot,
    head: &mut RequestHead,
    draws: &mut impl Draws,
) -> HttpDecision {
    let mut cx = Cx { now_ns: 0, draws, trace: &mut NoTrace, tokens: &NoTokens };
    decide_http(snapshot, CHAIN, &conn(), &Peer::default(), head, &mut cx)
}

pub(crate) fn decide(snapshot: &Snapshot, head: &RequestHead) -> HttpDecision {
    decide_with(snapshot, &mut head.clone(), &mut Fixed(0))
}

/// Position of the route that took the request; `None` = 404.
pub(crate) fn route_taken(snapshot: &Snapshot, head: &RequestHead) -> Option<u32> {
    decide(snapshot, head).route.map(|r| r.route)
}

pub(crate) fn reply(decision: &HttpDecision) -> &LocalReply {
    match &decision.outcome {
        HttpOutcome::Reply(reply) => reply,
        HttpOutcome::Forward(plan) => panic!("forwarded: {plan:?}"),
    }
}
