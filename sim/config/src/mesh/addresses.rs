//! Addresses nobody declares: the same mesh gets the same addresses on every machine (FORMATS section 1).
//!
//! Services without clusterIP get 10.96.0.x, pods 10.244.0.x, both by (namespace, name), pods that tests add 10.244.100.x
//! by first appearance, 250 to a block. Declared addresses take no number, and numbers they hold are passed over.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Hands out addresses of one kind.
#[derive(Debug, Clone)]
pub struct AddressPool {
    first_block: u32,
    skipped_blocks: std::ops::Range<u32>,
    next: u32,
    taken: BTreeSet<IpAddr>,
}

/// Addresses in one block; .0 and .251 to .255 are never used.
const PER_BLOCK: u32 = 250;
/// Blocks that pods of tests may fill.
const CLIENT_BLOCKS: std::ops::Range<u32> = 100..110;

impl AddressPool {
    /// 10.96.0.1 and up.
    pub fn services() -> Self {
        Self::new(10 * 256 + 96, 0..0)
    }

    /// 10.244.0.1 and up, leaving out the blocks of tests' pods.
    pub fn pods() -> Self {
        Self::new(10 * 256 + 244, CLIENT_BLOCKS)
    }

    /// 10.244.100.1 and up.
    pub fn clients() -> Self {
        let mut pool = Self::new(10 * 256 + 244, 0..0);
        pool.next = CLIENT_BLOCKS.start * PER_BLOCK;
        pool
    }

    fn new(network: u32, skipped_blocks: std::ops::Range<u32>) -> Self {
        AddressPool { first_block: network << 8, skipped_blocks, next: 0, taken: BTreeSet::new() }
    }

    /// Marks a declared address; false if somebody has it already.
    pub fn reserve(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// The next free address.
    pub fn assign(&mut self) -> IpAddr {
        loop {
            if self.skipped_blocks.contains(&(self.next / PER_BLOCK)) {
                self.next = self.skipped_blocks.end * PER_BLOCK;
            }
            let block = self.first_block.wrapping_add(self.next / PER_BLOCK);
            let address = IpAddr::V4(Ipv4Addr::from((block << 8) | (self.next % PER_BLOCK + 1)));
            self.next += 1;
            if self.taken.insert(address) {
                return address;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(mut pool: AddressPool, n: usize) -> String {
        (0..n).map(|_| pool.assign()).last().map(|a| a.to_string()).unwrap_or_default()
    }

    #[test]
    fn blocks_hold_250() {
        assert_eq!(nth(AddressPool::pods(), 1), "10.244.0.1");
        assert_eq!(nth(AddressPool::pods(), 250), "10.244.0.250");
        assert_eq!(nth(AddressPool::pods(), 251), "10.244.1.1");
        assert_eq!(nth(AddressPool::services(), 501), "10.96.2.1");
        assert_eq!(nth(AddressPool::clients(), 2), "10.244.100.2");
        assert_eq!(nth(AddressPool::pods(), 25_001), "10.244.110.1");
        assert_eq!(nth(AddressPool::services(), 64_001), "10.97.0.1");
    }

    #[test]
    fn declared_addresses_are_passed_over() {
        let mut pool = AddressPool::services();
        let second: IpAddr = Ipv4Addr::new(10, 96, 0, 2).into();
        assert!(pool.reserve(second) && !pool.reserve(second));
        assert_eq!(pool.assign().to_string(), "10.96.0.1");
        assert_eq!(pool.assign().to_string(), "10.96.0.3");
    }
}
