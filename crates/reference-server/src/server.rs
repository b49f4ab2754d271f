//! The server itself: what all its doors and calls share.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mcp::discover::Capabilities;
use mcp::json;
use mcp::listen::Filter;
use mcp::mirror::MirroredParams;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::legacy::sessions::Sessions;
use crate::seal::Seal;
use crate::world::World;
use crate::{Settings, resources, tools};

/// What a model is told of the server.
pub(crate) const INSTRUCTIONS: &str =
    "A fixture: its tools, prompts and resources have the names that the MCP conformance suite gives them.";

/// What all doors and calls share.
pub(crate) struct Server {
    /// How it behaves.
    pub(crate) settings: Settings,
    /// The JSON object of its `Implementation`.
    pub(crate) info: String,
    /// Seals what calls have learnt between their rounds.
    pub(crate) seal: Seal,
    /// What outlives a call.
    pub(crate) world: World,
    /// The legacy sessions over HTTP.
    pub(crate) sessions: Sessions,
    /// The arguments that HTTP clients repeat in headers, by tool; only tools that have some.
    mirrored: BTreeMap<&'static str, MirroredParams>,
    /// All tasks.
    pub(crate) tracker: TaskTracker,
    /// Cancelled when nothing new shall begin and what never ends by itself shall end in good order.
    pub(crate) drain: CancellationToken,
    /// Cancelled when everything shall end at once.
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// A server that nobody has called yet.
    pub(crate) fn new(settings: Settings, drain: CancellationToken) -> io::Result<Arc<Self>> {
        let mut mirrored = BTreeMap::new();
        for tool in tools::all() {
            let params = MirroredParams::read(tool.input).map_err(io::Error::other)?;
            if !params.is_empty() {
                mirrored.insert(tool.name, params);
            }
        }
        let info = format!(
            r#"{{"name":{},"title":"Portolan reference server","version":"{}"}}"#,
            json::quote(&settings.name),
            env!("CARGO_PKG_VERSION")
        );
        Ok(Arc::new(Self {
            settings,
            info,
            seal: Seal::new()?,
            world: World::new(),
            sessions: Sessions::default(),
            mirrored,
            tracker: TaskTracker::new(),
            drain,
            stop: CancellationToken::new(),
        }))
    }

    /// The arguments of a tool that HTTP clients repeat in headers.
    pub(crate) fn mirrored(&self, tool: &str) -> Option<&MirroredParams> {
        self.mirrored.get(tool)
    }
}

/// The `ServerCapabilities` object, the same in both eras.
pub(crate) fn capabilities() -> String {
    let capabilities = Capabilities {
        tools: true,
        tools_changed: true,
        prompts: true,
        prompts_changed: true,
        resources: true,
        subscribe: true,
        completions: true,
        logging: true,
        ..Capabilities::default()
    };
    capabilities.text()
}

/// The part of a filter that the server honours: the list of resources never changes, and only resources that are
/// there can be watched.
pub(crate) fn honoured(asked: &Filter) -> Filter {
    let watchable = asked.uris.iter().filter(|uri| resources::exists(uri)).cloned();
    Filter { resources: false, uris: watchable.collect(), ..asked.clone() }
}
