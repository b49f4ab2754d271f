//! `portolan serve`, as clients and operators see it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::Mark;
use crate::program::{DEADLINE, PORTOLAN, Running, command, eventually, finish, reference_server, run};

/// A gateway that serves, and where.
pub(crate) struct Gateway {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) admin: Option<String>,
}

impl Gateway {
    /// Serves a configuration at free ports, and waits until all its servers were tried.
    pub(crate) fn serve(config: &Path) -> Self {
        Self::spawn(&mut command(&[
            "serve",
            config.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut running = Running::spawn(command);
        let (mut url, mut admin) = (None, None);
        loop {
            let line = running.stderr.next();
            let said: Value = serde_json::from_str(&line).unwrap();
            let message = said["message"].as_str().unwrap_or_default().to_owned();
            let at = said["url"].as_str().unwrap_or_default().to_owned();
            match (message.as_str(), said["listener"].as_str()) {
                ("listening", Some("admin")) if at.ends_with("/readyz") => admin = Some(at),
                ("listening", Some("admin" | "replicas")) => {}
                ("listening", _) => url = Some(at),
                (message, _) if message.starts_with("ready") => break,
                _ => {}
            }
        }
        Self { running, url: url.unwrap(), admin }
    }

    /// What the admin listener answers.
    pub(crate) fn ask_admin(&self, path: &str) -> String {
        let address =
            self.admin.as_deref().unwrap().strip_prefix("http://").unwrap().strip_suffix("/readyz").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// The status of `/readyz`.
    pub(crate) fn readiness(&self) -> u16 {
        self.ask_admin("/readyz").split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A port is short for an address of this machine alone.
#[test]
fn a_port_is_enough() {
    let (_dir, path) = configured(&[("a", &Mark::new())]);
    let gateway = Gateway::spawn(&mut command(&["serve", path.to_str().unwrap(), "--port", "0"]));
    assert!(gateway.url.starts_with("http://127.0.0.1:"), "{}", gateway.url);
    let both = ["serve", path.to_str().unwrap(), "--port", "0", "--listen", "127.0.0.1:0"];
    assert_eq!(run(&both).code, Some(2));
}

#[test]
fn a_list_says_whose_entries_are_missing() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    // Nobody listens at a port that only the system may give.
    let config =
        format!("[upstream.here]\nurl = \"{url}\"\n[upstream.away]\nurl = \"http://127.0.0.1:1/mcp\"\n");
    std::fs::write(&path, config).unwrap();
    let gateway = Gateway::serve(&path);
    let ended = run(&["list", &gateway.url, "tools"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("here__add"), "{}", ended.stdout);
    assert!(ended.stderr.contains("warning: entries of away are missing: "), "{}", ended.stderr);
}

/// A good server, one that lacks something, and one that takes its time.
fn three(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("portolan.toml");
    let config = format!(
        "[upstream.good]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n\
         [upstream.bad]\ncommand = [\"sh\", \"-c\", \"echo one >&2; echo KEY is required >&2; exit 1\"]\n\
         [upstream.slow]\ncommand = [\"sh\", \"-c\", \"echo Downloading 40 MB >&2; sleep 600\"]\ntimeouts = {{ connect = \"4s\" }}\n"
    );
    std::fs::write(&path, config).unwrap();
    path
}

#[test]
fn a_person_sees_how_each_server_comes_up_and_what_came_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir);
    let args = ["serve", path.to_str().unwrap(), "--listen", "127.0.0.1:0", "--log-format", "text"];
    let mut serve = Running::start(&args);
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.starts_with("1 of 3 up")) {
        said.push(serve.stderr.next());
    }
    let line = |start: &str| {
        said.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} {said:#?}"))
    };
    assert!(
        line("  good  up    in ").ends_with(" s, 39 tools")
            || line("  good  up    in ").ends_with(" ms, 39 tools")
    );
    assert_eq!(line("  bad   down  "), "  bad   down  KEY is required");
    let slow = line("  slow  ...   ");
    assert!(slow.contains("  ...   starting for ") && slow.ends_with(" s: Downloading 40 MB"), "{slow}");
    assert_eq!(said.last().unwrap(), "1 of 3 up; down: bad: KEY is required; slow: Downloading 40 MB");
    assert!(!said.iter().any(|line| line.contains("INFO") && line.contains("child process")), "{said:#?}");
}

/// What a program says is told once, when it fails; and that it cannot be reached is one line for each try.
#[test]
fn the_log_has_one_line_for_each_server_and_one_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir);
    let mut serve = Running::start(&["serve", path.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("1 of 3 up")) {
        said.push(serve.stderr.next());
    }
    let lines = |text: &str| said.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines("\"reached\",\"upstream\":\"good\""), 1, "{said:#?}");
    assert_eq!(lines("KEY is required"), 2, "when it ended, and in the summary: {said:#?}");
    assert_eq!(lines("portolan::stderr"), 0, "{said:#?}");
    let last = said.last().unwrap();
    assert!(
        last.contains("ready, but not every server is up: 1 of 3 up; down: bad: KEY is required; slow: "),
        "{last}"
    );
}

/// A directory with a configuration of marked stdio servers, each under its name.
pub(crate) fn configured(servers: &[(&str, &Mark)]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    write(&path, servers);
    (dir, path)
}

pub(crate) fn write(path: &Path, servers: &[(&str, &Mark)]) {
    let tables = servers.iter().map(|(name, mark)| {
        let command = format!("[{PORTOLAN:?}, \"reference-server\", \"--stdio\", \"--name\", \"{mark}\"]");
        format!("[upstream.{name}]\ncommand = {command}\n")
    });
    std::fs::write(path, tables.collect::<String>()).unwrap();
}

#[test]
fn the_file_of_another_client_is_served_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.json");
    let text = format!(
        r#"{{"mcpServers":{{"local":{{"command":"{PORTOLAN}","args":["reference-server","--stdio"]}}}}}}"#
    );
    std::fs::write(&path, text).unwrap();
    let mut gateway = Gateway::serve(&path);
    assert_eq!(gateway.readiness(), 200);
    for era in ["modern", "legacy"] {
        let called = run(&["call", &gateway.url, "add", "a=1", "b=2", "--era", era]);
        assert_eq!((called.code, called.stdout.as_str()), (Some(0), "3\n"), "{era}");
    }
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
}

