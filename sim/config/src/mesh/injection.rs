//! Does a pod get a sidecar, and is it a gateway (semantics: istio-networking 9.1, 9.4)?
//!
//! The webhook's selectors look at labels only, of the namespace and of the pod; then `injectRequired` looks at the pod.

use std::collections::BTreeMap;

use super::pod::DataPlane;
use crate::resource::pod::{Container, PodSpec};

type Labels = BTreeMap<String, String>;

/// What injection looks at.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Labels of the namespace.
    pub namespace_labels: &'a Labels,
    /// Labels of the pod (of the template, not of the workload).
    pub labels: &'a Labels,
    /// Annotations of the pod.
    pub annotations: &'a Labels,
    /// The pod.
    pub spec: &'a PodSpec,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether a proxy runs in it.
    pub data_plane: DataPlane,
    /// Whether the webhook changed it, which adds labels.
    pub injected: bool,
    /// Why, in words for reports.
    pub reason: &'static str,
    /// What of it is not simulated, if anything.
    pub not_modelled: Option<&'static str>,
}

/// Namespaces that are never injected.
const IGNORED_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";
/// Name of the container that holds the proxy.
const PROXY: &str = "istio-proxy";

/// Decides.
pub fn decide(pod: Candidate<'_>) -> Verdict {
    let verdict = |data_plane, injected, reason| Verdict { data_plane, injected, reason, not_modelled: None };
    let injection = called(&pod).and_then(|reason| required(&pod).map(|()| reason));
    if says_router(&pod) {
        // Our own word for "a gateway runs here", whatever fills its container in.
        return verdict(DataPlane::Gateway, injection.is_ok(), "label mesh-sim.dev/proxy: router");
    }
    if let Some(proxy) = proxy_container(pod.spec) {
        // `image: auto` is a placeholder that only the webhook fills.
        if proxy.image == "auto" && injection.is_err() {
            let mut broken =
                verdict(DataPlane::None, false, "istio-proxy has `image: auto` but the pod is not injected");
            broken.not_modelled = Some("a pod that cannot start: `image: auto` is filled by injection only");
            return broken;
        }
        let kind = if is_gateway(&pod, Some(proxy)) { DataPlane::Gateway } else { DataPlane::Sidecar };
        return verdict(kind, injection.is_ok(), "the manifest holds an istio-proxy container");
    }
    match injection {
        Ok(reason) if is_gateway(&pod, None) => verdict(DataPlane::Gateway, true, reason),
        // Shortened manifests leave the proxy's container out.
        Err(_) if is_gateway(&pod, None) && templates(&pod).next().is_none() => {
            verdict(DataPlane::Gateway, false, "the labels are those of a gateway of Istio's installation")
        }
        Ok(reason) => match other_template(&pod) {
            Some(what) => Verdict { not_modelled: Some(what), ..verdict(DataPlane::None, true, reason) },
            None => verdict(DataPlane::Sidecar, true, reason),
        },
        Err(reason) => Verdict { not_modelled: ambient(&pod), ..verdict(DataPlane::None, false, reason) },
    }
}

/// Whether the API server calls the webhook (namespaceSelector and objectSelector of every revision).
fn called(pod: &Candidate<'_>) -> Result<&'static str, &'static str> {
    let of = |labels: &Labels, key: &str| labels.get(key).cloned();
    let refused = of(pod.labels, INJECT).as_deref() == Some("false");
    let namespace_revision = of(pod.namespace_labels, REVISION);
    match (of(pod.namespace_labels, "istio-injection").as_deref(), namespace_revision) {
        (Some("enabled"), _) if refused => Err("pod label sidecar.istio.io/inject: \"false\""),
        (Some("enabled"), _) => Ok("namespace label istio-injection: enabled"),
        (Some("disabled"), _) => Err("namespace label istio-injection: disabled"),
        (Some(_), _) => Err("namespace label istio-injection is neither enabled nor disabled"),
        (None, Some(_)) if refused => Err("pod label sidecar.istio.io/inject: \"false\""),
        (None, Some(_)) => Ok("namespace label istio.io/rev"),
        (None, None) => match (pod.labels.get(INJECT).map(String::as_str), pod.labels.get(REVISION)) {
            (Some("false"), _) => Err("pod label sidecar.istio.io/inject: \"false\""),
            (_, Some(_)) => Ok("pod label istio.io/rev"),
            (Some("true"), None) => Ok("pod label sidecar.istio.io/inject: \"true\""),
            _ => Err("neither the namespace nor the pod asks for injection"),
        },
    }
}

