//! What kinds that are not simulated may do to traffic, and which kinds have no namespace.

/// What an object that is not simulated may do to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Nothing (RBAC, storage, custom resources of others).
    None,
    /// It changes logs, metrics or traces, never where a request goes.
    Observability,
    /// It configures the mesh itself (IstioOperator); `mesh` reads it.
    MeshSettings,
    /// It may change what happens to requests: predictions it may touch are `unknown`.
    Traffic,
}

/// The effect of a kind that the inventory has no list for.
pub(crate) fn of(group: &str, kind: &str) -> Effect {
    match (group, kind) {
        ("telemetry.istio.io", _) => Effect::Observability,
        ("install.istio.io" | "sailoperator.io" | "operator.istio.io", _) => Effect::MeshSettings,
        ("networking.istio.io" | "security.istio.io" | "extensions.istio.io" | "config.istio.io", _) => {
            Effect::Traffic
        }
        // Classes and grants do nothing without the routes that use them.
        ("gateway.networking.k8s.io", "GatewayClass" | "ReferenceGrant") => Effect::None,
        ("gateway.networking.k8s.io" | "gateway.networking.x-k8s.io" | "inference.networking.k8s.io", _) => {
            Effect::Traffic
        }
        ("networking.k8s.io" | "extensions", "NetworkPolicy") => Effect::Traffic,
        ("cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy") => Effect::Traffic,
        ("crd.projectcalico.org" | "projectcalico.org", "NetworkPolicy" | "GlobalNetworkPolicy") => {
            Effect::Traffic
        }
        ("policy.networking.k8s.io", _) => Effect::Traffic,
        ("multicluster.x-k8s.io", "ServiceExport" | "ServiceImport") => Effect::Traffic,
        // Things that make pods in ways that are not read.
        ("", "ReplicationController") => Effect::Traffic,
        ("apps.openshift.io", "DeploymentConfig") | ("argoproj.io", "Rollout") => Effect::Traffic,
        ("serving.knative.dev", "Service" | "Configuration" | "Revision" | "Route") => Effect::Traffic,
        ("flagger.app", "Canary") => Effect::Traffic,
        _ => Effect::None,
    }
}

/// Whether objects of the kind have no namespace. Kinds that are not listed have one.
pub(super) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus"),
        "rbac.authorization.k8s.io" => kind.starts_with("ClusterRole"),
        "apiextensions.k8s.io"
        | "admissionregistration.k8s.io"
        | "apiregistration.k8s.io"
        | "storage.k8s.io"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "flowcontrol.apiserver.k8s.io" => kind != "CSIStorageCapacity",
        "networking.k8s.io" => kind == "IngressClass",
        "gateway.networking.k8s.io" => kind == "GatewayClass",
        "certificates.k8s.io" => true,
        _ => kind.starts_with("Cluster") || kind.starts_with("Global"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_touch_requests_is_known() {
        for (group, kind, effect) in [
            ("networking.istio.io", "EnvoyFilter", Effect::Traffic),
            ("extensions.istio.io", "WasmPlugin", Effect::Traffic),
            ("telemetry.istio.io", "Telemetry", Effect::Observability),
            ("install.istio.io", "IstioOperator", Effect::MeshSettings),
            ("gateway.networking.k8s.io", "HTTPRoute", Effect::Traffic),
            ("gateway.networking.k8s.io", "GatewayClass", Effect::None),
            ("networking.k8s.io", "NetworkPolicy", Effect::Traffic),
            ("policy", "PodDisruptionBudget", Effect::None),
        ] {
            assert_eq!(of(group, kind), effect, "{kind}");
        }
    }
}
