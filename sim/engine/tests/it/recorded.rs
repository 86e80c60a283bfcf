//! Cases of tests/conformance/dynamic rebuilt by hand: what the recordings state exactly, this must give.

use mesh_core::ir::{AbortStatus, CircuitBreakers, Fault, FaultAbort, FaultDelay, UpstreamProtocol};
use mesh_engine::plan::*;
use mesh_engine::record::{Fate, TryAction};
use mesh_engine::run;

use crate::fixture::*;

fn breakers(change: impl FnOnce(&mut CircuitBreakers)) -> CircuitBreakers {
    let mut limits = CircuitBreakers::default();
    change(&mut limits);
    limits
}

fn plain(shape: Shape) -> Shape {
    Shape { sidecar: false, ..shape }
}

fn slow(ms: u64) -> Behavior {
    Behavior { service_time: Law::Constant(ms * MS), ..Behavior::default() }
}

#[test]
fn breaker_pending_1() {
    let shape = plain(Shape {
        breakers: breakers(|b| (b.max_connections, b.max_pending_requests) = (1, 1)),
        ..Shape::default()
    });
    let times = [0, 5, 10, 15, 20, 25, 2000, 2005, 2010, 2015, 2020, 2025, 3000, 3150, 3250, 3390, 3450];
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&times))], 4000 * MS);
    p.behaviors = vec![webs(&shape, slow(200))];
    let (ok, over) = ("200 - 1 #0:1", "503 UO 1");
    let expected = [ok, ok, over, over, over, over, ok, ok, over, over, over, over, ok, ok, ok, over, ok];
    let record = run(&p);
    assert_eq!(lines(&record), expected);
    let refused = &record.requests[2];
    assert_eq!(refused.hops[0].details.as_deref(), Some("upstream_reset_before_response_started{overflow}"));
    assert_eq!(refused.hops[0].upstream_host, None);
    let response = refused.response.as_ref().expect("an answer");
    assert_eq!(response.headers.first("x-envoy-overloaded"), Some("true"));
    assert_eq!(
        response.body.as_ref(),
        "upstream connect error or disconnect/reset before headers. reset reason: overflow"
    );
}

#[test]
fn breaker_h2_max_requests() {
    let shape = plain(Shape {
        breakers: breakers(|b| b.max_requests = 2),
        protocol: UpstreamProtocol::Http2,
        ..Shape::default()
    });
    let times = [0, 50, 60, 70, 80, 320, 340, 384, 396, 1000, 1010, 1020, 1030];
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&times))], 4000 * MS);
    p.behaviors = vec![webs(&shape, slow(300))];
    let (ok, over) = ("200 - 1 #0:1", "503 UO 1");
    let record = run(&p);
    assert_eq!(lines(&record), [ok, ok, over, over, over, ok, over, ok, over, ok, ok, over, over]);
    assert!(record.requests[2].hops[0].upstream_host.is_some(), "a connection existed");
}

#[test]
fn breaker_requests_per_connection_1_and_lifo() {
    let shape = plain(Shape { max_requests: 1, ..Shape::default() });
    let times: Vec<u64> = (0..4).map(|i| i * 100).collect();
    let p = plan(world(&shape), vec![traffic(get("/", &[]), at(&times))], 1000 * MS);
    assert_eq!(lines(&run(&p)), ["200 - 1 #0:1", "200 - 1 #0:2", "200 - 1 #0:3", "200 - 1 #0:4"]);

    let shape = plain(Shape::default());
    let delays = [300, 200, 400, 100, 100, 100, 100, 100, 100, 100];
    let times = [0, 20, 41, 1000, 1200, 1400, 2000, 2010, 2020, 2030];
    let sources = times
        .iter()
        .zip(delays)
        .map(|(t, d): (&u64, u64)| {
            let name = format!("t{t}");
            let request = get("/", &[("x-echo-delay", &d.to_string())]);
            Traffic { name: name.as_str().into(), ..traffic(request, at(&[*t])) }
        })
        .collect();
    let connections: Vec<u32> = run(&plan(world(&shape), sources, 3000 * MS))
        .requests
        .iter()
        .map(|r| r.tries[0].connection)
        .collect();
    assert_eq!(connections, [1, 2, 3, 3, 3, 3, 3, 1, 2, 4]);
}

