//! Path, header, query and template matchers: envoy-routing 2.2 to 2.4, istio-security 4.5.

use mesh_core::ir::*;
use mesh_core::matching::{header_matches, query_matches, template_matches};
use mesh_core::request::Headers;

use crate::fixture::*;

#[test]
fn paths() {
    let insensitive = |path| RouteMatch { case_sensitive: false, ..matching(path) };
    let separated = || matching(PathMatch::PathSeparatedPrefix("/api/dev".into()));
    let pattern = |text| matching(PathMatch::Regex(regex(text)));
    let exact = |text: &str| PathMatch::Path(text.into());
    let cases: Vec<(RouteMatch, &[&str], &[&str])> = vec![
        (prefix("/foo"), &["/foo", "/foobar", "/foo/", "/foo?x=1"], &["/FOO", "/%66oo", "//foo"]),
        (prefix("/q?x"), &[], &["/q?x"]),
        (matching(exact("/foo")), &["/foo?x"], &["/foo/", "/Foo", "/foo;p=1"]),
        (insensitive(exact("/Ci")), &["/cI", "/CI?q"], &[]),
        (
            separated(),
            &["/api/dev", "/api/dev/", "/api/dev/v1", "/api/dev?x=1"],
            &["/api/developer", "/api/dev;x"],
        ),
        (pattern("/b[io]t"), &["/bit", "/bot", "/bit?x=1"], &["/bite", "/bit/bot"]),
        (pattern(r"/q\?x=1"), &[], &["/q?x=1"]),
        (RouteMatch { case_sensitive: false, ..pattern("/ci") }, &[], &["/CI"]),
        (pattern("/alt|/other"), &["/alt", "/other"], &["/alt/other"]),
    ];
    for (matcher, yes, no) in cases {
        let snapshot = with_routes(vec![forward(matcher.clone())]);
        for (paths, expected) in [(yes, Some(0)), (no, None)] {
            for path in paths {
                assert_eq!(route_taken(&snapshot, &get(&format!("h{path}"))), expected, "{matcher:?} {path}");
            }
        }
    }
}

#[test]
fn the_first_match_wins() {
    let snapshot = with_routes(vec![forward(prefix("/foo")), forward(prefix("/foobar"))]);
    assert_eq!(route_taken(&snapshot, &get("h/foobar")), Some(0));
}

/// Values of `x-a`: absent, then lines.
const LINES: &[Option<&[&str]>] = &[
    None,
    Some(&["v1"]),
    Some(&["V1"]),
    Some(&[""]),
    Some(&["v1,v2"]),
    Some(&["v1", "v2"]),
    Some(&["5"]),
    Some(&["10"]),
    Some(&["-10"]),
    Some(&["99", "5"]),
    Some(&["5x"]),
];

#[test]
fn headers() {
    let value = |pattern| HeaderCondition::Value(StringMatch::new(pattern));
    let exact = |text: &str| value(StringPattern::Exact(text.into()));
    let folded =
        HeaderCondition::Value(StringMatch { pattern: StringPattern::Exact("V1".into()), ignore_case: true });
    let pattern = |text: &str| value(StringPattern::Regex(regex(text)));
    let range = || HeaderCondition::Range(-10, 10);
    // condition, invert, treat_missing_as_empty, row of the table
    let rows: Vec<(HeaderCondition, bool, bool, &str)> = vec![
        (exact("v1"), false, false, "nYnnnYnnnnn"),
        (folded, false, false, "nYYnnYnnnnn"),
        (exact(""), false, false, "nnnYnnnnnnn"),
        (value(StringPattern::Prefix("v".into())), false, false, "nYnnYYnnnnn"),
        (value(StringPattern::Suffix("1".into())), false, false, "nYYnnYnnnnn"),
        (pattern("v[0-9]"), false, false, "nYnnnYnnnnn"),
        (range(), false, false, "nnnnnnYnYYn"),
        (HeaderCondition::Present(true), false, false, "nYYYYYYYYYY"),
        (HeaderCondition::Present(false), false, false, "Ynnnnnnnnnn"),
        (HeaderCondition::Present(true), true, false, "Ynnnnnnnnnn"),
        (HeaderCondition::Present(false), true, false, "nYYYYYYYYYY"),
        (exact("v1"), true, false, "nnYYYnYYYYY"),
        (range(), true, false, "nYYYYYnYnnY"),
        (exact(""), false, true, "YnnYnnnnnnn"),
        (exact("v1"), true, true, "YnYYYnYYYYY"),
        (pattern(".*"), false, true, "YYYYYYYYYYY"),
        (HeaderCondition::Present(true), false, true, "YYYYYYYYYYY"),
        (HeaderCondition::Present(false), false, true, "nnnnnnnnnnn"),
    ];
    for (condition, invert, treat_missing_as_empty, row) in rows {
        let matcher = HeaderMatcher { name: "x-a".into(), condition, invert, treat_missing_as_empty };
        for (lines, expected) in LINES.iter().zip(row.chars()) {
            let mut headers = Headers::default();
            for line in lines.iter().copied().flatten() {
                headers.append("x-a", line);
            }
            assert_eq!(header_matches(&matcher, &headers), expected == 'Y', "{matcher:?} on {lines:?}");
        }
    }
}

