//! The server's certificate and key, and whose certificates clients must show, from a directory with the names that QEMU and
//! nbdkit use.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

const CERTIFICATE: &str = "server-cert.pem";
const KEY: &str = "server-key.pem";
/// Where it is there, clients need a certificate that this authority signed.
const AUTHORITY: &str = "ca-cert.pem";

/// Reads the directory.
pub(crate) fn config(directory: &Path, verifies_clients: bool) -> io::Result<Arc<ServerConfig>> {
    let at = |name: &str| directory.join(name);
    let failed = |name: &str, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("cannot use `{}`: {error}", at(name).display()))
    };
    let chain = CertificateDer::pem_file_iter(at(CERTIFICATE)).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| failed(CERTIFICATE, &error))?;
    let key = PrivateKeyDer::from_pem_file(at(KEY)).map_err(|error| failed(KEY, &error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if verifies_clients {
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_file_iter(at(AUTHORITY)).map_err(|error| failed(AUTHORITY, &error))?;
        for authority in authorities {
            let authority = authority.map_err(|error| failed(AUTHORITY, &error))?;
            roots.add(authority).map_err(|error| failed(AUTHORITY, &error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.map_err(|error| failed(AUTHORITY, &error))?)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| failed(CERTIFICATE, &error))?;
    Ok(Arc::new(config))
}
