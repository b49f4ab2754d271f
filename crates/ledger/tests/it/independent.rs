//! A second verifier, in another language and by the written format alone, says the same of the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::Ground;
use ledger::verify::verify;
use proptest::prelude::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::stand::Stand;
use crate::tamper::{Files, KINDS, mutate};

/// So many ledgers are shown to both; `CASES=10000` shows more.
const CASES: usize = 150;
/// So many at a time.
const AT_ONCE: usize = 500;

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
    let files = stand.files();
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(2), ..Config::default() });
    let numbers = (0_u8..KINDS, proptest::array::uniform3(0_usize..1_000_000));
    let cases = std::env::var("CASES").map_or(CASES, |text| text.parse().unwrap());
    let (mut shown, mut good) = (0, [0; 2]);
    let mut same = 0;
    while shown < cases {
        let (copies, mut directories) = (tempfile::tempdir().unwrap(), Vec::<PathBuf>::new());
        for case in 0..AT_ONCE.min(cases - shown) {
            let (kind, numbers) = numbers.new_tree(&mut runner).unwrap().current();
            let mut mutated = files.clone();
            if shown + case > 0 {
                mutate(&mut mutated, kind, numbers);
            }
            let directory = copies.path().join(case.to_string());
            same += usize::from(mutated == files);
            copy(&mutated, stand.directory(), &directory);
            directories.push(directory);
        }
        shown += directories.len();
        for (with_witness, good) in [true, false].into_iter().zip(&mut good) {
            *good += compare(&stand, &directories, with_witness);
        }
    }
    // Without a witness nobody knows what was cut off, or whether a chain is missing.
    let [witnessed, alone] = good;
    assert!(witnessed == same && alone > same, "{witnessed} {alone} {same}");
    eprintln!("both verifiers said the same of {shown} ledgers, with a witness and without");
}

/// How many of these both call good.
fn compare(stand: &Stand, directories: &[PathBuf], with_witness: bool) -> usize {
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/audit_verify.py"));
    python.args(["--key", &stand.key.public().to_string()]);
    if with_witness {
        python.arg("--witness").arg(stand.witness());
    }
    let said = python.args(directories).output().unwrap();
    let (told, errors) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    let theirs: Vec<&str> = told.lines().collect();
    assert_eq!(theirs.len(), directories.len(), "{errors}");
    let (against, mut good) = (stand.against(with_witness), 0);
    for (directory, theirs) in directories.iter().zip(theirs) {
        let ours = verify(directory, &against).unwrap().bad;
        assert_eq!(ours.is_empty(), theirs == "good", "{}: {ours:?}, {theirs}", directory.display());
        good += usize::from(theirs == "good");
    }
    good
}

/// Links and pipes in the place of segments, and a witness with other lines.
#[tokio::test]
async fn both_say_the_same_of_what_is_odd() {
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let stand = Stand::new();
    stand.session("one", 60).await;
    let (all, path) = ([stand.directory().to_owned()], stand.segments("one")[1].clone());
    assert_eq!(compare(&stand, &all, true), 1);
    let away = stand.directory().with_extension("away");
    fs::rename(&path, &away).unwrap();
    std::os::unix::fs::symlink(&away, &path).unwrap();
    assert_eq!(
        compare(&stand, &all, true),
        0,
        "whoever has put a link there may have it lead elsewhere tomorrow"
    );
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(compare(&stand, &all, true), 0, "and nobody waits for a pipe");
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    let seen = fs::read_to_string(stand.witness()).unwrap();
    let other = seen.lines().next().unwrap().replacen("\"time\":\"2", "\"time\":\"1", 1);
    for (line, good) in [("", 1), ("nonsense\n", 0), (&seen[..60], 1), (&format!("{other}\n"), 1), (&seen, 1)]
    {
        for text in [format!("{line}{seen}"), format!("{seen}{line}")] {
            // What is torn has an end before what comes next.
            let text = text.replace(&format!("{}{{", &seen[..60]), &format!("{}\n{{", &seen[..60]));
            fs::write(stand.witness(), text).unwrap();
            assert_eq!(compare(&stand, &all, true), good, "{line}");
        }
    }
    // Nobody is accused by what somebody else has made up, and everybody by what was signed.
    let last = seen.lines().last().unwrap();
    let beyond = last.replacen("\"seq\":", "\"seq\":9", 1);
    let of_nobody = last.replacen("\"replica\":\"one\"", "\"replica\":\"ghost\"", 1);
    for line in [&beyond, &of_nobody] {
        fs::write(stand.witness(), format!("{seen}{line}\n")).unwrap();
        assert_eq!(compare(&stand, &all, true), 1, "{line}");
        let notes = stand.verify().notes;
        assert!(notes.iter().any(|note| note.contains("no checkpoints of ours")), "{notes:?}");
    }
    let mut again = Stand::new();
    again.key = std::sync::Arc::clone(&stand.key);
    again.session("one", 90).await;
    again.session("ghost", 1).await;
    let signed = fs::read_to_string(again.witness()).unwrap();
    let of = |replica: &str| signed.lines().rfind(|line| line.contains(replica)).unwrap().to_owned();
    for line in [of("\"one\""), of("\"ghost\""), signed.lines().next().unwrap().to_owned()] {
        fs::write(stand.witness(), format!("{seen}{line}\n")).unwrap();
        assert_eq!(compare(&stand, &all, true), 0, "{line}");
    }
    // A chain that somebody has put elsewhere, with a link to it.
    fs::write(stand.witness(), &seen).unwrap();
    fs::rename(stand.directory().join("one"), &away).unwrap();
    std::os::unix::fs::symlink(&away, stand.directory().join("one")).unwrap();
    assert_eq!(compare(&stand, &all, true), 0);
    assert!(stand.try_open_on("one", Ground::default()).is_none(), "nor is it written through");
    let report = stand.verify();
    assert!(report.notes.iter().any(|note| note.starts_with("one is no replica's directory")), "{report:?}");
}
