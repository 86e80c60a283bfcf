//! What a sidecar's iptables rules capture (semantics: istio-networking 9.3, 6.6).
//!
//! Annotations of the pod over Istio's defaults. Only data and the two questions; who asks is the engine's world.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::resource::proxy_config::{InterceptionMode, ProxyConfig};

/// What is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// How; `None` captures nothing.
    pub mode: InterceptionMode,
    /// Outbound destinations; everything or these networks.
    pub include_outbound: Selection<IpNet>,
    /// Outbound destinations left alone.
    pub exclude_outbound: BTreeSet<IpNet>,
    /// Outbound ports captured whatever the address.
    pub include_outbound_ports: BTreeSet<u16>,
    /// Outbound ports left alone.
    pub exclude_outbound_ports: BTreeSet<u16>,
    /// Inbound ports; everything or these.
    pub include_inbound_ports: Selection<u16>,
    /// Inbound ports left alone.
    pub exclude_inbound_ports: BTreeSet<u16>,
    /// Whether the proxy answers DNS (`ISTIO_META_DNS_CAPTURE`).
    pub dns: bool,
}

/// Everything, or the ones listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<T> {
    /// `*`.
    All,
    /// Only these.
    Only(BTreeSet<T>),
}

impl<T: Ord> Selection<T> {
    fn selects(&self, test: impl Fn(&T) -> bool) -> bool {
        match self {
            Selection::All => true,
            Selection::Only(list) => list.iter().any(test),
        }
    }
}

/// Ports of the agent and of Envoy itself, never captured inbound.
const OWN_PORTS: [u16; 3] = [15090, 15021, 15020];

impl Default for Capture {
    fn default() -> Self {
        Capture {
            mode: InterceptionMode::Redirect,
            include_outbound: Selection::All,
            exclude_outbound: BTreeSet::new(),
            include_outbound_ports: BTreeSet::new(),
            exclude_outbound_ports: BTreeSet::new(),
            include_inbound_ports: Selection::All,
            exclude_inbound_ports: OWN_PORTS.into(),
            dns: false,
        }
    }
}

