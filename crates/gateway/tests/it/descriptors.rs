//! A lack of file descriptors is ours, and no server's fault.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use transport::net::{Accept, Address, BoxFuture, BoxIo, Network};
use upstream::Health;

use crate::ask;
use crate::stand::{Over, Running, Stand};

/// A network to which there are no descriptors left, for a while. Tests go by the one inside.
#[derive(Debug, Default)]
struct Lacking {
    inner: MemoryNetwork,
    lacks: AtomicBool,
}

impl Network for Lacking {
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        self.inner.bind(address)
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        if self.lacks.load(Ordering::SeqCst) {
            const EMFILE: i32 = 24;
            return Box::pin(async { Err(io::Error::from_raw_os_error(EMFILE)) });
        }
        self.inner.connect(address)
    }
}

struct Scene {
    running: Running,
    network: Arc<Lacking>,
    desk: Desk,
    _server: ScriptedServer,
}

impl Scene {
    async fn new(lacks: bool) -> Self {
        let network: Arc<Lacking> = Arc::default();
        let mut stand = Stand::new(network.clone());
        let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
        network.lacks.store(lacks, Ordering::SeqCst);
        let mut running = stand.start().await;
        let address = running.client.host();
        let (host, port) = address.rsplit_once(':').unwrap();
        let address = Address::Tcp(host.to_owned(), port.parse().unwrap());
        running.client = testkit::http::Client::new(Arc::new(network.inner.clone()), address);
        Self { running, network, desk, _server: server }
    }

    fn health(&self) -> Health {
        self.running.gateway.health().remove(0).1
    }

    async fn call(&mut self) -> Option<String> {
        let calling = ask::modern(&self.running.client, "tools/call", r#""name":"t""#);
        let asked = async { self.desk.asked("tools/call").await.result("{}").await };
        tokio::select! {
            mut reply = calling => {
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
                Some(reply.body().await)
            }
            () = asked => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_as_ours_opens_no_breaker_and_calls_no_server_down() {
    let mut scene = Scene::new(false).await;
    scene.running.gateway.settled().await;
    assert!(matches!(scene.health(), Health::Up { .. }));
    // The connection that there is to the server is used by somebody else.
    let client = scene.running.client.clone();
    let other = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"t""#).await });
    let held = scene.desk.asked("tools/call").await;
    scene.network.lacks.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        let text = scene.call().await.expect("a refusal");
        assert_eq!(json::at(&text, &["error", "code"]), Some("-31543"), "{text}");
        assert_eq!(json::at(&text, &["error", "data", "reason"]), Some("\"out_of_descriptors\""));
        assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
        assert!(!text.contains("reached"), "{text}");
    }
    assert!(matches!(scene.health(), Health::Up { .. }), "{:?}", scene.health());
    scene.network.lacks.store(false, Ordering::SeqCst);
    assert_eq!(scene.call().await, None, "the breaker is closed");
    held.result("{}").await;
    assert_eq!(other.await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_never_tried_for_want_of_one_is_tried_again() {
    let mut scene = Scene::new(true).await;
    testkit::idle().await;
    assert_eq!(scene.health(), Health::Unknown);
    let text = scene.call().await.expect("a refusal");
    assert_eq!(json::at(&text, &["error", "code"]), Some("-31543"), "{text}");
    scene.network.lacks.store(false, Ordering::SeqCst);
    testkit::soon("it is tried", scene.running.gateway.settled()).await;
    assert!(matches!(scene.health(), Health::Up { .. }));
}
