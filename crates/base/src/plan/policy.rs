//! Who may do what on a route.

use std::fmt;
use std::sync::Arc;

use auth::Decide;
use auth::definition::Sort;

use crate::globs::Globs;

/// The policies that are built in, from the widest: their names, and their texts.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("allow-all", include_str!("policy/allow-all.cedar")),
    ("annotated", include_str!("policy/annotated.cedar")),
    ("read-only", include_str!("policy/read-only.cedar")),
];

/// How policies call Portolan's own keys: what callers that have one are vouched for by.
pub const OWN_KEYS: &str = "api-keys";

/// The text of the built-in policies of that name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(of, _)| *of == name).map(|(_, text)| *text)
}

/// The policies of a route. Two that are the same decide the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPlan {
    /// The texts, in the order in which they were named.
    pub sources: Vec<PolicySource>,
    /// Whether what they deny is refused. Else it is only said.
    pub enforce: bool,
    /// Whether callers are told that it was a policy that denied. Else what is denied is as if it were not there.
    pub explain: bool,
}

/// The text of some policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// The file, as it was named; of what is built in, its name.
    pub name: String,
    /// What stands in it.
    pub text: Arc<str>,
}

/// What policies are told of a server by the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// Its name.
    pub name: String,
    /// Whether what it says of its tools is true.
    pub trusted: bool,
    /// Words for all that it has.
    pub tags: Vec<String>,
    /// Word → the tools that have it.
    pub tool_tags: Vec<(String, Globs)>,
}

impl ServerFacts {
    /// The words for one of its things, beside those for all.
    pub fn tags_of<'a>(&'a self, sort: Sort, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fits = move |(_, globs): &&(String, Globs)| sort == Sort::Tool && globs.is_match(name);
        self.tool_tags.iter().filter(fits).map(|(tag, _)| tag.as_str())
    }
}

/// What decides on a route, made of its policies by whoever knows their language.
#[derive(Clone)]
pub struct Decider(pub Arc<dyn Decide>);

impl PartialEq for Decider {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Decider {}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decider").field(&self.0.id()).finish()
    }
}
