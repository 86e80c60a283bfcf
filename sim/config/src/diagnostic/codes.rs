//! Every diagnostic code, its title and its explanation, in one table.
//!
//! Blocks: MS00 reading files and YAML, MS01 fields against the schema, MS02 objects and the mesh they make,
//! MS03 static checks, MS04 what mesh-sim does not model, MS05 istiod's validation webhook,
//! MS06 scenarios and policy tests.
//! Codes are retired, never reused; add yours at the end of its block.

use super::Code;

/// A code with what it means, for `lint --list` and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// A few words.
    pub title: &'static str,
    /// What it means and what to do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code($code);)*

        /// All codes in their order.
        pub const ALL: &[CodeInfo] = &[
            $(CodeInfo { code: $name, title: $title, explanation: $explanation },)*
        ];
    };
}

codes! {
    UNREADABLE = "MS0001", "file cannot be read",
        "The file, directory or glob does not exist or cannot be read. Nothing of it takes part.";
    NOT_TEXT = "MS0002", "not a text file",
        "The bytes are not UTF-8 (or UTF-16 with a byte order mark), so this is not YAML.";
    YAML_SYNTAX = "MS0003", "YAML syntax error",
        "The document is not YAML. Reading goes on at the next `---`.";
    YAML_LIMIT = "MS0004", "document too large or too deep",
        "Nesting, alias expansion or size exceed what a cluster's reader accepts.";
    TEMPLATE = "MS0005", "template, not a manifest",
        "The text contains `{{ … }}`: render it first, for example with `helm template`.";
    NO_DOCUMENTS = "MS0006", "nothing to read",
        "No file matched, or the files hold no documents.";
    DUPLICATE_KEY = "MS0007", "duplicate key",
        "The same key is written twice in one mapping. A cluster asked for strict validation refuses it; otherwise the last one wins.";
    IGNORED_CONTENT = "MS0008", "content is ignored",
        "A cluster reads one document between two `---` lines and drops what follows it without a word.";
    NOT_KUBERNETES = "MS0010", "not a Kubernetes object",
        "A document needs `apiVersion`, `kind` and `metadata.name`.";
    UNKNOWN_KIND = "MS0011", "no such kind or version",
        "The kind is not known in this API version.";
    NOT_READ = "MS0012", "kind is not read",
        "mesh-sim does not read this kind; it has no influence on the prediction.";
    BAD_METADATA = "MS0013", "invalid metadata",
        "Names, labels and annotations follow the rules of Kubernetes.";

    WRONG_TYPE = "MS0101", "wrong type",
        "The value has another type than the field. YAML reads `1.10` and `yes` as a number and a boolean: quote them.";
    UNKNOWN_FIELD = "MS0102", "unknown field",
        "The field does not exist. `kubectl apply` refuses it; without strict validation it is dropped and has no effect.";
    MISSING_FIELD = "MS0103", "missing field",
        "A required field is absent.";
    INVALID_VALUE = "MS0104", "invalid value",
        "The value is outside of what the field's schema allows.";
    RULE_VIOLATED = "MS0105", "validation rule violated",
        "A validation rule (CEL) of the custom resource definition is violated.";

    DUPLICATE_OBJECT = "MS0201", "object written twice",
        "Two documents describe the same object differently. A cluster keeps whichever is applied last; files have no order, so there is no answer.";
    REPLICAS_BOUNDED = "MS0202", "too many replicas",
        "The workload asks for more pods than are simulated; only the first ones exist.";
    BAD_ADDRESS = "MS0203", "address cannot be used",
        "The address is no IP address, or another pod or service has it.";
    BAD_MESH_CONFIG = "MS0204", "mesh configuration cannot be read",
        "MeshConfig, IstioOperator or an annotation that carries configuration is not what istiod accepts.";
    MADE_UP_GATEWAY = "MS0205", "gateway made up",
        "A Gateway resource selects gateway pods that no manifest defines; pods and a Service were made up for it.";
    BAD_POD = "MS0206", "pod cannot be simulated as written",
        "Something about the pod has no meaning in a cluster, for example an unknown node.";
    POD_NOT_SIMULATED = "MS0207", "pods are not simulated",
        "The workload makes pods only at times (CronJob) or not at all; none of them exists in the prediction.";

    NOT_MODELLED = "MS0401", "not modelled",
        "The field exists in Istio but mesh-sim does not simulate it; predictions it may influence are `unknown`.";

    NO_SUCH_NAME = "MS0601", "names nothing",
        "A scenario or policy test refers to a workload, gateway, traffic, subset or metric that does not exist. It is never taken for an empty match.";
    CONTRADICTION = "MS0602", "contradicts itself",
        "Fields of a scenario or policy test exclude each other, or one is missing without which the others mean nothing.";
    GATE_TOO_SHARP = "MS0603", "tolerance below the sampling error",
        "An observed split or share is gated more sharply than the number of requests allows at a false-alarm rate of one in a million. Run longer, send more, or widen `within`.";
    DUPLICATE_CASE = "MS0604", "case written twice",
        "Two cases of one policy test have the same name, so reports and filters cannot tell them apart.";
    REFUSED = "MS0501", "refused by istiod's webhook",
        "istiod's validation refuses the object: it never reaches the mesh.";
    ADMITTED_WITH_WARNING = "MS0502", "accepted with a warning",
        "istiod accepts the object and warns: it probably does not do what was meant.";
    UNREACHABLE_RULE = "MS0503", "rule can never be used",
        "Earlier rules of the same VirtualService take all its traffic (IST0130).";
    INEFFECTIVE_MATCH = "MS0504", "match has no effect",
        "An earlier match of the same VirtualService covers it (IST0131).";
}

/// What a code means; `None` if there is no such code.
pub fn info(code: Code) -> Option<&'static CodeInfo> {
    ALL.iter().find(|i| i.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        for (i, a) in ALL.iter().enumerate() {
            assert!(a.code.0.len() == 6 && a.code.0.starts_with("MS"), "{:?}", a.code);
            assert!(ALL.iter().skip(i + 1).all(|b| b.code != a.code), "{:?} is listed twice", a.code);
        }
    }
}
