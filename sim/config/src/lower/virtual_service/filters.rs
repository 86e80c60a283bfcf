//! Per-route filter configuration: faults and CORS (istiod: `TranslateFault`, `TranslateCORSPolicy`; semantics:
//! istio-networking 3.8).

use mesh_core::ids::Taint;
use mesh_core::ir::{AbortStatus, Cors, Fault, FaultAbort, FaultDelay, StringMatch, StringPattern};

use super::matcher::Strings;
use super::retry::nanos;
use crate::lower::Tools;
use crate::resource::http_route::{CorsPolicy, HttpFaultInjection, UnmatchedPreflights};
use crate::resource::scalar::Percent;

/// Parts per million, as istiod computes them.
pub(super) fn per_million(percent: Percent) -> u32 {
    // Go: uint32(p.Value * 10000); a Rust cast truncates and saturates likewise.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "istiod truncates")]
    let parts = (percent.value * 10_000.0) as u32;
    parts
}

/// The fault of a route; absent percentages inject nothing.
pub(super) fn fault(tools: &Tools, written: &HttpFaultInjection, taints: &mut Vec<Taint>) -> Option<Fault> {
    let delay = written.delay.as_ref().and_then(|delay| {
        let per_million = delay
            .percentage
            .map_or_else(|| u32::try_from(delay.percent).unwrap_or(0).saturating_mul(10_000), per_million);
        // Exponential delays are not implemented by istiod: the delay is dropped.
        Some(FaultDelay { fixed_delay_ns: nanos(delay.fixed_delay?), per_million })
    });
    let abort = written.abort.as_ref().and_then(|abort| {
        let status = match (abort.http_status, abort.grpc_status.as_deref()) {
            (Some(http), _) => AbortStatus::Http(u16::try_from(http).unwrap_or(0)),
            (None, Some(grpc)) => AbortStatus::Grpc(grpc_code(grpc)?),
            (None, None) => return None,
        };
        if status == AbortStatus::Http(0) {
            taints.push(tools.origins.taint("an abort status out of range", abort.origin));
        }
        Some(FaultAbort { status, per_million: abort.percentage.map_or(0, per_million) })
    });
    (delay.is_some() || abort.is_some()).then(|| Fault {
        delay,
        abort,
        origin: tools.origins.id(written.origin),
    })
}

/// gRPC codes by name.
fn grpc_code(name: &str) -> Option<u32> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.iter().position(|known| *known == name).and_then(|code| u32::try_from(code).ok())
}

/// The CORS policy of a route.
pub(super) fn cors(tools: &Tools, written: &CorsPolicy, taints: &mut Vec<Taint>) -> Cors {
    let strings = &mut Strings { tools, taints };
    let allow_origins = if written.allow_origins.is_empty() {
        written
            .allow_origin
            .iter()
            .map(|origin| StringMatch::new(StringPattern::Exact(origin.as_str().into())))
            .collect()
    } else {
        written.allow_origins.iter().filter_map(|m| strings.pattern(m)).map(StringMatch::new).collect()
    };
    Cors {
        allow_origins,
        allow_methods: written.allow_methods.join(",").into(),
        allow_headers: written.allow_headers.join(",").into(),
        expose_headers: written.expose_headers.join(",").into(),
        max_age: written.max_age.map_or_else(String::new, |age| (age.ns / 1_000_000_000).to_string()).into(),
        allow_credentials: written.allow_credentials,
        forward_not_matching_preflights: written.unmatched_preflights != UnmatchedPreflights::Ignore,
        origin: tools.origins.id(written.origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::http_route::{FaultAbort as WrittenAbort, FaultDelay as WrittenDelay};
    use crate::resource::scalar::Duration;

    #[test]
    fn without_percentage_nothing_is_injected() {
        let written = HttpFaultInjection {
            delay: Some(WrittenDelay {
                fixed_delay: Some(Duration::from_secs(1)),
                ..WrittenDelay::default()
            }),
            abort: Some(WrittenAbort {
                grpc_status: Some("UNAVAILABLE".into()),
                percentage: Some(Percent { value: 12.5 }),
                ..WrittenAbort::default()
            }),
            ..HttpFaultInjection::default()
        };
        let fault = fault(&Tools::default(), &written, &mut Vec::new()).unwrap();
        assert_eq!(fault.delay.unwrap().per_million, 0);
        assert_eq!(fault.abort.unwrap(), FaultAbort { status: AbortStatus::Grpc(14), per_million: 125_000 });
    }

    #[test]
    fn an_abort_without_status_is_dropped() {
        let written =
            HttpFaultInjection { abort: Some(WrittenAbort::default()), ..HttpFaultInjection::default() };
        assert_eq!(fault(&Tools::default(), &written, &mut Vec::new()), None);
    }
}
