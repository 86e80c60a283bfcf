//! Answers of a proxy itself, response flags and details (semantics: envoy-routing 7, 8).

use crate::ids::{OriginId, Str};

/// Envoy's response flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResponseFlag {
    /// FailedLocalHealthCheck
    LH,
    /// NoHealthyUpstream
    UH,
    /// UpstreamRequestTimeout
    UT,
    /// LocalReset
    LR,
    /// UpstreamRemoteReset
    UR,
    /// UpstreamConnectionFailure
    UF,
    /// UpstreamConnectionTermination
    UC,
    /// UpstreamOverflow
    UO,
    /// NoRouteFound
    NR,
    /// DelayInjected
    DI,
    /// FaultInjected
    FI,
    /// RateLimited
    RL,
    /// UnauthorizedExternalService
    UAEX,
    /// DownstreamConnectionTermination
    DC,
    /// UpstreamRetryLimitExceeded
    URX,
    /// StreamIdleTimeout
    SI,
    /// InvalidEnvoyRequestHeaders
    IH,
    /// DownstreamProtocolError
    DPE,
    /// UpstreamMaxStreamDurationReached
    UMSDR,
    /// DurationTimeout
    DT,
    /// UpstreamProtocolError
    UPE,
    /// NoClusterFound
    NC,
    /// DnsResolutionFailed
    DF,
    /// DownstreamRemoteReset
    DR,
}

impl ResponseFlag {
    /// The short name of the access log.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::LH => "LH",
            Self::UH => "UH",
            Self::UT => "UT",
            Self::LR => "LR",
            Self::UR => "UR",
            Self::UF => "UF",
            Self::UC => "UC",
            Self::UO => "UO",
            Self::NR => "NR",
            Self::DI => "DI",
            Self::FI => "FI",
            Self::RL => "RL",
            Self::UAEX => "UAEX",
            Self::DC => "DC",
            Self::URX => "URX",
            Self::SI => "SI",
            Self::IH => "IH",
            Self::DPE => "DPE",
            Self::UMSDR => "UMSDR",
            Self::DT => "DT",
            Self::UPE => "UPE",
            Self::NC => "NC",
            Self::DF => "DF",
            Self::DR => "DR",
        }
    }
}

/// Flags in the order they were set, without duplicates (semantics: envoy-routing 7.1). At most eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flags {
    set: [Option<ResponseFlag>; 8],
}

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags { set: [None; 8] };

    /// One flag.
    #[must_use]
    pub fn one(flag: ResponseFlag) -> Flags {
        let mut flags = Flags::NONE;
        flags.insert(flag);
        flags
    }

    /// Appends unless present.
    pub fn insert(&mut self, flag: ResponseFlag) {
        for slot in &mut self.set {
            match slot {
                Some(f) if *f == flag => return,
                None => {
                    *slot = Some(flag);
                    return;
                }
                Some(_) => {}
            }
        }
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn has(&self, flag: ResponseFlag) -> bool {
        self.set.contains(&Some(flag))
    }

    /// Flags in order.
    pub fn iter(&self) -> impl Iterator<Item = ResponseFlag> + '_ {
        self.set.iter().flatten().copied()
    }

    /// `URX,UF`, or `-`.
    #[must_use]
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.iter().map(ResponseFlag::short).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(",") }
    }
}

/// Who makes a local reply, which decides what becomes of it on its way out. Envoy: source/common/http/filter_manager.cc,
/// `sendLocalReply`; source/common/http/utility.cc, `prepareLocalReply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyBy {
    /// A filter, the router or the connection manager: response headers of the matched route are applied, gRPC requests
    /// get a gRPC answer.
    #[default]
    Filter,
    /// The codec, which refuses a head before anybody has seen it: never gRPC, no route.
    Codec,
    /// A filter that encodes its answer itself (CORS preflights): as it stands.
    Itself,
}

/// An answer made by the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status (before the gRPC mapping of semantics: envoy-routing 8.3).
    pub status: u16,
    /// gRPC status to use for gRPC requests instead of the mapped one.
    pub grpc_status: Option<u32>,
    /// Flag set by this reply.
    pub flag: Option<ResponseFlag>,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: Str,
    /// Body; empty = none.
    pub body: Str,
    /// Further headers (`location`, `www-authenticate`, CORS …).
    pub headers: Vec<(Str, Str)>,
    /// The connection is closed after the reply (codec errors).
    pub close: bool,
    /// Who sends it.
    pub by: ReplyBy,
    /// The YAML that caused it.
    pub origin: OriginId,
}

impl LocalReply {
    /// A plain reply.
    #[must_use]
    pub fn new(status: u16, details: &str, body: &str, flag: Option<ResponseFlag>, origin: OriginId) -> Self {
        LocalReply {
            status,
            grpc_status: None,
            flag,
            details: details.into(),
            body: body.into(),
            headers: Vec::new(),
            close: false,
            by: ReplyBy::Filter,
            origin,
        }
    }
}
