//! The modern, stateless call: the one kind of request inside Portolan.
//!
//! Whatever era and transport a request came by, it becomes a [`Call`]: the bytes as they came, the places of what
//! an intermediary may change, and the facts about the client that a modern request carries in itself.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::json::{self, JsonFault, Kind, Object, Span};
use crate::jsonrpc::{Id, Message, MessageKind, Request};
use crate::meta::ClientFacts;
use crate::method::{self, Method, SubjectAt};
use crate::reject::Reject;

/// A string in a request that names something, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub text: ByteString,
    /// Where it stands in the message, with its quotes.
    pub at: Span,
}

/// One request from a client, on its way to a server.
#[derive(Debug, Clone)]
pub struct Call {
    message: Message,
    id: Id,
    method_name: Cow<'static, str>,
    method: Option<&'static Method>,
    params: Params,
    client: ClientFacts,
    again: bool,
}

/// The places in `params` that an intermediary reads or changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    pub(crate) at: Option<Span>,
    pub(crate) meta: Option<Span>,
    pub(crate) subject: Option<Text>,
    /// For `completion/complete`: whether the subject is a prompt's name or a template's URI.
    pub(crate) completes: Option<method::Kind>,
    pub(crate) cursor: Option<Text>,
    pub(crate) arguments: Option<Span>,
    pub(crate) continues: bool,
    pub(crate) progress_token: Option<Box<str>>,
}

impl Call {
    /// Makes a call of a request message that was read and checked by [`crate::inbound`].
    pub(crate) fn new(message: Message, request: &Request, params: Params, client: ClientFacts) -> Self {
        Self {
            id: request.id.clone(),
            method: method::find(&request.method),
            method_name: request.method.clone(),
            params,
            client,
            message,
            again: false,
        }
    }

    /// A call that Portolan makes by itself: `method` with `params`, the text of a JSON object.
    ///
    /// # Errors
    /// When `params` is not a JSON object that fits the method.
    pub fn own(method: &str, params: &str, client: ClientFacts) -> Result<Self, Reject> {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":{},"params":{params}}}"#, json::quote(method));
        let message = Message::parse(Bytes::from(text))?;
        let MessageKind::Request(request) = message.kind().clone() else {
            return Err(Reject::NotARequest("not a request"));
        };
        let params = Params::read(&message, &request)?;
        Ok(Self::new(message, &request, params, client))
    }

    /// The id that the client gave it.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The method's name.
    #[must_use]
    pub fn method_name(&self) -> &str {
        &self.method_name
    }

    /// The method's name, which is not copied where it is known.
    #[must_use]
    pub fn method_label(&self) -> Cow<'static, str> {
        self.method_name.clone()
    }

    /// The members of `params.arguments`.
    #[must_use]
    pub fn arguments_object(&self) -> Option<Result<Object<'_>, JsonFault>> {
        self.params.arguments.map(|at| self.message.object(at))
    }

    /// What is known of the method; nothing for one that is in no table.
    #[must_use]
    pub fn method(&self) -> Option<&'static Method> {
        self.method
    }

    /// Whether it is answered only when its subject is over.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.method.is_some_and(|method| method.waits)
    }

    /// What the call is about: a tool's, prompt's or task's name, or a URI.
    #[must_use]
    pub fn subject(&self) -> Option<&Text> {
        self.params.subject.as_ref()
    }

    /// The kind of thing the call is about.
    #[must_use]
    pub fn kind(&self) -> method::Kind {
        self.params.completes.or_else(|| self.method.map(|m| m.kind)).unwrap_or(method::Kind::Server)
    }

    /// The cursor of a list request; an empty one is a cursor.
    #[must_use]
    pub fn cursor(&self) -> Option<&Text> {
        self.params.cursor.as_ref()
    }

    /// The text of `params.arguments`.
    #[must_use]
    pub fn arguments(&self) -> Option<&str> {
        self.params.arguments.map(|at| self.message.at(at))
    }

    /// The text of `params`.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        self.params.at.map(|at| self.message.at(at))
    }

    /// The text of `params._meta`.
    #[must_use]
    pub fn meta(&self) -> Option<&str> {
        self.params.meta.map(|at| self.message.at(at))
    }

    /// The members of `params._meta`.
    #[must_use]
    pub fn meta_object(&self) -> Option<Object<'_>> {
        self.params.meta.and_then(|at| self.message.object(at).ok())
    }

    /// Whether this is a retry that carries `inputResponses` or `requestState`: its results are never cached.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.params.continues
    }

    /// Whether it was marked by [`Self::again`].
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// Marks a call that we make again ourselves, with what its client has answered to requests. It was counted before, so no client may
    /// come to make one.
    #[must_use]
    pub fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// The client's progress token, as written, if it wants progress.
    #[must_use]
    pub fn progress_token(&self) -> Option<&str> {
        self.params.progress_token.as_deref()
    }

    /// What the client says of itself.
    #[must_use]
    pub fn client(&self) -> &ClientFacts {
        &self.client
    }

    /// The message as it came.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    pub(crate) fn places(&self) -> &Params {
        &self.params
    }

    /// Other facts about its client count from here on.
    pub fn set_client(&mut self, client: ClientFacts) {
        self.client = client;
    }

    /// The same call with other facts about its client.
    #[must_use]
    pub fn with_client(mut self, client: ClientFacts) -> Self {
        self.client = client;
        self
    }
}

