//! The dynamic recordings, judged: `cargo run -p mesh-harness --example recordings -- [NAME | DIRECTORY]`;
//! with `--mutations [NAME]` each against wrong versions of its scenario, of which those that pass are printed.
#![expect(clippy::print_stdout, reason = "a developer's tool")]

use std::path::Path;

use mesh_harness::conformance::dynamic::mutation::{Mutation, mutated, mutations};
use mesh_harness::conformance::dynamic::{Recording, judge_all, read};
use mesh_reports::conformance::Verdict;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let wrong = words.first().is_some_and(|word| word == "--mutations");
    if wrong {
        words.remove(0);
    }
    let wanted = words.pop().unwrap_or_default();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/dynamic");
    let elsewhere = Path::new(&wanted);
    let is_directory = elsewhere.is_dir();
    let mut recordings = read(if is_directory { elsewhere } else { &corpus }).expect("recordings");
    recordings.retain(|r| is_directory || r.name.contains(&wanted));
    if wrong {
        return refuse(&recordings);
    }
    println!("{}", judge_all(&recordings).table());
}

fn refuse(recordings: &[Recording]) {
    let scratch = std::env::temp_dir().join(format!("mesh-sim-mutations-{}", std::process::id()));
    let mut passed = Vec::new();
    let mut judged = 0;
    for (i, mutation) in mutations().into_iter().enumerate() {
        let Some(recording) = recordings.iter().find(|r| r.name == mutation.recording) else { continue };
        let wrong = mutated(recording, &mutation, &scratch.join(i.to_string())).expect("a wrong scenario");
        let report = judge_all(&[wrong]);
        let case = report.cases.first().expect("a verdict");
        judged += 1;
        println!("{:?} {}", case.verdict, line(&mutation));
        for difference in case.differences.iter().take(2) {
            println!("    {} {:?} {}", difference.key, difference.predicted, difference.observed);
        }
        if let Some(reason) = &case.reason {
            println!("    {reason}");
        }
        if case.verdict != Verdict::Disagree {
            passed.push(mutation);
        }
    }
    std::fs::remove_dir_all(&scratch).ok();
    println!("{judged} wrong scenarios, {} not refused", passed.len());
    for mutation in passed {
        println!("not refused: {}", line(&mutation));
    }
}

fn line(m: &Mutation) -> String {
    format!("{}: {} `{}` -> `{}`", m.recording, m.file, m.from, m.to).replace('\n', "\\n")
}
