//! Heads as they leave: envoy-routing 3.7, 3.8, 8.3, 9.3.

use mesh_core::OriginId;
use mesh_core::decide::{finalize_request, finalize_response};
use mesh_core::ir::*;
use mesh_core::request::*;
use mesh_core::tls::{Certificate, TrustAnchor};

use crate::fixture::*;

fn identity() -> Certificate {
    Certificate { issuer: TrustAnchor::Mesh, sans: vec!["spiffe://td/ns/a/sa/b".into()], subject: "".into() }
}

fn upstream(snapshot: &Snapshot, head: &RequestHead) -> RequestHead {
    let mut head = head.clone();
    let decision = decide_with(snapshot, &mut head, &mut Fixed(0));
    finalize_request(snapshot, CHAIN, &conn(), &Peer::default(), &identity(), &decision, 1, &head)
}

#[test]
fn path_rewrites() {
    let psp = |text: &str| matching(PathMatch::PathSeparatedPrefix(text.into()));
    let to = |text: &str| PathRewrite::Prefix(text.into());
    let re = |p, text: &str| PathRewrite::Regex(regex(p), text.into());
    let folded = RouteMatch { case_sensitive: false, ..prefix("/A") };
    let numbered = matching(PathMatch::Regex(regex("/a/[0-9]+")));
    let rows: Vec<(RouteMatch, PathRewrite, &str, &str)> = vec![
        (prefix("/a"), to("/b"), "/a/x?q=1", "/b/x?q=1"),
        (prefix("/a"), to("/b"), "/ab", "/bb"),
        (prefix("/a"), to("/"), "/a", "/"),
        (prefix("/a"), to("/"), "/a/x", "//x"),
        (prefix("/a"), to("/"), "/abc", "/bc"),
        (folded, to("/b"), "/a/x", "/b/x"),
        (prefix("/"), re("one", "two"), "/one/y/one?one", "/two/y/two?one"),
        (prefix("/a/"), to("/"), "/a/x", "/x"),
        (prefix("/"), to("/b"), "/x", "/bx"),
        (prefix("/"), to("/b/"), "/x", "/b/x"),
        (numbered, to("/b"), "/a/1?q=2", "/b?q=2"),
        (psp("/a"), to("/"), "/a/x", "//x"),
        (psp("/a"), to("/b"), "/a", "/b"),
        (psp("/a"), re("^/a(/?)(.*)", "/\\2"), "/a/x", "/x"),
        (psp("/a"), re("^/a(/?)(.*)", "/\\2"), "/a", "/"),
        (psp("/a"), re("^/a(/?)(.*)", "/\\2"), "/a?q", "/?q"),
        (prefix("/"), re(".*", ""), "/x?q", "/x?q"),
    ];
    for (matcher, path_rewrite, path, expected) in rows {
        let shown = format!("{matcher:?} {path_rewrite:?}");
        let unchanged = matches!(&path_rewrite, PathRewrite::Regex(_, text) if text.is_empty());
        let action = RouteAction::Forward(Box::new(Forward { path_rewrite, ..forward_to("a") }));
        let out = upstream(&with_routes(vec![route(matcher, action)]), &get(&format!("h{path}")));
        assert_eq!(out.path.as_ref(), expected, "{shown} {path}");
        let original = out.headers.first("x-envoy-original-path");
        assert_eq!(original, (!unchanged).then_some(path), "{shown}");
    }
}

fn add(name: &str, value: &str, action: AppendAction) -> HeaderAdd {
    HeaderAdd { name: name.into(), value: value.into(), action }
}

fn level(name: &str) -> HeaderMutations {
    HeaderMutations {
        request_add: vec![
            add("x-all", name, AppendAction::AppendIfExistsOrAdd),
            add("x-ow", name, AppendAction::OverwriteIfExistsOrAdd),
            add("x-absent", name, AppendAction::AddIfAbsent),
            add("x-only-if", name, AppendAction::OverwriteIfExists),
            add("x-path", "%REQ(:PATH)% 100%%", AppendAction::OverwriteIfExistsOrAdd),
            add("x-empty", "%REQ(nothing)%", AppendAction::OverwriteIfExistsOrAdd),
        ],
        request_remove: vec!["x-in".into()],
        response_add: vec![add("x-res", name, AppendAction::AppendIfExistsOrAdd)],
        response_remove: vec![],
    }
}

fn four_levels() -> Snapshot {
    let entry = |name: &str| WeightedCluster {
        name: name.into(),
        weight: 1,
        headers: level("wc"),
        host_rewrite: "".into(),
        origin: OriginId::NONE,
    };
    let cluster = ClusterSpecifier::Weighted(vec![entry("a")]);
    let path_rewrite = PathRewrite::Prefix("/new".into());
    let host_rewrite = HostRewrite::Literal("inner".into());
    let action = Forward { cluster, path_rewrite, host_rewrite, ..forward_to("") };
    let mut r = route(prefix("/a"), RouteAction::Forward(Box::new(action)));
    r.headers = level("route");
    let mut host = virtual_host("v", &["*"], vec![r]);
    host.headers = level("vhost");
    host.include_request_attempt_count = true;
    let mut snapshot = proxy(vec![host], hcm());
    snapshot.routes[0].headers = level("config");
    snapshot
}

