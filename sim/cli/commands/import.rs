//! `import`: tests of other tools, as a PolicyTest or judged at once.

use std::path::Path;

use mesh_config::diagnostic::{Severity, codes};
use mesh_config::input::{Expand, expand};
use mesh_config::load::text_of_bytes;
use mesh_config::source::{FileId, Sources};
use mesh_config::yaml::parse_stream;
use mesh_harness::import::{Format, Imported, Order, import as imported, judge};
use mesh_harness::policy::TestOptions;
use mesh_harness::stop::Stop;
use mesh_reports::checks::TestReport;

use super::{explain, init, inputs, output, test};
use crate::args::{Global, ImportArgs, ImportFormat, Output};
use crate::diagnostics;
use crate::exit::Exit;

/// The command.
pub(crate) fn import(args: &ImportArgs, global: &Global) -> Exit {
    let order = match order(args) {
        Ok(order) => order,
        Err(exit) => return exit,
    };
    let made = imported(&order);
    diagnostics::show(&made.sources, &inputs::suppressed(made.diagnostics.clone(), global), global);
    if made.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Exit::Input;
    }
    let left_out = made.diagnostics.iter().filter(|d| d.code == codes::NOT_IMPORTED).count();
    if !global.quiet {
        anstream::eprintln!("{} tests imported, {left_out} left out", made.cases);
    }
    if made.cases == 0 {
        anstream::eprintln!("error: no test could be imported");
        return Exit::Nothing;
    }
    if args.judge {
        return judged(args, &made, global);
    }
    let exit = match &args.write {
        Some(path) if path.exists() => {
            anstream::eprintln!("error: {} exists already", path.display());
            return Exit::Input;
        }
        Some(path) => output::file(path, &made.text),
        None => output::stdout(&made.text),
    };
    if global.strict && left_out > 0 { exit.worst(Exit::Failed) } else { exit }
}

fn order(args: &ImportArgs) -> Result<Order, Exit> {
    let from = match args.from.as_deref().map(|from| explain::client(from, None)).transpose() {
        Ok(from) => from,
        Err(why) => {
            anstream::eprintln!("error: --from: {why}");
            return Err(Exit::Usage);
        }
    };
    let mut problems = Vec::new();
    let mut read = |names: &[String]| {
        let (files, found) = expand(names, Expand { base: None, recursive: true, stdin: None });
        problems.extend(found);
        files
    };
    let (tests, manifests) = (read(&args.tests), read(&args.filename));
    if !problems.is_empty() {
        for problem in problems {
            anstream::eprintln!("error: {}", problem.message);
        }
        return Err(Exit::Input);
    }
    let named = args.write.as_deref().and_then(Path::file_stem).map(|s| s.to_string_lossy().into_owned());
    Ok(Order {
        format: match args.format {
            ImportFormat::Icv => Format::Icv,
            ImportFormat::RouterCheck => Format::RouterCheck,
        },
        tests,
        manifests,
        spelled: args.filename.iter().map(|f| init::relative(f, args.write.as_deref())).collect(),
        config: args.mesh_config.as_deref().map(mesh_config).transpose()?,
        from,
        name: named.unwrap_or_else(|| "imported".to_owned()),
    })
}

/// The fields of a MeshConfig file, to be written into the document.
fn mesh_config(path: &Path) -> Result<serde_json::Value, Exit> {
    let wrong = |why: &str| {
        anstream::eprintln!("error: --mesh-config {}: {why}", path.display());
        Exit::Input
    };
    let bytes = std::fs::read(path).map_err(|e| wrong(&e.to_string()))?;
    let text = text_of_bytes(&bytes);
    let mut sources = Sources::new();
    let file: FileId = sources.add(path.to_string_lossy(), text.as_str());
    let (documents, problems) = parse_stream(file, &text);
    match (documents.as_slice(), problems.first()) {
        ([only], None) => serde_json::from_str(&only.node.to_json()).map_err(|e| wrong(&e.to_string())),
        (_, Some(problem)) => Err(wrong(&problem.message)),
        _ => Err(wrong("it must hold one document, the fields of MeshConfig")),
    }
}

fn judged(args: &ImportArgs, made: &Imported, global: &Global) -> Exit {
    let targets = match output::targets(&global.report, &test::REPORTS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let Some(form) = test::form(global.output.unwrap_or(Output::Table)) else {
        return output::no_such_format("import --judge", global, &test::FORMS);
    };
    let options = TestOptions { stop: Stop::default(), ..TestOptions::default() };
    let result = judge(made, &args.tests.join(" "), &again(args), &options);
    let broken = !result.broken.is_empty();
    let report = TestReport { strict: global.strict, ..TestReport::new(vec![result]) };
    let mut exit = output::stdout(&test::text(&report, form, global.quiet));
    for target in &targets {
        exit = exit.worst(output::file(&target.path, &test::text(&report, &target.kind, global.quiet)));
    }
    if broken {
        exit = exit.worst(Exit::Input);
    }
    if report.failed(global.strict) { exit.worst(Exit::Failed) } else { exit }
}

/// The command line without `--judge`.
fn again(args: &ImportArgs) -> String {
    let format = match args.format {
        ImportFormat::Icv => "icv",
        ImportFormat::RouterCheck => "router-check",
    };
    let mut words = vec![format!("mesh-sim import {format}")];
    words.extend(args.tests.iter().cloned());
    words.extend(args.filename.iter().map(|f| format!("-f {f}")));
    words.extend(args.from.iter().map(|f| format!("--from {f}")));
    words.extend(args.mesh_config.iter().map(|f| format!("--mesh-config {}", f.display())));
    words.join(" ")
}
