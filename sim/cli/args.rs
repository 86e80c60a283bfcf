//! The command line, in kubectl's manners. Help texts teach; every option has an example where it helps.

mod conformance;
mod diff;
mod explain;
mod graph;
mod import;
mod init;
mod lint;
mod matrix;
mod replay;
mod run;
mod schema;
mod snapshot;
mod support;
mod sweep;
mod test;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use conformance::{ConformanceArgs, Judge};
pub(crate) use diff::DiffArgs;
pub(crate) use explain::{Dump, ExplainArgs};
pub(crate) use graph::GraphArgs;
pub(crate) use import::{ImportArgs, ImportFormat};
pub(crate) use init::{Ci, InitArgs};
pub(crate) use lint::{FailOn, LintArgs};
pub(crate) use matrix::MatrixArgs;
pub(crate) use replay::ReplayArgs;
pub(crate) use run::{Overrides, RunArgs};
pub(crate) use schema::{SchemaArgs, SchemaKind};
pub(crate) use snapshot::{ReviewArgs, SnapshotArgs, SnapshotCommand};
pub(crate) use support::SupportArgs;
pub(crate) use sweep::{SweepArgs, SweepCommand};
pub(crate) use test::TestArgs;

const AFTER: &str = "\
Exit codes: 0 all good · 1 an expectation, gate, snapshot or conformance case failed, or `diff` found differences ·
2 wrong command line · 3 invalid or unreadable input (all problems listed) · 4 nothing matched · 70 internal error ·
130 interrupted.

First steps:
  mesh-sim run scenarios/canary.yaml
  mesh-sim explain -f k8s/ --from shop/frontend http://checkout:8080/pay -H 'x-user: beta'
  helm template . | mesh-sim lint -f -";

/// Predicts what an Istio mesh will do with traffic: no cluster, no network, the same answer every time.
#[derive(Debug, Parser)]
#[command(name = "mesh-sim", version, after_help = AFTER, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Format of stdout.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Output>,
    /// Write a further report, repeatable. run, test, lint: json, ndjson, yaml, junit, sarif, tap, markdown, github,
    /// gitlab, html; test also: lcov; run also: prom, openmetrics, access-log, dot, mermaid, svg, d3.
    #[arg(long, global = true, value_name = "KIND=PATH")]
    pub(crate) report: Vec<String>,
    /// What is unknown fails.
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// Suppress a diagnostic: a code, or a code for one object (`-S "MS0301=VirtualService reviews.default"`).
    #[arg(short = 'S', long = "suppress", global = true, value_name = "CODE[=Kind name.ns]")]
    pub(crate) suppress: Vec<String>,
    /// Threads for replications, sweeps and test files; the result does not depend on it.
    #[arg(long, global = true, value_name = "N", env = "MESH_SIM_THREADS")]
    pub(crate) threads: Option<usize>,
    /// Only what went wrong.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More remarks (`-v`), all of them (`-vv`).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to colour; NO_COLOR, CLICOLOR_FORCE and pipes are honoured by `auto`.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// Formats of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// More columns.
    Wide,
    /// One JSON document with a versioned schema.
    Json,
    /// The same as YAML.
    Yaml,
    /// One JSON object per line.
    Ndjson,
    /// For pull-request comments.
    Markdown,
    /// GitHub workflow annotations.
    Github,
    /// GitLab code quality.
    Gitlab,
    /// TAP version 14.
    Tap,
    /// Names only.
    Name,
    /// Graphviz (graph).
    Dot,
    /// Mermaid (graph).
    Mermaid,
    /// SVG (graph).
    Svg,
    /// D3 node-link JSON (graph).
    D3,
    /// Interactive page (graph), or report.
    Html,
    /// SARIF 2.1.0 (test, lint, run).
    Sarif,
    /// JUnit XML (test, lint, run).
    Junit,
    /// Comma-separated values (matrix, sweep).
    Csv,
}

impl Output {
    /// As the command line spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Output::Table => "table",
            Output::Wide => "wide",
            Output::Json => "json",
            Output::Yaml => "yaml",
            Output::Ndjson => "ndjson",
            Output::Markdown => "markdown",
            Output::Github => "github",
            Output::Gitlab => "gitlab",
            Output::Tap => "tap",
            Output::Name => "name",
            Output::Dot => "dot",
            Output::Mermaid => "mermaid",
            Output::Svg => "svg",
            Output::D3 => "d3",
            Output::Html => "html",
            Output::Sarif => "sarif",
            Output::Junit => "junit",
            Output::Csv => "csv",
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which manifests.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Manifests {
    /// File, directory, glob or `-` for stdin; repeat for more. With a scenario: added to its manifests.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|GLOB|-")]
    pub(crate) filename: Vec<String>,
    /// Descend into directories.
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Namespace of objects that state none.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
    /// A file with the keys that a jwksUri (or an issuer) serves: signatures are checked against it.
    #[arg(long, value_name = "URL=FILE")]
    pub(crate) jwks: Vec<String>,
    /// A MeshConfig file (Istio's field names).
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_config: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate scenarios: the prediction and the verdict of every gate.
    Run(RunArgs),
    /// Run every PolicyTest and gated Scenario found; the CI entry point.
    Test(TestArgs),
    /// One request, every hop: what decided, why, why not, with file:line.
    Explain(ExplainArgs),
    /// Static checks: everything a cluster would refuse, warn about, or silently not do.
    #[command(alias = "analyze")]
    Lint(LintArgs),
    /// Callers × services: verdict, mutual TLS, deciding policy; with --what-if, who would break.
    Matrix(MatrixArgs),
    /// Which requests end differently under two configurations; exit code 1 if any does.
    #[command(after_help = diff::HELP)]
    Diff(DiffArgs),
    /// Outcome tables in files: write new ones, review changed ones; `test` compares them.
    #[command(after_help = snapshot::HELP, args_conflicts_with_subcommands = true)]
    Snapshot(SnapshotArgs),
    /// Past requests, from access logs, against proposed manifests: which would end differently.
    Replay(ReplayArgs),
    /// Tests of istio-config-validator or Envoy's router_check_tool: run as they are, or taken over.
    #[command(after_help = import::HELP)]
    Import(ImportArgs),
    /// A scenario over a grid of parameters and seeds: where do its gates stop to hold?
    #[command(after_help = sweep::HELP)]
    Sweep(SweepArgs),
    /// The service graph of a mesh or of a run.
    Graph(GraphArgs),
    /// Judge predictions against recorded answers of a real mesh.
    Conformance(ConformanceArgs),
    /// A first scenario for your manifests.
    Init(InitArgs),
    /// What is simulated, approximated, not modelled; with -f, what of it your manifests use.
    Support(SupportArgs),
    /// JSON Schema (draft 7) of scenario, policy or result files.
    Schema(SchemaArgs),
    /// Shell completions.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
    /// The manual page.
    Man,
}