#[test]
fn queries() {
    let text = |pattern| Some(StringMatch::new(pattern));
    let exact = |t: &str| text(StringPattern::Exact(t.into()));
    /// Value, `absent`, queries that match, queries that do not.
    type Row<'a> = (Option<StringMatch>, bool, &'a [&'a str], &'a [&'a str]);
    let rows: Vec<Row<'_>> = vec![
        (
            exact("b"),
            false,
            &["?a=b", "?a=b&a=c", "?c=d&a=b"],
            &["?a=c&a=b", "?A=b", "?a=%62", "?%61=b", "?a=b;c=d", "?a=b=c", "?x?a=b"],
        ),
        (exact(""), false, &["?a", "?a="], &["?a=b", ""]),
        (text(StringPattern::Prefix("b".into())), false, &["?a=b=c", "?a=b;c=d"], &["?a=c&a=b"]),
        (text(StringPattern::Regex(regex("[0-9]+"))), false, &["?a=12"], &["?a=b"]),
        (None, true, &["", "?A=b"], &["?a"]),
        (None, false, &["?a", "?b&a=1"], &["", "?A"]),
    ];
    for (value, absent, yes, no) in rows {
        let matcher = QueryMatcher { name: "a".into(), value, absent };
        for (queries, expected) in [(yes, true), (no, false)] {
            for query in queries {
                assert_eq!(query_matches(&matcher, &format!("/{query}")), expected, "{matcher:?} {query}");
            }
        }
    }
}

#[test]
fn path_header_sees_the_query() {
    let mut matcher = prefix("/");
    let pattern = StringPattern::Suffix("?x=1".into());
    matcher.headers.push(HeaderMatcher {
        name: ":path".into(),
        condition: HeaderCondition::Value(StringMatch::new(pattern)),
        invert: false,
        treat_missing_as_empty: false,
    });
    let snapshot = with_routes(vec![forward(matcher)]);
    assert_eq!(route_taken(&snapshot, &get("h/a?x=1")), Some(0));
    assert_eq!(route_taken(&snapshot, &get("h/a")), None);
}

#[test]
fn templates() {
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("/foo/{*}", &["/foo/a"], &["/foo", "/foo/", "/foo/a/b"]),
        ("/foo/{*}/bar", &["/foo/x/bar"], &["/foo//bar", "/foo/x/y/bar"]),
        ("/foo/{**}", &["/foo/", "/foo/a", "/foo/a/b"], &["/foo"]),
        ("/{**}", &["/", "/a/b"], &[]),
        ("/{*}", &["/a"], &["/", "/a/b"]),
        ("/{**}/end", &["/a/b/end"], &["/end/x"]),
        ("/{*}/{**}", &["/a/b/c", "/a/"], &["/a"]),
    ];
    for (template, yes, no) in rows {
        for path in *yes {
            assert!(template_matches(template, path), "{template} {path}");
        }
        for path in *no {
            assert!(!template_matches(template, path), "{template} {path}");
        }
        let envoys = template.replace("{**}", "**").replace("{*}", "*");
        assert!(yes.iter().all(|path| template_matches(&envoys, path)));
    }
}
