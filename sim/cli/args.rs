//! The command line, in kubectl's manners. Help texts teach; every option has an example where it helps.

mod import;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use import::{ImportArgs, ImportFormat};

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
    /// Comma-separated values (matrix).
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

/// Overrides of a scenario.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Override a field: `--set spec.duration=5m`, `--set spec.traffic[0].rate=200/s`.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Simulated time instead of the scenario's (`90s`, `5m`).
    #[arg(long, value_name = "DURATION")]
    pub(crate) duration: Option<String>,
    /// Independent runs instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<u32>,
    /// Sampling error of which `run` says how many runs would stay below it (default 1%).
    #[arg(long, value_name = "PERCENT")]
    pub(crate) tolerance: Option<String>,
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
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
    /// Outcome tables in files: write new ones, review changed ones; `test` compares them.
    #[command(after_help = SNAPSHOT_HELP, args_conflicts_with_subcommands = true)]
    Snapshot(SnapshotArgs),
    /// Past requests, from access logs, against proposed manifests: which would end differently.
    Replay(ReplayArgs),
    /// Tests of istio-config-validator or Envoy's router_check_tool: run as they are, or taken over.
    #[command(after_help = import::HELP)]
    Import(ImportArgs),
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

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Scenario files.
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// `test`
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only cases whose `file: name` contains this text; repeat for any of them.
    #[arg(short = 'k', long = "filter", value_name = "TEXT")]
    pub(crate) filter: Vec<String>,
    /// Only part i of n of the files, by position (`0/4`).
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
    /// Stop after the first file that fails.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Change the rules instead (drop a rule, a match or a value, swap rules, move weight, widen a path, flip an
    /// action, loosen mTLS) and list the changes that no passing case, snapshot or gate notices; exit code 1 if there are any.
    #[arg(long, conflicts_with_all = ["shard", "fail_fast"])]
    pub(crate) mutate: bool,
    /// With --mutate: most changes that are tried, spread over all that are possible.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) mutants: usize,
    #[command(flatten)]
    pub(crate) coverage: CoverageArgs,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Coverage of `test`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CoverageArgs {
    /// Which routes, destinations, subsets, policy rules, mTLS modes, Sidecar egress lines and Gateway servers no test
    /// passes through (`--report lcov=PATH` for editors).
    #[arg(long = "coverage")]
    pub(crate) show: bool,
    /// Exit with 1 when less than this share is covered; never rounded up. Implies --coverage.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) fail_under: Option<String>,
    /// For everything uncovered a case that would cover it, ready to paste, or why there is none. Implies --coverage.
    #[arg(long)]
    pub(crate) missing: bool,
}

impl CoverageArgs {
    /// Whether anything of it was asked for.
    pub(crate) fn wanted(&self) -> bool {
        self.show || self.missing || self.fail_under.is_some()
    }
}

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// URL of the request: `http://HOST[:PORT]/PATH`, or `tcp://HOST:PORT`; with --case a PolicyTest file.
    #[arg(value_name = "URL|FILE")]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Client: `NS/WORKLOAD`, `gateway:NS/NAME`, or a pod that no manifest has: `pod:NS[/SERVICEACCOUNT]` without
    /// sidecar, `pod+sidecar:NS[/SERVICEACCOUNT][{label=value,ip=10.1.2.3}]` with one.
    #[arg(long, value_name = "CLIENT")]
    pub(crate) from: Option<String>,
    /// Address of an external client of a gateway.
    #[arg(long, value_name = "IP")]
    pub(crate) source_ip: Option<String>,
    /// Method.
    #[arg(short = 'X', long = "request", default_value = "GET", value_name = "METHOD")]
    pub(crate) method: String,
    /// Header line `name: value`; repeat.
    #[arg(short = 'H', long = "header", value_name = "LINE")]
    pub(crate) header: Vec<String>,
    /// A case of a PolicyTest file, exactly as `mesh-sim test` judges it: `explain policies/a.yaml --case NAME`.
    #[arg(long, requires = "target", conflicts_with_all = ["from", "filename", "header"], value_name = "NAME")]
    pub(crate) case: Option<String>,
    /// A token in `authorization`, in the words of `jwt:` (`{"iss": "https://idp", "sub": "alice"}`).
    #[arg(long, value_name = "JSON")]
    pub(crate) jwt: Option<String>,
    /// The proxy whose configuration `--dump` shows (`NS/WORKLOAD`).
    #[arg(long, value_name = "NS/WORKLOAD")]
    pub(crate) proxy: Option<String>,
    /// What istiod would send to `--proxy`, in istioctl proxy-config's columns.
    #[arg(long, value_enum, requires = "proxy", value_name = "WHAT")]
    pub(crate) dump: Option<Dump>,
}

