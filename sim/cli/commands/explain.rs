//! `explain`: one request, every outcome, every hop, or one request of a run; and what istiod would send to a proxy.

use std::path::Path;

use mesh_config::decode::Spanned;
use mesh_config::diagnostic::Severity;
use mesh_config::source::Span;
use mesh_harness::document::{ReadDocuments, TestDocument, read_file};
use mesh_harness::explain::{explain as explained, explain_number};
use mesh_harness::format::client::{Client, GatewayClient, PodClient, WorkloadRef};
use mesh_harness::format::request::{HeaderWords, Request, RequestWords};
use mesh_harness::loaded::{LoadedMesh, MeshInput};
use mesh_harness::plan::behavior::Behaviors;
use mesh_harness::plan::traffic::{client_request, sender};
use mesh_harness::policy::{CaseExplained, explain_case};
use mesh_harness::scenario;
use mesh_reports::explain::Explanation;

use super::{dump, inputs, output};
use crate::args::{ExplainArgs, Global, Output, Overrides};
use crate::diagnostics;
use crate::exit::Exit;

/// The command.
pub(crate) fn explain(args: &ExplainArgs, global: &Global) -> Exit {
    if let (Some(name), Some(file)) = (&args.case, &args.target) {
        return case(file, name, global);
    }
    if let (Some(number), Some(file)) = (args.number, &args.target) {
        return of_run(args, Path::new(file), number, global);
    }
    if args.manifests.filename.is_empty() {
        anstream::eprintln!(
            "error: explain needs manifests: mesh-sim explain -f k8s/ --from shop/frontend http://checkout:8080/pay"
        );
        return Exit::Usage;
    }
    let client = match args.from.as_deref().map(|from| client(from, args.source_ip.as_deref())) {
        Some(Ok(client)) => Some(client),
        Some(Err(why)) => {
            anstream::eprintln!("error: --from: {why}");
            return Exit::Usage;
        }
        None => None,
    };
    let prepare = |input: &mut MeshInput| client.iter().for_each(|client| input.note_client(client));
    let mesh = match inputs::mesh(&args.manifests, "explain", prepare, global) {
        Ok(mesh) => mesh,
        Err(exit) => return exit,
    };
    if let (Some(proxy), Some(what)) = (&args.proxy, args.dump) {
        return dump::dump(&mesh, proxy, what, global);
    }
    let (Some(client), Some(url)) = (client, args.target.as_deref()) else {
        anstream::eprintln!("error: explain needs --from and one URL, or --proxy and --dump");
        return Exit::Usage;
    };
    one(args, global, &mesh, client, url)
}

