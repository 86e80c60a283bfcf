//! Arguments of `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Below the options of `import --help`.
pub(crate) const HELP: &str = "\
The tests of the other tool stay as they are; each becomes a case of a PolicyTest that asks the same request. The other
tools know neither clients nor Services: the VirtualService that names the host decides whether a sidecar or a gateway
asks (or --from), and what routes lead to without being among the manifests gets a stand-in, which is said and stands in
the document. What has no counterpart is left out, by name and place; with --strict that makes the exit code 1.

  mesh-sim import icv tests/ -f k8s/ --judge                          # run the tests as they are
  mesh-sim import icv tests/ -f k8s/ --write policies/routes.yaml     # take them over; then: mesh-sim test policies/
  mesh-sim import router-check tests.yaml -f k8s/ --from gateway:istio-system/istio-ingressgateway --judge";

/// `import`
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Whose tests they are.
    #[arg(value_enum, value_name = "FORMAT")]
    pub(crate) format: ImportFormat,
    /// Test files or directories (recursive) of the other tool.
    #[arg(required = true, value_name = "TESTS")]
    pub(crate) tests: Vec<String>,
    /// Manifests: file, directory (recursive) or glob; repeat for more.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|GLOB")]
    pub(crate) filename: Vec<String>,
    /// Who asks: `NS/WORKLOAD`, `gateway:NS/NAME`, `pod+sidecar:NS`; by default whom the VirtualService is for.
    #[arg(long, alias = "proxy", value_name = "CLIENT")]
    pub(crate) from: Option<String>,
    /// A MeshConfig file (Istio's field names).
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_config: Option<PathBuf>,
    /// Write the PolicyTest to a new file, with paths relative to it; without this it goes to stdout, for a file in the
    /// current directory.
    #[arg(short, long, conflicts_with = "judge", value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Judge the tests now, as `mesh-sim test` would; -o and --report as there.
    #[arg(long)]
    pub(crate) judge: bool,
}

/// Formats of other tools' tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// istio-config-validator (`testCases:`).
    Icv,
    /// Envoy's router_check_tool (`tests:`).
    RouterCheck,
}
