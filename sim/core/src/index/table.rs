//! Text to number, without allocation on lookup.
//!
//! Open addressing over flat arrays; keys lie in one byte arena. Lookups only ever compare and never iterate, so the
//! order of nothing depends on hashes.

/// Empty slot.
const FREE: u32 = u32::MAX;

/// A map from bytes to `u32`, built once.
#[derive(Debug, Default)]
pub(super) struct TextTable {
    slots: Vec<u32>,
    entries: Vec<Entry>,
    arena: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    hash: u32,
    start: u32,
    length: u32,
    value: u32,
}

impl TextTable {
    /// Builds a table; of equal keys the first wins.
    pub(super) fn new<'k>(pairs: impl Iterator<Item = (&'k [u8], u32)>) -> TextTable {
        let mut table = TextTable::default();
        for (key, value) in pairs {
            if table.slots.len() < (table.entries.len() + 1) * 2 {
                table.grow();
            }
            let hash = fold(hash_bytes(key));
            if table.find(hash, key).is_some() {
                continue;
            }
            let start = table.arena.len() as u32;
            table.arena.extend_from_slice(key);
            table.entries.push(Entry { hash, start, length: key.len() as u32, value });
            table.place(table.entries.len() - 1);
        }
        table
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(8);
        self.slots = vec![FREE; size];
        for i in 0..self.entries.len() {
            self.place(i);
        }
    }

    fn place(&mut self, entry: usize) {
        let Some(hash) = self.entries.get(entry).map(|e| e.hash) else { return };
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == FREE {
                *slot = entry as u32;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let entry = self.entries.get(*self.slots.get(at)? as usize)?;
            if entry.hash == hash && self.key(entry) == key {
                return Some(entry.value);
            }
            at = (at + 1) & mask;
        }
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        self.arena.get(start..start + entry.length as usize).unwrap_or(&[])
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        self.find(fold(hash_bytes(key)), key)
    }

    /// The value of a key whose hash is known.
    fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.find(fold(hash), key)
    }
}

/// FNV-1a, so that the hashes of all prefixes come out of one pass.
fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(BASIS, |hash, byte| next_hash(hash, *byte))
}

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn next_hash(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// Keys that must stand at the front (or, read backwards, at the end) of a text.
#[derive(Debug, Default)]
pub(super) struct EndTable {
    /// Lengths of keys, ascending.
    lengths: Vec<u32>,
    table: TextTable,
}

impl EndTable {
    /// Builds a table from keys as they are read: forwards for fronts, backwards for ends.
    pub(super) fn new<'k>(pairs: impl Iterator<Item = (&'k [u8], u32)> + Clone) -> EndTable {
        let mut lengths: Vec<u32> = pairs.clone().map(|(key, _)| key.len() as u32).collect();
        lengths.sort_unstable();
        lengths.dedup();
        EndTable { lengths, table: TextTable::new(pairs) }
    }

    /// Visits the value of every key at the front of `text`, shortest first.
    pub(super) fn visit_fronts(&self, text: &[u8], mut see: impl FnMut(u32)) {
        let (mut hash, mut at) = (BASIS, 0);
        for length in &self.lengths {
            let length = *length as usize;
            let Some(front) = text.get(..length) else { return };
            hash = front.get(at..).unwrap_or(&[]).iter().fold(hash, |h, byte| next_hash(h, *byte));
            at = length;
            if let Some(value) = self.table.get_hashed(hash, front) {
                see(value);
            }
        }
    }

    /// Visits the value of every key at the end of `text`, shortest first. `reversed` is scratch space for the key.
    pub(super) fn visit_ends(&self, text: &[u8], mut see: impl FnMut(u32)) {
        let (mut hash, mut at) = (BASIS, 0);
        let mut key = [0u8; MAX_END];
        for length in &self.lengths {
            let length = *length as usize;
            if length > text.len() || length > MAX_END {
                return;
            }
            for i in at..length {
                let byte = text.get(text.len() - 1 - i).copied().unwrap_or(0);
                hash = next_hash(hash, byte);
                if let Some(slot) = key.get_mut(i) {
                    *slot = byte;
                }
            }
            at = length;
            if let Some(value) = self.table.get_hashed(hash, key.get(..length).unwrap_or(&[])) {
                see(value);
            }
        }
    }
}

/// Longest key of a table read backwards.
pub(super) const MAX_END: usize = 64;
