use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{FRUITLESS, Places, SPARED};
use crate::http::body::ReplyBody;
use crate::http::server::{Exchange, Server, ServerLimits, Service};
use crate::memory::Memory;
use crate::net::{Address, Network as _, SystemNetwork};
use crate::workers::Workers;

/// Answers `/now` at once, and everything else when it is let.
struct Slow(Arc<Semaphore>);

impl Service for Slow {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        if exchange.uri.path() != "/now" {
            self.0.acquire().await.unwrap().forget();
        }
        Response::new(ReplyBody::empty())
    }
}

struct Scene {
    address: (String, u16),
    places: Arc<Places>,
    let_go: Arc<Semaphore>,
    end: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl Scene {
    async fn new(most: usize) -> Self {
        let listener = SystemNetwork.bind(&Address::Tcp("127.0.0.1".to_owned(), 0)).await.unwrap();
        let Address::Tcp(host, port) = listener.local() else { unreachable!() };
        let (places, let_go) = (Places::new("test", most), Arc::new(Semaphore::new(0)));
        let server = Server {
            listener,
            tls: None,
            limits: ServerLimits::default(),
            places: Arc::clone(&places),
            workers: Workers::default(),
            memory: Memory::default(),
            service: Arc::new(Slow(Arc::clone(&let_go))),
        };
        let end = CancellationToken::new();
        let served = tokio::spawn(server.run(end.clone()));
        Self { address: (host, port), places, let_go, end, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((self.address.0.as_str(), self.address.1)).await.unwrap()
    }

    async fn ask(&self, path: &str) -> TcpStream {
        let mut client = self.connect().await;
        say(&mut client, path).await;
        client
    }

    /// One on which nothing is asked any more.
    async fn idle(&self) -> TcpStream {
        let mut client = self.ask("/now").await;
        assert!(head(&mut client).await.unwrap().starts_with("HTTP/1.1 200"));
        client
    }

    fn counts(&self) -> (usize, u64, u64) {
        (self.places.open(), self.places.closed(), self.places.refused())
    }

    async fn end(self) {
        self.let_go.add_permits(100);
        self.end.cancel();
        self.served.await.unwrap();
        assert_eq!(self.places.open(), 0);
        assert_eq!(self.places.free.available_permits(), self.places.most());
        assert_eq!(self.places.doorstep.available_permits(), Places::doorstep(self.places.most()));
    }
}

async fn say(client: &mut TcpStream, path: &str) {
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
}

/// A response's head; none at the end.
async fn head(client: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).await.unwrap_or(0) == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    Some(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_one_that_idled_longest_makes_room() {
    let scene = Scene::new(3).await;
    let (mut first, mut second, mut third) = (scene.idle().await, scene.idle().await, scene.idle().await);
    // Asked since, so it is not the one.
    say(&mut first, "/now").await;
    assert!(head(&mut first).await.is_some());
    let mut fourth = scene.idle().await;
    assert_eq!(head(&mut second).await, None, "closed");
    for client in [&mut first, &mut third, &mut fourth] {
        say(client, "/now").await;
        assert!(head(client).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    assert_eq!(scene.counts(), (3, 1, 0));
    scene.end().await;
}

#[tokio::test]
async fn one_that_has_said_nothing_makes_room_and_one_that_waits_for_its_answer_does_not() {
    let scene = Scene::new(2).await;
    let mut waits = scene.ask("/later").await;
    let mut silent = scene.connect().await;
    let _one = scene.idle().await;
    assert_eq!(head(&mut silent).await, None, "closed");
    scene.let_go.add_permits(1);
    assert!(head(&mut waits).await.unwrap().starts_with("HTTP/1.1 200"));
    scene.end().await;
}

/// Its request has come, and nobody has looked yet.
#[tokio::test]
async fn one_that_is_asked_to_leave_before_its_request_was_read_is_answered() {
    let scene = Scene::new(1).await;
    let (mut one, mut two) = (scene.ask("/now").await, scene.ask("/now").await);
    for client in [&mut one, &mut two] {
        assert!(head(client).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    assert_eq!(scene.counts().1, 1);
    scene.end().await;
}

#[tokio::test]
async fn where_none_idles_the_new_one_is_told_so_at_once() {
    let scene = Scene::new(2).await;
    let (mut one, _two) = (scene.ask("/later").await, scene.ask("/later").await);
    while scene.places.open() < 2 {
        tokio::task::yield_now().await;
    }
    let mut refused = scene.ask("/now").await;
    // More than fits into any buffer: it is read while the client is told.
    refused.write_all(&vec![b'x'; 4 * 1024 * 1024]).await.unwrap();
    let said = head(&mut refused).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{said}");
    assert!(said.contains("retry-after: 1\r\n") && said.contains("connection: close\r\n"), "{said}");
    assert_eq!(head(&mut refused).await, None);
    drop(refused);
    assert_eq!(scene.counts(), (2, 0, 1));
    assert!(scene.places.full.is_on());
    scene.let_go.add_permits(1);
    assert!(head(&mut one).await.is_some());
    tokio::time::sleep(FRUITLESS).await;
    let _three = scene.idle().await;
    assert_eq!(scene.counts(), (2, 1, 1));
    scene.end().await;
}

#[tokio::test]
async fn the_doorstep_has_a_bound() {
    let scene = Scene::new(1).await;
    let _one = scene.ask("/later").await;
    while scene.places.open() < 1 {
        tokio::task::yield_now().await;
    }
    // They say nothing, so they cannot be told anything yet.
    let mut silent = Vec::new();
    for _ in 0..Places::doorstep(1) {
        silent.push(scene.connect().await);
    }
    let mut cut = scene.ask("/now").await;
    assert_eq!(head(&mut cut).await, None);
    assert_eq!(scene.counts(), (1, 0, 5));
    say(&mut silent[0], "/now").await;
    assert!(head(&mut silent[0]).await.unwrap().starts_with("HTTP/1.1 503"));
    drop(silent);
    scene.end().await;
}

/// A client that does not read has its answer under way; when all of it lies in buffers, it is idle and cannot hold its place.
#[tokio::test(start_paused = true)]
async fn one_that_does_not_leave_when_it_is_asked_is_cut() {
    let places = Places::new("test", 1);
    let super::Arrival::Seated(place) = places.arrive().await else { unreachable!() };
    let super::Arrival::Waits(waiting) = places.arrive().await else { unreachable!() };
    place.asked_to_leave().await;
    let parting = async {
        let never = std::pin::pin!(std::future::pending::<()>());
        assert_eq!(place.part(never).await, None);
        drop(place);
    };
    let (seated, ()) = tokio::join!(waiting.place(), parting);
    assert!(seated.is_ok());
    assert_eq!((places.open(), places.closed(), places.refused()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_asked_something_while_it_leaves_is_answered() {
    let places = Places::new("test", 1);
    let super::Arrival::Seated(place) = places.arrive().await else { unreachable!() };
    let super::Arrival::Waits(waiting) = places.arrive().await else { unreachable!() };
    let asked = place.counter().request();
    let answer = std::pin::pin!(async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(asked);
        7
    });
    let (seated, served) = tokio::join!(waiting.place(), place.part(answer));
    assert_eq!(served, Some(7));
    assert!(seated.is_err(), "the place did not become free in time");
    assert_eq!(places.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_said_once_for_as_long_as_it_lasts() {
    let places = Places::new("test", 1);
    for after in [Duration::ZERO, SPARED / 2, SPARED / 2] {
        tokio::time::sleep(after).await;
        let super::Arrival::Seated(place) = places.arrive().await else { unreachable!() };
        let super::Arrival::Waits(_) = places.arrive().await else { unreachable!() };
        assert!(!places.full.begin());
        drop(place);
        assert!(places.full.is_on());
    }
    tokio::time::sleep(SPARED * 2).await;
    drop(places.arrive().await);
    assert!(!places.full.is_on());
}

#[tokio::test]
async fn a_place_that_was_made_for_one_is_not_taken_by_the_next() {
    let places = Places::new("test", 2);
    let super::Arrival::Seated(one) = places.arrive().await else { unreachable!() };
    let super::Arrival::Seated(_other) = places.arrive().await else { unreachable!() };
    // It is carried later.
    let super::Arrival::Waits(waiting) = places.arrive().await else { unreachable!() };
    drop(one);
    let super::Arrival::Waits(_next) = places.arrive().await else { unreachable!() };
    assert!(waiting.place().await.is_ok());
    assert_eq!((places.closed(), places.refused()), (2, 0));
}

#[tokio::test]
async fn of_very_many_the_longest_idle_are_found_in_their_order() {
    let places = Places::new("test", 500);
    let mut seated = Vec::new();
    while seated.len() < 500 {
        let super::Arrival::Seated(place) = places.arrive().await else { unreachable!() };
        seated.push(place);
    }
    // What is asked and answered again is the youngest.
    drop(seated[0].counter().request());
    let _asked = seated[1].counter().request();
    for place in &seated[2..200] {
        assert!(places.make_room());
        assert!(place.seat.leaves.load(std::sync::atomic::Ordering::Relaxed));
    }
    assert!(!seated[0].seat.leaves.load(std::sync::atomic::Ordering::Relaxed));
    assert!(!seated[1].seat.leaves.load(std::sync::atomic::Ordering::Relaxed));
}
