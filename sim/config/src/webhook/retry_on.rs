//! `retryOn` lists and HTTP status numbers as istiod checks them.

use super::Findings;
use super::blocks::duration;
use crate::resource::http_route::HttpRetry;

/// HTTP statuses with a registered name in Go's net/http.
const REGISTERED: [u16; 63] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
    422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 226,
];

const WORDS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Retry policies (semantics: istio-validation H23-H25).
pub(super) fn retries(f: &mut Findings<'_>, retries: &HttpRetry) {
    let span = retries.origin;
    if retries.attempts < 0 {
        f.error(span, "attempts must not be negative");
    }
    let more = retries.per_try_timeout.is_some()
        || !retries.retry_on.is_empty()
        || retries.retry_remote_localities.is_some();
    if retries.attempts == 0 && more {
        f.error(span, "http retry policy configured when attempts are set to 0 (disabled)");
    }
    duration(f, retries.per_try_timeout, span, "perTryTimeout");
    duration(f, retries.backoff, span, "backoff");
    if retries.retry_on.is_empty() {
        return;
    }
    for word in retries.retry_on.split(',') {
        let status = word.parse::<u16>().ok().filter(|code| REGISTERED.contains(code));
        if !WORDS.contains(&word) && status.is_none() {
            f.error(span, format!("`{word}` is not a valid retryOn policy"));
        }
    }
}
