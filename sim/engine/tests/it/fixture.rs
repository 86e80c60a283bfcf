//! A small mesh built by hand: `client` with a sidecar, some `web` pods with or without one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Token, TokenStatus, Tokens};
use mesh_core::ids::OriginId;
use mesh_core::ir::*;
use mesh_core::request::{Headers, Protocol};
use mesh_core::tls::{Certificate, TrustAnchor};
use mesh_engine::plan::*;
use mesh_engine::record::Fate;
use mesh_engine::world::*;

/// No token is ever valid.
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

/// What the tests vary.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) webs: u8,
    pub(crate) sidecar: bool,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout_ns: u64,
    pub(crate) breakers: CircuitBreakers,
    pub(crate) lb: LbPolicy,
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) max_requests: u32,
    pub(crate) outlier: Option<OutlierDetection>,
    pub(crate) fault: Option<Fault>,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            webs: 1,
            sidecar: true,
            retry: None,
            timeout_ns: 0,
            breakers: CircuitBreakers::default(),
            lb: LbPolicy::RoundRobin(SlowStart::default()),
            protocol: UpstreamProtocol::Http1,
            max_requests: 0,
            outlier: None,
            fault: None,
        }
    }
}

pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

pub(crate) fn web_ip(i: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 244, 0, 10 + i))
}

fn identity(name: &str) -> Certificate {
    Certificate {
        issuer: TrustAnchor::Mesh,
        sans: vec![format!("spiffe://cluster.local/ns/default/sa/{name}").into()],
        subject: "".into(),
    }
}

fn cluster(name: &str, discovery: Discovery) -> Cluster {
    Cluster {
        name: name.into(),
        discovery,
        lb: LbPolicy::RoundRobin(SlowStart::default()),
        common_lb: CommonLb {
            healthy_panic_threshold: 0,
            locality_weighted: false,
            update_merge_window_ns: 1_000_000_000,
        },
        connect_timeout_ns: 10_000_000_000,
        breakers: CircuitBreakers::default(),
        outlier: None,
        protocol: UpstreamProtocol::Http1,
        transport: Transport::Plaintext,
        proxy_protocol: 0,
        idle_timeout_ns: 3_600_000_000_000,
        max_requests_per_connection: 0,
        max_connection_duration_ns: None,
        max_concurrent_streams: 1024,
        upstream_port_override: 0,
        upstream_bind: None,
        endpoints: Vec::new(),
        overprovisioning_factor: 140,
        host: "".into(),
        port: 0,
        subset: "".into(),
        taints: Vec::new(),
        origin: OriginId::NONE,
    }
}

fn forward(cluster: &str, shape: &Shape) -> Route {
    Route {
        name: "default".into(),
        matcher: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            metadata: Vec::new(),
        },
        action: RouteAction::Forward(Box::new(Forward {
            cluster: ClusterSpecifier::Cluster(cluster.into()),
            cluster_not_found_status: 503,
            timeout_ns: shape.timeout_ns,
            max_grpc_timeout_ns: Some(0),
            max_stream_duration_ns: None,
            retry: shape.retry.clone(),
            path_rewrite: PathRewrite::Keep,
            host_rewrite: HostRewrite::Keep,
            mirrors: Vec::new(),
            hash_policy: Vec::new(),
        })),
        headers: HeaderMutations::default(),
        fault: shape.fault.clone().map(Box::new),
        cors: None,
        taints: Vec::new(),
        origin: OriginId::NONE,
        action_origin: OriginId::NONE,
        decorator: "".into(),
    }
}

fn routes(name: &str, domain: &str, route: Route) -> RouteConfiguration {
    RouteConfiguration {
        name: name.into(),
        virtual_hosts: vec![VirtualHost {
            name: domain.into(),
            domains: vec!["*".into()],
            routes: vec![route],
            require_tls: false,
            include_request_attempt_count: true,
            headers: HeaderMutations::default(),
            origin: OriginId::NONE,
        }],
        ignore_port_in_host_matching: true,
        headers: HeaderMutations::default(),
    }
}

fn hcm(routes: RouteSpecifier) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: "".into(),
        route_specifier: routes,
        http_filters: vec![HttpFilter::Fault],
        path_normalization: PathNormalization::default(),
        use_remote_address: false,
        xff_num_trusted_hops: 0,
        forward_client_cert: ForwardClientCert::Sanitize,
        client_cert_details: ClientCertDetails::default(),
        server_name: "istio-envoy".into(),
        accept_http_10: false,
        stream_idle_timeout_ns: 0,
        upgrades: Vec::new(),
        origin: OriginId::NONE,
    }
}

