//! The effective mesh configuration: Istio's defaults, then every layer that was given, merged as istiod merges them.
//!
//! semantics: istio-networking 10 (`pkg/config/mesh/mesh.go ApplyMeshConfig`): a given field replaces the default as a
//! whole, except `defaultConfig` (field by field, `proxyMetadata` by key), `defaultProviders` (field by field),
//! `extensionProviders` (by name) and `trustDomainAliases` (united). Reading the layers is `mesh::config_layers`' job.

use std::collections::BTreeMap;

use super::features::Features;
use crate::resource::connection_pool::TcpKeepalive;
use crate::resource::http_route::HttpRetry;
use crate::resource::load_balancer::{LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting};
use crate::resource::mesh_config::{
    CertificateData, DefaultProviders, DefaultTrafficPolicy, InboundTrafficPolicy, MeshConfig,
    MeshH2UpgradePolicy, MeshOutboundTrafficMode, MeshOutboundTrafficPolicy, NormalizationType,
    ServiceEntryVisibility, ServiceSettings, TlsConfig,
};
use crate::resource::provider::ExtensionProvider;
use crate::resource::proxy_config::ProxyConfig;
use crate::resource::scalar::Duration;
use crate::resource::selector::LabelSelector;
use crate::source::Span;

/// Mesh-wide settings with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshSettings {
    /// Namespace of mesh-wide resources; default `istio-system`.
    pub root_namespace: String,
    /// Trust domain; default `cluster.local`. An `@` has become `.`.
    pub trust_domain: String,
    /// Further trust domains, sorted.
    pub trust_domain_aliases: Vec<String>,
    /// Further CAs.
    pub ca_certificates: Vec<CertificateData>,
    /// For services without `exportTo`; default `*`.
    pub default_service_export_to: Vec<String>,
    /// For VirtualServices without `exportTo`; default `*`.
    pub default_virtual_service_export_to: Vec<String>,
    /// For DestinationRules without `exportTo`; default `*`.
    pub default_destination_rule_export_to: Vec<String>,
    /// Unknown destinations; default `ALLOW_ANY`, while `{}` is `REGISTRY_ONLY`.
    pub outbound_traffic_policy: MeshOutboundTrafficPolicy,
    /// How inbound traffic reaches the application; default `PASSTHROUGH`.
    pub inbound_traffic_policy: InboundTrafficPolicy,
    /// Mutual TLS wherever the server can; default true.
    pub enable_auto_mtls: bool,
    /// TLS parameters of mutual TLS.
    pub mesh_mtls: Option<TlsConfig>,
    /// TLS parameters of everything else.
    pub tls_defaults: Option<TlsConfig>,
    /// Locality failover and distribution; default `{enabled: true}`.
    pub locality_lb_setting: LocalityLoadBalancerSetting,
    /// Zone-aware balancing; default unset.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// For routes without `retries`; unset is the built-in policy.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// For inbound routes; unset is the built-in policy.
    pub default_inbound_http_retry_policy: Option<HttpRetry>,
    /// For services without DestinationRule blocks.
    pub default_traffic_policy: Option<DefaultTrafficPolicy>,
    /// Of upstream connections; default 10 s.
    pub connect_timeout: Duration,
    /// Of upstream connections; default unset.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// HTTP/2 upstream for HTTP/1.1 ports; default `DO_NOT_UPGRADE`.
    pub h2_upgrade_policy: MeshH2UpgradePolicy,
    /// Of protocol sniffing; 0 waits forever and is the default.
    pub protocol_detection_timeout: Duration,
    /// Of failed DNS lookups; default 60 s.
    pub dns_refresh_rate: Duration,
    /// Outbound capture port; default 15001.
    pub proxy_listen_port: u32,
    /// Inbound capture port; default 15006.
    pub proxy_inbound_listen_port: u32,
    /// HTTP proxy port; 0 is off and the default.
    pub proxy_http_port: u32,
    /// Class of Ingresses taken; default `istio`.
    pub ingress_class: String,
    /// `OFF`, `DEFAULT`, `STRICT`; default `STRICT`.
    pub ingress_controller_mode: String,
    /// Service of the ingress gateway; default `istio-ingressgateway`.
    pub ingress_service: String,
    /// `istio` label of the ingress gateway; empty is `ingressgateway`.
    pub ingress_selector: String,
    /// Path normalization; default `BASE` (`DEFAULT` says the same).
    pub path_normalization: NormalizationType,
    /// Path of the access log; empty is off and the default.
    pub access_log_file: String,
    /// Format of the access log; empty is the built-in one.
    pub access_log_format: String,
    /// `TEXT` (default) or `JSON`.
    pub access_log_encoding: String,
    /// Tracing; default true.
    pub enable_tracing: bool,
    /// Providers; prometheus, stackdriver and envoy exist by default.
    pub extension_providers: Vec<ExtensionProvider>,
    /// Providers used without a Telemetry resource.
    pub default_providers: DefaultProviders,
    /// Per-service settings (multi-cluster).
    pub service_settings: Vec<ServiceSettings>,
    /// Bounds `exportTo` of ServiceEntries.
    pub service_entry_visibility: Option<ServiceEntryVisibility>,
    /// Namespaces that exist for istiod; none is all.
    pub discovery_selectors: Vec<LabelSelector>,
    /// Settings of proxies.
    pub default_config: ProxyConfig,
    /// Flags of istiod itself.
    pub features: Features,
    /// The last layer that was given.
    pub origin: Span,
    /// What parties outside the manifests answer.
    pub outside: Outside,
}

