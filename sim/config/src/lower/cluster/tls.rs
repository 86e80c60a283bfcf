//! TLS towards the hosts of a cluster (istiod: `buildUpstreamTLSSettings`, `buildUpstreamClusterTLSContext`; semantics:
//! istio-networking 4.9, istio-security 2.5).

use mesh_core::Str;
use mesh_core::ids::Taint;
use mesh_core::ir::{StringMatch, StringPattern, Transport, UpstreamProtocol};
use mesh_core::tls::{CertificateSource, TrustAnchor, UpstreamTls, Validation};

use super::Plan;
use crate::lower::Ctx;
use crate::lower::destination_rule::policy::Policy;
use crate::lower::security::credentials::Authority;
use crate::lower::security::peer_authentication::Mode;
use crate::mesh::service::{Port, Registry, Resolution, Service, TLS_MODE_DISABLED};
use crate::resource::destination_rule::TrafficPolicy;
use crate::resource::load_balancer::SimpleLb;
use crate::resource::tls::{ClientTlsMode, ClientTlsSettings};

/// The transport of a cluster, and what of it is not modelled.
pub(super) fn transport(
    cx: &Ctx<'_>,
    plan: &Plan<'_>,
    policy: Policy<'_>,
    protocol: UpstreamProtocol,
) -> (Transport, Vec<Taint>) {
    let mut taints = Vec::new();
    let transport = match policy.tls {
        Some(tls) => stated(cx, plan, tls, protocol, &mut taints)
            .map_or(Transport::Plaintext, |t| Transport::Tls(Box::new(t))),
        None if auto_mtls(cx, plan) => {
            let tls = mesh_tls(cx, plan, None, protocol);
            // The original destination is one host: there is no choosing by endpoint.
            if plan.original_dst { Transport::Tls(Box::new(tls)) } else { Transport::AutoMtls(Box::new(tls)) }
        }
        None => Transport::Plaintext,
    };
    (transport, taints)
}

/// Whether mutual TLS is used without being asked for.
fn auto_mtls(cx: &Ctx<'_>, plan: &Plan<'_>) -> bool {
    cx.lowering.mesh.settings.enable_auto_mtls
        && !plan.service.mesh_external
        && inferred_mode(cx, plan.service, plan.port, plan.own_policy) != Mode::Disable
}

/// What clients assume of a service (istiod: `BestEffortInferServiceMTLSMode`). `policy` is the subset's or the rule's own.
fn inferred_mode(cx: &Ctx<'_>, service: &Service, port: &Port, policy: Option<&TrafficPolicy>) -> Mode {
    let passthrough =
        policy.and_then(|p| p.load_balancer.as_ref()).and_then(|lb| lb.simple) == Some(SimpleLb::Passthrough);
    if passthrough || service.resolution == Resolution::Passthrough {
        let mut endpoints = cx.lowering.mesh.endpoints.by_number(service, port).peekable();
        // The client chooses the pod: all of them must speak mutual TLS.
        if endpoints.peek().is_none() || endpoints.any(|e| &*e.tls_mode == TLS_MODE_DISABLED) {
            return Mode::Disable;
        }
    }
    cx.lowering.indexes.peer_authentication.service_mode(&service.namespace).mode
}

/// TLS as the DestinationRule says.
fn stated(
    cx: &Ctx<'_>,
    plan: &Plan<'_>,
    tls: &ClientTlsSettings,
    protocol: UpstreamProtocol,
    taints: &mut Vec<Taint>,
) -> Option<UpstreamTls> {
    let origins = &cx.lowering.tools.origins;
    match tls.mode {
        ClientTlsMode::Disable => None,
        ClientTlsMode::IstioMutual => Some(mesh_tls(cx, plan, Some(tls), protocol)),
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            // Sidecars get secrets only through rules that select them; the block is dropped otherwise.
            let secret = !tls.credential_name.is_empty() && !tls.credential_name.starts_with("configmap://");
            if secret && cx.is_sidecar() && !plan.selective_rule {
                return None;
            }
            if !tls.ca_crl.is_empty() {
                taints.push(origins.taint("tls.caCrl", tls.origin));
            }
            own_tls(cx, plan, tls, protocol, taints)
        }
    }
}

