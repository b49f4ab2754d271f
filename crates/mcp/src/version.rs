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
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each says something of its own")]
pub struct Revision {
    /// Its name on the wire.
    pub name: &'static str,
    /// How it works.
    pub era: Era,
    /// Whether its HTTP requests carry `MCP-Protocol-Version` (since 2025-06-18).
    pub has_version_header: bool,
    /// The types that a content block may have.
    pub blocks: &'static [&'static str],
    /// What `structuredContent` may be, and with it `outputSchema`.
    pub structured: Structured,
    /// Whether the core has tasks (2025-11-25 only; later they are an extension).
    pub core_tasks: bool,
    /// Whether servers declare that they complete arguments. In 2024-11-05 they may without saying so.
    pub declares_completions: bool,
    /// Whether a stream begins with an event that has an id and no data (2025-11-25). Older clients take the empty data
    /// for a broken message.
    pub primes_streams: bool,
    /// Whether several messages may come in one JSON array (2025-03-26 only).
    pub has_batches: bool,
}

/// What a revision lets `structuredContent` be; later revisions let it be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Structured {
    /// There is none.
    Absent,
    /// An object, described by a schema of `"type": "object"`.
    Object,
    /// Any JSON value, described by any schema.
    Any,
}

impl Revision {
    /// Whether it came after another one. Names are dates that sort as text.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.name > other.name
    }
}

const FIRST_BLOCKS: &[&str] = &["text", "image", "resource"];
const WITH_AUDIO: &[&str] = &["text", "image", "resource", "audio"];
const WITH_LINKS: &[&str] = &["text", "image", "resource", "audio", "resource_link"];

/// All revisions that Portolan speaks, newest first. 2024-11-05 has the HTTP+SSE transport of its own, but is spoken
/// over Streamable HTTP and stdio by peers that negotiated down to it.
pub static REVISIONS: &[Revision] = &[
    LATEST,
    Revision {
        name: "2025-11-25",
        era: Era::Legacy,
        structured: Structured::Object,
        core_tasks: true,
        primes_streams: true,
        ..LATEST
    },
    Revision { name: "2025-06-18", era: Era::Legacy, structured: Structured::Object, ..LATEST },
    Revision {
        name: "2025-03-26",
        blocks: WITH_AUDIO,
        declares_completions: true,
        has_batches: true,
        ..FIRST
    },
    FIRST,
];

const LATEST: Revision = Revision {
    name: "2026-07-28",
    era: Era::Modern,
    has_version_header: true,
    blocks: WITH_LINKS,
    structured: Structured::Any,
    core_tasks: false,
    declares_completions: true,
    primes_streams: false,
    has_batches: false,
};

const FIRST: Revision = Revision {
    name: "2024-11-05",
    era: Era::Legacy,
    has_version_header: false,
    blocks: FIRST_BLOCKS,
    structured: Structured::Absent,
    core_tasks: false,
    declares_completions: false,
    primes_streams: false,
    has_batches: false,
};

/// The revision of that name, if Portolan speaks it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Revision> {
    REVISIONS.iter().find(|revision| revision.name == name)
}

/// The newest revision of an era.
#[must_use]
pub fn newest(era: Era) -> &'static Revision {
    // Both eras are in the table above; its first entry is the answer for a table that someone emptied.
    REVISIONS.iter().find(|revision| revision.era == era).unwrap_or(&LATEST)
}

/// The names of an era's revisions, newest first.
pub fn names(era: Era) -> impl Iterator<Item = &'static str> {
    REVISIONS.iter().filter(move |revision| revision.era == era).map(|revision| revision.name)
}

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

    /// What a newer revision writes is more, never less: so only what goes to an older one needs a change.
    #[test]
    fn each_revision_reads_all_that_older_ones_write() {
        for pair in REVISIONS.windows(2) {
            let [new, old] = pair else { panic!("windows of two") };
            assert!(new.is_newer_than(old) && !old.is_newer_than(new));
            assert!(old.blocks.iter().all(|block| new.blocks.contains(block)));
            assert!(new.structured >= old.structured);
        }
    }
}
