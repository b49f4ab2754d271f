//! TLS by rustls on aws-lc-rs: reading certificates and keys, and the two configurations made of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::net::BoxIo;

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

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsFault::Pem {
        path: path.to_owned(),
        what: "a private key",
        source,
    })
}

/// What a listener presents: a certificate chain and its key, for HTTP/2 and HTTP/1.1. If it asks its clients for certificates,
/// it takes any, and none.
///
/// # Errors
/// When a file cannot be read, or the key does not fit the certificate.
pub fn server(certificate: &Path, key: &Path, asks_clients: bool) -> Result<Arc<ServerConfig>, TlsFault> {
    let chain = certificates(certificate)?;
    let key = private_key(key)?;
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

/// Whom a client of HTTP trusts: the system's certificate authorities, and those of a file beside them.
///
/// # Errors
/// When the file cannot be read.
pub fn client(extra_authorities: Option<&Path>) -> Result<Arc<ClientConfig>, TlsFault> {
    let mut config = client_with(extra_authorities, None)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whom a client of any protocol trusts, and what it presents: a certificate and its key.
///
/// # Errors
/// When a file cannot be read, or the key does not fit the certificate.
pub fn client_with(
    extra_authorities: Option<&Path>,
    presents: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsFault> {
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
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match presents {
        Some((certificate, key)) => {
            Ok(builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?)
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Begins TLS on a connection to a server of that name.
///
/// # Errors
/// Says what to do about it where that is known.
pub async fn begin(config: Arc<ClientConfig>, host: &str, io: BoxIo) -> io::Result<BoxIo> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, io).await;
    Ok(Box::new(stream.map_err(|error| no_tls(error, "is that its port for TLS?"))?))
}

/// Why TLS could not be begun, with what to do about it where that is known; `plain` says that of what speaks no TLS.
pub(crate) fn no_tls(error: io::Error, plain: &str) -> io::Error {
    let what = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let cure = match what {
        Some(rustls::Error::InvalidMessage(_)) => &format!("what answers there does not speak TLS: {plain}"),
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "if its authority is one of your own, name its PEM file with `ca`, or in SSL_CERT_FILE"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "write the URL with a host name that the certificate has",
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its operator has to renew it",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {cure}"))
}
