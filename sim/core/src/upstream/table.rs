//! Consistent hashing tables: ring and Maglev (semantics: envoy-upstream 4.3, 4.4). What is hashed:
//! `decide::hash`.

use xxhash_rust::xxh64::xxh64;

/// A lookup table over the hosts `0..n` of some vector.
#[derive(Debug)]
pub(super) enum Table {
    /// Sorted hashes and the host of each.
    Ring(Vec<(u64, u32)>),
    /// Host of each slot.
    Maglev(Vec<u32>),
}

impl Table {
    /// RING_HASH (Envoy: RingHashLoadBalancer::Ring). `hosts` are keys with normalised weights.
    pub(super) fn ring(hosts: &[(String, f64)], minimum_ring_size: u64, maximum_ring_size: u64) -> Table {
        let smallest = hosts.iter().map(|(_, w)| *w).fold(f64::INFINITY, f64::min);
        if !smallest.is_finite() {
            return Table::Ring(Vec::new());
        }
        let wanted = libm::ceil(smallest * minimum_ring_size as f64) / smallest;
        let scale = wanted.min(maximum_ring_size as f64);
        let mut ring = Vec::with_capacity(libm::ceil(scale) as usize);
        let (mut current, mut target) = (0.0_f64, 0.0_f64);
        let mut text = String::new();
        for (host, (key, weight)) in hosts.iter().enumerate() {
            target += scale * weight;
            let mut i = 0_u64;
            while current < target {
                text.clear();
                text.push_str(key);
                text.push('_');
                text.push_str(&i.to_string());
                ring.push((xxh64(text.as_bytes(), 0), host as u32));
                i += 1;
                current += 1.0;
            }
        }
        ring.sort_by_key(|(hash, _)| *hash);
        Table::Ring(ring)
    }

    /// MAGLEV (Envoy: MaglevTable). `hosts` are keys with normalised weights, `size` is prime.
    pub(super) fn maglev(hosts: &[(String, f64)], size: u64) -> Table {
        const FREE: u32 = u32::MAX;
        let largest = hosts.iter().map(|(_, w)| *w).fold(0.0, f64::max);
        if hosts.is_empty() || size < 2 {
            return Table::Maglev(Vec::new());
        }
        let mut entries: Vec<MaglevEntry<'_>> = hosts
            .iter()
            .enumerate()
            .map(|(i, (key, weight))| MaglevEntry {
                key,
                host: i as u32,
                weight: *weight,
                offset: xxh64(key.as_bytes(), 0) % size,
                skip: xxh64(key.as_bytes(), 1) % (size - 1) + 1,
                next: 0,
                target: 0.0,
            })
            .collect();
        entries.sort_by(|a, b| a.key.cmp(b.key).then(a.host.cmp(&b.host)));
        let mut slots = vec![FREE; size as usize];
        let (mut filled, mut iteration) = (0, 0.0_f64);
        while filled < size {
            iteration += 1.0;
            for entry in &mut entries {
                if filled == size {
                    break;
                }
                if iteration * entry.weight < entry.target {
                    continue;
                }
                entry.target += largest;
                while let Some(slot) = slots.get_mut(entry.take(size)) {
                    if *slot == FREE {
                        *slot = entry.host;
                        filled += 1;
                        break;
                    }
                }
            }
        }
        Table::Maglev(slots)
    }

    /// The host of a hash; `attempt` counts the asks of one pick from 0.
    pub(super) fn lookup(&self, hash: u64, attempt: u32) -> Option<u32> {
        match self {
            Table::Ring(ring) => {
                if ring.is_empty() {
                    return None;
                }
                let first = ring.partition_point(|(h, _)| *h < hash);
                let index = (first % ring.len() + attempt as usize) % ring.len();
                ring.get(index).map(|(_, host)| *host)
            }
            Table::Maglev(slots) => {
                if slots.is_empty() {
                    return None;
                }
                let hash = if attempt == 0 { hash } else { hash ^ (!u64::from(attempt)).wrapping_add(1) };
                slots.get((hash % slots.len() as u64) as usize).copied()
            }
        }
    }

