//! What policies can speak of.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::LazyLock;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, Schema};

use crate::rule::Deed;

/// The schema, in Cedar's own language: for editors and the tools of Cedar.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// What is made of the schema once.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) schema: Schema,
    /// The actions with the groups that they are in: without them `action in` matches nothing.
    pub(crate) actions: Vec<Entity>,
    types: HashMap<&'static str, EntityTypeName>,
}

/// The types of entities that are made here.
const TYPES: [&str; 9] =
    ["User", "Group", "Server", "Tag", "Tool", "Prompt", "Resource", "Arguments", "Action"];

#[expect(clippy::expect_used, reason = "the schema is ours, and the tests read it")]
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let schema = Schema::from_str(SCHEMA).expect("the schema is good");
    let actions = schema.action_entities().expect("its actions are good").iter().cloned().collect();
    let of = |name: &'static str| (name, EntityTypeName::from_str(&format!("Mcp::{name}")).expect("a name"));
    Vocabulary { schema, actions, types: TYPES.map(of).into() }
});

/// The one.
pub(crate) fn vocabulary() -> &'static Vocabulary {
    &VOCABULARY
}

impl Vocabulary {
    /// An entity of one of [`TYPES`].
    pub(crate) fn uid(&self, of: &'static str, id: &str) -> EntityUid {
        #[expect(clippy::expect_used, reason = "only types of ours are asked for")]
        let of = self.types.get(of).expect("a type of the schema").clone();
        EntityUid::from_type_name_and_id(of, EntityId::new(id))
    }

    pub(crate) fn action(&self, deed: Deed) -> EntityUid {
        self.uid("Action", deed.name())
    }
}