/// `injectRequired` with the default policy (enabled, no selectors).
fn required(pod: &Candidate<'_>) -> Result<(), &'static str> {
    if pod.spec.host_network {
        return Err("hostNetwork pods are not injected");
    }
    if IGNORED_NAMESPACES.contains(&pod.namespace) {
        return Err("system namespaces are not injected");
    }
    // The label wins over the annotation, even with an odd value.
    let wish = pod.labels.get(INJECT).or_else(|| pod.annotations.get(INJECT));
    match wish.map(String::as_str) {
        Some("false") => Err("annotation sidecar.istio.io/inject: \"false\""),
        _ => Ok(()),
    }
}

/// The proxy that a manifest brings along (`istioctl kube-inject`, `kubectl get -o yaml`, a gateway chart).
fn proxy_container(spec: &PodSpec) -> Option<&Container> {
    spec.containers.iter().chain(&spec.init_containers).find(|c| c.name == PROXY)
}

fn says_router(pod: &Candidate<'_>) -> bool {
    pod.labels.get("mesh-sim.dev/proxy").map(String::as_str) == Some("router")
}

/// A router: by injection template, by the labels that Istio's installation gives its gateways, by the proxy's arguments,
/// or because the proxy is all there is.
fn is_gateway(pod: &Candidate<'_>, proxy: Option<&Container>) -> bool {
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    if templates(pod).any(|t| t == "gateway") {
        return true;
    }
    if matches!(label("istio"), Some("ingressgateway" | "egressgateway")) {
        return true;
    }
    proxy.is_some_and(|proxy| {
        let argument = |word: &str| proxy.args.iter().any(|a| a == word);
        let alone = pod.spec.containers.len() == 1 && pod.spec.containers.iter().all(|c| c.name == PROXY);
        argument("router") || (alone && !argument("sidecar"))
    })
}

fn templates<'a>(pod: &Candidate<'a>) -> impl Iterator<Item = &'a str> {
    let list = pod.annotations.get("inject.istio.io/templates").map(String::as_str).unwrap_or_default();
    list.split(',').map(str::trim).filter(|t| !t.is_empty())
}

