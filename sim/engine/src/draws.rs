//! Random numbers: keyed by stable coordinates for runs, enumerated for exact answers.
//!
//! Every source of requests has a ChaCha8 stream named after it; request `n` takes the `n`-th pair of words of that
//! stream as its key. All draws of the request are a stateless mix of (key, place in the call tree, purpose), so an
//! unrelated service, filter or metric shifts nothing (research/performance.md 2.2).

use mesh_core::cx::{Draws, Purpose};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Where draws come from: keyed or enumerated.
pub(crate) trait Chance {
    /// A number for a purpose under a key.
    fn draw(&mut self, key: u64, purpose: Purpose) -> u64;
    /// One of the intervals, see [`Draws::choose`].
    fn choose(&mut self, key: u64, purpose: Purpose, ends: &[u64]) -> usize;
    /// Every choice is visited; see [`Draws::enumerates`].
    fn enumerates(&self) -> bool;
}

/// The draws of one request at one place.
pub(crate) struct At<'c, C> {
    /// The place.
    pub(crate) key: u64,
    /// The source.
    pub(crate) chance: &'c mut C,
}

impl<C: Chance> Draws for At<'_, C> {
    fn draw(&mut self, purpose: Purpose) -> u64 {
        self.chance.draw(self.key, purpose)
    }

    fn choose(&mut self, purpose: Purpose, ends: &[u64]) -> usize {
        self.chance.choose(self.key, purpose, ends)
    }

    fn enumerates(&self) -> bool {
        self.chance.enumerates()
    }
}

/// Draws of a run: a pure function of key and purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keyed;

impl Chance for Keyed {
    fn draw(&mut self, key: u64, purpose: Purpose) -> u64 {
        mix(key, purpose_code(purpose))
    }

    fn choose(&mut self, key: u64, purpose: Purpose, ends: &[u64]) -> usize {
        let total = ends.last().copied().unwrap_or(1).max(1);
        let x = self.draw(key, purpose) % total;
        ends.iter().position(|&end| x < end).unwrap_or(0)
    }

    fn enumerates(&self) -> bool {
        false
    }
}

/// One walk of an enumeration: follows a script of choices and notes the probability of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted {
    /// Choice, number of intervals' ends (weights), in order of use.
    pub(crate) taken: Vec<Taken>,
    /// How many of `taken` this walk has used.
    pub(crate) used: usize,
}

/// One choice of an enumerated walk.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The interval taken.
    pub(crate) at: usize,
    /// Interval ends.
    pub(crate) ends: Vec<u64>,
}

impl Taken {
    /// Probability of the interval taken.
    pub(crate) fn probability(&self) -> f64 {
        let total = self.ends.last().copied().unwrap_or(1).max(1);
        width(&self.ends, self.at) as f64 / total as f64
    }
}

fn width(ends: &[u64], at: usize) -> u64 {
    let low = if at == 0 { 0 } else { ends.get(at - 1).copied().unwrap_or(0) };
    ends.get(at).copied().unwrap_or(0).saturating_sub(low)
}

impl Scripted {
    /// Probability of the walk so far.
    pub(crate) fn probability(&self) -> f64 {
        self.taken.iter().map(Taken::probability).product()
    }

    /// Moves to the next walk in depth-first order; false when all were visited.
    pub(crate) fn advance(&mut self) -> bool {
        self.taken.truncate(self.used);
        self.used = 0;
        while let Some(mut last) = self.taken.pop() {
            let next = (last.at + 1..last.ends.len()).find(|&i| width(&last.ends, i) > 0);
            if let Some(at) = next {
                last.at = at;
                self.taken.push(last);
                return true;
            }
        }
        false
    }
}

impl Chance for Scripted {
    fn draw(&mut self, key: u64, purpose: Purpose) -> u64 {
        // Numbers that are not chosen from intervals (start values, back-off) do not change outcomes; any will do.
        match purpose {
            Purpose::Backoff(_) => 0,
            other => mix(key, purpose_code(other)),
        }
    }

    fn choose(&mut self, _key: u64, _purpose: Purpose, ends: &[u64]) -> usize {
        if let Some(taken) = self.taken.get(self.used) {
            self.used += 1;
            return taken.at;
        }
        let at = (0..ends.len()).find(|&i| width(ends, i) > 0).unwrap_or(0);
        self.taken.push(Taken { at, ends: ends.to_vec() });
        self.used += 1;
        at
    }

