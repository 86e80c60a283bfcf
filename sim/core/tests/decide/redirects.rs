//! Redirects and direct responses: envoy-routing 3.5, 3.6.

use mesh_core::ir::*;

use crate::fixture::*;

fn redirect() -> Redirect {
    Redirect {
        status: 301,
        host: "".into(),
        path: RedirectPath::Keep,
        scheme: "".into(),
        https: false,
        port: 0,
        strip_query: false,
    }
}

#[test]
fn locations() {
    let host = |host: &str| Redirect { host: host.into(), ..redirect() };
    let full = |path: &str| Redirect { path: RedirectPath::Full(path.into()), ..redirect() };
    let to_prefix = |path: &str| Redirect { path: RedirectPath::Prefix(path.into()), ..redirect() };
    let pattern = |p, to: &str| Redirect { path: RedirectPath::Regex(regex(p), to.into()), ..redirect() };
    let https = || Redirect { https: true, ..redirect() };
    let any = || prefix("/");
    let exact = matching(PathMatch::Path("/a/b".into()));
    let wild = matching(PathMatch::Regex(regex("/a.*")));
    let rows: Vec<(RouteMatch, Redirect, &str, &str)> = vec![
        (any(), host("new.com"), "h.com/a/b?q=1", "http://new.com/a/b?q=1"),
        (any(), host("new.com"), "h.com:8080/a/?q", "http://new.com/a/?q"),
        (any(), full("x"), "h.com/a", "http://h.com/x"),
        (any(), Redirect { port: 8443, ..host("new.com") }, "h.com/a", "http://new.com:8443/a"),
        (any(), Redirect { port: 8443, ..redirect() }, "h.com:80/a", "http://h.com:8443/a"),
        (any(), https(), "h.com:80/a", "https://h.com/a"),
        (any(), https(), "h.com:8080/a", "https://h.com:8080/a"),
        (any(), https(), "h:443/a", "https://h:443/a"),
        (any(), full("/np"), "h.com:80/a?q=1", "http://h.com:80/np?q=1"),
        (any(), full("/np?z=9"), "h.com/a?q=1", "http://h.com/np?z=9"),
        (any(), Redirect { strip_query: true, ..full("/np") }, "h.com/a?q=1", "http://h.com/np"),
        (any(), full("/np#f"), "h.com/a?q=1", "http://h.com/np#f?q=1"),
        (any(), full(""), "h.com/a?q=1", "http://h.com/a?q=1"),
        (prefix("/a"), to_prefix("/"), "h.com/a/b?q=1", "http://h.com//b?q=1"),
        (exact, to_prefix("/z"), "h.com/a/b?q=1", "http://h.com/z?q=1"),
        (wild, to_prefix("/z"), "h.com/a/b?q=1", "http://h.com/z?q=1"),
        (any(), pattern("/a/([^/]+)", "/q/\\1/x"), "h.com/a/b?q=1", "http://h.com/q/b/x?q=1"),
        (any(), redirect(), "h.com/a?q", "http://h.com/a?q"),
    ];
    for (matcher, action, url, expected) in rows {
        let shown = format!("{action:?}");
        let snapshot = with_routes(vec![route(matcher, RouteAction::Redirect(Box::new(action)))]);
        let decision = decide(&snapshot, &get(url));
        let reply = reply(&decision);
        assert_eq!(reply.headers, vec![("location".into(), expected.into())], "{shown} {url}");
        assert_eq!((reply.details.as_ref(), reply.body.as_ref()), ("direct_response", ""));
    }
}

#[test]
fn scheme_redirects_drop_the_old_default_port() {
    let action = Redirect { scheme: "http".into(), ..redirect() };
    let snapshot = with_routes(vec![route(prefix("/"), RouteAction::Redirect(Box::new(action)))]);
    let head = with_headers(get("h:443/a"), &[("x-forwarded-proto", "https")]);
    assert_eq!(reply(&decide(&snapshot, &head)).headers[0].1.as_ref(), "http://h/a");
}

#[test]
fn direct_responses() {
    for (status, location) in [(200, None), (201, Some("http://h/x")), (302, Some("http://h/x")), (503, None)]
    {
        let action = DirectResponse { status, body: "hello".into() };
        let snapshot = with_routes(vec![route(prefix("/"), RouteAction::DirectResponse(action))]);
        let decision = decide(&snapshot, &get("h/x"));
        let reply = reply(&decision);
        assert_eq!((reply.status, reply.body.as_ref()), (status, "hello"));
        assert_eq!(reply.headers.first().map(|(_, v)| v.as_ref()), location);
        assert_eq!(decision.flags.text(), "-");
    }
}
