//! Certificates behind `credentialName`: what a proxy shows and whom it trusts (istiod: `CredentialsController`).
//!
//! Manifests often leave Secrets out. Where they contain none at all in a namespace, a credential of that namespace is
//! taken to exist and its certificate is made up; where they contain some, one that is not there is missing, and every
//! handshake that needs it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use mesh_core::Str;
use mesh_core::tls::{Certificate, CertificateSource, TrustAnchor};

use super::x509::{self, CertificateFacts};
use crate::resource::config_data::{ConfigMap, Secret};
use crate::resource::meta::Object;

const CA_SUFFIX: &str = "-cacert";

/// The Secrets and ConfigMaps of a mesh, by namespace and name.
#[derive(Debug, Default)]
pub struct Credentials {
    secrets: BTreeMap<(String, String), Arc<Object<Secret>>>,
    config_maps: BTreeMap<(String, String), Arc<Object<ConfigMap>>>,
    kept: BTreeSet<String>,
}

/// A reference as istiod reads it: scheme, namespace, name.
struct Reference<'a> {
    config_map: bool,
    namespace: &'a str,
    name: &'a str,
}

/// What is known about a credential's certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// Its name.
    Known(TrustAnchor),
    /// It is not there.
    Missing(Str),
}

impl Credentials {
    /// Indexes objects.
    #[must_use]
    pub fn new(secrets: &[Arc<Object<Secret>>], config_maps: &[Arc<Object<ConfigMap>>]) -> Credentials {
        let key = |meta: &crate::resource::meta::ObjectMeta| (meta.namespace.clone(), meta.name.clone());
        Credentials {
            secrets: secrets.iter().map(|s| (key(&s.meta), Arc::clone(s))).collect(),
            config_maps: config_maps.iter().map(|c| (key(&c.meta), Arc::clone(c))).collect(),
            kept: secrets.iter().map(|s| s.meta.namespace.clone()).collect(),
        }
    }

    /// The certificate of a credential as a proxy of `namespace` sees it; a made-up one is for `hosts`.
    #[must_use]
    pub fn certificate(&self, credential: &str, namespace: &str, hosts: &[String]) -> CertificateSource {
        if credential.starts_with("builtin://") {
            return CertificateSource::Workload;
        }
        let missing = || CertificateSource::Missing(resource_name(credential).into());
        // A ConfigMap holds authorities only.
        let Some(reference) = parse(credential, namespace).filter(|r| !r.config_map) else {
            return missing();
        };
        match self.secret(&reference) {
            Some(secret) => match certificate_text(secret) {
                Some(pem) => CertificateSource::Known(certificate(&pem, credential, hosts)),
                None => missing(),
            },
            None if self.is_assumed(&reference) => CertificateSource::Known(made_up(credential, hosts)),
            None => missing(),
        }
    }

    /// The certificate authority that goes with a credential: `<name>-cacert`, else `ca.crt` inside it.
    #[must_use]
    pub fn authority(&self, credential: &str, namespace: &str) -> Authority {
        let missing = || Authority::Missing(resource_name(credential).into());
        let Some(reference) = parse(credential, namespace) else { return missing() };
        let bare = reference.name.strip_suffix(CA_SUFFIX).unwrap_or(reference.name);
        let suffixed = format!("{bare}{CA_SUFFIX}");
        let found = if reference.config_map {
            let key = (reference.namespace.to_owned(), bare.to_owned());
            self.config_maps.get(&key).and_then(|map| value(&map.spec.data, &["cacert", "ca.crt"]))
        } else {
            [suffixed.as_str(), bare]
                .into_iter()
                .find_map(|name| self.secret(&Reference { name, ..reference }))
                .and_then(|secret| decoded(secret, &["cacert", "ca.crt"]))
        };
        match found {
            Some(pem) => Authority::Known(TrustAnchor::Named(
                x509::first_of_pem(&pem)
                    .map_or_else(|| resource_name(credential), |facts| facts.subject)
                    .into(),
            )),
            None if self.is_assumed(&reference) => {
                Authority::Known(TrustAnchor::Named(made_up_issuer(credential)))
            }
            None => missing(),
        }
    }

    /// Whether the certificate of a credential is made up because no manifest keeps Secrets there.
    #[must_use]
    pub fn is_made_up(&self, credential: &str, namespace: &str) -> bool {
        parse(credential, namespace)
            .is_some_and(|reference| self.secret(&reference).is_none() && self.is_assumed(&reference))
    }

    fn is_assumed(&self, reference: &Reference<'_>) -> bool {
        !reference.config_map && !self.kept.contains(reference.namespace)
    }

    fn secret(&self, reference: &Reference<'_>) -> Option<&Object<Secret>> {
        let key = (reference.namespace.to_owned(), reference.name.to_owned());
        self.secrets.get(&key).map(Arc::as_ref)
    }
}

/// Name of the SDS resource.
fn resource_name(credential: &str) -> String {
    let schemes = ["configmap://", "kubernetes://", "kubernetes-gateway://", "invalid://"];
    if schemes.iter().any(|scheme| credential.starts_with(scheme)) {
        credential.to_owned()
    } else {
        format!("kubernetes://{credential}")
    }
}

/// `sds://` names come from servers outside of the mesh and count as Kubernetes Secrets otherwise.
fn parse<'a>(credential: &'a str, proxy_namespace: &'a str) -> Option<Reference<'a>> {
    let (scheme, rest) = match credential.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("kubernetes", credential),
    };
    let parts =
        rest.split_once('/').map(|(namespace, name)| (namespace, name.split('/').next().unwrap_or(name)));
    let (namespace, name) = match scheme {
        "kubernetes" | "sds" => parts.unwrap_or((proxy_namespace, rest)),
        "configmap" | "kubernetes-gateway" => {
            parts.filter(|(ns, name)| !ns.is_empty() && !name.is_empty())?
        }
        _ => return None,
    };
    Some(Reference { config_map: scheme == "configmap", namespace, name })
}

