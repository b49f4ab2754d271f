//! From a message to a [`Call`]: the checks of a request, in the order in which a client learns most from them.
//!
//! The version is checked before the rest of `_meta` and before the other headers, so that a client of a revision
//! that this Portolan does not know yet is told which ones it may fall back to. After this module nobody reads
//! headers or `_meta` of a request again. Source: MCP 2026-07-28 `streamable-http` §Server Validation, `basic` §_meta.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::call::{Call, Opened, Params};
use crate::headers::{self, HeaderFault};
use crate::json::{self, Kind, MOST_MEMBERS, Object};
use crate::jsonrpc::{Message, MessageKind, Request};
use crate::meta::{self, ClientFacts, LogWish};
use crate::method::{self, Method, SubjectAt};
use crate::reject::Reject;
use crate::version::{self, Era};

/// The era that a POST belongs to, told by what opens it. Source: `basic/versioning` §Dual-era servers.
///
/// # Errors
/// When the version header has no meaning.
pub fn era(headers: &HeaderMap, message: &Message) -> Result<Era, Reject> {
    let header = version_header(headers)?;
    let known = header.and_then(version::find).map(|revision| revision.era);
    // The usual modern request is told by its header alone; whether its body agrees is checked when it is read.
    if known == Some(Era::Modern) || claims_modern(message) {
        return Ok(Era::Modern);
    }
    match (message.kind(), known, &header) {
        (_, Some(era), _) => Ok(era),
        (MessageKind::Request(request), None, _) if &*request.method == "initialize" => Ok(Era::Legacy),
        (_, None, _) if headers.contains_key(&headers::SESSION_ID) => Ok(Era::Legacy),
        // An unknown revision can only be a later one: all earlier ones are in the table.
        (_, None, Some(_)) => Ok(Era::Modern),
        // Revisions before 2025-06-18 had no version header.
        (_, None, None) => Ok(Era::Legacy),
    }
}

/// Whether a message opens a modern conversation by itself: `_meta` names its revision.
#[must_use]
pub fn claims_modern(message: &Message) -> bool {
    let read = |text| Object::parse_within(text, MOST_MEMBERS).ok();
    let meta = message.params().and_then(read).and_then(|params| params.get("_meta").ok().flatten());
    meta.and_then(read).is_some_and(|meta| meta.iter().any(|member| member.name == meta::PROTOCOL_VERSION))
}

/// Reads a modern request that came over HTTP.
///
/// # Errors
/// Says which rule it breaks.
pub fn modern_http(headers: &HeaderMap, message: Message) -> Result<Call, Reject> {
    let request = request_of(&message)?;
    let Some(header_version) = version_header(headers)? else {
        return Err(mismatch(&headers::PROTOCOL_VERSION, "it is required on every request"));
    };
    let opened = Opened::read(&message, &request)?;
    let body_version = body_version(opened.meta.as_ref())?;
    if header_version != body_version {
        let why = format!("it says {header_version:?} and the body's _meta says {body_version:?}");
        return Err(mismatch(&headers::PROTOCOL_VERSION, &why));
    }
    let client = client_facts(&message, opened.meta.as_ref(), &body_version)?;
    check_method_header(headers, &request)?;
    let method = method::find(&request.method);
    deny_legacy_only(method, &request)?;
    check_name_header(headers, &opened, method)?;
    let params = Params::find(&opened, method)?;
    drop(opened);
    Ok(Call::new(message, &request, params, client))
}

/// Reads a modern request that came over stdio, where nothing is mirrored.
///
/// # Errors
/// Says which rule it breaks.
pub fn modern_stdio(message: Message) -> Result<Call, Reject> {
    let request = request_of(&message)?;
    let opened = Opened::read(&message, &request)?;
    let meta = opened.meta.as_ref();
    let client = client_facts(&message, meta, &body_version(meta)?)?;
    let method = method::find(&request.method);
    deny_legacy_only(method, &request)?;
    let params = Params::find(&opened, method)?;
    drop(opened);
    Ok(Call::new(message, &request, params, client))
}

/// Makes a call of a legacy request: what a modern request says of its client comes from the session.
///
/// # Errors
/// Says which rule it breaks.
pub fn legacy(message: Message, client: ClientFacts) -> Result<Call, Reject> {
    let request = request_of(&message)?;
    let params = Params::read(&message, &request)?;
    Ok(Call::new(message, &request, params, client))
}

/// The request that a message is.
///
/// # Errors
/// When it is a notification or a response.
pub fn request_of(message: &Message) -> Result<Request, Reject> {
    match message.kind() {
        MessageKind::Request(request) => Ok(request.clone()),
        MessageKind::Notification(_) => Err(Reject::NotARequest("a request needs an \"id\"")),
        MessageKind::Result(_) | MessageKind::Error(_) => {
            Err(Reject::NotARequest("clients do not send responses in this revision"))
        }
    }
}

