//! A backend for OpenTelemetry's logs: OTLP over HTTP, in protobuf.
//!
//! An exporter of our own: those of SDKs drop what does not fit their queue, and believe any 200. Here a delivery is taken only if the
//! answer is what a backend says, in protobuf; what it says it has rejected is counted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::plan::feed::PostPlan;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use tokio::time::timeout;
use transport::http::client::{Destination, HttpClient, Reply, SendFault};
use transport::memory::Share;
use transport::workers::Workers;

use crate::post::Surroundings;
use crate::receiver::{Bounds, Delivery, Receiver, Taken, Undelivered};

mod message;

const PROTOBUF: &str = "application/x-protobuf";

/// One collector was seen to answer 200 to more, and to forward none or half of it.
const BOUNDS: Bounds = Bounds { records: 512, bytes: 1024 * 1024 };

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The most of an answer that is told.
const MOST_TOLD: usize = 200;

/// An OTLP backend.
pub struct Otlp {
    client: HttpClient,
    to: Destination,
    headers: HeaderMap,
    within: Duration,
    share: Share,
}

impl Otlp {
    /// A backend that is not connected yet.
    #[must_use]
    pub fn new(plan: &PostPlan, within: Duration, outside: &Surroundings) -> Self {
        let mut headers: HeaderMap = plan.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION"))));
        // Nobody looks on: headers may hold keys. All of it runs on the sink's own thread.
        let client =
            HttpClient::new(Arc::clone(&outside.network), plan.client.clone(), None, &Workers::default());
        Self { client, to: plan.destination.clone(), headers, within, share: outside.memory.share() }
    }

    async fn send(&self, lines: &[String]) -> Result<Taken, Undelivered> {
        let mut taken = Taken::default();
        let request = message::request(lines, &mut taken.rejected);
        taken.unfit = taken.rejected.len();
        if request.resource_logs.is_empty() {
            return Ok(taken);
        }
        let body = Bytes::from(request.encode_to_vec());
        let (status, headers, media, body) = match timeout(self.within, self.exchange(body)).await {
            Ok(answered) => answered.map_err(|fault| later(fault.to_string()))?,
            Err(_elapsed) => return Err(later(format!("no answer within {:?}", self.within))),
        };
        if !status.is_success() {
            return Err(refusal(status, &headers, &media, &body));
        }
        // A login page is a 200, too.
        if media != PROTOBUF {
            let what = if media.is_empty() { "no Content-Type" } else { &media };
            return Err(later(format!(
                "it answers {status} with {what} where {PROTOBUF} is due: is that the URL of its logs (…/v1/logs)?"
            )));
        }
        let answer = ExportLogsServiceResponse::decode(body).map_err(|error| {
            later(format!("it answers {status} with what is no protobuf of OTLP: {error}"))
        })?;
        if let Some(partly) = answer.partial_success {
            let said = told(&partly.error_message);
            let rejected = u64::try_from(partly.rejected_log_records).unwrap_or_default();
            if rejected >= (lines.len() - taken.rejected.len()) as u64 {
                // It has taken nothing. Which of them it does not like, if not all, is found by halves.
                let why =
                    format!("it answers {status}, and that it rejects all of {rejected} records: {said}");
                return Err(Undelivered::Refused { why });
            }
            if rejected > 0 {
                tracing::warn!(
                    rejected,
                    said,
                    "the OTLP backend has rejected records; it does not say which"
                );
            } else if !said.is_empty() {
                tracing::info!(said, "the OTLP backend has taken records, and says something");
            }
            taken.lost = rejected;
        }
        Ok(taken)
    }

    async fn exchange(&self, body: Bytes) -> Result<(StatusCode, HeaderMap, String, Bytes), SendFault> {
        let mut reply: Reply = self.client.send(Method::POST, &self.to, self.headers.clone(), body).await?;
        let media = reply.media_type().unwrap_or_default().into_owned();
        let body = match reply.whole(LONGEST_ANSWER, &self.share).await {
            Ok(body) => body,
            // Whatever it says, its status says enough.
            Err(SendFault::TooLarge { .. }) if !reply.status().is_success() => Bytes::new(),
            Err(fault) => return Err(fault),
        };
        Ok((reply.status(), reply.headers().clone(), media, body))
    }
}

impl Receiver for Otlp {
    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(self.send(lines))
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").field("to", &self.to).finish_non_exhaustive()
    }
}

fn later(why: String) -> Undelivered {
    Undelivered::Later { why, after: None }
}

/// What an answer that is no success means.
fn refusal(status: StatusCode, headers: &HeaderMap, media: &str, body: &[u8]) -> Undelivered {
    let said = said(media, body);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let why = format!("it answers {status}{said}");
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Undelivered::TooLarge { why },
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Undelivered::Refused { why },
        _ if status.is_redirection() => later(format!(
            "{why}; records are not sent where somebody else says: write the URL that it means"
        )),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            later(format!("{why}; it wants other credentials"))
        }
        StatusCode::NOT_FOUND => later(format!("{why}; is that the URL of its logs (…/v1/logs)?")),
        _ => {
            let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Undelivered::Later { why, after: after.map(Duration::from_secs) }
        }
    }
}

/// The status that OTLP has in answers that are no success (`google.rpc.Status`): of it the text.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(string, tag = "2")]
    message: String,
}

fn said(media: &str, body: &[u8]) -> String {
    match media {
        PROTOBUF => RpcStatus::decode(body).map(|status| told(&status.message)).unwrap_or_default(),
        "text/plain" | "application/json" => told(&String::from_utf8_lossy(body)),
        _ => String::new(),
    }
}

/// What somebody else says, for a line of our log.
fn told(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = plain.take(MOST_TOLD).collect();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests;
