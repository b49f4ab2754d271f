//! The configuration is read again when it has changed, and nobody who is connected is cut off by that.

use std::fs;

use nix::sys::signal::Signal;

use crate::processes::Mark;
use crate::program::{PORTOLAN, command, eventually, run};
use crate::serving::{Gateway, configured, write};
use crate::socket::{Socket, modern};

#[test]
fn a_changed_file_is_read_again_and_clients_hear_of_it_over_the_connection_that_they_have() {
    let (kept, removed) = (Mark::new(), Mark::new());
    let (_dir, path) = configured(&[("kept", &kept), ("removed", &removed)]);
    let mut gateway = Gateway::serve(&path);
    let before = kept.processes();
    let mut socket = Socket::connect(&gateway.url).unwrap();
    let listen = modern("subscriptions/listen", r#""notifications":{"toolsListChanged":true},"#);
    socket.ask("subscriptions/listen", None, &listen).unwrap();
    socket.until("notifications/subscriptions/acknowledged").unwrap();

    // As editors do: another file, which then gets the name.
    let beside = path.with_extension("new");
    write(&beside, &[("kept", &kept)]);
    fs::rename(&beside, &path).unwrap();
    gateway.running.stderr.find("\"reloaded\"");
    let told = socket.until("\"complete\"").unwrap();
    assert!(told.contains("notifications/tools/list_changed"), "{told}");
    // The end of a chunked body; the connection goes on.
    socket.until("\r\n0\r\n\r\n").unwrap();
    let (sum, stays) = socket.add("add", 1, 2).unwrap();
    assert!(sum.contains("\"3\"") && stays, "{sum}");
    removed.is_gone();
    assert_eq!(kept.processes(), before, "what is still configured goes on as it is");
}

#[test]
fn a_change_that_is_wrong_is_refused_and_complained_of_once() {
    let mark = Mark::new();
    let (_dir, path) = configured(&[("local", &mark)]);
    let right = fs::read_to_string(&path).unwrap();
    let mut gateway = Gateway::serve(&path);
    let before = mark.processes();
    fs::write(&path, "[upstream.local]\n").unwrap();
    gateway.running.stderr.find("neither a url nor a command");
    gateway.running.stderr.find("the old configuration goes on");
    assert_eq!(run(&["call", &gateway.url, "add", "a=1", "b=2"]).stdout, "3\n");
    fs::write(&path, format!("# put right\n{right}")).unwrap();
    loop {
        let line = gateway.running.stderr.next();
        assert!(!line.contains("neither a url nor a command"), "{line}");
        if line.contains("\"reloaded\"") {
            break;
        }
    }
    assert_eq!(mark.processes(), before);
}

#[test]
fn what_the_file_takes_in_is_followed_too_unless_that_is_switched_off() {
    let (mark, other) = (Mark::new(), Mark::new());
    let (dir, path) = configured(&[("local", &mark)]);
    let secret = dir.path().join("secret");
    fs::write(&secret, "one").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}env = {{ SECRET = \"${{file:secret}}\" }}\n")).unwrap();
    let mut gateway = Gateway::serve(&path);
    let unwatched = dir.path().join("unwatched.toml");
    write(&unwatched, &[("local", &other)]);
    let serve = ["serve", unwatched.to_str().unwrap(), "--listen", "127.0.0.1:0", "--no-watch"];
    let mut left_alone = Gateway::spawn(&mut command(&serve));
    let before = mark.processes();

    fs::write(&unwatched, "# nothing that is right").unwrap();
    fs::write(&secret, "two").unwrap();
    gateway.running.stderr.find("\"reloaded\"");
    eventually("another process has the secret", || {
        let now = mark.processes();
        now.len() == 2 && now.iter().all(|process| !before.contains(process))
    });
    let command = format!("[{PORTOLAN:?}, \"reference-server\", \"--stdio\", \"--name\", \"{other}\"]");
    fs::write(&unwatched, format!("[upstream.local]\ncommand = {command}\n")).unwrap();
    left_alone.running.signal(Signal::SIGHUP);
    loop {
        let line = left_alone.running.stderr.next();
        assert!(!line.contains("changed") && !line.contains("goes on"), "{line}");
        if line.contains("\"reloaded\"") {
            break;
        }
    }
}
