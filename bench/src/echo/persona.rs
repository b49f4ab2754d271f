//! What kind of server a path stands for.

/// Which era a server speaks. A legacy one refuses modern requests as real ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Era {
    Modern,
    Legacy,
}

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Persona {
    pub(crate) era: Era,
    /// How many tools it lists.
    pub(crate) tools: u32,
    /// For how many milliseconds its lists are fresh; 0 for servers that forbid to cache.
    pub(crate) ttl: u64,
}

impl Persona {
    /// Reads `/ERA/TOOLS/TTL/NAME`. The name only tells servers of one kind apart.
    pub(crate) fn of_path(path: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(path).ok()?.strip_prefix('/')?.split('/');
        let era = match parts.next()? {
            "modern" => Era::Modern,
            "legacy" => Era::Legacy,
            _ => return None,
        };
        Some(Self { era, tools: parts.next()?.parse().ok()?, ttl: parts.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_server_is() {
        let modern = Persona { era: Era::Modern, tools: 10, ttl: 60000 };
        assert_eq!(Persona::of_path(b"/modern/10/60000/alpha"), Some(modern));
        assert_eq!(Persona::of_path(b"/legacy/1/0/x").map(|persona| persona.era), Some(Era::Legacy));
        for path in [&b"/"[..], b"/modern", b"/modern/x/0/a", b"/old/1/0/a", b"modern/1/0/a", b"\xff"] {
            assert_eq!(Persona::of_path(path), None);
        }
    }
}
