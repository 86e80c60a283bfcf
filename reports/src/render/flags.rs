//! Envoy's response flags in words a reader needs no manual for. Which flags a request got is the engine's.

/// What a text of flags (`UF,URX`) says, one part per flag; flags without words stand for themselves.
#[must_use]
pub fn meaning(flags: &str) -> String {
    flags.split(',').map(|flag| words(flag).unwrap_or(flag)).collect::<Vec<_>>().join("; ")
}

/// Envoy: `docs/root/configuration/observability/access_log/usage.rst`, RESPONSE_FLAGS.
fn words(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "LH" => "the local service failed its health check",
        "UH" => "no healthy host in the cluster",
        "UT" => "no answer within the timeout",
        "LR" => "the connection was reset locally",
        "UR" => "the server reset the stream",
        "UF" => "no connection to the host",
        "UC" => "the server closed the connection before its answer",
        "UO" => "a circuit breaker refused it",
        "NR" => "no route or filter chain matched",
        "DI" => "delayed by an injected fault",
        "FI" => "aborted by an injected fault",
        "RL" => "over the rate limit",
        "UAEX" => "denied by external authorization",
        "DC" => "the client hung up",
        "URX" => "all retries (or connection attempts) used up",
        "SI" => "nothing moved on the stream for too long",
        "IH" => "an Envoy header had an invalid value",
        "DPE" => "the client broke the protocol",
        "UMSDR" => "the stream lasted too long",
        "DT" => "the request or connection lasted too long",
        "UPE" => "the server broke the protocol",
        "NC" => "the route's cluster does not exist",
        "DF" => "the name did not resolve",
        "DR" => "the client reset the stream",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_a_text_has_its_part() {
        assert_eq!(meaning("UH"), "no healthy host in the cluster");
        assert_eq!(
            meaning("UF,URX"),
            "no connection to the host; all retries (or connection attempts) used up"
        );
        assert_eq!(meaning("XX"), "XX");
    }
}
