//! Virtual host by authority, without looking at every domain.

use crate::ids::Str;
use crate::index::table::{EndTable, TextTable};
use crate::ir::RouteConfiguration;
use crate::matching::{DomainRank, domain_rank, without_port};

/// A domain: virtual host and position in its domains.
type Place = (u32, u32);

/// The domains of a route configuration by shape.
#[derive(Debug)]
pub(super) struct HostIndex {
    places: Vec<Place>,
    exact: TextTable,
    /// Texts behind a leading `*`, read backwards.
    suffixes: EndTable,
    /// Domains of `suffixes` too long for it.
    long_suffixes: Vec<u32>,
    prefixes: EndTable,
    default: Option<u32>,
}

/// The longest host looked up here; longer ones are scanned for.
const MAX_HOST: usize = 256;

impl HostIndex {
    pub(super) fn new(config: &RouteConfiguration) -> HostIndex {
        let domains = || {
            config
                .virtual_hosts
                .iter()
                .zip(0u32..)
                .flat_map(|(v, i)| v.domains.iter().zip(0u32..).map(move |(domain, d)| ((i, d), domain)))
        };
        let places: Vec<Place> = domains().map(|(place, _)| place).collect();
        let mut shapes = Shapes::default();
        for ((_, domain), i) in domains().zip(0u32..) {
            shapes.add(domain, i);
        }
        let pairs = |list: &'_ [(Vec<u8>, u32)]| list.to_vec();
        let (suffixes, prefixes) = (pairs(&shapes.suffixes), pairs(&shapes.prefixes));
        HostIndex {
            places,
            exact: TextTable::new(shapes.exact.iter().map(|(key, i)| (key.as_slice(), *i))),
            suffixes: EndTable::new(suffixes.iter().map(|(key, i)| (key.as_slice(), *i))),
            long_suffixes: shapes.long_suffixes,
            prefixes: EndTable::new(prefixes.iter().map(|(key, i)| (key.as_slice(), *i))),
            default: shapes.default,
        }
    }

    /// As [`crate::matching::find_virtual_host`].
    pub(super) fn find(&self, config: &RouteConfiguration, authority: &str) -> Option<Place> {
        let host = if config.ignore_port_in_host_matching { without_port(authority) } else { authority };
        let mut lower = [0u8; MAX_HOST];
        let Some(lower) = lower.get_mut(..host.len()) else {
            return crate::matching::find_virtual_host(config, authority);
        };
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(found) = self.exact.get(lower) {
            return self.places.get(found as usize).copied();
        }
        let mut best: Option<(DomainRank, Place)> = None;
        let mut consider = |i: u32| {
            let Some(place) = self.places.get(i as usize) else { return };
            let domain =
                config.virtual_hosts.get(place.0 as usize).and_then(|v| v.domains.get(place.1 as usize));
            if let Some(rank) = domain.and_then(|domain| domain_rank(domain, host))
                && best.is_none_or(|(leading, _)| rank > leading)
            {
                best = Some((rank, *place));
            }
        };
        self.suffixes.visit_ends(lower, &mut consider);
        self.long_suffixes.iter().copied().for_each(&mut consider);
        self.prefixes.visit_fronts(lower, &mut consider);
        self.default.into_iter().for_each(&mut consider);
        best.map(|(_, place)| place)
    }
}

/// Domains sorted by shape, lower-case.
#[derive(Default)]
struct Shapes {
    exact: Vec<(Vec<u8>, u32)>,
    suffixes: Vec<(Vec<u8>, u32)>,
    long_suffixes: Vec<u32>,
    prefixes: Vec<(Vec<u8>, u32)>,
    default: Option<u32>,
}

impl Shapes {
    fn add(&mut self, domain: &Str, i: u32) {
        let lower = domain.to_ascii_lowercase().into_bytes();
        match lower.as_slice() {
            b"*" => self.default = self.default.or(Some(i)),
            [b'*', text @ ..] if text.len() > super::table::MAX_END => self.long_suffixes.push(i),
            [b'*', text @ ..] => self.suffixes.push((text.iter().rev().copied().collect(), i)),
            [text @ .., b'*'] => self.prefixes.push((text.to_vec(), i)),
            _ => self.exact.push((lower, i)),
        }
    }
}
