//! What clients hear of without having called: lists and resources that are no longer what they were.

use mcp::answer::notification_message;
use mcp::json;
use mcp::jsonrpc::Id;
use mcp::listen::Filter;
use mcp::meta::SUBSCRIPTION_ID;
use mcp::method::Kind;
use mcp::notify::list_changed_method;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::resources;

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The resource that changes.
    Watched,
}

impl Change {
    /// The notification of it, if the filter wants it; with the stream that it belongs to, in the modern era.
    pub(crate) fn notification(self, filter: &Filter, stream: Option<&Id>) -> Option<bytes::Bytes> {
        let meta = stream.map(|id| format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{}}}"#, id.raw()));
        let (method, uri) = match self {
            Self::Tools if filter.wants(Kind::Tool) => (list_changed_method(Kind::Tool)?, None),
            Self::Prompts if filter.wants(Kind::Prompt) => (list_changed_method(Kind::Prompt)?, None),
            Self::Watched if filter.covers(resources::WATCHED) => {
                ("notifications/resources/updated", Some(resources::WATCHED))
            }
            Self::Tools | Self::Prompts | Self::Watched => return None,
        };
        let members: Vec<_> =
            meta.into_iter().chain(uri.map(|uri| format!(r#""uri":{}"#, json::quote(uri)))).collect();
        let params = format!("{{{}}}", members.join(","));
        Some(notification_message(method, Some(&params).filter(|_| !members.is_empty()).map(String::as_str)))
    }
}

/// The changes from some moment on.
#[derive(Debug)]
pub(crate) struct Changes(broadcast::Receiver<Change>);

impl Changes {
    /// Follows what `sender` sends.
    pub(crate) fn follow(sender: &broadcast::Sender<Change>) -> Self {
        Self(sender.subscribe())
    }

    /// The next change; all that there are if too many came to keep them apart.
    pub(crate) async fn next(&mut self) -> &'static [Change] {
        match self.0.recv().await {
            Ok(Change::Tools) => &[Change::Tools],
            Ok(Change::Prompts) => &[Change::Prompts],
            Ok(Change::Watched) => &[Change::Watched],
            Err(RecvError::Lagged(_)) => &[Change::Tools, Change::Prompts, Change::Watched],
            // The world outlives whoever follows it.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