fn version_header(headers: &HeaderMap) -> Result<Option<&str>, Reject> {
    headers::only_plain(headers, &headers::PROTOCOL_VERSION)
        .map_err(|fault| header_fault(&headers::PROTOCOL_VERSION, fault))
}

fn mismatch(header: &HeaderName, why: &str) -> Reject {
    Reject::HeaderMismatch { header: header.to_string(), why: why.to_owned() }
}

fn header_fault(header: &HeaderName, fault: HeaderFault) -> Reject {
    mismatch(header, &fault.to_string())
}

fn missing(key: &'static str) -> Reject {
    Reject::Meta { key, why: "it is required on every request".to_owned() }
}

fn body_version<'m>(meta: Option<&Object<'m>>) -> Result<Cow<'m, str>, Reject> {
    let key = meta::PROTOCOL_VERSION;
    let Some(meta) = meta else { return Err(missing(key)) };
    let version = meta.string(key).map_err(|fault| Reject::Meta { key, why: fault.to_string() })?;
    version.ok_or_else(|| missing(key))
}

fn client_facts(
    message: &Message,
    meta: Option<&Object<'_>>,
    requested: &str,
) -> Result<ClientFacts, Reject> {
    if version::find(requested).is_none_or(|revision| revision.era != Era::Modern) {
        return Err(Reject::UnsupportedVersion(requested.to_owned()));
    }
    let Some(object) = meta else { return Err(missing(meta::CLIENT_CAPABILITIES)) };
    let member = |key: &'static str| -> Result<Option<Bytes>, Reject> {
        let Some(raw) = object.get(key).map_err(|fault| Reject::member("_meta", &fault))? else {
            return Ok(None);
        };
        if Kind::of(raw) != Kind::Object {
            return Err(Reject::Meta { key, why: format!("must be an object, found {}", Kind::of(raw)) });
        }
        // A view of the message's own bytes: nothing is copied.
        Ok(Some(message.bytes().slice_ref(raw.as_bytes())))
    };
    let capabilities =
        member(meta::CLIENT_CAPABILITIES)?.ok_or_else(|| missing(meta::CLIENT_CAPABILITIES))?;
    let log = match object.get(meta::LOG_LEVEL).ok().flatten() {
        Some(raw) => LogWish::AtLeast(meta::log_level(raw)?),
        None => LogWish::Nothing,
    };
    Ok(ClientFacts { capabilities, info: member(meta::CLIENT_INFO)?, log })
}

/// Refuses methods that modern revisions have taken away, before their params are looked at. One that is in no table may
/// be an extension's, and is for whoever answers it to refuse.
fn deny_legacy_only(method: Option<&Method>, request: &Request) -> Result<(), Reject> {
    match method {
        Some(method) if !method.modern => Err(Reject::UnknownMethod(request.method.to_string())),
        _ => Ok(()),
    }
}

fn check_method_header(headers: &HeaderMap, request: &Request) -> Result<(), Reject> {
    let header = headers::only_plain(headers, &headers::METHOD)
        .map_err(|fault| header_fault(&headers::METHOD, fault))?;
    match header {
        None => Err(mismatch(&headers::METHOD, "it is required on every request")),
        Some(value) if *value != *request.method => {
            let why = format!("it says {value:?} and the body's method is {:?}", request.method);
            Err(mismatch(&headers::METHOD, &why))
        }
        Some(_) => Ok(()),
    }
}

/// Checks `Mcp-Name` where the method has it. Of methods in no table only `Mcp-Method` can be checked.
fn check_name_header(
    headers: &HeaderMap,
    opened: &Opened<'_>,
    method: Option<&Method>,
) -> Result<(), Reject> {
    let Some(method) = method else { return Ok(()) };
    let SubjectAt::Param(member) = method.subject else { return Ok(()) };
    let header =
        headers::only(headers, &headers::NAME).map_err(|fault| header_fault(&headers::NAME, fault))?;
    let raw = opened.params.as_ref().and_then(|params| params.get(member).ok().flatten());
    // The body's own fault is told when its params are read.
    let Some(body) = raw.and_then(|raw| json::string(raw).ok()) else { return Ok(()) };
    match header {
        None => Err(mismatch(&headers::NAME, &format!("it is required for {}", method.name))),
        Some(value) if value != body => {
            let why = format!("it says {value:?} and the body's params.{member} is {body:?}");
            Err(mismatch(&headers::NAME, &why))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
