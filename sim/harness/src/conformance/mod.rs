//! `mesh-sim conformance`: judges predictions by recorded answers of a real mesh (FORMATS section 4).
//!
//! [`case`] reads the corpus, [`judge`] compares. Where predictions come from is the caller's business: see
//! [`run`], which asks for one prediction per case.

pub mod admission;
pub mod case;
mod counts;
pub mod dynamic;
pub mod judge;
pub mod predictor;
pub mod translation;
pub mod yaml;

use mesh_reports::conformance::{CaseResult, ConformanceReport, Prediction, Verdict};
use mesh_reports::outcome::Outcome;

use case::{Case, CorpusMesh};

/// What to judge.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only this mesh.
    pub mesh: Option<String>,
    /// Only this case id.
    pub case: Option<String>,
}

impl Selection {
    fn takes_mesh(&self, mesh: &CorpusMesh) -> bool {
        self.mesh.as_ref().is_none_or(|m| *m == mesh.name)
    }

    fn takes_case(&self, case: &Case) -> bool {
        self.case.as_ref().is_none_or(|c| *c == case.id)
    }
}

/// Judges every selected case of the corpus. `predictor` is asked once per mesh for a function that predicts its
/// cases; either may answer with a reason why there is no prediction, which makes the cases unsupported.
pub fn run<P>(
    meshes: &[CorpusMesh],
    selection: &Selection,
    predictor: impl Fn(&CorpusMesh) -> Result<P, String>,
) -> ConformanceReport
where
    P: Fn(&Case) -> Result<Vec<Outcome>, String>,
{
    let mut report = ConformanceReport::default();
    for mesh in meshes.iter().filter(|m| selection.takes_mesh(m)) {
        let predict = predictor(mesh);
        for case in mesh.cases.iter().filter(|c| selection.takes_case(c)) {
            let predicted = predict.as_ref().map_err(Clone::clone).and_then(|p| p(case));
            report.push(result(mesh, case, predicted));
        }
    }
    report
}

fn result(mesh: &CorpusMesh, case: &Case, predicted: Result<Vec<Outcome>, String>) -> CaseResult {
    let (mesh, id) = (mesh.name.clone(), case.id.clone());
    match predicted {
        Ok(predicted) => {
            let judged = judge::judge(case, &predicted);
            CaseResult {
                mesh,
                id,
                verdict: judged.verdict,
                reason: judged.reason,
                predicted: predicted.into_iter().map(Prediction::from).collect(),
                differences: judged.differences,
                also: judged.also,
            }
        }
        Err(reason) => CaseResult {
            mesh,
            id,
            verdict: Verdict::Unsupported,
            reason: Some(reason),
            predicted: vec![],
            differences: vec![],
            also: vec![],
        },
    }
}
