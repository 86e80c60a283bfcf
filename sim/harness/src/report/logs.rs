//! The access logs of a run's proxies, in Istio's text format, each line after the name of its proxy.

use crate::expect::log_line;
use crate::scenario::Ran;

/// Lines of all proxies in order of time, `[ns/pod] <line>`; nothing when requests were not kept.
#[must_use]
pub fn access_log(ran: &Ran) -> String {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for record in super::requests(&ran.runs) {
        for hop in &record.hops {
            let entry = log_line::entry(hop, record, &ran.mesh.world);
            lines.push((hop.start_ns, format!("[{}] {}\n", entry.proxy, entry.text())));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}
