//! What a decision takes from outside: time, draws, tokens, and where it leaves its trace.

use crate::ids::{Nanos, OriginId, Str};
use crate::response::LocalReply;

/// What a random number is for (semantics: envoy-routing 0.2). Callers key their generator by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// R1: the stream's random: weighted clusters.
    WeightedCluster,
    /// R1 as seen by mirror policy `i`.
    Mirror(u16),
    /// R3
    FaultDelay,
    /// R4
    FaultAbort,
    /// R5: priority and host of one pick (`attempt`, `n`-th draw of the pick).
    Endpoint {
        /// Attempt number from 1.
        attempt: u16,
        /// Draw within the attempt.
        n: u16,
    },
    /// R6: back-off before retry `n`.
    Backoff(u16),
    /// Outlier detection enforcing draw.
    Enforcing,
    /// Start values of balancers.
    LbSeed,
    /// Weighted cluster of a TCP proxy.
    TcpWeightedCluster,
    /// Anything the caller keys itself (service times, response mix).
    Other(u32),
}

/// A source of uniformly distributed `u64`.
pub trait Draws {
    /// The random number for this purpose.
    fn draw(&mut self, purpose: Purpose) -> u64;

    /// Which of the intervals `[0,ends[0])`, `[ends[0],ends[1])` … `draw % ends.last()` falls into. `ends` is
    /// non-decreasing with a positive last element. Enumerating sources override this to visit every interval once
    /// with its exact probability; the default is Envoy's arithmetic.
    fn choose(&mut self, purpose: Purpose, ends: &[u64]) -> usize {
        let total = ends.last().copied().unwrap_or(1).max(1);
        let x = self.draw(purpose) % total;
        ends.iter().position(|&end| x < end).unwrap_or(0)
    }

    /// Whether this source enumerates outcomes instead of drawing one. Balancers with a memory (rotations, schedules)
    /// then `choose` from their stationary distribution, so that every host is visited with its exact share.
    fn enumerates(&self) -> bool {
        false
    }

    /// True with probability `per_million / 1_000_000` (Envoy: `random % 1000000 < numerator`).
    fn happens(&mut self, purpose: Purpose, per_million: u32) -> bool {
        if per_million == 0 {
            return false;
        }
        if per_million >= 1_000_000 {
            return true;
        }
        self.choose(purpose, &[u64::from(per_million), 1_000_000]) == 0
    }
}

/// How a token was judged.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenStatus {
    /// The signature verifies with a key of the set.
    Verified,
    /// `Jwt verification fails`
    VerificationFails,
    /// `Jwks doesn't have key to match kid or alg from Jwt`
    NoMatchingKey,
    /// Not decidable here (remote keys without a local copy).
    Unknown,
}

/// A claim value.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// JSON null.
    Null,
    /// JSON boolean.
    Bool(bool),
    /// Integer.
    Integer(i64),
    /// Other number.
    Float(f64),
    /// Text.
    String(Str),
    /// List.
    List(Vec<Claim>),
    /// Object, keys in document order.
    Object(Vec<(Str, Claim)>),
}

/// A syntactically valid token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Payload, an object.
    pub payload: Claim,
    /// Payload as it travels (base64url), for `forward_payload_header`.
    pub payload_base64: Str,
}

/// Reads and checks JWTs; lives outside the core because it needs JSON and cryptography.
pub trait Tokens {
    /// Decodes a token, or says why not in Envoy's words (`Jwt is not in the form of …`).
    fn decode(&self, token: &str) -> Result<Token, Str>;
    /// Checks the signature against a JWKS document.
    fn verify(&self, token: &str, jwks: &str) -> TokenStatus;
    /// Seconds since the Unix epoch that `exp` and `nbf` are compared with.
    fn now_unix(&self) -> i64;
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A listener was chosen (name) or none was.
    Listener(Option<Str>, OriginId),
    /// A filter chain was chosen (name; empty if unnamed).
    FilterChain(Str, OriginId),
    /// A filter chain did not match, and why.
    FilterChainMiss(Str, Str),
    /// TLS handshake result in words.
    Tls(Str),
    /// A virtual host was chosen, by which domain.
    VirtualHost(Str, Str, OriginId),
    /// A route was looked at and did not match, and why.
    RouteMiss(Str, Str, OriginId),
    /// A route matched.
    Route(Str, OriginId),
    /// A filter let the request pass or decided (filter, verdict, policy).
    Filter(Str, Str, OriginId),
    /// A cluster was chosen (name; roll, total when weighted).
    Cluster(Str, Option<(u64, u64)>, OriginId),
    /// A host was chosen (address, why).
    Host(Str, Str, OriginId),
    /// The proxy answers itself.
    Reply(LocalReply),
    /// Something not modelled was passed.
    Taint(Str, OriginId),
    /// Free text for hops between proxies.
    Note(Str),
}

/// Receives the steps of a decision.
pub trait TraceSink {
    /// False lets the core skip building steps.
    const ENABLED: bool;
    /// Takes one step.
    fn step(&mut self, step: impl FnOnce() -> Step);
    /// The steps that come belong to this simulated time, and to the one request that is `followed` or to another.
    /// Sinks that hear of one request only need not know.
    fn turn(&mut self, _now_ns: Nanos, _followed: bool) {}
}

/// No trace.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl TraceSink for NoTrace {
    const ENABLED: bool = false;
    fn step(&mut self, _step: impl FnOnce() -> Step) {}
}

impl TraceSink for Vec<Step> {
    const ENABLED: bool = true;
    fn step(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

/// The surroundings of one decision.
pub struct Cx<'a, D, S> {
    /// Simulated time, ns.
    pub now_ns: Nanos,
    /// Random numbers.
    pub draws: &'a mut D,
    /// Explanation.
    pub trace: &'a mut S,
    /// Token reader.
    pub tokens: &'a dyn Tokens,
}