/// What the manifests cannot tell: the answers of authorizers and key servers, where somebody states them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    /// Answers of external authorizers, by the name of their provider.
    pub authorizers: BTreeMap<String, Authorizer>,
    /// JWKS documents by URI, as istiod fetches them; `None` = the URI cannot be fetched. `*` is every other URI.
    pub jwks: BTreeMap<String, Option<String>>,
}

/// What an external authorizer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authorizer {
    /// Yes, to everything.
    Allow,
    /// No, to everything.
    Deny,
    /// Nothing that its protocol allows, or nothing at all.
    Error,
}

/// Takes the given fields of `top` over those of `base`.
macro_rules! take_given {
    ($base:ident, $top:ident; $($field:ident)*) => {
        $(if $top.$field.is_some() { $base.$field = $top.$field; })*
    };
}

/// Lists of a higher layer replace those of a lower one.
macro_rules! take_lists {
    ($base:ident, $top:ident; $($field:ident)*) => {
        $(if !$top.$field.is_empty() { $base.$field = $top.$field; })*
    };
}

/// Lays `top` over `base`.
fn overlay(base: &mut MeshConfig, mut top: MeshConfig) {
    if let Some(config) = top.default_config.take() {
        overlay_proxy(base.default_config.get_or_insert_default(), config);
    }
    if let Some(providers) = top.default_providers.take() {
        let base = base.default_providers.get_or_insert_default();
        take_lists!(base, providers; tracing metrics access_logging);
    }
    for provider in std::mem::take(&mut top.extension_providers) {
        match base.extension_providers.iter_mut().find(|p| p.name == provider.name) {
            Some(known) => *known = provider,
            None => base.extension_providers.push(provider),
        }
    }
    base.trust_domain_aliases.append(&mut top.trust_domain_aliases);
    base.trust_domain_aliases.sort();
    base.trust_domain_aliases.dedup();
    take_given!(base, top;
        proxy_listen_port proxy_inbound_listen_port proxy_http_port connect_timeout hbone_idle_timeout
        protocol_detection_timeout tcp_keepalive ingress_class ingress_service ingress_controller_mode
        ingress_selector enable_tracing access_log_file access_log_format access_log_encoding
        enable_envoy_access_log_service disable_envoy_listener_log outbound_traffic_policy
        inbound_traffic_policy config_sources enable_auto_mtls trust_domain default_service_export_to
        default_virtual_service_export_to default_destination_rule_export_to root_namespace
        locality_lb_setting zone_aware_lb_setting dns_refresh_rate h2_upgrade_policy
        inbound_cluster_stat_name outbound_cluster_stat_name certificates service_scope_configs
        enable_prometheus_merge verify_certificate_at_client ca path_normalization
        default_http_retry_policy default_inbound_http_retry_policy mesh_mtls tls_defaults
        default_traffic_policy service_entry_visibility);
    take_lists!(base, top; ca_certificates service_settings discovery_selectors);
    if !top.origin.is_none() {
        base.origin = top.origin;
    }
}

