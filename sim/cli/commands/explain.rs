//! `explain`: one request, every outcome, every hop; and what istiod would send to a proxy.

use std::path::Path;

use mesh_config::decode::Spanned;
use mesh_config::source::Span;
use mesh_harness::explain::explain as explained;
use mesh_harness::format::client::{Client, GatewayClient, PodClient, WorkloadRef};
use mesh_harness::format::request::{HeaderWords, Request, RequestWords};
use mesh_harness::loaded::{LoadedMesh, MeshInput};
use mesh_harness::plan::behavior::Behaviors;
use mesh_harness::plan::traffic::{client_request, sender};
use mesh_harness::policy::{CaseExplained, explain_case};
use mesh_reports::explain::Explanation;

use super::{dump, inputs, output};
use crate::args::{ExplainArgs, Global, Output};
use crate::exit::Exit;

/// The command.
pub(crate) fn explain(args: &ExplainArgs, global: &Global) -> Exit {
    if let (Some(name), Some(file)) = (&args.case, &args.target) {
        return case(file, name, global);
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
