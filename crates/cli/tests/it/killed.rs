//! Killed without warning, under load, again and again: what was answered is in the ledger, and the ledger verifies.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::program::eventually;
use crate::recorded::{Audited, end};
use crate::serving::Gateway;
use crate::socket::Socket;

/// So many kills in the usual run; `KILLS=200` tries more.
const KILLS: u32 = 6;

/// Calls until there is nobody who answers, or until it is to stop; which were answered.
fn load(url: &str, (next, stop): (&AtomicU32, &AtomicBool)) -> Vec<u32> {
    let mut heard = Vec::new();
    let Ok(mut socket) = Socket::connect(url) else { return heard };
    while !stop.load(Ordering::Relaxed) {
        let a = next.fetch_add(1, Ordering::Relaxed);
        match socket.add("add", a, 1) {
            Ok((answer, stays)) => {
                assert!(answer.contains(&(a + 1).to_string()), "{answer}");
                heard.push(a);
                if !stays {
                    let Ok(again) = Socket::connect(url) else { return heard };
                    socket = again;
                }
            }
            Err(_) => return heard,
        }
    }
    heard
}

/// The sums that the ledger has a call for, of the last minutes.
fn sums(audited: &Audited) -> BTreeSet<u32> {
    let calls = audited.records(&["--type", "call", "--tool", "add", "--since", "10m"]);
    let arguments = calls.iter().filter_map(|call| call["arguments"]["json"].as_str());
    arguments.map(|text| serde_json::from_str::<Value>(text).unwrap()["a"].as_u64().unwrap() as u32).collect()
}

/// One of some replicas is killed, while the others go on.
fn killed(replicas: usize) -> String {
    let kills = std::env::var("KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let audited = Audited::new("segment_bytes = \"64KiB\"\nwitness = \"elsewhere/witness.jsonl\"", "");
    let (next, mut answered) = (AtomicU32::new(0), 0);
    let mut gateways: Vec<Gateway> = (0..replicas).map(|_| audited.serve()).collect();
    for round in 0..kills {
        let stop = AtomicBool::new(false);
        let victim = round as usize % replicas;
        let heard: Vec<u32> = thread::scope(|scope| {
            let urls = gateways.iter().flat_map(|gateway| [&gateway.url; 2]).cloned();
            let (next, stop) = (&next, &stop);
            let clients: Vec<_> = urls.map(|url| scope.spawn(move || load(&url, (next, stop)))).collect();
            let begun = next.load(Ordering::Relaxed);
            // Not always at the same point.
            eventually("some calls", || next.load(Ordering::Relaxed) > begun + 20 + round * 7 % 60);
            gateways[victim].running.signal(Signal::SIGKILL);
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        answered += heard.len();
        let verified = audited.audit("verify", &[]);
        assert_eq!(verified.code, Some(0), "round {round}: {verified:?}");
        let sums = sums(&audited);
        let missing: Vec<_> = heard.iter().filter(|a| !sums.contains(a)).collect();
        assert!(missing.is_empty(), "of {} calls, in round {round}: {missing:?}", heard.len());
        gateways[victim] = audited.serve();
    }
    gateways.into_iter().for_each(end);
    let verified = audited.audit("verify", &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(answered as u32 > 10 * kills, "{answered}");
    format!("{kills} kills, {replicas} replicas, {answered} calls answered, each with its record")
}

#[test]
fn every_answered_call_has_its_record_after_a_kill() {
    eprintln!("{}", killed(1));
}

#[test]
fn every_answered_call_has_its_record_when_one_of_three_is_killed() {
    eprintln!("{}", killed(3));
}
