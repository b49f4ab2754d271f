//! The ledger's records reach a receiver, whatever is killed meanwhile.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, command, eventually, finish, reference_server};
use crate::serving::Gateway;
use crate::socket::Socket;

/// A receiver that takes lines, as long as it is meant to.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    took: Arc<Mutex<Vec<Value>>>,
    is_up: Arc<AtomicBool>,
}

impl Receiver {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, took: Arc::default(), is_up: Arc::new(AtomicBool::new(true)) };
        let serves = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let one = serves.clone();
                thread::spawn(move || one.serve(stream.unwrap()));
            }
        });
        receiver
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            assert!(head.contains("authorization: Bearer letmein\r\n"), "{head}");
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let status = if self.is_up.load(Ordering::SeqCst) {
                let lines = std::str::from_utf8(&body).unwrap().lines();
                self.took
                    .lock()
                    .unwrap()
                    .extend(lines.map(|line| serde_json::from_str::<Value>(line).unwrap()));
                "200 OK"
            } else {
                "503 Away"
            };
            if stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).is_err()
            {
                return;
            }
        }
    }

    fn took(&self) -> Vec<Value> {
        self.took.lock().unwrap().clone()
    }
}

struct Fed {
    dir: TempDir,
    _server: Running,
}

impl Fed {
    fn new(receiver: &Receiver, keys: &str) -> Self {
        let (server, url) = reference_server("both");
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[upstream.bank]\nurl = \"{url}\"\n[audit]\nsegment_bytes = \"64KiB\"\n[audit.sink.siem]\ntype = \"http\"\nurl = \"http://{}/in\"\n\
             token = \"${{env:SIEM_TOKEN}}\"\ntypes = [\"all\"]\nfrom = \"start\"\n{keys}\n",
            receiver.address
        );
        fs::write(dir.path().join("portolan.toml"), text).unwrap();
        Self { dir, _server: server }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command(args);
        command.arg(self.dir.path().join("portolan.toml"));
        command.env("STATE_DIRECTORY", self.dir.path()).env("SIEM_TOKEN", "letmein");
        command
    }

    fn serve(&self) -> Gateway {
        Gateway::spawn(&mut self.command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]))
    }

    /// The lines of the ledger.
    fn ledger(&self) -> Vec<Value> {
        let said = finish(&mut self.command(&["audit", "query", "--json"]));
        assert_eq!(said.code, Some(0), "{said:?}");
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn add(gateway: &Gateway, count: u32) {
    let mut socket = Socket::connect(&gateway.url).unwrap();
    for number in 0..count {
        let (answer, _) = socket.add("add", number, 1).unwrap();
        assert!(answer.contains("result"), "{answer}");
    }
}

#[test]
fn nothing_is_lost_and_order_is_kept_however_the_gateway_is_killed_and_the_receiver_away() {
    let receiver = Receiver::new();
    let fed = Fed::new(&receiver, "");
    let mut starts = 0;
    for round in 0..6 {
        // Away in every other round.
        receiver.is_up.store(round % 2 == 0, Ordering::SeqCst);
        let gateway = fed.serve();
        starts += 1;
        add(&gateway, 40);
        // In the middle of whatever it delivers.
        gateway.running.signal(Signal::SIGKILL);
        drop(gateway);
    }
    receiver.is_up.store(true, Ordering::SeqCst);
    let mut gateway = fed.serve();
    add(&gateway, 5);
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
    let (took, ledger) = (receiver.took(), fed.ledger());
    // Each once, or again behind a process that was killed.
    let (mut next, mut back) = (0, 0);
    for record in &took {
        let seq = record["seq"].as_u64().unwrap();
        assert!(seq <= next, "{seq} came, and {next} did not");
        if seq < next {
            back += u32::from(took.iter().any(|other| other["seq"] == record["seq"]));
        }
        assert_eq!(record, &ledger[seq as usize], "as it stands in the ledger");
        next = next.max(seq + 1);
    }
    assert_eq!(next, ledger.len() as u64, "all of it, the end and its checkpoint too");
    assert!(ledger.len() > 5 + 6 * 40 && back <= starts * 512, "{back}");
    let shown = finish(&mut fed.command(&["audit", "sinks"]));
    assert!(shown.code == Some(0) && shown.stdout.contains("siem"), "{shown:?}");
    let row = shown.stdout.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[2..], [&*next.to_string(), "0", "0", "-"], "{shown:?}");
    let verified = finish(&mut fed.command(&["audit", "verify"]));
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn where_nothing_may_be_lost_calls_are_refused_and_a_test_says_what_the_receiver_says() {
    let receiver = Receiver::new();
    let fed = Fed::new(&receiver, "on_full = \"refuse\"\nspool = \"1MiB\"");
    let tested = finish(&mut fed.command(&["audit", "sinks", "--test"]));
    assert!(tested.code == Some(0) && tested.stdout.contains("taken"), "{tested:?}");
    assert_eq!(receiver.took()[0]["type"], "test");
    receiver.is_up.store(false, Ordering::SeqCst);
    let tested = finish(&mut fed.command(&["audit", "sinks", "--test"]));
    assert!(tested.code == Some(4) && tested.stdout.contains("NOT taken: it answers 503"), "{tested:?}");
    let mut gateway = fed.serve();
    let mut socket = Socket::connect(&gateway.url).unwrap();
    // Records of half a kilobyte: two thousand are more than may wait.
    let refused = (0..20_000).any(|number| {
        let (answer, _) = socket.add("add", number, 1).unwrap();
        answer.contains("audit_unavailable")
    });
    assert!(refused);
    let said = gateway.ask_admin("/readyz");
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("waits for sink"), "{said}");
    receiver.is_up.store(true, Ordering::SeqCst);
    eventually("there is room again", || gateway.readiness() == 200);
    let (answer, _) = socket.add("add", 1, 1).unwrap();
    assert!(answer.contains("result"), "{answer}");
    let metrics = gateway.ask_admin("/metrics");
    assert!(
        metrics.contains("portolan_sink_up{sink=\"siem\"} 1")
            && metrics.contains("portolan_sink_dropped_total{sink=\"siem\"} 0")
    );
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
}
