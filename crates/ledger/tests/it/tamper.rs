//! Whoever changes anything about a ledger is found out, and where is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ledger::hash::Hash;
use ledger::key::SigningKey;
use ledger::proof::{Proof, ProofFault, prove};
use ledger::verify::verify;
use proptest::prelude::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::stand::Stand;

/// So many in the usual run; `MUTATIONS=100000` tries more.
const MUTATIONS: usize = 1500;

/// How many kinds of things somebody does.
pub(crate) const KINDS: u8 = 13;

pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What somebody does to the files of a ledger, by some numbers.
pub(crate) fn mutate(files: &mut Files, kind: u8, [a, b, c]: [usize; 3]) -> &'static str {
    let paths: Vec<PathBuf> = files.keys().cloned().collect();
    let path = paths[a % paths.len()].clone();
    let other = paths[b % paths.len()].clone();
    let bytes = files[&path].clone();
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, two) = (b % lines.len(), c % lines.len());
    match kind {
        0 => {
            files.get_mut(&path).unwrap()[b % bytes.len()] ^= 1 << (c % 8);
            return "flip a bit";
        }
        1 => {
            files.get_mut(&path).unwrap().truncate(b % bytes.len());
            return "cut the end";
        }
        2 => {
            let theirs = files[&other].clone();
            files.insert(path, theirs);
            return "replace a segment by another";
        }
        3 => {
            files.remove(&path);
            return "remove a segment";
        }
        4 => {
            let chain = path.parent().unwrap();
            files.retain(|other, _| !(other.parent() == Some(chain) && *other >= path));
            return "roll a chain back";
        }
        5 => drop(lines.remove(one)),
        6 => lines.swap(one, two),
        7 => lines.insert(two, lines[one].clone()),
        8 => {
            let theirs = files[&other].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            lines.truncate(one);
            lines.extend(theirs.skip(one));
        }
        9 => {
            let line = String::from_utf8(lines[one].clone()).unwrap();
            lines[one] = line.replacen("\"time\":\"2", "\"time\":\"1", 1).into_bytes();
        }
        10 => {
            files.get_mut(&path).unwrap().insert(b % bytes.len(), (c % 256) as u8);
            return "put a byte in";
        }
        12 => {
            let (from, size) = (b % bytes.len(), [1, 8, 100, 512, 1024, 4096][c % 6]);
            // Now and then as a power cut does it.
            let from = if c % 2 == 0 { from - from % 512 } else { from };
            files.get_mut(&path).unwrap().iter_mut().skip(from).take(size).for_each(|byte| *byte = 0);
            return "zeros";
        }
        _ => lines.truncate(one),
    }
    files.insert(path, lines.concat());
    "change the lines"
}

fn put(before: &Files, after: &Files) {
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)) {
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn no_mutation_is_missed() {
    let stand = Stand::new();
    stand.session("one", 40).await;
    stand.session("one", 20).await;
    stand.session("two", 30).await;
    assert_eq!(stand.bad(), None);
    let files = stand.files();
    assert!(stand.segments("one").len() > 2, "it is about rotations, too");
    let against = stand.against(true);
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(1), ..Config::default() });
    let numbers = (0_u8..KINDS, proptest::array::uniform3(0_usize..1_000_000));
    let times = std::env::var("MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let (mut tried, mut kinds) = (0, BTreeMap::new());
    while tried < times {
        let (kind, numbers) = numbers.new_tree(&mut runner).unwrap().current();
        let mut mutated = files.clone();
        let what = mutate(&mut mutated, kind, numbers);
        if mutated == files {
            continue;
        }
        put(&files, &mutated);
        let report = verify(stand.directory(), &against).unwrap();
        assert!(!report.bad.is_empty(), "{what}: {kind} {numbers:?}");
        *kinds.entry(kind).or_insert(0) += 1;
        put(&mutated, &files);
        tried += 1;
    }
    assert_eq!(kinds.len(), usize::from(KINDS), "{kinds:?}");
    assert_eq!(stand.bad(), None, "and as it was, all is well");
}

