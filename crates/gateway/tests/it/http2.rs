//! The same doors over HTTP/2, where lengths and hosts are said otherwise.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona};
use transport::http::client::{ClientSettings, Destination, HttpClient, Reply};
use transport::memory::Memory;
use transport::net::{Accept, Address, BoxFuture, BoxIo, Network};
use transport::workers::Workers;

use crate::ask;
use crate::stand::{Over, Running, Stand};

struct Bench {
    running: Running,
    desk: Desk,
    client: HttpClient,
    network: MemoryNetwork,
}

impl Bench {
    async fn new() -> Self {
        let network = MemoryNetwork::default();
        let mut stand = Stand::new(Arc::new(network.clone()));
        let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
        stand.plan.limits.request_bytes = 100_000;
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        let settings = ClientSettings { http2: true, ..ClientSettings::default() };
        let client = HttpClient::new(Arc::new(network.clone()), settings, None, &Workers::default());
        Self { running, desk, client, network }
    }

    fn url(&self) -> Uri {
        format!("http://{}/mcp", self.running.client.host()).parse().unwrap()
    }

    fn address(&self) -> Address {
        let host = self.running.client.host();
        let (host, port) = host.rsplit_once(':').unwrap();
        Address::Tcp(host.to_owned(), port.parse().unwrap())
    }

    fn post(
        &self,
        url: Uri,
        id: u64,
        extra: &'static [(&'static str, &'static str)],
    ) -> tokio::task::JoinHandle<Reply> {
        let body = ask::body(&id.to_string(), "tools/call", r#""name":"t""#);
        self.send(url, body, extra)
    }

    fn send(
        &self,
        url: Uri,
        body: String,
        extra: &'static [(&'static str, &'static str)],
    ) -> tokio::task::JoinHandle<Reply> {
        let mut headers: HeaderMap = ask::mirrored(&body)
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("accept", "application/json, text/event-stream".parse().unwrap());
        for (name, value) in extra {
            headers.append(*name, value.parse().unwrap());
        }
        let client = self.client.clone();
        tokio::spawn(async move {
            client
                .send(Method::POST, &Destination::new(url).unwrap(), headers, Bytes::from(body))
                .await
                .unwrap()
        })
    }
}

async fn text(mut reply: Reply) -> String {
    String::from_utf8(reply.whole(1_000_000, &Memory::default().share()).await.unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_one_connection_and_each_gets_its_answer() {
    let mut bench = Bench::new().await;
    let calls: Vec<_> = (0..50).map(|id| bench.post(bench.url(), id, &[])).collect();
    for _ in &calls {
        bench.desk.asked("tools/call").await.result("{}").await;
    }
    for (id, call) in calls.into_iter().enumerate() {
        let reply = call.await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(json::at(&text(reply).await, &["id"]), Some(id.to_string().as_str()));
    }
    assert_eq!(bench.network.opened(&bench.address()), 1);
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_checked_like_a_host() {
    let bench = Bench::new().await;
    let evil = Address::Tcp("evil.example".to_owned(), 80);
    bench.network.alias(&evil, &bench.address());
    let refused = bench.post("http://evil.example:80/mcp".parse().unwrap(), 1, &[]).await.unwrap();
    assert_eq!(refused.status(), 403);
    let refused = bench.post(bench.url(), 1, &[("origin", "https://evil.example")]).await.unwrap();
    assert_eq!(refused.status(), 403);
    // A Host beside the authority must not say another thing.
    let refused = bench.post(bench.url(), 1, &[("host", "evil.example")]).await.unwrap();
    assert_eq!(refused.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_and_the_connection_goes_on() {
    let mut bench = Bench::new().await;
    let large = ask::body("1", "tools/call", &format!(r#""name":"t","x":"{}""#, "x".repeat(200_000)));
    assert_eq!(bench.send(bench.url(), large, &[]).await.unwrap().status(), 413);
    let call = bench.post(bench.url(), 2, &[]);
    bench.desk.asked("tools/call").await.result("{}").await;
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(bench.network.opened(&bench.address()), 1);
}

/// A stream that the client resets is a call that it cancels; the other streams of its connection go on.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_cancels_its_call_only() {
    let mut bench = Bench::new().await;
    let (one, two) = (bench.post(bench.url(), 1, &[]), bench.post(bench.url(), 2, &[]));
    let mut asked = [bench.desk.asked("tools/call").await, bench.desk.asked("tools/call").await];
    one.abort();
    testkit::idle().await;
    asked.sort_by_key(|asked| !asked.is_gone());
    let [gone, alive] = asked;
    assert!(gone.is_gone() && !alive.is_gone());
    alive.result("{}").await;
    assert_eq!(json::at(&text(two.await.unwrap()).await, &["id"]), Some("2"));
}

/// A network on which it takes a while to connect.
#[derive(Debug)]
struct Slow(MemoryNetwork);

impl Network for Slow {
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        self.0.bind(address)
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.connect(address).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn of_connections_made_at_the_same_time_one_is_kept() {
    let mut bench = Bench::new().await;
    let settings = ClientSettings { http2: true, ..ClientSettings::default() };
    let network = Arc::new(Slow(bench.network.clone()));
    bench.client = HttpClient::new(network, settings, None, &Workers::default());
    let calls: Vec<_> = (0..5).map(|id| bench.post(bench.url(), id, &[])).collect();
    for _ in &calls {
        bench.desk.asked("tools/call").await.result("{}").await;
    }
    for call in calls {
        text(call.await.unwrap()).await;
    }
    assert!(bench.network.opened(&bench.address()) > 1, "all of them connected");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.network.live(&bench.address()), 1);
}
