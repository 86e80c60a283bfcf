//! Arguments of `support`.

use clap::Args;

use super::Manifests;

/// `support`
#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
}
