//! SQLite and a loss of power: a process that writes is killed in the middle of it, again and again. Whatever it has said is
//! there, and the file is sound.
//!
//! A killed process loses what it has not given to the system; that the system had given it to the disk is what
//! `synchronous = FULL` is for, and cannot be shown without pulling a plug. The other half of a power failure can: a write
//! of which only a part arrived, at the end of the log.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use store::sessions::If;
use store::streams::{Appended, Event, Kept};
use store::{Place, Settings, Store};

const HOUR: Duration = Duration::from_secs(3600);
const KEPT: Kept = Kept { events: 1_000_000, bytes: usize::MAX, time: HOUR };
/// Tells the test that it is to write, and where.
const FILE: &str = "PORTOLAN_TEST_POWER_FILE";
const ROUND: &str = "PORTOLAN_TEST_POWER_ROUND";
const ROUNDS: usize = 25;
/// How many write at once.
const WRITERS: usize = 4;

async fn open(path: &Path) -> Store {
    Store::open(&Place::Sqlite(path.to_owned()), Settings::default()).await.unwrap()
}

/// Not a test of its own: what the killed process does. Without [`FILE`] it does nothing.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = open(Path::new(&path)).await;
    let (store, round) = (&store, round.as_str());
    join_all((0..WRITERS).map(|writer| async move {
        for number in 1i64.. {
            let stream = format!("{round}.{writer}");
            let event = Event { sequence: number, value: vec![b'x'; 300] };
            assert_eq!(store.append(&stream, &event, KEPT).await.unwrap(), Appended::Yes);
            let name = format!("{writer}.{number}");
            store.put_fact((round, &name), b"value", HOUR, If::Absent).await.unwrap().unwrap();
            // In one write, so that a line is whole or is not there.
            std::io::stderr().write_all(format!("said {writer} {number}\n").as_bytes()).unwrap();
        }
    }))
    .await;
}

/// What a round has said, one last number a writer.
fn round(path: &Path, round: usize) -> [i64; WRITERS] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "power::writes_until_it_is_killed", "--nocapture"])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; WRITERS];
    let mut count = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let Ok(line) = line else { continue };
        let Some(words) = line.strip_prefix("said ") else { continue };
        let (writer, number) = words.split_once(' ').unwrap();
        said[writer.parse::<usize>().unwrap()] = number.parse().unwrap();
        count += 1;
        // Each time elsewhere; what it says until it is dead counts, too.
        if count == 1 + (round * 7) % 60 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

async fn holds(store: &Store, round: usize, said: &[i64; WRITERS]) {
    let session = round.to_string();
    for (writer, last) in said.iter().enumerate() {
        for number in 1..=*last {
            let name = format!("{writer}.{number}");
            assert!(store.fact((&session, &name)).await.unwrap().is_some(), "round {session}: {name}");
        }
        let stream = format!("{session}.{writer}");
        let most = usize::try_from(*last).unwrap();
        let events = store.events_after(&stream, 0, most).await.unwrap();
        let store::streams::Events::Next { events, .. } = events else { panic!("{stream} is lost") };
        assert_eq!(events.len(), most, "{stream}");
    }
}

fn is_sound(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_kill_in_mid_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut all = Vec::new();
    for number in 0..ROUNDS {
        let said = round(&path, number);
        assert!(said.iter().any(|last| *last > 0), "round {number} said nothing");
        is_sound(&path);
        let store = open(&path).await;
        holds(&store, number, &said).await;
        all.push(said);
        // Sometimes the next one finds the log as the killed one left it.
        if number % 2 == 0 {
            store.close().await;
        }
    }
    let store = open(&path).await;
    for (number, said) in all.iter().enumerate() {
        holds(&store, number, said).await;
    }
}

/// The log ends in the middle of a write that nobody was told of, or in rubbish.
#[tokio::test]
async fn a_torn_end_of_the_log_costs_only_what_was_not_acknowledged() {
    for tail in [0usize, 1, 100, 4096, 5000] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("store.db")).await;
        for number in 0..20 {
            store.put_fact(("s", &number.to_string()), b"x", HOUR, If::Any).await.unwrap();
        }
        // A copy while it is open is what a disk holds when the power fails.
        let copy = dir.path().join("copy.db");
        std::fs::copy(dir.path().join("store.db"), &copy).unwrap();
        let mut log = std::fs::read(dir.path().join("store.db-wal")).unwrap();
        log.extend(std::iter::repeat_n(0xa5, tail));
        std::fs::write(dir.path().join("copy.db-wal"), log).unwrap();
        is_sound(&copy);
        assert_eq!(open(&copy).await.facts("s").await.unwrap().len(), 20, "{tail}");
    }
}
