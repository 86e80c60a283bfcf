//! Normalization and refusals: envoy-routing 9.1, 9.4, 9.5.

use mesh_core::decide::HttpOutcome;
use mesh_core::ir::*;
use mesh_core::request::Protocol;

use crate::fixture::*;

/// What `path` becomes with: nothing, normalize, + merge, + unescape; `400` = refused.
const PATHS: &[(&str, [&str; 4])] = &[
    ("/a/../b", ["/a/../b", "/b", "/b", "/b"]),
    ("/a/%2e%2e/b", ["/a/%2e%2e/b", "/b", "/b", "/b"]),
    ("/../x", ["/../x", "/x", "/x", "/x"]),
    ("/a/.", ["/a/.", "/a/", "/a/", "/a/"]),
    ("/a/..", ["/a/..", "/", "/", "/"]),
    ("/a//b", ["/a//b", "/a//b", "/a/b", "/a/b"]),
    ("//a", ["//a", "//a", "/a", "/a"]),
    ("/a//../b", ["/a//../b", "/a/b", "/a/b", "/a/b"]),
    ("/a\\b", ["/a\\b", "/a/b", "/a/b", "/a/b"]),
    ("/%61", ["/%61", "/a", "/a", "/a"]),
    ("/a%20b", ["/a%20b", "/a%20b", "/a%20b", "/a%20b"]),
    ("/A%3f", ["/A%3f", "/A%3f", "/A%3f", "/A%3f"]),
    ("/%zz", ["/%zz", "/%zz", "/%zz", "/%zz"]),
    ("/%", ["/%", "/%", "/%", "/%"]),
    ("/a%2Fb", ["/a%2Fb", "/a%2Fb", "/a%2Fb", "/a/b"]),
    ("/a%2fb", ["/a%2fb", "/a%2fb", "/a%2fb", "/a/b"]),
    ("/a%5Cb", ["/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b"]),
    ("/a%252Fb", ["/a%252Fb", "/a%252Fb", "/a%252Fb", "/a%252Fb"]),
    ("/a/..;x/b", ["/a/..;x/b", "/b", "/b", "/b"]),
    ("/a%00b", ["/a%00b", "400", "400", "400"]),
    ("/x?y=/../z", ["/x?y=/../z", "/x?y=/../z", "/x?y=/../z", "/x?y=/../z"]),
    ("/.well-known/a", ["/.well-known/a", "/.well-known/a", "/.well-known/a", "/.well-known/a"]),
];

#[test]
fn paths_are_normalized() {
    for column in 0..4 {
        let snapshot = normalizing(column);
        for (path, expected) in PATHS {
            let mut head = get("h/");
            head.path = (*path).into();
            let decision = decide_with(&snapshot, &mut head, &mut Fixed(0));
            if expected[column] == "400" {
                let reply = reply(&decision);
                assert_eq!((reply.status, reply.details.as_ref()), (400, "path_normalization_failed"));
                assert_eq!(decision.flags.text(), "-");
            } else {
                assert_eq!(head.path.as_ref(), expected[column], "{path} in column {column}");
            }
        }
    }
}

fn normalizing(column: usize) -> Snapshot {
    let mut manager = hcm();
    manager.path_normalization = PathNormalization {
        normalize_path: column > 0,
        merge_slashes: column > 1,
        escaped_slashes: if column > 2 {
            EscapedSlashes::UnescapeAndForward
        } else {
            EscapedSlashes::KeepUnchanged
        },
    };
    proxy(vec![virtual_host("v", &["*"], vec![forward(prefix("/"))])], manager)
}

