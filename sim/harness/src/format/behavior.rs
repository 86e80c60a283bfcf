//! What pods do (`behaviors:`): service times, queues, answers, calls.

use std::fmt;

use mesh_config::source::Span;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::client::WorkloadRef;
use super::quantity::{Duration, Percent};
use super::request::{HeaderWords, Request};
use super::shorthand::Strict;

/// One entry of `behaviors:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BehaviorWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Whose; `internet` is the world outside.
    pub workload: WorkloadRef,
    /// Time to serve a request.
    #[serde(default)]
    pub service_time: Option<LawWords>,
    /// Requests served at once per pod.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Requests waiting beyond that.
    #[serde(default)]
    pub queue: Option<u32>,
    /// Possible answers.
    #[serde(default)]
    pub responses: Option<Vec<ResponseWords>>,
    /// How one of several is chosen.
    #[serde(default)]
    pub response_order: Option<OrderWord>,
    /// Connection attempts.
    #[serde(default)]
    pub connect: Option<ConnectWord>,
    /// Calls made while serving.
    #[serde(default)]
    pub calls: Vec<CallStep>,
    /// Headers copied to the calls.
    #[serde(default)]
    pub propagate_headers: Vec<String>,
}

/// A law of durations.
#[derive(Debug, Clone, PartialEq)]
pub enum LawWords {
    /// `5ms`
    Constant(Duration),
    /// `{exponential: 5ms}`
    Exponential(Duration),
    /// `{uniform: [1ms, 9ms]}`
    Uniform(Duration, Duration),
    /// `{lognormal: {p50: 5ms, p99: 40ms}}`
    LogNormal {
        /// Median.
        p50: Duration,
        /// 99th percentile.
        p99: Duration,
    },
    /// `{empirical: [1ms, 2ms]}`
    Empirical(Vec<Duration>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LawMapping {
    constant: Option<Duration>,
    exponential: Option<Duration>,
    uniform: Option<Vec<Duration>>,
    lognormal: Option<LogNormalWords>,
    empirical: Option<Vec<Duration>>,
}

#[derive(Deserialize)]
struct LogNormalWords {
    p50: Duration,
    p99: Duration,
}

impl LawMapping {
    fn resolve(self) -> Result<LawWords, &'static str> {
        match self {
            LawMapping {
                constant: Some(d),
                exponential: None,
                uniform: None,
                lognormal: None,
                empirical: None,
            } => Ok(LawWords::Constant(d)),
            LawMapping {
                constant: None,
                exponential: Some(d),
                uniform: None,
                lognormal: None,
                empirical: None,
            } => Ok(LawWords::Exponential(d)),
            LawMapping {
                constant: None,
                exponential: None,
                uniform: Some(u),
                lognormal: None,
                empirical: None,
            } => match u[..] {
                [low, high] if low <= high => Ok(LawWords::Uniform(low, high)),
                _ => Err("`uniform` takes two durations, the smaller first"),
            },
            LawMapping {
                constant: None,
                exponential: None,
                uniform: None,
                lognormal: Some(l),
                empirical: None,
            } => {
                if l.p50.0 == 0 || l.p99 < l.p50 {
                    return Err("`lognormal` needs 0 < p50 <= p99");
                }
                Ok(LawWords::LogNormal { p50: l.p50, p99: l.p99 })
            }
            LawMapping {
                constant: None,
                exponential: None,
                uniform: None,
                lognormal: None,
                empirical: Some(e),
            } => {
                if e.is_empty() {
                    Err("`empirical` needs at least one duration")
                } else {
                    Ok(LawWords::Empirical(e))
                }
            }
            _ => Err("one of `exponential`, `uniform`, `lognormal`, `empirical`, or a duration"),
        }
    }
}

struct LawVisitor;

impl<'de> Visitor<'de> for LawVisitor {
    type Value = LawWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration, or `{exponential|uniform|lognormal|empirical: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<LawWords, E> {
        Duration::parse(text)
            .map(LawWords::Constant)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<LawWords, E> {
        if n == 0 {
            return Ok(LawWords::Constant(Duration(0)));
        }
        Err(E::invalid_value(de::Unexpected::Unsigned(n), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LawWords, A::Error> {
        LawMapping::deserialize(Strict(map))?.resolve().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for LawWords {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(LawVisitor)
    }
}

/// One of `responses:`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Status.
    pub status: Option<u16>,
    /// Share among the answers.
    pub percent: Option<Percent>,
    /// RST of the connection, or `stream` for RST_STREAM.
    pub reset: Option<ResetWord>,
    /// With `reset: stream`: REFUSED_STREAM.
    pub refused: bool,
    /// FIN instead of an answer.
    pub close: bool,
    /// No answer ever.
    pub hang: bool,
    /// Headers and some body, then RST.
    pub truncate: bool,
    /// gRPC status.
    pub grpc_status: Option<u32>,
    /// Response headers.
    pub headers: HeaderWords,
    /// Body size.
    pub body_bytes: Option<u64>,
    /// Body text.
    pub body: Option<String>,
    /// Replaces the behavior's service time.
    pub service_time: Option<LawWords>,
}

/// `reset: true` or `reset: stream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetWord {
    /// `false`
    No,
    /// The connection.
    Connection,
    /// The HTTP/2 stream.
    Stream,
}

struct ResetVisitor;

impl Visitor<'_> for ResetVisitor {
    type Value = ResetWord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` or `stream`")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<ResetWord, E> {
        Ok(if on { ResetWord::Connection } else { ResetWord::No })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ResetWord, E> {
        match text {
            "stream" => Ok(ResetWord::Stream),
            "connection" => Ok(ResetWord::Connection),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for ResetWord {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ResetVisitor)
    }
}

/// `responseOrder:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderWord {
    /// In turn.
    Cycle,
    /// By percent (default).
    Weighted,
}

/// `connect:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectWord {
    /// The port is open.
    Accept,
    /// It is closed.
    Refuse,
    /// SYNs are lost.
    Drop,
}

/// One step of `calls:`: a call, or several in parallel.
#[derive(Debug, Clone)]
pub struct CallStep(pub Vec<CallWords>);

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallWords {
    /// What is sent.
    pub request: Request,
    /// The application gives up after this.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// What a failure does to the caller's answer.
    #[serde(default)]
    pub on_error: Option<OnErrorWord>,
    /// The application itself repeats a failed or timed-out call this often.
    #[serde(default)]
    pub retries: u32,
}

/// `onError:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnErrorWord {
    /// The caller fails too (default).
    Fail,
    /// It answers nevertheless.
    Ignore,
}

struct CallVisitor;

impl<'de> Visitor<'de> for CallVisitor {
    type Value = CallStep;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call `{request: …}`, or a list of calls made in parallel")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CallStep, A::Error> {
        Ok(CallStep(vec![CallWords::deserialize(Strict(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CallStep, A::Error> {
        let mut calls = Vec::new();
        while let Some(call) = seq.next_element()? {
            calls.push(call);
        }
        Ok(CallStep(calls))
    }
}

impl<'de> Deserialize<'de> for CallStep {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(CallVisitor)
    }
}
