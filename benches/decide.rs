//! The routing core: one decision over tables of 10, 1 000 and 10 000 routes.
//!
//! `cargo bench -p mesh-core --bench decide`. Requests come in shuffled order, 8192 of them, so that no branch predictor
//! learns the table. `mix` is 40 % exact, 40 % prefix, 10 % regex, 10 % header; `full` adds a thousand virtual hosts, a
//! weighted split and an authorization policy. Targets: research/performance, section 8 (R1 to R4, R6).

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mesh_core::OriginId;
use mesh_core::cx::{Cx, Draws, NoTrace, Purpose, Token, TokenStatus, Tokens};
use mesh_core::decide::decide_http;
use mesh_core::ids::{ChainId, ListenerId, Str};
use mesh_core::index::SnapshotIndex;
use mesh_core::ir::*;
use mesh_core::re2::Regex;
use mesh_core::request::*;

const CHAIN: ChainId = ChainId { listener: ListenerId(0), chain: Some(0) };
const SIZES: [usize; 3] = [10, 1_000, 10_000];
const REQUESTS: usize = 8192;

struct NoTokens;

impl Tokens for NoTokens {
    fn decode(&self, _token: &str) -> Result<Token, Str> {
        Err("no tokens".into())
    }
    fn verify(&self, _token: &str, _jwks: &str) -> TokenStatus {
        TokenStatus::Unknown
    }
    fn now_unix(&self) -> i64 {
        0
    }
}