/// Mutual TLS with the workload certificate.
fn mesh_tls(
    cx: &Ctx<'_>,
    plan: &Plan<'_>,
    written: Option<&ClientTlsSettings>,
    protocol: UpstreamProtocol,
) -> UpstreamTls {
    let own_sni = written.map(|w| w.sni.as_str()).filter(|sni| !sni.is_empty());
    let sni: Str = own_sni.map_or_else(|| plan.default_sni(), Into::into);
    let given = written.filter(|w| !w.subject_alt_names.is_empty());
    let sans = given.map_or_else(|| plan.service_accounts.clone(), |w| w.subject_alt_names.clone());
    let mut alpn: Vec<Str> = vec!["istio-peer-exchange".into(), "istio".into()];
    if protocol == UpstreamProtocol::Http2 {
        alpn.push("h2".into());
    }
    UpstreamTls {
        certificate: Some(CertificateSource::Workload),
        auto_sni: plan.dynamic && own_sni.is_none(),
        sni,
        auto_san_validation: plan.dynamic,
        alpn,
        alpn_override: true,
        validation: Validation { trust: TrustAnchor::Mesh, match_sans: exact(&sans) },
        origin: cx.lowering.tools.origins.id(written.map_or(crate::source::Span::NONE, |w| w.origin)),
    }
}

/// TLS of the user's own. `None` where istiod fails to build it and the cluster stays plaintext.
fn own_tls(
    cx: &Ctx<'_>,
    plan: &Plan<'_>,
    tls: &ClientTlsSettings,
    protocol: UpstreamProtocol,
    taints: &mut Vec<Taint>,
) -> Option<UpstreamTls> {
    let unchecked = tls.insecure_skip_verify == Some(true);
    let mutual = tls.mode == ClientTlsMode::Mutual;
    let by_file = tls.credential_name.is_empty();
    if by_file && mutual && (tls.client_certificate.is_empty() || tls.private_key.is_empty()) {
        return None;
    }
    let auto_sni = tls.sni.is_empty();
    // `auto_san_validation` looks at what is written, before the ServiceEntry's names are taken.
    let auto_san_validation = (plan.dynamic || (auto_sni && tls.subject_alt_names.is_empty())) && !unchecked;
    let from_entry = plan.service.registry == Registry::External && tls.subject_alt_names.is_empty();
    let sans = if from_entry { plan.service_accounts.clone() } else { tls.subject_alt_names.clone() };
    let material = if by_file { of_files(cx, tls, taints) } else { of_credential(cx, tls, taints) };
    Some(UpstreamTls {
        certificate: material.certificate,
        sni: tls.sni.as_str().into(),
        auto_sni,
        auto_san_validation,
        alpn: if protocol == UpstreamProtocol::Http2 { vec!["h2".into()] } else { Vec::new() },
        alpn_override: false,
        validation: Validation {
            trust: if unchecked { TrustAnchor::Unchecked } else { material.trust },
            match_sans: if unchecked { Vec::new() } else { exact(&sans) },
        },
        origin: cx.lowering.tools.origins.id(tls.origin),
    })
}

/// What a proxy shows, and whom it believes.
struct Material {
    certificate: Option<CertificateSource>,
    trust: TrustAnchor,
}

/// Files are inside the pod: whether they open the door is not known.
fn of_files(cx: &Ctx<'_>, tls: &ClientTlsSettings, taints: &mut Vec<Taint>) -> Material {
    let origins = &cx.lowering.tools.origins;
    let certificate = (tls.mode == ClientTlsMode::Mutual).then(|| {
        taints.push(origins.taint(format!("certificate file `{}`", tls.client_certificate), tls.origin));
        CertificateSource::Missing(tls.client_certificate.as_str().into())
    });
    let checked = tls.insecure_skip_verify != Some(true);
    let trust = match tls.ca_certificates.as_str() {
        "" | "system" => TrustAnchor::Public,
        path => {
            if checked {
                taints.push(origins.taint(format!("certificate file `{path}`"), tls.origin));
            }
            TrustAnchor::Named(path.into())
        }
    };
    Material { certificate, trust }
}

/// Secrets in the manifests are read; one that no manifest holds is not guessed.
fn of_credential(cx: &Ctx<'_>, tls: &ClientTlsSettings, taints: &mut Vec<Taint>) -> Material {
    let credentials = &cx.lowering.indexes.credentials;
    let name = &tls.credential_name;
    if credentials.is_made_up(name, cx.namespace()) {
        let what = format!("secret `{name}`, which is not in the manifests");
        taints.push(cx.lowering.tools.origins.taint(what, tls.origin));
    }
    let mutual = tls.mode == ClientTlsMode::Mutual;
    let certificate = mutual.then(|| credentials.certificate(name, cx.namespace(), &[]));
    if tls.insecure_skip_verify == Some(true) {
        return Material { certificate, trust: TrustAnchor::Unchecked };
    }
    match credentials.authority(name, cx.namespace()) {
        Authority::Known(trust) => Material { certificate, trust },
        // Envoy waits for the authority: no handshake succeeds.
        Authority::Missing(missing) => Material {
            certificate: Some(CertificateSource::Missing(missing.clone())),
            trust: TrustAnchor::Named(missing),
        },
    }
}

fn exact(names: &[String]) -> Vec<StringMatch> {
    names.iter().map(|name| StringMatch::new(StringPattern::Exact(name.as_str().into()))).collect()
}
