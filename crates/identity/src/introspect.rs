//! Asking an issuer about a token that says nothing itself (RFC 7662).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth::Refusal;
use base::bulkhead::Bulkhead;
use base::cache::{Bounds, Cache};
use base::plan::identity::IntrospectionPlan;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use mcp::json::{self, Object};
use tokio::time::timeout;

use crate::fetch::{Answered, FetchFault, Fetcher, shown};
use crate::percent;
use crate::tokens::TokenDigest;

/// How long an issuer's word is good at most: a token that it takes back is refused after that.
pub(crate) const GOOD: Duration = Duration::from_secs(60);
/// The most questions to one issuer at once, and the most who wait for their turn, and how long. Anybody can show texts that
/// must be asked about: who comes first is asked about first, and what is known already waits for nobody.
const MOST_AT_ONCE: usize = 32;
const MOST_WAITING: usize = 256;
const TURN: Duration = Duration::from_secs(1);
/// When to come again, if there is no answer.
const RETRY: Duration = Duration::from_secs(2);

/// What an issuer says of a token: the JSON object of its answer, or nothing where the token is not active.
type Said = Option<Arc<str>>;

/// Asks one issuer, once for all who show the same token.
pub(crate) struct Introspector {
    plan: IntrospectionPlan,
    authorization: HeaderValue,
    places: Bulkhead,
    flights: Cache<TokenDigest, Said, Refusal>,
}

impl Introspector {
    pub(crate) fn new(plan: IntrospectionPlan) -> Self {
        // RFC 6749 §2.3.1: both are encoded as parts of a form before they are put together.
        let pair = format!("{}:{}", percent::form(&plan.client_id), percent::form(&plan.secret));
        // base64 is ASCII, so this is a header's value.
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .unwrap_or(HeaderValue::from_static("Basic"));
        authorization.set_sensitive(true);
        let flights = Cache::new(Bounds { values: 0, bytes: 0 });
        let places = Bulkhead::new("questions about tokens".to_owned(), MOST_AT_ONCE, MOST_WAITING);
        Self { plan, authorization, places, flights }
    }

    /// Asks about a token.
    ///
    /// # Errors
    /// When there is no answer that says anything of the token.
    pub(crate) async fn ask(
        &self,
        fetcher: &Fetcher,
        (name, token): (&str, &str),
        digest: &TokenDigest,
    ) -> Result<Said, Refusal> {
        let ask = async {
            let away = Refusal::Unavailable { retry_after: RETRY };
            let Ok(Ok(_place)) = timeout(TURN, self.places.take()).await else {
                tracing::warn!(
                    issuer = name,
                    "it is asked about {MOST_AT_ONCE} tokens already, and others wait"
                );
                return Err(away);
            };
            self.answer(fetcher, token).await.map_err(|FetchFault(why)| {
                tracing::warn!(issuer = name, "it does not say whether tokens are good: {why}");
                away
            })
        };
        self.flights.single_flight(digest, |_| true, ask).await
    }

    async fn answer(&self, fetcher: &Fetcher, token: &str) -> Result<Said, FetchFault> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = format!("token={}&token_type_hint=access_token", percent::form(token));
        let to = &self.plan.endpoint;
        let Answered { status, body, .. } =
            fetcher.send(Method::POST, to, headers, Bytes::from(body)).await?;
        let fault = |why: &str| FetchFault(format!("{}: {why}", shown(to)));
        let text = std::str::from_utf8(&body).map_err(|_bytes| fault("the answer is no text"));
        if status != 200 {
            let error = text.ok().and_then(error).map(|error| format!(", {error}")).unwrap_or_default();
            return Err(fault(&format!("the answer is HTTP {status}{error}")));
        }
        let text = text?;
        let object = Object::parse(text).map_err(|_fault| fault("the answer is no JSON object"))?;
        let active = object.get("active").ok().flatten().and_then(json::boolean);
        match active {
            Some(true) => Ok(Some(text.into())),
            Some(false) => Ok(None),
            None => Err(fault("the answer does not say whether the token is active")),
        }
    }
}

/// The name of an error (RFC 6749 §5.2), if it is a name: whatever else stands there may be what was asked about.
fn error(text: &str) -> Option<String> {
    let error = Object::parse(text).ok()?.string("error").ok().flatten()?;
    let is_name = error.len() <= 40 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then(|| error.into_owned())
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector").field("plan", &self.plan).finish_non_exhaustive()
    }
}