/// splitmix64
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Draws for Rng {
    fn draw(&mut self, _purpose: Purpose) -> u64 {
        self.next()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Exact,
    Prefix,
    Regex,
    Header,
}

fn kind_of(table: &str, i: usize) -> Kind {
    match (table, i % 10) {
        ("exact", _) | ("mix" | "full", 0..=3) => Kind::Exact,
        ("prefix", _) | ("mix" | "full", 4..=7) => Kind::Prefix,
        ("regex", _) | ("mix" | "full", 8) => Kind::Regex,
        _ => Kind::Header,
    }
}

fn route(table: &str, i: usize) -> Route {
    let mut headers = vec![];
    let path = match kind_of(table, i) {
        Kind::Exact => PathMatch::Path(format!("/api/v1/exact/item_{i}").into()),
        Kind::Prefix => PathMatch::Prefix(format!("/shelves/shelf_{i}/").into()),
        Kind::Regex => {
            PathMatch::Regex(Regex::new(&format!("^/shelves/[^\\\\/]+/route_{i}$")).expect("a regex"))
        }
        Kind::Header => {
            let value = StringMatch::new(StringPattern::Exact(format!("tenant-{i}").into()));
            headers.push(HeaderMatcher {
                name: "x-tenant".into(),
                condition: HeaderCondition::Value(value),
                invert: false,
                treat_missing_as_empty: false,
            });
            PathMatch::Prefix("/".into())
        }
    };
    let entry = |name: &str, weight| WeightedCluster {
        name: name.into(),
        weight,
        headers: HeaderMutations::default(),
        host_rewrite: "".into(),
        origin: OriginId::NONE,
    };
    let cluster = match table {
        "full" => ClusterSpecifier::Weighted(vec![entry("a", 90), entry("b", 10)]),
        _ => ClusterSpecifier::Cluster("a".into()),
    };
    Route {
        name: "".into(),
        matcher: RouteMatch { path, case_sensitive: true, headers, query: vec![], metadata: vec![] },
        action: RouteAction::Forward(Box::new(Forward {
            cluster,
            cluster_not_found_status: 503,
            timeout_ns: 0,
            max_grpc_timeout_ns: None,
            max_stream_duration_ns: None,
            retry: None,
            path_rewrite: PathRewrite::Keep,
            host_rewrite: HostRewrite::Keep,
            mirrors: vec![],
            hash_policy: vec![],
        })),
        headers: HeaderMutations::default(),
        decorator: "".into(),
        fault: None,
        cors: None,
        taints: vec![],
        origin: OriginId::NONE,
        action_origin: OriginId::NONE,
    }
}

fn requests(table: &str, size: usize) -> Vec<RequestHead> {
    let mut rng = Rng(1);
    let one = |rng: &mut Rng| {
        let i = (rng.next() % size as u64) as usize;
        let (path, tenant) = match kind_of(table, i) {
            Kind::Exact => (format!("/api/v1/exact/item_{i}"), "none".to_owned()),
            Kind::Prefix => (format!("/shelves/shelf_{i}/books/{}", rng.next() % 100), "none".to_owned()),
            Kind::Regex => (format!("/shelves/fiction/route_{i}"), "none".to_owned()),
            Kind::Header => ("/anything".to_owned(), format!("tenant-{i}")),
        };
        let headers =
            [("user-agent", "curl/8.5"), ("accept", "*/*"), ("x-request-id", "r"), ("x-tenant", &tenant)];
        RequestHead {
            method: "GET".into(),
            scheme: "http".into(),
            authority: Some("host-500.example.com".into()),
            path: path.into(),
            protocol: Protocol::Http11,
            headers: Headers(headers.into_iter().map(|(n, v)| (n.into(), v.into())).collect()),
            body_bytes: 0,
        }
    };
    (0..REQUESTS).map(|_| one(&mut rng)).collect()
}

fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        discovery: Discovery::Static,
        lb: LbPolicy::Random,
        common_lb: CommonLb {
            healthy_panic_threshold: 0,
            locality_weighted: false,
            update_merge_window_ns: 0,
        },
        connect_timeout_ns: 0,
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

fn authorization() -> HttpFilter {
    let policy = |i: usize| RbacPolicy {
        name: format!("ns[a]-policy[p{i}]-rule[0]").into(),
        permissions: vec![Permission::UrlPath(StringMatch::new(StringPattern::Prefix(if i == 19 {
            "/".into()
        } else {
            format!("/admin{i}/").into()
        })))],
        principals: vec![Principal::Any],
        taints: vec![],
        origin: OriginId::NONE,
    };
    let rules = RbacRules { action: RbacAction::Allow, policies: (0..20).map(policy).collect() };
    HttpFilter::Rbac(Rbac { rules: Some(rules), shadow_rules: None, shadow_stat_prefix: "".into() })
}

fn unsealed(table: &str, size: usize) -> Snapshot {
    let host = |i: usize, routes: Vec<Route>| VirtualHost {
        name: format!("v{i}").into(),
        domains: vec![format!("host-{i}.example.com").into()],
        routes,
        require_tls: false,
        include_request_attempt_count: false,
        headers: HeaderMutations::default(),
        origin: OriginId::NONE,
    };
    let full = table == "full";
    let routes: Vec<Route> = (0..size).map(|i| route(table, i)).collect();
    let mut virtual_hosts = vec![host(500, routes)];
    if full {
        virtual_hosts.extend((0..1000).filter(|i| *i != 500).map(|i| host(i, vec![])));
    }
    let mut http_filters = vec![HttpFilter::IstioAlpn, HttpFilter::Fault, HttpFilter::Cors];
    if full {
        http_filters.insert(0, authorization());
    }
    let manager = HttpConnectionManager {
        stat_prefix: "bench".into(),
        route_specifier: RouteSpecifier::Rds("80".into()),
        http_filters,
        path_normalization: PathNormalization { normalize_path: true, ..PathNormalization::default() },
        use_remote_address: false,
        xff_num_trusted_hops: 0,
        forward_client_cert: ForwardClientCert::Sanitize,
        client_cert_details: ClientCertDetails::default(),
        server_name: "envoy".into(),
        accept_http_10: false,
        stream_idle_timeout_ns: 0,
        upgrades: vec![],
        origin: OriginId::NONE,
    };
    let chain = FilterChain {
        name: "".into(),
        matcher: FilterChainMatch::default(),
        tls: None,
        network_filters: vec![],
        terminal: Terminal::Http(Box::new(manager)),
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
        ignore_port_in_host_matching: true,
        headers: HeaderMutations::default(),
    };
    Snapshot {
        kind: ProxyKind::Sidecar,
        listeners: vec![listener],
        routes: vec![config],
        clusters: vec![cluster("a"), cluster("b")],
        taints: vec![],
        index: SnapshotIndex::default(),
    }
}

fn sealed(table: &str, size: usize) -> Snapshot {
    let mut snapshot = unsealed(table, size);
    snapshot.seal();
    snapshot
}

fn decide(c: &mut Criterion) {
    let conn = Connection {
        source: "10.0.0.9:40000".parse().expect("an address"),
        destination: "10.96.0.1:80".parse().expect("an address"),
        tls: None,
        bytes: FirstBytes::Http(Protocol::Http11),
    };
    let peer = Peer::default();
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for table in ["exact", "prefix", "header", "regex", "mix", "full"] {
        for size in SIZES {
            let snapshot = sealed(table, size);
            let mut heads = requests(table, size);
            let (mut rng, mut at) = (Rng(7), 0);
            group.bench_function(BenchmarkId::new(table, size), |b| {
                b.iter(|| {
                    at = (at + 1) % REQUESTS;
                    let mut cx = Cx { now_ns: 0, draws: &mut rng, trace: &mut NoTrace, tokens: &NoTokens };
                    let decision = decide_http(&snapshot, CHAIN, &conn, &peer, &mut heads[at], &mut cx);
                    black_box(decision.route)
                });
            });
        }
    }
    group.finish();
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for size in SIZES {
        let snapshot = unsealed("mix", size);
        group.bench_function(BenchmarkId::new("index", size), |b| {
            b.iter(|| black_box(SnapshotIndex::build(&snapshot)));
        });
        group.bench_function(BenchmarkId::new("regexes", size), |b| {
            let patterns: Vec<String> = (0..size / 10).map(|i| format!("^/a/[^\\\\/]+/r_{i}$")).collect();
            b.iter(|| patterns.iter().map(|p| Regex::new(p)).filter(Result::is_ok).count());
        });
    }
    group.finish();
}

criterion_group!(benches, decide, build);
criterion_main!(benches);
