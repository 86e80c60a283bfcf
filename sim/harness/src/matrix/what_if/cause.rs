//! Why a call that gets through today would not any more: read off the hops of the call in the changed mesh.

use mesh_config::lower::Ctx;
use mesh_config::lower::destination_rule::policy::Policy as TrafficRules;
use mesh_config::lower::security::peer_authentication::Mode;
use mesh_config::mesh::service::{PodId as MeshPodId, Resolution, Service};
use mesh_config::resource::tls::ClientTlsMode;
use mesh_config::source::Span;
use mesh_engine::record::Side;
use mesh_reports::matrix::{Broken, CallerKind, Cause, MatrixCell};

use super::super::callers::Caller;
use super::super::targets::Target;
use crate::expect::verdict;
use crate::format::policy::VerdictWord;
use crate::loaded::LoadedMesh;
use crate::predict::{Prediction, outbound_parts};

/// A call with what is known of it.
pub(super) struct Call<'a> {
    pub(super) caller: &'a Caller,
    pub(super) target: &'a Target,
    pub(super) before: &'a MatrixCell,
    pub(super) after: &'a MatrixCell,
    /// Outcomes in the changed mesh.
    pub(super) predictions: &'a [Prediction],
}

/// A cause, its words, and the place behind it.
struct Found {
    cause: Cause,
    why: String,
    by: String,
    span: Span,
}

impl Found {
    fn new(cause: Cause, why: impl Into<String>) -> Found {
        Found { cause, why: why.into(), by: String::new(), span: Span::NONE }
    }
}

/// The call as a line of the report; `mesh` is the changed one.
pub(super) fn broken(mesh: &LoadedMesh, call: &Call<'_>) -> Broken {
    let found = cause(mesh, call);
    let (by, place) = if found.by.is_empty() {
        (call.after.by.clone(), call.after.place.clone())
    } else {
        (found.by, mesh.place(found.span).unwrap_or_default())
    };
    Broken {
        caller: call.caller.shown.name.clone(),
        kind: call.caller.shown.kind,
        target: call.target.shown.name.clone(),
        request: call.before.request.clone(),
        before: call.before.answer.clone(),
        after: call.after.answer.clone(),
        cause: found.cause,
        why: found.why,
        by,
        place,
        exemptions: Vec::new(),
    }
}

/// The `tls` block of the DestinationRule behind a call's failure.
pub(super) fn rule_span(mesh: &LoadedMesh, call: &Call<'_>) -> Option<Span> {
    let found = cause(mesh, call);
    (found.cause == Cause::DestinationRule && !found.span.is_none()).then_some(found.span)
}

fn cause(mesh: &LoadedMesh, call: &Call<'_>) -> Found {
    let refused = call.predictions.iter().find(|p| verdict(p) != VerdictWord::Allowed);
    let Some(refused) = refused else { return Found::new(Cause::Other, call.after.why.clone()) };
    let hops = &refused.record.hops;
    let details = |h: &mesh_engine::record::Hop| {
        let text = h.details.as_deref().into_iter().chain(h.connection_details.as_deref());
        text.into_iter().any(|d| d.starts_with("rbac_access_denied"))
    };
    if hops.iter().any(|h| h.side == Side::Gateway && details(h)) {
        return Found::new(Cause::AtTheGateway, "no policy of the gateway's workload allows it");
    }
    if hops.iter().any(details) {
        let who = if call.after_is_plain(refused) {
            "the caller comes without an identity, and no policy allows that"
        } else {
            "no policy allows the caller's identity"
        };
        return Found::new(Cause::NotAllowed, who);
    }
    match call.caller.shown.kind {
        CallerKind::Kubelet => Found::new(
            Cause::Probe,
            "the pod's annotation keeps Istio from rewriting the probe: the kubelet sends it in plaintext",
        ),
        CallerKind::Plain => Found::new(Cause::NoSidecar, "the caller has no sidecar: it sends plaintext"),
        CallerKind::Stranger if call.caller.shown.identity.is_empty() => {
            Found::new(Cause::NoSidecar, "a pod without sidecar sends plaintext")
        }
        _ => of_proxy(mesh, call, refused),
    }
}

impl Call<'_> {
    /// The server's proxy saw no identity.
    fn after_is_plain(&self, refused: &Prediction) -> bool {
        let server = refused.record.hops.iter().rev().find(|h| h.side == Side::Inbound);
        server.is_some_and(|h| h.peer.is_none())
    }
}

