//! What outlier detection counts about one host (semantics: envoy-upstream 5.2, 5.3). When to eject: `detector.rs`.

use super::outlier::{EjectionType, UpstreamEvent};
use crate::ids::Nanos;
use crate::ir::OutlierDetection;

/// Counters of one host; a host that leaves and returns starts clean.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Monitor {
    consecutive_5xx: u32,
    consecutive_gateway: u32,
    consecutive_local: u32,
    /// Success-rate data of responses.
    pub(super) external: Rate,
    /// Success-rate data of connecting (split mode).
    pub(super) local: Rate,
    /// Multiplier of the base ejection time.
    pub(super) multiplier: u32,
    /// Only ever grows.
    pub(super) num_ejections: u32,
    pub(super) last_ejection_ns: Nanos,
    pub(super) last_unejection_ns: Option<Nanos>,
}

/// Two buckets: the running interval and the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    current: Bucket,
    previous: Bucket,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    total: u32,
    success: u32,
}

impl Rate {
    fn count(&mut self, success: bool) {
        self.current.total += 1;
        self.current.success += u32::from(success);
    }

    /// The running interval ends.
    pub(super) fn rotate(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    /// Whether neither interval has data.
    pub(super) fn is_empty(&self) -> bool {
        self.current.total == 0 && self.previous.total == 0
    }

    /// Volume and success rate (percent) of the interval that ended last, if it has data.
    pub(super) fn ended(&self) -> Option<(u32, f64)> {
        let Bucket { total, success } = self.previous;
        (total > 0).then(|| (total, 100.0 * f64::from(success) / f64::from(total)))
    }
}

/// The primitive inputs of the detector.
enum Input {
    Code(u16),
    LocalFailure,
    LocalSuccess,
}

/// Which detections an event triggers, in Envoy's order.
pub(super) type Triggers = [Option<EjectionType>; 2];

const NO_TRIGGER: Triggers = [None, None];

impl Monitor {
    /// Counts an event.
    pub(super) fn count(&mut self, event: UpstreamEvent, config: &OutlierDetection) -> Triggers {
        match input(event, config) {
            None => NO_TRIGGER,
            Some(Input::Code(code)) => self.code(code, config),
            Some(Input::LocalFailure) => {
                self.local.count(false);
                self.consecutive_local += 1;
                let hit = self.consecutive_local == config.consecutive_local_origin_failure;
                [hit.then_some(EjectionType::ConsecutiveLocalOriginFailure), None]
            }
            Some(Input::LocalSuccess) => {
                self.local.count(true);
                self.consecutive_local = 0;
                NO_TRIGGER
            }
        }
    }

    /// Envoy: DetectorHostMonitorImpl::putHttpResponseCode. A threshold of 0 is never equal.
    fn code(&mut self, code: u16, config: &OutlierDetection) -> Triggers {
        let failed = (500..=599).contains(&code);
        self.external.count(!failed);
        if !failed {
            self.consecutive_5xx = 0;
            self.consecutive_gateway = 0;
            return NO_TRIGGER;
        }
        let mut triggers = NO_TRIGGER;
        if (502..=504).contains(&code) {
            self.consecutive_gateway += 1;
            if self.consecutive_gateway == config.consecutive_gateway_failure {
                triggers[0] = Some(EjectionType::ConsecutiveGatewayFailure);
            }
        } else {
            self.consecutive_gateway = 0;
        }
        self.consecutive_5xx += 1;
        if self.consecutive_5xx == config.consecutive_5xx {
            triggers[1] = Some(EjectionType::Consecutive5xx);
        }
        triggers
    }

    /// A trigger was handled, whether or not it ejected (semantics: envoy-upstream 5.4).
    pub(super) fn restart(&mut self, by: EjectionType) {
        match by {
            EjectionType::Consecutive5xx => self.consecutive_5xx = 0,
            EjectionType::ConsecutiveGatewayFailure => self.consecutive_gateway = 0,
            EjectionType::ConsecutiveLocalOriginFailure => self.consecutive_local = 0,
            EjectionType::SuccessRate
            | EjectionType::SuccessRateLocalOrigin
            | EjectionType::FailurePercentage
            | EjectionType::FailurePercentageLocalOrigin => {}
        }
    }

    /// The host is back: consecutive counters start over, buckets and multiplier stay.
    pub(super) fn unejected(&mut self, now_ns: Nanos) {
        self.consecutive_5xx = 0;
        self.consecutive_gateway = 0;
        self.consecutive_local = 0;
        self.last_unejection_ns = Some(now_ns);
    }
}

/// The table of semantics: envoy-upstream 5.3.
fn input(event: UpstreamEvent, config: &OutlierDetection) -> Option<Input> {
    let split = config.split_external_local_origin_errors;
    let failure = |code| Some(if split { Input::LocalFailure } else { Input::Code(code) });
    match event {
        UpstreamEvent::Status(status) => Some(Input::Code(judged(status, status, config))),
        UpstreamEvent::GrpcStatus { status, grpc_status } => {
            Some(Input::Code(judged(status, http_status_of(grpc_status), config)))
        }
        UpstreamEvent::PoolReady => split.then_some(Input::LocalSuccess),
        UpstreamEvent::ConnectFailure
        | UpstreamEvent::ConnectTimeout
        | UpstreamEvent::ResetBeforeHeaders
        | UpstreamEvent::ResetAfterHeaders
        | UpstreamEvent::ProtocolError
        | UpstreamEvent::TcpConnectFailure => failure(503),
        UpstreamEvent::GlobalTimeout | UpstreamEvent::PerTryTimeout | UpstreamEvent::TcpConnectTimeout => {
            failure(504)
        }
        UpstreamEvent::TcpConnected => Some(if split { Input::LocalSuccess } else { Input::Code(200) }),
    }
}

/// `error_matcher`: a listed status is a 500, anything else a success, whatever its value.
fn judged(status: u16, code: u16, config: &OutlierDetection) -> u16 {
    match (config.error_codes.is_empty(), config.error_codes.contains(&status)) {
        (true, _) => code,
        (false, true) => 500,
        (false, false) => 200,
    }
}

/// Envoy: Grpc::Utility::grpcToHttpStatus.
fn http_status_of(grpc_status: u32) -> u16 {
    match grpc_status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        // UNKNOWN, INTERNAL, DATA_LOSS and whatever is no status.
        _ => 500,
    }
}
