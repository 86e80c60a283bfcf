//! Arguments of `conformance`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