fn one(args: &ExplainArgs, global: &Global, mesh: &LoadedMesh, client: Client, url: &str) -> Exit {
    let mut headers = HeaderWords::default();
    for line in &args.header {
        let Some((name, value)) = line.split_once(':') else {
            anstream::eprintln!("error: -H {line}: write `name: value`");
            return Exit::Usage;
        };
        headers.0.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let jwt = match args.jwt.as_deref().map(serde_json::from_str) {
        None => None,
        Some(Ok(jwt)) => Some(jwt),
        Some(Err(why)) => {
            anstream::eprintln!("error: --jwt: {why}");
            return Exit::Usage;
        }
    };
    let words = RequestWords {
        method: Some(args.method.clone()),
        url: Some(url.to_owned()),
        headers,
        jwt,
        ..RequestWords::default()
    };
    let client = Spanned { value: client, span: Span::NONE };
    let sender = match sender(&client.value, client.span, &mesh.directory, &mesh.clients) {
        Ok(sender) => sender,
        Err(diagnostic) => {
            let help = diagnostic.help.map(|h| format!(" ({h})")).unwrap_or_default();
            anstream::eprintln!("error: {}{help}", diagnostic.message);
            return Exit::Input;
        }
    };
    let request = match client_request(&Request { words }, &sender, &mesh.directory) {
        Ok(request) => request,
        Err(why) => {
            anstream::eprintln!("error: {why}");
            return Exit::Usage;
        }
    };
    let from = args.from.clone().unwrap_or_default();
    match explained(mesh, &sender, &request, &Behaviors::default(), (format!("{} {url}", args.method), from))
    {
        Err(why) => {
            anstream::eprintln!("error: {why}");
            Exit::Input
        }
        Ok(explanation) => show(&explanation, global),
    }
}

/// `explain FILE --case NAME`
fn case(file: &str, name: &str, global: &Global) -> Exit {
    match explain_case(Path::new(file), name, &[]) {
        CaseExplained::Shown(explanation) => show(&explanation, global),
        CaseExplained::Broken(findings) => {
            for finding in findings {
                anstream::eprintln!("error: {}", finding.text());
            }
            Exit::Input
        }
        CaseExplained::Nothing(why) => {
            anstream::eprintln!("error: {why}");
            Exit::Nothing
        }
    }
}

/// `explain FILE --number N`
fn of_run(args: &ExplainArgs, file: &Path, number: u64, global: &Global) -> Exit {
    let words = Overrides { set: args.set.clone(), seed: args.seed, ..Overrides::default() };
    let (options, overrides) = match super::run::options(&words, global) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let ReadDocuments { sources, documents, diagnostics: problems } = read_file(file, &overrides);
    diagnostics::show(&sources, &problems, global);
    if problems.iter().any(|d| d.severity == Severity::Error) {
        return Exit::Input;
    }
    let mut scenarios = documents.into_iter().filter_map(|d| match d {
        TestDocument::Scenario(scenario) => Some(scenario),
        TestDocument::Policy(_) => None,
    });
    let Some(scenario) = scenarios.next() else {
        anstream::eprintln!("error: no document of kind Scenario in {}", file.display());
        return Exit::Nothing;
    };
    if let Some(other) = scenarios.next() {
        let (one, two) = (&scenario.heading.name, &other.heading.name);
        anstream::eprintln!(
            "error: {} holds the scenarios `{one}` and `{two}`: --number needs a file with one",
            file.display()
        );
        return Exit::Usage;
    }
    let prepared = match scenario::prepare(&scenario, sources, &options) {
        Ok(prepared) => prepared,
        Err(problems) => {
            diagnostics::show(&problems.0, &problems.1, global);
            return Exit::Input;
        }
    };
    let shown = inputs::suppressed(prepared.mesh.diagnostics.clone(), global);
    diagnostics::show(&prepared.mesh.sources, &shown, global);
    let name = &scenario.heading.name;
    match explain_number(name, &prepared, number) {
        Ok(explanation) => show(&explanation, global),
        Err(begun) => {
            anstream::eprintln!(
                "error: --number {number}: the run of `{name}` with seed {} has {begun} requests",
                prepared.plan.seed
            );
            Exit::Nothing
        }
    }
}

fn show(explanation: &Explanation, global: &Global) -> Exit {
    let unknown = explanation.outcomes.iter().any(|o| !o.outcome.unknown.is_empty());
    let printed = match global.output.unwrap_or(Output::Table) {
        Output::Json => output::stdout(&output::json(explanation)),
        Output::Yaml => output::stdout(&output::yaml(explanation)),
        Output::Table | Output::Wide => output::stdout(&explanation.text()),
        other => {
            anstream::eprintln!("error: explain has no output {other:?}; it has table, json, yaml");
            return Exit::Usage;
        }
    };
    if unknown && global.strict { printed.worst(Exit::Failed) } else { printed }
}

/// `NS/WORKLOAD`, `gateway:NS/NAME`, `pod:NS[/SERVICEACCOUNT]`, `pod+sidecar:…`.
pub(super) fn client(text: &str, source_ip: Option<&str>) -> Result<Client, String> {
    if let Some(gateway) = text.strip_prefix("gateway:") {
        let source_ip = match source_ip.map(str::parse) {
            Some(Ok(ip)) => Some(ip),
            Some(Err(_)) => return Err("--source-ip is no IP address".to_owned()),
            None => None,
        };
        return Ok(Client::Gateway(GatewayClient { gateway: gateway.to_owned(), source_ip }));
    }
    if let Some(pod) = PodClient::parse(text) {
        return Ok(Client::Pod(pod));
    }
    WorkloadRef::parse(text).map(Client::Workload).ok_or_else(|| format!("`{text}` is no client"))
}
