//! Tests of the partition, on the recorded meshes and on small ones.

use std::path::Path;

use mesh_config::source::Sources;

use super::*;
use crate::format::mesh::MeshWords;
use crate::loaded::MeshInput;

fn mesh(manifests: &[&str]) -> LoadedMesh {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let words =
        MeshWords { manifests: manifests.iter().map(|m| (*m).to_owned()).collect(), ..MeshWords::default() };
    let input = MeshInput { words, ..MeshInput::default() };
    let mesh = LoadedMesh::load(Sources::default(), &input, &root);
    assert!(!mesh.has_errors(), "{:?}", mesh.diagnostics);
    mesh
}

fn one(manifests: &[&str], scope: &Scope) -> (LoadedMesh, Space) {
    let mesh = populated(vec![mesh(manifests)]).remove(0);
    let space = Space::of(&[&mesh], scope);
    (mesh, space)
}

#[test]
fn headers_that_routes_name_make_classes() {
    let scope = Scope { from: WorkloadRef::parse("default/productpage-v1"), ..Scope::default() };
    let (mesh, space) = one(
        &[
            "scenarios/meshes/bookinfo/app.yaml",
            "scenarios/meshes/bookinfo/destination-rule-all.yaml",
            "scenarios/meshes/bookinfo/reviews-jason-v2-else-v1.yaml",
        ],
        &scope,
    );
    let reviews: Vec<&str> =
        space.classes.iter().map(|c| c.key.as_str()).filter(|k| k.contains("//reviews.")).collect();
    assert_eq!(
        reviews,
        [
            "GET http://reviews.default.svc.cluster.local:9080/ end-user=jason from default/productpage-v1",
            "GET http://reviews.default.svc.cluster.local:9080/ from default/productpage-v1",
        ]
    );
    assert!(space.limits.is_empty(), "{:?}", space.limits);
    for class in &space.classes {
        assert!(outcomes(&mesh, class).is_ok(), "{}", class.key);
    }
}