/// What made the caller's proxy send something else than mutual TLS of the mesh.
fn of_proxy(mesh: &LoadedMesh, call: &Call<'_>, refused: &Prediction) -> Found {
    let Some(hop) = refused.record.client_hop() else {
        return Found::new(
            Cause::Passthrough,
            "the caller's sidecar does not capture the connection (excluded port or address)",
        );
    };
    let name = hop.cluster_name.as_deref().unwrap_or_default();
    let Some((port, subset, host)) = outbound_parts(name) else {
        let what = if call.target.shown.protocol == "by address" {
            "the pod is dialled by its address: the caller's sidecar knows no such service and forwards as it came"
        } else {
            "the caller's sidecar does not know the service (Sidecar egress, exportTo) and forwards as it came"
        };
        return Found::new(Cause::Passthrough, what);
    };
    let model = &mesh.lowering.mesh;
    let pod = mesh.world.proxy(hop.proxy).map(|p| MeshPodId(p.pod.0));
    let proxy = pod.and_then(|p| model.proxy_of(p)).and_then(|p| model.proxy(p));
    let Some(proxy) = proxy else { return Found::new(Cause::Other, call.after.why.clone()) };
    let cx = mesh.lowering.context(proxy);
    if let Some(found) = of_rule(&cx, host, port, subset) {
        return found;
    }
    let service = model.services_of(host).next();
    service.map_or_else(
        || Found::new(Cause::Other, call.after.why.clone()),
        |service| of_service(mesh, service, call),
    )
}

/// TLS settings that a DestinationRule states.
fn of_rule(cx: &Ctx<'_>, host: &str, port: u16, subset: &str) -> Option<Found> {
    let rule = cx.rule(host)?;
    // Whether endpoints get mutual TLS falls back to the levels above a port entry without tls (istiod:
    // trafficPolicyTLSModeForPort).
    let own = rule.subset(subset).and_then(|s| s.traffic_policy.as_ref());
    let above =
        own.and_then(|p| p.tls.as_ref()).or(rule.rule.traffic_policy.as_ref().and_then(|p| p.tls.as_ref()));
    let tls = TrafficRules::of_endpoints(Some(rule), port, subset).tls.or(above)?;
    let mode = match tls.mode {
        ClientTlsMode::IstioMutual => return None,
        ClientTlsMode::Disable => "DISABLE",
        ClientTlsMode::Simple => "SIMPLE",
        ClientTlsMode::Mutual => "MUTUAL",
    };
    Some(Found {
        cause: Cause::DestinationRule,
        why: format!("the caller's proxy obeys a DestinationRule with tls mode {mode}"),
        by: format!("DestinationRule/{}", rule.meta.key()),
        span: tls.origin,
    })
}

/// Automatic mutual TLS that does not happen.
fn of_service(mesh: &LoadedMesh, service: &Service, call: &Call<'_>) -> Found {
    let index = &mesh.lowering.indexes.peer_authentication;
    let assumed = index.service_mode(&service.namespace);
    if assumed.mode == Mode::Disable {
        let (by, span) = assumed.by.map_or((String::new(), Span::NONE), |(policy, span)| {
            (format!("PeerAuthentication/{}", policy.meta.key()), span)
        });
        let why = "clients send plaintext to every service of a namespace whose own mode is DISABLE";
        return Found { cause: Cause::PeerAuthentication, why: why.to_owned(), by, span };
    }
    if service.resolution == Resolution::Passthrough {
        return Found::new(
            Cause::ServerWithoutMtls,
            "a pod of the headless service speaks no mutual TLS, so clients send plaintext to all of them",
        );
    }
    let model = &mesh.lowering.mesh;
    let silent = model.endpoints.of(service).iter().find(|e| {
        e.pod.is_some_and(|p| call.target.pods.iter().any(|(id, _)| *id == p.0)) && !e.speaks_mtls()
    });
    match silent {
        Some(endpoint) => Found {
            cause: Cause::ServerWithoutMtls,
            why: "the label security.istio.io/tlsMode of the pod says that it speaks no mutual TLS"
                .to_owned(),
            by: String::new(),
            span: endpoint.origin,
        },
        None => Found::new(Cause::Other, call.after.why.clone()),
    }
}