/// A request's params and their `_meta`, read once.
pub(crate) struct Opened<'m> {
    message: &'m Message,
    at: Option<Span>,
    pub(crate) params: Option<Object<'m>>,
    pub(crate) meta: Option<Object<'m>>,
}

impl<'m> Opened<'m> {
    /// Reads them.
    pub(crate) fn read(message: &'m Message, request: &Request) -> Result<Self, Reject> {
        let Some(at) = request.params else {
            return Ok(Self { message, at: None, params: None, meta: None });
        };
        let params = message.object(at).map_err(|fault| Reject::member("params", &fault))?;
        let meta = params.get("_meta").map_err(|fault| Reject::member("_meta", &fault))?;
        let meta = meta.map(|raw| expect(raw, "_meta", Kind::Object)).transpose()?;
        let place = |raw: &str| params.span_of(raw).shift(at.start);
        let meta = meta.map(|raw| message.object(place(raw))).transpose();
        let meta = meta.map_err(|fault| Reject::member("_meta", &fault))?;
        if let Some(meta) = &meta {
            meta.deny_duplicates().map_err(|fault| Reject::member("_meta", &fault))?;
        }
        Ok(Self { message, at: Some(at), params: Some(params), meta })
    }
}

impl Params {
    /// Finds the places in a request's params.
    pub(crate) fn read(message: &Message, request: &Request) -> Result<Self, Reject> {
        Self::find(&Opened::read(message, request)?, method::find(&request.method))
    }

    /// Finds the places in params that were read.
    pub(crate) fn find(opened: &Opened<'_>, method: Option<&'static Method>) -> Result<Self, Reject> {
        let (Some(at), Some(object)) = (opened.at, &opened.params) else {
            return match method.map(|m| m.subject) {
                Some(SubjectAt::Param(name)) => Err(Reject::Params(format!("{name:?} is required"))),
                Some(SubjectAt::CompletionRef) => Err(Reject::Params("\"ref\" is required".to_owned())),
                Some(SubjectAt::Nowhere) | None => Ok(Self::default()),
            };
        };
        let get = |name: &str| object.get(name).map_err(|fault| Reject::member(name, &fault));
        let place = |value: &str| object.span_of(value).shift(at.start);
        let mut params = Self {
            at: Some(at),
            meta: opened.meta.as_ref().map(|meta| place(meta.text())),
            arguments: get("arguments")?.map(place),
            continues: get("inputResponses")?.is_some() | get("requestState")?.is_some(),
            ..Self::default()
        };
        if let Some(meta) = &opened.meta {
            let token = meta.get(crate::meta::PROGRESS_TOKEN).ok().flatten();
            params.progress_token = token.map(crate::meta::progress_token).transpose()?;
        }
        params.read_subject(&Reader { message: opened.message, object, place: &place }, method)?;
        Ok(params)
    }

    fn read_subject(
        &mut self,
        reader: &Reader<'_, '_>,
        method: Option<&'static Method>,
    ) -> Result<(), Reject> {
        let Some(method) = method else { return Ok(()) };
        let object = reader.object;
        match method.subject {
            SubjectAt::Nowhere => {
                if method.entries.is_some() {
                    self.cursor = reader.text("cursor")?;
                }
            }
            SubjectAt::Param(name) => {
                let Some(text) = reader.text(name)? else {
                    return Err(Reject::Params(format!("{name:?} is required")));
                };
                self.subject = Some(text);
            }
            SubjectAt::CompletionRef => {
                let reference = object.object("ref").map_err(|fault| Reject::member("ref", &fault))?;
                let Some(reference) = reference else {
                    return Err(Reject::Params("\"ref\" is required".to_owned()));
                };
                let kind = reference.string("type").map_err(|fault| Reject::member("ref.type", &fault))?;
                let (member, kind) = match kind.as_deref() {
                    Some("ref/prompt") => ("name", method::Kind::Prompt),
                    Some("ref/resource") => ("uri", method::Kind::Template),
                    _ => {
                        return Err(Reject::Params(
                            "\"ref.type\" must be ref/prompt or ref/resource".to_owned(),
                        ));
                    }
                };
                self.completes = Some(kind);
                self.subject = Reader { object: &reference, ..*reader }.text(member)?;
                if self.subject.is_none() {
                    return Err(Reject::Params(format!("\"ref.{member}\" is required")));
                }
            }
        }
        Ok(())
    }
}

fn expect<'a>(raw: &'a str, name: &str, expected: Kind) -> Result<&'a str, Reject> {
    if Kind::of(raw) == expected {
        Ok(raw)
    } else {
        Err(Reject::Params(format!("{name:?} must be {expected}, found {}", Kind::of(raw))))
    }
}

/// Reads texts that name something.
struct Reader<'r, 'm> {
    message: &'m Message,
    object: &'r Object<'m>,
    place: &'r dyn Fn(&str) -> Span,
}

impl Reader<'_, '_> {
    fn text(&self, name: &str) -> Result<Option<Text>, Reject> {
        let bad = |fault: &JsonFault| Reject::member(name, fault);
        let Some(raw) = self.object.get(name).map_err(|fault| bad(&fault))? else { return Ok(None) };
        let text = match json::string(raw).map_err(|fault| bad(&fault))? {
            // A view of the message's own bytes.
            Cow::Borrowed(text) => self.message.text_of(text),
            Cow::Owned(text) => text.into(),
        };
        Ok(Some(Text { text, at: (self.place)(raw) }))
    }
}
