//! What both servers over HTTP stand on: connections that are counted, whole bodies in, whole bodies or events out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::World;
use crate::fault::Fault;

pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A request, read.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The message; null without one.
    pub(crate) message: Value,
}

/// Who answers.
pub(crate) trait Answers: Send + Sync + 'static {
    fn answer(self: Arc<Self>, asking: Asking) -> impl Future<Output = Reply> + Send;
}

/// Serves at a port of its own, for as long as the runtime lives.
pub(crate) async fn serve<A: Answers>(world: &Arc<World>, answers: Arc<A>) -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Fault::of("a server's listener"))?;
    let address = listener.local_addr().map_err(Fault::of("a server's listener"))?;
    let world = Arc::clone(world);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(connection(Arc::clone(&world), Arc::clone(&answers), stream));
                }
                Err(error) => world.record.wrong(format!("a server of ours cannot accept: {error}")),
            }
        }
    });
    Ok(address)
}

/// Counts a connection for as long as it is there.
struct Counted(Arc<World>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection<A: Answers>(world: Arc<World>, answers: Arc<A>, stream: TcpStream) {
    world.open.fetch_add(1, Ordering::SeqCst);
    let _counted = Counted(world);
    // Small writes one after the other: without this the kernel keeps the second back.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request: Request<Incoming>| {
        let answers = Arc::clone(&answers);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes)?;
            let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let asking = Asking { method: parts.method, headers: parts.headers, message };
            Ok::<_, hyper::Error>(answers.answer(asking).await)
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new());
    // That a gateway breaks off is what this is about.
    server.serve_connection(TokioIo::new(stream), service).await.ok();
}

pub(crate) fn plain(status: u16) -> Reply {
    made(Response::builder().status(status), Bytes::new())
}

pub(crate) fn json(status: u16, message: &Value) -> Reply {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    made(builder, Bytes::from(message.to_string()))
}

/// A response with this header more.
pub(crate) fn with(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    if let Ok(value) = value.parse() {
        reply.headers_mut().insert(name, value);
    }
    reply
}

fn made(builder: http::response::Builder, body: Bytes) -> Reply {
    let response = builder.body(Full::new(body).boxed_unsync());
    response.unwrap_or_else(|_never| Response::new(Full::new(Bytes::new()).boxed_unsync()))
}

/// Events, until nobody sends any more.
pub(crate) fn events(messages: mpsc::Receiver<Value>) -> Reply {
    let frames = stream::unfold(messages, |mut messages| async move {
        let message = messages.recv().await?;
        let frame = Frame::data(Bytes::from(format!("event: message\ndata: {message}\n\n")));
        Some((Ok::<_, Infallible>(frame), messages))
    });
    let body = BodyExt::boxed_unsync(StreamBody::new(frames));
    let builder = Response::builder().header("content-type", "text/event-stream");
    builder.body(body).unwrap_or_else(|_never| plain(500))
}

pub(crate) fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

pub(crate) fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
