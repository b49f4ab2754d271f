//! Finds the files of a crate from its roots on, module by module.

use syn::{Item, ItemMod};

use crate::sources::Sources;
use crate::tree::{File, Module, Name, Tree};
use crate::visitor::{self, Reader};

/// Reads a crate from its roots: `lib.rs`, `main.rs` and what stands in `bin`. What no root leads to is not read.
pub fn read(sources: &Sources) -> Result<Tree, String> {
    let mut crawl = Crawl { of: sources, tree: Tree { name: sources.name.clone(), ..Tree::default() } };
    let src = format!("{}/src", sources.dir);
    for path in sources.files.keys() {
        let Some(inner) = path.strip_prefix(&src).and_then(|inner| inner.strip_prefix('/')) else { continue };
        let in_bin = inner.strip_prefix("bin/").is_some_and(|rest| !rest.contains('/'));
        if inner == "lib.rs" || inner == "main.rs" || in_bin {
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            crawl.file(path, None, dir)?;
        }
    }
    Ok(crawl.tree)
}

struct Crawl<'s> {
    of: &'s Sources,
    tree: Tree,
}

impl Crawl<'_> {
    /// Reads a file as a module; its own modules lie in `dir`.
    fn file(&mut self, path: &str, parent: Option<usize>, dir: &str) -> Result<usize, String> {
        let text = self.of.files.get(path).ok_or_else(|| format!("{path} is not there"))?;
        let parsed = syn::parse_file(text)
            .map_err(|error| format!("{path}:{}: {error}", error.span().start().line))?;
        let src = format!("{}/src/", self.of.dir);
        let name = path.strip_prefix(&src).unwrap_or(path).trim_end_matches(".rs").trim_end_matches("/mod");
        let file = self.tree.files.len();
        self.tree.files.push(File {
            path: path.to_owned(),
            name: name.to_owned(),
            lines: text.lines().count(),
        });
        let module = self.tree.modules.len();
        self.tree.modules.push(Module { file, parent, ..Module::default() });
        self.items(parsed.items, module, dir)?;
        Ok(module)
    }

    fn items(&mut self, items: Vec<Item>, module: usize, dir: &str) -> Result<(), String> {
        for item in items {
            match item {
                Item::Mod(item) if !visitor::is_test(&item.attrs) => {
                    let name = visitor::plain(&item.ident);
                    let child = self.child(item, module, (dir, &name))?;
                    self.tree.modules[module].names.entry(name).or_default().push(Name::Module(child));
                }
                item => Reader { tree: &mut self.tree, module }.item(&item),
            }
        }
        Ok(())
    }

    fn child(&mut self, item: ItemMod, parent: usize, (dir, name): (&str, &str)) -> Result<usize, String> {
        let own_dir = format!("{dir}/{name}");
        let Some((_, items)) = item.content else {
            let beside = format!("{own_dir}.rs");
            let path = match visitor::path_attribute(&item.attrs) {
                Some(path) => format!("{dir}/{path}"),
                None if self.of.files.contains_key(&beside) => beside,
                None => format!("{own_dir}/mod.rs"),
            };
            return self.file(&path, Some(parent), &own_dir);
        };
        let child = self.tree.modules.len();
        let file = self.tree.modules[parent].file;
        self.tree.modules.push(Module { file, parent: Some(parent), ..Module::default() });
        self.items(items, child, &own_dir)?;
        Ok(child)
    }
}
