//! Arguments of `explain`.

use clap::{Args, ValueEnum};

use super::Manifests;

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
