//! Several processes that share a PostgreSQL, as a legacy client sees them that comes to any of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::http::{Client, Reply};
use testkit::postgres::Postgres;
use transport::net::{Address, SystemNetwork};

use crate::program::{PORTOLAN, command, finish, run};
use crate::serving::Gateway;

const OPEN: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const ADD: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}"#;

fn serve(config: &Path) -> Gateway {
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Gateway::spawn(serving.arg(config).env("STATE_DIRECTORY", config.parent().unwrap()))
}

pub(crate) fn client(at: &Gateway) -> Client {
    let (host, port) = at.url.split('/').nth(2).unwrap().rsplit_once(':').unwrap();
    Client::new(Arc::new(SystemNetwork), Address::Tcp(host.to_owned(), port.parse().unwrap()))
}

/// What it answers in a session, once it answers at all.
async fn add(at: &Gateway, session: &str) -> (u16, String) {
    let reply = client(at).post(&[("mcp-session-id", session)], ADD.as_bytes()).await;
    said(reply).await
}

async fn said(mut reply: Reply) -> (u16, String) {
    let status = reply.status;
    (status, reply.body().await)
}

/// The configuration of replicas before one server.
fn configured(server: &Postgres) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "store = {:?}\n[keys]\nmaster = {:?}\n[replicas]\nlisten = \"127.0.0.1:0\"\n[upstream.local]\n\
         command = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n",
        server.url(),
        "ab".repeat(32)
    );
    fs::write(&path, text).unwrap();
    (dir, path)
}

/// Asks until the answer is as it should be; what it was before is given to `meanwhile`.
async fn until(at: &Gateway, session: &str, what: &str, meanwhile: impl Fn(u16, &str)) {
    let began = Instant::now();
    loop {
        let (status, body) = add(at, session).await;
        if body.contains(what) {
            return;
        }
        meanwhile(status, &body);
        assert!(began.elapsed() < Duration::from_secs(60), "{status} {body}");
    }
}

#[tokio::test]
async fn without_the_store_sessions_say_so_and_all_is_well_when_it_is_back() {
    let mut server = Postgres::start();
    let (_dir, path) = configured(&server);
    let (mut one, mut two) = (serve(&path), serve(&path));
    let opened = client(&one).post(&[], OPEN.as_bytes()).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    assert_eq!(add(&two, &session).await.0, 200);

    server.stop();
    // At home it goes on for as long as nobody can have taken it over.
    until(&one, &session, "store_away", |status, body| assert!(status == 200, "{status} {body}")).await;
    let (status, body) = said(client(&one).post(&[], OPEN.as_bytes()).await).await;
    assert!(status == 503 && body.contains("store_away"), "{status} {body}");
    for at in [&one, &two] {
        let called = run(&["call", &at.url, "add", "a=1", "b=2"]);
        assert_eq!((called.code, called.stdout.as_str()), (Some(0), "3\n"));
    }

    server.go_on();
    for at in [&one, &two] {
        until(at, &session, "\"result\"", |status, body| assert!(status == 503, "{status} {body}")).await;
    }
    for gateway in [&mut one, &mut two] {
        gateway.running.signal(Signal::SIGTERM);
        assert_eq!(gateway.running.code(), Some(0));
    }
}

#[tokio::test]
async fn a_frozen_replica_is_told_of_within_a_second_and_replaced_after_its_lease() {
    let server = Postgres::start();
    let (_dir, path) = configured(&server);
    let (mut one, mut two) = (serve(&path), serve(&path));
    let opened = client(&one).post(&[], OPEN.as_bytes()).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let (status, body) = add(&two, &session).await;
    assert!(status == 200 && body.contains('3'), "{body}");
    let shown = finish(command(&["replicas"]).arg(&path));
    assert!(shown.stdout.contains("(replicas: 127.0.0.1:"), "{shown:?}");

    one.running.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    // What was on its way is lost, what comes later was never sent.
    let (status, body) = add(&two, &session).await;
    assert!(
        body.contains("replica_lost") || (status == 503 && body.contains("replica_away")),
        "{status} {body}"
    );
    let (status, body) = add(&two, &session).await;
    assert!(status == 503 && body.contains("replica_away"), "{status} {body}");
    let took_over = loop {
        let (status, body) = add(&two, &session).await;
        if status == 200 && body.contains("\"result\"") {
            break frozen.elapsed();
        }
        assert!(status == 503 && frozen.elapsed() < Duration::from_secs(60), "{status} {body}");
    };
    assert!(took_over > Duration::from_secs(5), "a lease is a lease: {took_over:?}");

    // Back again it is another, and forwards to where the session has gone.
    one.running.signal(Signal::SIGCONT);
    one.running.stderr.find("goes on under another id");
    let (status, body) = add(&one, &session).await;
    assert!(status == 200 && body.contains("\"result\""), "{status} {body}");
    for gateway in [&mut one, &mut two] {
        gateway.running.signal(Signal::SIGTERM);
        assert_eq!(gateway.running.code(), Some(0));
    }
}
