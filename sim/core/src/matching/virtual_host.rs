//! Virtual host selection (semantics: envoy-routing 1.2, 1.3).

use crate::ir::RouteConfiguration;
use crate::matching::without_port;

/// How well a domain fits a host; the greatest one wins. Exact beats suffix beats prefix beats `*`; within wildcards
/// the longer text wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainRank {
    /// `*`
    Default,
    /// `text*`, length of the text.
    Prefix(usize),
    /// `*text`, length of the text.
    Suffix(usize),
    /// The whole host.
    Exact,
}

/// Whether and how a domain fits a host (port already cut where the configuration says so).
#[must_use]
pub fn domain_rank(domain: &str, host: &str) -> Option<DomainRank> {
    let (d, h) = (domain.as_bytes(), host.as_bytes());
    if d == b"*" {
        return Some(DomainRank::Default);
    }
    if let Some(text) = d.strip_prefix(b"*") {
        // the wildcard covers at least one character
        let tail =
            h.len().checked_sub(text.len()).filter(|covered| *covered > 0).and_then(|at| h.get(at..))?;
        return tail.eq_ignore_ascii_case(text).then_some(DomainRank::Suffix(text.len()));
    }
    if let Some(text) = d.strip_suffix(b"*") {
        let head = h.get(..text.len()).filter(|_| h.len() > text.len())?;
        return head.eq_ignore_ascii_case(text).then_some(DomainRank::Prefix(text.len()));
    }
    d.eq_ignore_ascii_case(h).then_some(DomainRank::Exact)
}

/// The virtual host for an authority and the position of the domain that chose it, by looking at every domain.
/// There is no fallback once a virtual host is chosen.
#[must_use]
pub fn find_virtual_host(config: &RouteConfiguration, authority: &str) -> Option<(u32, u32)> {
    let host = if config.ignore_port_in_host_matching { without_port(authority) } else { authority };
    let mut best: Option<(DomainRank, u32, u32)> = None;
    for (v, virtual_host) in config.virtual_hosts.iter().enumerate() {
        for (d, domain) in virtual_host.domains.iter().enumerate() {
            if let Some(rank) = domain_rank(domain, host)
                && best.is_none_or(|(leading, ..)| rank > leading)
            {
                best = Some((rank, v as u32, d as u32));
            }
        }
    }
    best.map(|(_, v, d)| (v, d))
}
