//! Tasks and threads that nobody owns: nothing waits for them, and a shutdown does not know of them. A `TaskTracker`, a
//! `JoinSet` and `thread::scope` own what they start.

use crate::arrows::outside;
use crate::tree::Tree;

/// What starts something without an owner, or is the way to it.
const STARTS: &[&str] = &[
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::task::spawn_blocking",
    "tokio::task::spawn_local",
    "tokio::task::Builder",
    "tokio::runtime::Handle::current",
    "tokio::runtime::Handle::try_current",
    "std::thread::spawn",
    "std::thread::Builder",
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spawn {
    pub path: String,
    pub line: usize,
    pub what: &'static str,
}

impl std::fmt::Display for Spawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {}", self.path, self.line, self.what)
    }
}

pub fn spawns(tree: &Tree) -> Vec<Spawn> {
    let mut found: Vec<Spawn> = tree
        .mentions
        .iter()
        .filter_map(|mention| {
            let path = outside(tree, mention)?.join("::");
            let begins = |start: &&&str| path == **start || path.starts_with(&format!("{start}::"));
            let what = STARTS.iter().find(begins)?;
            let file = &tree.files[tree.modules[mention.module].file];
            Some(Spawn { path: file.path.clone(), line: mention.line, what })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}
