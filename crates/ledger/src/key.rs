//! The key that signs, and what is made of it: an Ed25519 key pair in a file that only its owner reads.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::hash::{hex, of_hex};

/// What is signed begins with this, so that no signature is good for anything else.
const PURPOSE: &[u8] = b"portolan ledger 1\n";
/// What the key of digests is made of, beside the key pair.
const DIGESTS: &[u8] = b"portolan ledger 1: digests";
/// What a public key begins with as a text.
const SCHEME: &str = "ed25519:";
/// The most bytes of a file with a key.
const MOST_BYTES: u64 = 4096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file cannot be read or made.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read it.
    #[error("{}: others than its owner may read it; chmod 600", .0.display())]
    Open(PathBuf),
    /// It holds something else.
    #[error("{}: this is no Ed25519 key in PKCS #8, as Portolan makes it", .0.display())]
    Other(PathBuf),
    /// The system's random source failed.
    #[error("no random numbers")]
    Random,
}

/// Signs checkpoints, and makes digests that only its holder can make.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    digests: hmac::Key,
}

impl SigningKey {
    /// The key of that file, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be read or made, or others may read it.
    pub fn kept_at(path: &Path) -> Result<Self, KeyFault> {
        let fault = |error| KeyFault::File { path: path.to_owned(), error };
        if !path.exists() {
            let made = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
            make(path, made.map_err(|_unspecified| KeyFault::Random)?.as_ref()).map_err(fault)?;
        }
        Self::at(path)
    }

    /// The key of that file.
    ///
    /// # Errors
    /// When it cannot be read, or others may read it.
    pub fn at(path: &Path) -> Result<Self, KeyFault> {
        let fault = |error| KeyFault::File { path: path.to_owned(), error };
        let facts = fs::metadata(path).map_err(fault)?;
        if facts.mode() & 0o077 != 0 {
            return Err(KeyFault::Open(path.to_owned()));
        }
        if facts.len() > MOST_BYTES {
            return Err(KeyFault::Other(path.to_owned()));
        }
        Self::of(&fs::read(path).map_err(fault)?).ok_or_else(|| KeyFault::Other(path.to_owned()))
    }

    /// A key for one test or bench.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn random() -> Result<Self, KeyFault> {
        let made = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
        Self::of(made.map_err(|_unspecified| KeyFault::Random)?.as_ref()).ok_or(KeyFault::Random)
    }

    fn of(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pkcs8), DIGESTS);
        Some(Self { pair, digests: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }

    /// What others check signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(&[PURPOSE, text].concat()).as_ref().to_vec()
    }

    /// Stands for a text of which a reader of the ledger must not find out, by trying, what it was.
    pub fn digest<'t>(&self, parts: impl IntoIterator<Item = &'t [u8]>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.digests);
        parts.into_iter().for_each(|part| context.update(part));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Written beside its place and linked there, so that nobody reads half a key, and of two who make one the first wins.
fn make(path: &Path, pkcs8: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let linked =
        file.write_all(pkcs8).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, path));
    let gone = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => gone?,
    }
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Of a text as [`Self`] is shown; the scheme may be left out.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        of_hex(text.strip_prefix(SCHEME).unwrap_or(text)).map(Self)
    }

    /// Whether this key has signed the text.
    #[must_use]
    pub fn has_signed(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&[PURPOSE, text].concat(), signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.key");
        let (made, read) = (SigningKey::kept_at(&path).unwrap(), SigningKey::kept_at(&path).unwrap());
        assert_eq!(made.public(), read.public());
        assert_eq!(PublicKey::of_text(&made.public().to_string()), Some(made.public()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(made.digest([b"a".as_slice(), b"b"]), read.digest([b"ab".as_slice()]));
        let other = SigningKey::random().unwrap();
        assert_ne!(made.digest([b"ab".as_slice()]), other.digest([b"ab".as_slice()]));
        let signature: [u8; 64] = made.sign(b"text").try_into().unwrap();
        assert!(read.public().has_signed(b"text", &signature));
        assert!(
            !read.public().has_signed(b"Text", &signature) && !other.public().has_signed(b"text", &signature)
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(SigningKey::kept_at(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
