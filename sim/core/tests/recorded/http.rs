//! Connection managers and their filters.

use mesh_core::OriginId;
use mesh_core::ir::*;
use serde_json::Value;

use crate::json::*;
use crate::matchers::rbac;
use crate::routes::route_configuration;

pub(crate) fn connection_manager(value: &Value) -> HttpConnectionManager {
    let route_specifier = match value.get("rds") {
        Some(rds) => RouteSpecifier::Rds(text(rds, "routeConfigName").into()),
        None => RouteSpecifier::Inline(Box::new(route_configuration(at(value, "routeConfig")))),
    };
    let server = text(value, "serverName");
    HttpConnectionManager {
        stat_prefix: text(value, "statPrefix").into(),
        route_specifier,
        http_filters: list(value, "httpFilters").iter().filter_map(http_filter).collect(),
        path_normalization: PathNormalization {
            normalize_path: flag(value, "normalizePath"),
            merge_slashes: flag(value, "mergeSlashes"),
            escaped_slashes: match text(value, "pathWithEscapedSlashesAction") {
                "REJECT_REQUEST" => EscapedSlashes::RejectRequest,
                "UNESCAPE_AND_REDIRECT" => EscapedSlashes::UnescapeAndRedirect,
                "UNESCAPE_AND_FORWARD" => EscapedSlashes::UnescapeAndForward,
                _ => EscapedSlashes::KeepUnchanged,
            },
        },
        use_remote_address: flag(value, "useRemoteAddress"),
        xff_num_trusted_hops: number(value, "xffNumTrustedHops") as u32,
        forward_client_cert: match text(value, "forwardClientCertDetails") {
            "APPEND_FORWARD" => ForwardClientCert::AppendForward,
            "SANITIZE_SET" => ForwardClientCert::SanitizeSet,
            "FORWARD_ONLY" => ForwardClientCert::ForwardOnly,
            "ALWAYS_FORWARD_ONLY" => ForwardClientCert::AlwaysForwardOnly,
            _ => ForwardClientCert::Sanitize,
        },
        client_cert_details: client_cert_details(at(value, "setCurrentClientCertDetails")),
        server_name: if server.is_empty() { "envoy".into() } else { server.into() },
        accept_http_10: flag(value, "httpProtocolOptions/acceptHttp10"),
        stream_idle_timeout_ns: duration(at(value, "streamIdleTimeout")).unwrap_or(0),
        upgrades: list(value, "upgradeConfigs").iter().map(|u| text(u, "upgradeType").into()).collect(),
        origin: OriginId::NONE,
    }
}

fn client_cert_details(value: &Value) -> ClientCertDetails {
    ClientCertDetails {
        cert: flag(value, "cert"),
        subject: flag(value, "subject"),
        uri: flag(value, "uri"),
        dns: flag(value, "dns"),
    }
}

fn http_filter(value: &Value) -> Option<HttpFilter> {
    let config = at(value, "typedConfig");
    Some(match text(value, "name") {
        "envoy.filters.http.rbac" => HttpFilter::Rbac(rbac(config)),
        "envoy.filters.http.jwt_authn" => HttpFilter::JwtAuthn(jwt(config)),
        "envoy.filters.http.fault" => HttpFilter::Fault,
        "envoy.filters.http.cors" => HttpFilter::Cors,
        "istio.alpn" => HttpFilter::IstioAlpn,
        "istio.stats"
        | "istio.metadata_exchange"
        | "envoy.filters.http.grpc_stats"
        | "envoy.filters.http.grpc_web"
        | "envoy.filters.http.router" => return None,
        other => panic!("http filter {other}"),
    })
}

fn jwt(value: &Value) -> JwtAuthn {
    let providers = at(value, "providers").as_object().into_iter().flatten();
    let mut providers: Vec<JwtProvider> = providers.map(|(name, v)| provider(name, v)).collect();
    providers.sort_by(|a, b| a.name.cmp(&b.name));
    let clear = at(value, "providers").as_object().into_iter().flatten();
    JwtAuthn {
        providers,
        bypass_cors_preflight: flag(value, "bypassCorsPreflight"),
        clear_route_cache: clear.into_iter().any(|(_, v)| flag(v, "clearRouteCache")),
    }
}

fn provider(name: &str, v: &Value) -> JwtProvider {
    let texts = |key| list(v, key).iter().map(|t| t.as_str().unwrap_or("").into()).collect::<Vec<_>>();
    let mut from_headers: Vec<_> = list(v, "fromHeaders")
        .iter()
        .map(|h| (text(h, "name").to_lowercase().into(), text(h, "valuePrefix").into()))
        .collect();
    let mut from_params = texts("fromParams");
    if from_headers.is_empty() && from_params.is_empty() && list(v, "fromCookies").is_empty() {
        from_headers.push(("authorization".into(), "Bearer ".into()));
        from_params.push("access_token".into());
    }
    let forward_payload = text(v, "forwardPayloadHeader");
    JwtProvider {
        name: name.into(),
        issuer: text(v, "issuer").into(),
        audiences: texts("audiences"),
        jwks: Jwks::Inline(text(v, "localJwks/inlineString").into()),
        from_headers,
        from_params,
        from_cookies: texts("fromCookies"),
        forward: flag(v, "forward"),
        forward_payload_header: (!forward_payload.is_empty()).then(|| forward_payload.to_lowercase().into()),
        claim_to_headers: list(v, "claimToHeaders")
            .iter()
            .map(|c| (text(c, "headerName").to_lowercase().into(), text(c, "claimName").into()))
            .collect(),
        space_delimited_claims: list(v, "normalizePayloadInMetadata/spaceDelimitedClaims")
            .iter()
            .map(|c| c.as_str().unwrap_or("").into())
            .collect(),
        taints: vec![],
        origin: OriginId::NONE,
    }
}