fn listener(name: &str, port: u16, direction: TrafficDirection, manager: HttpConnectionManager) -> Listener {
    Listener {
        name: name.into(),
        ip: None,
        port,
        pipe: None,
        direction,
        bind_to_port: false,
        use_original_dst: false,
        listener_filters: ListenerFilters::default(),
        listener_filters_timeout_ns: 0,
        filter_chains: vec![FilterChain {
            name: name.into(),
            matcher: FilterChainMatch::default(),
            tls: None,
            network_filters: Vec::new(),
            terminal: Terminal::Http(Box::new(manager)),
            taints: Vec::new(),
            origin: OriginId::NONE,
        }],
        default_filter_chain: None,
        taints: Vec::new(),
        origin: OriginId::NONE,
    }
}

/// The client's snapshot.
pub(crate) fn client_snapshot(shape: &Shape) -> Snapshot {
    let mut web = cluster("outbound|80||web.default.svc.cluster.local", Discovery::Eds);
    web.breakers = shape.breakers;
    web.lb = shape.lb.clone();
    web.protocol = shape.protocol;
    web.max_requests_per_connection = shape.max_requests;
    web.outlier = shape.outlier.clone();
    web.endpoints = vec![LocalityEndpoints {
        locality: "".into(),
        weight: 0,
        priority: 0,
        hosts: (0..shape.webs)
            .map(|i| Endpoint {
                address: EndpointAddress::Ip(web_ip(i), 8080),
                weight: 1,
                health: Health::Healthy,
                tls_mode_istio: false,
                workload: format!("default/web#{i}").into(),
                origin: OriginId::NONE,
            })
            .collect(),
    }];
    let name = web.name.clone();
    let mut snapshot = Snapshot {
        kind: ProxyKind::Sidecar,
        listeners: vec![listener(
            "0.0.0.0_80",
            80,
            TrafficDirection::Outbound,
            hcm(RouteSpecifier::Rds("80".into())),
        )],
        routes: vec![routes("80", "web.default.svc.cluster.local:80", forward(&name, shape))],
        clusters: vec![web],
        taints: Vec::new(),
        index: mesh_core::index::SnapshotIndex::default(),
    };
    snapshot.seal();
    snapshot
}

fn server_snapshot() -> Snapshot {
    let mut inbound = cluster("inbound|8080||", Discovery::OriginalDst);
    inbound.upstream_bind = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)));
    inbound.lb = LbPolicy::ClusterProvided;
    let plain = Shape::default();
    let config = routes("inbound|8080||", "inbound|http|80", forward("inbound|8080||", &plain));
    let mut listener = listener(
        "virtualInbound",
        15006,
        TrafficDirection::Inbound,
        hcm(RouteSpecifier::Inline(Box::new(config))),
    );
    listener.bind_to_port = true;
    let mut snapshot = Snapshot {
        kind: ProxyKind::Sidecar,
        listeners: vec![listener],
        routes: Vec::new(),
        clusters: vec![inbound],
        taints: Vec::new(),
        index: mesh_core::index::SnapshotIndex::default(),
    };
    snapshot.seal();
    snapshot
}

fn pod(name: &str, i: u8, ip: IpAddr, proxy: Option<u32>) -> Pod {
    Pod {
        reference: format!("default/{name}#{i}").into(),
        pod_name: format!("{name}-{i}").into(),
        namespace: "default".into(),
        ip,
        proxy: proxy.map(ProxyId),
        gateway: false,
        capture: Capture::default(),
        ports: vec![AppPort { port: 8080, kind: AppKind::Http, certificate: None }],
        locality: "".into(),
        node: "".into(),
        grace_ns: 30_000_000_000,
        taint: None,
    }
}

/// The mesh: pod 0 is the client, pods 1.. are `web#0`...
pub(crate) fn world(shape: &Shape) -> World {
    let mut pods = vec![pod("client", 0, IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1)), Some(0))];
    let mut proxies = vec![Proxy {
        name: "default/client-0".into(),
        pod: PodId(0),
        configuration: Configuration::ready(Arc::new(client_snapshot(shape))),
        identity: identity("client"),
        concurrency: 1,
    }];
    let server = Arc::new(server_snapshot());
    for i in 0..shape.webs {
        let proxy = shape.sidecar.then_some(proxies.len() as u32);
        pods.push(pod("web", i, web_ip(i), proxy));
        if shape.sidecar {
            proxies.push(Proxy {
                name: format!("default/web-{i}").into(),
                pod: PodId(u32::from(i) + 1),
                configuration: Configuration::ready(Arc::clone(&server)),
                identity: identity("web"),
                concurrency: 1,
            });
        }
    }
    let mut names = BTreeMap::new();
    names.insert(Str::from("web.default.svc.cluster.local"), vec![VIP]);
    let endpoints = (0..shape.webs).map(|i| SocketAddr::new(web_ip(i), 8080)).collect();
    World {
        proxies,
        pods,
        dns: Dns { names, aliases: BTreeMap::new(), cluster_domain: "cluster.local".into(), outside: None },
        vips: Vips { targets: [((VIP, 80), endpoints)].into(), addresses: [VIP].into() },
        internet: Internet::default(),
        sets_acted_on_headers: false,
        hash_tables: Arc::default(),
    }
}