/// The certificate chain, if the secret has a key too.
fn certificate_text(secret: &Object<Secret>) -> Option<String> {
    let pair =
        |certificate: &str, key: &str| decoded(secret, &[key]).and_then(|_| decoded(secret, &[certificate]));
    pair("cert", "key").or_else(|| pair("tls.crt", "tls.key"))
}

/// The first non-empty value of these keys, as text.
fn decoded(secret: &Object<Secret>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| {
        let text = match secret.spec.string_data.get(*key) {
            Some(text) => text.clone(),
            None => {
                let packed: String = secret.spec.data.get(*key)?.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(&packed);
                // What is not base64 is a placeholder of somebody who keeps real Secrets elsewhere.
                bytes.map_or(packed, |bytes| String::from_utf8_lossy(&bytes).into_owned())
            }
        };
        (!text.is_empty()).then_some(text)
    })
}

fn value(data: &BTreeMap<String, String>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| data.get(*key)).filter(|text| !text.is_empty()).cloned()
}

fn certificate(pem: &str, credential: &str, hosts: &[String]) -> Certificate {
    match x509::first_of_pem(pem) {
        Some(CertificateFacts { subject, issuer, sans }) => Certificate {
            issuer: TrustAnchor::Named(issuer.into()),
            sans: sans.into_iter().map(Into::into).collect(),
            subject: subject.into(),
        },
        None => made_up(credential, hosts),
    }
}

fn made_up(credential: &str, hosts: &[String]) -> Certificate {
    Certificate {
        issuer: TrustAnchor::Named(made_up_issuer(credential)),
        sans: hosts.iter().map(|host| host.as_str().into()).collect(),
        subject: "".into(),
    }
}

fn made_up_issuer(credential: &str) -> Str {
    format!("made up for {}", resource_name(credential.strip_suffix(CA_SUFFIX).unwrap_or(credential))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::meta::ObjectMeta;

    /// A self-made certificate: subject `O=lab,CN=example.com`, issuer `CN=lab-ca`, SANs example.com, *.example.com.
    const PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBojCCAUigAwIBAgIUWdB4+oJsHVqtlZrlwtdg8mxfZKswCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbGFiLWNhMCAXDTI2MTEyMTE1MTEwM1oYDzIxMjYxMDI4MTUx
MTAzWjAkMQwwCgYDVQQKDANsYWIxFDASBgNVBAMMC2V4YW1wbGUuY29tMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAEZMil/7m2hlcX6WH/LNrtUFWfavrCiCq5nyFB
3JyPS5QoRnPX7KCmvbsN1KJOQ1qQc/3q0JeGgDPLUyjJm3fUfaNpMGcwJQYDVR0R
BB4wHIILZXhhbXBsZS5jb22CDSouZXhhbXBsZS5jb20wHQYDVR0OBBYEFAKwwIDg
2VSKe3AA0PGD/9TXDbN5MB8GA1UdIwQYMBaAFGWKBFydOkOHa0WBQ7zmws0WlcZt
MAoGCCqGSM49BAMCA0gAMEUCIAa5HCrOwE2w9pU8YpicgnEqweP9CWItQbBqL79B
gwM9AiEAwJ9MXQ+sY+CsHrA1nTAmHGcH343ieiYcJz92DSAD6O4=
-----END CERTIFICATE-----";

    fn secret(name: &str, pairs: &[(&str, &str)]) -> Arc<Object<Secret>> {
        let meta =
            ObjectMeta { name: name.into(), namespace: "istio-system".into(), ..ObjectMeta::default() };
        let string_data = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Arc::new(Object { meta, spec: Secret { string_data, ..Secret::default() } })
    }

    #[test]
    fn certificates_are_read_made_up_or_missing() {
        let kept = Credentials::new(
            &[
                secret("edge", &[("tls.crt", PEM), ("tls.key", "x")]),
                secret("keyless", &[("tls.crt", PEM)]),
                secret("mutual", &[("cert", PEM), ("key", "x"), ("cacert", PEM)]),
            ],
            &[],
        );
        let hosts = ["a.com".to_owned()];
        let CertificateSource::Known(edge) = kept.certificate("edge", "istio-system", &hosts) else {
            panic!("edge is known")
        };
        assert_eq!(
            edge.sans.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
            ["example.com", "*.example.com"]
        );
        assert_eq!(edge.issuer, TrustAnchor::Named("CN=lab-ca".into()));
        for name in ["keyless", "never", "configmap://istio-system/edge"] {
            let found = kept.certificate(name, "istio-system", &hosts);
            assert!(matches!(found, CertificateSource::Missing(_)), "{name}: {found:?}");
        }
        assert!(matches!(kept.authority("edge", "istio-system"), Authority::Missing(_)));
        assert!(matches!(kept.authority("mutual-cacert", "istio-system"), Authority::Known(_)));

        // Nobody keeps Secrets in `edge-ns`: they are taken to exist.
        assert!(kept.is_made_up("edge", "edge-ns"));
        let CertificateSource::Known(made) = kept.certificate("edge", "edge-ns", &hosts) else { panic!() };
        assert_eq!(made.sans, ["a.com".into()]);
        assert_eq!(kept.authority("edge", "edge-ns"), Authority::Known(made.issuer));
        assert_eq!(kept.certificate("builtin://", "x", &hosts), CertificateSource::Workload);
    }
}
