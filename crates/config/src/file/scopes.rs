//! What needs which scopes, and what becomes of who lacks one.

use super::Texts;
use crate::read::{choice, table};

table! {
    /// What needs a scope: globs of public names, and of public URIs.
    Scope {
        /// Tools.
        tools: Texts,
        /// Prompts.
        prompts: Texts,
        /// Resources. `*` also stands for `/`.
        resources: Texts,
    }
}

choice! {
    /// What lists do with what a token lacks a scope for.
    WithoutScope {
        /// They leave it out. Who calls it all the same is told which scopes it needs.
        "hide" => Hide,
        /// They show it.
        "show" => Show,
    }
}
