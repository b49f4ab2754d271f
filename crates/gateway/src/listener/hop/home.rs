//! Requests about what another replica holds: a legacy session whose home is there, a suspended call that waits there.
//! They are forwarded as they came. When the home of a session is gone, the session is taken over here, with what the store
//! knows of it; a suspended call is lost with its replica, and its client hears so.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::Identity;
use base::error::CallError;
use base::plan::Limits;
use base::reply;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use mcp::call::Call;
use mcp::jsonrpc::Message;
use mcp::legacy::batch;
use mcp::version::Era;
use replica::peers::{Fate, Peer};
use replica::{Home, Homed, Replica};
use tokio::time::{Instant, sleep};
use transport::http::body::ReplyBody;
use transport::http::server::Exchange;

use super::forward::{self, Request, Unforwarded};
use super::{Came, Hop};
use crate::bridge::endpoint::Endpoint;
use crate::bridge::session::SessionClaims;
use crate::listener::heads::{self, refuse_call, unread};
use crate::listener::{Listener, request_id};

/// How long a request waits for the home of its session to be taken for dead.
const DYING: Duration = Duration::from_secs(4);
/// How long until a replica that may be dying is asked about again.
const PAUSE: Duration = Duration::from_millis(200);
/// Until when servers are at one replica.
const FOR_EVER: Duration = Duration::from_secs(200 * 365 * 24 * 3600);
/// How often a request may hear that it has come to the wrong replica.
const MOVES: usize = 4;

/// What becomes of a suspended call whose replica is gone.
const GONE: CallError = CallError::RequestState(
    "the replica that held the open call is gone, and the call with it; what it had done by then is done",
);

type SessionAt<'s> = (&'s Arc<Endpoint>, &'s SessionClaims);

/// What a request is about that has one home.
#[derive(Debug, Clone, Copy)]
struct HomedSubject<'s> {
    endpoint: &'s Arc<Endpoint>,
    /// The session, if it comes in one.
    claims: Option<&'s SessionClaims>,
    homed: Homed<'s>,
}

impl<'s> HomedSubject<'s> {
    /// A session, which is at home with the servers of its route where these are at one replica only.
    fn of((endpoint, claims): SessionAt<'s>) -> Self {
        let homed = endpoint.route.single.as_ref().map_or_else(|| claims.homed(), single);
        Self { endpoint, claims: Some(claims), homed }
    }

    /// Whether it is a session that nothing is known of here, because its home was elsewhere.
    fn is_new_here(&self, replica: &Replica) -> Option<&'s SessionClaims> {
        let claims = self.claims.filter(|claims| self.homed.name != &claims.name)?;
        let is_mine =
            *claims.homed().opener == *replica.id() || self.endpoint.sessions.held(claims).is_some();
        (!is_mine).then_some(claims)
    }
}

/// The servers that are at one replica only.
fn single(name: &Arc<str>) -> Homed<'_> {
    Homed { name, opener: "", expires: SystemTime::UNIX_EPOCH + FOR_EVER }
}

