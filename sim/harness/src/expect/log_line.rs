//! Access log lines of a prediction, and their comparison with a line written by hand.

use mesh_engine::record::{Hop, LogKind, RequestRecord, Side};
use mesh_engine::world::World;
use mesh_reports::access_log::AccessLogEntry;

/// The access log line of a hop.
#[must_use]
pub fn entry(hop: &Hop, record: &RequestRecord, world: &World) -> AccessLogEntry {
    let text = |value: &Option<mesh_core::Str>| value.as_ref().map(ToString::to_string);
    let http = hop.kind == LogKind::Http;
    let pod = world.proxy(hop.proxy).and_then(|p| world.pod(p.pod));
    let seen = record.tries.iter().rev().find(|t| t.call == hop.call && t.shadow == hop.shadow);
    let header = |name: &str| seen.and_then(|t| t.header(name)).map(str::to_owned);
    let local_ip = pod.map(|p| p.ip);
    AccessLogEntry {
        proxy: pod.map(|p| p.reference.to_string()).unwrap_or_default(),
        start_ms: hop.start_ns as f64 / 1e6,
        method: text(&hop.method).filter(|_| http),
        path: text(&hop.original_path).or_else(|| text(&hop.path)).filter(|_| http),
        protocol: hop.protocol.map(|p| p.text().to_owned()).filter(|_| http),
        code: hop.code.unwrap_or(0),
        flags: hop.flags.text(),
        details: text(&hop.details),
        connection_termination: text(&hop.connection_details),
        upstream_transport_failure: text(&hop.upstream_failure),
        bytes_received: hop.bytes_received,
        bytes_sent: hop.bytes_sent,
        duration_ms: hop.duration_ns / 1_000_000,
        upstream_service_time_ms: (http && hop.details.as_deref() == Some("via_upstream"))
            .then_some(hop.duration_ns / 1_000_000),
        forwarded_for: header("x-forwarded-for").or_else(|| edge(hop, record)),
        user_agent: header("user-agent"),
        request_id: http.then(|| request_id(hop, record)),
        authority: text(&hop.authority).filter(|_| http),
        upstream_host: hop.upstream_host.map(|a| a.to_string()),
        upstream_cluster: text(&hop.cluster_name),
        upstream_local: hop.upstream_host.and(local_ip).map(|ip| format!("{ip}:{}", ephemeral(record))),
        downstream_local: Some(hop.local.to_string()),
        downstream_remote: Some(hop.remote.to_string()),
        server_name: text(&hop.sni),
        route: text(&hop.route),
    }
}

/// The client's address that the gateway in front wrote, for requests no application saw.
fn edge(hop: &Hop, record: &RequestRecord) -> Option<String> {
    let gateway = record.hops.iter().find(|h| h.call == hop.call && h.side == Side::Gateway)?;
    Some(gateway.remote.ip().to_string())
}

/// A request id that is the same in every run.
fn request_id(hop: &Hop, record: &RequestRecord) -> String {
    format!("{:08x}-{:04x}-4000-8000-{:012x}", record.traffic, hop.call, record.number)
}

/// An ephemeral port that is the same in every run.
fn ephemeral(record: &RequestRecord) -> u64 {
    32_768 + record.number % 28_232
}

/// Whether a line is what was written: `<dst>`, `<src>`, `<id>`, `<ms>` are wild, a text that ends early is a prefix.
#[must_use]
pub(super) fn fits(want: &str, got: &str) -> bool {
    let mut rest_want = want;
    let mut rest_got = got;
    while let Some(at) = rest_want.find('<') {
        let (literal, marked) = rest_want.split_at(at);
        let wild = WILD.iter().find(|(mark, _)| marked.starts_with(mark));
        let Some((mark, belongs)) = wild else {
            // A `<` of its own.
            let Some(after) = rest_got.strip_prefix(literal).and_then(|r| r.strip_prefix('<')) else {
                return false;
            };
            rest_got = after;
            rest_want = marked.get(1..).unwrap_or("");
            continue;
        };
        let Some(after) = rest_got.strip_prefix(literal) else { return false };
        let length = after.find(|c: char| !belongs(c)).unwrap_or(after.len());
        if length == 0 {
            return false;
        }
        rest_got = after.get(length..).unwrap_or("");
        rest_want = marked.get(mark.len()..).unwrap_or("");
    }
    rest_got.starts_with(rest_want)
}

/// A wild word and the characters it covers.
type Wild = (&'static str, fn(char) -> bool);

const WILD: [Wild; 4] = [
    ("<dst>", |c| c.is_ascii_digit() || c == '.'),
    ("<src>", |c| c.is_ascii_digit() || c == '.' || c == ':'),
    ("<id>", |c| c.is_ascii_hexdigit() || c == '-'),
    ("<ms>", |c| c.is_ascii_digit()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wild_words_and_prefixes() {
        let got = r#""GET / HTTP/1.1" 403 - 12 "<b>" 10.0.0.1:80 10.0.0.2:3456 -"#;
        assert!(fits(r#""GET / HTTP/1.1" 403 - <ms> "<b>" <dst>:80 <src> -"#, got));
        assert!(fits(r#""GET / HTTP/1.1" 403"#, got));
        assert!(!fits(r#""GET / HTTP/1.1" 403 - <ms> "<b>" <dst>:81"#, got));
        assert!(!fits(r#""GET / HTTP/1.1" <ms> x"#, got));
    }
}
