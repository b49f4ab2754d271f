//! Connections to servers: used again, and only as long as they are good.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use testkit::net::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use transport::http::client::{ClientSettings, Destination, HttpClient, Reply, SendFault};
use transport::memory::Memory;
use transport::net::{Address, BoxIo, Network as _};
use transport::workers::Workers;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

struct Bench {
    network: MemoryNetwork,
    client: HttpClient,
    to: Destination,
    /// The requests, as they came in.
    seen: mpsc::UnboundedReceiver<String>,
}

fn address() -> Address {
    Address::Tcp("up".to_owned(), 80)
}

impl Bench {
    /// A server that answers each connection's requests with these texts in turn, and closes it after the last.
    async fn new(answers: &'static [&'static str]) -> Self {
        let network = MemoryNetwork::default();
        let mut listener = network.bind(&address()).await.unwrap();
        let (told, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((accepted, _)) = listener.accept().await {
                tokio::spawn(serve(accepted.open().unwrap(), answers, told.clone()));
            }
        });
        let settings = ClientSettings::default();
        let client = HttpClient::new(Arc::new(network.clone()), settings, None, &Workers::default());
        Self { network, client, to: Destination::new("http://up/mcp?a=b".parse().unwrap()).unwrap(), seen }
    }

    async fn send(&self) -> Result<Reply, SendFault> {
        let pieces = vec![Bytes::from_static(b"a"), Bytes::from_static(b"hoy!")];
        self.client.send(Method::POST, &self.to, HeaderMap::new(), pieces).await
    }

    async fn text(&self) -> Bytes {
        self.send().await.unwrap().whole(1000, &Memory::default().share()).await.unwrap()
    }
}

async fn serve(mut io: BoxIo, answers: &[&str], told: mpsc::UnboundedSender<String>) {
    for answer in answers {
        let mut request = Vec::new();
        while !request.ends_with(b"!") {
            if io.read_buf(&mut request).await.unwrap_or_default() == 0 {
                return;
            }
        }
        told.send(String::from_utf8(request).unwrap()).unwrap();
        io.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_and_closed_when_it_is_not() {
    let mut bench = Bench::new(&[OK, OK, OK]).await;
    for _ in 0..3 {
        assert_eq!(bench.text().await, "ok");
        let seen = bench.seen.recv().await.unwrap();
        assert!(seen.starts_with("POST /mcp?a=b HTTP/1.1\r\nhost: up\r\n"), "{seen}");
        assert!(seen.contains("content-length: 5\r\n") && seen.ends_with("\r\n\r\nahoy!"), "{seen}");
    }
    assert_eq!(bench.network.opened(&address()), 1);
    let bench = Bench::new(&[OK, OK]).await;
    bench.text().await;
    assert_eq!(bench.network.live(&address()), 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bench.network.live(&address()), 0, "nobody uses it");
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_connection_did_not_take_goes_by_another_one() {
    let mut bench = Bench::new(&[OK]).await;
    for opened in 1..=3 {
        assert_eq!(bench.text().await, "ok");
        bench.seen.recv().await.unwrap();
        assert_eq!(bench.network.opened(&address()), opened);
        // The server hangs up.
        tokio::task::yield_now().await;
    }
    assert!(bench.seen.try_recv().is_err(), "nothing was sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_answer_is_not_read_is_closed() {
    let bench = Bench::new(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", OK]).await;
    drop(bench.send().await.unwrap());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.network.live(&address()), 0);
    bench.send().await.unwrap();
    assert_eq!(bench.network.opened(&address()), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_be_unsent_that_was_sent() {
    let bench = Bench::new(&["HTTP/1.1 2"]).await;
    assert!(matches!(bench.send().await.unwrap_err(), SendFault::Broken(_)));
    assert_eq!(bench.network.opened(&address()), 1, "and nothing is sent again");
    bench.network.cut(&address());
    let nowhere = Destination::new("http://nowhere/".parse().unwrap()).unwrap();
    let sent = bench.client.send(Method::GET, &nowhere, HeaderMap::new(), Bytes::new()).await;
    assert!(matches!(sent.unwrap_err(), SendFault::Connect(_)));
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_as_it_comes() {
    let bench = Bench::new(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nah\r\n"]).await;
    let mut reply = bench.send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "ah");
    // The server hangs up in the middle.
    assert!(reply.chunk().await.is_err());
}
