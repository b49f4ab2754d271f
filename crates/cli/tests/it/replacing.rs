//! One process takes over from another at the same address, and a process says good-bye to its load balancer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::program::{Running, command, eventually, reference_server};
use crate::serving::Gateway;
use crate::socket::{Socket, modern};

fn configured(listener: &str) -> (Running, TempDir, PathBuf) {
    let (server, url) = reference_server("modern");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text =
        format!("[listener.main]\naddress = \"127.0.0.1:0\"\n{listener}\n[upstream.far]\nurl = \"{url}\"\n");
    fs::write(&path, text).unwrap();
    (server, dir, path)
}

fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

/// Another process with the same configuration, at the same addresses.
fn beside(first: &Gateway, config: &Path) -> Gateway {
    let admin = host(first.admin.as_deref().unwrap());
    let serve = ["serve", config.to_str().unwrap(), "--listen", host(&first.url), "--admin", admin];
    Gateway::spawn(&mut command(&serve))
}

/// A client that calls until it is stopped.
struct Caller {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    /// How often a connection was reset before anything was answered.
    thread: JoinHandle<usize>,
}

impl Caller {
    /// With a new connection for each call, or with one as long as it is not told that an answer was the last.
    fn start(url: &str, keeps: bool) -> Self {
        let (url, stop, calls) = (url.to_owned(), Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, counted): (_, Arc<AtomicUsize>) = (Arc::clone(&stop), Arc::clone(&calls));
        let thread = thread::spawn(move || {
            let (mut kept, mut resets) = (None, 0);
            while !stopped.load(Ordering::Relaxed) {
                let is_new = kept.is_none();
                let Some(mut socket) = kept.take().or_else(|| connect(&url)) else { continue };
                match socket.add("add", 20, 22) {
                    Ok((sum, stays)) => {
                        assert!(sum.contains("\"42\""), "{sum}");
                        kept = (keeps && stays).then_some(socket);
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset && is_new => resets += 1,
                    Err(error) => panic!("a call was lost, over a new connection: {is_new}: {error}"),
                }
            }
            resets
        });
        Self { stop, calls, thread }
    }

    fn goes_on(&self) {
        let before = self.calls.load(Ordering::Relaxed);
        eventually("calls go on", || {
            assert!(!self.thread.is_finished(), "a call was lost");
            self.calls.load(Ordering::Relaxed) > before + 20
        });
    }

    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn connect(url: &str) -> Option<Socket> {
    match Socket::connect(url) {
        Ok(socket) => Some(socket),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) =>
        {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_process_takes_over_from_another_and_no_call_is_lost() {
    let (_server, _dir, path) = configured("reuse_port = true");
    let mut serving = Gateway::serve(&path);
    let callers: Vec<_> =
        [false, false, true, true].map(|keeps| Caller::start(&serving.url, keeps)).into_iter().collect();
    callers.iter().for_each(Caller::goes_on);
    for _ in 0..2 {
        let next = beside(&serving, &path);
        callers.iter().for_each(Caller::goes_on);
        serving.running.signal(Signal::SIGTERM);
        assert_eq!(serving.running.code(), Some(0));
        assert_eq!(next.readiness(), 200, "who looks finds the new one");
        callers.iter().for_each(Caller::goes_on);
        serving = next;
    }
    let resets: usize = callers.into_iter().map(Caller::finish).sum();
    // Between the last look at the queue of a socket and its end lie microseconds, which only this setting of the system
    // can bridge.
    let bridged = fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").is_ok_and(|on| on.trim() == "1");
    assert!(resets <= usize::from(!bridged), "{resets} connections were reset");
}

#[test]
fn an_address_is_shared_only_by_those_who_say_so() {
    let (_server, _dir, path) = configured("");
    let first = Gateway::serve(&path);
    let mut second = Running::start(&["serve", path.to_str().unwrap(), "--listen", host(&first.url)]);
    second.stderr.find("cannot listen at");
    assert_eq!(second.code(), Some(4));
}

#[test]
fn a_load_balancer_has_time_to_notice() {
    let (_server, _dir, path) = configured("");
    let serve = ["serve", path.to_str().unwrap(), "--admin", "127.0.0.1:0", "--drain-delay", "3s"];
    let mut gateway = Gateway::spawn(&mut command(&serve));
    assert_eq!(gateway.readiness(), 200);
    let mut listening = Socket::connect(&gateway.url).unwrap();
    let listen = modern("subscriptions/listen", r#""notifications":{"toolsListChanged":true},"#);
    listening.ask("subscriptions/listen", None, &listen).unwrap();
    listening.until("notifications/subscriptions/acknowledged").unwrap();
    gateway.running.signal(Signal::SIGTERM);
    gateway.running.stderr.find("draining");
    assert_eq!(gateway.readiness(), 503);
    // Whoever still comes is served, and told to go elsewhere.
    let (sum, stays) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
    assert!(sum.contains("\"3\"") && !stays, "{sum}");
    listening.until("\"complete\"").unwrap();
    assert_eq!(gateway.running.code(), Some(0));
}
