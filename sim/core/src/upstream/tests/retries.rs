//! The retry matrix, the procedure and the back-off of semantics: envoy-routing 5.

use super::*;
use crate::response::ResponseFlag;

pub(super) fn policy(on: &str, num_retries: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: RetryOn::parse(on),
        retry_on_text: on.into(),
        num_retries,
        retriable_status_codes: vec![418, 429],
        per_try_timeout_ns: 0,
        base_interval_ns: 25 * MS,
        max_interval_ns: 250 * MS,
        previous_hosts: true,
        previous_priorities: 0,
        host_selection_max_attempts: 5,
        origin: OriginId::NONE,
    }
}

fn status(status: u16) -> AttemptOutcome {
    AttemptOutcome::Headers { status, grpc_status: None, rate_limited: false }
}

fn reset(reason: ResetReason, request_started: bool) -> AttemptOutcome {
    AttemptOutcome::Reset { reason, request_started }
}

const CONDITIONS: [&str; 10] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
];

fn decide(policy: &RetryPolicy, outcome: AttemptOutcome) -> RetryDecision {
    let cluster = cluster(1);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    RetryState::new(policy).decide(policy, outcome, &cluster, &mut state, &mut Counting::new(1))
}

#[test]
fn the_matrix() {
    let ratelimited = AttemptOutcome::Headers { status: 503, grpc_status: None, rate_limited: true };
    // One column per condition, in the order above.
    let table = [
        (status(500), "x........."),
        (status(501), "x........."),
        (status(502), "xx........"),
        (status(503), "xx........"),
        (status(504), "xx........"),
        (status(409), "......x..."),
        (status(404), ".........."),
        (status(418), ".......x.."),
        (status(429), ".......x.."),
        (ratelimited, ".........x"),
        (reset(ResetReason::ConnectionFailure, false), "xxxxx....."),
        (reset(ResetReason::ConnectionTimeout, false), "xxxxx....."),
        (reset(ResetReason::ConnectionTermination, true), "xxx......."),
        (reset(ResetReason::ProtocolError, true), "xxx......."),
        (AttemptOutcome::PerTryTimeout, "xxx......."),
        (reset(ResetReason::RemoteReset, true), "xxx......."),
        (reset(ResetReason::RemoteRefusedStream, true), "xxx..x...."),
        (reset(ResetReason::Overflow, false), ".........."),
    ];
    for (outcome, row) in table {
        let got: String = CONDITIONS
            .iter()
            .map(|on| match decide(&policy(on, 1), outcome) {
                RetryDecision::Retry { .. } => 'x',
                RetryDecision::NoRetry { .. } => '.',
            })
            .collect();
        assert_eq!(got, row, "{outcome:?}");
    }
}

#[test]
fn grpc_conditions_look_at_the_status_in_headers() {
    for (on, code) in [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ] {
        for grpc in 0..17 {
            let outcome =
                AttemptOutcome::Headers { status: 200, grpc_status: Some(grpc), rate_limited: false };
            let retried = matches!(decide(&policy(on, 1), outcome), RetryDecision::Retry { .. });
            assert_eq!(retried, grpc == code, "{on} {grpc}");
        }
        let refused = reset(ResetReason::ConnectionFailure, false);
        assert_eq!(decide(&policy(on, 1), refused), RetryDecision::NoRetry { flag: None });
    }
}

#[test]
fn flags_of_exhaustion() {
    let urx = RetryDecision::NoRetry { flag: Some(ResponseFlag::URX) };
    assert_eq!(decide(&policy("5xx", 0), status(503)), urx, "also on the first attempt");
    assert_eq!(decide(&policy("5xx", 0), status(200)), RetryDecision::NoRetry { flag: None });
    let mut no_retries = cluster(1);
    no_retries.breakers.max_retries = 0;
    let mut state = state_of(&no_retries, &mut Counting::new(1));
    let policy = policy("5xx", 1);
    let mut retry = RetryState::new(&policy);
    let uo = RetryDecision::NoRetry { flag: Some(ResponseFlag::UO) };
    assert_eq!(retry.decide(&policy, status(503), &no_retries, &mut state, &mut Counting::new(1)), uo);
    // The decrement is not undone.
    assert_eq!(retry.decide(&policy, status(503), &no_retries, &mut state, &mut Counting::new(1)), urx);
}

#[test]
fn a_slot_is_held_until_the_retried_attempt_is_decided() {
    let mut one_slot = cluster(1);
    one_slot.breakers.max_retries = 1;
    let mut state = state_of(&one_slot, &mut Counting::new(1));
    let mut draws = Counting::new(1);
    let policy = policy("5xx", 3);
    let (mut a, mut b) = (RetryState::new(&policy), RetryState::new(&policy));
    let mut decide = |retry: &mut RetryState, outcome, state: &mut ClusterState| {
        matches!(retry.decide(&policy, outcome, &one_slot, state, &mut draws), RetryDecision::Retry { .. })
    };
    assert!(decide(&mut a, status(503), &mut state));
    assert!(!decide(&mut b, status(503), &mut state), "the slot is taken");
    assert!(decide(&mut a, status(503), &mut state), "a gives its own slot back first");
    assert!(!decide(&mut a, status(200), &mut state));
    assert!(decide(&mut b, status(503), &mut state), "free again");
    b.finish(&mut state);
    assert_eq!(state.breakers().retries, 0);
}

/// Greatest back-off seen per retry, ms.
fn greatest(base_ms: u64, max_ms: u64) -> Vec<u64> {
    let cluster = cluster(1);
    let mut state = state_of(&cluster, &mut Counting::new(1));
    let mut draws = Counting::new(1);
    let policy =
        RetryPolicy { base_interval_ns: base_ms * MS, max_interval_ns: max_ms * MS, ..policy("5xx", 7) };
    let mut greatest = vec![0; 7];
    for _ in 0..3_000 {
        let mut retry = RetryState::new(&policy);
        for most in &mut greatest {
            let decision = retry.decide(&policy, status(503), &cluster, &mut state, &mut draws);
            let RetryDecision::Retry { backoff_ns } = decision else { panic!("{decision:?}") };
            assert_eq!(backoff_ns % MS, 0);
            *most = (*most).max(backoff_ns / MS);
        }
        retry.finish(&mut state);
    }
    greatest
}

#[test]
fn back_off_doubles_to_its_cap() {
    assert_eq!(greatest(25, 250), [24, 49, 99, 199, 249, 249, 249]);
    assert_eq!(greatest(100, 250), [99, 199, 249, 249, 249, 249, 249]);
}

#[test]
fn status_425_is_retried_at_once() {
    let policy = RetryPolicy { retriable_status_codes: vec![425], ..policy("retriable-status-codes", 1) };
    assert_eq!(decide(&policy, status(425)), RetryDecision::Retry { backoff_ns: 0 });
}
