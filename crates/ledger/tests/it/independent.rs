//! A second verifier, in another language and by the written format alone, says the same of the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::verify::verify;
use proptest::prelude::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::stand::Stand;
use crate::tamper::{Files, mutate};

/// So many ledgers are shown to both.
const CASES: usize = 100;

fn copy(files: &Files, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let copied = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copied.parent().unwrap()).unwrap();
        fs::write(copied, bytes).unwrap();
    }
}

#[tokio::test]
async fn both_say_the_same() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("python3 is not here: nothing was compared");
        return;
    }
    let mut stand = Stand::new();
    stand.session("one", 25).await;
    stand.session("two", 12).await;
    // One chain begins behind what was deleted.
    stand.plan.keep = Some(std::time::Duration::ZERO);
    stand.session("one", 3).await;
    assert_eq!(stand.bad(), None);
    let (files, copies) = (stand.files(), tempfile::tempdir().unwrap());
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(2), ..Config::default() });
    let numbers = (0_u8..12, proptest::array::uniform3(0_usize..1_000_000));
    let (mut directories, mut same): (Vec<PathBuf>, usize) = (Vec::new(), 0);
    for case in 0..CASES {
        let (kind, numbers) = numbers.new_tree(&mut runner).unwrap().current();
        let mut mutated = files.clone();
        if case > 0 {
            mutate(&mut mutated, kind, numbers);
        }
        let directory = copies.path().join(case.to_string());
        same += usize::from(mutated == files);
        copy(&mutated, stand.directory(), &directory);
        directories.push(directory);
    }
    for witness in [true, false] {
        let mut python = Command::new("python3");
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/audit_verify.py"));
        python.args(["--key", &stand.key.public().to_string()]);
        if witness {
            python.arg("--witness").arg(stand.witness());
        }
        let said = python.args(&directories).output().unwrap();
        let (told, errors) =
            (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
        let theirs: Vec<&str> = told.lines().collect();
        assert_eq!(theirs.len(), CASES, "{errors}");
        let (against, mut good) = (stand.against(witness), 0);
        for (directory, theirs) in directories.iter().zip(theirs) {
            let ours = verify(directory, &against).unwrap().bad;
            assert_eq!(ours.is_empty(), theirs == "good", "{}: {ours:?}, {theirs}", directory.display());
            good += usize::from(theirs == "good");
        }
        // Without a witness nobody knows what was cut off, or whether a chain is missing.
        assert!(if witness { good == same } else { good > same }, "{good} {same}");
    }
}
