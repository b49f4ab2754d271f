//! What kinds of things are called where pins are kept.

use mcp::method::Kind;

/// The kinds that are pinned, as a lock file has them and as the store has them.
pub(crate) const PINNED: [(Kind, &str, &str); 3] = [
    (Kind::Prompt, "prompts", "prompt"),
    (Kind::Template, "resourceTemplates", "template"),
    (Kind::Tool, "tools", "tool"),
];

/// Whether things of that kind are pinned.
pub(crate) fn is_pinned(kind: Kind) -> bool {
    PINNED.iter().any(|(of, ..)| *of == kind)
}

/// The member by which an entry of a kind is named.
pub(crate) fn naming(kind: Kind) -> &'static str {
    if kind == Kind::Template { "uriTemplate" } else { "name" }
}

/// What many of a kind are called.
pub(crate) fn many(kind: Kind) -> &'static str {
    PINNED.iter().find(|(of, ..)| *of == kind).map_or("", |(_, many, _)| many)
}

/// The kind of which many are called so.
pub(crate) fn of_many(word: &str) -> Option<Kind> {
    PINNED.iter().find(|(_, many, _)| *many == word).map(|(kind, ..)| *kind)
}

/// What one of a kind is called.
pub(crate) fn one(kind: Kind) -> &'static str {
    PINNED.iter().find(|(of, ..)| *of == kind).map_or("", |(.., one)| one)
}

/// The kind of which one is called so.
pub(crate) fn of_one(word: &str) -> Option<Kind> {
    PINNED.iter().find(|(.., one)| *one == word).map(|(kind, ..)| *kind)
}
