//! Static findings about a set of manifests: admission first, then what the mesh as a whole would silently not do.

use mesh_config::analysis::analyze;
use mesh_config::check;
use mesh_config::diagnostic::{Code, Diagnostic, Severity, codes};
use mesh_config::document::RawObject;
use mesh_config::load;
use mesh_config::source::Sources;

use crate::loaded::{LoadedMesh, MeshInput};
use crate::space::shadows;

/// Everything found, in order of file and line; errors of admission stop the rest for their object only.
#[must_use]
pub fn lint(
    sources: Sources,
    objects: Vec<RawObject>,
    reading: Vec<Diagnostic>,
    input: &MeshInput,
) -> (Sources, Vec<Diagnostic>) {
    let mut found = reading;
    found.extend(load::admission(&objects));
    let refused: Vec<_> =
        found.iter().filter(|d| d.severity == Severity::Error).filter_map(|d| d.object.clone()).collect();
    let admitted = objects.into_iter().filter(|o| !refused.contains(&o.reference())).collect();
    let mesh = LoadedMesh::of_objects(sources, admitted, input, Vec::new());
    for diagnostic in &mesh.diagnostics {
        if !found.contains(diagnostic) {
            found.push(diagnostic.clone());
        }
    }
    let security = check::security(&mesh.lowering);
    found.extend(analyze(&mesh.lowering.mesh).into_iter().filter(|d| !said_better(d, &security)));
    found.extend(security);
    // What istiod's own analysis says already is not said again.
    let said: Vec<_> = found.iter().flat_map(|d| &d.labels).map(|l| l.span).collect();
    found.extend(shadows(&mesh).into_iter().filter(|d| !said.contains(&d.span())));
    found.sort_by_key(|d| d.labels.first().map(|l| (l.span.file, l.span.start)));
    (mesh.sources, found)
}

/// istioctl's finding, where a security check says the same with what was probably meant.
fn said_better(finding: &Diagnostic, security: &[Diagnostic]) -> bool {
    let twins: &[Code] = match finding.code {
        codes::POLICY_SELECTS_NOTHING => &[codes::POLICY_FOR_NOBODY, codes::ENFORCED_NOWHERE],
        codes::UNKNOWN_NAMESPACE => &[codes::NO_SUCH_NAMESPACE],
        _ => return false,
    };
    security.iter().any(|d| twins.contains(&d.code) && d.object == finding.object)
}

#[cfg(test)]
#[path = "lint/tests.rs"]
mod tests;
