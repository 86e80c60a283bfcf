//! The random numbers of one pick, numbered in the order Envoy draws them (semantics: envoy-upstream 0.3).

use crate::cx::{Draws, Purpose};

/// Draws for one attempt's pick, re-asks included.
pub(super) struct Asking<'d, D> {
    draws: &'d mut D,
    attempt: u16,
    n: u16,
    /// Some choice was enumerated as if it did not depend on an earlier one, which it does.
    approximate: bool,
}

impl<'d, D: Draws> Asking<'d, D> {
    pub(super) fn new(draws: &'d mut D, attempt: u16) -> Self {
        Asking { draws, attempt, n: 0, approximate: false }
    }

    /// Whether outcomes are enumerated rather than drawn.
    pub(super) fn enumerates(&self) -> bool {
        self.draws.enumerates()
    }

    /// Notes that a choice was not exact.
    pub(super) fn approximate(&mut self) {
        self.approximate = true;
    }

    /// Whether every choice so far was exact.
    pub(super) fn is_exact(&self) -> bool {
        !self.approximate
    }

    fn purpose(&mut self) -> Purpose {
        let purpose = Purpose::Endpoint { attempt: self.attempt, n: self.n };
        self.n = self.n.saturating_add(1);
        purpose
    }

    /// A random number.
    pub(super) fn raw(&mut self) -> u64 {
        let purpose = self.purpose();
        self.draws.draw(purpose)
    }

    /// One of the intervals that end at `ends`.
    pub(super) fn choose(&mut self, ends: &[u64]) -> usize {
        let purpose = self.purpose();
        self.draws.choose(purpose, ends)
    }

    /// One of `0..n`, equally likely: `random % n`.
    pub(super) fn uniform(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        if self.enumerates() {
            let ends: Vec<u64> = (1..=n as u64).collect();
            return self.choose(&ends);
        }
        (self.raw() % n as u64) as usize
    }

    /// One of the shares, with probability proportional to it.
    pub(super) fn share(&mut self, shares: &[f64]) -> usize {
        let largest = shares.iter().copied().fold(0.0, f64::max);
        let exact = shares.iter().all(|s| *s == libm::trunc(*s)) && largest < 1e9;
        // Fractions are kept to 40 bits of the largest share.
        let scale = if exact { 1.0 } else { 1_099_511_627_776.0 / largest };
        let mut end = 0_u64;
        let ends: Vec<u64> = shares
            .iter()
            .map(|s| {
                end += libm::round(s * scale) as u64;
                end
            })
            .collect();
        if end == 0 { 0 } else { self.choose(&ends) }
    }
}
