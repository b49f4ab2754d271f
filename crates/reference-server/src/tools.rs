//! All tools, in the order of the list. The suite's header checks call the first one without arguments.

mod asking;
mod changing;
mod contents;
mod probes;
mod rounds;
mod schemas;
mod streaming;

use crate::tool::{Content, Tool};
use crate::world::World;

/// Listed only while the world says so; `test_trigger_tool_change` flips it.
const DYNAMIC: Tool = Tool::new("test_dynamic_tool", "A tool that comes and goes", |_| {
    Box::pin(async { Ok(Content::text("A tool that comes and goes")) })
});

const GROUPS: [&[Tool]; 7] = [
    contents::TOOLS,
    streaming::TOOLS,
    asking::TOOLS,
    rounds::TOOLS,
    changing::TOOLS,
    schemas::TOOLS,
    probes::TOOLS,
];

/// All that are always there.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    GROUPS.into_iter().flatten()
}

fn visible(world: &World) -> impl Iterator<Item = &'static Tool> {
    all().chain(world.has_dynamic_tool().then_some(&DYNAMIC))
}

/// The list's entries.
pub(crate) fn entries(world: &World) -> Vec<String> {
    visible(world).map(Tool::entry).collect()
}

/// The tool of that name.
pub(crate) fn find(name: &str, world: &World) -> Option<&'static Tool> {
    visible(world).find(|tool| tool.name == name)
}

#[cfg(test)]
mod tests {
    use mcp::json::Object;

    use super::*;

    #[test]
    fn entries_are_objects_and_names_are_unique() {
        let world = World::new();
        let mut names: Vec<_> = all().map(|tool| tool.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert_eq!(entries(&world).len(), names.len());
        for entry in entries(&world) {
            let object = Object::parse(&entry).unwrap();
            assert!(object.object("inputSchema").unwrap().is_some(), "{entry}");
            object.object("outputSchema").unwrap();
        }
    }
}