#[test]
fn breaker_max_retries_1() {
    let shape = plain(Shape {
        breakers: breakers(|b| b.max_retries = 1),
        retry: Some(retry("5xx", 2)),
        ..Shape::default()
    });
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&[0, 4, 8, 12]))], 1000 * MS);
    p.behaviors = vec![webs(&shape, Behavior { responses: vec![status(503)], ..slow(50) })];
    let record = run(&p);
    let short: Vec<&str> =
        record.requests.iter().map(|r| r.hops[0].details.as_deref().unwrap_or("-")).collect();
    assert_eq!(short, ["via_upstream"; 4]);
    let flags: Vec<(String, u32)> =
        record.requests.iter().map(|r| (r.hops[0].flags.text(), r.hops[0].attempts)).collect();
    assert_eq!(flags, [("URX".into(), 3), ("UO".into(), 1), ("UO".into(), 1), ("UO".into(), 1)]);
}

#[test]
fn breaker_connect_timeout_and_retry() {
    let shape = plain(Shape { webs: 2, retry: Some(default_retry()), ..Shape::default() });
    let mut world = world(&shape);
    let mut client = client_snapshot(&shape);
    client.clusters[0].connect_timeout_ns = 300 * MS;
    world.proxies[0].configuration = mesh_engine::world::Configuration::ready(std::sync::Arc::new(client));
    let mut p = plan(world, vec![traffic(get("/", &[]), at(&[0, 400, 800, 1200, 1600]))], 4000 * MS);
    let mut dropping = webs(&shape, Behavior { connect: ConnectMode::Drop, ..Behavior::default() });
    dropping.pods.remove(0);
    p.behaviors = vec![dropping];
    let record = run(&p);
    assert!(
        record.requests.iter().all(|r| r.workload.as_deref() == Some("default/web#0")),
        "{:?}",
        lines(&record)
    );
    let late = record.requests.iter().filter(|r| r.hops[0].attempts == 2).collect::<Vec<_>>();
    assert!(!late.is_empty());
    for r in late {
        let took = (r.end_ns - r.start_ns) / MS;
        assert!((300..330).contains(&took), "{took} ms");
    }
}

#[test]
fn retry_default_policy() {
    let shape = plain(Shape { webs: 2, retry: Some(default_retry()), ..Shape::default() });
    let set = |replies: Vec<Reply>, connect: ConnectMode| Change::Behavior {
        pods: vec!["default/web#0".into(), "default/web#1".into()],
        service_time: None,
        responses: Some(replies),
        order: None,
        connect: Some(connect),
    };
    let action = |action| vec![Reply { action, ..Reply::default() }];
    let mut p = plan(
        world(&shape),
        vec![traffic(get("/", &[]), at(&[100, 1100, 2100, 3100, 4100, 5200]))],
        6000 * MS,
    );
    p.behaviors = vec![webs(&shape, Behavior { responses: vec![status(503)], ..Behavior::default() })];
    p.changes = vec![
        (997 * MS, set(action(ReplyAction::Reset), ConnectMode::Accept)),
        (1997 * MS, set(action(ReplyAction::Close), ConnectMode::Accept)),
        (2997 * MS, set(action(ReplyAction::Echo), ConnectMode::Refuse)),
        (3997 * MS, set(action(ReplyAction::Truncate), ConnectMode::Accept)),
        (4997 * MS, set(action(ReplyAction::Echo), ConnectMode::Accept)),
    ];
    let record = run(&p);
    let got: Vec<(Option<u16>, Fate, String, u32)> = record
        .requests
        .iter()
        .map(|r| (r.status(), r.fate, r.hops[0].flags.text(), r.hops[0].attempts))
        .collect();
    let row = |s: u16, f: Fate, flags: &str, n: u32| (Some(s), f, flags.to_owned(), n);
    assert_eq!(
        got,
        [
            row(503, Fate::Ok, "-", 1),
            row(503, Fate::Ok, "UC", 1),
            row(503, Fate::Ok, "UC", 1),
            row(503, Fate::Ok, "URX,UF", 3),
            row(200, Fate::Closed, "UPE", 1),
            row(200, Fate::Ok, "-", 1),
        ]
    );
    let details = |i: usize| record.requests[i].hops[0].details.clone().unwrap_or_default();
    assert_eq!(details(1).as_ref(), "upstream_reset_before_response_started{connection_termination}");
    assert_eq!(
        details(3).as_ref(),
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
    );
    assert_eq!(details(4).as_ref(), "upstream_reset_after_response_started{protocol_error}");
    let took = (record.requests[4].end_ns - record.requests[4].start_ns) / MS;
    assert!((1015..1035).contains(&took), "the connection closes a second late: {took} ms");
}

#[test]
fn retries_burn_connections_when_there_is_a_body() {
    let shape = plain(Shape { retry: Some(retry("5xx", 2)), ..Shape::default() });
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&[0, 500]))], 1000 * MS);
    p.behaviors = vec![webs(&shape, Behavior { responses: vec![status(503)], ..Behavior::default() })];
    assert_eq!(lines(&run(&p)), ["503 URX 3 #0:1 #0:2 #0:3", "503 URX 3 #0:3 #0:4 #0:5"]);
}