#[test]
fn sigterm_lets_calls_finish_and_leaves_no_process() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let mut gateway = Gateway::serve(&path);
    // Two, so that one of them is surely under way when the first has begun to be drained.
    let mut call = Running::start(&["call", &gateway.url, "sleep", "ms=3000"]);
    call.stderr.find("progress 0/1");
    assert_eq!(mark.processes().len(), 2, "a guard and a server");
    gateway.running.signal(Signal::SIGTERM);
    gateway.running.stderr.find("draining");
    eventually("it is not ready any more", || gateway.readiness() == 503);
    assert_eq!(call.stdout.next(), "Slept 3000 ms.");
    assert_eq!(call.code(), Some(0));
    assert_eq!(gateway.running.code(), Some(0));
    mark.is_gone();
}

#[test]
fn a_second_signal_ends_at_once_and_leaves_no_process() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let mut gateway = Gateway::serve(&path);
    let mut call = Running::start(&["call", &gateway.url, "sleep", "ms=600000"]);
    call.stderr.find("progress 0/1");
    gateway.running.signal(Signal::SIGTERM);
    gateway.running.stderr.find("draining");
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(130));
    assert_eq!(call.code(), Some(4));
    mark.is_gone();
}

#[test]
fn sigkill_leaves_no_process() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let gateway = Gateway::serve(&path);
    assert_eq!(mark.processes().len(), 2, "a guard and a server");
    gateway.running.signal(Signal::SIGKILL);
    mark.is_gone();
}

