//! Portolan itself as a server: what it answers that is no server's, located, permitted, counted and relayed as any server's
//! answer is. It lists nothing so far.

use std::sync::Arc;

use base::error::CallError;
use futures_util::future::BoxFuture;
use mcp::discover::{Capabilities, Discovered};
use mcp::method::Kind;
use upstream::{OwnCall, Serve, own_description};

use crate::tasks::Tasks;

/// What Portolan answers.
#[derive(Debug)]
pub(crate) struct OwnServer {
    discovered: Arc<Discovered>,
    tasks: Arc<Tasks>,
}

impl OwnServer {
    pub(crate) fn new(tasks: &Arc<Tasks>) -> Self {
        let discovered = Arc::new(own_description(Capabilities::default()));
        Self { discovered, tasks: Arc::clone(tasks) }
    }
}

impl Serve for OwnServer {
    fn discovered(&self) -> Arc<Discovered> {
        Arc::clone(&self.discovered)
    }

    fn answer<'a>(&'a self, call: OwnCall<'a>) -> BoxFuture<'a, Result<String, CallError>> {
        let answer = match (call.order.call.kind(), call.subject()) {
            (Kind::Task, Some(handle)) => self.tasks.result(call.order.call, handle),
            _ => Err(call.unknown_method()),
        };
        Box::pin(std::future::ready(answer))
    }
}
