//! `kind: Scenario`: a simulated run.

use std::collections::BTreeMap;
use std::fmt;

use mesh_config::decode::Spanned;
use mesh_config::source::Span;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::behavior::{BehaviorWords, ConnectWord, LawWords, OrderWord, ResponseWords};
use super::client::{Client, WorkloadRef};
use super::gate::GateWords;
use super::mesh::MeshWords;
use super::quantity::{Duration, Rate};
use super::request::{HeaderWords, Request};
use super::shorthand::Strict;

/// `spec:` of a scenario.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScenarioSpec {
    /// Seed of all random numbers; default 1.
    pub seed: Option<u64>,
    /// Simulated time.
    pub duration: Option<Spanned<Duration>>,
    /// Not counted at the beginning.
    pub warmup: Option<Duration>,
    /// Independent runs; default 1.
    pub replications: Option<u32>,
    /// The mesh.
    pub mesh: MeshWords,
    /// What pods do.
    pub behaviors: Vec<BehaviorWords>,
    /// Delays between machines.
    pub network: NetworkWords,
    /// Clients.
    pub traffic: Vec<TrafficWords>,
    /// Changes on the way.
    pub timeline: TimelineWords,
    /// Gates.
    pub expect: Vec<GateWords>,
}

/// `network:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkWords {
    /// One way, pod to pod.
    pub latency: Option<Duration>,
    /// TCP connection establishment.
    pub connect: Option<Duration>,
    /// TLS handshake on top.
    pub tls_handshake: Option<Duration>,
    /// Per proxy and direction.
    pub per_hop: PerHopWords,
    /// `from -> to -> latency` between localities.
    pub localities: BTreeMap<String, BTreeMap<String, Duration>>,
}

/// `network.perHop:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PerHopWords {
    /// Processing time of each proxy per direction.
    pub proxy: Option<Duration>,
}

/// One of `traffic:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Name.
    pub name: String,
    /// Who sends.
    pub from: Spanned<Client>,
    /// What is sent.
    #[serde(default)]
    pub request: Option<Request>,
    /// Arrivals per second.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How arrivals are spaced, or when they are.
    #[serde(default)]
    pub arrivals: Option<ArrivalWords>,
    /// Start of constant arrivals.
    #[serde(default)]
    pub start: Option<Duration>,
    /// Number of constant arrivals.
    #[serde(default)]
    pub count: Option<u64>,
    /// Rates over time.
    #[serde(default)]
    pub phases: Vec<PhaseWords>,
    /// Closed loop: number of users.
    #[serde(default)]
    pub users: Option<u32>,
    /// Closed loop: pause of a user.
    #[serde(default)]
    pub think_time: Option<LawWords>,
    /// Request variants.
    #[serde(default)]
    pub mix: Vec<MixWords>,
    /// The client hangs up.
    #[serde(default)]
    pub client_timeout: Option<Duration>,
    /// Broken clients.
    #[serde(default)]
    pub send: Option<SendWord>,
}

/// `arrivals:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalWords {
    /// Evenly spaced.
    Constant,
    /// Independent (default).
    Poisson,
    /// At these times.
    At(Vec<Duration>),
}

#[derive(Deserialize)]
struct AtWords {
    at: Vec<Duration>,
}

struct ArrivalVisitor;

impl<'de> Visitor<'de> for ArrivalVisitor {
    type Value = ArrivalWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`constant`, `poisson` or `{at: [0ms, 12ms]}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ArrivalWords, E> {
        match text {
            "constant" => Ok(ArrivalWords::Constant),
            "poisson" => Ok(ArrivalWords::Poisson),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ArrivalWords, A::Error> {
        Ok(ArrivalWords::At(AtWords::deserialize(Strict(map))?.at))
    }
}

impl<'de> Deserialize<'de> for ArrivalWords {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ArrivalVisitor)
    }
}

/// One of `phases:`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseWords {
    /// End of the phase.
    pub until: Duration,
    /// Constant rate.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Linear from the previous rate to this one.
    #[serde(default)]
    pub ramp_to: Option<Rate>,
}

/// One of `mix:`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MixWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Relative weight; default 1.
    pub weight: Option<u64>,
    /// Headers on top of the traffic's request.
    pub headers: HeaderWords,
    /// Another request.
    pub request: Option<Request>,
}

/// `send:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SendWord {
    /// Half of the head.
    HalfHeaders,
    /// Half of the body.
    HalfBody,
}

/// `timeline:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimelineWords {
    /// When proxies see new configuration.
    pub propagation: PropagationWords,
    /// Changes.
    pub steps: Vec<StepWords>,
}

/// `timeline.propagation:`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PropagationWords {
    /// Delay of every proxy.
    pub delay: Option<Duration>,
    /// Further delay, uniform below this, per proxy.
    pub jitter: Option<Duration>,
}

/// One of `timeline.steps:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// When.
    pub at: Duration,
    /// Manifests to apply.
    #[serde(default)]
    pub apply: Vec<String>,
    /// `Kind/namespace/name` of objects to delete.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Behaviour to change.
    #[serde(default)]
    pub set: Option<SetWords>,
    /// Pods to kill.
    #[serde(default)]
    pub kill: Option<WorkloadRef>,
    /// Replicas to change.
    #[serde(default)]
    pub scale: Option<ScaleWords>,
}

/// `set:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetWords {
    /// Whose.
    pub workload: WorkloadRef,
    /// Time to serve a request.
    #[serde(default)]
    pub service_time: Option<LawWords>,
    /// Answers.
    #[serde(default)]
    pub responses: Option<Vec<ResponseWords>>,
    /// Their order.
    #[serde(default)]
    pub response_order: Option<OrderWord>,
    /// Connection attempts.
    #[serde(default)]
    pub connect: Option<ConnectWord>,
}

/// `scale:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleWords {
    /// Whose.
    pub workload: WorkloadRef,
    /// New number of pods.
    pub replicas: u32,
}
