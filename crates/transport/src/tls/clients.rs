//! Certificates of clients. The handshake shows that a client has the key of the one that it presents; whether that says
//! anything of it is for each route to say: several routes with several authorities lie behind one listener, and a token may
//! be bound to a certificate of no authority at all (RFC 8705 §2.2).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

/// The most certificates that a client may present, its own among them, and the most bytes of them: a way to an authority is sought in
/// every order of them, and they are held as long as the connection is.
const MOST_CERTIFICATES: usize = 4;
const MOST_BYTES: usize = 16 * 1024;

/// What a client has presented, in DER, its own first.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// The certificates.
    pub chain: Vec<Vec<u8>>,
    /// SHA-256 of the client's own: `x5t#S256` (RFC 8705 §3.1).
    pub thumbprint: [u8; 32],
}

impl Presented {
    /// Certificates that somebody has presented; none if there are none.
    #[must_use]
    pub fn new(chain: Vec<Vec<u8>>) -> Option<Self> {
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, chain.first()?).as_ref());
        Some(Self { chain, thumbprint })
    }

    /// Those of a PEM text, the client's own first; none if one of them cannot be read, or there is none.
    #[must_use]
    pub fn of_pem(text: &[u8]) -> Option<Self> {
        let chain = CertificateDer::pem_slice_iter(text).map(|one| one.map(|der| der.to_vec()));
        Self::new(chain.collect::<Result<_, _>>().ok()?)
    }

    pub(crate) fn of(chain: Option<&[CertificateDer<'static>]>) -> Option<Arc<Self>> {
        Self::new(chain?.iter().map(|one| one.to_vec()).collect()).map(Arc::new)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Certificate authorities that vouch for clients.
#[derive(Clone)]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

/// Why an authority does not vouch for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unvouched {
    /// The certificate's time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It is not for clients (RFC 5280 §4.2.1.12).
    Purpose,
    /// None of the authorities has signed it.
    Stranger,
    /// It cannot be read, or is none of a client.
    Broken,
}

impl Authorities {
    /// Those of a PEM text.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|fault| format!("a certificate cannot be read: {fault}"))?;
            roots.add(certificate).map_err(|fault| format!("a certificate cannot be used: {fault}"))?;
        }
        if roots.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
        Ok(Self(verifier.build().map_err(|fault| fault.to_string())?))
    }

    /// Whether one of them vouches for what was presented, by every certificate on the way, at that time.
    ///
    /// # Errors
    /// When none does.
    pub fn vouch(&self, chain: &[Vec<u8>], now: SystemTime) -> Result<(), Unvouched> {
        let chain: Vec<_> = chain.iter().map(|one| CertificateDer::from(one.as_slice())).collect();
        let (own, others) = chain.split_first().ok_or(Unvouched::Broken)?;
        if chain.len() > MOST_CERTIFICATES {
            return Err(Unvouched::Broken);
        }
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let verified = self.0.verify_client_cert(own, others, UnixTime::since_unix_epoch(since));
        verified.map(drop).map_err(|fault| match fault {
            Error::InvalidCertificate(fault) => match fault {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Unvouched::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Unvouched::NotYet
                }
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                    Unvouched::Purpose
                }
                // Of two authorities of one name the wrong one is tried, too.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Unvouched::Stranger,
                _ => Unvouched::Broken,
            },
            _ => Unvouched::Broken,
        })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("roots", &self.0.root_hint_subjects().len()).finish()
    }
}

/// Takes any certificate, or none, from a client that shows that it has the key.
#[derive(Debug)]
pub(super) struct Possession(pub(super) WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = others.iter().fold(own.len(), |bytes, one| bytes + one.len());
        if others.len() >= MOST_CERTIFICATES || bytes > MOST_BYTES {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