#[test]
fn timeouts() {
    let policy = RetryPolicyWith { on: "5xx", attempts: 3, per_try_ms: 200 };
    let shape = plain(Shape { timeout_ns: 500 * MS, retry: Some(policy.build()), ..Shape::default() });
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&[0]))], 1000 * MS);
    p.behaviors = vec![webs(&shape, slow(700))];
    let record = run(&p);
    let r = &record.requests[0];
    assert_eq!((r.status(), r.hops[0].flags.text().as_str()), (Some(504), "UT"));
    assert_eq!(r.hops[0].details.as_deref(), Some("response_timeout"));
    assert_eq!((r.end_ns - r.start_ns) / MS, 500);
    let expected: Vec<Option<&str>> =
        r.tries.iter().map(|t| t.header("x-envoy-expected-rq-timeout-ms")).collect();
    assert_eq!(&expected[..2], &[Some("200"), Some("200")]);
    assert!(r.tries.iter().all(|t| t.action == TryAction::Gone), "{:?}", r.tries);

    // Per-try alone: URX,UT after the last try.
    let shape = plain(Shape { retry: Some(policy.build()), ..Shape::default() });
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&[0]))], 1000 * MS);
    p.behaviors = vec![webs(&shape, slow(700))];
    let record = run(&p);
    assert_eq!(record.requests[0].hops[0].flags.text(), "URX,UT");
    assert_eq!(record.requests[0].hops[0].details.as_deref(), Some("upstream_per_try_timeout"));
    assert_eq!(record.requests[0].hops[0].attempts, 4);
}

struct RetryPolicyWith {
    on: &'static str,
    attempts: u32,
    per_try_ms: u64,
}

impl RetryPolicyWith {
    fn build(&self) -> mesh_core::ir::RetryPolicy {
        mesh_core::ir::RetryPolicy {
            per_try_timeout_ns: self.per_try_ms * MS,
            ..retry(self.on, self.attempts)
        }
    }
}

#[test]
fn fault_delay_and_abort() {
    let fault = Fault {
        delay: Some(FaultDelay { fixed_delay_ns: 300 * MS, per_million: 1_000_000 }),
        abort: Some(FaultAbort { status: AbortStatus::Http(503), per_million: 1_000_000 }),
        origin: mesh_core::OriginId::NONE,
    };
    let shape = plain(Shape { fault: Some(fault.clone()), retry: Some(retry("5xx", 3)), ..Shape::default() });
    let record = run(&plan(world(&shape), vec![traffic(get("/", &[]), at(&[0]))], 1000 * MS));
    let r = &record.requests[0];
    assert_eq!(lines(&record), ["503 DI,FI 0"]);
    assert_eq!((r.end_ns - r.start_ns) / MS, 300);
    // The delay is spent before the route timeout starts.
    let delay = Fault { abort: None, ..fault };
    let shape = plain(Shape { fault: Some(delay), timeout_ns: 200 * MS, ..Shape::default() });
    let mut p = plan(world(&shape), vec![traffic(get("/", &[]), at(&[0]))], 1000 * MS);
    p.behaviors = vec![webs(&shape, slow(250))];
    let record = run(&p);
    assert_eq!(lines(&record), ["504 DI,UT 1 #0:1"]);
    assert_eq!((record.requests[0].end_ns - record.requests[0].start_ns) / MS, 500);
}

#[test]
fn client_abort_and_half_requests() {
    let shape = plain(Shape::default());
    let hasty = |name: &str, send, times: &[u64], ms: u64| Traffic {
        name: name.into(),
        client_timeout_ns: Some(ms * MS),
        impatient: Fate::ClientClosed,
        send,
        ..traffic(get("/", &[]), at(times))
    };
    let sources = vec![
        hasty("whole", SendMode::Whole, &[0, 500], 100),
        hasty("head", SendMode::HalfHeaders, &[1000], 300),
        hasty("body", SendMode::HalfBody, &[2000], 300),
        Traffic { name: "patient".into(), ..traffic(get("/", &[]), at(&[3000])) },
    ];
    let mut p = plan(world(&shape), sources, 4000 * MS);
    p.behaviors = vec![webs(&shape, slow(400))];
    let record = run(&p);
    assert_eq!(
        lines(&record),
        [
            "ClientClosed DC 1 #0:1",
            "ClientClosed DC 1 #0:2",
            "ClientClosed  0",
            "ClientClosed DC 1",
            "200 - 1 #0:4"
        ]
    );
    assert_eq!(record.requests[0].hops[0].code, Some(0));
    assert!(record.requests[2].hops.is_empty(), "half a head is no request");
}