/// Random paths and what a live Envoy 1.40 made of them under the same four settings.
#[test]
fn random_paths_are_normalized_as_by_a_live_envoy() {
    let snapshots: Vec<Snapshot> = (0..4).map(normalizing).collect();
    let mut wrong = vec![];
    for line in include_str!("normalization.jsonl").lines() {
        let row: Vec<String> = serde_json::from_str(line).expect("json");
        for (column, snapshot) in snapshots.iter().enumerate() {
            let mut head = get("h/");
            head.path = row[0].as_str().into();
            let decision = decide_with(snapshot, &mut head, &mut Fixed(0));
            let ours = match &decision.outcome {
                HttpOutcome::Reply(reply) => reply.status.to_string(),
                HttpOutcome::Forward(_) => head.path.to_string(),
            };
            if ours != row[column + 1] {
                wrong.push(format!("{} in column {column}: {ours}, Envoy {}", row[0], row[column + 1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn escaped_slashes_can_be_refused_or_redirected() {
    for (action, status, location) in [
        (EscapedSlashes::RejectRequest, 400, None),
        (EscapedSlashes::UnescapeAndRedirect, 307, Some("/a/b?c%2Fd")),
    ] {
        let mut manager = hcm();
        manager.path_normalization.escaped_slashes = action;
        let snapshot = proxy(vec![virtual_host("v", &["*"], vec![])], manager);
        let decision = decide(&snapshot, &get("h/a%2Fb?c%2Fd"));
        let reply = reply(&decision);
        assert_eq!((reply.status, reply.details.as_ref()), (status, "path_normalization_failed"));
        assert_eq!(reply.headers.first().map(|(_, v)| v.as_ref()), location);
    }
}

#[test]
fn malformed_requests_are_refused() {
    let mut snapshot = with_routes(vec![forward(prefix("/"))]);
    snapshot.seal();
    let edit = |f: &dyn Fn(&mut mesh_core::request::RequestHead)| {
        let mut head = get("h/");
        f(&mut head);
        head
    };
    let lines = |n: usize| edit(&move |h| (0..n).for_each(|i| h.headers.append(&format!("x-{i}"), "v")));
    let rows = [
        (edit(&|h| h.headers.append("x", &"v".repeat(61 * 1024))), 431, "DPE", "http1.headers_too_large"),
        (lines(100), 431, "DPE", "http1.too_many_headers"),
        (edit(&|h| h.protocol = Protocol::Http10), 426, "DPE", "low_version"),
        (edit(&|h| h.method = "get".into()), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.method = "FOO".into()), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.headers.append("bad name", "v")), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.headers.append("content-length", "x")), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.headers.append("x", "a\u{1}b")), 400, "DPE", "http1.invalid_characters"),
        (
            edit(&|h| {
                h.headers.append("content-length", "0");
                h.headers.append("content-length", "0");
            }),
            400,
            "DPE",
            "http1.codec_error",
        ),
        (
            edit(&|h| h.headers.append("transfer-encoding", "gzip")),
            501,
            "DPE",
            "http1.invalid_transfer_encoding",
        ),
        (edit(&|h| h.method = "M-SEARCH".into()), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.path = "/é".into()), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.path = "/a\u{7f}".into()), 400, "DPE", "http1.invalid_characters"),
        (edit(&|h| h.authority = Some("a\"b".into())), 400, "DPE", "http.invalid_authority"),
        (edit(&|h| h.authority = Some("a/b".into())), 400, "DPE", "http.invalid_authority"),
        (edit(&|h| h.headers.append("x-forwarded-proto", "")), 404, "NR", "route_not_found"),
        (
            edit(&|h| {
                h.method = "CONNECT".into();
                h.authority = Some("h".into());
            }),
            400,
            "DPE",
            "http1.invalid_url",
        ),
        (edit(&|h| h.path = "a".into()), 400, "DPE", "http1.codec_error"),
        (edit(&|h| h.path = "*".into()), 400, "DPE", "http1.invalid_url"),
        (
            edit(&|h| {
                h.method = "OPTIONS".into();
                h.path = "*".into();
            }),
            404,
            "-",
            "absolute_path_rejected",
        ),
        (
            edit(&|h| {
                h.headers.append("content-length", "1");
                h.headers.append("transfer-encoding", "chunked");
            }),
            400,
            "DPE",
            "http1.content_length_and_chunked_not_allowed",
        ),
        (edit(&|h| h.authority = Some("a b".into())), 400, "DPE", "http.invalid_authority"),
        (edit(&|h| h.authority = None), 400, "-", "missing_host_header"),
        (edit(&|h| h.path = "/a#b".into()), 400, "-", "path_normalization_failed"),
        (edit(&|h| h.method = "QUERY".into()), 400, "-", "query_missing_content_type"),
        (
            edit(&|h| {
                h.headers.append("connection", "Upgrade");
                h.headers.append("upgrade", "mqtt");
            }),
            403,
            "-",
            "upgrade_failed",
        ),
        (
            edit(&|h| {
                h.method = "CONNECT".into();
                h.authority = Some("h:443".into());
            }),
            404,
            "NR",
            "route_not_found",
        ),
    ];
    for (head, status, flags, details) in rows {
        let decision = decide(&snapshot, &head);
        let reply = reply(&decision);
        assert_eq!(
            (reply.status, decision.flags.text().as_str(), reply.details.as_ref()),
            (status, flags, details)
        );
        assert_eq!(reply.close, flags == "DPE");
    }
    for fine in [lines(99), edit(&|h| h.headers.append("x_y", "v")), edit(&|h| h.authority = Some("".into()))]
    {
        assert_eq!(route_taken(&snapshot, &fine), Some(0), "{fine:?}");
    }
}
