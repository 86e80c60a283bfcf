//! The vocabulary of outlier detection: what callers report, what they hear back (semantics: envoy-upstream 5.3, 9).

use crate::ids::{HostId, Nanos};

/// What happened to one attempt at a host, in the words of the table in semantics: envoy-upstream 5.3. Retried
/// attempts count too; overflow, no host, timeouts while pending and cancelled clients are no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// Response headers with this HTTP status.
    Status(u16),
    /// A gRPC request was answered with `grpc-status` in the response *headers* (trailers-only reply).
    GrpcStatus {
        /// `:status`
        status: u16,
        /// `grpc-status`
        grpc_status: u32,
    },
    /// A stream was obtained from the pool. Precedes the outcome of every attempt that reaches a connection.
    PoolReady,
    /// Connection refused or reset while connecting; one event per pending request of the pool.
    ConnectFailure,
    /// TCP or TLS connect timeout; one event per pending request of the pool.
    ConnectTimeout,
    /// Closed or reset before response headers, HTTP/2 stream resets included.
    ResetBeforeHeaders,
    /// Closed or reset after response headers.
    ResetAfterHeaders,
    /// Unparsable response before headers.
    ProtocolError,
    /// Route timeout before headers, after a connection was obtained.
    GlobalTimeout,
    /// Per-try timeout.
    PerTryTimeout,
    /// TCP proxy: connected.
    TcpConnected,
    /// TCP proxy: refused.
    TcpConnectFailure,
    /// TCP proxy: connect timeout.
    TcpConnectTimeout,
}

/// Which detection ejected a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EjectionType {
    /// CONSECUTIVE_5XX
    Consecutive5xx,
    /// CONSECUTIVE_GATEWAY_FAILURE
    ConsecutiveGatewayFailure,
    /// CONSECUTIVE_LOCAL_ORIGIN_FAILURE
    ConsecutiveLocalOriginFailure,
    /// SUCCESS_RATE
    SuccessRate,
    /// SUCCESS_RATE_LOCAL_ORIGIN
    SuccessRateLocalOrigin,
    /// FAILURE_PERCENTAGE
    FailurePercentage,
    /// FAILURE_PERCENTAGE_LOCAL_ORIGIN
    FailurePercentageLocalOrigin,
}

impl EjectionType {
    /// As in Envoy's event log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            EjectionType::Consecutive5xx => "CONSECUTIVE_5XX",
            EjectionType::ConsecutiveGatewayFailure => "CONSECUTIVE_GATEWAY_FAILURE",
            EjectionType::ConsecutiveLocalOriginFailure => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
            EjectionType::SuccessRate => "SUCCESS_RATE",
            EjectionType::SuccessRateLocalOrigin => "SUCCESS_RATE_LOCAL_ORIGIN",
            EjectionType::FailurePercentage => "FAILURE_PERCENTAGE",
            EjectionType::FailurePercentageLocalOrigin => "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
        }
    }
}

/// Something the detector did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierEvent {
    /// When.
    pub at_ns: Nanos,
    /// To which host.
    pub host: HostId,
    /// What.
    pub kind: OutlierEventKind,
    /// When balancers see it: `at_ns`, or later under the update merge window (an endpoint change may take it along
    /// earlier). Equal to `at_ns` for detections that eject nothing.
    pub visible_at_ns: Nanos,
}

/// What the detector did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlierEventKind {
    /// The host is ejected: drain its pools now (semantics: envoy-upstream 7.6).
    Eject {
        /// By which detection.
        by: EjectionType,
        /// Ejections of this host so far, this one included.
        num_ejections: u32,
        /// The ejection-time multiplier in force.
        multiplier: u32,
    },
    /// Detected, but `max_ejection_percent` forbids it.
    Overflow(EjectionType),
    /// Detected, but the enforcing draw said no.
    NotEnforced(EjectionType),
    /// The host is back.
    Uneject,
}
