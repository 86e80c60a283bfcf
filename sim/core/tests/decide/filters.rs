//! Faults, CORS, RBAC at their place in the order: envoy-routing 3.10, 6; istio-security 4.

use mesh_core::OriginId;
use mesh_core::cx::{Draws, Purpose};
use mesh_core::decide::{HttpOutcome, local_reply_for};
use mesh_core::ir::*;
use mesh_core::request::Headers;

use crate::fixture::*;

fn faulty(delay: Option<u32>, abort: Option<(AbortStatus, u32)>) -> Snapshot {
    let mut r = forward(prefix("/"));
    r.fault = Some(Box::new(Fault {
        delay: delay.map(|per_million| FaultDelay { fixed_delay_ns: 300_000_000, per_million }),
        abort: abort.map(|(status, per_million)| FaultAbort { status, per_million }),
        origin: OriginId::NONE,
    }));
    with_routes(vec![r])
}

/// Delay and abort draws, as numbers out of a million.
struct Draw(u64, u64);

impl Draws for Draw {
    fn draw(&mut self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::FaultDelay => self.0,
            Purpose::FaultAbort => self.1,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[test]
fn delay_and_abort_are_independent() {
    let snapshot = faulty(Some(500_000), Some((AbortStatus::Http(418), 500_000)));
    let (hit, miss) = (499_999, 500_000);
    for (draw, flags, aborted) in [
        (Draw(miss, miss), "-", false),
        (Draw(hit, miss), "DI", false),
        (Draw(miss, hit), "FI", true),
        (Draw(hit, hit), "DI,FI", true),
    ] {
        let mut draw = draw;
        let decision = decide_with(&snapshot, &mut get("h/"), &mut draw);
        assert_eq!(decision.flags.text(), flags);
        assert_eq!(matches!(decision.outcome, HttpOutcome::Reply(_)), aborted);
        assert_eq!(decision.delay_ns > 0, flags.starts_with("DI"));
    }
}

#[test]
fn aborts_speak_grpc_to_grpc() {
    let grpc = with_headers(get("h/"), &[("content-type", "application/grpc")]);
    for (status, head, wire, grpc_status) in [
        (AbortStatus::Http(503), &grpc, 200, Some("14")),
        (AbortStatus::Http(418), &grpc, 200, Some("2")),
        (AbortStatus::Grpc(5), &grpc, 200, Some("5")),
        (AbortStatus::Grpc(5), &get("h/"), 200, None),
        (AbortStatus::Http(503), &get("h/"), 503, None),
    ] {
        let snapshot = faulty(None, Some((status, 1_000_000)));
        let decision = decide(&snapshot, head);
        let (code, headers, body) = local_reply_for(&snapshot, &decision, head, None, reply(&decision));
        assert_eq!((code, headers.first("grpc-status")), (wire, grpc_status));
        assert_eq!(body.is_empty(), grpc_status.is_some());
        assert_eq!(reply(&decision).details.as_ref(), "fault_filter_abort");
    }
}

fn cors(forward_not_matching_preflights: bool) -> Snapshot {
    let mut r = forward(prefix("/"));
    r.cors = Some(Box::new(Cors {
        allow_origins: vec![StringMatch::new(StringPattern::Exact("https://ok".into()))],
        allow_methods: "GET".into(),
        allow_headers: "".into(),
        expose_headers: "x-out".into(),
        max_age: "60".into(),
        allow_credentials: Some(true),
        forward_not_matching_preflights,
        origin: OriginId::NONE,
    }));
    with_routes(vec![r])
}

#[test]
fn cors_preflights() {
    let request = |method: &str, origin: &str, asked: bool| {
        let mut head = with_headers(get("h/"), &[("origin", origin)]);
        head.method = method.into();
        if asked {
            head.headers.append("access-control-request-method", "DELETE");
        }
        head
    };
    // forward option, request, answered here, allow-origin, allowed on the response
    for (forwarding, head, answered, allow_origin, allowed) in [
        (true, request("OPTIONS", "https://ok", true), true, true, true),
        (true, request("OPTIONS", "https://no", true), false, false, false),
        (false, request("OPTIONS", "https://no", true), true, false, false),
        (true, request("OPTIONS", "https://ok", false), false, false, true),
        (true, request("GET", "https://ok", false), false, false, true),
        (true, request("GET", "https://no", false), false, false, false),
    ] {
        let decision = decide(&cors(forwarding), &head);
        assert_eq!(decision.cors_origin_allowed, allowed, "{head:?}");
        match &decision.outcome {
            HttpOutcome::Reply(reply) => {
                assert!(answered, "{head:?}");
                assert_eq!((reply.status, reply.details.as_ref()), (200, "cors_response"));
                let headers = Headers(reply.headers.clone());
                assert_eq!(headers.has("access-control-allow-origin"), allow_origin);
                assert_eq!(headers.first("access-control-allow-methods"), Some("GET"));
            }
            HttpOutcome::Forward(_) => assert!(!answered, "{head:?}"),
        }
    }
}

fn policy(name: &str, path: &str) -> RbacPolicy {
    RbacPolicy {
        name: name.into(),
        permissions: vec![Permission::UrlPath(StringMatch::new(StringPattern::Prefix(path.into())))],
        principals: vec![Principal::Any],
        taints: vec![],
        origin: OriginId::NONE,
    }
}

fn guarded(action: RbacAction, policies: Vec<RbacPolicy>) -> Snapshot {
    let mut manager = hcm();
    let rules = Some(RbacRules { action, policies });
    let filter = Rbac { rules, shadow_rules: None, shadow_stat_prefix: "".into() };
    manager.http_filters.insert(0, HttpFilter::Rbac(filter));
    proxy(vec![virtual_host("v", &["*"], vec![forward(prefix("/known"))])], manager)
}

#[test]
fn denials_come_before_routes_and_name_the_first_policy() {
    let snapshot = guarded(RbacAction::Deny, vec![policy("p-1", "/unknown"), policy("p-2", "/")]);
    for (path, name) in [("h/unknown", "p-1"), ("h/known", "p-2")] {
        let decision = decide(&snapshot, &get(path));
        let reply = reply(&decision);
        assert_eq!((reply.status, reply.body.as_ref()), (403, "RBAC: access denied"));
        assert_eq!(reply.details.as_ref(), format!("rbac_access_denied_matched_policy[{name}]"));
        assert_eq!(decision.flags.text(), "-");
    }
    let allow = guarded(RbacAction::Allow, vec![policy("p", "/known")]);
    assert_eq!(route_taken(&allow, &get("h/known")), Some(0));
    let denied = decide(&allow, &get("h/x"));
    assert_eq!(reply(&denied).details.as_ref(), "rbac_access_denied_matched_policy[none]");
}

#[test]
fn what_is_not_modelled_taints_only_where_it_matters() {
    let mut tainted = policy("p", "/known");
    tainted.taints.push(mesh_core::ids::Taint { what: "x".into(), origin: OriginId(7) });
    let snapshot = guarded(RbacAction::Deny, vec![tainted]);
    assert_eq!(decide(&snapshot, &get("h/known")).taint.map(|t| t.origin), Some(OriginId(7)));
    assert_eq!(decide(&snapshot, &get("h/other")).taint, None);
}
