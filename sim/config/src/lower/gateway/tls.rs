//! TLS termination of gateway servers: which settings count, and what is spoken inside (semantics: istio-networking 7.5).

use mesh_core::Str;
use mesh_core::ids::Taint;
use mesh_core::tls::DownstreamTls;

use super::Site;
use super::merge::Server;
use crate::lower::server_tls;
use crate::mesh::protocol::Protocol;
use crate::resource::tls::ServerTlsMode;

/// The termination of a server, with what of its settings is not modelled; `None` for servers that do not terminate.
pub(super) fn terminate(site: &Site<'_>, server: &Server<'_>) -> Option<(DownstreamTls, Vec<Taint>)> {
    let tls = server.written.tls.as_ref().filter(|_| !server.is_passthrough())?;
    let mesh = tls.mode == ServerTlsMode::IstioMutual;
    Some(server_tls::context(site.cx, tls, &server.sni_hosts(), alpn(server, mesh)))
}

/// TCP servers with the mesh's own mutual TLS exchange peer metadata.
fn alpn(server: &Server<'_>, mesh: bool) -> Vec<Str> {
    let mut alpn: Vec<Str> = vec!["h2".into(), "http/1.1".into()];
    if mesh && !server.protocol.is_http() && server.protocol != Protocol::Https {
        alpn.insert(0, "istio-peer-exchange".into());
    }
    alpn
}
