//! HTTP as these clients speak it: a connection for each request, so that the balancer gives each to whom it likes, and
//! so that a client knows whether what it sent can have arrived.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) mod events;
pub(crate) mod heard;
pub(crate) mod modern;
pub(crate) mod session;

use events::Events;

/// Which replica had a request, in the order of `Door::replicas`.
pub(crate) type Replica = Option<usize>;

/// The way in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// Where clients connect: the balancer.
    pub(crate) address: SocketAddr,
    /// Where replicas listen, as the balancer names them.
    pub(crate) replicas: Vec<String>,
}

/// A request that brought no response.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Whether it can have been carried out.
    pub(crate) was_sent: bool,
    pub(crate) what: String,
}

/// A response whose body has yet to come.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Who answered, or failed to.
    pub(crate) replica: Replica,
    /// Whether the balancer gave anything of it to a replica.
    pub(crate) was_sent: bool,
    body: Body,
}

/// The connection lives as long as this value; dropping it cuts it.
#[derive(Debug)]
struct Body {
    incoming: Incoming,
    events: Events,
    is_stream: bool,
    _connection: Cut,
}

#[derive(Debug)]
struct Cut(JoinHandle<()>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A message, and the id of the event that it came in.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) json: Value,
    pub(crate) event: Option<String>,
}

impl Door {
    /// Sends a request to `/mcp` and waits for the head of the response.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        message: Option<&Value>,
    ) -> Result<Response, Broken> {
        let unsent = |what: String| Broken { was_sent: false, what };
        let stream = TcpStream::connect(self.address).await.map_err(|error| unsent(error.to_string()))?;
        stream.set_nodelay(true).ok();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unsent(error.to_string()))?;
        let cut = Cut(tokio::spawn(async move {
            // What happens to it is seen in the response.
            connection.await.ok();
        }));
        let mut request =
            Request::builder().method(method).uri("/mcp").header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = message.map_or_else(Bytes::new, |message| Bytes::from(message.to_string()));
        let request = request.body(Full::new(body)).map_err(|error| unsent(error.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| Broken { was_sent: true, what: format!("no response: {error}") })?;
        Ok(self.response(response, cut))
    }

    fn response(&self, response: http::Response<Incoming>, cut: Cut) -> Response {
        let (head, incoming) = response.into_parts();
        // The balancer names all that it tried; the last is the one that counts.
        let last = |name: &str| {
            let all = head.headers.get(name)?.to_str().ok()?;
            Some(all.rsplit([',', ':']).next()?.trim().to_owned())
        };
        let port = last("x-replica");
        let replica = port.and_then(|port| {
            self.replicas.iter().position(|known| known.rsplit(':').next() == Some(port.as_str()))
        });
        let was_sent = last("x-sent").is_none_or(|bytes| !matches!(bytes.as_str(), "0" | "-"));
        let media = head.headers.get("content-type").and_then(|value| value.to_str().ok());
        let is_stream = media.is_some_and(|media| media.starts_with("text/event-stream"));
        let body = Body { incoming, events: Events::default(), is_stream, _connection: cut };
        Response { status: head.status.as_u16(), headers: head.headers, replica, was_sent, body }
    }
}

impl Response {
    /// The next message; `None` when the response has ended in good order.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Broken> {
        if !self.body.is_stream {
            return self.whole().await;
        }
        loop {
            if let Some((event, data)) = self.body.events.next() {
                if data.is_empty() {
                    // It only says where the stream is.
                    return Ok(Some(Message { json: Value::Null, event }));
                }
                let json = serde_json::from_str(&data);
                let json =
                    json.map_err(|error| broken(format!("an event that is no JSON, {error}: {data}")))?;
                return Ok(Some(Message { json, event }));
            }
            match self.frame().await? {
                Some(bytes) => self.body.events.feed(&bytes),
                None => return Ok(None),
            }
        }
    }

    async fn whole(&mut self) -> Result<Option<Message>, Broken> {
        let mut text = Vec::new();
        while let Some(bytes) = self.frame().await? {
            text.extend_from_slice(&bytes);
        }
        if text.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice(&text) {
            Ok(json) => Ok(Some(Message { json, event: None })),
            // The balancer's own pages are no JSON.
            Err(_) => Ok(Some(Message { json: Value::Null, event: None })),
        }
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.body.incoming.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(format!("the connection broke: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

fn broken(what: String) -> Broken {
    Broken { was_sent: true, what }
}
