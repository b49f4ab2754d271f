use std::io;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::body::ReplyBody;
use crate::http::server::places::Places;
use crate::http::server::{Exchange, Server, ServerLimits, Service};
use crate::net::{Accept, Accepted, Address, BoxFuture};
use crate::workers::Workers;

const LARGE: usize = 1_000_000;
const STALL: Duration = Duration::from_secs(30);

/// Gives what is as long as its path says.
struct Long(Memory);

impl Service for Long {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        let size = exchange.uri.path().trim_start_matches('/').parse().unwrap();
        let mut held = self.0.share_of(&exchange.peer).take(size).unwrap();
        Response::new(ReplyBody::from(held.own(Bytes::from(vec![b'x'; size]))))
    }
}

#[derive(Debug)]
struct Pipes(UnboundedReceiver<DuplexStream>);

impl Accept for Pipes {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(io) => Ok((Accepted::Io(Box::new(io)), self.local())),
                None => std::future::pending().await,
            }
        })
    }

    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>> {
        Ok(None)
    }

    fn local(&self) -> Address {
        Address::Tcp("here".to_owned(), 1)
    }
}

fn serve(memory: &Memory) -> UnboundedSender<DuplexStream> {
    let (connect, connections) = unbounded_channel();
    let server = Server {
        listener: Box::new(Pipes(connections)),
        tls: None,
        limits: ServerLimits { write_stall: STALL, ..ServerLimits::default() },
        places: Places::new("test", 10),
        workers: Workers::default(),
        memory: memory.clone(),
        service: Arc::new(Long(memory.clone())),
    };
    tokio::spawn(server.run(CancellationToken::new()));
    connect
}

async fn client(connect: &UnboundedSender<DuplexStream>) -> SendRequest<Empty<Bytes>> {
    let (ours, theirs) = duplex(64 * 1024);
    connect.send(theirs).unwrap();
    let (client, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1000)
        .initial_connection_window_size(10 * 1024 * 1024)
        .handshake(TokioIo::new(ours))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn get(size: usize) -> Request<Empty<Bytes>> {
    Request::get(format!("http://here/{size}")).body(Empty::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_window_is_ended_whatever_the_others_do() {
    let memory = Memory::default();
    let connect = serve(&memory);
    let mut client = client(&connect).await;
    let mut stuck = Vec::new();
    for size in [LARGE, 20_000, 5000] {
        stuck.push(client.send_request(get(size)).await.unwrap().into_body());
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(memory.held(), LARGE + 25_000);
    for _ in 0..STALL.as_secs() - 1 {
        sleep(Duration::from_secs(1)).await;
        let body = client.send_request(get(10_000)).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10_000);
    }
    assert_eq!(memory.held(), LARGE + 25_000);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((memory.held(), memory.stalls()), (0, 3));
    for mut body in stuck {
        let mut frames = 0;
        let ended = loop {
            match body.frame().await {
                Some(Ok(_)) => frames += 1,
                other => break other,
            }
        };
        assert!(matches!(ended, Some(Err(_))), "{frames} frames");
    }
    let body = client.send_request(get(10_000)).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10_000);
}

/// Slow is not stalled: whoever takes a piece in time gets all of it.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_slowly_is_read_to_its_end() {
    let memory = Memory::default();
    let connect = serve(&memory);
    let mut client = client(&connect).await;
    let mut body = client.send_request(get(100_000)).await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((read, memory.held(), memory.stalls()), (100_000, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_coding_but_chunked_is_read() {
    let connect = serve(&Memory::default());
    for (codings, status) in [
        ("chunked", "200 OK"),
        ("Chunked", "200 OK"),
        ("gzip, chunked", "501 Not Implemented"),
        ("chunked, chunked", "501 Not Implemented"),
        ("gzip\r\ntransfer-encoding: chunked", "501 Not Implemented"),
        ("chunked\r\ntransfer-encoding: chunked", "501 Not Implemented"),
        ("identity", "400 Bad Request"),
        ("chunked, gzip", "400 Bad Request"),
        ("gzip", "400 Bad Request"),
    ] {
        let (mut ours, theirs) = duplex(64 * 1024);
        connect.send(theirs).unwrap();
        let request = format!(
            "POST /5 HTTP/1.1\r\nhost: here\r\nconnection: close\r\ntransfer-encoding: {codings}\r\n\r\n0\r\n\r\n"
        );
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{codings}: {text}");
    }
}

/// Frames of one kind, to an HTTP/2 connection that has just begun; what it answered in the end.
async fn flood(frame: &[u8], count: usize) -> (usize, Vec<(u8, u32)>) {
    let connect = serve(&Memory::default());
    let (ours, theirs) = duplex(64 * 1024);
    connect.send(theirs).unwrap();
    let (mut read, mut write) = tokio::io::split(ours);
    let writing = async {
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut written = 0;
        while written < count && write.write_all(frame).await.is_ok() {
            written += 1;
        }
        // One that is healthy still answers.
        drop(write.write_all(b"\0\0\x08\x06\0\0\0\0\0lastlast").await);
        written
    };
    let reading = async {
        let (mut answers, mut pings) = (Vec::new(), 0);
        let mut header = [0; 9];
        while read.read_exact(&mut header).await.is_ok() {
            let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
            read.read_exact(&mut payload).await.unwrap();
            match header[3] {
                6 if payload == *b"lastlast" => break,
                6 => pings += 1,
                7 => answers.push((7, u32::from_be_bytes(payload[4..8].try_into().unwrap()))),
                kind => answers.push((kind, 0)),
            }
        }
        answers.push((6, pings));
        answers
    };
    tokio::join!(writing, reading)
}

#[tokio::test(start_paused = true)]
async fn floods_of_pings_and_settings_end_in_a_goaway() {
    let ping = b"\0\0\x08\x06\0\0\0\0\0pingping".as_slice();
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x01\0\0".as_slice();
    let priority = b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\x03\0".as_slice();
    let unknown = b"\0\0\0\xee\0\0\0\0\0".as_slice();
    for frame in [ping, settings, priority, unknown] {
        // What comes after the end is thrown away, so that the end is read.
        let (_, answers) = flood(frame, 100_000).await;
        assert!(answers.contains(&(7, 1)), "{:?}", answers.last());
        assert!(answers.len() < 10_100 && answers.last().is_some_and(|(_, pings)| *pings < 10_100));
    }
    let (written, answers) = flood(ping, 9_000).await;
    assert_eq!((written, answers.last()), (9_000, Some(&(6, 9_000))));
    assert!(answers.iter().all(|(kind, _)| *kind != 7));
}

#[tokio::test(start_paused = true)]
async fn headers_are_counted() {
    let connect = serve(&Memory::default());
    let mut client = client(&connect).await;
    for (more, status) in [(100, 200), (101, 431)] {
        let (mut ours, theirs) = duplex(64 * 1024);
        connect.send(theirs).unwrap();
        let lines: String = (0..more - 2).map(|n| format!("x-{n}: 1\r\n")).collect();
        let request = format!("GET /5 HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{lines}\r\n");
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{more}: {text}");
        let mut request = get(5);
        for n in 0..more {
            let name: http::HeaderName = format!("x-{n}").parse().unwrap();
            request.headers_mut().insert(name, http::HeaderValue::from_static("1"));
        }
        let reply = client.send_request(request).await.unwrap();
        assert_eq!(reply.status(), status, "{more}");
    }
}
