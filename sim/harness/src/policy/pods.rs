//! `pod:` cases: what a pod is, without sending anything.

use mesh_reports::checks::KeyDifference;

use crate::directory::Directory;
use crate::format::client::WorkloadRef;
use crate::format::policy::ExpectWords;

/// Where the pod differs from the expectation.
///
/// # Errors
/// When there is no such pod.
pub(super) fn differences(
    reference: &WorkloadRef,
    expect: &ExpectWords,
    directory: &Directory,
) -> Result<Vec<KeyDifference>, String> {
    let found = directory.find(reference);
    if found.is_empty() {
        let hint =
            directory.nearest(reference).map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
        return Err(format!("there is no pod `{reference}` in this mesh{hint}"));
    }
    let mut differences = Vec::new();
    for pod in found {
        let mut compare = |key: &str, expected: Option<String>, got: String| {
            if let Some(expected) = expected.filter(|e| *e != got) {
                differences.push(KeyDifference { key: key.to_owned(), expected, got });
            }
        };
        compare("sidecar", expect.sidecar.as_ref().map(|v| v.value.to_string()), pod.sidecar.to_string());
        compare("gateway", expect.gateway.as_ref().map(|v| v.value.to_string()), pod.gateway.to_string());
        compare(
            "containers",
            expect.containers.as_ref().map(|v| v.value.to_string()),
            pod.containers.to_string(),
        );
    }
    Ok(differences)
}
