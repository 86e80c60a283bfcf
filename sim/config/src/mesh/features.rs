//! Feature flags of istiod: environment variables of its Deployment, where the manifests hold it.
//!
//! Only flags that change what proxies are sent and that are modelled; `config_layers` names the rest.

use crate::inventory::Inventory;

/// The flags, with the defaults of the profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `ENABLE_TLS_ON_SIDECAR_INGRESS`: `tls` of a Sidecar's ingress listener takes effect. Off by default.
    pub tls_on_sidecar_ingress: bool,
}

/// Name of istiod's Deployment.
const ISTIOD: &str = "istiod";

impl Features {
    /// The flags of the istiod among the manifests, if there is one.
    pub(super) fn of_manifests(inventory: &Inventory, root_namespace: &str) -> Features {
        let istiod = inventory
            .deployments
            .iter()
            .find(|d| d.meta.name == ISTIOD && d.meta.namespace == root_namespace);
        let Some(istiod) = istiod else { return Features::default() };
        let variables = istiod.spec.template.spec.containers.iter().flat_map(|c| &c.env);
        let on = |name: &str| variables.clone().rfind(|v| v.name == name).is_some_and(|v| is_true(&v.value));
        Features { tls_on_sidecar_ingress: on("ENABLE_TLS_ON_SIDECAR_INGRESS") }
    }
}

/// As Go's `strconv.ParseBool`; anything else leaves the default, which is off.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