/// Lays `top` over `base`, as `MergeProxyConfig` does.
pub fn overlay_proxy(base: &mut ProxyConfig, mut top: ProxyConfig) {
    base.proxy_metadata.append(&mut top.proxy_metadata);
    if let (Some(known), Some(headers)) = (&base.proxy_headers, &mut top.proxy_headers) {
        // Only these five survive when a higher layer names other headers (`correctProxyHeaders`).
        let known = known.clone();
        headers.forwarded_client_cert = headers.forwarded_client_cert.or(known.forwarded_client_cert);
        headers.request_id = headers.request_id.take().or(known.request_id);
        headers.attempt_count = headers.attempt_count.take().or(known.attempt_count);
        headers.server = headers.server.take().or(known.server);
        headers.envoy_debug_headers = headers.envoy_debug_headers.take().or(known.envoy_debug_headers);
    }
    take_given!(base, top;
        config_path binary_path service_cluster tracing_service_name drain_duration discovery_address
        discovery_refresh_delay zipkin_address statsd_udp_address envoy_metrics_service_address
        proxy_admin_port availability_zone control_plane_auth_policy custom_config_file stat_name_length
        concurrency proxy_bootstrap_template_path interception_mode tracing sds envoy_access_log_service
        envoy_metrics_service status_port gateway_topology termination_drain_duration mesh_id
        readiness_probe proxy_stats_matcher hold_application_until_proxy_starts image
        private_key_provider proxy_headers file_flush_interval file_flush_min_size_kb stats_compression
        connection_settings);
    take_lists!(base, top; extra_stat_tags ca_certificates_pem);
    // A map given by a higher layer replaces the lower one; only proxyMetadata is merged.
    if !top.runtime_values.is_empty() {
        base.runtime_values = top.runtime_values;
    }
    if !top.origin.is_none() {
        base.origin = top.origin;
    }
}

impl MeshSettings {
    /// Istio's defaults with `layers` laid over them, lowest first.
    pub fn new(layers: Vec<MeshConfig>) -> Self {
        let mut config = MeshConfig {
            extension_providers: ["prometheus", "stackdriver", "envoy"].map(built_in_provider).into(),
            ..MeshConfig::default()
        };
        for layer in layers {
            overlay(&mut config, layer);
        }
        Self::resolve(config)
    }

    fn resolve(config: MeshConfig) -> Self {
        let everybody = |given: Option<Vec<String>>| match given {
            Some(list) if !list.is_empty() => list,
            _ => vec!["*".to_owned()],
        };
        let text = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
        let port =
            |given: Option<i32>, default: u32| given.and_then(|p| u32::try_from(p).ok()).unwrap_or(default);
        MeshSettings {
            outside: Outside::default(),
            root_namespace: text(config.root_namespace, "istio-system"),
            // semantics: istio-security 1.1.
            trust_domain: text(config.trust_domain, "cluster.local").replace('@', "."),
            trust_domain_aliases: config.trust_domain_aliases,
            ca_certificates: config.ca_certificates,
            default_service_export_to: everybody(config.default_service_export_to),
            default_virtual_service_export_to: everybody(config.default_virtual_service_export_to),
            default_destination_rule_export_to: everybody(config.default_destination_rule_export_to),
            outbound_traffic_policy: config.outbound_traffic_policy.unwrap_or(MeshOutboundTrafficPolicy {
                mode: MeshOutboundTrafficMode::AllowAny,
                ..MeshOutboundTrafficPolicy::default()
            }),
            inbound_traffic_policy: config.inbound_traffic_policy.unwrap_or_default(),
            enable_auto_mtls: config.enable_auto_mtls.unwrap_or(true),
            mesh_mtls: config.mesh_mtls,
            tls_defaults: config.tls_defaults,
            locality_lb_setting: config.locality_lb_setting.unwrap_or(LocalityLoadBalancerSetting {
                enabled: Some(true),
                ..LocalityLoadBalancerSetting::default()
            }),
            zone_aware_lb_setting: config.zone_aware_lb_setting,
            default_http_retry_policy: config.default_http_retry_policy,
            default_inbound_http_retry_policy: config.default_inbound_http_retry_policy,
            default_traffic_policy: config.default_traffic_policy,
            connect_timeout: config.connect_timeout.unwrap_or(Duration::from_secs(10)),
            tcp_keepalive: config.tcp_keepalive,
            h2_upgrade_policy: config.h2_upgrade_policy.unwrap_or_default(),
            protocol_detection_timeout: config.protocol_detection_timeout.unwrap_or_default(),
            dns_refresh_rate: config.dns_refresh_rate.unwrap_or(Duration::from_secs(60)),
            proxy_listen_port: port(config.proxy_listen_port, 15001),
            proxy_inbound_listen_port: port(config.proxy_inbound_listen_port, 15006),
            proxy_http_port: port(config.proxy_http_port, 0),
            ingress_class: text(config.ingress_class, "istio"),
            ingress_controller_mode: text(config.ingress_controller_mode, "STRICT"),
            ingress_service: text(config.ingress_service, "istio-ingressgateway"),
            ingress_selector: text(config.ingress_selector, ""),
            path_normalization: match config.path_normalization.unwrap_or_default().normalization {
                NormalizationType::Default => NormalizationType::Base,
                other => other,
            },
            access_log_file: text(config.access_log_file, ""),
            access_log_format: text(config.access_log_format, ""),
            access_log_encoding: text(config.access_log_encoding, "TEXT"),
            enable_tracing: config.enable_tracing.unwrap_or(true),
            extension_providers: config.extension_providers,
            default_providers: config.default_providers.unwrap_or_default(),
            service_settings: config.service_settings,
            service_entry_visibility: config.service_entry_visibility,
            discovery_selectors: config.discovery_selectors,
            default_config: config.default_config.unwrap_or_default(),
            features: Features::default(),
            origin: config.origin,
        }
    }