impl Capture {
    /// Reads the annotations of a pod and its proxy configuration. A value that Istio refuses is named in the list; the
    /// webhook would refuse the pod.
    pub fn new(annotations: &BTreeMap<String, String>, config: &ProxyConfig) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut capture = Capture {
            mode: config.interception_mode.unwrap_or_default(),
            dns: config.proxy_metadata.get("ISTIO_META_DNS_CAPTURE").map(String::as_str) == Some("true"),
            ..Capture::default()
        };
        let status = config.status_port.and_then(|p| u16::try_from(p).ok()).unwrap_or(15020);
        capture.exclude_inbound_ports.insert(status);
        for (key, value) in annotations {
            let mut refuse = |why: &str| problems.push(format!("annotation `{key}: {value:?}`: {why}"));
            match key.as_str() {
                "sidecar.istio.io/interceptionMode" => match value.as_str() {
                    "REDIRECT" => capture.mode = InterceptionMode::Redirect,
                    "TPROXY" => capture.mode = InterceptionMode::Tproxy,
                    "NONE" => capture.mode = InterceptionMode::None,
                    _ => refuse("not one of REDIRECT, TPROXY, NONE"),
                },
                "traffic.sidecar.istio.io/includeOutboundIPRanges" => match networks(value) {
                    Ok(list) => capture.include_outbound = list,
                    Err(why) => refuse(&why),
                },
                "traffic.sidecar.istio.io/excludeOutboundIPRanges" => match networks(value) {
                    Ok(Selection::Only(list)) => capture.exclude_outbound = list,
                    Ok(Selection::All) => refuse("`*` cannot be excluded"),
                    Err(why) => refuse(&why),
                },
                "traffic.sidecar.istio.io/includeInboundPorts" => match ports(value) {
                    Ok(list) => capture.include_inbound_ports = list,
                    Err(why) => refuse(&why),
                },
                "traffic.sidecar.istio.io/excludeInboundPorts" => match only_ports(value) {
                    Ok(list) => capture.exclude_inbound_ports.extend(list),
                    Err(why) => refuse(&why),
                },
                "traffic.sidecar.istio.io/includeOutboundPorts" => match only_ports(value) {
                    Ok(list) => capture.include_outbound_ports = list,
                    Err(why) => refuse(&why),
                },
                "traffic.sidecar.istio.io/excludeOutboundPorts" => match only_ports(value) {
                    Ok(list) => capture.exclude_outbound_ports = list,
                    Err(why) => refuse(&why),
                },
                _ => {}
            }
        }
        (capture, problems)
    }

    /// Whether a connection of the application is captured. In the order of the rules: excluded ports, loopback, excluded
    /// networks, included ports, included networks.
    pub fn captures_outbound(&self, address: IpAddr, port: u16) -> bool {
        if self.mode == InterceptionMode::None
            || self.exclude_outbound_ports.contains(&port)
            || address.is_loopback()
            || self.exclude_outbound.iter().any(|n| n.contains(&address))
        {
            return false;
        }
        self.include_outbound_ports.contains(&port) || self.include_outbound.selects(|n| n.contains(&address))
    }

    /// Whether a connection to this port of the pod is captured.
    pub fn captures_inbound(&self, port: u16) -> bool {
        if self.mode == InterceptionMode::None {
            return false;
        }
        match &self.include_inbound_ports {
            Selection::All => !self.exclude_inbound_ports.contains(&port),
            // A list is taken literally: exclusions are only read beside `*`.
            Selection::Only(list) => list.contains(&port),
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn networks(text: &str) -> Result<Selection<IpNet>, String> {
    if text.trim() == "*" {
        return Ok(Selection::All);
    }
    let one = |item: &str| item.parse::<IpNet>().map_err(|_| format!("`{item}` is not a CIDR"));
    items(text).map(one).collect::<Result<_, _>>().map(Selection::Only)
}

fn only_ports(text: &str) -> Result<BTreeSet<u16>, String> {
    let one = |item: &str| match item.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{item}` is not a port")),
    };
    items(text).map(one).collect()
}

fn ports(text: &str) -> Result<Selection<u16>, String> {
    if text.trim() == "*" { Ok(Selection::All) } else { only_ports(text).map(Selection::Only) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(pairs: &[(&str, &str)]) -> (Capture, Vec<String>) {
        let prefix = |key: &str| {
            if key == "interceptionMode" {
                format!("sidecar.istio.io/{key}")
            } else {
                format!("traffic.sidecar.istio.io/{key}")
            }
        };
        let annotations = pairs.iter().map(|(k, v)| (prefix(k), (*v).to_owned())).collect();
        Capture::new(&annotations, &ProxyConfig::default())
    }

    fn out(pairs: &[(&str, &str)], address: &str, port: u16) -> bool {
        capture(pairs).0.captures_outbound(address.parse().expect("address"), port)
    }

    #[test]
    fn outbound_rules_apply_in_order() {
        assert!(out(&[], "10.0.0.1", 80));
        assert!(!out(&[], "127.0.0.1", 80));
        assert!(!out(&[("excludeOutboundPorts", "80, 81")], "10.0.0.1", 81));
        assert!(!out(&[("excludeOutboundIPRanges", "10.0.0.0/8")], "10.0.0.1", 80));
        let only = ("includeOutboundIPRanges", "10.96.0.0/16");
        assert!(out(&[only], "10.96.1.1", 80));
        assert!(!out(&[only], "10.244.0.1", 80));
        assert!(out(&[only, ("includeOutboundPorts", "9000")], "10.244.0.1", 9000));
        assert!(!out(&[("excludeOutboundPorts", "9000"), ("includeOutboundPorts", "9000")], "1.1.1.1", 9000));
        assert!(!out(&[("includeOutboundIPRanges", "")], "10.0.0.1", 80));
        assert!(!out(&[("interceptionMode", "NONE")], "10.0.0.1", 80));
    }

    #[test]
    fn inbound_exclusions_count_beside_the_star_only() {
        let (all, _) = capture(&[("excludeInboundPorts", "9000")]);
        let found: Vec<bool> = [8080, 9000, 15020, 15021, 15090].map(|p| all.captures_inbound(p)).into();
        assert_eq!(found, [true, false, false, false, false]);
        let (some, _) = capture(&[("includeInboundPorts", "8080"), ("excludeInboundPorts", "8080")]);
        assert!(some.captures_inbound(8080) && !some.captures_inbound(9000));
    }

    #[test]
    fn refused_values_are_named() {
        for (key, value) in [
            ("interceptionMode", "redirect"),
            ("includeOutboundIPRanges", "10.0.0.0"),
            ("excludeOutboundIPRanges", "*"),
            ("excludeInboundPorts", "http"),
            ("includeOutboundPorts", "0"),
        ] {
            assert_eq!(capture(&[(key, value)]).1.len(), 1, "{key}");
        }
    }
}