    /// Hashes that lead to a host at the first ask: at least one of every residue modulo 100, if it has any entry
    /// wide enough.
    pub(super) fn hashes_of(&self, host: u32) -> Box<dyn Iterator<Item = u64> + '_> {
        match self {
            Table::Ring(ring) => Box::new(
                ring.iter().enumerate().filter(move |(_, (_, of))| *of == host).flat_map(|(i, (hash, _))| {
                    let previous = if i == 0 { None } else { ring.get(i - 1).map(|(h, _)| *h) };
                    let width = previous.map_or(*hash, |p| hash - p);
                    (0..width.min(100)).map(move |back| hash - back)
                }),
            ),
            Table::Maglev(slots) => {
                let size = slots.len() as u64;
                let at = slots.iter().position(|of| *of == host).map(|at| at as u64);
                Box::new(at.into_iter().flat_map(move |at| (0..100).map(move |k| at + k * size)))
            }
        }
    }

    /// Hashes that lead to different sequences of hosts, with their weights. `low` are the weights of the eight
    /// patterns of the lowest bits.
    pub(super) fn candidates(&self, low: &[f64; 8]) -> Vec<Candidate> {
        match self {
            Table::Ring(ring) => (0..ring.len() as u64)
                .zip(arcs(ring))
                .map(|(at, weight)| Candidate { at, low: 0, weight })
                .collect(),
            // The size is odd, so residue and lowest bits are independent.
            Table::Maglev(slots) => (0..slots.len() as u64)
                .flat_map(|at| {
                    (0..8).zip(low).map(move |(low, weight)| Candidate { at, low, weight: *weight })
                })
                .filter(|c| c.weight > 0.0)
                .collect(),
        }
    }

    /// As [`Self::lookup`] for the hashes of a candidate; `None` where its lowest bits are too few to tell.
    pub(super) fn lookup_candidate(&self, candidate: &Candidate, attempt: u32) -> Option<u32> {
        match self {
            Table::Ring(ring) => {
                let at = (candidate.at + u64::from(attempt)) % ring.len().max(1) as u64;
                ring.get(at as usize).map(|(_, host)| *host)
            }
            Table::Maglev(slots) if attempt == 0 => slots.get(candidate.at as usize).copied(),
            Table::Maglev(slots) => {
                // hash ^ (2^64 - attempt) = (2^64 - 1) - (hash ^ (attempt - 1)), and the latter changes low bits only.
                let bits = u64::from(attempt - 1);
                if bits >= 8 {
                    return None;
                }
                let size = slots.len() as u64;
                let flipped = (candidate.at + size * 8 + (candidate.low ^ bits) - candidate.low) % size;
                let at = (u64::MAX % size + size - flipped) % size;
                slots.get(at as usize).copied()
            }
        }
    }

    /// The part of the hash space that each of `n` hosts owns.
    pub(super) fn shares(&self, n: usize) -> Vec<f64> {
        let mut shares = vec![0.0; n];
        let mut add = |host: u32, part: f64| {
            if let Some(share) = shares.get_mut(host as usize) {
                *share += part;
            }
        };
        match self {
            Table::Ring(ring) => {
                for ((_, host), arc) in ring.iter().zip(arcs(ring)) {
                    add(*host, arc);
                }
            }
            Table::Maglev(slots) => {
                for host in slots {
                    add(*host, 1.0 / slots.len() as f64);
                }
            }
        }
        shares
    }
}

/// The part of the hash space that each entry of a ring owns: the hashes after its predecessor up to its own; the
/// first one also the wrap.
fn arcs(ring: &[(u64, u32)]) -> impl Iterator<Item = f64> + '_ {
    let mut previous = ring.last().map_or(0, |(h, _)| *h);
    ring.iter().map(move |(hash, _)| {
        let arc = hash.wrapping_sub(previous);
        previous = *hash;
        if arc == 0 && ring.len() == 1 { 1.0 } else { arc as f64 / 18_446_744_073_709_551_616.0 }
    })
}

/// Hashes that lead to the same hosts at every ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Ring: the entry found first. Maglev: the hash modulo the table's size.
    at: u64,
    /// Maglev: the three lowest bits.
    low: u64,
    /// Their part of all hashes, in some unit.
    pub(super) weight: f64,
}

struct MaglevEntry<'a> {
    key: &'a str,
    host: u32,
    weight: f64,
    offset: u64,
    skip: u64,
    next: u64,
    target: f64,
}

impl MaglevEntry<'_> {
    /// The next slot of this host's permutation.
    fn take(&mut self, size: u64) -> usize {
        let slot = (self.offset + self.skip * self.next) % size;
        self.next += 1;
        slot as usize
    }
}
