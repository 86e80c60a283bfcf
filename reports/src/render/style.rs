//! Numbers and tables the way every terminal report shows them. No locale, fixed decimals, no colour inside cells.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// A share as `12.34%`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A configured share: exact to four decimals, without trailing zeros (`90%`, `33.3333%`).
#[must_use]
pub fn exact_percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

/// A latency in milliseconds, or seconds from 10 s on: `0.85ms`, `12.3ms`, `142ms`, `12.4s`.
#[must_use]
pub fn millis(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1}s", ms / 1000.0)
    } else if ms >= 100.0 {
        format!("{ms:.0}ms")
    } else if ms >= 10.0 {
        format!("{ms:.1}ms")
    } else {
        format!("{ms:.2}ms")
    }
}

/// A point in simulated time: `1m12.400s`, `12.400s`.
#[must_use]
pub fn moment(ms: f64) -> String {
    let minutes = (ms / 60_000.0).floor();
    let seconds = ms / 1000.0 - minutes * 60.0;
    if minutes >= 1.0 { format!("{minutes:.0}m{seconds:06.3}s") } else { format!("{seconds:.3}s") }
}

/// A span of simulated time: `5m`, `90s`, `2.5s`.
#[must_use]
pub fn span(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if seconds >= 120.0 && (seconds % 60.0).abs() < 1e-9 {
        format!("{:.0}m", seconds / 60.0)
    } else {
        let text = format!("{seconds:.3}");
        format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A count with thousands separators: `60,000`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A borderless table, indented by two blanks; `right` lists the right-aligned columns.
#[must_use]
pub fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("  {}\n", line.trim_end())).collect()
}
