//! WorkloadEntry and WorkloadGroup (semantics: istio-validation 3.6).

use super::Findings;
use super::blocks::{fqdn_problem, is_ip_or_zoned, is_label, labels, port, unix_problem};
use crate::resource::workload_entry::{WorkloadEntry, WorkloadGroup};

/// Judges a WorkloadEntry object.
pub(super) fn validate(entry: &WorkloadEntry, f: &mut Findings<'_>) {
    let span = entry.origin;
    labels(f, &entry.labels, span);
    address(f, entry);
    for (name, number) in &entry.ports {
        if !is_label(name) {
            f.error(span, format!("port name `{name}` is not a DNS label"));
        }
        port(f, *number, span, "port");
    }
}

fn address(f: &mut Findings<'_>, entry: &WorkloadEntry) {
    let span = entry.origin;
    let address = entry.address.as_str();
    if address.is_empty() {
        if entry.network.is_empty() {
            f.error(span, "address must be set");
        } else {
            f.warn(span, format!("address is unset with network \"{}\"", entry.network));
        }
        return;
    }
    if address.starts_with("unix://") {
        if let Some(why) = unix_problem(address) {
            f.error(span, why);
        }
        if !entry.ports.is_empty() {
            f.error(span, "unix endpoint must not include ports");
        }
    } else if !is_ip_or_zoned(address)
        && let Some(why) = fqdn_problem(address)
    {
        f.error(span, format!("address: {why}"));
    }
}

/// Judges a WorkloadGroup.
pub(super) fn validate_group(group: &WorkloadGroup, f: &mut Findings<'_>) {
    let Some(template) = &group.template else {
        f.error(group.origin, "template is required");
        return;
    };
    if let Some(metadata) = &group.metadata {
        labels(f, &metadata.labels, metadata.origin);
    }
    labels(f, &template.labels, template.origin);
    for (name, number) in &template.ports {
        if !is_label(name) {
            f.error(template.origin, format!("port name `{name}` is not a DNS label"));
        }
        port(f, *number, template.origin, "port");
    }
    let Some(probe) = &group.probe else { return };
    let numbers = [
        probe.initial_delay_seconds,
        probe.timeout_seconds,
        probe.period_seconds,
        probe.success_threshold,
        probe.failure_threshold,
    ];
    if numbers.iter().any(|n| *n < 0) {
        f.error(probe.origin, "probe numbers must not be negative");
    }
    if probe.http_get.is_none() && probe.tcp_socket.is_none() && probe.exec.is_none() && probe.grpc.is_none()
    {
        f.error(probe.origin, "a probe method is required");
    }
    if let Some(http) = &probe.http_get {
        if !matches!(http.scheme.as_str(), "" | "HTTP" | "HTTPS") {
            f.error(http.origin, format!("probe scheme `{}` must be HTTP or HTTPS", http.scheme));
        }
        port(f, http.port, http.origin, "port");
        for header in &http.http_headers {
            let fine = !header.name.is_empty()
                && header.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !fine {
                f.error(header.origin, format!("invalid header name `{}`", header.name));
            }
        }
    }
    if let Some(tcp) = &probe.tcp_socket {
        port(f, tcp.port, tcp.origin, "port");
    }
    if let Some(exec) = &probe.exec
        && exec.command.is_empty()
    {
        f.error(exec.origin, "probe command is required");
    }
}
