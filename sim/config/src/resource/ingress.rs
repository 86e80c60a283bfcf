//! Kubernetes `Ingress` and `IngressClass`.

use serde::Deserialize;

use crate::source::Span;

/// `spec` of an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Class, unless the annotation `kubernetes.io/ingress.class` names one.
    pub ingress_class_name: Option<String>,
    /// Where everything else goes; Istio ignores it.
    pub default_backend: Option<IngressBackend>,
    /// Certificates.
    pub tls: Vec<IngressTls>,
    /// Hosts and paths.
    pub rules: Vec<IngressRule>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A certificate and the hosts it is for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Hosts; none is all.
    pub hosts: Vec<String>,
    /// Secret; without one Istio ignores the entry.
    pub secret_name: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A host and its paths.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// Host; empty is all.
    pub host: String,
    /// Paths.
    pub http: Option<IngressHttp>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Paths of a host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressHttp {
    /// Paths.
    pub paths: Vec<IngressPath>,
}

/// A path and where it goes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    /// Path.
    pub path: String,
    /// `Exact`, `Prefix`, `ImplementationSpecific`.
    pub path_type: Option<String>,
    /// Where it goes.
    pub backend: IngressBackend,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Where a path goes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    /// A Service of the Ingress's namespace; Istio knows no other backends.
    pub service: Option<IngressService>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A Service and one of its ports.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressService {
    /// Name.
    pub name: String,
    /// Port by number or name.
    pub port: IngressPort,
}

/// A port by number or name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPort {
    /// Number; 0 is unset.
    pub number: u32,
    /// Name.
    pub name: String,
}

/// `spec` of an IngressClass.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClass {
    /// Who serves Ingresses of the class.
    pub controller: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
