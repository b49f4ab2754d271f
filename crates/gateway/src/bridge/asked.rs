//! What a legacy client asks of us that is no call, and what its record says of that.

use std::sync::{Arc, OnceLock};

use auth::{Decision, Identity};
use base::error::CallError;
use bytes::Bytes;
use catalog::caller::Caller;
use http::HeaderMap;
use mcp::json::{self, Object};
use mcp::jsonrpc::Message;
use mcp::legacy::initialize::Opening;
use mcp::reject::Reject;
use mcp::version::{self, Era};

use crate::forward::record::CallRecord;

/// The server that such a request is about, its own name of the thing, and what was decided about that.
pub(super) type Concerns = OnceLock<(Arc<str>, Box<str>, Option<Decision>)>;

pub(super) const LOGGING: &str = "logging/setLevel";

/// The method of a request that is between the client and us, and no call.
pub(super) fn between_us(method: &str) -> Option<&'static str> {
    [LOGGING, "initialize", "ping", "resources/subscribe", "resources/unsubscribe"]
        .into_iter()
        .find(|ours| *ours == method)
}

/// How a request has ended that is no call.
pub(super) trait Ended {
    /// As records have it.
    fn outcome(&self) -> &'static str {
        "ok"
    }

    /// What is to be in its record beside that.
    fn tell(&self, _record: &mut CallRecord) {}
}

impl Ended for () {}

/// The answer to such a request.
pub(super) struct SessionAnswer {
    pub(super) text: Bytes,
    pub(super) outcome: &'static str,
}

impl Ended for SessionAnswer {
    fn outcome(&self) -> &'static str {
        self.outcome
    }
}

/// Who opens a session, as far as it can be read.
pub(super) fn caller_of(message: &Message, identity: &Identity, headers: &HeaderMap) -> Caller {
    let headers = headers.clone();
    match Opening::read(message.params()) {
        Ok(opening) => Caller { headers, ..Caller::new(identity, opening.client, opening.revision) },
        Err(_) => {
            let nothing = Caller::nobody().facts;
            Caller { headers, ..Caller::new(identity, nothing, version::newest(Era::Legacy)) }
        }
    }
}

pub(super) fn uri_of(message: &Message) -> Result<String, CallError> {
    let params = message.params().unwrap_or("{}");
    let object = Object::parse(params).map_err(|fault| Reject::member("params", &fault))?;
    let uri = object.get("uri").map_err(|fault| Reject::member("uri", &fault))?;
    let Some(uri) = uri else {
        return Err(CallError::Reject(Reject::Params("\"uri\" is required".to_owned())));
    };
    Ok(json::string(uri).map_err(|fault| Reject::member("uri", &fault))?.into_owned())
}
