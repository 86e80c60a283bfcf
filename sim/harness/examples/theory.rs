//! Runs of `scenarios/theory` against their formulas, as long as wished:
//! `cargo run -p mesh-harness --example theory -- [FACTOR [SCENARIO]]` (durations times FACTOR, 16 seeds).
#![expect(clippy::print_stdout, reason = "a developer's tool")]

#[path = "../../../tests/suite/theory.rs"]
mod theory;

use std::collections::BTreeMap;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let factor: f64 = words.first().map_or(1.0, |w| w.parse().expect("a factor"));
    let mut by_scenario: BTreeMap<String, Vec<theory::Expected>> = BTreeMap::new();
    for one in theory::expected() {
        if words.get(1).is_none_or(|name| *name == one.scenario) {
            by_scenario.entry(one.scenario.clone()).or_default().push(one);
        }
    }
    println!("SCENARIO         STATISTIC       FORMULA     MEASURED  ± 99.9%      OFF");
    for (scenario, wanted) in by_scenario {
        let names: Vec<&str> = wanted.iter().map(|w| w.statistic.as_str()).collect();
        let measured = theory::measure(&scenario, &names, 16, factor);
        for one in wanted {
            let m = &measured[&one.statistic];
            let off = (m.mean - one.value) / one.value * 100.0;
            let inside = (m.mean - one.value).abs() <= m.half + one.uncertainty;
            let mark = match inside {
                true if m.half <= one.widest * one.value => "",
                true => "  too wide to say anything",
                false => "  outside",
            };
            println!(
                "{scenario:<16} {:<14} {:>9.5} {:>12.5} {:>9.5} {off:>+7.2}%{mark}",
                one.statistic, one.value, m.mean, m.half
            );
        }
    }
}
