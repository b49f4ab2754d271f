//! Portolan itself as a server: what neither a connection nor a process lies behind.
//!
//! Such a server is located, permitted, listed, counted and relayed by the code that does it for all others; only what
//! answers stands in here. It is of the modern era and always up. Its answer is finished when it comes, so nothing is sent
//! again, and there is no session, no breaker and nobody to ask how it is. It takes a place among its calls like any
//! other, and has as long as any other.

use std::fmt;
use std::sync::Arc;

use auth::Principal;
use base::error::CallError;
use futures_util::future::BoxFuture;
use mcp::answer::result_message;
use mcp::cache::Hints;
use mcp::discover::{Capabilities, Discovered};
use mcp::jsonrpc::{Id, Message};
use mcp::reject::Reject;
use mcp::version::{self, Era};

use crate::link::{Link, Transport};
use crate::order::Order;

/// What answers for Portolan.
pub trait Serve: Send + Sync + fmt::Debug {
    /// What it is and can do: the same each time. What it does not tell of is not listened for, so it declares no
    /// `listChanged` and no `subscribe`.
    fn discovered(&self) -> Arc<Discovered>;

    /// Answers a call with the text of a result object, as modern servers write it. The future is dropped when nobody waits
    /// any more, which cancels the call. `server/discover` and `ping` are answered without it.
    ///
    /// # Errors
    /// Why there is no result: what its client is told of that is the error table's. A method that it does not have is
    /// [`OwnCall::unknown_method`].
    fn answer<'a>(&'a self, call: OwnCall<'a>) -> BoxFuture<'a, Result<String, CallError>>;
}

/// A call to Portolan itself, which was permitted.
#[derive(Debug, Clone, Copy)]
pub struct OwnCall<'a> {
    /// Who calls.
    pub principal: &'a Principal,
    /// What.
    pub order: &'a Order<'a>,
}

impl<'a> OwnCall<'a> {
    /// The server's own name of what it is about: a tool's, a prompt's, or a URI.
    #[must_use]
    pub fn subject(&self) -> Option<&'a str> {
        self.order.subject.or_else(|| self.order.call.subject().map(|subject| &*subject.text))
    }

    /// There is no such method.
    #[must_use]
    pub fn unknown_method(&self) -> CallError {
        CallError::Reject(Reject::UnknownMethod(self.order.call.method_name().to_owned()))
    }
}

/// The way to it, which is none.
#[derive(Debug)]
pub(crate) struct OwnWire(Arc<dyn Serve>);

impl OwnWire {
    pub(crate) fn new(serve: Arc<dyn Serve>) -> Self {
        Self(serve)
    }

    pub(crate) fn link(&self) -> Link {
        let revision = version::newest(Era::Modern);
        // It is not reached, so it is not counted.
        Link { revision, discovered: self.0.discovered(), transport: Transport::Own, number: 0 }
    }

    /// The response to a call that has this id. Cancel safe.
    pub(crate) async fn answer(&self, id: u64, call: OwnCall<'_>) -> Result<Message, CallError> {
        let result = match call.order.call.method_name() {
            "server/discover" => self.0.discovered().text(&[]),
            "ping" => "{}".to_owned(),
            _ => self.0.answer(call).await?,
        };
        let text = result_message(&Id::number(id), &result);
        Message::parse(text)
            .map_err(|fault| CallError::Internal(format!("a result of our own is no message: {fault}")))
    }
}

/// What a server says of itself that can do this and nothing else.
#[must_use]
pub fn own_description(capabilities: Capabilities) -> Discovered {
    Discovered {
        versions: vec![version::newest(Era::Modern).name.to_owned()],
        raw_capabilities: capabilities.text(),
        capabilities,
        instructions: None,
        info: None,
        hints: Hints::NONE,
        beyond: None,
    }
}

/// What answers where nobody was named: it has nothing.
#[derive(Debug)]
pub(crate) struct Vacant;

impl Serve for Vacant {
    fn discovered(&self) -> Arc<Discovered> {
        Arc::new(own_description(Capabilities::default()))
    }

    fn answer<'a>(&'a self, call: OwnCall<'a>) -> BoxFuture<'a, Result<String, CallError>> {
        Box::pin(async move { Err(call.unknown_method()) })
    }
}

#[cfg(test)]
mod tests;