#[test]
fn mutations_go_from_specific_to_general() {
    let sent =
        with_headers(get("outer/a/b?c"), &[("x-all", "client"), ("x-in", "1"), ("x-only-if", "client")]);
    let out = upstream(&four_levels(), &sent);
    let all: Vec<&str> = out.headers.all("x-all").collect();
    assert_eq!(all, ["client", "wc", "route", "vhost", "config"]);
    assert_eq!(out.headers.first("x-ow"), Some("config"));
    assert_eq!(out.headers.first("x-absent"), Some("wc"));
    assert_eq!(out.headers.first("x-only-if"), Some("config"));
    assert_eq!(out.headers.first("x-path"), Some("/a/b?c 100%"));
    assert!(!out.headers.has("x-in") && !out.headers.has("x-empty"));
    assert_eq!((out.path.as_ref(), out.authority.as_deref()), ("/new/b?c", Some("inner")));
    assert_eq!(out.headers.first("x-envoy-original-host"), Some("outer"));
    assert_eq!(out.headers.first("x-envoy-original-path"), Some("/a/b?c"));
    assert_eq!(out.headers.first("x-envoy-attempt-count"), Some("1"));
}

#[test]
fn response_mutations_follow_routes_not_filters() {
    let snapshot = four_levels();
    let head = get("h/a");
    let decision = decide(&snapshot, &head);
    let mut answer = Headers(vec![("server".into(), "app".into())]);
    finalize_response(&snapshot, CHAIN, &decision, &head, None, &mut answer, Some(200));
    assert_eq!(answer.all("x-res").collect::<Vec<_>>(), ["wc", "route", "vhost", "config"]);
    assert_eq!(answer.first("server"), Some("envoy"));

    let missing = get("h/none");
    let mut answer = Headers::default();
    finalize_response(&snapshot, CHAIN, &decide(&snapshot, &missing), &missing, None, &mut answer, None);
    assert!(!answer.has("x-res"), "404 NR gets no route headers");
}

#[test]
fn control_headers_are_stripped() {
    let snapshot = with_routes(vec![forward(prefix("/"))]);
    let sent = with_headers(
        get("h/"),
        &[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-envoy-internal", "true"),
            ("x-envoy-fault-abort-request", "1"),
            ("x-envoy-original-path", "/mine"),
            ("x-forwarded-client-cert", "By=me"),
            ("authorization", "Basic x"),
        ],
    );
    let out = upstream(&snapshot, &sent);
    let names: Vec<&str> = out.headers.0.iter().map(|(n, _)| n.as_ref()).collect();
    assert_eq!(
        names,
        ["x-envoy-fault-abort-request", "x-envoy-original-path", "authorization", "x-forwarded-proto"]
    );
}

#[test]
fn edges_append_and_sidecars_keep_forwarded_for() {
    // use_remote_address, trusted hops, incoming, trusted address, outgoing
    let rows: &[(bool, u32, &str, &str, &str)] = &[
        (false, 0, "", "10.0.0.9", ""),
        (false, 0, "1.1.1.1, 2.2.2.2", "2.2.2.2", "1.1.1.1, 2.2.2.2"),
        (false, 1, "1.1.1.1, 2.2.2.2", "1.1.1.1", "1.1.1.1, 2.2.2.2"),
        (false, 2, "1.1.1.1, 2.2.2.2", "10.0.0.9", "1.1.1.1, 2.2.2.2"),
        (false, 0, "1.1.1.1, garbage", "10.0.0.9", "1.1.1.1, garbage"),
        (true, 0, "1.1.1.1", "10.0.0.9", "1.1.1.1,10.0.0.9"),
        (true, 1, "1.1.1.1, 2.2.2.2", "2.2.2.2", "1.1.1.1, 2.2.2.2,10.0.0.9"),
        (true, 2, "1.1.1.1, 2.2.2.2", "1.1.1.1", "1.1.1.1, 2.2.2.2,10.0.0.9"),
        (true, 3, "1.1.1.1, 2.2.2.2", "10.0.0.9", "1.1.1.1, 2.2.2.2,10.0.0.9"),
    ];
    for (edge, hops, incoming, trusted, outgoing) in rows {
        let mut manager = hcm();
        manager.use_remote_address = *edge;
        manager.xff_num_trusted_hops = *hops;
        let snapshot = proxy(vec![virtual_host("v", &["*"], vec![forward(prefix("/"))])], manager);
        let mut head = get("h/");
        if !incoming.is_empty() {
            head.headers.append("x-forwarded-for", incoming);
        }
        let decision = decide(&snapshot, &head);
        assert_eq!(decision.downstream.remote.to_string(), *trusted, "{incoming} {edge} {hops}");
        let out = upstream(&snapshot, &head);
        assert_eq!(out.headers.first("x-forwarded-for").unwrap_or(""), *outgoing);
        let external = out.headers.first("x-envoy-external-address");
        assert_eq!(external, edge.then_some(*trusted));
    }
}
