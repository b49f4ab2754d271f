//! Which file needs which: every path is followed to the file where what it names is defined, through re-exports, so
//! that a name which a parent hands on is no need of the parent.

use std::collections::BTreeSet;

use crate::tree::{Kind, Mention, Name, Tree};

/// One file imports another, or names what stands there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    /// As it is written.
    pub path: String,
}

impl Arrow {
    /// What is imported, without the way to it.
    pub fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or_default()
    }
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Module(usize),
    /// Something that is defined in this module.
    In(usize),
}

/// Re-exports of re-exports end somewhere; only names that mean themselves do not.
const MOST_HOPS: usize = 16;

pub fn arrows(tree: &Tree) -> Vec<Arrow> {
    let mut arrows = BTreeSet::new();
    // An imported module is needed for what is then named through it; by itself only if nothing is.
    let mut through = BTreeSet::new();
    let mut modules = Vec::new();
    for mention in &tree.mentions {
        let from = tree.modules[mention.module].file;
        let to = match (&mention.kind, place(tree, mention)) {
            (_, None) => continue,
            (Kind::Inline, Some(Place::In(_))) if is_of_import(tree, mention) => continue,
            (Kind::Import(name), Some(Place::Module(module))) => {
                modules.push((mention, name, module));
                continue;
            }
            (_, Some(Place::Module(module) | Place::In(module))) => tree.modules[module].file,
        };
        if mention.kind == Kind::Inline
            && let Some(first) = mention.segments.first()
        {
            through.insert((from, first));
        }
        arrows.insert(arrow(from, to, mention));
    }
    for (mention, name, module) in modules {
        let from = tree.modules[mention.module].file;
        if !through.contains(&(from, name)) {
            arrows.insert(arrow(from, tree.modules[module].file, mention));
        }
    }
    arrows.into_iter().filter(|arrow| arrow.from != arrow.to).collect()
}

fn arrow(from: usize, to: usize, mention: &Mention) -> Arrow {
    let mut path = mention.segments.join("::");
    if mention.kind == Kind::Star {
        path.push_str("::*");
    }
    Arrow { from, to, line: mention.line, path }
}

/// Whether it names a part of something that this module imports, such as a variant: then the import says it already.
fn is_of_import(tree: &Tree, mention: &Mention) -> bool {
    let Some(first) = mention.segments.first() else { return false };
    let imported = tree.modules[mention.module]
        .names
        .get(first)
        .is_some_and(|all| all.iter().any(|name| matches!(name, Name::From(_))));
    imported && matches!(named(tree, mention.module, first, 0), Some(Place::In(_)))
}

fn place(tree: &Tree, mention: &Mention) -> Option<Place> {
    match (&mention.kind, mention.segments.first()) {
        // `macro_rules` are seen by every module that comes after, down the tree.
        (Kind::Macro, Some(name)) => {
            let mut next = Some(mention.module);
            while let Some(module) = next {
                let names = &tree.modules[module].names;
                if let Some(found) = names.get(name).and_then(|all| name_place(tree, module, all, 0)) {
                    return Some(found);
                }
                next = tree.modules[module].parent;
            }
            None
        }
        _ => resolve(tree, mention.module, &mention.segments, 0),
    }
}

/// A path that begins outside of the crate leads to no place.
fn resolve(tree: &Tree, module: usize, path: &[String], hops: usize) -> Option<Place> {
    if hops > MOST_HOPS {
        return None;
    }
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => walk(tree, root(tree, module), rest, hops),
        "self" => walk(tree, module, rest, hops),
        "super" => {
            let mut at = tree.modules[module].parent?;
            let mut rest = rest;
            while let Some((first, after)) = rest.split_first()
                && first == "super"
            {
                at = tree.modules[at].parent?;
                rest = after;
            }
            walk(tree, at, rest, hops)
        }
        name => match named(tree, module, name, hops)? {
            Place::Module(module) => walk(tree, module, rest, hops),
            place @ Place::In(_) => Some(place),
        },
    }
}

fn root(tree: &Tree, module: usize) -> usize {
    let mut at = module;
    while let Some(parent) = tree.modules[at].parent {
        at = parent;
    }
    at
}

/// Follows names from a module of the crate. The last module on the way is where it ends, if what is asked of it comes
/// from elsewhere or is made by a macro.
fn walk(tree: &Tree, module: usize, path: &[String], hops: usize) -> Option<Place> {
    let mut at = module;
    for name in path {
        match named(tree, at, name, hops) {
            Some(Place::Module(module)) => at = module,
            Some(place @ Place::In(_)) => return Some(place),
            None => return Some(Place::In(at)),
        }
    }
    Some(Place::Module(at))
}

fn named(tree: &Tree, module: usize, name: &str, hops: usize) -> Option<Place> {
    let here = &tree.modules[module];
    if let Some(found) = here.names.get(name).and_then(|all| name_place(tree, module, all, hops)) {
        return Some(found);
    }
    here.globs.iter().find_map(|path| match resolve(tree, module, path, hops + 1)? {
        Place::Module(other) if other != module && hops < MOST_HOPS => named(tree, other, name, hops + 1),
        _ => None,
    })
}

fn name_place(tree: &Tree, module: usize, all: &[Name], hops: usize) -> Option<Place> {
    let own = all.iter().find_map(|name| match name {
        Name::Here => Some(Place::In(module)),
        Name::Module(child) => Some(Place::Module(*child)),
        Name::From(_) => None,
    });
    own.or_else(|| {
        all.iter().find_map(|name| match name {
            Name::From(path) => resolve(tree, module, path, hops + 1),
            _ => None,
        })
    })
}

/// A path with its first name written out, if that is imported: `task::spawn` as `tokio::task::spawn`. Nothing, if it
/// leads into the crate.
pub fn outside(tree: &Tree, mention: &Mention) -> Option<Vec<String>> {
    if resolve(tree, mention.module, &mention.segments, 0).is_some() {
        return None;
    }
    let mut path = mention.segments.clone();
    if matches!(mention.kind, Kind::Import(_) | Kind::Star) {
        return Some(path);
    }
    for _ in 0..MOST_HOPS {
        let first = path.first()?;
        let names = &tree.modules[mention.module].names;
        let imported = names.get(first).and_then(|all| {
            all.iter().find_map(|name| match name {
                Name::From(from) if from.first() != Some(first) || from.len() > 1 => Some(from.clone()),
                _ => None,
            })
        });
        let Some(from) = imported else { break };
        let same = from.first() == Some(first);
        path.splice(..1, from);
        // `use thread::thread` would go on for ever.
        if same {
            break;
        }
    }
    Some(path)
}
