//! Requests to receivers that speak HTTP: one at a time, within bounds, and what is to be made of their answers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::clock::Clock;
use base::plan::feed::PostPlan;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use transport::http::body::Pieces;
use transport::http::client::{HttpClient, Reply, SendFault, seconds_of_date};
use transport::memory::Memory;
use transport::net::Network;
use transport::workers::Workers;

use crate::receiver::Undelivered;

/// The most bytes of an answer: one that has a word for each record.
const MOST_ANSWER: usize = 8 * 1024 * 1024;
/// The most characters of an answer that are shown to somebody.
const MOST_SHOWN: usize = 300;

/// What receivers take from outside.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Sockets.
    pub network: Arc<dyn Network>,
    /// The bound on what is held.
    pub memory: Memory,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// One receiver that speaks HTTP.
pub(crate) struct Poster {
    client: HttpClient,
    plan: PostPlan,
    outside: Surroundings,
}

/// What it answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Poster {
    pub(crate) fn new(plan: &PostPlan, outside: &Surroundings) -> Self {
        // Nobody looks on: what is said here holds tokens. All of it runs on the sink's own thread.
        let (network, settings) = (Arc::clone(&outside.network), plan.client.clone());
        let client = HttpClient::new(network, settings, None, &Workers::default());
        Self { client, plan: plan.clone(), outside: outside.clone() }
    }

    /// Sends a body, and waits for the whole answer. Redirects are answers like others.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
        kind: &'static str,
        more: &[(&'static str, &'static str)],
    ) -> Result<Answer, Undelivered> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        for (name, value) in &self.plan.headers {
            headers.insert(name.clone(), value.clone());
        }
        let asked = async {
            let body = Pieces::from(Bytes::from(body));
            let mut reply = self.client.send(Method::POST, &self.plan.destination, headers, body).await?;
            let after = self.after(&reply);
            let body = reply.whole(MOST_ANSWER, &self.outside.memory.share()).await?;
            Ok::<_, SendFault>(Answer { status: reply.status().as_u16(), after, body })
        };
        asked.await.map_err(|fault| later(fault.to_string(), None))
    }

    /// When it wants to be asked again (RFC 9110 §10.2.3).
    fn after(&self, reply: &Reply) -> Option<Duration> {
        let text = reply.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = u64::try_from(seconds_of_date(text)?).ok()?;
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at))?;
        Some(at.duration_since(self.outside.clock.now()).unwrap_or_default())
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("to", &self.plan.destination).finish_non_exhaustive()
    }
}

impl Answer {
    /// What its status says of the whole of what was sent. What is refused for what it is, and what for how we are set up, are two
    /// things: nothing is lost over the second.
    pub(crate) fn judge(&self) -> Result<(), Undelivered> {
        let why = || format!("it answers {}{}", self.status, self.shown());
        match self.status {
            200..=299 => Ok(()),
            413 => Err(Undelivered::TooLarge { why: why() }),
            400 | 415 | 422 => Err(Undelivered::Refused { why: why() }),
            _ => Err(later(why(), self.after)),
        }
    }

    /// What it says, in one line.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..4 * MOST_SHOWN).unwrap_or(&self.body));
        let text: String = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let text: String = text.chars().take(MOST_SHOWN).collect();
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

pub(crate) fn later(why: String, after: Option<Duration>) -> Undelivered {
    Undelivered::Later { why, after }
}
