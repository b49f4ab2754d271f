//! What is known of one server's things by name, for calls that come by name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use auth::definition::Definition;
use mcp::method::{Kind, Method};
use mcp::mirror::MirroredParams;

/// What is known of a server's tools and prompts by name.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The mirrored parameters of each tool that was seen; by the upstream name.
    pub tools: HashMap<String, Arc<MirroredParams>>,
    /// What it says of its tools, where somebody decides by that; by the upstream name.
    pub definitions: HashMap<String, Arc<Definition>>,
    /// The digest of what it says of each prompt, where it is held to what was pinned; by the upstream name.
    pub prompts: HashMap<String, Arc<str>>,
    /// The tools that can only be called as tasks of the legacy era; by the upstream name.
    pub tasks: HashSet<String>,
    /// The upstream name of each public name that has a digest or might get one; by kind and public name.
    pub cut: HashMap<(Kind, String), String>,
    /// Of public names that look the same to clients, the one that has no digest; by kind and by what it looks like.
    pub plain: HashMap<(Kind, String), String>,
    /// All public names and URIs that were seen; by kind.
    pub seen: HashMap<(Kind, String), ()>,
    /// Which lists were read to their end.
    pub complete: Vec<&'static str>,
}

impl Index {
    /// What its server says of a thing of that own name, as far as somebody decides by it.
    pub fn definition(&self, kind: Kind, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name).filter(|_| kind == Kind::Tool)
    }

    /// Forgets what its server has said of its tools.
    pub fn forget_tools(&mut self) {
        self.definitions.clear();
        self.complete.retain(|list| *list != "tools/list");
    }

    /// The digest of what its server says of a thing of that own name, where it is held to what was pinned.
    pub fn digest(&self, kind: Kind, name: &str) -> Option<&str> {
        match kind {
            Kind::Tool => self.definitions.get(name).map(|definition| &*definition.digest),
            Kind::Prompt => self.prompts.get(name).map(|digest| &**digest),
            Kind::Resource | Kind::Server | Kind::Task | Kind::Template => None,
        }
    }

    /// Forgets what is known of things of a kind that are not among these.
    pub fn keep_only(&mut self, kind: Kind, names: &HashSet<String>) {
        match kind {
            Kind::Tool => self.definitions.retain(|name, _| names.contains(name)),
            Kind::Prompt => self.prompts.retain(|name, _| names.contains(name)),
            Kind::Resource | Kind::Server | Kind::Task | Kind::Template => {}
        }
    }

    /// Whether anything is known of things of a kind that are not among these.
    pub fn has_others(&self, kind: Kind, names: &HashSet<String>) -> bool {
        match kind {
            Kind::Tool => self.definitions.keys().any(|name| !names.contains(name)),
            Kind::Prompt => self.prompts.keys().any(|name| !names.contains(name)),
            Kind::Resource | Kind::Server | Kind::Task | Kind::Template => false,
        }
    }

    /// Forgets what its server has said of its prompts.
    pub fn forget_prompts(&mut self) {
        self.prompts.clear();
        self.complete.retain(|list| *list != "prompts/list");
    }

    /// Forgets what is known of a list that is being read again, if that is more than `most` things: a server may list others
    /// each time.
    pub fn make_room(&mut self, method: &Method, most: usize) {
        let kind = method.kind;
        if self.seen.keys().filter(|(of, _)| *of == kind).count() <= most {
            return;
        }
        self.seen.retain(|(of, _), ()| *of != kind);
        self.cut.retain(|(of, _), _| *of != kind);
        if kind == Kind::Tool {
            self.tools.clear();
            self.definitions.clear();
            self.tasks.clear();
        }
        if kind == Kind::Prompt {
            self.prompts.clear();
        }
        self.complete.retain(|list| *list != method.name);
    }
}

#[cfg(test)]
mod tests {
    use mcp::method;

    use super::*;

    #[test]
    fn what_is_not_among_the_names_of_a_whole_list_is_forgotten() {
        let mut index = Index::default();
        for name in ["stays", "goes"] {
            index.prompts.insert(name.to_owned(), "sha256:0".into());
        }
        let names = HashSet::from(["stays".to_owned()]);
        assert!(index.has_others(Kind::Prompt, &names) && !index.has_others(Kind::Tool, &names));
        index.keep_only(Kind::Prompt, &names);
        assert!(!index.has_others(Kind::Prompt, &names));
        assert_eq!(index.digest(Kind::Prompt, "stays"), Some("sha256:0"));
        assert_eq!(index.digest(Kind::Prompt, "goes"), None);
    }

    #[test]
    fn names_that_are_listed_no_more_are_forgotten_when_they_are_many() {
        let mut index = Index::default();
        for n in 0..5 {
            index.seen.insert((Kind::Resource, format!("a://{n}")), ());
        }
        index.seen.insert((Kind::Tool, "t".to_owned()), ());
        index.complete.extend(["resources/list", "tools/list"]);
        let list = method::find("resources/list").unwrap();
        index.make_room(list, 5);
        assert_eq!(index.seen.len(), 6);
        index.make_room(list, 4);
        assert_eq!((index.seen.len(), index.complete), (1, vec!["tools/list"]));
    }
}
