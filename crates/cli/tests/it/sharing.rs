//! Keys and replicas, as an operator sees them.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::postgres::Postgres;

use crate::program::{Ended, PORTOLAN, command, eventually, finish, run};
use crate::serving::Gateway;

/// The columns of each line after the first.
fn table(ended: &Ended, column: usize) -> Vec<String> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines().skip(1).filter(|line| !line.starts_with("kept in"));
    lines.map(|line| line.split_whitespace().nth(column).unwrap().to_owned()).collect()
}

fn configured(store: &str, keys: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "store = {store:?}\n{keys}\n[upstream.local]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
    );
    fs::write(&path, text).unwrap();
    (dir, path)
}

/// Runs a command whose last argument is the configuration; what it keeps is kept beside that.
fn with(config: &Path, args: &[&str]) -> Ended {
    finish(command(args).arg(config).env("STATE_DIRECTORY", config.parent().unwrap()))
}

fn serve(config: &Path) -> Gateway {
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Gateway::spawn(serving.arg(config).env("STATE_DIRECTORY", config.parent().unwrap()))
}

#[test]
fn the_key_of_a_machine_is_rotated_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let keys = |what: &[&str]| {
        let ended = run(&[&["keys"], what, &["--state-dir", state.to_str().unwrap()]].concat());
        let file = fs::read_to_string(state.join("seal.key")).unwrap();
        for secret in file.lines().map(|line| line.split(' ').next().unwrap()) {
            assert_eq!(secret.len(), 64);
            assert!(!format!("{ended:?}").contains(secret.get(..16).unwrap()), "{ended:?}");
        }
        ended
    };
    assert_eq!(table(&keys(&["list"]), 1), ["sealing"]);
    let rotated = keys(&["rotate"]);
    assert_eq!(table(&rotated, 1), ["coming", "sealing"]);
    assert_eq!(table(&keys(&["list"]), 0), table(&rotated, 0));
    let revoked = keys(&["rotate", "--revoke"]);
    assert_eq!(table(&revoked, 1), ["sealing"]);
    assert!(!table(&rotated, 0).contains(&table(&revoked, 0)[0]));
}

#[test]
fn keys_that_are_given_are_listed_and_rotated_by_who_gives_them() {
    let new = run(&["keys", "new"]).stdout;
    let other = run(&["keys", "new"]).stdout;
    assert!(new.trim().len() == 64 && new != other);
    let (_dir, path) = configured("sqlite:store.db", "");
    let given = format!("{},{}", new.trim(), other.trim());
    let run = |args: &[&str]| finish(command(args).arg(&path).env("PORTOLAN_KEYS", &given));
    assert_eq!(table(&run(&["keys", "list"]), 1), ["sealing", "opening"]);
    let refused = run(&["keys", "rotate"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let wrong = finish(command(&["check"]).arg(&path).env("PORTOLAN_KEYS", "nonsense"));
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stderr.contains("PORTOLAN_KEYS") && !wrong.stderr.contains("nonsense"), "{wrong:?}");
}

#[test]
fn keys_in_a_store_are_shared_and_rotated_while_it_is_served() {
    let (dir, path) = configured("sqlite:store.db", "");
    let mut gateway = serve(&path);
    let first = with(&path, &["keys", "list"]);
    assert!(first.stdout.contains("store.db"), "{first:?}");
    assert_eq!(table(&with(&path, &["keys", "rotate"]), 1), ["coming", "sealing"]);
    assert_eq!(table(&with(&path, &["keys", "list"]), 0)[1], table(&first, 0)[0]);
    // Whoever has the file and not the key of the machine has nothing.
    let stranger = tempfile::tempdir().unwrap();
    let refused = finish(command(&["keys", "list"]).arg(&path).env("STATE_DIRECTORY", stranger.path()));
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("another master key"), "{refused:?}");
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
    assert!(!dir.path().join("store.db-wal").exists(), "it was closed in good order");
}

#[test]
fn without_a_store_no_file_is_made_and_nobody_is_known() {
    let (dir, path) = configured("sqlite:store.db", "");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.split_once('\n').unwrap().1).unwrap();
    let mut gateway = serve(&path);
    let asked = with(&path, &["replicas"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["portolan.toml", "seal.key"]);
}

