//! A seal whose key is kept in a file, so that what was handed out is still good after a restart.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Seal, SealFault};

/// Why there is no seal.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// The file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{}: others may read this key; chmod 600 it, or remove it to have a new one made", .0.display())]
    Open(PathBuf),
    /// It does not hold a key.
    #[error("{}: this is no key: 64 hexadecimal digits are wanted; remove it to have a new one made", .0.display())]
    Malformed(PathBuf),
    /// No key could be made.
    #[error(transparent)]
    Seal(#[from] SealFault),
}

impl Seal {
    /// The seal with the key in this file, which is made if it is not there: for its owner only, and never written over.
    ///
    /// # Errors
    /// When the file cannot be read or made, is open to others, or holds no key.
    pub fn kept_at(path: &Path) -> Result<Self, KeyFileFault> {
        let io = |source| KeyFileFault::Io { path: path.to_owned(), source };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let secret = super::new_secret()?;
                let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
                file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
                Ok(Self::from_secret(&secret)?)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read_from(path),
            Err(error) => Err(io(error)),
        }
    }

    fn read_from(path: &Path) -> Result<Self, KeyFileFault> {
        let io = |source| KeyFileFault::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).open(path).map_err(io)?;
        if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyFileFault::Open(path.to_owned()));
        }
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text).map_err(io)?;
        let secret = decode(text.trim()).ok_or_else(|| KeyFileFault::Malformed(path.to_owned()))?;
        Ok(Self::from_secret(&secret)?)
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut secret = [0; 32];
    for (byte, digits) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::Bound;
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        let bound = Bound { purpose: "p", principal: "me" };
        let token =
            Seal::kept_at(&path).unwrap().seal(bound, UNIX_EPOCH + Duration::from_secs(9), b"x").unwrap();
        assert_eq!(Seal::kept_at(&path).unwrap().open(bound, UNIX_EPOCH, &token).unwrap(), b"x");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_is_open_or_none_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        std::fs::write(&path, "00\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Seal::kept_at(&path), Err(KeyFileFault::Malformed(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Seal::kept_at(&path), Err(KeyFileFault::Open(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "00\n");
        assert!(matches!(Seal::kept_at(&dir.path().join("no/key")), Err(KeyFileFault::Io { .. })));
    }
}
