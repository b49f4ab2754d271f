//! Revisions of the protocol: data in one table. Code branches on the [`Era`], never on a date.

/// How a conversation works. Source: MCP 2026-07-28 `basic/versioning` §Terminology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Era {
    /// Opened by `initialize`, with sessions: 2025-11-25 and earlier.
    Legacy,
    /// Every request stands for itself: 2026-07-28 and later.
    Modern,
}

impl Era {
    /// The word for it in logs, metrics and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// One revision of the protocol.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// Its name on the wire.
    pub name: &'static str,
    /// How it works.
    pub era: Era,
    /// Whether its HTTP requests carry `MCP-Protocol-Version` (since 2025-06-18).
    pub has_version_header: bool,
}

/// All revisions that Portolan speaks, newest first. 2024-11-05 has the HTTP+SSE transport of its own, but is spoken
/// over Streamable HTTP and stdio by peers that negotiated down to it.
pub static REVISIONS: &[Revision] = &[
    Revision { name: "2026-07-28", era: Era::Modern, has_version_header: true },
    Revision { name: "2025-11-25", era: Era::Legacy, has_version_header: true },
    Revision { name: "2025-06-18", era: Era::Legacy, has_version_header: true },
    Revision { name: "2025-03-26", era: Era::Legacy, has_version_header: false },
    Revision { name: "2024-11-05", era: Era::Legacy, has_version_header: false },
];

/// The revision of that name, if Portolan speaks it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Revision> {
    REVISIONS.iter().find(|revision| revision.name == name)
}

/// The newest revision of an era.
#[must_use]
pub fn newest(era: Era) -> &'static Revision {
    // Both eras are in the table above; its first entry is the answer for a table that someone emptied.
    REVISIONS.iter().find(|revision| revision.era == era).unwrap_or(&FALLBACK)
}

/// The names of an era's revisions, newest first.
pub fn names(era: Era) -> impl Iterator<Item = &'static str> {
    REVISIONS.iter().filter(move |revision| revision.era == era).map(|revision| revision.name)
}

static FALLBACK: Revision = Revision { name: "2026-07-28", era: Era::Modern, has_version_header: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_era_leads() {
        assert_eq!(newest(Era::Modern).name, "2026-07-28");
        assert_eq!(newest(Era::Legacy).name, "2025-11-25");
        assert_eq!(names(Era::Legacy).last(), Some("2024-11-05"));
        assert_eq!(find("1999-01-01"), None);
    }
}
