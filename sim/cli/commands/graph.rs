//! `graph`: the service graph of a mesh, or of a scenario's run with rates on its edges.

use mesh_harness::report::static_graph;
use mesh_reports::graph::ServiceGraph;
use mesh_reports::render::{graph_text, svg};

use super::{inputs, output, run};
use crate::args::{Global, GraphArgs, Output};
use crate::exit::Exit;

/// The command.
pub(crate) fn graph(args: &GraphArgs, global: &Global) -> Exit {
    let (graph, name) = match &args.scenario {
        Some(path) => {
            let (options, overrides) = match run::options(&args.overrides, global) {
                Ok(options) => options,
                Err(exit) => return exit,
            };
            let additions = match inputs::Additions::read(&args.manifests, global) {
                Ok(additions) => additions,
                Err(exit) => return exit,
            };
            let mut found = 0;
            let given = run::Given { options: &options, overrides: &overrides, additions: &additions };
            let (ran, exit) = run::run_file(path, given, global, &mut found);
            let Some(first) = ran.into_iter().next() else {
                if found == 0 && exit == Exit::Good {
                    anstream::eprintln!("error: no document of kind Scenario in {}", path.display());
                    return Exit::Nothing;
                }
                return exit;
            };
            (first.report.graph, first.report.name)
        }
        None => match of_manifests(args, global) {
            Ok(graph) => (graph, "mesh".to_owned()),
            Err(exit) => return exit,
        },
    };
    let text = match global.output.unwrap_or(Output::Dot) {
        Output::Dot => graph_text::dot(&graph),
        Output::Mermaid | Output::Markdown => graph_text::mermaid(&graph),
        Output::Json => graph_text::json(&graph),
        Output::D3 => graph_text::d3(&graph),
        Output::Svg => svg::svg(&graph),
        Output::Html => svg::page(&graph, &name),
        Output::Yaml => output::yaml(&graph),
        Output::Name => graph.nodes.iter().map(|n| format!("{}\n", n.name)).collect(),
        other => {
            anstream::eprintln!(
                "error: graph has no output {other:?}; it has dot, mermaid, json, d3, svg, html, yaml, name"
            );
            return Exit::Usage;
        }
    };
    output::stdout(&text)
}

fn of_manifests(args: &GraphArgs, global: &Global) -> Result<ServiceGraph, Exit> {
    if args.manifests.filename.is_empty() {
        anstream::eprintln!("error: graph needs a scenario, or manifests with -f");
        return Err(Exit::Usage);
    }
    inputs::mesh(&args.manifests, "graph", |_| (), global).map(|mesh| static_graph(&mesh))
}
