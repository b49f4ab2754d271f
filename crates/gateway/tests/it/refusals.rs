//! Answers that are there before all of their request is: who is still writing gets to read them.

use std::sync::Arc;
use std::time::Duration;

use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::Instant;
use transport::memory::Memory;
use transport::net::{Address, BoxIo, Network as _};

use crate::stand::{Over, Running, Stand};

const MIB: usize = 1024 * 1024;

struct Bench {
    running: Running,
    network: MemoryNetwork,
    memory: Memory,
}

impl Bench {
    async fn new() -> Self {
        let network = MemoryNetwork::default();
        let mut stand = Stand::new(Arc::new(network.clone()));
        let (server, _desk) = stand.add("up", Over::Http, Persona::modern()).await;
        stand.plan.limits.request_timeout = Duration::from_secs(20);
        let memory = stand.memory.clone();
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        testkit::idle().await;
        Self { running, network, memory }
    }

    async fn connect(&self) -> BoxIo {
        let host = self.running.client.host();
        let (host, port) = host.rsplit_once(':').unwrap();
        let address = Address::Tcp(host.to_owned(), port.parse().unwrap());
        self.network.connect(&address).await.unwrap()
    }

    /// The head of a request that is nothing special, but for these headers.
    fn head(&self, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let typed = [("content-type", "application/json")];
        let headers: Vec<_> = if headers.iter().any(|(name, _)| *name == "content-type") {
            headers.to_vec()
        } else {
            [&typed, headers].concat()
        };
        self.running.client.request(&format!("POST {path}"), &headers, b"")
    }
}

/// Reads all that comes, to the end.
async fn all(io: &mut BoxIo) -> String {
    let mut text = Vec::new();
    io.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Reads what is there now.
async fn now(io: &mut BoxIo) -> String {
    testkit::idle().await;
    let mut text = vec![0; 64 * 1024];
    let read = io.read(&mut text).await.unwrap();
    String::from_utf8(text[..read].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_writes_all_of_it_first_reads_the_refusal_then() {
    let bench = Bench::new().await;
    let length = (10 * MIB).to_string();
    let sized = ("content-length", length.as_str());
    let chunked = ("transfer-encoding", "chunked");
    for (status, path, headers) in [
        ("413 Payload Too Large", "/mcp", [("x-a", "a"), sized]),
        ("413 Payload Too Large", "/mcp", [("x-a", "a"), chunked]),
        ("406 Not Acceptable", "/mcp", [("accept", "text/html"), sized]),
        ("415 Unsupported Media Type", "/mcp", [("content-type", "text/plain"), sized]),
        ("403 Forbidden", "/mcp", [("origin", "https://evil.example"), chunked]),
        ("404 Not Found", "/elsewhere", [("x-a", "a"), sized]),
    ] {
        let mut io = bench.connect().await;
        io.write_all(&bench.head(path, &headers)).await.unwrap();
        let piece = vec![b'x'; MIB];
        for _ in 0..10 {
            if headers.contains(&chunked) {
                io.write_all(format!("{MIB:x}\r\n").as_bytes()).await.unwrap();
            }
            io.write_all(&piece).await.unwrap();
            if headers.contains(&chunked) {
                io.write_all(b"\r\n").await.unwrap();
            }
        }
        if headers.contains(&chunked) {
            io.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let text = all(&mut io).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}: {text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert_eq!(bench.memory.held(), 0);
    }
}

/// More of them than bodies are thrown away at once.
#[tokio::test(start_paused = true)]
async fn all_of_many_read_their_refusal() {
    let bench = Bench::new().await;
    let length = (10 * MIB).to_string();
    let mut clients = JoinSet::new();
    for _ in 0..200 {
        let mut io = bench.connect().await;
        let head = bench.head("/mcp", &[("content-length", &length)]);
        clients.spawn(async move {
            io.write_all(&head).await.unwrap();
            for _ in 0..10 {
                io.write_all(&vec![b'x'; MIB]).await.unwrap();
            }
            all(&mut io).await
        });
    }
    while let Some(text) = clients.join_next().await {
        let text = text.unwrap();
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_which_little_is_unread_goes_on() {
    let bench = Bench::new().await;
    let mut io = bench.connect().await;
    io.write_all(&bench.head("/elsewhere", &[("content-length", "6000")])).await.unwrap();
    let text = now(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 404") && !text.contains("connection: close"), "{text}");
    for _ in 0..6 {
        io.write_all(&[b'x'; 1000]).await.unwrap();
        testkit::idle().await;
    }
    io.write_all(&bench.head("/mcp", &[("accept", "text/html"), ("content-length", "1")])).await.unwrap();
    let text = now(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 406"), "{text}");
}

/// A refusal that comes while the body does: the time for it is over.
#[tokio::test(start_paused = true)]
async fn who_is_too_slow_is_told_so() {
    let bench = Bench::new().await;
    let mut io = bench.connect().await;
    io.write_all(&bench.head("/mcp", &[("content-length", "100000")])).await.unwrap();
    for _ in 0..21 {
        io.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let text = all(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("connection: close"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_thrown_away_is_bounded() {
    let bench = Bench::new().await;
    let head = bench.head("/elsewhere", &[("content-length", "1000000000")]);
    // In time, when nothing comes any more.
    let mut io = bench.connect().await;
    io.write_all(&head).await.unwrap();
    let began = Instant::now();
    assert!(all(&mut io).await.starts_with("HTTP/1.1 404"));
    assert_eq!(began.elapsed().as_secs(), 2);
    // In time, when something comes again and again.
    let mut io = bench.connect().await;
    io.write_all(&head).await.unwrap();
    let began = Instant::now();
    while io.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 16);
    // And in bytes.
    let mut io = bench.connect().await;
    io.write_all(&head).await.unwrap();
    let mut taken = 0;
    let piece = vec![b'x'; MIB];
    while io.write_all(&piece).await.is_ok() {
        taken += 1;
    }
    assert!((64..=65).contains(&taken), "{taken} MiB");
    assert_eq!(bench.memory.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_a_body_that_was_refused() {
    let bench = Bench::new().await;
    let mut io = bench.connect().await;
    let expects = [("content-length", "100000000"), ("expect", "100-continue")];
    io.write_all(&bench.head("/mcp", &expects)).await.unwrap();
    let text = all(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 413") && !text.contains("100 Continue"), "{text}");
    // One that is wanted is asked for.
    let mut io = bench.connect().await;
    let expects = [("content-length", "1"), ("expect", "100-continue")];
    io.write_all(&bench.head("/mcp", &expects)).await.unwrap();
    assert_eq!(now(&mut io).await, "HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_taken_until_its_end() {
    let bench = Bench::new().await;
    let mut io = bench.connect().await;
    io.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncookie: ").await.unwrap();
    io.write_all(&vec![b'x'; 5 * MIB]).await.unwrap();
    let began = Instant::now();
    let text = all(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
    // It is closed for writing at once, whatever comes after.
    assert!(began.elapsed() < Duration::from_secs(1));
    io.write_all(&vec![b'x'; 5 * MIB]).await.unwrap();
    // And who says nothing more is not waited for long.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(io.write_all(b"x").await.is_err());
}
