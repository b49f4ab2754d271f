//! More clients than there are file descriptors: it is said, nobody else is blamed, and whoever asks how it goes is answered.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::processes::Mark;
use crate::program::{DEADLINE, PORTOLAN, command, eventually, reference_server, run};
use crate::serving::Gateway;

/// A gateway that may open 64 files, in front of a server over HTTP and a program.
fn serve_with_few(url: &str, mark: &Mark) -> (tempfile::TempDir, Gateway) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("portolan.toml");
    let text = format!(
        "[upstream.far]\nurl = {url:?}\n[upstream.near]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\", \
         \"--name\", \"{mark}\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut serve = Command::new("sh");
    serve.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh", PORTOLAN, "serve", config.to_str().unwrap()]);
    serve.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "2"]);
    for (name, value) in command(&[]).get_envs() {
        match value {
            Some(value) => serve.env(name, value),
            None => serve.env_remove(name),
        };
    }
    (dir, Gateway::spawn(&mut serve))
}

fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap().split('/').next().unwrap()
}

/// What an answer says; nothing if the connection was closed before there was one.
fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut said = String::new();
    // It may have been closed before all was written.
    drop(stream.write_all(request.as_bytes()));
    drop(stream.read_to_string(&mut said));
    said
}

fn counted(gateway: &Gateway, name: &str) -> u64 {
    let page = gateway.ask_admin("/metrics");
    let line =
        page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn more_clients_than_descriptors_shut_out_neither_each_other_nor_who_asks_how_it_goes() {
    let (mark, (_server, url)) = (Mark::new(), reference_server("modern"));
    let (_dir, mut gateway) = serve_with_few(&url, &mark);
    let (main, admin) =
        (address(&gateway.url).to_owned(), address(gateway.admin.as_deref().unwrap()).to_owned());
    let call = |gateway: &Gateway, tool: &str| run(&["call", &gateway.url, tool, "a=1", "b=2"]);

    // Those that say nothing hold up nobody, and neither do those that say nothing to the admin listener.
    let _silent: Vec<_> = (0..200).map(|_| TcpStream::connect(&main).unwrap()).collect();
    let _curious: Vec<_> = (0..50).map(|_| TcpStream::connect(&admin).unwrap()).collect();
    assert!(gateway.ask_admin("/healthz").starts_with("HTTP/1.1 200"));
    for tool in ["far__add", "near__add"] {
        let called = call(&gateway, tool);
        assert_eq!(called.stdout, "3\n", "{called:?}");
    }

    // Those that are in the middle of a request hold their places, and whoever comes then is told so.
    let begun = format!(
        "POST /mcp HTTP/1.1\r\nhost: {main}\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    let mut busy = Vec::new();
    eventually("a client is told that there is no place", || {
        let mut stream = TcpStream::connect(&main).unwrap();
        // It may be one of those that are refused.
        drop(stream.write_all(begun.as_bytes()));
        busy.push(stream);
        let said =
            exchange(&main, &format!("GET /mcp HTTP/1.1\r\nhost: {main}\r\nconnection: close\r\n\r\n"));
        said.starts_with("HTTP/1.1 503") && said.contains("\r\nretry-after: 1\r\n") && said.contains("-31429")
    });
    assert!(counted(&gateway, "portolan_listener_refused_total{listener=\"main\"}") > 0);
    assert!(gateway.ask_admin("/healthz").starts_with("HTTP/1.1 200"));
    let ready = gateway.ask_admin("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200") && !ready.contains("down") && !ready.contains("breaker"),
        "{ready}"
    );

    drop(busy);
    eventually("there is room again", || call(&gateway, "far__add").stdout == "3\n");
    gateway.running.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
    let log: Vec<String> = std::iter::from_fn(|| gateway.running.stderr.last()).collect();
    let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    for wrong in ["configuration has changed", "down: ", "fails again and again", "cannot accept"] {
        assert_eq!(said(wrong), 0, "{log:#?}");
    }
    let full = |listener: &str| {
        let of = |line: &&String| line.contains("the listener is full") && line.contains(listener);
        log.iter().filter(of).count()
    };
    assert_eq!((full("\"main\""), full("\"admin\"")), (1, 1), "{log:#?}");
}

/// The limit is raised as far as it goes, and what is started has the one that we were given.
#[test]
fn the_soft_limit_is_raised_and_children_have_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (config, seen) = (dir.path().join("portolan.toml"), dir.path().join("seen"));
    let program = format!("ulimit -n > {}; exec {PORTOLAN} reference-server --stdio", seen.display());
    std::fs::write(&config, format!("[upstream.near]\ncommand = [\"sh\", \"-c\", {program:?}]\n")).unwrap();
    let mut serve = Command::new("sh");
    serve.args(["-c", "ulimit -Sn 200 && ulimit -Hn 512 && exec \"$@\"", "sh", PORTOLAN, "serve"]);
    serve.args([
        config.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--state-dir",
        dir.path().to_str().unwrap(),
    ]);
    let gateway = Gateway::spawn(&mut serve);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.running.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(files.split_whitespace().filter(|word| *word == "512").count() == 2, "{files}");
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "200\n");
}

/// No descriptor is left in the middle of everything.
#[test]
fn a_lack_of_descriptors_is_said_once_and_is_nobody_elses_fault() {
    let (_server, url) = reference_server("modern");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("portolan.toml");
    let text = format!("[upstream.far]\nurl = {url:?}\n");
    std::fs::write(&config, &text).unwrap();
    let mut gateway = Gateway::serve(&config);
    assert_eq!(run(&["call", &gateway.url, "add", "a=1", "b=2"]).stdout, "3\n");
    let id = gateway.running.id().to_string();
    let free = |_| {
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
        let open: BTreeSet<u32> =
            open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        (0..).find(|number| !open.contains(number)).unwrap()
    };
    let limit = |most: u32| {
        let set = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={most}:")]).status();
        assert!(set.unwrap().success());
    };
    // What is open for a moment only does not count.
    limit((0..50).map(free).min().unwrap());

    let main = address(&gateway.url).to_owned();
    // What was open for a moment when it was looked leaves room afterwards, which these take.
    let _idle: Vec<_> = (0..8).map(|_| TcpStream::connect(&main).unwrap()).collect();
    let mut waits = TcpStream::connect(&main).unwrap();
    waits.set_read_timeout(Some(DEADLINE)).unwrap();
    waits
        .write_all(format!("GET /mcp HTTP/1.1\r\nhost: {main}\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    // It says the same, and cannot be opened: that is no change.
    std::fs::write(&config, &text).unwrap();
    // Each question takes one that was kept for it, and a hundredth of a second: long enough to look at the file several times.
    eventually("it lacks descriptors again and again", || {
        counted(&gateway, "portolan_descriptors_lacking_total") > 400
    });
    assert!(gateway.ask_admin("/healthz").starts_with("HTTP/1.1 200"));
    let ready = gateway.ask_admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && !ready.contains("down"), "{ready}");
    limit(512);
    let mut said = String::new();
    waits.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 405"), "{said}");
    assert_eq!(run(&["call", &gateway.url, "add", "a=1", "b=2"]).stdout, "3\n");
    gateway.running.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
    let log: Vec<String> = std::iter::from_fn(|| gateway.running.stderr.last()).collect();
    let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(said("out of file descriptors"), 1, "{log:#?}");
    for wrong in ["configuration has changed", "down: ", "fails again and again"] {
        assert_eq!(said(wrong), 0, "{log:#?}");
    }
}