#[test]
fn a_server_that_never_says_what_it_is_is_not_left_running() {
    let mark = Mark::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "[upstream.mute]\ncommand = [\"sh\", \"-c\", \"sleep 600; true\", \"{mark}\"]\ntimeouts = {{ connect = \"200ms\" }}\n"
    );
    std::fs::write(&path, text).unwrap();
    let gateway = Gateway::serve(&path);
    assert_eq!(gateway.readiness(), 503);
    mark.is_gone();
}

#[test]
fn sighup_reads_the_configuration_again_and_ends_what_it_no_longer_names() {
    let (kept, removed) = (Mark::new(), Mark::new());
    let (_dir, path) = configured(&[("kept", &kept), ("removed", &removed)]);
    let mut gateway = Gateway::serve(&path);
    let before = kept.processes();
    assert_eq!(removed.processes().len(), 2);

    std::fs::write(&path, "[upstream.kept]\n").unwrap();
    gateway.running.signal(Signal::SIGHUP);
    gateway.running.stderr.find("neither a url nor a command");
    gateway.running.stderr.find("the old configuration goes on");
    assert_eq!(run(&["call", &gateway.url, "removed__add", "a=1", "b=2"]).stdout, "3\n");

    write(&path, &[("kept", &kept)]);
    gateway.running.signal(Signal::SIGHUP);
    gateway.running.stderr.find("\"reloaded\"");
    removed.is_gone();
    assert_eq!(kept.processes(), before, "what is still configured goes on as it is");
    assert_eq!(run(&["call", &gateway.url, "add", "a=1", "b=2"]).stdout, "3\n");
}

#[test]
fn a_change_of_listeners_needs_a_restart_and_that_is_said() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let text = std::fs::read_to_string(&path).unwrap();
    let at = |address: &str| format!("{text}[listener.main]\naddress = \"{address}\"\n");
    std::fs::write(&path, at("127.0.0.1:0")).unwrap();
    let mut gateway = Gateway::spawn(&mut command(&["serve", path.to_str().unwrap()]));
    std::fs::write(&path, at("localhost:0")).unwrap();
    gateway.running.signal(Signal::SIGHUP);
    gateway.running.stderr.find("needs a restart");
    gateway.running.stderr.find("\"reloaded\"");
}

/// `Type=notify` of systemd, whose socket may be a file or an abstract name.
#[test]
fn a_service_manager_hears_when_clients_are_served() {
    let (dir, path) = configured(&[("local", &Mark::new())]);
    let file = dir.path().join("notify");
    let name = format!("portolan-test-{}", std::process::id());
    let places = [
        (UnixDatagram::bind(&file).unwrap(), file.to_str().unwrap().to_owned()),
        (
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            format!("@{name}"),
        ),
    ];
    for (socket, address) in places {
        let mut serve = command(&["serve", path.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        let gateway = Gateway::spawn(serve.env("NOTIFY_SOCKET", address));
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut said = [0; 64];
        let length = socket.recv(&mut said).unwrap();
        assert_eq!(&said[..length], b"READY=1");
        assert_eq!(run(&["call", &gateway.url, "add", "a=1", "b=2"]).stdout, "3\n");
    }
}

#[test]
fn an_open_door_is_warned_of() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let args = ["serve", path.to_str().unwrap(), "--listen", "0.0.0.0:0", "--log-format", "text"];
    let mut serve = Running::start(&args);
    serve.stderr.find("allowed_hosts");
    serve.stderr.find("Portolan");
    serve.stderr.find("http://0.0.0.0:");
    serve.stderr.find("WARNING: 0.0.0.0:");
}

/// A door at which everybody is asked who they are is none.
#[test]
fn a_door_that_asks_is_not_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(dir.path().join("keys.json"), keys).unwrap();
    let path = dir.path().join("c.toml");
    for (other, is_open) in [("", false), ("[route.open]\npath = \"/open\"\n", true)] {
        let text = format!(
            "[issuer.id]\nurl = \"https://id.example.com\"\njwks_file = \"keys.json\"\n\
             [route.main]\npublic_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\n{other}\
             [listener.main]\naddress = \"0.0.0.0:0\"\nallowed_hosts = [\"m.example\"]\n\
             [upstream.a]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
        );
        std::fs::write(&path, text).unwrap();
        let mut serve = Running::start(&["serve", path.to_str().unwrap(), "--log-format", "text"]);
        let mut told = Vec::new();
        while !told.last().is_some_and(|line: &String| line.contains("1 of 1 up")) {
            told.push(serve.stderr.next());
        }
        assert_eq!(told.iter().any(|line| line.contains("WARNING")), is_open, "{told:#?}");
    }
}

