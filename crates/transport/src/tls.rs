//! TLS by rustls on aws-lc-rs: reading certificates and keys, and the two configurations made of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

mod clients;

use self::clients::Possession;
pub use self::clients::{Authorities, Presented, Unvouched};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A PEM file cannot be read.
    #[error("{}: {what} cannot be read: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("{}: holds no certificate", .0.display())]
    Empty(PathBuf),
    /// rustls refuses what was read.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let pem = |source| TlsFault::Pem { path: path.to_owned(), what: "a certificate", source };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect();
    let found = found.map_err(pem)?;
    if found.is_empty() { Err(TlsFault::Empty(path.to_owned())) } else { Ok(found) }
}

/// What a listener presents: a certificate chain and its key, for HTTP/2 and HTTP/1.1. If it asks its clients for certificates,
/// it takes any, and none.
///
/// # Errors
/// When a file cannot be read, or the key does not fit the certificate.
pub fn server(certificate: &Path, key: &Path, asks_clients: bool) -> Result<Arc<ServerConfig>, TlsFault> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsFault::Pem {
        path: key.to_owned(),
        what: "a private key",
        source,
    })?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = if asks_clients {
        let possession = Possession(provider().signature_verification_algorithms);
        builder.with_client_cert_verifier(Arc::new(possession))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whom a client trusts: the system's certificate authorities, and those of a file beside them.
///
/// # Errors
/// When the file cannot be read.
pub fn client(extra_authorities: Option<&Path>) -> Result<Arc<ClientConfig>, TlsFault> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a system certificate cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra_authorities {
        for certificate in certificates(path)? {
            roots.add(certificate)?;
        }
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
