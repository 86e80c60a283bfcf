//! `diff`: which requests end differently under two configurations.

use mesh_harness::diff::{DiffOptions, Side, clients, diff as compare};
use mesh_harness::document::{ScenarioDocument, TestDocument, read_file};
use mesh_harness::format::client::WorkloadRef;
use mesh_harness::loaded::{LoadedMesh, MeshInput};
use mesh_harness::space::{Scope, all_populated};
use mesh_reports::diff::{Category, DiffReport};
use mesh_reports::render::diff as render;

use super::{inputs, output};
use crate::args::{DiffArgs, Global, Manifests, Output};
use crate::diagnostics;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Progress;

const REPORTS: [&str; 4] = ["json", "yaml", "markdown", "github"];

/// The command.
pub(crate) fn diff(args: &DiffArgs, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let options = match options(args) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    interrupt::asks(&options.stop);
    let scenarios = match scenarios(args, global) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let (base, head) = match (mesh(args, &args.base, global), mesh(args, &args.head, global)) {
        (Ok(base), Ok(head)) => (base, head),
        _ => return Exit::Input,
    };
    let progress = Progress::start(&format!("comparing {} and {}", args.base, args.head), global);
    let wanted = clients(&scenarios);
    let [base, head] = [base, head].map(|mesh| mesh.with_clients(&wanted));
    let meshes = all_populated(&[&base, &head]);
    let [base, head] = meshes.as_slice() else { return Exit::Internal };
    let report = compare(
        &Side { name: &args.base, mesh: base },
        &Side { name: &args.head, mesh: head },
        &scenarios,
        &options,
    );
    progress.finish();
    let mut exit = print(&report, global);
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &text(&report, &target.kind)));
    }
    if options.stop.asked() {
        exit = exit.worst(Exit::Interrupted);
    } else if report.asked == 0 {
        anstream::eprintln!(
            "error: no request could be asked on both sides: do the manifests hold workloads?"
        );
        return exit.worst(Exit::Nothing);
    }
    let unproved = global.strict && !report.limits.is_empty();
    if report.differs() || unproved { exit.worst(Exit::Failed) } else { exit }
}

fn options(args: &DiffArgs) -> Result<DiffOptions, Exit> {
    let mut allowed = Vec::new();
    for word in args.allow.iter().flat_map(|a| a.split(',')) {
        match Category::parse(word.trim()) {
            Some(category) => allowed.push(category),
            None => {
                let all: Vec<&str> = Category::ALL.iter().map(|c| c.word()).collect();
                anstream::eprintln!("error: --allow {word}: it is one of {}", all.join(", "));
                return Err(Exit::Usage);
            }
        }
    }
    let reference = |name: &str, text: &Option<String>| match text.as_deref().map(WorkloadRef::parse) {
        None => Ok(None),
        Some(Some(reference)) => Ok(Some(reference)),
        Some(None) => {
            anstream::eprintln!("error: {name} needs NS/WORKLOAD");
            Err(Exit::Usage)
        }
    };
    let scope = Scope {
        from: reference("--from", &args.from)?,
        to: reference("--to", &args.to)?,
        max_classes: args.max_classes,
        ..Scope::default()
    };
    let stop = scope.stop.clone();
    Ok(DiffOptions { scope, witnesses: args.witnesses, allowed, stop })
}

fn scenarios(args: &DiffArgs, global: &Global) -> Result<Vec<ScenarioDocument>, Exit> {
    let mut all = Vec::new();
    for path in &args.scenario {
        let read = read_file(path, &[]);
        diagnostics::show(&read.sources, &read.diagnostics, global);
        if read.has_errors() {
            return Err(Exit::Input);
        }
        all.extend(read.documents.into_iter().filter_map(|d| match d {
            TestDocument::Scenario(scenario) => Some(*scenario),
            TestDocument::Policy(_) => None,
        }));
    }
    Ok(all)
}

fn mesh(args: &DiffArgs, side: &str, global: &Global) -> Result<LoadedMesh, Exit> {
    let manifests = Manifests {
        filename: vec![side.to_owned()],
        recursive: true,
        namespace: args.namespace.clone(),
        jwks: Vec::new(),
        mesh_config: None,
    };
    let read = inputs::read(&manifests, &[]);
    let input = MeshInput { namespace: args.namespace.clone(), ..MeshInput::default() };
    let mut found = read.diagnostics;
    found.extend(mesh_config::load::admission(&read.objects));
    let mesh = LoadedMesh::of_objects(read.sources, read.objects, &input, found);
    diagnostics::show(&mesh.sources, &inputs::suppressed(mesh.diagnostics.clone(), global), global);
    if mesh.has_errors() { Err(Exit::Input) } else { Ok(mesh) }
}

fn print(report: &DiffReport, global: &Global) -> Exit {
    let kind = match global.output.unwrap_or(Output::Table) {
        Output::Table | Output::Wide => "table",
        Output::Json => "json",
        Output::Yaml => "yaml",
        Output::Markdown => "markdown",
        Output::Github => "github",
        other => {
            anstream::eprintln!(
                "error: diff has no output {other:?}; it has table, json, yaml, markdown, github"
            );
            return Exit::Usage;
        }
    };
    output::stdout(&text(report, kind))
}

fn text(report: &DiffReport, kind: &str) -> String {
    match kind {
        "json" => output::json(report),
        "yaml" => output::yaml(report),
        "markdown" => render::markdown(report),
        "github" => render::github(report),
        _ => render::table(report),
    }
}
