//! Clusters that no service makes (istiod: `buildBlackHoleCluster`, `buildDefaultPassthroughCluster`,
//! `buildAllowAnyDFPCluster`; semantics: istio-networking 5.4, 11).

use std::net::IpAddr;

use mesh_core::OriginId;
use mesh_core::ids::Nanos;
use mesh_core::ir::{
    CircuitBreakers, Cluster, CommonLb, Discovery, LbPolicy, SlowStart, Transport, UpstreamProtocol,
};

use super::traffic_policy::{DEFAULT_IDLE_NS, DEFAULT_STREAMS, Pool};
use crate::lower::Ctx;
use crate::resource::mesh_config::MeshOutboundTrafficMode as Mode;
use crate::resource::tls::ClientTlsMode;

/// Envoy: `update_merge_window`.
pub(crate) const UPDATE_MERGE_WINDOW_NS: Nanos = 1_000_000_000;
/// Connections passed through idle for five minutes.
const PASSTHROUGH_IDLE_NS: Nanos = 300_000_000_000;

/// The built-in clusters of the sending side: every proxy has a black hole, sidecars a passthrough.
#[must_use]
pub fn outbound(cx: &Ctx<'_>) -> Vec<Cluster> {
    let mut out = vec![black_hole(cx)];
    if cx.is_sidecar() {
        out.push(passthrough(cx, "PassthroughCluster", None));
        if cx.scope.outbound_policy.mode == Mode::AllowAnyDynamicDns {
            out.push(dynamic(cx));
        }
    }
    out
}

/// A cluster to the original destination, from `source` if the connection must not be captured again.
#[must_use]
pub fn passthrough(cx: &Ctx<'_>, name: &str, source: Option<IpAddr>) -> Cluster {
    let settings = &cx.lowering.mesh.settings;
    let written = settings.default_traffic_policy.as_ref().and_then(|p| p.connection_pool.as_ref());
    // The mesh's default limits apply, its HTTP options are overwritten by fixed ones.
    let pool = Pool::new(settings, written, None, UpstreamProtocol::Downstream);
    Cluster {
        discovery: Discovery::OriginalDst,
        lb: LbPolicy::ClusterProvided,
        connect_timeout_ns: pool.connect_timeout_ns,
        breakers: pool.breakers,
        protocol: UpstreamProtocol::Downstream,
        idle_timeout_ns: PASSTHROUGH_IDLE_NS,
        upstream_bind: source,
        ..empty(cx, name)
    }
}

fn black_hole(cx: &Ctx<'_>) -> Cluster {
    // Envoy's own limits: nothing ever gets there.
    let breakers = CircuitBreakers {
        max_connections: 1024,
        max_pending_requests: 1024,
        max_requests: 1024,
        max_retries: 3,
        retry_budget: None,
    };
    Cluster { breakers, ..empty(cx, "BlackHoleCluster") }
}

/// Hosts resolved from requests to unknown names.
fn dynamic(cx: &Ctx<'_>) -> Cluster {
    let tls = cx.lowering.mesh.settings.outbound_traffic_policy.tls.as_ref();
    let tls = tls.filter(|tls| tls.mode != ClientTlsMode::Disable);
    let taint = |tls: &crate::resource::tls::ClientTlsSettings| {
        cx.lowering.tools.origins.taint("outboundTrafficPolicy.tls", tls.origin)
    };
    Cluster {
        discovery: Discovery::DynamicForwardProxy,
        lb: LbPolicy::ClusterProvided,
        protocol: UpstreamProtocol::Downstream,
        idle_timeout_ns: PASSTHROUGH_IDLE_NS,
        taints: tls.map(taint).into_iter().collect(),
        ..empty(cx, "AllowAnyDynamicDNSCluster")
    }
}

/// A cluster without hosts and with Envoy's defaults under Istio's limits.
pub(crate) fn empty(cx: &Ctx<'_>, name: &str) -> Cluster {
    let connect_timeout = cx.lowering.mesh.settings.connect_timeout;
    Cluster {
        name: name.into(),
        discovery: Discovery::Static,
        lb: LbPolicy::RoundRobin(SlowStart::default()),
        common_lb: CommonLb {
            healthy_panic_threshold: 50,
            locality_weighted: false,
            update_merge_window_ns: UPDATE_MERGE_WINDOW_NS,
        },
        connect_timeout_ns: super::traffic_policy::nanos(connect_timeout),
        breakers: CircuitBreakers::default(),
        outlier: None,
        protocol: UpstreamProtocol::Http1,
        transport: Transport::Plaintext,
        proxy_protocol: 0,
        idle_timeout_ns: DEFAULT_IDLE_NS,
        max_requests_per_connection: 0,
        max_connection_duration_ns: None,
        max_concurrent_streams: DEFAULT_STREAMS,
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
