//! Who sends (`from:`) and which pods are meant (`workload:`).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::shorthand::Strict;

/// `[NAMESPACE/]NAME[#ORDINAL]`, or pods by labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkloadRef {
    /// A workload, or one of its pods.
    Name {
        /// Namespace; `None` = `default`.
        namespace: Option<String>,
        /// Workload name.
        name: String,
        /// One pod.
        ordinal: Option<u32>,
    },
    /// Pods by labels.
    Labels {
        /// All of them must be there.
        labels: BTreeMap<String, String>,
        /// Namespace; `None` = `default`.
        namespace: Option<String>,
    },
}

impl WorkloadRef {
    /// Parses the short form.
    #[must_use]
    pub fn parse(text: &str) -> Option<WorkloadRef> {
        let (path, ordinal) = match text.split_once('#') {
            Some((path, ordinal)) => (path, Some(ordinal.parse().ok()?)),
            None => (text, None),
        };
        let (namespace, name) = match path.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, path),
        };
        if name.is_empty() || name.contains('/') || namespace.as_deref() == Some("") {
            return None;
        }
        Some(WorkloadRef::Name { namespace, name: name.to_owned(), ordinal })
    }
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadRef::Name { namespace, name, ordinal } => {
                if let Some(namespace) = namespace {
                    write!(f, "{namespace}/")?;
                }
                write!(f, "{name}")?;
                ordinal.map_or(Ok(()), |n| write!(f, "#{n}"))
            }
            WorkloadRef::Labels { labels, namespace } => {
                let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "{{{}}} in {}", pairs.join(","), namespace.as_deref().unwrap_or("default"))
            }
        }
    }
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// A workload of the mesh, or one pod of it. Traffic is sent by all pods, a single question asked by the first.
    Workload(WorkloadRef),
    /// From outside, through a gateway.
    Gateway(GatewayClient),
    /// A pod that no manifest defines.
    Pod(PodClient),
}

/// A caller outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayClient {
    /// The gateway it dials, `ns/name`.
    pub gateway: String,
    /// Its address.
    pub source_ip: Option<IpAddr>,
}

/// A client pod that no manifest defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodClient {
    /// Namespace.
    pub namespace: String,
    /// Pod labels.
    pub labels: BTreeMap<String, String>,
    /// Service account.
    pub service_account: String,
    /// Whether it has a sidecar; absent means by the injection rules.
    pub sidecar: Option<bool>,
    /// Address; assigned when absent.
    #[serde(rename = "ip")]
    pub ip: Option<IpAddr>,
}

impl Default for PodClient {
    fn default() -> Self {
        PodClient {
            namespace: "default".to_owned(),
            labels: BTreeMap::new(),
            service_account: "default".to_owned(),
            sidecar: None,
            ip: None,
        }
    }
}

impl PodClient {
    /// As `explain --from` takes it: `pod:NS/ACCOUNT`, with `+sidecar` if it has one; labels and an address in braces.
    #[must_use]
    pub fn reference(&self) -> String {
        let plus = if self.sidecar == Some(true) { "+sidecar" } else { "" };
        let mut more: Vec<String> = self.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        more.extend(self.ip.map(|ip| format!("ip={ip}")));
        let more = if more.is_empty() { String::new() } else { format!("{{{}}}", more.join(",")) };
        format!("pod{plus}:{}/{}{more}", self.namespace, self.service_account)
    }

    /// Reads what [`PodClient::reference`] writes; `None` if it is no such reference.
    #[must_use]
    pub fn parse(text: &str) -> Option<PodClient> {
        let (sidecar, rest) = match text.strip_prefix("pod+sidecar:") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("pod:")?),
        };
        let (name, more) = match rest.split_once('{') {
            Some((name, more)) => (name, more.strip_suffix('}')?),
            None => (rest, ""),
        };
        let (namespace, account) = name.split_once('/').unwrap_or((name, "default"));
        let mut pod = PodClient {
            namespace: namespace.to_owned(),
            service_account: account.to_owned(),
            sidecar: Some(sidecar),
            ..PodClient::default()
        };
        for pair in more.split(',').filter(|p| !p.is_empty()) {
            match pair.split_once('=')? {
                ("ip", ip) => pod.ip = Some(ip.parse().ok()?),
                (key, value) => {
                    pod.labels.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Some(pod)
    }
}

/// The mapping form of [`Client`].
#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClientWords {
    gateway: Option<String>,
    #[serde(rename = "sourceIP")]
    source_ip: Option<IpAddr>,
    pod: Option<PodClient>,
    workload: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    namespace: Option<String>,
}

