//! Arguments of `explain`.

use clap::{Args, ValueEnum};

use super::Manifests;

/// What a PolicyTest or Scenario file says itself.
const WITHOUT_FILE: [&str; 11] = [
    "from",
    "filename",
    "header",
    "method",
    "jwt",
    "proxy",
    "source_ip",
    "jwks",
    "mesh_config",
    "namespace",
    "recursive",
];

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// URL of the request: `http://HOST[:PORT]/PATH`, or `tcp://HOST:PORT`; with --case a
    /// PolicyTest file, with --number a Scenario file.
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
    #[arg(long, requires = "target", conflicts_with_all = WITHOUT_FILE, value_name = "NAME")]
    pub(crate) case: Option<String>,
    /// A request of a scenario's run, as it happened there with what the run had made of pools, breakers and hosts by
    /// then: `explain scenarios/canary.yaml --number 37`; from 1, in the order requests begin.
    #[arg(long, requires = "target", conflicts_with = "case", conflicts_with_all = WITHOUT_FILE, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) number: Option<u64>,
    /// With --number: seed instead of the scenario's.
    #[arg(long, requires = "number", value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// With --number: override a field, as `run` does (`--set spec.duration=5m`).
    #[arg(long = "set", requires = "number", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
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
