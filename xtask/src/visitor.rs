//! What one module says: its names, and the paths that are written in it, macros included. Test code is passed over.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItem, Item, ItemUse, Meta, Signature, TraitItem, UseTree};

use crate::tree::{Function, Kind, Mention, Name, Tree, Type};

pub(crate) struct Reader<'t> {
    pub(crate) tree: &'t mut Tree,
    pub(crate) module: usize,
}

impl Reader<'_> {
    /// An item that stands in the module itself.
    pub(crate) fn item(&mut self, item: &Item) {
        if !is_test(attributes(item))
            && let Some(name) = defines(item)
        {
            self.names(plain(name), Name::Here);
        }
        self.visit_item(item);
    }

    /// What stands on these lines is a test.
    fn is_for_tests(&mut self, what: &impl Spanned) {
        let span = what.span();
        let lines = span.end().line + 1 - span.start().line;
        let file = &mut self.tree.files[self.tree.modules[self.module].file];
        file.lines = file.lines.saturating_sub(lines);
    }

    fn names(&mut self, name: String, what: Name) {
        let known = self.tree.modules[self.module].names.entry(name).or_default();
        if !known.contains(&what) {
            known.push(what);
        }
    }

    fn mentions(&mut self, segments: Vec<String>, line: usize, kind: Kind) {
        self.tree.mentions.push(Mention { module: self.module, line, segments, kind });
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let line = signature.span().start().line;
        let lines = block.brace_token.span.close().end().line + 1 - line;
        let file = self.tree.modules[self.module].file;
        self.tree.functions.push(Function { name: plain(&signature.ident), file, line, lines });
    }

    fn leaves(&mut self, tree: &UseTree, before: &[String]) {
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[plain(&path.ident)]].concat();
                self.leaves(&path.tree, &before);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.leaves(tree, before)),
            UseTree::Glob(star) => {
                self.tree.modules[self.module].globs.push(before.to_vec());
                self.mentions(before.to_vec(), star.star_token.span.start().line, Kind::Star);
            }
            UseTree::Name(name) => self.leaf(&name.ident, &name.ident, before),
            UseTree::Rename(rename) => self.leaf(&rename.ident, &rename.rename, before),
        }
    }

    fn leaf(&mut self, ident: &Ident, called: &Ident, before: &[String]) {
        let (mut segments, mut called) = (before.to_vec(), plain(called));
        if ident == "self" && !before.is_empty() {
            if called == "self" {
                called = before.last().cloned().unwrap_or_default();
            }
        } else {
            segments.push(plain(ident));
        }
        self.names(called.clone(), Name::From(segments.clone()));
        self.mentions(segments, ident.span().start().line, Kind::Import(called));
    }

    /// Paths among the tokens of a macro, which nobody can parse without knowing it.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 => {
                    // `::name` begins outside of the crate.
                    if path.is_empty() {
                        path.push(String::new());
                    }
                    path.push(plain(&ident));
                    colons = 0;
                }
                TokenTree::Ident(ident) => {
                    self.spelled(&mut path, line);
                    path.push(plain(&ident));
                    line = ident.span().start().line;
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                TokenTree::Punct(punct) => {
                    if punct.as_char() == '!' && path.len() == 1 {
                        self.mentions(path.clone(), line, Kind::Macro);
                    }
                    self.spelled(&mut path, line);
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.spelled(&mut path, line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Literal(_) => {
                    self.spelled(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.spelled(&mut path, line);
    }

    fn spelled(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.mentions(path.clone(), line, Kind::Inline);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return self.is_for_tests(item);
        }
        if let Item::Enum(_) | Item::Struct(_) | Item::Trait(_) | Item::Type(_) | Item::Union(_) = item
            && let Some(name) = defines(item)
        {
            let file = self.tree.modules[self.module].file;
            self.tree.types.push(Type { name: plain(name), file, line: name.span().start().line });
        }
        if let Item::Fn(item) = item {
            self.function(&item.sig, &item.block);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(item) = item {
            if is_test(&item.attrs) {
                return self.is_for_tests(item);
            }
            self.function(&item.sig, &item.block);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(item) = item
            && let Some(block) = &item.default
        {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // `use ::name` begins outside of the crate.
        if item.leading_colon.is_none() {
            self.leaves(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments: Vec<_> = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
            let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
            self.mentions(segments, line, Kind::Inline);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(name) = item.path.get_ident() {
            self.mentions(vec![plain(name)], name.span().start().line, Kind::Macro);
        }
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone());
    }

    // Neither `pub(in crate::there)` nor `#[crate::there]` says what the code needs.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// A name without the `r#` of one that is also a keyword.
pub(crate) fn plain(ident: &Ident) -> String {
    let spelled = ident.to_string();
    spelled.strip_prefix("r#").unwrap_or(&spelled).to_owned()
}

/// Whether this is built for tests only: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, ..))]`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let is = |name: &str| path.segments.last().is_some_and(|last| last.ident == name);
        is("test")
            || is("cfg") && matches!(&attribute.meta, Meta::List(list) if needs_test(list.tokens.clone()))
    })
}

fn needs_test(tokens: TokenStream) -> bool {
    let mut last = String::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "test" => return true,
            TokenTree::Ident(ident) => last = ident.to_string(),
            TokenTree::Group(group) if last == "all" && needs_test(group.stream()) => return true,
            _ => {}
        }
    }
    false
}

pub(crate) fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defines(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}
