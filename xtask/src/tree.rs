//! The modules of one crate as the compiler would find them, and what stands in them outside of tests: names, types,
//! functions, and every path that is written down.

use std::collections::BTreeMap;

/// One crate, read. Everything in it refers to files and modules by their place in `files` and `modules`, which only
/// grow while the crate is read: to index them cannot fail.
#[derive(Debug, Default)]
pub struct Tree {
    pub name: String,
    pub files: Vec<File>,
    pub modules: Vec<Module>,
    pub mentions: Vec<Mention>,
    pub types: Vec<Type>,
    pub functions: Vec<Function>,
}

#[derive(Debug)]
pub struct File {
    /// From the root of the checkout.
    pub path: String,
    /// From `src` on, without its ending: `upstream/send`. `lib` and `main` are the roots.
    pub name: String,
    /// Lines that are not in test code.
    pub lines: usize,
}

impl File {
    /// The room that the file stands in: a top-level module with its folder.
    pub fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub struct Module {
    pub file: usize,
    pub parent: Option<usize>,
    /// What a name means here. One name may be a type and a value.
    pub names: BTreeMap<String, Vec<Name>>,
    /// What is imported with a star.
    pub globs: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Defined in this module.
    Here,
    /// A child.
    Module(usize),
    /// Imported or re-exported from there.
    From(Vec<String>),
}

/// A path that is written in a module.
#[derive(Debug)]
pub struct Mention {
    pub module: usize,
    pub line: usize,
    pub segments: Vec<String>,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A leaf of a `use`, and what it is called then.
    Import(String),
    Star,
    /// In code.
    Inline,
    /// A macro that is called by its bare name.
    Macro,
}

#[derive(Debug)]
pub struct Type {
    pub name: String,
    pub file: usize,
    pub line: usize,
}

#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub file: usize,
    pub line: usize,
    pub lines: usize,
}
