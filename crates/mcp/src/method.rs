//! The method table: what an intermediary must know of each client method, as data.
//!
//! Flat table: one entry per method. Source: MCP schema 2026-07-28 `ClientRequest`, 2025-11-25 `ClientRequest`.

/// Where a request names the thing it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectAt {
    /// It is about nothing in particular.
    Nowhere,
    /// A string member of `params`, mirrored in `Mcp-Name`.
    Param(&'static str),
    /// `params.ref`: a prompt's name or a template's URI (`completion/complete`); mirrored nowhere.
    CompletionRef,
}

/// What kind of thing a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A server as a whole.
    Server,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource.
    Resource,
    /// A resource template.
    Template,
    /// A task of the tasks extension.
    Task,
}

/// How many servers a request goes to behind an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The one that owns its subject.
    Owner,
    /// All, and the answers are merged.
    All,
    /// None: the peer we talk to answers it.
    Peer,
}

/// One method that clients call.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each is a yes or no of its method")]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// Where it says so.
    pub subject: SubjectAt,
    /// How many servers it concerns.
    pub reach: Reach,
    /// Whether modern revisions have it.
    pub modern: bool,
    /// Whether legacy revisions have it.
    pub legacy: bool,
    /// The result's member that holds the entries, for lists.
    pub entries: Option<&'static str>,
    /// Whether its complete results carry `ttlMs` and `cacheScope`.
    pub cacheable: bool,
    /// Whether the answer may be `input_required`.
    pub may_ask: bool,
    /// The server capability without which the method does not exist there.
    pub capability: Option<&'static str>,
    /// Whether it only reads, so that a server that gets it twice has done nothing twice.
    pub reads: bool,
    /// Whether it is answered only when its subject is over: it is quiet for as long as that takes.
    pub waits: bool,
}

/// All methods, core and extension, alphabetically.
pub static METHODS: &[Method] = &[
    Method {
        kind: Kind::Prompt,
        subject: SubjectAt::CompletionRef,
        capability: Some("completions"),
        legacy: true,
        reads: true,
        ..owned("completion/complete")
    },
    Method { reach: Reach::Peer, modern: false, legacy: true, ..owned("initialize") },
    Method { reach: Reach::Peer, modern: false, legacy: true, ..owned("logging/setLevel") },
    Method { reach: Reach::Peer, modern: false, legacy: true, reads: true, ..owned("ping") },
    Method {
        kind: Kind::Prompt,
        subject: SubjectAt::Param("name"),
        may_ask: true,
        capability: Some("prompts"),
        legacy: true,
        reads: true,
        ..owned("prompts/get")
    },
    Method { kind: Kind::Prompt, capability: Some("prompts"), ..list("prompts/list", "prompts") },
    Method { kind: Kind::Resource, capability: Some("resources"), ..list("resources/list", "resources") },
    Method {
        kind: Kind::Resource,
        subject: SubjectAt::Param("uri"),
        may_ask: true,
        cacheable: true,
        capability: Some("resources"),
        legacy: true,
        reads: true,
        ..owned("resources/read")
    },
    Method {
        kind: Kind::Resource,
        subject: SubjectAt::Param("uri"),
        modern: false,
        legacy: true,
        capability: Some("resources"),
        ..owned("resources/subscribe")
    },
    Method {
        kind: Kind::Template,
        capability: Some("resources"),
        ..list("resources/templates/list", "resourceTemplates")
    },
    Method {
        kind: Kind::Resource,
        subject: SubjectAt::Param("uri"),
        modern: false,
        legacy: true,
        capability: Some("resources"),
        ..owned("resources/unsubscribe")
    },
    Method { reach: Reach::All, cacheable: true, reads: true, ..owned("server/discover") },
    Method { reach: Reach::All, ..owned("subscriptions/listen") },
    Method { kind: Kind::Task, subject: SubjectAt::Param("taskId"), legacy: true, ..owned("tasks/cancel") },
    Method {
        kind: Kind::Task,
        subject: SubjectAt::Param("taskId"),
        legacy: true,
        reads: true,
        ..owned("tasks/get")
    },
    Method { kind: Kind::Task, modern: false, legacy: true, reads: true, ..owned("tasks/list") },
    Method {
        kind: Kind::Task,
        subject: SubjectAt::Param("taskId"),
        modern: false,
        legacy: true,
        // In the legacy era a task asks on the stream of this.
        may_ask: true,
        reads: true,
        waits: true,
        ..owned("tasks/result")
    },
    Method { kind: Kind::Task, subject: SubjectAt::Param("taskId"), ..owned("tasks/update") },
    Method {
        kind: Kind::Tool,
        subject: SubjectAt::Param("name"),
        may_ask: true,
        capability: Some("tools"),
        legacy: true,
        ..owned("tools/call")
    },
    Method { kind: Kind::Tool, capability: Some("tools"), ..list("tools/list", "tools") },
];

const fn owned(name: &'static str) -> Method {
    Method {
        name,
        kind: Kind::Server,
        subject: SubjectAt::Nowhere,
        reach: Reach::Owner,
        modern: true,
        legacy: false,
        entries: None,
        cacheable: false,
        may_ask: false,
        capability: None,
        reads: false,
        waits: false,
    }
}

const fn list(name: &'static str, entries: &'static str) -> Method {
    Method {
        reach: Reach::All,
        legacy: true,
        entries: Some(entries),
        cacheable: true,
        reads: true,
        ..owned(name)
    }
}

/// The method of that name, of either era.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        assert!(METHODS.windows(2).all(|pair| matches!(pair, [a, b] if a.name < b.name)));
    }

    /// What is not here is never sent twice by itself.
    #[test]
    fn what_only_reads() {
        let reads: Vec<_> = METHODS.iter().filter(|m| m.reads).map(|m| m.name).collect();
        let expected = [
            "completion/complete",
            "ping",
            "prompts/get",
            "prompts/list",
            "resources/list",
            "resources/read",
            "resources/templates/list",
            "server/discover",
            "tasks/get",
            "tasks/list",
            "tasks/result",
            "tools/list",
        ];
        assert_eq!(reads, expected);
    }

    /// No other is left without the deadline of a call.
    #[test]
    fn what_waits() {
        let waits: Vec<_> = METHODS.iter().filter(|m| m.waits).map(|m| m.name).collect();
        assert_eq!(waits, ["tasks/result"]);
    }
}
