//! `init`: a first scenario for the manifests at hand, or a CI configuration.

use std::fmt::Write as _;
use std::path::{Component, Path};

use mesh_harness::loaded::{LoadedMesh, MeshInput};

use super::{inputs, output};
use crate::args::{Ci, Global, InitArgs};
use crate::diagnostics;
use crate::exit::Exit;

const GITHUB: &str = include_str!("../../../docs/examples/github-actions.yml");
const GITLAB: &str = include_str!("../../../docs/examples/gitlab-ci.yml");
const PRE_COMMIT: &str = include_str!("../../../docs/examples/pre-commit-config.yaml");

/// The command.
pub(crate) fn init(args: &InitArgs, global: &Global) -> Exit {
    match args.ci {
        Some(Ci::Github) => return output::stdout(GITHUB),
        Some(Ci::Gitlab) => return output::stdout(GITLAB),
        Some(Ci::PreCommit) => return output::stdout(PRE_COMMIT),
        None => {}
    }
    if args.manifests.filename.is_empty() {
        anstream::eprintln!(
            "error: init needs manifests: mesh-sim init -f k8s/ --write scenarios/first.yaml"
        );
        return Exit::Usage;
    }
    let read = inputs::read(&args.manifests, &[]);
    let input = MeshInput { namespace: args.manifests.namespace.clone(), ..MeshInput::default() };
    let mesh = LoadedMesh::of_objects(read.sources, read.objects, &input, read.diagnostics);
    diagnostics::show(&mesh.sources, &inputs::suppressed(mesh.diagnostics.clone(), global), global);
    if mesh.has_errors() {
        return Exit::Input;
    }
    let manifests: Vec<String> =
        args.manifests.filename.iter().map(|f| relative(f, args.write.as_deref())).collect();
    match scenario(&mesh, &manifests) {
        Some(text) => match &args.write {
            Some(path) if path.exists() => {
                anstream::eprintln!("error: {} exists already", path.display());
                Exit::Input
            }
            Some(path) => output::file(path, &text),
            None => output::stdout(&text),
        },
        None => {
            anstream::eprintln!(
                "error: the manifests hold no workload that could send a request to a service"
            );
            Exit::Nothing
        }
    }
}

/// A path of the command line as a file at `at` must spell it.
pub(super) fn relative(path: &str, at: Option<&Path>) -> String {
    let below = at.and_then(Path::parent).unwrap_or(Path::new(""));
    let plain = below.components().all(|c| matches!(c, Component::Normal(_)));
    if Path::new(path).is_absolute() {
        return path.to_owned();
    }
    if plain {
        return "../".repeat(below.components().count()) + path;
    }
    // Out of the current directory no number of `..` is certain.
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned())
}

/// One traffic from the first workload with a sidecar to every HTTP service port.
fn scenario(mesh: &LoadedMesh, manifests: &[String]) -> Option<String> {
    let client = mesh.directory.pods.iter().find(|p| p.sidecar).or_else(|| mesh.directory.pods.first())?;
    let mut traffic = String::new();
    for service in &mesh.lowering.mesh.services {
        let host = service.host.as_str();
        let Some(port) = service.ports.iter().find(|p| p.protocol.is_http_or_sniffed()) else { continue };
        if host.starts_with('*') || host.contains(&format!("{}.", client.workload)) {
            continue;
        }
        let name = host.split('.').next().unwrap_or(host);
        let _ = write!(
            traffic,
            "    - name: to-{name}-{}\n      from: {}/{}\n      request: GET http://{host}:{}/\n      rate: 10/s\n",
            port.number, client.namespace, client.workload, port.number
        );
    }
    if traffic.is_empty() {
        return None;
    }
    let files: Vec<String> = manifests.iter().map(|f| format!("{f:?}")).collect();
    Some(format!(
        "# Made by `mesh-sim init`: adjust traffic, say what pods do (behaviors), and add the gates you care about.\n\
         # Paths are relative to this file.\n\
         apiVersion: mesh-sim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: first}}\nspec:\n  seed: 1\n  duration: 60s\n  mesh:\n    manifests: [{}]\n  traffic:\n{traffic}  expect:\n    - {{metric: success_rate, is: \">= 99.9%\"}}\n    - {{never: {{flags: NC}}}}\n    - {{never: {{flags: UH}}}}\n",
        files.join(", ")
    ))
}
