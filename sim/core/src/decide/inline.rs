//! Headers that Envoy keeps in one entry: a further line is joined to the first with a comma as it is read, so routes,
//! filters and the upstream see one value. Lines of other headers stay apart.
//!
//! Envoy: source/common/http/header_map_impl.cc (`insertByKey`), `INLINE_REQ_STRING_HEADERS` and the headers that
//! extensions register. A stock Envoy 1.40 was seen to join those that it passes on; those that it takes out itself
//! (most `x-envoy-` ones, `te`, `x-forwarded-client-cert`) and `if-unmodified-since` stand here by its source. Framing
//! headers are the codec's (`codec.rs`).

use crate::ids::Str;
use crate::request::Headers;

/// In order of bytes.
const INLINE: [&str; 55] = [
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-status",
    "referer",
    "te",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Joins the lines of inline headers.
pub(super) fn join(headers: &mut Headers) {
    let lines = &headers.0;
    let repeated = |(i, (name, _)): (usize, &(Str, _))| lines.iter().skip(i + 1).any(|(n, _)| n == name);
    if !lines.iter().enumerate().any(repeated) {
        return;
    }
    let mut kept: Vec<(Str, Str)> = Vec::with_capacity(headers.0.len());
    for (name, value) in std::mem::take(&mut headers.0) {
        let first = kept.iter_mut().find(|(n, _)| *n == name);
        match first.filter(|_| INLINE.binary_search(&name.as_ref()).is_ok()) {
            Some((_, known)) => *known = format!("{known},{value}").into(),
            None => kept.push((name, value)),
        }
    }
    headers.0 = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(INLINE.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_lines_of_inline_headers_are_joined() {
        let lines = [
            ("cookie", "a=1"),
            ("accept", "x"),
            ("x-a", "1"),
            ("accept", "y"),
            ("x-a", "2"),
            ("cookie", "b=2"),
        ];
        let mut headers = Headers(lines.map(|(n, v)| (n.into(), v.into())).to_vec());
        join(&mut headers);
        let left: Vec<String> = headers.0.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        assert_eq!(left, ["cookie: a=1", "accept: x,y", "x-a: 1", "x-a: 2", "cookie: b=2"]);
    }
}
