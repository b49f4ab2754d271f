//! What a connection is told for which there is no place: one answer, and the end. Nobody else waits for that, and it does not
//! take long, whatever the client does.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::opening::Spoken;
use crate::net::BoxIo;

/// How long it may take in all.
pub(super) const WITHIN: Duration = Duration::from_secs(2);

/// What is said by who knows no better words for it.
pub(super) fn bare() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Says it to a client whose first bytes have come.
pub(super) async fn say(io: BoxIo, spoken: Spoken, response: Response<Bytes>) {
    let said = timeout(WITHIN, async {
        match spoken {
            Spoken::Http1 => over_http1(io, response).await,
            Spoken::Http2 => over_http2(io, response).await,
        }
    });
    if let Ok(Err(error)) = said.await {
        tracing::debug!(%error, "a connection ended while it was refused");
    }
}

async fn over_http1(mut io: BoxIo, mut response: Response<Bytes>) -> io::Result<()> {
    let body = std::mem::take(response.body_mut());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    io.write_all(&text).await?;
    io.shutdown().await?;
    // To close on what a client is still writing would reset the connection, and it might not read what it was told.
    let mut unread = [0; 4096];
    while io.read(&mut unread).await? > 0 {}
    Ok(())
}

async fn over_http2(io: BoxIo, response: Response<Bytes>) -> io::Result<()> {
    let told = CancellationToken::new();
    let service = service_fn(|_request: Request<Incoming>| {
        told.cancel();
        let response = response.clone().map(Full::new);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(16)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = told.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}
