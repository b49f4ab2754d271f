//! Asking an issuer something over HTTP, within bounds.

use std::time::Duration;

use base::plan::identity::IssuerPlan;
use base::world::World;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, DATE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Uri};
use transport::http::body::Pieces;
use transport::http::client::{Destination, HttpClient, seconds_of_date};

/// The most bytes of an answer.
const MOST_BYTES: usize = 256 * 1024;
/// How long one may take, from the connection to the last byte.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer, for the log. Nothing of a token is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchFault(pub(crate) String);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// When it was made by the clock over there, in seconds since 1970, if that is said (RFC 9110 §6.6.1).
    pub(crate) date: Option<i64>,
    pub(crate) body: Bytes,
}

/// The connections to one issuer.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: HttpClient,
    world: World,
    allow_http: bool,
}

impl Fetcher {
    pub(crate) fn new(plan: &IssuerPlan, world: &World) -> Self {
        // Nobody looks on: what is said here holds tokens and a secret.
        let client = HttpClient::new(world.network.clone(), plan.client.clone(), None, &world.workers);
        Self { client, world: world.clone(), allow_http: plan.allow_http }
    }

    /// Where a URL leads, if an issuer may be there.
    pub(crate) fn destination(&self, url: &str) -> Result<Destination, FetchFault> {
        let uri: Uri = url.parse().map_err(|_fault| FetchFault("a URL of the issuer is none".to_owned()))?;
        let destination =
            Destination::new(uri).map_err(|fault| FetchFault(format!("a URL of the issuer: {fault}")))?;
        self.check(&destination)?;
        Ok(destination)
    }

    /// RFC 8414 §2 and §6: keys come over TLS, but from this machine where that is allowed.
    fn check(&self, to: &Destination) -> Result<(), FetchFault> {
        let (scheme, host) = (to.url().scheme_str(), to.url().host().unwrap_or_default());
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = transport::net::Address::Tcp(host.to_owned(), 0).is_local();
        match scheme {
            Some("https") => Ok(()),
            Some("http") if self.allow_http && is_local => Ok(()),
            _ => Err(FetchFault(
                "a URL of the issuer is not https; allow_http lets a loopback address be http".to_owned(),
            )),
        }
    }

    /// Gets what is there. Redirects are not followed.
    pub(crate) async fn get(&self, to: &Destination) -> Result<Answered, FetchFault> {
        self.send(Method::GET, to, HeaderMap::new(), Bytes::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        to: &Destination,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answered, FetchFault> {
        self.check(to)?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))));
        let asked = async {
            let mut reply = self.client.send(method, to, headers, Pieces::from(body)).await?;
            let encoded = reply.headers().contains_key(CONTENT_ENCODING);
            let date = reply.headers().get(DATE).and_then(|date| seconds_of_date(date.to_str().ok()?));
            let body = reply.whole(MOST_BYTES, &self.world.memory.share()).await?;
            Ok::<_, transport::http::client::SendFault>((
                encoded,
                Answered { status: reply.status().as_u16(), date, body },
            ))
        };
        let shown = shown(to);
        match tokio::time::timeout(PATIENCE, asked).await {
            Err(_elapsed) => Err(FetchFault(format!("{shown} did not answer within {PATIENCE:?}"))),
            Ok(Err(fault)) => Err(FetchFault(format!("{shown}: {fault}"))),
            Ok(Ok((true, _))) => {
                Err(FetchFault(format!("{shown} answers in an encoding that was not asked for")))
            }
            Ok(Ok((false, answered))) => Ok(answered),
        }
    }
}

/// A URL without what may be secret in it.
pub(crate) fn shown(to: &Destination) -> String {
    let url = to.url();
    let (scheme, host) = (url.scheme_str().unwrap_or("http"), url.host().unwrap_or_default());
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path())
}