    /// The SPIFFE id of a service account.
    pub fn spiffe_id(&self, namespace: &str, service_account: &str) -> String {
        format!("spiffe://{}/ns/{namespace}/sa/{service_account}", self.trust_domain)
    }
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

fn built_in_provider(name: &str) -> ExtensionProvider {
    let mut provider = ExtensionProvider { name: name.to_owned(), ..ExtensionProvider::default() };
    let given = Some(serde::de::IgnoredAny);
    match name {
        "prometheus" => provider.prometheus = given,
        "stackdriver" => provider.stackdriver = given,
        _ => provider.envoy_file_access_log = given,
    }
    provider
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{DecodeCx, from_node};
    use crate::source::FileId;

    fn layer(text: &str) -> MeshConfig {
        let (documents, problems) = crate::yaml::parse_stream(FileId(0), text);
        assert!(problems.is_empty(), "{problems:?}");
        let mut cx = DecodeCx::new(None, "");
        let config = from_node(&documents[0].node, &mut cx);
        assert!(cx.diagnostics.is_empty(), "{:?}", cx.diagnostics);
        config.expect("decodes")
    }

    fn settings(layers: &[&str]) -> MeshSettings {
        MeshSettings::new(layers.iter().map(|l| layer(l)).collect())
    }

    #[test]
    fn defaults_are_istios() {
        let s = MeshSettings::default();
        assert_eq!((s.root_namespace.as_str(), s.trust_domain.as_str()), ("istio-system", "cluster.local"));
        assert_eq!(s.outbound_traffic_policy.mode, MeshOutboundTrafficMode::AllowAny);
        assert_eq!(s.path_normalization, NormalizationType::Base);
        assert_eq!(s.locality_lb_setting.enabled, Some(true));
        assert_eq!(s.connect_timeout, Duration::from_secs(10));
        assert_eq!(s.default_service_export_to, ["*"]);
        assert!(s.enable_auto_mtls);
        let names: Vec<_> = s.extension_providers.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["prometheus", "stackdriver", "envoy"]);
    }

    #[test]
    fn an_empty_policy_is_not_an_absent_one() {
        let s = settings(&["outboundTrafficPolicy: {}\ndefaultHttpRetryPolicy: {}\nlocalityLbSetting: {}"]);
        assert_eq!(s.outbound_traffic_policy.mode, MeshOutboundTrafficMode::RegistryOnly);
        assert!(s.default_http_retry_policy.is_some());
        assert_eq!(s.locality_lb_setting.enabled, None);
    }

    #[test]
    fn layers_replace_and_the_named_four_merge() {
        let low = "
trustDomain: old@corp
trustDomainAliases: [b, a]
localityLbSetting: {enabled: false, failover: [{from: a, to: b}]}
extensionProviders: [{name: authz, envoyExtAuthzGrpc: {service: a, port: 1}}]
defaultProviders: {tracing: [zipkin], metrics: [m]}
defaultConfig: {concurrency: 1, proxyMetadata: {A: '1', B: '2'}}
";
        let high = "
trustDomainAliases: [c, a]
localityLbSetting: {enabled: true}
extensionProviders: [{name: authz, envoyExtAuthzHttp: {service: b, port: 2}}, {name: more, zipkin: {}}]
defaultProviders: {metrics: [more]}
defaultConfig: {proxyMetadata: {B: '3'}, interceptionMode: TPROXY}
";
        let s = settings(&[low, high]);
        assert_eq!(s.trust_domain, "old.corp");
        assert_eq!(s.trust_domain_aliases, ["a", "b", "c"]);
        assert!(s.locality_lb_setting.failover.is_empty());
        let providers: Vec<_> = s
            .extension_providers
            .iter()
            .map(|p| (p.name.as_str(), p.envoy_ext_authz_grpc.is_some(), p.envoy_ext_authz_http.is_some()))
            .collect();
        assert_eq!(providers[3..], [("authz", false, true), ("more", false, false)]);
        assert_eq!((s.default_providers.tracing.len(), s.default_providers.metrics[0].as_str()), (1, "more"));
        assert_eq!(s.default_config.concurrency, Some(1));
        let metadata: Vec<_> = s.default_config.proxy_metadata.values().map(String::as_str).collect();
        assert_eq!(metadata, ["1", "3"]);
        assert_eq!(s.spiffe_id("ns", "sa"), "spiffe://old.corp/ns/ns/sa/sa");
    }
}
