//! Envoy's texts: details, reset reasons, transport failures (semantics: envoy-routing 7, 8; istio-security 2.7).

use mesh_core::Str;
use mesh_core::decide::{Distrust, HandshakeFailure};
use mesh_core::request::{FirstBytes, Protocol};
use mesh_core::response::ResponseFlag;
use mesh_core::upstream::ResetReason;

use super::state::{ConnectError, HelloError};
use crate::record::Side;

/// Listener log of a connection without filter chain.
pub(super) const NO_CHAIN: &str = "filter_chain_not_found";
/// Envoy's body of UH.
pub(super) const NO_HEALTHY_UPSTREAM: &str = "no healthy upstream";
/// Transport failure of a refused connection.
const REFUSED: &str = "delayed_connect_error:_Connection_refused";

/// The side as a person says it.
pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Outbound => "outbound",
        Side::Inbound => "inbound",
        Side::Gateway => "gateway",
    }
}

/// What the TLS inspector notes about plaintext (`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%` of NR lines).
pub(super) fn no_tls(bytes: FirstBytes) -> Option<&'static str> {
    match bytes {
        FirstBytes::Http(Protocol::Http10 | Protocol::Http11) => {
            Some("TLS_error|error:1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end")
        }
        FirstBytes::Http(Protocol::Http2) | FirstBytes::Raw { .. } => {
            Some("TLS_error|error:100000f7:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end")
        }
        FirstBytes::Silent => None,
    }
}

/// Flag, status and text of a reset (semantics: envoy-routing 7.2).
pub(super) fn reset(reason: ResetReason) -> (ResponseFlag, u16, &'static str) {
    match reason {
        ResetReason::ConnectionFailure => (ResponseFlag::UF, 503, "remote connection failure"),
        ResetReason::ConnectionTimeout => (ResponseFlag::UF, 503, "connection timeout"),
        ResetReason::ConnectionTermination => (ResponseFlag::UC, 503, "connection termination"),
        ResetReason::ProtocolError => (ResponseFlag::UPE, 502, "protocol error"),
        ResetReason::RemoteReset => (ResponseFlag::UR, 503, "remote reset"),
        ResetReason::RemoteRefusedStream => (ResponseFlag::UR, 503, "remote refused stream reset"),
        ResetReason::Overflow => (ResponseFlag::UO, 503, "overflow"),
    }
}

/// `upstream_reset_before_response_started{…}` and its after-twin.
pub(super) fn reset_details(before: bool, text: &str, transport: Option<&Str>) -> Str {
    let when = if before { "before" } else { "after" };
    let text = text.replace(' ', "_");
    match transport {
        Some(t) => format!("upstream_reset_{when}_response_started{{{text}|{t}}}").into(),
        None => format!("upstream_reset_{when}_response_started{{{text}}}").into(),
    }
}

/// Body of a local reply for a reset before headers.
pub(super) fn reset_body(retried: bool, text: &str) -> Str {
    let how = if retried { "retried and the latest reset reason" } else { "reset reason" };
    format!("upstream connect error or disconnect/reset before headers. {how}: {text}").into()
}

/// Transport failure of a connection that did not come about.
pub(super) fn connect_error(error: ConnectError, address: &str) -> Option<Str> {
    match error {
        ConnectError::Refused => Some(REFUSED.into()),
        ConnectError::Unreachable => {
            Some(format!("delayed_connect_error:_No_route_to_host|remote_address:{address}").into())
        }
        ConnectError::Dropped => None,
    }
}

/// Transport failure of a handshake, as the client proxy logs it.
pub(super) fn hello_error(error: &HelloError) -> Str {
    match error {
        HelloError::Reset => {
            "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"
                .into()
        }
        HelloError::NotTls => {
            "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end".into()
        }
        HelloError::Distrusted { sans, names } => distrust(sans, *names),
    }
}

fn distrust(sans: &[Str], names: bool) -> Str {
    let why = if names {
        let shown: Vec<&str> = sans.iter().map(AsRef::as_ref).collect();
        format!("verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[{}]", shown.join(",_"))
    } else {
        "verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_1:_self_signed_certificate_in_certificate_chain".to_owned()
    };
    format!(
        "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:{why}:TLS_error_end"
    )
    .into()
}

/// Transport failure of a handshake, as the server proxy logs it.
pub(super) fn handshake_downstream(failure: &HandshakeFailure) -> Str {
    match failure {
        HandshakeFailure::ServerHasNoCertificate => "TLS_error:_Secret_is_not_supplied_by_SDS".into(),
        HandshakeFailure::NotTls => {
            "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end".into()
        }
        HandshakeFailure::ClientCertificateRequired => {
            "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:peer_did_not_provide_required_client_certificate:TLS_error_end".into()
        }
        HandshakeFailure::ClientRefusesServer { .. } => {
            "TLS_error:|268436498:SSL_routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_UNKNOWN:TLS_error_end".into()
        }
        HandshakeFailure::ServerRefusesClient { sans, why } => distrust(sans, *why == Distrust::SanMismatch),
    }
}