impl ClientWords {
    fn resolve(self) -> Result<Client, String> {
        let named =
            [self.gateway.is_some(), self.pod.is_some(), self.workload.is_some(), self.labels.is_some()];
        if named.iter().filter(|n| **n).count() != 1 {
            return Err("a client is one of `gateway`, `pod`, `workload` or `labels`".to_owned());
        }
        if let Some(gateway) = self.gateway {
            return Ok(Client::Gateway(GatewayClient { gateway, source_ip: self.source_ip }));
        }
        if let Some(pod) = self.pod {
            return Ok(Client::Pod(pod));
        }
        if let Some(labels) = self.labels {
            return Ok(Client::Workload(WorkloadRef::Labels { labels, namespace: self.namespace }));
        }
        let text = self.workload.unwrap_or_default();
        WorkloadRef::parse(&text).map(Client::Workload).ok_or_else(|| format!("`{text}` is no workload"))
    }
}

/// The mapping form of [`WorkloadRef`].
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct LabelWords {
    labels: BTreeMap<String, String>,
    namespace: Option<String>,
}

struct ClientVisitor;

impl<'de> Visitor<'de> for ClientVisitor {
    type Value = Client;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a client: `ns/workload`, `{gateway: …}` or `{pod: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Client, E> {
        WorkloadRef::parse(text)
            .map(Client::Workload)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Client, A::Error> {
        ClientWords::deserialize(Strict(map))?.resolve().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ClientVisitor)
    }
}

struct WorkloadVisitor;

impl<'de> Visitor<'de> for WorkloadVisitor {
    type Value = WorkloadRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a workload: `[namespace/]name`, `name#ordinal` or `{labels: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WorkloadRef, E> {
        WorkloadRef::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WorkloadRef, A::Error> {
        let words = LabelWords::deserialize(Strict(map))?;
        Ok(WorkloadRef::Labels { labels: words.labels, namespace: words.namespace })
    }
}

impl<'de> Deserialize<'de> for WorkloadRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(WorkloadVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, shown) in
            [("a/web#2", Some("a/web#2")), ("web", Some("web")), ("a/b/c", None), ("/x", None), ("a#x", None)]
        {
            assert_eq!(WorkloadRef::parse(text).map(|w| w.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn client_pods_are_written_and_read() {
        for text in ["pod:t/default", "pod+sidecar:t/web{app=x,ip=10.0.0.1}"] {
            assert_eq!(PodClient::parse(text).map(|p| p.reference()).as_deref(), Some(text));
        }
        assert_eq!(PodClient::parse("pod:t").map(|p| p.reference()).as_deref(), Some("pod:t/default"));
        assert!(PodClient::parse("default/web").is_none());
    }

    #[test]
    fn clients_in_all_forms() {
        let read = |text: &str| serde_json::from_str::<Client>(text);
        assert!(matches!(read(r#""a/web""#), Ok(Client::Workload(WorkloadRef::Name { .. }))));
        let gateway = read(r#"{"gateway": "istio-system/gw", "sourceIP": "203.0.113.7"}"#).expect("gateway");
        assert!(matches!(gateway, Client::Gateway(g) if g.source_ip.is_some()));
        let Ok(Client::Pod(pod)) = read(r#"{"pod": {"namespace": "t", "sidecar": false}}"#) else {
            panic!("pod")
        };
        assert_eq!((pod.sidecar, pod.service_account.as_str()), (Some(false), "default"));
        assert!(read(r#"{"gateway": "a/b", "pod": {}}"#).is_err());
    }
}
