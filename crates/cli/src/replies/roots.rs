//! The directories that a server may know of.
//!
//! Source: MCP 2026-07-28 `client/roots`: each is a `file://` URI, which RFC 8089 wants percent-encoded.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use mcp::json::quote;

use crate::fault::Fault;

/// Directories that are there.
#[derive(Debug)]
pub(crate) struct Roots {
    directories: Vec<PathBuf>,
}

impl Roots {
    pub(crate) fn read(given: &[PathBuf]) -> Result<Self, Fault> {
        let whole = |path: &PathBuf| match path.canonicalize() {
            Ok(whole) if whole.is_dir() => Ok(whole),
            Ok(_) => Err(Fault::usage(format!("{} is no directory", path.display()))),
            Err(error) => Err(Fault::usage(format!("{} cannot be a root: {error}", path.display()))),
        };
        Ok(Self { directories: given.iter().map(whole).collect::<Result<_, _>>()? })
    }

    /// The result of `roots/list`.
    pub(crate) fn result(&self) -> String {
        let each = self.directories.iter().map(|directory| {
            let name = directory.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.map(|name| format!(",\"name\":{}", quote(&name))).unwrap_or_default();
            format!("{{\"uri\":{}{name}}}", quote(&uri(directory)))
        });
        format!("{{\"roots\":[{}]}}", each.collect::<Vec<_>>().join(","))
    }
}

fn uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_uri_with_a_name() {
        let roots = Roots { directories: vec![PathBuf::from("/srv/a b#é"), PathBuf::from("/")] };
        assert_eq!(
            roots.result(),
            r##"{"roots":[{"uri":"file:///srv/a%20b%23%C3%A9","name":"a b#é"},{"uri":"file:///"}]}"##
        );
        assert!(Roots::read(&[PathBuf::from("/does/not/exist")]).is_err());
    }
}