/// Injection templates that put something else than a proxy for all traffic into the pod.
fn other_template(pod: &Candidate<'_>) -> Option<&'static str> {
    if templates(pod).next().is_none() || templates(pod).any(|t| t == "sidecar") {
        return None;
    }
    Some("an injection template other than sidecar and gateway")
}

/// Ambient capture is read but not simulated.
fn ambient(pod: &Candidate<'_>) -> Option<&'static str> {
    const MODE: &str = "istio.io/dataplane-mode";
    let mode = pod.labels.get(MODE).or_else(|| pod.namespace_labels.get(MODE)).map(String::as_str);
    (mode == Some("ambient") && !pod.spec.host_network).then_some("ambient mode (ztunnel, waypoints)")
}

/// The labels injection adds (`injection-template.yaml`, `gateway-injection-template.yaml`).
pub fn add_labels(labels: &mut Labels, data_plane: DataPlane, workload: &str) {
    let first = |keys: &[&str], default: &str| -> String {
        let given = keys.iter().find_map(|k| labels.get(*k).filter(|v| !v.is_empty()));
        given.cloned().unwrap_or_else(|| default.to_owned())
    };
    let name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"], workload);
    let revision =
        first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"], "latest");
    let tls_mode = first(&["security.istio.io/tlsMode"], "istio");
    let name: String = name.chars().take(63).collect();
    let name = name.trim_matches(|c| "-_.".contains(c)).to_owned();
    labels.insert("service.istio.io/canonical-name".to_owned(), name);
    labels.insert("service.istio.io/canonical-revision".to_owned(), revision);
    if data_plane == DataPlane::Sidecar {
        labels.insert("security.istio.io/tlsMode".to_owned(), tls_mode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn container(name: &str, image: &str, args: &[&str]) -> Container {
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        Container { name: name.into(), image: image.into(), args, ..Container::default() }
    }

    fn run(namespace: &str, ns: &str, pod: &str, annotations: &str, spec: &PodSpec) -> Verdict {
        decide(Candidate {
            namespace,
            namespace_labels: &labels(ns),
            labels: &labels(pod),
            annotations: &labels(annotations),
            spec,
        })
    }

    fn app() -> PodSpec {
        PodSpec { containers: vec![container("app", "x", &[])], ..PodSpec::default() }
    }

    /// Every row of semantics: istio-networking 9.1, and the steps below its table.
    #[test]
    fn who_is_injected() {
        let inject = "sidecar.istio.io/inject";
        for (ns, pod, annotation, want) in [
            ("istio-injection=enabled", "", "", true),
            ("istio-injection=enabled", "sidecar.istio.io/inject=false", "", false),
            ("istio-injection=enabled", "sidecar.istio.io/inject=true", "", true),
            ("istio-injection=enabled", "", "sidecar.istio.io/inject=false", false),
            (
                "istio-injection=enabled",
                "sidecar.istio.io/inject=true",
                "sidecar.istio.io/inject=false",
                true,
            ),
            ("istio-injection=disabled", "sidecar.istio.io/inject=true", "", false),
            ("istio-injection=disabled istio.io/rev=a", "", "", false),
            ("istio.io/rev=canary", "", "", true),
            ("istio.io/rev=canary", "sidecar.istio.io/inject=false", "", false),
            ("istio-injection=enabled istio.io/rev=canary", "", "", true),
            ("", "istio.io/rev=canary", "", true),
            ("", "istio.io/rev=canary sidecar.istio.io/inject=false", "", false),
            ("", "sidecar.istio.io/inject=true", "", true),
            ("", "", "", false),
            ("", "", "sidecar.istio.io/inject=true", false),
        ] {
            let got = run("ns", ns, pod, annotation, &app());
            assert_eq!(got.injected, want, "{ns} / {pod} / {annotation}: {} ({inject})", got.reason);
            assert_eq!(got.data_plane == DataPlane::Sidecar, want);
        }
        let host = PodSpec { host_network: true, ..app() };
        assert!(!run("ns", "istio-injection=enabled", "", "", &host).injected);
        assert!(!run("kube-system", "istio-injection=enabled", "", "", &app()).injected);
    }

    #[test]
    fn gateways_are_known_by_template_arguments_label_or_being_alone() {
        let gateway = "inject.istio.io/templates=gateway";
        let auto = PodSpec { containers: vec![container("istio-proxy", "auto", &[])], ..PodSpec::default() };
        let got = run("ingress", "", "sidecar.istio.io/inject=true", gateway, &auto);
        assert_eq!((got.data_plane, got.injected), (DataPlane::Gateway, true));
        let broken = run("ingress", "", "", gateway, &auto);
        assert_eq!((broken.data_plane, broken.not_modelled.is_some()), (DataPlane::None, true));
        let said = run("ingress", "", "mesh-sim.dev/proxy=router", gateway, &auto);
        assert_eq!((said.data_plane, said.injected, said.not_modelled), (DataPlane::Gateway, false, None));
        let router =
            PodSpec { containers: vec![container("istio-proxy", "p", &["proxy", "router"])], ..app() };
        assert_eq!(run("istio-system", "", "", "", &router).data_plane, DataPlane::Gateway);
        let both = PodSpec {
            containers: vec![
                container("app", "x", &[]),
                container("istio-proxy", "p", &["proxy", "sidecar"]),
            ],
            ..PodSpec::default()
        };
        assert_eq!(run("ns", "", "", "", &both).data_plane, DataPlane::Sidecar);
        assert_eq!(run("ns", "", "mesh-sim.dev/proxy=router", "", &both).data_plane, DataPlane::Gateway);
    }

    #[test]
    fn what_is_not_simulated_is_said() {
        assert!(run("ns", "istio.io/dataplane-mode=ambient", "", "", &app()).not_modelled.is_some());
        let none = "istio.io/dataplane-mode=none";
        assert!(run("ns", "istio.io/dataplane-mode=ambient", none, "", &app()).not_modelled.is_none());
        let grpc = "inject.istio.io/templates=grpc-agent";
        let got = run("ns", "istio-injection=enabled", "", grpc, &app());
        assert_eq!((got.data_plane, got.not_modelled.is_some()), (DataPlane::None, true));
    }

    #[test]
    fn labels_are_added_but_never_overwritten() {
        let mut some = labels("app=web version=v1 security.istio.io/tlsMode=disabled");
        add_labels(&mut some, DataPlane::Sidecar, "web-v1");
        assert_eq!(some.get("security.istio.io/tlsMode").map(String::as_str), Some("disabled"));
        assert_eq!(some.get("service.istio.io/canonical-name").map(String::as_str), Some("web"));
        let mut none = Labels::new();
        add_labels(&mut none, DataPlane::Gateway, "gw");
        assert_eq!(none.get("service.istio.io/canonical-name").map(String::as_str), Some("gw"));
        assert!(!none.contains_key("security.istio.io/tlsMode"));
    }
}
