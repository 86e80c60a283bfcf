//! Arguments of `replay`.

use clap::Args;

use super::Manifests;

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
