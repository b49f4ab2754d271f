//! The way of a request through an endpoint's questions: what a proxy in front says, then what the client itself shows.

use auth::{Connection, Credentials, Identified, Identify, Refusal, Why};
use base::plan::identity::ProxyPlan;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Identifier;
use crate::api_key::is_api_key;
use crate::certificates::Certificates;
use crate::fault::TokenFault;
use crate::jws::has_three_parts;
use crate::proxies::ProxyWord;
use crate::shown::Shown;

const TWO_PROXIES: &str = "two headers of proxies in front say who calls";

impl Identifier {
    /// Takes away what says who calls, once that is known: it goes no further.
    pub fn take_away(&self, headers: &mut HeaderMap) {
        for name in self.carriers.iter().chain(self.proxies.names()) {
            headers.remove(name);
        }
    }

    /// Whether whoever calls may show a token, beside what a proxy in front says.
    fn takes_tokens(&self) -> bool {
        self.keys.is_some() || self.issuers.iter().any(|issuer| issuer.plan().token_header.is_none())
    }

    /// What is said to whom shows nothing: what would help.
    pub(super) fn nothing(&self) -> Refusal {
        let issuers = self.issuers.iter().any(|issuer| issuer.plan().token_header.is_none());
        let by_proxy = |of: fn(&ProxyPlan) -> bool| self.plan.proxies.iter().any(of);
        let certificates =
            !self.plan.certificates.is_empty() || by_proxy(|proxy| proxy.certificate.is_some());
        let named = !self.carriers.is_empty() || by_proxy(|proxy| proxy.user.is_some());
        let text = match (self.keys.is_some(), certificates, named) {
            _ if issuers => return Refusal::Unauthenticated(Why::NoToken),
            (false, false, false) => return Refusal::Unauthenticated(Why::NoToken),
            (true, false, false) => "this needs an API key, sent as a bearer token",
            (false, true, false) => "this needs a client certificate",
            (false, false, true) => "this needs a proxy in front that says who calls: come through it",
            (true, true, false) => "this needs an API key, sent as a bearer token, or a client certificate",
            (true, false, true) => {
                "this needs an API key, sent as a bearer token, or a proxy in front that says who calls"
            }
            (false, true, true) => "this needs a client certificate, or a proxy in front that says who calls",
            (true, true, true) => {
                "this needs an API key, sent as a bearer token, a client certificate, or a proxy in front that says who calls"
            }
        };
        Refusal::Unauthenticated(Why::Nothing(text))
    }

    /// What stands in front has said who calls. Who is somebody by a token of its own as well is two.
    fn alone(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers.contains_key(AUTHORIZATION) && self.takes_tokens() {
            return Err(Refusal::Malformed(
                "there are two who say who calls: a proxy in front, and the Authorization header",
            ));
        }
        Ok(())
    }

    /// What is sent in a header of a proxy in front.
    fn carried<'a>(&'a self, shown: Shown<'a>, credentials: Credentials<'a>) -> Identified<'a> {
        if let Err(refusal) = self.alone(credentials.headers) {
            return Identified::Now(Err(refusal));
        }
        if !has_three_parts(shown.token) {
            return Identified::Now(Err(TokenFault::NotThreeParts.into()));
        }
        self.once_revocations_are_known(shown, credentials)
    }

    /// What the client itself shows.
    fn shown<'a>(&'a self, credentials: Credentials<'a>, certificates: &'a Certificates) -> Identified<'a> {
        let shown = match Shown::read(credentials.headers, credentials.target) {
            Ok(shown) => shown,
            // Who sends something, even what is no token, means to be known by that.
            Err(Refusal::Unauthenticated(Why::NoToken))
                if !credentials.headers.contains_key(AUTHORIZATION) =>
            {
                return Identified::Now(self.without_token(credentials.connection, certificates));
            }
            Err(Refusal::Unauthenticated(Why::NoToken)) => return Identified::Now(Err(self.nothing())),
            Err(refusal) => return Identified::Now(Err(refusal)),
        };
        if is_api_key(shown.token) {
            return self.own(&shown);
        }
        self.once_revocations_are_known(shown, credentials)
    }

    fn once_revocations_are_known<'a>(
        &'a self,
        shown: Shown<'a>,
        credentials: Credentials<'a>,
    ) -> Identified<'a> {
        match self.revocations.as_deref().filter(|revocations| !revocations.is_known()) {
            None => self.token(shown, credentials),
            Some(revocations) => Identified::Later(Box::pin(async move {
                revocations.known().await?;
                self.token(shown, credentials).outcome().await
            })),
        }
    }

    /// What a client shows to the proxy that stands in front. The connection is the proxy's: what it has presented itself says
    /// nothing of the caller.
    fn shown_in_front<'a>(&'a self, credentials: Credentials<'a>, said: ProxyWord<'a>) -> Identified<'a> {
        let Some((presented, certificates)) = said.certificate else {
            let credentials = Credentials { connection: Connection::default(), ..credentials };
            return self.shown(credentials, self.proxies.nobodys());
        };
        Identified::Later(Box::pin(async move {
            let connection = Connection {
                chain: &presented.chain,
                thumbprint: Some(&presented.thumbprint),
                ..Connection::default()
            };
            self.shown(Credentials { connection, ..credentials }, certificates).outcome().await
        }))
    }
}

impl Identify for Identifier {
    fn identify<'a>(&'a self, credentials: Credentials<'a>) -> Identified<'a> {
        let refused = |refusal| Identified::Now(Err(refusal));
        let said = match self.proxies.read(credentials.headers, credentials.connection.peer) {
            Ok(said) => said,
            Err(fault) => return refused(fault.into()),
        };
        let carried = match Shown::carried(&self.carriers, credentials.headers, credentials.target) {
            Ok(carried) => carried,
            Err(refusal) => return refused(refusal),
        };
        match (carried, said.who) {
            (Some(_), Some(_)) => refused(Refusal::Malformed(TWO_PROXIES)),
            (Some(shown), None) => self.carried(shown, credentials),
            (None, Some(identity)) => Identified::Now(self.alone(credentials.headers).map(|()| identity)),
            (None, None) if said.in_front => {
                self.shown_in_front(credentials, ProxyWord { who: None, ..said })
            }
            (None, None) => self.shown(credentials, &self.certificates),
        }
    }
}
