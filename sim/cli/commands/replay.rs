//! `replay`: past requests, from access logs, against proposed manifests.

use std::io::Read as _;

use mesh_harness::loaded::{LoadedMesh, MeshInput};
use mesh_harness::replay::replay as replayed;
use mesh_reports::replay::{ReplayReport, markdown, table};

use super::{explain, inputs, output};
use crate::args::{Global, Output, ReplayArgs};
use crate::diagnostics;
use crate::exit::Exit;

const REPORTS: [&str; 3] = ["json", "yaml", "markdown"];

/// The command.
pub(crate) fn replay(args: &ReplayArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let form = global.output.unwrap_or(Output::Table).name();
    if !REPORTS.contains(&form) && form != "table" {
        return output::no_such_format("replay", global, &["table", "json", "yaml", "markdown"]);
    }
    if args.manifests.filename.is_empty() {
        anstream::eprintln!("error: replay needs manifests: mesh-sim replay access.log -f k8s/");
        return Exit::Usage;
    }
    let from = match args.from.as_deref().map(|from| explain::client(from, None)).transpose() {
        Ok(from) => from,
        Err(why) => {
            anstream::eprintln!("error: --from: {why}");
            return Exit::Usage;
        }
    };
    let mut logs = Vec::new();
    for path in &args.logs {
        match text(path) {
            Ok(text) => logs.push((path.clone(), text)),
            Err(e) => {
                anstream::eprintln!("error: cannot read {path}: {e}");
                return Exit::Input;
            }
        }
    }
    let read = inputs::read(&args.manifests, &[]);
    let mut input = MeshInput { namespace: args.manifests.namespace.clone(), ..MeshInput::default() };
    if let Some(from) = &from {
        input.note_client(from);
    }
    let mesh = LoadedMesh::of_objects(read.sources, read.objects, &input, read.diagnostics);
    diagnostics::show(&mesh.sources, &inputs::suppressed(mesh.diagnostics.clone(), global), global);
    if mesh.has_errors() {
        return Exit::Input;
    }
    let report = replayed(&mesh, &logs, from.as_ref());
    let mut exit = output::stdout(&shown(&report, form));
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &shown(&report, &target.kind)));
    }
    if report.replayed == 0 {
        anstream::eprintln!("error: no line of the logs could be replayed");
        return exit.worst(Exit::Nothing);
    }
    let failed = !report.different.is_empty() || (global.strict && !report.unknown.is_empty());
    if failed { exit.worst(Exit::Failed) } else { exit }
}

fn text(path: &str) -> std::io::Result<String> {
    if path == "-" {
        let mut text = String::new();
        return std::io::stdin().read_to_string(&mut text).map(|_| text);
    }
    // A log may hold any bytes a client sent.
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn shown(report: &ReplayReport, form: &str) -> String {
    match form {
        "json" => output::json(report),
        "yaml" => output::yaml(report),
        "markdown" => markdown(report),
        _ => table(report),
    }
}