fn ids(path: &Path) -> Vec<String> {
    let said = with(path, &["replicas"]);
    if said.stdout.starts_with("no replica") { Vec::new() } else { table(&said, 0) }
}

#[test]
fn replicas_come_drain_and_go_and_survive_their_database() {
    let mut server = Postgres::start();
    let keys = format!("[keys]\nmaster = {:?}", "ab".repeat(32));
    let (_dir, path) = configured(&server.url(), &keys);
    assert!(ids(&path).is_empty());
    let (mut one, mut two, mut three) = (serve(&path), serve(&path), serve(&path));
    let all = ids(&path);
    assert_eq!(all.len(), 3);
    assert_eq!(with(&path, &["replicas", "--drain", "nobody"]).code, Some(1));

    let drained = with(&path, &["replicas", "--drain", &all[1]]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    two.running.stderr.find("asked to drain");
    assert_eq!(two.running.code(), Some(0));
    assert_eq!(ids(&path), [all[0].as_str(), all[2].as_str()], "it has left, and its lease need not end");

    server.stop();
    one.running.stderr.find("what needs no store goes on");
    // What needs no store goes on, and a stop is a stop.
    let called = run(&["call", &one.url, "add", "a=1", "b=2"]);
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), "3\n"));
    let asked = with(&path, &["replicas"]);
    assert_eq!(asked.code, Some(4), "{asked:?}");
    three.running.signal(Signal::SIGTERM);
    assert_eq!(three.running.code(), Some(0));

    server.go_on();
    one.running.stderr.find("the store is back");
    // The third could not say good-bye; that it is dead shows when its lease has ended.
    eventually("only one is left", || ids(&path) == [all[0].as_str()]);
    one.running.signal(Signal::SIGTERM);
    assert_eq!(one.running.code(), Some(0));
}

#[test]
fn a_store_that_is_away_at_the_start_is_said() {
    let mut server = Postgres::start();
    let url = server.url();
    server.stop();
    let (_dir, path) = configured(&url, &format!("[keys]\nmaster = {:?}", "ab".repeat(32)));
    let ended = with(&path, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("the store is away"), "{ended:?}");
}

#[test]
fn readiness_knows_the_store_and_what_is_the_matter_is_said_once() {
    let mut server = Postgres::start();
    let keys = format!("[keys]\nmaster = {:?}", "ab".repeat(32));
    let (_strict_dir, strict) = configured(&server.url(), &keys);
    let lax = format!("{keys}\n[admin]\naddress = \"127.0.0.1:0\"\nstore_away = \"degraded\"");
    let (_lax_dir, lax) = configured(&server.url(), &lax);
    let (mut strict, mut lax) = (serve(&strict), serve(&lax));
    let says = |gateway: &Gateway, status: &str, word: &str| {
        let said = gateway.ask_admin("/readyz");
        said.starts_with(&format!("HTTP/1.1 {status}")) && said.contains(word)
    };
    let up = r#""store":{"state":"up"}"#;
    assert!(says(&strict, "200", up) && says(&lax, "200", up));
    server.stop();
    let away = r#""store":{"state":"away""#;
    eventually("it is not ready", || {
        says(&strict, "503", away) && says(&strict, "503", r#""why":"the store is away""#)
    });
    eventually("it is ready, though it lacks something", || {
        says(&lax, "200", away) && says(&lax, "200", r#""why":"degraded: the store is away""#)
    });
    assert!(strict.ask_admin("/metrics").contains("portolan_store_away 1\n"));
    for _ in 0..20 {
        let called = run(&["call", &strict.url, "add", "a=1", "b=2"]);
        assert_eq!((called.code, called.stdout.as_str()), (Some(0), "3\n"), "what needs no store goes on");
    }
    server.go_on();
    eventually("it is ready again", || says(&strict, "200", up) && says(&lax, "200", up));
    for gateway in [&mut strict, &mut lax] {
        gateway.running.signal(Signal::SIGTERM);
        assert_eq!(gateway.running.code(), Some(0));
        let log: Vec<String> = std::iter::from_fn(|| gateway.running.stderr.last()).collect();
        for once in ["what needs no store goes on", "the store is back"] {
            assert_eq!(log.iter().filter(|line| line.contains(once)).count(), 1, "{log:#?}");
        }
        assert!(log.iter().filter(|line| line.contains("WARN")).count() <= 3, "{log:#?}");
    }
}
