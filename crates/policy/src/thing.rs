//! What something is about, as policies see it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use auth::definition::{Definition, Sort};
use base::plan::policy::ServerFacts;
use cedar_policy::{Entity, EntityUid, RestrictedExpression as Expression};

use crate::arguments::is_clean;
use crate::schema::vocabulary;

/// A tool, a prompt, a resource or a template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thing<'a> {
    pub(crate) sort: Sort,
    pub(crate) server: &'a ServerFacts,
    /// Its server's own name of it.
    pub(crate) name: &'a str,
    pub(crate) definition: Option<&'a Arc<Definition>>,
}

/// What a tool does, as policies see it: by the word of a trusted server, or else the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub(crate) struct Flags {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
}

impl Thing<'_> {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.server.name, self.name)
    }

    pub(crate) fn uid(&self) -> EntityUid {
        let of = match self.sort {
            Sort::Tool => "Tool",
            Sort::Prompt => "Prompt",
            Sort::Resource | Sort::Template => "Resource",
        };
        vocabulary().uid(of, &self.id())
    }

    /// Defaults as MCP 2026-07-28 schema `ToolAnnotations` has them.
    pub(crate) fn flags(&self) -> Flags {
        let hints = self.definition.filter(|_| self.server.trusted).map(|of| of.hints).unwrap_or_default();
        let read_only = hints.read_only.unwrap_or(false);
        Flags {
            read_only,
            destructive: !read_only && hints.destructive.unwrap_or(true),
            idempotent: read_only || hints.idempotent.unwrap_or(false),
            open_world: hints.open_world.unwrap_or(true),
        }
    }

    /// The words that the configuration has for it.
    pub(crate) fn tags(&self) -> BTreeSet<&str> {
        let own = self.server.tags_of(self.sort, self.name);
        self.server.tags.iter().map(String::as_str).chain(own).collect()
    }

    /// Its own name, its server's and its tags'.
    pub(crate) fn names(&self) -> BTreeSet<EntityUid> {
        let words = vocabulary();
        let tags = self.tags().into_iter().map(|tag| words.uid("Tag", tag));
        tags.chain([self.uid(), words.uid("Server", &self.server.name)]).collect()
    }

    /// Its server, with the words for all that it has.
    pub(crate) fn server_entity(&self) -> Entity {
        let words = vocabulary();
        let tags = self.server.tags.iter().map(|tag| words.uid("Tag", tag)).collect();
        Entity::new_no_attrs(words.uid("Server", &self.server.name), tags)
    }

    pub(crate) fn entity(&self) -> Entity {
        let words = vocabulary();
        let server = words.uid("Server", &self.server.name);
        let text = |value: &str| Expression::new_string(value.to_owned());
        let mut attributes =
            HashMap::from([("server".to_owned(), Expression::new_entity_uid(server.clone()))]);
        match self.sort {
            Sort::Tool => {
                let flags = self.flags();
                attributes.insert("name".to_owned(), text(self.name));
                let booleans = [
                    ("listed", self.definition.is_some()),
                    ("trusted", self.server.trusted),
                    ("read_only", flags.read_only),
                    ("destructive", flags.destructive),
                    ("idempotent", flags.idempotent),
                    ("open_world", flags.open_world),
                ];
                attributes.extend(booleans.map(|(name, is)| (name.to_owned(), Expression::new_bool(is))));
                if let Some(definition) = self.definition {
                    attributes.insert("digest".to_owned(), text(&definition.digest));
                }
            }
            Sort::Prompt => {
                attributes.insert("name".to_owned(), text(self.name));
            }
            Sort::Resource | Sort::Template => {
                attributes.insert("uri".to_owned(), text(self.name));
                attributes.insert("clean".to_owned(), Expression::new_bool(is_clean(self.name)));
                let is_template = self.sort == Sort::Template;
                attributes.insert("template".to_owned(), Expression::new_bool(is_template));
            }
        }
        let tags = self.tags().into_iter().map(|tag| words.uid("Tag", tag));
        let parents = tags.chain([server]).collect();
        #[expect(
            clippy::expect_used,
            reason = "texts, booleans and names are values already: nothing is evaluated"
        )]
        Entity::new(self.uid(), attributes, parents).expect("values")
    }
}
