//! `conformance`: predictions against recorded answers of a real mesh.

use mesh_harness::conformance::{Selection, case, dynamic, predictor, run};
use mesh_reports::conformance::ConformanceReport;

use super::output;
use crate::args::{ConformanceArgs, Global, Judge, Output};
use crate::exit::Exit;
use crate::progress::Progress;

/// The command.
pub(crate) fn conformance(args: &ConformanceArgs, global: &Global) -> Exit {
    let corpus = match case::read_corpus(&args.dir) {
        Ok(corpus) => corpus,
        Err(e) => {
            anstream::eprintln!("error: {e}");
            return Exit::Input;
        }
    };
    let selection = Selection { mesh: args.mesh.clone(), case: args.case.clone() };
    let progress = Progress::start("judging recorded requests", global);
    let wanted = |judge: Judge| args.judge.is_empty() || args.judge.contains(&judge);
    let mut report = ConformanceReport::default();
    if wanted(Judge::Requests) {
        report = run(&corpus, &selection, |mesh| {
            let loaded = predictor::load(mesh)?;
            Ok(move |case: &case::Case| predictor::predict_case(&loaded, case))
        });
    }
    let over_time = args.dir.join("dynamic");
    if wanted(Judge::Dynamic) && over_time.is_dir() && args.mesh.as_deref().is_none_or(|m| m == "dynamic") {
        match dynamic::read(&over_time) {
            Ok(mut recordings) => {
                recordings.retain(|r| args.case.as_ref().is_none_or(|c| *c == r.name));
                for case in dynamic::judge_all(&recordings).cases {
                    report.push(case);
                }
            }
            Err(e) => {
                anstream::eprintln!("error: {e}");
                return Exit::Input;
            }
        }
    }
    progress.finish();
    if report.cases.is_empty() {
        anstream::eprintln!("error: no case matched");
        return Exit::Nothing;
    }
    let printed = match global.output.unwrap_or(Output::Table) {
        Output::Json => output::stdout(&output::json(&report)),
        Output::Table | Output::Wide => output::stdout(&report.table()),
        other => {
            anstream::eprintln!("error: conformance has no output {other:?}; it has table and json");
            return Exit::Usage;
        }
    };
    printed.worst(if failed(&report, global.strict) { Exit::Failed } else { Exit::Good })
}

fn failed(report: &ConformanceReport, strict: bool) -> bool {
    report.totals.values().any(|t| t.disagree > 0 || (strict && t.unsupported > 0))
}
