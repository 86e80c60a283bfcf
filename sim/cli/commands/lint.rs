//! `lint`: everything a cluster would refuse, warn about, or silently not do.

use mesh_config::diagnostic::{Severity, codes};
use mesh_config::source::Sources;
use mesh_harness::findings::{findings, rules};
use mesh_harness::lint as checks;
use mesh_harness::loaded::MeshInput;
use mesh_reports::checks::TestReport;
use mesh_reports::findings::{Finding, Level};
use mesh_reports::render::{github, gitlab, html, junit, markdown, sarif, tap};

use super::{inputs, output};
use crate::args::{FailOn, Global, LintArgs, Output};
use crate::diagnostics;
use crate::exit::Exit;

const FORMS: [&str; 10] =
    ["json", "ndjson", "yaml", "junit", "sarif", "tap", "markdown", "github", "gitlab", "html"];

/// The command.
pub(crate) fn lint(args: &LintArgs, global: &Global) -> Exit {
    if args.list {
        let text: String = codes::ALL
            .iter()
            .map(|c| format!("{}  {}\n        {}\n", c.code.0, c.title, c.explanation))
            .collect();
        return output::stdout(&text);
    }
    if args.manifests.filename.is_empty() && args.paths.is_empty() {
        anstream::eprintln!(
            "error: lint needs manifests: mesh-sim lint -f k8s/, or helm template . | mesh-sim lint -f -"
        );
        return Exit::Usage;
    }
    let targets = match output::targets(&global.report, &FORMS) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let wanted = global.output.unwrap_or(Output::Table);
    let form = FORMS.into_iter().find(|f| *f == wanted.name());
    if form.is_none() && !matches!(wanted, Output::Table | Output::Wide) {
        return output::no_such_format("lint", global, &FORMS);
    }
    let mut read = inputs::read(&args.manifests, &args.paths);
    let mut input = MeshInput { namespace: args.manifests.namespace.clone(), ..MeshInput::default() };
    if let Err(exit) = inputs::given(&args.manifests, &mut input, &mut read.sources, &mut read.diagnostics) {
        return exit;
    }
    let nothing = read.objects.is_empty() && read.diagnostics.is_empty();
    let (sources, found) = checks::lint(read.sources, read.objects, read.diagnostics, &input);
    let found = inputs::suppressed(found, global);
    let failing = if args.fail_on == FailOn::Warn || global.strict { Level::Warning } else { Level::Error };
    let shown = Found { findings: findings(&sources, &found), sources: &sources, failing };
    let mut printed = match form {
        None => {
            diagnostics::show(&sources, &found, global);
            Exit::Good
        }
        Some(form) => output::stdout(&shown.text(form)),
    };
    for target in &targets {
        printed = printed.worst(output::file(&target.path, &shown.text(&target.kind)));
    }
    if nothing {
        return Exit::Nothing;
    }
    let has = |s: Severity| found.iter().any(|d| d.severity == s);
    let verdict = if has(Severity::Error) {
        Exit::Input
    } else if has(Severity::Warning) && failing == Level::Warning {
        Exit::Failed
    } else {
        Exit::Good
    };
    printed.worst(verdict)
}

/// Findings as text.
struct Found<'a> {
    findings: Vec<Finding>,
    sources: &'a Sources,
    failing: Level,
}

impl Found<'_> {
    fn text(&self, form: &str) -> String {
        let all = &self.findings;
        match form {
            "yaml" => output::yaml(all),
            "ndjson" => all.iter().map(output::line).collect(),
            "github" => github::annotations(all, &self.summary()),
            "gitlab" => gitlab::code_quality(all),
            "sarif" => sarif::sarif(all, rules()),
            "markdown" => markdown::findings(all),
            "html" => html::findings(all),
            "junit" => junit::junit(&self.as_tests()),
            "tap" => tap::tap(&self.as_tests()),
            _ => output::json(all),
        }
    }

    fn summary(&self) -> String {
        let count = |level: Level| self.findings.iter().filter(|f| f.severity == level).count();
        format!(
            "{} errors · {} warnings · {} remarks",
            count(Level::Error),
            count(Level::Warning),
            count(Level::Info)
        )
    }

    fn as_tests(&self) -> TestReport {
        let files: Vec<String> = self.sources.ids().map(|id| self.sources.name(id).to_owned()).collect();
        TestReport::of_findings(&files, &self.findings, self.failing)
    }
}