    fn enumerates(&self) -> bool {
        true
    }
}

/// Fixed numbers per purpose; append only.
fn purpose_code(purpose: Purpose) -> u64 {
    let (kind, a, b): (u64, u64, u64) = match purpose {
        Purpose::WeightedCluster => (1, 0, 0),
        Purpose::Mirror(i) => (2, u64::from(i), 0),
        Purpose::FaultDelay => (3, 0, 0),
        Purpose::FaultAbort => (4, 0, 0),
        Purpose::Endpoint { attempt, n } => (5, u64::from(attempt), u64::from(n)),
        Purpose::Backoff(n) => (6, u64::from(n), 0),
        Purpose::Enforcing => (7, 0, 0),
        Purpose::LbSeed => (8, 0, 0),
        Purpose::TcpWeightedCluster => (9, 0, 0),
        Purpose::Other(n) => (10, u64::from(n), 0),
    };
    kind << 48 | a << 24 | b
}

/// A number from two: Philox 2x64, six rounds (Salmon et al. 2011), the key schedule of Random123.
#[must_use]
pub(crate) fn mix(key: u64, counter: u64) -> u64 {
    const MULTIPLIER: u64 = 0xD2B7_4407_B1CE_6E93;
    const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;
    let (mut x0, mut x1, mut k) = (counter, 0u64, key);
    for _ in 0..6 {
        let product = u128::from(MULTIPLIER) * u128::from(x0);
        let (high, low) = ((product >> 64) as u64, product as u64);
        x0 = high ^ k ^ x1;
        x1 = low;
        k = k.wrapping_add(WEYL);
    }
    x0 ^ x1.rotate_left(32)
}

/// A stable number for a name (FNV-1a, finished by [`mix`]).
#[must_use]
pub(crate) fn name_key(name: &str) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(h, name.len() as u64)
}

/// The stream of one source: request `n` takes its key, and its interarrival draw, at a fixed position.
pub(crate) struct SourceStream {
    rng: ChaCha8Rng,
}

impl SourceStream {
    /// The stream called `name` of this seed and replication.
    pub(crate) fn new(seed: u64, replication: u32, name: &str) -> Self {
        let mut key = [0u8; 32];
        for (i, chunk) in key.chunks_exact_mut(8).enumerate() {
            let word = mix(mix(seed, i as u64), u64::from(replication));
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(name_key(name));
        SourceStream { rng }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

/// A double in (0, 1] from a draw: never zero, so that its logarithm exists.
#[must_use]
pub(crate) fn unit(draw: u64) -> f64 {
    ((draw >> 11) + 1) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_never_change() {
        // A change here shifts every draw of every scenario: append purposes, never renumber.
        let got: Vec<u64> = (0..4).map(|i| mix(42, i)).collect();
        assert_eq!(got.len(), 4);
        let mut s = SourceStream::new(1, 0, "users");
        let mut t = SourceStream::new(1, 0, "users");
        assert_eq!((s.next(), s.next()), (t.next(), t.next()));
        assert_ne!(SourceStream::new(1, 0, "users").next(), SourceStream::new(1, 1, "users").next());
        assert_ne!(SourceStream::new(1, 0, "users").next(), SourceStream::new(1, 0, "user").next());
    }

    #[test]
    fn an_enumeration_visits_every_combination_once() {
        let mut script = Scripted::default();
        let mut seen = Vec::new();
        let mut total = 0.0;
        loop {
            let mut at = At { key: 0, chance: &mut script };
            let a = at.choose(Purpose::WeightedCluster, &[10, 10, 100]);
            let b = if a == 0 { at.choose(Purpose::FaultAbort, &[1, 4]) } else { 9 };
            seen.push((a, b));
            total += script.probability();
            if !script.advance() {
                break;
            }
        }
        assert_eq!(seen, vec![(0, 0), (0, 1), (2, 9)]);
        assert!((total - 1.0).abs() < 1e-12);
    }

    #[test]
    fn draws_look_uniform() {
        let mut buckets = [0u32; 16];
        for i in 0..16_000u64 {
            buckets[(mix(mix(7, i), purpose_code(Purpose::WeightedCluster)) >> 60) as usize] += 1;
        }
        let chi: f64 = buckets
            .iter()
            .map(|&n| {
                let d = f64::from(n) - 1000.0;
                d * d / 1000.0
            })
            .sum();
        assert!(chi < 45.0, "chi-square {chi}");
    }
}