impl Listener {
    /// A POST of a legacy client without a message, to another replica: what of it is known here.
    fn forwards<'r>(&'r self, came: Came<'r>, headers: &'r HeaderMap) -> Request<'r> {
        Request {
            listener: &self.name,
            method: &Method::POST,
            uri: came.uri,
            identity: came.identity,
            headers,
            body: Bytes::new(),
            asks: Vec::new(),
            era: Era::Legacy,
        }
    }

    /// A message of a session: what the session's home answers; none if that is here.
    pub(in crate::listener) async fn message_elsewhere(
        &self,
        headers: &HeaderMap,
        message: &Message,
        session: SessionAt<'_>,
        came: Came<'_>,
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref()?;
        let request = || Request {
            body: message.bytes().clone(),
            asks: request_id(message).into_iter().collect(),
            ..self.forwards(came, headers)
        };
        Box::pin(self.elsewhere(replica, HomedSubject::of(session), came.hop, request)).await
    }

    /// The same for several messages.
    pub(in crate::listener) async fn batch_elsewhere(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        session: SessionAt<'_>,
        came: Came<'_>,
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref()?;
        let json_depth = session.0.route.json_depth;
        let members = || batch::read(body, json_depth).unwrap_or_default().into_iter().flatten();
        let request = || Request {
            body: body.clone(),
            asks: members().filter_map(|message| request_id(&message)).collect(),
            ..self.forwards(came, headers)
        };
        Box::pin(self.elsewhere(replica, HomedSubject::of(session), came.hop, request)).await
    }

    /// The same for a request without a message.
    pub(in crate::listener) async fn plain_elsewhere(
        &self,
        exchange: &Exchange,
        session: SessionAt<'_>,
        came: Came<'_>,
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref()?;
        let request = || Request { method: &exchange.method, ..self.forwards(came, &exchange.headers) };
        Box::pin(self.elsewhere(replica, HomedSubject::of(session), came.hop, request)).await
    }

    async fn elsewhere<'r>(
        &self,
        replica: &Arc<Replica>,
        subject: HomedSubject<'_>,
        hop: &Hop,
        request: impl Fn() -> Request<'r>,
    ) -> Option<Response<ReplyBody>> {
        let (began, mut moves, mut given) = (Instant::now(), 0, false);
        let HomedSubject { endpoint, homed, .. } = subject;
        loop {
            let home = match given {
                true => replica.given(homed).await,
                false => replica.home_of(homed).await,
            };
            let peer = match home {
                Ok(Home::Here) if !self.drain.is_cancelled() => {
                    let adopted = match subject.is_new_here(replica) {
                        Some(claims) => endpoint.adopt(claims).await,
                        None => Ok(()),
                    };
                    return adopted.err().map(|error| refused(&error, &request()));
                }
                Ok(Home::Here) => match self.hand_over(replica, subject, hop).await {
                    Some(peer) => peer,
                    None => return None,
                },
                // Its home sends it here: it is handed over.
                Ok(Home::At(peer))
                    if !given && matches!(hop, Hop::Forwarded { from, .. } if *from == peer.id) =>
                {
                    given = true;
                    continue;
                }
                Ok(Home::At(peer)) => peer,
                Ok(Home::Ended) => return Some(refused(&CallError::NoSession, &request())),
                Ok(Home::Adopted(adoption)) => {
                    if let Some(claims) = subject.claims
                        && let Err(error) = endpoint.adopt(claims).await
                    {
                        return Some(refused(&error, &request()));
                    }
                    replica.adopted(homed, &adoption);
                    return None;
                }
                Err(fault) => {
                    let what = "a session whose replica is gone";
                    return Some(refused(&CallError::store_away(what, &fault), &request()));
                }
            };
            if matches!(hop, Hop::Forwarded { .. }) {
                return Some(forward::misdirected(Some(&peer.id)));
            }
            let sent = request();
            match forward::forward(replica, &peer, &sent).await {
                Ok(response) => return Some(response),
                Err(Unforwarded::Lost(why)) => return Some(lost(&peer, &why, &sent)),
                Err(Unforwarded::Moved(Some(to))) => {
                    moves += 1;
                    given = *to == *replica.id();
                    if !given {
                        replica.moved(homed, &to);
                    }
                    if moves >= MOVES || replica.peers().refresh(replica).await.is_err() {
                        return Some(away(&peer, "the session is sent from one replica to the next", &sent));
                    }
                }
                Err(Unforwarded::Moved(None)) => {
                    replica.forget_home(homed.name);
                    if !is_decided(replica, (&peer, true), began).await {
                        return Some(away(&peer, "another process answers at its address", &sent));
                    }
                }
                Err(Unforwarded::Unreached(why)) => {
                    if !is_decided(replica, (&peer, false), began).await {
                        return Some(away(&peer, &why, &sent));
                    }
                }
            }
        }
    }

    /// Gives a session to another replica, because this one is about to end; to the one that asks, or else to any. None if it
    /// is still needed here, or nobody can take it.
    async fn hand_over(&self, replica: &Replica, subject: HomedSubject<'_>, hop: &Hop) -> Option<Arc<Peer>> {
        let sessions = &subject.endpoint.sessions;
        let held = subject.claims.and_then(|claims| sessions.held(claims));
        if held.is_some_and(|held| held.has_calls()) {
            return None;
        }
        let peer = match hop {
            Hop::Forwarded { from, .. } => replica.peers().get(from)?,
            Hop::Direct => replica.peers().any()?,
        };
        match replica.hand_over(subject.homed, &peer.id).await {
            Ok(true) => {
                subject.claims.iter().for_each(|claims| sessions.let_go(&claims.name));
                Some(peer)
            }
            Ok(false) => None,
            Err(fault) => {
                tracing::warn!("a session cannot be handed over: {fault}");
                None
            }
        }
    }

    /// Something new about servers that are at one replica only: what that one answers. None if it is here, or they have
    /// nothing to do with it.
    pub(in crate::listener) async fn opening_elsewhere(
        &self,
        headers: &HeaderMap,
        message: &Message,
        endpoint: &Arc<Endpoint>,
        came: Came<'_>,
        era: Era,
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref()?;
        let homed = single(endpoint.route.single.as_ref()?);
        let request = || Request {
            body: message.bytes().clone(),
            asks: request_id(message).into_iter().collect(),
            era,
            ..self.forwards(came, headers)
        };
        let subject = HomedSubject { endpoint, claims: None, homed };
        Box::pin(self.elsewhere(replica, subject, came.hop, request)).await
    }

    /// The retry of a call that is suspended at another replica, or a request about a task that only another one knows: what
    /// that one answers. None if it is neither, or is here.
    pub(in crate::listener) async fn call_elsewhere(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        (endpoint, call): (&Arc<Endpoint>, &Call),
        came: Came<'_>,
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref()?;
        if matches!(came.hop, Hop::Forwarded { .. }) {
            return None;
        }
        let route = &endpoint.route;
        let principal = &came.identity.principal;
        let task = route.tasks.holder(call, principal);
        let is_task = task.is_some();
        let suspended =
            || route.suspended.seals.holder(call, (&route.name, principal), route.world.clock.now());
        let holder = task.or_else(suspended)?;
        if *replica.id() == *holder {
            return None;
        }
        let request =
            Request { body, asks: vec![call.id().clone()], era: Era::Modern, ..self.forwards(came, headers) };
        match self.to_holder(replica, &holder, &request).await {
            // Without the replica that made it, a task is perhaps still known to its server.
            None if is_task => None,
            None => Some(refused(&GONE, &request)),
            answered => answered,
        }
    }

    /// A message for a stream of HTTP+SSE that another replica has. None if that one is not there: the session has ended
    /// with its stream.
    pub(in crate::listener) async fn post_to_stream(
        &self,
        holder: &str,
        exchange: &mut Exchange,
        (limits, (hop, identity)): (&Limits, (&Hop, &Identity)),
    ) -> Option<Response<ReplyBody>> {
        let replica = self.replica.as_ref().filter(|_| matches!(hop, Hop::Direct))?;
        let body = match exchange.read_body(limits.request_bytes, limits.request_timeout, &self.memory).await
        {
            Ok(body) => body,
            Err(fault) => return Some(unread(&fault)),
        };
        let came = Came { uri: &exchange.uri, hop, identity };
        let request = Request { body, ..self.forwards(came, &exchange.headers) };
        self.to_holder(replica, holder, &request).await
    }

    /// What the replica answers that alone has what a request is about. None if it is gone, and that with it.
    async fn to_holder(
        &self,
        replica: &Arc<Replica>,
        holder: &str,
        request: &Request<'_>,
    ) -> Option<Response<ReplyBody>> {
        if replica.peers().get(holder).is_none()
            && let Err(fault) = replica.peers().refresh(replica).await
        {
            let what = "what another replica holds";
            return Some(refused(&CallError::store_away(what, &fault), request));
        }
        let peer = replica.peers().get(holder)?;
        match forward::forward(replica, &peer, request).await {
            Ok(response) => Some(response),
            Err(Unforwarded::Moved(_)) => None,
            Err(Unforwarded::Lost(why)) => Some(lost(&peer, &why, request)),
            Err(Unforwarded::Unreached(why)) => match replica.peers().suspect(replica, &peer, false).await {
                Ok(Fate::Dead | Fate::Dying) => None,
                Ok(Fate::Unclear) | Err(_) => Some(away(&peer, &why, request)),
            },
        }
    }
}

