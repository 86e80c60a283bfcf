//! Access log lines in Istio's default text and JSON formats (semantics: envoy-routing 7.5).

use serde::{Deserialize, Serialize};
use serde_json::json;

/// One line of one proxy. `None` is Envoy's `-` (JSON: null).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLogEntry {
    /// `ns/workload#ordinal` of the proxy; not part of the line, names its file or prefix.
    pub proxy: String,
    /// Start, ms of simulated time.
    pub start_ms: f64,
    /// Method; `None` for TCP.
    pub method: Option<String>,
    /// Original path with query.
    pub path: Option<String>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: Option<String>,
    /// Response code, 0 if none was sent.
    pub code: u16,
    /// Flags; empty = `-`.
    pub flags: String,
    /// Response code details.
    pub details: Option<String>,
    /// Connection termination details.
    pub connection_termination: Option<String>,
    /// Upstream transport failure reason of the last attempt.
    pub upstream_transport_failure: Option<String>,
    /// Request body bytes.
    pub bytes_received: u64,
    /// Response body bytes.
    pub bytes_sent: u64,
    /// Duration, whole ms.
    pub duration_ms: u64,
    /// `x-envoy-upstream-service-time`.
    pub upstream_service_time_ms: Option<u64>,
    /// `x-forwarded-for`.
    pub forwarded_for: Option<String>,
    /// `user-agent`.
    pub user_agent: Option<String>,
    /// `x-request-id`.
    pub request_id: Option<String>,
    /// `:authority` after rewrites.
    pub authority: Option<String>,
    /// Address of the last attempted host.
    pub upstream_host: Option<String>,
    /// Cluster.
    pub upstream_cluster: Option<String>,
    /// Local end of the upstream connection.
    pub upstream_local: Option<String>,
    /// Local end of the downstream connection.
    pub downstream_local: Option<String>,
    /// Peer.
    pub downstream_remote: Option<String>,
    /// SNI.
    pub server_name: Option<String>,
    /// Route name.
    pub route: Option<String>,
}

/// The virtual epoch: simulated time 0 in the log.
pub const EPOCH_UNIX_S: u64 = 1_767_225_600; // 2026-01-01T00:00:00Z

fn dash(value: Option<&String>) -> &str {
    value.map_or("-", |v| if v.is_empty() { "-" } else { v.as_str() })
}

impl AccessLogEntry {
    /// The line in Istio's default text format, without a line feed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("[{}] {}", timestamp(self.start_ms), self.body())
    }

    /// The line without its time.
    #[must_use]
    pub fn body(&self) -> String {
        format!(
            "\"{} {} {}\" {} {} {} {} \"{}\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {} {} {} {}",
            dash(self.method.as_ref()),
            dash(self.path.as_ref()),
            dash(self.protocol.as_ref()),
            self.code,
            if self.flags.is_empty() { "-" } else { &self.flags },
            dash(self.details.as_ref()),
            dash(self.connection_termination.as_ref()),
            dash(self.upstream_transport_failure.as_ref()),
            self.bytes_received,
            self.bytes_sent,
            self.duration_ms,
            self.upstream_service_time_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
            dash(self.forwarded_for.as_ref()),
            dash(self.user_agent.as_ref()),
            dash(self.request_id.as_ref()),
            dash(self.authority.as_ref()),
            dash(self.upstream_host.as_ref()),
            dash(self.upstream_cluster.as_ref()),
            dash(self.upstream_local.as_ref()),
            dash(self.downstream_local.as_ref()),
            dash(self.downstream_remote.as_ref()),
            dash(self.server_name.as_ref()),
            dash(self.route.as_ref()),
        )
    }

    /// The line in Istio's default JSON format.
    #[must_use]
    pub fn json(&self) -> String {
        let flags = if self.flags.is_empty() { "-" } else { &self.flags };
        json!({
            "start_time": timestamp(self.start_ms),
            "route_name": self.route,
            "method": self.method,
            "path": self.path,
            "protocol": self.protocol,
            "response_code": self.code,
            "response_flags": flags,
            "response_code_details": self.details,
            "connection_termination_details": self.connection_termination,
            "upstream_transport_failure_reason": self.upstream_transport_failure,
            "bytes_received": self.bytes_received,
            "bytes_sent": self.bytes_sent,
            "duration": self.duration_ms,
            "upstream_service_time": self.upstream_service_time_ms,
            "x_forwarded_for": self.forwarded_for,
            "user_agent": self.user_agent,
            "request_id": self.request_id,
            "authority": self.authority,
            "upstream_host": self.upstream_host,
            "upstream_cluster": self.upstream_cluster,
            "upstream_local_address": self.upstream_local,
            "downstream_local_address": self.downstream_local,
            "downstream_remote_address": self.downstream_remote,
            "requested_server_name": self.server_name,
        })
        .to_string()
    }
}

/// A time of the simulation as Envoy prints times; t = 0 is 2026-01-01T00:00:00.000Z.
#[must_use]
pub fn timestamp(ms: f64) -> String {
    let unix_ms = EPOCH_UNIX_S as i64 * 1000 + ms.floor() as i64;
    let days = unix_ms.div_euclid(86_400_000);
    let rest = unix_ms.rem_euclid(86_400_000);
    let (year, month, day) = civil(days);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Days since 1970-01-01 to year, month, day (proleptic Gregorian).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_without_filter_chain_as_in_the_walkthrough() {
        let entry = AccessLogEntry {
            flags: "NR".into(),
            details: Some("filter_chain_not_found".into()),
            downstream_local: Some("10.244.0.3:9080".into()),
            downstream_remote: Some("10.244.0.9:40000".into()),
            ..AccessLogEntry::default()
        };
        assert_eq!(
            entry.text(),
            "[2026-01-01T00:00:00.000Z] \"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - - 10.244.0.3:9080 10.244.0.9:40000 - -"
        );
    }

    #[test]
    fn times_carry_over_days_and_leap_years() {
        assert_eq!(timestamp(86_400_000.0 * 59.0 + 1.5), "2026-03-01T00:00:00.001Z");
        assert_eq!(timestamp(86_400_000.0 * (365.0 + 365.0 + 31.0 + 28.0)), "2028-02-29T00:00:00.000Z");
    }
}
