//! Every diagnostic code, its title and its explanation, in one table.
//!
//! Blocks: MS00 reading files and YAML, MS01 fields against the schema, MS02 objects and the mesh they make,
//! MS03 static checks, MS04 what mesh-sim does not model, MS05 istiod's validation webhook,
//! MS06 scenarios and policy tests, MS07 the mesh as a whole (`istioctl analyze`'s findings).
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
    NOT_IMPORTED = "MS0014", "test of another tool not imported",
        "The test asks or expects something that has no counterpart here, so `mesh-sim import` leaves it out rather than weaken it.";
    STAND_IN = "MS0015", "stand-in for a missing object",
        "A test of another tool needs an object that the manifests lack. `mesh-sim import` writes a plain one in its place, where it can be seen.";

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

    ALLOWS_NOTHING = "MS0321", "policy allows nothing",
        "An ALLOW policy without rules allows nothing: its workloads deny what no other ALLOW policy admits. To allow everything write `rules: [{}]`.";
    ALTERNATIVES = "MS0322", "rule opens what another policy guards",
        "ALLOW policies are alternatives: what one lets in, no other keeps out. Conditions that belong together stand in one rule; what must never pass is denied.";
    PRINCIPAL_NEVER_MATCHES = "MS0323", "identity that nobody has",
        "Peer identities read `TRUSTDOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT` without `spiffe://`, request principals `ISSUER/SUBJECT`. Anything else matches nobody: an ALLOW rule lets nobody in, a DENY rule keeps nobody out.";
    NOBODY_HAS_IDENTITY = "MS0324", "no pod runs under this service account",
        "The namespace is in the manifests, but none of its pods has this service account.";
    NO_SUCH_NAMESPACE = "MS0325", "namespace is not in the manifests",
        "A policy names a namespace that has no pod and no Namespace object here.";
    PATH_NEVER_MATCHES = "MS0326", "path that no request has",
        "Paths begin with `/` and are compared without query and fragment.";
    STAR_IS_LITERAL = "MS0327", "star that is no wildcard",
        "One star at the beginning or the end of a value is a wildcard; any other is compared as a character. Paths may use `{*}` and `{**}`.";
    METHOD_NEVER_MATCHES = "MS0328", "method that no request has",
        "Methods are compared as written, and HTTP's are upper-case.";
    HOST_NEVER_MATCHES = "MS0329", "host that no request has",
        "`hosts` are compared with the Host header: a name, perhaps with a port.";
    HOST_WITHOUT_PORT = "MS0330", "host without port",
        "Clients that use another port than the scheme's write it into the Host header, which then does not match.";
    OTHER_SPELLINGS = "MS0331", "exact path is not all spellings",
        "`/admin` is neither `/admin/` nor `/admin/x` nor `//admin`; what is exempted or denied by an exact path is reached by others.";
    HTTP_ON_TCP = "MS0332", "HTTP attributes on TCP ports",
        "On TCP ports an ALLOW rule with HTTP attributes does not exist, and of a DENY rule they vanish, so that it denies more.";
    NOT_A_POD_PORT = "MS0333", "port that no pod listens on",
        "Security policies compare the port of the pod (`targetPort`), not that of the Service.";
    POLICY_FOR_NOBODY = "MS0334", "policy for nobody",
        "No pod of the policy's namespace has these labels. Only AuthorizationPolicies and RequestAuthentications of the root namespace select pods of others.";
    ENFORCED_NOWHERE = "MS0335", "nobody enforces the policy",
        "Security policies are enforced by the proxy of the server; pods without one, and sidecars where a policy is for waypoints, ignore it.";
    TOKEN_NOT_REQUIRED = "MS0336", "tokens are not required",
        "A RequestAuthentication refuses bad tokens and lets requests without any through; requiring one is an AuthorizationPolicy's job.";
    DEAD_PEER_AUTHENTICATION = "MS0337", "PeerAuthentication without effect",
        "Of several PeerAuthentications for the same scope only the oldest counts, and with a selector in the root namespace none does.";
    SERVER_DROPPED = "MS0338", "Gateway server left out",
        "istiod leaves out servers that collide with older ones on the same gateway pods.";
    IDENTITY_NOT_REQUIRED = "MS0339", "plaintext callers have no identity",
        "Where plaintext is accepted, callers without sidecar match no positive identity and every negative one: a DENY rule does not stop them, an ALLOW rule with exclusions admits them.";
    SHADOWED_ROUTE = "MS0301", "route is never used",
        "Whatever request this route takes, an earlier route of the same host takes first, on every proxy that has both.";
    IMPOSSIBLE_ROUTE = "MS0302", "route matches nothing",
        "No request satisfies all conditions of the match: a path without leading slash, or conditions that exclude each other.";
    SHADOWED_RULE = "MS0303", "policy rule changes nothing",
        "Whatever this rule matches, another rule of the same action matches too, or a DENY rule refuses first, at every workload it is for.";
    IMPOSSIBLE_RULE = "MS0304", "policy rule matches nothing",
        "No request from anybody satisfies all conditions of the rule: a principal in the wrong form, a path without leading slash, or conditions that exclude each other.";

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

    UNKNOWN_HOST = "MS0701", "no such host",
        "The host of a destination is neither a Service nor a ServiceEntry that the VirtualService's namespace sees (IST0101).";
    UNKNOWN_MIRROR_HOST = "MS0702", "no such mirror host",
        "The host of a mirror is neither a Service nor a ServiceEntry that the VirtualService's namespace sees (IST0101).";
    UNKNOWN_PORT = "MS0703", "no such port",
        "The Service or ServiceEntry of a destination has no port of this number (IST0101).";
    UNKNOWN_SUBSET = "MS0704", "no such subset",
        "No DestinationRule for the destination's host defines the subset: 503 with flag NC (IST0101).";
    UNKNOWN_MIRROR_SUBSET = "MS0705", "no such subset of a mirror",
        "No DestinationRule for the mirror's host defines the subset (IST0101).";
    UNKNOWN_GATEWAY = "MS0706", "no such Gateway",
        "A VirtualService names a Gateway that no manifest defines (IST0101).";
    SELECTS_NOTHING = "MS0707", "selects no pod",
        "The selector of a Gateway or Sidecar matches no pod: the object has no effect (IST0101).";
    UNKNOWN_SECRET = "MS0708", "secret is not in the manifests",
        "The certificate of a Gateway's server is in a Secret that no manifest holds; predictions take it as present (IST0101).";
    UNKNOWN_NAMESPACE = "MS0709", "no such namespace",
        "An AuthorizationPolicy names a namespace that nothing lies in (IST0101).";
    PORT_REQUIRED = "MS0710", "which port",
        "The destination's Service has several ports and the route names none (IST0112).";
    HOST_NOT_IN_GATEWAY = "MS0711", "host not in the Gateway",
        "No server of the Gateway takes any host of the VirtualService (IST0132).";
    CLAIMS_UNVERIFIED = "MS0712", "claims of unverified tokens",
        "A route matches claims, and no RequestAuthentication applies to the gateway's pods: it never matches (IST0149).";
    SUBSET_SELECTS_NOTHING = "MS0713", "subset without pods",
        "No pod has the labels of the subset: 503 with flag UH (IST0173).";
    UNKNOWN_RULE_HOST = "MS0714", "rule for an unknown host",
        "The DestinationRule's host is neither a Service nor a ServiceEntry that its namespace sees: it has no effect (IST0174).";
    INGRESS_RULES_NOT_AFFECTED = "MS0715", "subset rules are passed by",
        "A gateway routes to a host whose own VirtualService splits it by subset; those rules do not apply there (IST0140).";
    GATEWAY_PORT_NOT_ON_SERVICE = "MS0716", "gateway port is not open",
        "No Service of the gateway's pods has the port of the server (IST0162).";
    CONFLICTING_HOSTS = "MS0717", "host in several VirtualServices",
        "Several VirtualServices of the mesh are for one host: only one of them decides (IST0109).";
    CONFLICTING_SIDECARS = "MS0718", "pod in several Sidecars",
        "Several Sidecars select one pod: only the oldest one applies (IST0110).";
    SEVERAL_DEFAULT_SIDECARS = "MS0719", "several Sidecars without selector",
        "A namespace has several Sidecars without workloadSelector: only the oldest one applies (IST0111).";
    CONFLICTING_GATEWAYS = "MS0720", "Gateways in conflict",
        "Two Gateways have the same host, port and address on the same pods (IST0145).";
    DUPLICATE_CERTIFICATE = "MS0721", "certificate in several Gateways",
        "Two Gateways on the same pods use one certificate: reused HTTP/2 connections reach the wrong one (IST0138).";
    CONFLICTING_PROTOCOLS = "MS0722", "port with several protocols",
        "ServiceEntries give one port of one host different protocols (IST0177).";
    PORT_PROTOCOLS_DIFFER = "MS0723", "port with several transport protocols",
        "Services of one Deployment use a port number with TCP and with UDP (IST0116).";
    TARGET_PORT_SHARED = "MS0724", "target port of several Service ports",
        "Different Service ports lead to one port of a Deployment's pods (IST0137).";
    POLICY_SELECTS_NOTHING = "MS0725", "policy protects nothing",
        "No pod with a proxy is selected by the AuthorizationPolicy (IST0127).";
    SERVER_UNVERIFIED = "MS0726", "server not verified",
        "TLS to a host is originated without caCertificates (IST0128).";
    PORT_SERVER_UNVERIFIED = "MS0727", "server of a port not verified",
        "TLS to a port of a host is originated without caCertificates (IST0129).";
    PORT_NAME = "MS0728", "port name tells no protocol",
        "The protocol is detected from each connection's first bytes (IST0118).";
    EXTERNAL_PORT_NAME = "MS0729", "port name of an ExternalName Service",
        "The port of an ExternalName Service is opaque TCP and takes the port from every other host (IST0150).";
    ENTRY_WITHOUT_ADDRESS = "MS0730", "TCP port without address",
        "A ServiceEntry with a TCP port and no address takes every address of that port (IST0134).";
    NOT_INJECTED = "MS0731", "namespace is not injected",
        "Pods of the namespace get no sidecar (IST0102).";
    SEVERAL_INJECTION_LABELS = "MS0732", "several injection labels",
        "A namespace carries contradicting labels for injection (IST0123).";
    IMAGE_AUTO = "MS0733", "`image: auto` without injection",
        "The pods of a Deployment wait for an image that injection would fill in (IST0146).";
    POD_IMAGE_AUTO = "MS0734", "`image: auto` of a Pod without injection",
        "A Pod waits for an image that injection would fill in (IST0147).";
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
