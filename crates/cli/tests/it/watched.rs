//! What a gateway is doing, and what was done: `top` from the admin listener, `trace` from the ledger.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::program::{command, eventually, finish, reference_server, run};
use crate::serving::Gateway;
use crate::socket::{Socket, modern};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn serve(dir: &Path, text: &str) -> Gateway {
    let config = dir.join("portolan.toml");
    fs::write(&config, text).unwrap();
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Gateway::spawn(serving.arg(config).env("STATE_DIRECTORY", dir))
}

#[test]
fn a_gateway_is_watched_by_its_admin_listener() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let gateway = serve(
        dir.path(),
        &format!("[upstream.bank]\nurl = \"{url}\"\n[upstream.gone]\nurl = \"http://127.0.0.1:9/mcp\"\n"),
    );
    Socket::connect(&gateway.url).unwrap().add("bank__add", 1, 2).unwrap();
    let admin = gateway.admin.as_deref().unwrap();
    let address = admin.split('/').nth(2).unwrap();
    let page = run(&["top", address, "--once", "-n", "1", "--order", "name"]);
    assert_eq!(page.code, Some(0), "{page:?}");
    let line = |begin: &str| page.stdout.lines().find(|line| line.starts_with(begin)).map(str::to_owned);
    assert!(line("portolan top  ready").is_some(), "{page:?}");
    assert!(line("calls 0.0/s").is_some() && line("open: calls 0  ").is_some(), "{page:?}");
    assert!(line("bank").unwrap().contains(" up "), "{page:?}");
    assert!(line("gone").is_some_and(|line| line.contains(" down ") || line.contains(" open ")), "{page:?}");
    // A pipe gets text, and no colours or cursors.
    assert!(!page.stdout.contains('\x1b'), "{page:?}");
    let live = run(&["top", address]);
    assert_eq!(live.code, Some(2), "{live:?}");
    assert!(live.stderr.contains("--once"), "{live:?}");
    for (wrong, says) in [("127.0.0.1:9", "cannot connect"), ("nowhere", "no file, no address")] {
        let said = run(&["top", wrong]);
        assert!(said.code != Some(0) && said.stderr.contains(says), "{said:?}");
    }
    // Something else answers there.
    let other = run(&["top", url.split('/').nth(2).unwrap()]);
    assert!(other.code != Some(0) && other.stderr.contains("no admin listener"), "{other:?}");
}

#[test]
fn a_trace_shows_what_the_ledger_has_of_it() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let gateway = serve(dir.path(), &format!("[upstream.bank]\nurl = \"{url}\"\n[audit]\n"));
    for method in ["tools/list", "server/discover"] {
        let body = modern(method, "").replace(
            "\"_meta\":{",
            &format!("\"_meta\":{{\"traceparent\":\"00-{TRACE}-b7ad6b7169203331-01\","),
        );
        let mut socket = Socket::connect(&gateway.url).unwrap();
        socket.ask(method, None, &body).unwrap();
        socket.until("\"result\"").unwrap();
    }
    Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
    let trace = |id: &str, args: &[&str]| {
        let mut tracing = command(&["trace", id]);
        finish(tracing.arg(dir.path().join("portolan.toml")).args(args).env("STATE_DIRECTORY", dir.path()))
    };
    let shown = trace(TRACE, &[]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.starts_with(&format!("trace {TRACE}\n2 records in ")), "{shown:?}");
    for part in ["tools/list ok", "server/discover ok", "anonymous", "route main", "2026-07-28"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let lines = trace(&TRACE.to_uppercase(), &["--json"]).stdout;
    assert!(lines.lines().count() == 2 && lines.starts_with("{\"v\":1,"), "{lines}");
    // The record of one that named no trace.
    let records = {
        let mut query = command(&["audit", "query", "--json", "--tool", "add"]);
        finish(query.arg(dir.path().join("portolan.toml")).env("STATE_DIRECTORY", dir.path())).stdout
    };
    let record: serde_json::Value = serde_json::from_str(records.trim()).unwrap();
    let id = format!("{}/{}", record["replica"].as_str().unwrap(), record["seq"]);
    let one = trace(&id, &[]);
    assert!(one.stdout.contains("no trace") && one.stdout.contains("tools/call bank add ok"), "{one:?}");
    for (wrong, says) in [
        ("nonsense", "neither a trace id nor a record"),
        ("host/9999999", "the ledger has nothing of"),
        (&*"0".repeat(32), "the ledger has nothing of"),
    ] {
        let said = trace(wrong, &[]);
        assert!(said.code == Some(2) && said.stderr.contains(says), "{said:?}");
    }
}

/// What stands at the moment is counted when somebody asks.
#[test]
fn what_is_under_way_is_counted() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let limits = "concurrent_calls = 1\n";
    let gateway = serve(dir.path(), &format!("[upstream.bank]\nurl = \"{url}\"\n{limits}"));
    let call = || {
        let mut socket = Socket::connect(&gateway.url).unwrap();
        let params = r#""name":"test_cancellation","arguments":{"seconds":600},"#;
        socket.ask("tools/call", Some("test_cancellation"), &modern("tools/call", params)).unwrap();
        socket
    };
    let (one, other) = (call(), call());
    let counted = |what: &str| gateway.ask_admin("/metrics").lines().any(|line| line == what);
    eventually("one is there and one waits", || {
        counted("portolan_upstream_calls{upstream=\"bank\"} 1")
            && counted("portolan_upstream_waiting{upstream=\"bank\"} 1")
            && counted("portolan_calls_open 2")
    });
    assert!(counted("portolan_ready 1") && counted("portolan_sessions 0"));
    drop((one, other));
    eventually("both have gone", || {
        counted("portolan_upstream_calls{upstream=\"bank\"} 0")
            && counted("portolan_upstream_waiting{upstream=\"bank\"} 0")
            && counted("portolan_calls_open 0")
    });
}

/// It is given back as it was, by a key and by a signal.
#[test]
fn a_terminal_is_given_back() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let gateway = serve(dir.path(), &format!("[upstream.bank]\nurl = \"{url}\"\n"));
    let admin = gateway.admin.as_deref().unwrap();
    for by_key in [true, false] {
        let size = Winsize { ws_row: 12, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let (mut master, slave) = (File::from(pty.master), File::from(pty.slave));
        let before = tcgetattr(&slave).unwrap();
        let mut top = command(&["top", admin.split('/').nth(2).unwrap()]);
        top.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
        let mut child = top.spawn().unwrap();
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        // The first page is there, and what it does not fit into has not scrolled.
        while !String::from_utf8_lossy(&seen).contains("\x1b[J") {
            let count = master.read(&mut piece).unwrap();
            seen.extend_from_slice(&piece[..count]);
        }
        let page = String::from_utf8_lossy(&seen).into_owned();
        assert!(page.starts_with("\x1b[?1049h\x1b[?25l\x1b[Hportolan top"), "{page:?}");
        assert!(!tcgetattr(&slave).unwrap().local_flags.contains(LocalFlags::ECHO));
        if by_key {
            master.write_all(b"eq").unwrap();
        } else {
            kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(tcgetattr(&slave).unwrap().local_flags, before.local_flags);
        drop((slave, top));
        let mut rest = Vec::new();
        while let Ok(count @ 1..) = master.read(&mut piece) {
            rest.extend_from_slice(&piece[..count]);
        }
        assert!(String::from_utf8_lossy(&rest).ends_with("\x1b[?25h\x1b[?1049l"), "{rest:?}");
    }
}
