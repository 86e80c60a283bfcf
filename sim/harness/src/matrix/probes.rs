//! What the kubelet asks of pods whose probes Istio does not rewrite: plaintext, by the pod's address, from no identity.
//!
//! Rewritten probes (the default) go to the agent beside the proxy and meet no policy; a `tcpSocket` probe is content
//! when the proxy accepts, whatever the policy (semantics: istio-security 2.3).

use mesh_config::mesh::pod::{DataPlane, Pod};
use mesh_config::resource::pod::{Container, Probe};
use mesh_config::resource::scalar::IntOrString;
use mesh_engine::world::AppKind;
use mesh_reports::matrix::{CallerKind, MatrixCaller};

use super::callers::{Caller, strangers};
use super::targets::{Speech, pod_target, request};
use super::{Ask, MatrixOptions, Target};
use crate::loaded::LoadedMesh;
use crate::plan::traffic::Sender;

/// Keeps Istio from rewriting probes when `false`.
const REWRITE: &str = "sidecar.istio.io/rewriteAppHTTPProbers";
/// Name of the caller.
const KUBELET: &str = "kubelet";

/// Adds the kubelet, and what it asks, if it asks anything that a policy could refuse.
pub(super) fn add(
    mesh: &LoadedMesh,
    options: &MatrixOptions,
    callers: &mut Vec<Caller>,
    targets: &mut Vec<Target>,
    asks: &mut Vec<Ask>,
) {
    let [_, plain] = strangers();
    let Some((_, sender)) = mesh.clients.iter().find(|(client, _)| *client == plain) else { return };
    let at = callers.len();
    for (index, pod) in mesh.lowering.mesh.pods.iter().enumerate() {
        let rewritten = pod.annotations.get(REWRITE).is_none_or(|v| v != "false");
        if pod.data_plane != DataPlane::Sidecar || pod.is_client() || rewritten || pod.ordinal > 0 {
            continue;
        }
        for (container, probe) in probes(pod) {
            let Some((speech, port, path)) = asked(container, probe) else { continue };
            let kind = if speech == Speech::Https { AppKind::Https } else { AppKind::Http };
            let name = format!("{}/{} (probe {path})", pod.namespace, pod.workload);
            let target = pod_target(mesh, index as u32, port, kind, &name);
            if targets.iter().any(|t| t.shown.name == target.shown.name) {
                continue;
            }
            let of_probe = MatrixOptions { path, method: "GET".to_owned(), ..options.clone() };
            asks.push(Ask {
                caller: at,
                target: targets.len(),
                request: request(speech, &target.host, port, &of_probe),
            });
            targets.push(target);
        }
    }
    if asks.iter().any(|a| a.caller == at) {
        let shown =
            MatrixCaller { name: KUBELET.to_owned(), kind: CallerKind::Kubelet, ..MatrixCaller::default() };
        let sender = Sender { pod: Some(*sender), source: None, gateway: None };
        callers.push(Caller { shown, sender, class: KUBELET.to_owned() });
    }
}

fn probes(pod: &Pod) -> impl Iterator<Item = (&Container, &Probe)> {
    pod.spec.containers.iter().flat_map(|c| {
        [&c.liveness_probe, &c.readiness_probe, &c.startup_probe]
            .into_iter()
            .filter_map(move |p| p.as_ref().map(|p| (c, p)))
    })
}

/// What a probe asks; `None` for what no policy could refuse.
fn asked(container: &Container, probe: &Probe) -> Option<(Speech, u16, String)> {
    if let Some(get) = &probe.http_get {
        let number = match get.port.as_ref()? {
            IntOrString::Int(number) => u32::try_from(*number).ok()?,
            IntOrString::Text(name) => container.ports.iter().find(|p| p.name == *name)?.container_port,
        };
        let slash = if get.path.starts_with('/') { "" } else { "/" };
        let speech = if get.scheme.eq_ignore_ascii_case("https") { Speech::Https } else { Speech::Http };
        return Some((speech, u16::try_from(number).ok()?, format!("{slash}{}", get.path)));
    }
    let grpc = probe.grpc.as_ref()?;
    let path = "/grpc.health.v1.Health/Check".to_owned();
    Some((Speech::Grpc, u16::try_from(grpc.port).ok()?, path))
}