#[test]
fn what_cannot_be_served_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let address = taken.local_addr().unwrap().to_string();
    let ended = finish(&mut command(&["serve", path.to_str().unwrap(), "--listen", &address]));
    assert_eq!(ended.code, Some(4));
    assert!(ended.stderr.contains(&format!("cannot listen at {address}: ")), "{}", ended.stderr);
    mark.is_gone();
    std::fs::write(&path, "x").unwrap();
    assert_eq!(run(&["serve", path.to_str().unwrap()]).code, Some(3));
    assert_eq!(run(&["serve", path.to_str().unwrap(), "--listen", "nowhere"]).code, Some(2));
}

/// POSTs a legacy message; gives the status, and the session id if there is one.
fn post(url: &str, session: Option<&str>, body: &str) -> (u16, Option<String>) {
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
    let head =
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}{session}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    let id = response.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    (status, id.map(str::to_owned))
}

#[test]
fn a_session_outlives_a_restart_where_the_key_is_kept() {
    let (dir, path) = configured(&[("local", &Mark::new())]);
    let (path, state) = (path.to_str().unwrap(), dir.path().join("state"));
    let args = ["serve", path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state-dir"];
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let mut session = None;
    for run in 1..=3 {
        if run == 3 {
            std::fs::remove_file(state.join("seal.key")).unwrap();
        }
        let mut gateway = Gateway::spawn(command(&args).arg(&state));
        if run == 1 {
            let open = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
            session = post(&gateway.url, None, open).1;
        }
        let (status, _) = post(&gateway.url, Some(session.as_deref().unwrap()), list);
        assert_eq!(status, if run == 3 { 404 } else { 200 }, "run {run}");
        gateway.running.signal(Signal::SIGTERM);
        assert_eq!(gateway.running.code(), Some(0));
    }
}

/// Connections are carried by as many threads as are asked for, or by the main thread.
#[test]
fn connections_are_carried_by_as_many_threads_as_are_asked_for() {
    let (_server, url) = reference_server("modern");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let local = format!("[upstream.b]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n");
    std::fs::write(&path, format!("[upstream.a]\nurl = \"{url}\"\n{local}")).unwrap();
    for threads in [0, 3] {
        let serve =
            ["serve", path.to_str().unwrap(), "--listen", "127.0.0.1:0", "--threads", &threads.to_string()];
        let gateway = Gateway::spawn(&mut command(&serve));
        for number in 0..4 {
            let sum = run(&[
                "call",
                &gateway.url,
                ["a__add", "b__add"][number % 2],
                &format!("a={number}"),
                "b=1",
                "--json",
            ]);
            assert_eq!(sum.code, Some(0), "{sum:?}");
        }
        let names = std::fs::read_dir(format!("/proc/{}/task", gateway.running.id())).unwrap();
        let names = names.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        assert_eq!(names.filter(|name| name.starts_with("worker-")).count(), threads);
    }
    let refused = run(&["serve", path.to_str().unwrap(), "--threads", "5000"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
