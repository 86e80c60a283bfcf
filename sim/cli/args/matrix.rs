//! Arguments of `matrix`.

use clap::Args;

use super::Manifests;

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
