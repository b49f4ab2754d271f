//! The pages on which people answer what policies want to be approved. Whoever looks at one is known by what the route of the
//! question knows its callers by: a certificate, a proxy in front, or a key or token that they put into a form, since a browser sends
//! none by itself. What a page looks like, crate `approvals` knows.

use std::sync::Arc;

use ::approvals::page::{self, Place};
use ::approvals::people::may_answer;
use ::approvals::visit::{self, Sent};
use auth::{Credentials, Identity};
use base::error::CallError;
use base::reply;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use mcp::version::Era;
use store::approvals::{Approval, Standing};
use transport::http::body::ReplyBody;
use transport::http::server::Exchange;

use super::{Listener, heads, protected};
use crate::forward::desk::Desk;
use crate::live::Live;
use crate::route::Route;

const FORM: &str = "application/x-www-form-urlencoded";

impl Listener {
    /// What is at a path below which pages are; nothing where no route of this listener has any.
    pub(super) async fn approval_page(&self, exchange: &mut Exchange) -> Option<Response<ReplyBody>> {
        let live = self.live.load_full();
        live.asking(&self.name).next()?;
        if let Err(refused) = self.keeper.check_host(&exchange.uri, &exchange.headers) {
            return Some(heads::refuse(refused));
        }
        let path = exchange.uri.path().to_owned();
        let answered = match page::at(&path) {
            Some(Place::Style) => page::style(),
            Some(Place::Question(id)) => {
                self.visit(&live, exchange, id).await.unwrap_or_else(|error| sorry(&error))
            }
            None => page::said(StatusCode::NOT_FOUND, "There is nothing here."),
        };
        Some(answered.map(ReplyBody::from))
    }

    async fn visit(
        &self,
        live: &Live,
        exchange: &mut Exchange,
        id: &str,
    ) -> Result<Response<Bytes>, CallError> {
        let unknown = || page::said(StatusCode::NOT_FOUND, "There is no such question any more.");
        let Some(world) = live.asking(&self.name).next().map(|route| &route.world) else {
            return Ok(unknown());
        };
        let desk = Desk::new(world)?;
        let Some(approval) = desk.read(id).await? else { return Ok(unknown()) };
        let [asking, ..] = &approval.question.what;
        let Some(route) = live.asking(&self.name).find(|route| route.name == *asking) else {
            return Ok(unknown());
        };
        let sent = match exchange.method {
            Method::GET | Method::HEAD => None,
            Method::POST => match self.sent(live, exchange, route).await {
                Ok(sent) => Some(sent),
                Err(response) => return Ok(*response),
            },
            _ => return Ok(page::said(StatusCode::METHOD_NOT_ALLOWED, "A page is read, or answered.")),
        };
        match sent {
            None => match identified(route, exchange, None).await {
                Ok(identity) => Ok(shown(route, &approval, &identity)),
                Err(_nobody) => Ok(page::who_is_there(None)),
            },
            Some(Sent::Key(key)) => match identified(route, exchange, Some(&key)).await {
                Ok(identity) => Ok(shown(route, &approval, &identity)),
                Err(why) => Ok(page::who_is_there(Some(&why))),
            },
            Some(Sent::Answer { approves, by, proof }) => {
                let now = route.world.clock.now();
                let shows_another = match identified(route, exchange, None).await {
                    Ok(identity) => identity.principal.id() != by,
                    // Whoever has shown a key is known by what the page was given for it.
                    Err(_nobody) => false,
                };
                if shows_another || !visit::is_proven(&route.world.seal, id, (&by, &proof), now) {
                    return Ok(page::who_is_there(Some("This page was open for too long, or is not yours.")));
                }
                desk.decide(&route.world.tasks, id, approves, &by).await?;
                Ok(desk.read(id).await?.map_or_else(unknown, |approval| page::over(&approval)))
            }
        }
    }

