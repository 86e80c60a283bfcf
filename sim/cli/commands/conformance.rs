//! `conformance`: predictions against recorded answers of a real mesh.

use mesh_harness::conformance::{Selection, admission, case, dynamic, predictor, run, translation, yaml};
use mesh_harness::istio;
use mesh_reports::conformance::ConformanceReport;

use super::output;
use crate::args::{ConformanceArgs, Global, Judge, Output};
use crate::exit::Exit;
use crate::interrupt::{self, Out};
use crate::progress::Progress;

/// Recordings over time that are judged together: they share the threads, and an interrupt loses them together.
const DYNAMIC_AT_ONCE: usize = 16;

/// The command.
pub(crate) fn conformance(args: &ConformanceArgs, global: &Global) -> Exit {
    let progress = Progress::start("judging recorded answers", global);
    let work = args.clone();
    let (pieces, interrupted) = interrupt::pieces(move |out| {
        let judged = match work.judge.as_slice() {
            [Judge::Istio] => istio_tests(&work).map(|report| out.put(Ok(report))),
            _ => judge(&work, out).map_err(|e| e.to_string()),
        };
        if let Err(why) = judged {
            out.put(Err(why));
        }
    });
    progress.finish();
    let mut report = ConformanceReport { interrupted, ..ConformanceReport::default() };
    for piece in pieces {
        match piece {
            Ok(more) => report.merge(more),
            Err(e) => {
                anstream::eprintln!("error: {e}");
                return Exit::Input;
            }
        }
    }
    if interrupted {
        return shown(&report, global).worst(Exit::Interrupted);
    }
    if report.cases.is_empty() {
        anstream::eprintln!("error: no case matched");
        return Exit::Nothing;
    }
    shown(&report, global).worst(if failed(&report, global.strict) { Exit::Failed } else { Exit::Good })
}

fn shown(report: &ConformanceReport, global: &Global) -> Exit {
    match global.output.unwrap_or(Output::Table) {
        Output::Json => output::stdout(&output::json(report)),
        Output::Table | Output::Wide => output::stdout(&report.table()),
        other => {
            anstream::eprintln!("error: conformance has no output {other:?}; it has table and json");
            Exit::Usage
        }
    }
}

/// Cases made from Istio's own tests, from where their archive was unpacked.
fn istio_tests(args: &ConformanceArgs) -> Result<ConformanceReport, String> {
    let mut report = istio::judge_all(&args.dir)?;
    let wanted = |name: &str, wish: &Option<String>| wish.as_ref().is_none_or(|w| w == name);
    report.retain(|case| wanted(&case.mesh, &args.mesh) && wanted(&case.id, &args.case));
    Ok(report)
}

/// What became of one part of the corpus.
type Piece = Result<ConformanceReport, String>;

/// One piece per mesh and kind of recording.
fn judge(args: &ConformanceArgs, out: &Out<Piece>) -> Result<(), case::CorpusError> {
    let corpus = case::read_corpus(&args.dir)?;
    let wanted = |judge: Judge| args.judge.is_empty() || args.judge.contains(&judge);
    let add = |mut judged: ConformanceReport| {
        judged.retain(|case| {
            let mesh = args.mesh.as_ref().is_none_or(|m| *m == case.mesh);
            mesh && args.case.as_ref().is_none_or(|c| *c == case.id)
        });
        out.put(Ok(judged));
    };
    if wanted(Judge::Requests) {
        let selection = Selection { mesh: args.mesh.clone(), case: args.case.clone() };
        for mesh in &corpus {
            add(run(std::slice::from_ref(mesh), &selection, |mesh| {
                let loaded = predictor::load(mesh)?;
                Ok(move |case: &case::Case| predictor::predict_case(&loaded, case))
            }));
        }
    }
    // Whole groups are passed over when only one mesh of another group is asked for.
    let group =
        |name: &str| args.mesh.as_deref().is_none_or(|m| m == name || m.starts_with(&format!("{name}/")));
    if wanted(Judge::Translation) && group("translation") {
        for mesh in &corpus {
            add(translation::judge_all(std::slice::from_ref(mesh))?);
        }
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
        for recording in recordings.chunks(DYNAMIC_AT_ONCE) {
            add(dynamic::judge_all(recording));
        }
    }
    Ok(())
}

fn failed(report: &ConformanceReport, strict: bool) -> bool {
    report.totals.values().any(|t| t.disagree > 0 || (strict && t.unsupported > 0))
}