/// Whether it is worth while to look again where a session is, whose home is not where it was.
async fn is_decided(replica: &Replica, (peer, is_elsewhere): (&Peer, bool), since: Instant) -> bool {
    match replica.peers().suspect(replica, peer, is_elsewhere).await {
        Ok(Fate::Dead) => true,
        Ok(Fate::Dying) if since.elapsed() < DYING => {
            sleep(PAUSE).await;
            true
        }
        Ok(_) | Err(_) => false,
    }
}

fn away(peer: &Peer, why: &str, request: &Request<'_>) -> Response<ReplyBody> {
    refused(&CallError::ReplicaAway { replica: peer.id.clone(), why: why.to_owned() }, request)
}

fn lost(peer: &Peer, why: &str, request: &Request<'_>) -> Response<ReplyBody> {
    tracing::warn!(replica = peer.id, "what was forwarded is lost: {why}");
    refused(&CallError::ReplicaLost, request)
}

fn refused(error: &CallError, request: &Request<'_>) -> Response<ReplyBody> {
    match request.asks.as_slice() {
        [] => refuse_call(error, None, request.era),
        [one] => refuse_call(error, Some(one), request.era),
        several => {
            let wire = reply::wire_for(error, request.era);
            wire.log(error, "");
            let each: Vec<_> = several.iter().map(|ask| wire.body(Some(ask))).collect();
            heads::json(StatusCode::OK, batch::join(&each))
        }
    }
}