    /// What a form has sent, if it is one of ours.
    async fn sent(
        &self,
        live: &Live,
        exchange: &mut Exchange,
        route: &Route,
    ) -> Result<Sent, Box<Response<Bytes>>> {
        let refused = |status, why| Box::new(page::said(status, why));
        if !is_from_here(&exchange.headers, route.pages.as_deref()) {
            return Err(refused(StatusCode::FORBIDDEN, "Another site has sent this."));
        }
        let is_form =
            exchange.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
                value.split(';').next().is_some_and(|bare| bare.trim().eq_ignore_ascii_case(FORM))
            });
        if !is_form {
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not what the page sends."));
        }
        let patience = live.plan.limits.request_timeout;
        let body = exchange.read_body(visit::BODY, patience, &self.memory).await;
        let body = body.map_err(|_unread| refused(StatusCode::BAD_REQUEST, "This cannot be read."))?;
        Sent::read(&body).ok_or_else(|| refused(StatusCode::BAD_REQUEST, "This is not what the page sends."))
    }
}

impl Live {
    /// The routes of a listener on which somebody may be asked to approve something.
    fn asking<'a>(&'a self, listener: &'a str) -> impl Iterator<Item = &'a Arc<Route>> {
        let here = self.endpoints.iter().filter(move |(plan, _)| plan.is_at(listener));
        here.map(|(_, endpoint)| &endpoint.route).filter(|route| route.gate.asks())
    }
}

/// Who looks at a page: by the connection and what came with the request, or by a key of theirs.
///
/// # Errors
/// Why that is not known, for people.
async fn identified(route: &Route, exchange: &Exchange, key: Option<&str>) -> Result<Identity, String> {
    if route.identifier.is_none() {
        return Err("This route knows nobody: answer with `portolan approvals approve`.".to_owned());
    }
    let shown = match key {
        Some(key) => {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let value = value.map_err(|_odd| "That is no key and no token.".to_owned())?;
            Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
        }
        None => None,
    };
    let credentials = Credentials {
        headers: shown.as_ref().unwrap_or(&exchange.headers),
        method: &exchange.method,
        target: exchange.uri.path(),
        connection: protected::connection(exchange),
    };
    route.gate.identify(credentials).await.map_err(|refusal| refusal.to_string())
}

/// The question for somebody who may answer it.
fn shown(route: &Route, approval: &Approval, identity: &Identity) -> Response<Bytes> {
    let question = &approval.question;
    let (principal, now) = (&identity.principal, route.world.clock.now());
    if !may_answer(question, (principal, identity.claims.as_deref())) {
        let who = ::approvals::people::who(question);
        return page::who_is_there(Some(&format!("{principal} may not answer this. It is for: {who}.")));
    }
    if approval.standing != Standing::Pending {
        return page::over(approval);
    }
    match visit::proof(&route.world.seal, &question.id, principal, now) {
        Ok(proof) => page::question(approval, (principal.id(), &proof)),
        Err(fault) => sorry(&CallError::Internal(fault.to_string())),
    }
}

/// Whether a form was sent from one of our pages, as far as its browser says: the proof in it is what counts (Fetch Metadata; RFC
/// 6454 §7).
fn is_from_here(headers: &HeaderMap, pages: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return true };
    let host = text(HOST.as_str()).unwrap_or_default();
    let is_same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    let is_public =
        || pages.is_some_and(|pages| pages.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/')));
    is_same || is_public()
}

fn sorry(error: &CallError) -> Response<Bytes> {
    let wire = reply::wire_for(error, Era::Modern);
    wire.log(error, "");
    page::said(wire.status, &format!("This does not work now: {}", wire.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn other_sites_answer_nothing() {
        let pages = Some("https://gw.example/x/.portolan/approvals/");
        for (given, ours) in [
            (&[][..], true),
            (&[("origin", "https://gw.example"), ("host", "inner:8080")], true),
            (&[("origin", "https://gw.example.evil"), ("host", "inner")], false),
            (&[("origin", "https://gw.exampl"), ("host", "inner")], false),
            (&[("origin", "null"), ("host", "inner")], false),
            (&[("origin", ""), ("host", "")], false),
            (&[("origin", "http://127.0.0.1:9"), ("host", "127.0.0.1:9")], true),
            (&[("origin", "http://127.0.0.1:8"), ("host", "127.0.0.1:9")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://gw.example")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://gw.example")], true),
        ] {
            assert_eq!(is_from_here(&headers(given), pages), ours, "{given:?}");
        }
    }
}
