//! Fault injection (semantics: envoy-routing 6).

use crate::cx::{Draws, Purpose, Step, TraceSink};
use crate::ids::Nanos;
use crate::ir::{AbortStatus, Fault};
use crate::response::{LocalReply, ResponseFlag};

/// Draws delay and abort of a request: the delay, ns, and the reply that ends the request after it.
pub(super) fn inject<D: Draws, S: TraceSink>(
    fault: &Fault,
    draws: &mut D,
    trace: &mut S,
) -> (Nanos, Option<LocalReply>) {
    let delay_ns = fault
        .delay
        .filter(|delay| delay.fixed_delay_ns > 0 && draws.happens(Purpose::FaultDelay, delay.per_million))
        .map_or(0, |delay| delay.fixed_delay_ns);
    let abort = fault.abort.filter(|abort| draws.happens(Purpose::FaultAbort, abort.per_million));
    trace.step(|| {
        let words = match (delay_ns, abort.is_some()) {
            (0, false) => "passes".to_owned(),
            (0, true) => "aborts".to_owned(),
            (ns, false) => format!("delays by {} ms", ns / 1_000_000),
            (ns, true) => format!("delays by {} ms, then aborts", ns / 1_000_000),
        };
        Step::Filter("fault".into(), words.into(), fault.origin)
    });
    let reply = abort.map(|abort| {
        let (status, grpc_status) = match abort.status {
            AbortStatus::Http(status) => (status, None),
            AbortStatus::Grpc(code) => (200, Some(code)),
        };
        let body = "fault filter abort";
        let flag = Some(ResponseFlag::FI);
        let mut reply = LocalReply::new(status, "fault_filter_abort", body, flag, fault.origin);
        reply.grpc_status = grpc_status;
        reply
    });
    (delay_ns, reply)
}