#[tokio::test]
async fn the_first_bad_record_is_named() {
    let stand = Stand::new();
    stand.session("one", 5).await;
    let path = &stand.segments("one")[0];
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text.replace("alice-2", "mallory")).unwrap();
    let bad = stand.bad().unwrap();
    assert_eq!(
        (bad.replica.as_str(), bad.segment.as_deref(), bad.line, bad.seq),
        ("one", Some("00000001.jsonl"), 5, 4)
    );
    assert!(bad.why.starts_with("record 3 was altered, or this one"), "{}", bad.why);
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("alice-2")).collect();
    fs::write(path, without.join("\n") + "\n").unwrap();
    assert_eq!(stand.bad().unwrap().why, "the records from 3 to 3 are missing");
    fs::remove_dir_all(stand.directory().join("one")).unwrap();
    assert!(stand.bad().unwrap().why.starts_with("all of its records are missing"));
}

/// Who can write the files, and computes all hashes anew, has no key.
#[tokio::test]
async fn a_chain_that_is_written_anew_is_not_signed() {
    let stand = Stand::new();
    stand.session("one", 5).await;
    let path = &stand.segments("one")[0];
    let text = fs::read_to_string(path).unwrap().replace("alice-2", "mallory");
    let mut prev = Hash::NONE;
    let forged: String = text
        .lines()
        .map(|line| {
            let (before, after) = line.split_once("\"sha256:").unwrap();
            let line = format!("{before}\"sha256:{prev}{}", &after[64..]);
            prev = Hash::of(&[line.as_bytes()]);
            line + "\n"
        })
        .collect();
    fs::write(path, forged).unwrap();
    let report = verify(stand.directory(), &stand.against(false)).unwrap();
    assert_eq!(report.bad[0].why, "this checkpoint does not cover the records that stand before it");
    // With a key of its own it can sign; nobody has given that key.
    let mut other = Stand::new();
    other.plan.directory = stand.directory().to_owned();
    other.plan.witness = None;
    other.key = SigningKey::random().unwrap().into();
    fs::remove_dir_all(stand.directory()).unwrap();
    other.session("one", 5).await;
    let report = verify(stand.directory(), &stand.against(false)).unwrap();
    assert!(report.bad[0].why.contains("signed with a key that is none of those given"), "{:?}", report.bad);
}

#[tokio::test]
async fn a_cut_end_is_seen_by_the_witness_alone() {
    let stand = Stand::new();
    stand.session("one", 5).await;
    let before = stand.files();
    stand.session("one", 5).await;
    let after = stand.files();
    put(&after, &before);
    assert!(
        verify(stand.directory(), &stand.against(false)).unwrap().bad.is_empty(),
        "nothing else can know"
    );
    let bad = stand.bad().unwrap();
    assert!(bad.why.starts_with("the end was cut off: the witness has a checkpoint at 15"), "{}", bad.why);
    // Who goes on from there makes another chain.
    stand.session("one", 8).await;
    let bad = stand.bad().unwrap();
    assert!(bad.why.contains("the witness has seen another checkpoint"), "{}", bad.why);
    let text = fs::read_to_string(&stand.segments("one")[0]).unwrap();
    assert!(text.contains("\"witnessed\":15"), "the process that began there has said so");
}

#[tokio::test]
async fn one_record_is_proved_without_the_others() {
    let stand = Stand::new();
    stand.session("one", 40).await;
    let keys = [stand.key.public()];
    let mut proved = 0;
    for seq in 0..44 {
        let proof = match prove(stand.directory(), "one", seq).unwrap() {
            Ok(proof) => proof,
            // It signs, and is not signed for.
            Err(ProofFault::NotThere) => continue,
            Err(fault) => panic!("{seq}: {fault}"),
        };
        proved += 1;
        let read = Proof::of_json(&proof.to_json()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.check(&keys), Ok(()), "{seq}");
        assert!(matches!(
            read.check(&[SigningKey::random().unwrap().public()]),
            Err(ProofFault::OtherKey(_))
        ));
        let altered = Proof { record: proof.record.replace("\"time\":\"2", "\"time\":\"1"), ..proof.clone() };
        assert_eq!(altered.check(&keys), Err(ProofFault::Record), "{seq}");
        let altered =
            Proof { checkpoint: proof.checkpoint.replace("\"first\":", "\"first\":1"), ..proof.clone() };
        assert_eq!(altered.check(&keys), Err(ProofFault::Signature), "{seq}");
        let altered = Proof { path: proof.path.into_iter().skip(1).collect(), ..read };
        assert_eq!(altered.check(&keys), Err(ProofFault::Record), "{seq}");
    }
    assert!(proved > 40 - 8, "{proved}");
    assert_eq!(prove(stand.directory(), "one", 5000).unwrap(), Err(ProofFault::NotThere));
}
