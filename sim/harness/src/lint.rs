//! Static findings about a set of manifests: admission first, then what the mesh as a whole would silently not do.

use mesh_config::analysis::analyze;
use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::document::RawObject;
use mesh_config::load;
use mesh_config::source::Sources;

use crate::loaded::{LoadedMesh, MeshInput};

/// Everything found, in order of file and line; errors of admission stop the rest for their object only.
#[must_use]
pub fn lint(
    sources: Sources,
    objects: Vec<RawObject>,
    reading: Vec<Diagnostic>,
    namespace: &str,
) -> (Sources, Vec<Diagnostic>) {
    let mut found = reading;
    found.extend(load::admission(&objects));
    let refused: Vec<_> =
        found.iter().filter(|d| d.severity == Severity::Error).filter_map(|d| d.object.clone()).collect();
    let admitted = objects.into_iter().filter(|o| !refused.contains(&o.reference())).collect();
    let input = MeshInput { namespace: namespace.to_owned(), ..MeshInput::default() };
    let mesh = LoadedMesh::of_objects(sources, admitted, &input, Vec::new());
    for diagnostic in mesh.diagnostics {
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    found.extend(analyze(&mesh.lowering.mesh));
    found.sort_by_key(|d| d.labels.first().map(|l| (l.span.file, l.span.start)));
    (mesh.sources, found)
}
