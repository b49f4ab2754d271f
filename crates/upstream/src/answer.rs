//! What comes back from a server for one call: notifications that belong to it, then its response.

use std::sync::Arc;

use base::bulkhead::Slot;
use base::error::CallError;
use bytes::Bytes;
use http::StatusCode;
use mcp::jsonrpc::MessageKind;
use mcp::legacy::convert;
use mcp::reject::code;
use mcp::version::{Era, Revision};

use crate::arrival::{Arrival, Response};
use crate::hop::{self, Hop};
use crate::http::HttpStream;
use crate::link::Transport;
use crate::pipe::PipeStream;
use crate::shared::Shared;

/// The answer to one call as it comes in. Dropping it before the response cancels the call at the server, in the way
/// of the server's era and transport.
#[derive(Debug)]
pub struct Answer {
    id: u64,
    source: Source,
    /// Whether the server chose to stream.
    streams: bool,
    revision: &'static Revision,
    transport: Transport,
    method: Option<&'static mcp::method::Method>,
    /// The era that whoever gets it reads.
    reads: Era,
    /// The upstream's own URI of a resource that is read.
    uri: Option<String>,
    shared: Arc<Shared>,
    /// The call's place at the server, free again when the answer is dropped.
    place: Option<Slot>,
    /// What came of it before it was given to anybody.
    first: Option<Box<Arrival>>,
    /// Whether it is counted how the server comes to an end with it.
    reports: bool,
    /// What follows its request, if anything does.
    hop: Hop,
}

impl Drop for Answer {
    /// What the call changed has changed by now, as far as anybody can see.
    fn drop(&mut self) {
        if acts(self.method) {
            self.shared.acted();
        }
    }
}

/// Whether a call of a method may change something at the server.
pub(super) fn acts(method: Option<&'static mcp::method::Method>) -> bool {
    method.is_none_or(|method| !method.reads)
}

/// Where the messages come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// One response, already here.
    Whole(Option<Response>),
    /// Server-sent events.
    Events(Box<HttpStream>),
    /// A child process.
    Pipe(PipeStream),
}

/// What an answer must know of its call.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Our id of the request.
    pub(crate) id: u64,
    pub(crate) shared: Arc<Shared>,
    /// The revision that the server is spoken to in.
    pub(crate) revision: &'static Revision,
    /// What it is spoken to over.
    pub(crate) transport: Transport,
    pub(crate) method: Option<&'static mcp::method::Method>,
    /// The era that whoever gets the answer reads.
    pub(crate) reads: Era,
    pub(crate) uri: Option<String>,
}

impl Answer {
    pub(crate) fn new(source: Source, origin: Origin, place: Option<Slot>) -> Self {
        // Legacy servers stream every answer, a lone response too: there the first thing that comes tells.
        let streams = matches!(source, Source::Events(_)) && origin.revision.era == Era::Modern;
        let Origin { id, shared, revision, transport, method, reads, uri } = origin;
        let (first, reports, hop) = (None, false, None);
        Self {
            id,
            source,
            streams,
            revision,
            transport,
            method,
            reads,
            uri,
            shared,
            place,
            first,
            reports,
            hop,
        }
    }

    /// Whether nothing more needs to come from the server.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.source, Source::Whole(_)) || matches!(self.first.as_deref(), Some(Arrival::Response(_)))
    }

    /// The same answer with what came of it first.
    pub(crate) fn with_first(mut self, arrival: Arrival) -> Self {
        self.first = Some(Box::new(arrival));
        self
    }

    /// What follows its request ends with it.
    pub(crate) fn followed(mut self, hop: Hop) -> Self {
        self.hop = hop;
        self
    }

    /// Tells how it ends.
    pub(crate) fn report(&mut self) {
        self.reports = true;
    }

    /// What it came over.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the server chose to stream, so that the client should see a stream, too.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// The same answer without its place at the server: for one that is already here.
    pub fn release(mut self) -> Self {
        self.place = None;
        self
    }

    /// Takes a place at the server again.
    pub fn take_place(&mut self, place: Slot) {
        self.place = Some(place);
    }

    /// The same answer with its response in hand, which was taken out.
    pub fn over(mut self, response: Response) -> Self {
        self.source = Source::Whole(Some(response));
        self
    }

    /// Our id of the request, which is its progress token, too.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Gives up its place at the server: the call waits for its client, perhaps for long.
    pub fn give_up_place(&mut self) {
        self.place = None;
    }

    /// Whether it is, already here, the refusal of a request whose headers do not mirror its body as the server's
    /// newest schema wants it. Such a request was not carried out.
    pub fn refuses_headers(&self) -> bool {
        let Source::Whole(Some(response)) = &self.source else { return false };
        // A legacy server means something of its own by that code, and may have carried the call out.
        if self.era() == Era::Legacy || response.status != Some(StatusCode::BAD_REQUEST) {
            return false;
        }
        matches!(response.message.kind(), MessageKind::Error(parts) if parts.code == code::HEADER_MISMATCH)
    }

    /// Whether it is given as it came, because whoever gets it reads the legacy era that it was written in.
    pub fn is_as_it_came(&self) -> bool {
        (self.era(), self.reads) == (Era::Legacy, Era::Legacy)
    }

    /// The era that the server speaks.
    pub fn era(&self) -> Era {
        self.revision.era
    }

    /// The revision that the server's messages are of.
    pub fn revision(&self) -> &'static Revision {
        self.revision
    }

    /// The server's name.
    pub fn upstream(&self) -> &str {
        &self.shared.plan.name
    }

    /// A text that was made of what the server said, which counts as held for it like that: many may wait for a slow client.
    pub fn counted(&self, text: Bytes) -> Bytes {
        self.shared.share.nothing().own(text)
    }

    /// Waits for the next thing. After the response it must not be asked again. Cancel safe.
    pub async fn next(&mut self) -> Result<Arrival, CallError> {
        if let Some(first) = self.first.take() {
            return Ok(*first);
        }
        let arrival = self.hear().await;
        if self.hop.is_some() {
            hop::heard(&mut self.hop, &arrival, self.method);
        }
        if self.reports {
            match &arrival {
                Ok(Arrival::Response(_)) => self.shared.breaker.record_success(),
                Ok(_) => return arrival,
                Err(error) => {
                    if let Some(fault) = error.fault() {
                        self.shared.went_wrong(fault, error);
                    }
                }
            }
            self.reports = false;
        }
        arrival
    }

    async fn hear(&mut self) -> Result<Arrival, CallError> {
        let arrival = match &mut self.source {
            Source::Whole(response) => match response.take() {
                Some(response) => Arrival::Response(response),
                None => {
                    return Err(CallError::Internal("an answer was asked for more than it has".to_owned()));
                }
            },
            Source::Events(stream) => stream.next().await?,
            Source::Pipe(stream) => stream.next().await?,
        };
        let Arrival::Response(response) = arrival else { return Ok(arrival) };
        self.place = None;
        if self.era() == Era::Modern || self.is_as_it_came() {
            return Ok(Arrival::Response(response));
        }
        let message =
            convert::modernize(response.message, self.method, self.uri.as_deref()).map_err(|fault| {
                CallError::InvalidAnswer { upstream: self.upstream().to_owned(), why: fault.to_string() }
            })?;
        Ok(Arrival::Response(Response { message, ..response }))
    }
}
