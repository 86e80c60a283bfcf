//! The controllers that make pods: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob.

use serde::Deserialize;

use super::pod::PodTemplate;
use super::selector::LabelSelector;
use crate::source::Span;

/// `spec` of a Deployment, StatefulSet, DaemonSet or ReplicaSet.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Controller {
    /// Pods; absent is 1. A DaemonSet has none.
    pub replicas: Option<i32>,
    /// Its pods.
    pub selector: Option<LabelSelector>,
    /// Headless service of a StatefulSet.
    pub service_name: String,
    /// Pods.
    pub template: PodTemplate,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `spec` of a Job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Job {
    /// Pods at once; absent is 1.
    pub parallelism: Option<i32>,
    /// Pods in total.
    pub completions: Option<i32>,
    /// No pods at all.
    pub suspend: bool,
    /// Pods.
    pub template: PodTemplate,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `spec` of a CronJob.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJob {
    /// Never runs.
    pub suspend: bool,
    /// Jobs.
    pub job_template: JobTemplate,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A job template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobTemplate {
    /// Jobs.
    pub spec: Job,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
