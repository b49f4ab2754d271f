//! What a server says of one of its things, as far as somebody decides by it.

use std::sync::Arc;

use mcp::method::Kind;

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// It is called.
    Tool,
    /// It is got.
    Prompt,
    /// It is read.
    Resource,
    /// It stands for resources.
    Template,
}

impl Sort {
    /// What a thing of that kind is; nothing where nobody decides about it.
    #[must_use]
    pub fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Tool => Some(Self::Tool),
            Kind::Prompt => Some(Self::Prompt),
            Kind::Resource => Some(Self::Resource),
            Kind::Template => Some(Self::Template),
            Kind::Server | Kind::Task => None,
        }
    }

    /// The method by which it is used: whoever may do that sees it.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/call",
            Self::Prompt => "prompts/get",
            Self::Resource | Self::Template => "resources/read",
        }
    }
}

/// What a server says of a thing in its lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `annotations` of a tool (MCP 2026-07-28 schema `ToolAnnotations`): hints, which count only where the server is trusted.
    pub hints: Hints,
    /// Stands for all of it: two definitions of one digest are one.
    pub digest: Arc<str>,
    /// The JSON Schema of a tool's arguments, as it came.
    pub input: Option<Arc<str>>,
}

/// What a tool does, by its server's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Doing it again changes nothing more.
    pub idempotent: Option<bool>,
    /// It reaches something outside.
    pub open_world: Option<bool>,
}