/// What `--dump` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dump {
    /// Listeners and filter chains.
    Listeners,
    /// Virtual hosts and routes.
    Routes,
    /// Clusters.
    Clusters,
    /// Endpoints.
    Endpoints,
}

/// `lint`
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Files or directories, same as -f.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// List every code with its meaning.
    #[arg(long)]
    pub(crate) list: bool,
    /// From which severity on findings make the exit code 1 (errors that a cluster would refuse are always 3).
    #[arg(long, value_enum, default_value_t = FailOn::Never, value_name = "LEVEL")]
    pub(crate) fail_on: FailOn,
}

/// Severity threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Warnings too.
    Warn,
    /// Only refused input.
    Never,
}

/// `matrix`
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Only callers whose name fits (`shop/*`, `gateway:*`, `stranger*`); repeat for any of them.
    #[arg(long, value_name = "CALLER")]
    pub(crate) from: Vec<String>,
    /// Only services whose host, `name:port` or `ns/name` fits (`shop/*`, `reviews:9080`); repeat for any of them.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) to: Vec<String>,
    /// Method that HTTP ports are asked with.
    #[arg(short = 'X', long, default_value = "GET", value_name = "METHOD")]
    pub(crate) method: String,
    /// Path that HTTP ports are asked for; gateways ask for what their routes match.
    #[arg(long, default_value = "/", value_name = "PATH")]
    pub(crate) path: String,
    /// Ask again after a change: `strict` or `default-deny`, with `=mesh` (the default), `=ns/NAMESPACE` or
    /// `=NAMESPACE/WORKLOAD`. Lists who breaks, why, and YAML that keeps them working; ends with 1 when somebody breaks.
    #[arg(long, value_name = "CHANGE[=SCOPE]")]
    pub(crate) what_if: Option<String>,
    /// Only the calls that the scenario or policy file given with -f makes (traffic, and what applications call).
    #[arg(long)]
    pub(crate) calls: bool,
    /// Ask pods by their addresses too, as scrapers do: such calls bypass what sidecars know of services.
    #[arg(long)]
    pub(crate) pod_ips: bool,
}

const DIFF_HELP: &str = "\
Every request that either configuration can tell apart is put to both, and outcomes are enumerated, not sampled:
what is not listed did not change. Categories, most alarming first: unknown, newly-denied, lost, gained,
newly-plaintext, rerouted, reweighted, slower, changed (headers, status, timeout, retries).

  mesh-sim diff git:origin/main:k8s k8s                     # what this branch changes
  mesh-sim diff old/ new/ --allow reweighted                # a canary step is intended
  mesh-sim diff git:HEAD~1:k8s k8s -o markdown > comment.md # for the pull request
  mesh-sim diff old/ new/ --scenario scenarios/canary.yaml  # its traffic too";

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The old configuration: a directory (with everything below), a file, a glob, or `git:REV:PATH`.
    #[arg(value_name = "BASE")]
    pub(crate) base: String,
    /// The new configuration.
    #[arg(value_name = "HEAD")]
    pub(crate) head: String,
    /// Ask the requests of this scenario's traffic as well; repeat.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Vec<PathBuf>,
    /// Differences of this category are intended; repeat, or a comma list.
    #[arg(long, value_name = "CATEGORY")]
    pub(crate) allow: Vec<String>,
    /// Most witnesses per category.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) witnesses: usize,
    /// Only requests of this caller.
    #[arg(long, value_name = "NS/WORKLOAD")]
    pub(crate) from: Option<String>,
    /// Only requests that may arrive at this workload.
    #[arg(long, value_name = "NS/WORKLOAD")]
    pub(crate) to: Option<String>,
    /// Most requests asked; when more could be told apart, the report says so.
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) max_classes: usize,
    /// Namespace of objects that state none.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
}

