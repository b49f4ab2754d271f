//! Object storage that speaks as S3 does: an object for each batch of records. It is called by the first of them, so a batch that comes
//! again, which begins with the same, replaces what came of it before.

use std::error::Error;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::plan::feed::{Compression, S3Plan};
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::HOST;
use http_body_util::BodyExt as _;
use ledger::line::Head;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient as ObjectClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt as _, RetryConfig};
use transport::http::body::Pieces;
use transport::http::client::{Destination, HttpClient};
use transport::workers::Workers;

use crate::form::Form;
use crate::post::{Surroundings, later};
use crate::receiver::{Bounds, Delivery, Receiver, Taken};

/// The most bytes of an answer, which is a few lines of XML.
const MOST_ANSWER: usize = 1024 * 1024;
/// How long records wait for others to be in one object with them.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Objects {
    store: AmazonS3,
    plan: S3Plan,
    form: Form,
}

impl Objects {
    pub(crate) fn new(plan: &S3Plan, form: Form, outside: &Surroundings) -> Result<Self, String> {
        let network = Arc::clone(&outside.network);
        let client = HttpClient::new(network, plan.client.clone(), None, &Workers::default());
        // What fails is tried again by the sink, which knows how to wait.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&plan.bucket)
            .with_region(&plan.region)
            .with_access_key_id(&plan.access_key_id)
            .with_secret_access_key(&plan.secret_access_key)
            .with_retry(retry)
            .with_http_connector(Carrier { client, outside: outside.clone() });
        if let Some(token) = &plan.session_token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &plan.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { store, plan: plan.clone(), form })
    }

    /// What the object with these records is called.
    fn name(&self, lines: &[String]) -> String {
        let ending = match self.plan.compression {
            Compression::Gzip => ".jsonl.gz",
            Compression::None => ".jsonl",
        };
        let prefix = &self.plan.prefix;
        match lines.first().and_then(|line| Head::read(line)) {
            Some(Head { replica, time, seq, .. }) => {
                let (day, second) = time.split_once('T').unwrap_or((time, ""));
                let (day, second) = (day.replace('-', "/"), second.replace([':', '.'], ""));
                format!("{prefix}{replica}/{day}/{seq:012}-{second}{ending}")
            }
            None => format!("{prefix}odd{ending}"),
        }
    }
}

impl Receiver for Objects {
    fn bounds(&self) -> Bounds {
        Bounds { records: 20_000, bytes: 8 * 1024 * 1024 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            let text: String = lines.iter().map(|line| self.form.write(line) + "\n").collect();
            let body = match self.plan.compression {
                Compression::None => text.into_bytes(),
                Compression::Gzip => zipped(&text).map_err(|error| later(error.to_string(), None))?,
            };
            let name = Path::from(self.name(lines));
            match self.store.put(&name, Bytes::from(body).into()).await {
                Ok(_put) => Ok(Taken::default()),
                Err(error) => Err(later(told(&error), None)),
            }
        })
    }
}

fn zipped(text: &str) -> std::io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes())?;
    out.finish()
}

/// An error with its causes, in one line.
fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

/// Carries its requests by our client: there is one HTTP stack, with the proxies and authorities of the configuration.
#[derive(Debug, Clone)]
struct Carrier {
    client: HttpClient,
    outside: Surroundings,
}

impl HttpConnector for Carrier {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<ObjectClient> {
        Ok(ObjectClient::new(self.clone()))
    }
}

impl HttpService for Carrier {
    fn call<'s, 'a>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(self.carry(request))
    }
}

impl Carrier {
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let to = Destination::new(head.uri).map_err(|fault| HttpError::new(HttpErrorKind::Unknown, fault))?;
        head.headers.remove(HOST);
        let sent = self.client.send(head.method, &to, head.headers, Pieces::from(body)).await;
        let fault = |fault| HttpError::new(HttpErrorKind::Request, fault);
        let mut reply = sent.map_err(fault)?;
        let body = reply.whole(MOST_ANSWER, &self.outside.memory.share()).await.map_err(fault)?;
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = reply.status();
        *response.headers_mut() = reply.headers().clone();
        Ok(response)
    }
}