/// `GET http://web/`.
pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> ClientRequest {
    let mut all = Headers::default();
    for (name, value) in headers {
        all.append(name, value);
    }
    ClientRequest {
        dial: Dial::Name("web".into(), 80),
        tls: None,
        payload: Payload::Http(HttpRequest {
            method: "GET".into(),
            scheme: "http".into(),
            authority: Some("web".into()),
            path: path.into(),
            protocol: Protocol::Http11,
            headers: all,
            body_bytes: 0,
        }),
    }
}

/// One client sending `request` with these arrivals.
pub(crate) fn traffic(request: ClientRequest, arrivals: Arrivals) -> Traffic {
    Traffic {
        name: "users".into(),
        from: Clients::pod(PodId(0)),
        mix: vec![(1, request)],
        arrivals,
        client_timeout_ns: None,
        impatient: Fate::Timeout,
        send: SendMode::Whole,
    }
}

/// A plan that keeps everything.
pub(crate) fn plan(world: World, traffic: Vec<Traffic>, duration_ns: u64) -> Plan {
    Plan {
        ticks_late_ns: 0,
        world: Arc::new(world),
        seed: 1,
        replication: 0,
        duration_ns,
        warmup_ns: 0,
        network: NetworkModel {
            latency_ns: 50_000,
            connect_ns: 100_000,
            tls_handshake_ns: 200_000,
            ..NetworkModel::default()
        },
        behaviors: Vec::new(),
        traffic,
        changes: Vec::new(),
        record: Record { requests: true, hops: true, window_ns: 0 },
        tokens: Arc::new(NoTokens),
    }
}

pub(crate) const MS: u64 = 1_000_000;

/// Scripted arrivals at these milliseconds.
pub(crate) fn at(ms: &[u64]) -> Arrivals {
    Arrivals::At(ms.iter().map(|m| m * MS).collect())
}

/// A behavior of all `web` pods of a shape.
pub(crate) fn webs(shape: &Shape, behavior: Behavior) -> Behavior {
    Behavior { pods: (1..=u32::from(shape.webs)).map(PodId).collect(), ..behavior }
}

/// A plain answer.
pub(crate) fn status(status: u16) -> Reply {
    let action = ReplyAction::Answer {
        status,
        headers: Headers::default(),
        body_bytes: 3,
        body: Default::default(),
        grpc_status: None,
    };
    Reply { action, ..Reply::default() }
}

/// `status flags attempts` of the client sidecar, then `pod:connection` of every try.
pub(crate) fn lines(record: &mesh_engine::RunRecord) -> Vec<String> {
    record.requests.iter().map(line).collect()
}

fn line(r: &mesh_engine::RequestRecord) -> String {
    let code = r.status().map_or_else(|| format!("{:?}", r.fate), |s| s.to_string());
    let (flags, attempts) = r.client_hop().map_or((String::new(), 0), |h| (h.flags.text(), h.attempts));
    let tries: Vec<String> = r
        .tries
        .iter()
        .map(|t| format!("{}:{}", t.workload.trim_start_matches("default/web"), t.connection))
        .collect();
    format!("{code} {flags} {attempts} {}", tries.join(" ")).trim_end().to_owned()
}

/// A retry policy as istiod sends it.
pub(crate) fn retry(on: &str, attempts: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: RetryOn::parse(on),
        retry_on_text: on.into(),
        num_retries: attempts,
        retriable_status_codes: Vec::new(),
        per_try_timeout_ns: 0,
        base_interval_ns: 25 * MS,
        max_interval_ns: 250 * MS,
        previous_hosts: true,
        previous_priorities: 0,
        host_selection_max_attempts: 5,
        origin: OriginId::NONE,
    }
}

/// istiod's default policy.
pub(crate) fn default_retry() -> RetryPolicy {
    retry("connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", 2)
}
