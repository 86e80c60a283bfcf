//! `conformance`: predictions against recorded answers of a real mesh.

use mesh_harness::conformance::{Selection, admission, case, dynamic, predictor, run, translation, yaml};
use mesh_harness::istio;
use mesh_reports::conformance::ConformanceReport;

use super::output;
use crate::args::{ConformanceArgs, Global, Judge, Output};
use crate::exit::Exit;
use crate::progress::Progress;

/// The command.
pub(crate) fn conformance(args: &ConformanceArgs, global: &Global) -> Exit {
    let progress = Progress::start("judging recorded answers", global);
    let judged = match args.judge.as_slice() {
        [Judge::Istio] => istio_tests(args),
        _ => judge(args).map_err(|e| e.to_string()),
    };
    let report = match judged {
        Ok(report) => report,
        Err(e) => {
            anstream::eprintln!("error: {e}");
            return Exit::Input;
        }
    };
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

/// Cases made from Istio's own tests, from where their archive was unpacked.
fn istio_tests(args: &ConformanceArgs) -> Result<ConformanceReport, String> {
    let mut report = istio::judge_all(&args.dir)?;
    let wanted = |name: &str, wish: &Option<String>| wish.as_ref().is_none_or(|w| w == name);
    report.retain(|case| wanted(&case.mesh, &args.mesh) && wanted(&case.id, &args.case));
    Ok(report)
}

fn judge(args: &ConformanceArgs) -> Result<ConformanceReport, case::CorpusError> {
    let corpus = case::read_corpus(&args.dir)?;
    let wanted = |judge: Judge| args.judge.is_empty() || args.judge.contains(&judge);
    let mut report = ConformanceReport::default();
    let mut add = |judged: ConformanceReport| {
        for case in judged.cases {
            let mesh = args.mesh.as_ref().is_none_or(|m| *m == case.mesh);
            if mesh && args.case.as_ref().is_none_or(|c| *c == case.id) {
                report.push(case);
            }
        }
    };
    if wanted(Judge::Requests) {
        let selection = Selection { mesh: args.mesh.clone(), case: args.case.clone() };
        add(run(&corpus, &selection, |mesh| {
            let loaded = predictor::load(mesh)?;
            Ok(move |case: &case::Case| predictor::predict_case(&loaded, case))
        }));
    }
    // Whole groups are passed over when only one mesh of another group is asked for.
    let group =
        |name: &str| args.mesh.as_deref().is_none_or(|m| m == name || m.starts_with(&format!("{name}/")));
    if wanted(Judge::Translation) && group("translation") {
        add(translation::judge_all(&corpus)?);
    }
    if wanted(Judge::Admission) && group("admission") {
        add(admission::judge_all(&admission::read(&args.dir)?));
    }
    if wanted(Judge::Yaml) && group("yaml") {
        add(yaml::judge_all(&yaml::read(&args.dir)?));
    }
    let over_time = args.dir.join("dynamic");
    if wanted(Judge::Dynamic) && group("dynamic") && over_time.is_dir() {
        let mut recordings = dynamic::read(&over_time)?;
        recordings.retain(|r| args.case.as_ref().is_none_or(|c| *c == r.name));
        add(dynamic::judge_all(&recordings));
    }
    Ok(report)
}

fn failed(report: &ConformanceReport, strict: bool) -> bool {
    report.totals.values().any(|t| t.disagree > 0 || (strict && t.unsupported > 0))
}