const SNAPSHOT_HELP: &str = "\
A PolicyTest asks for snapshots with `spec.snapshots: [{name: all, from: any, to: any}]`; each is a text file in
`snapshots/` beside it: every request that the mesh can tell apart, and what it ends in. `mesh-sim test` fails when one
differs, is missing, is obsolete or is not whole. In CI (CI is set) nothing is ever written.

  mesh-sim snapshot                   # write what is missing; changed ones go to FILE.new
  mesh-sim snapshot review            # accept, reject or skip each change
  mesh-sim snapshot review --accept   # accept all of them";

/// `snapshot`
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SnapshotCommand>,
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Write missing files; put what changed beside the file for review (the default).
    Write(SnapshotPaths),
    /// The files and how they compare.
    List(SnapshotPaths),
    /// Accept, reject or skip what changed.
    Review(ReviewArgs),
}

/// Which documents.
#[derive(Debug, Args)]
pub(crate) struct SnapshotPaths {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `snapshot review`
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// Files or directories (recursive); default: scenarios/ and policies/, else the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Accept everything without asking.
    #[arg(long, conflicts_with = "reject")]
    pub(crate) accept: bool,
    /// Reject everything without asking: files stay as they are.
    #[arg(long)]
    pub(crate) reject: bool,
}

/// `graph`
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// A scenario: the graph of its run, with rates.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// `conformance`
#[derive(Debug, Clone, Args)]
pub(crate) struct ConformanceArgs {
    /// Corpus directory.
    #[arg(default_value = "tests/conformance", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Only this mesh.
    #[arg(long, value_name = "NAME")]
    pub(crate) mesh: Option<String>,
    /// Only this case.
    #[arg(long, value_name = "ID")]
    pub(crate) case: Option<String>,
    /// Which judges; default: all that the directory has recordings for.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "JUDGE")]
    pub(crate) judge: Vec<Judge>,
}

/// Judges of the conformance command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judge {
    /// `cases.jsonl` of every mesh.
    Requests,
    /// `dynamic/`: behaviour over time.
    Dynamic,
    /// `xds.json.gz` of every mesh: what istiod sent each proxy.
    Translation,
    /// `admission/`: what a cluster accepts.
    Admission,
    /// `yaml/`: what Kubernetes reads out of a text.
    Yaml,
    /// Cases made from Istio's own tests; DIR is where their archive was unpacked. Only when asked for.
    Istio,
}

/// `replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Access logs in Istio's default text or JSON format; `-` is stdin (`kubectl logs --prefix … | mesh-sim replay -`).
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<String>,
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// The proxy whose log it is, for lines without a prefix that names it: `NS/WORKLOAD` or `gateway:NS/NAME`.
    #[arg(long, value_name = "CLIENT")]
    pub(crate) from: Option<String>,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Write the scenario to a new file, with paths relative to it; without this it goes to stdout, for a file in the
    /// current directory.
    #[arg(short, long, conflicts_with = "ci", value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// A CI configuration instead of a scenario.
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub(crate) ci: Option<Ci>,
}

/// CI systems `init` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// pre-commit.
    PreCommit,
}

/// `support`
#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
}

/// `schema`
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which one.
    #[arg(value_enum)]
    pub(crate) what: SchemaKind,
}

/// Schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// Scenario files.
    Scenario,
    /// PolicyTest files.
    Policy,
    /// Results (`-o json`).
    Result,
}
