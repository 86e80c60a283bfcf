//! The requests that the cases of a policy test send, predicted with their steps: what coverage counts.

use mesh_config::source::Sources;

use super::{TestOptions, cases, names};
use crate::coverage::Asked;
use crate::document::PolicyDocument;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;

/// The mesh of a policy test and what its cases ask; `None` when it cannot be judged. Cases that send nothing, or name
/// what does not exist, ask nothing.
pub(crate) fn of_policy(
    document: &PolicyDocument,
    sources: Sources,
    options: &TestOptions,
) -> Option<(LoadedMesh, Behaviors, Vec<Asked>)> {
    let file = document.heading.file.to_string_lossy();
    let cases::Prepared { mesh, behaviors } = cases::prepare(document, sources).ok()?;
    let mut asked = Vec::new();
    for case in document.cases.iter().filter(|c| options.takes(&file, &c.name)) {
        let (Some(from), Some(request)) = (&case.from, &case.request) else { continue };
        if !names::missing(case, &mesh).is_empty() {
            continue;
        }
        let predictions = cases::answers(from, &request.value, &mesh, &behaviors, true);
        let test = format!("{file}: {}", case.name);
        asked.extend(predictions.ok().map(|predictions| Asked { test, predictions }));
    }
    Some((mesh, behaviors, asked))
}
