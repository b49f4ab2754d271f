//! Tools that change what clients may listen to.

use crate::changes::Change;
use crate::tool::{Content, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("test_trigger_tool_change", "Adds a tool to the list, or takes it away again", |live| {
        Box::pin(async move {
            live.server.world.change(Change::Tools);
            Ok(Content::text("The list of tools changed."))
        })
    }),
    Tool::new("test_trigger_prompt_change", "Adds a prompt to the list, or takes it away again", |live| {
        Box::pin(async move {
            live.server.world.change(Change::Prompts);
            Ok(Content::text("The list of prompts changed."))
        })
    }),
    Tool::new("test_trigger_resource_update", "Changes test://watched-resource", |live| {
        Box::pin(async move {
            live.server.world.change(Change::Watched);
            Ok(Content::text("test://watched-resource changed."))
        })
    }),
];
