use std::time::Duration;

use super::super::Bound;
use super::*;

const BOUND: Bound<'static> = Bound { purpose: "p", principal: "me" };

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_key_is_made_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    let token = Seal::kept_at(&path, at(1)).unwrap().seal(BOUND, at(9), b"x").unwrap();
    assert_eq!(Seal::kept_at(&path, at(2)).unwrap().open(BOUND, at(2), &token).unwrap(), b"x");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["seal.key"]);
}

#[test]
fn all_who_start_at_once_have_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..16).map(|_| scope.spawn(|| read_or_make(&path, at(1)).unwrap())).collect();
        starting.into_iter().map(|one| one.join().unwrap()[0].key.id()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn the_file_of_an_earlier_version_is_a_key_that_seals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    fs::write(&path, format!("{}\n", "07".repeat(32))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let token = Seal::from_secret(&[7; 32]).unwrap().seal(BOUND, at(100), b"x").unwrap();
    assert!(Seal::kept_at(&path, at(1)).unwrap().open(BOUND, at(1), &token).is_ok());
    let turns = rotate(&path, Rotation { lead: seconds(10), longest: seconds(100) }, at(1)).unwrap();
    assert_eq!(turns.iter().map(|turn| turn.made_at).collect::<Vec<_>>(), [None, Some(1000)]);
}

#[test]
fn a_rotation_keeps_what_is_out_and_drops_what_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    let rotation = Rotation { lead: seconds(10), longest: seconds(100) };
    let first = read_or_make(&path, at(0)).unwrap()[0].key.id();
    let token = Seal::kept_at(&path, at(0)).unwrap().seal(BOUND, at(109), b"x").unwrap();
    let second = rotate(&path, rotation, at(0)).unwrap()[1].key.id();
    let sealing = |now| turns::ring(&read(&path).unwrap(), millis(at(now))).unwrap().sealing_id();
    assert_eq!((sealing(9), sealing(10)), (first, second));
    assert!(Seal::kept_at(&path, at(108)).unwrap().open(BOUND, at(108), &token).is_ok());
    assert_eq!(rotate(&path, rotation, at(119)).unwrap().len(), 3);
    assert_eq!(rotate(&path, rotation, at(120)).unwrap().len(), 3, "the first is over");
    let gone = Seal::kept_at(&path, at(120)).unwrap().open(BOUND, at(0), &token);
    assert_eq!(gone, Err(SealFault::UnknownKey));
}

#[test]
fn two_rotations_at_once_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    read_or_make(&path, at(0)).unwrap();
    fs::write(dir.path().join("seal.key.new"), "").unwrap();
    assert!(matches!(rotate(&path, Rotation::REVOKE, at(1)), Err(KeyFileFault::Busy(_))));
    assert_eq!(read(&path).unwrap().len(), 1);
}

#[test]
fn a_key_that_is_open_or_none_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seal.key");
    let good = "07".repeat(32);
    for wrong in ["00\n".to_owned(), String::new(), format!("{good}\nx\n"), format!("{good} seals=soon\n")] {
        fs::write(&path, &wrong).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Seal::kept_at(&path, at(0)), Err(KeyFileFault::Malformed(_))), "{wrong}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Seal::kept_at(&path, at(0)), Err(KeyFileFault::Open(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
    }
    let nowhere = Seal::kept_at(&dir.path().join("no/key"), at(0));
    assert!(matches!(nowhere, Err(KeyFileFault::Io { .. })));
}
