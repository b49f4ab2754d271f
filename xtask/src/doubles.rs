//! Names that mean several types in one crate. A type that a macro makes is not seen.

use std::collections::BTreeMap;

use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    pub name: String,
    /// The files, from `src` on.
    pub files: Vec<String>,
    /// Each with its file and line.
    pub at: Vec<String>,
}

pub fn doubles(tree: &Tree) -> Vec<Double> {
    let mut named: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for one in &tree.types {
        named.entry(&one.name).or_default().push((&tree.files[one.file], one.line));
    }
    named
        .into_iter()
        .filter(|(_, all)| all.len() > 1)
        .map(|(name, mut all)| {
            all.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
            Double {
                name: name.to_owned(),
                files: all.iter().map(|(file, _)| file.name.clone()).collect(),
                at: all.iter().map(|(file, line)| format!("{}:{line}", file.path)).collect(),
            }
        })
        .collect()
}
