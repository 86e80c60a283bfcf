//! What the cases of a policy test ask, predicted with every step: what coverage counts.

use mesh_config::source::Sources;

use super::{TestOptions, audit, cases, for_all, names};
use crate::document::PolicyDocument;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::predict::Prediction;
use crate::snapshot;

/// The mesh of a policy test; `None` when it cannot be judged.
pub(crate) fn mesh(document: &PolicyDocument, sources: Sources) -> Option<(LoadedMesh, Behaviors)> {
    cases::prepare(document, sources).ok().map(|p| (p.mesh, p.behaviors))
}

/// Shows `visit` every case (`file: name`) and snapshot with all outcomes it looks at. Cases that look at none, or name
/// what does not exist, are passed over.
pub(crate) fn visit(
    document: &PolicyDocument,
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    options: &TestOptions,
    mut visit: impl FnMut(String, Vec<Prediction>),
) {
    let file = document.heading.file.to_string_lossy();
    for case in document.cases.iter().filter(|c| options.takes(&file, &c.name)) {
        if !names::missing(case, mesh).is_empty() {
            continue;
        }
        let outcomes = match (&case.from, &case.request, &case.for_all, &case.audit) {
            (Some(from), Some(request), ..) => {
                cases::outcomes(case, from, &request.value, mesh, behaviors, true).unwrap_or_default()
            }
            (_, _, Some(words), _) => for_all::asked((document, case), words, mesh, behaviors),
            (_, _, _, Some(words)) => audit::asked(words, mesh, behaviors),
            _ => continue,
        };
        visit(format!("{file}: {}", case.name), outcomes);
    }
    for words in &document.spec.snapshots {
        let name = format!("snapshot {}", words.name);
        if options.takes(&file, &name) {
            visit(format!("{file}: {name}"), snapshot::asked(words, mesh, behaviors));
        }
    }
}
