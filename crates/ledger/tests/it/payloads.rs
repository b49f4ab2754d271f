//! Arguments and results themselves: only for whoever has the key, and no change of them unseen.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base::clock::{Clock, SystemClock};
use base::detail::{Detail, Examined, Keeps};
use base::globs::Globs;
use base::plan::audit::PayloadPlan;
use base::redact::Redaction;
use base::sink::{CallFacts, Sink as _};
use ledger::payload::{Payload, PayloadKey};
use ledger::payloads::{self, PayloadReport};
use ledger::query::{Filter, read};

use crate::stand::{Stand, call, facts, taken};

const SECRET: &str = r#"{"user":"ann","password":"hunter2","card":"4111111111111111"}"#;

fn kept(number: usize) -> CallFacts {
    let text =
        |text: &str| Some(Examined { digest: Some([1; 32]), bytes: text.len(), text: Some(text.into()) });
    let detail = Detail {
        thing: Some(("tool", "pay".into())),
        keeps: Keeps { plain: true, arguments: true, result: true },
        arguments: text(SECRET),
        result: if number == 0 { Some(Examined::sized(9)) } else { text(r#"{"content":[]}"#) },
        ..Detail::default()
    };
    CallFacts { detail: Some(Box::new(detail)), ..facts(number) }
}

/// A ledger that keeps payloads, and the key to them.
fn keeping() -> (Stand, PayloadKey) {
    let (key, public) = PayloadKey::new().unwrap();
    let mut stand = Stand::new();
    let digits = public.to_string().split_once(':').unwrap().1.to_owned();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    stand.plan.payloads = Some(PayloadPlan {
        tools: Globs::new(Vec::new()).unwrap(),
        arguments: true,
        result: true,
        recipient: std::array::from_fn(byte),
        keep: None,
    });
    let (places, patterns) = (["/password".to_owned()], [r"\b\d{16}\b".to_owned()]);
    stand.plan.redaction = Redaction::new(&places, &patterns).unwrap();
    (stand, key)
}

async fn write(stand: &Stand, calls: usize) {
    let ledger = stand.open("one");
    for number in 0..calls {
        taken(ledger.accept(&kept(number))).await.unwrap();
    }
    ledger.close().await;
}

fn records(stand: &Stand) -> Vec<String> {
    let mut all = Vec::new();
    let filter = Filter { kind: Some("call".to_owned()), ..Filter::default() };
    read(stand.directory(), &filter, |line| {
        all.push(line.to_owned());
        Ok(true)
    })
    .unwrap();
    all
}

/// The name of the payload of that part of a record.
fn id(record: &str, part: &str) -> String {
    let behind = record.split_once(&format!("\"{part}\":{{")).unwrap().1;
    behind.split_once("\"payload\":{\"id\":\"").unwrap().1[..32].to_owned()
}

fn files(stand: &Stand) -> Vec<PathBuf> {
    let found = fs::read_dir(stand.directory().join("one")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        found.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("payloads-")).collect();
    found.sort();
    found
}

fn check(stand: &Stand) -> PayloadReport {
    payloads::check(stand.directory()).unwrap()
}

#[tokio::test]
async fn what_is_kept_is_redacted_and_only_its_key_opens_it() {
    let (stand, key) = keeping();
    write(&stand, 2).await;
    let records = records(&stand);
    let (first, second) = (&records[0], &records[1]);
    assert!(first.contains(r#""result":{"bytes":9,"payload":{"leftOut":"long"}}"#), "{first}");
    assert!(
        first.contains(r#""redacted":2"#) && !first.contains("hunter2") && !first.contains("4111"),
        "{first}"
    );
    let lying = payloads::find(stand.directory(), &id(second, "arguments")).unwrap().unwrap();
    let opened = key.open(&Payload::read(&lying.line).unwrap()).unwrap();
    assert_eq!(opened, r#"{"user":"ann","password":"[redacted]","card":"[redacted]"}"#);
    let good = PayloadReport { good: 3, ..PayloadReport::default() };
    assert_eq!(check(&stand), good);
    assert_eq!(stand.bad(), None);
    assert!(stand.verify().replicas[0].notes.is_empty(), "files of payloads are known");
    // It goes on in a file of its own.
    write(&stand, 2).await;
    assert_eq!(files(&stand).len(), 2);
    assert_eq!(check(&stand), PayloadReport { good: 6, ..PayloadReport::default() });
}

#[tokio::test]
async fn whatever_is_changed_of_a_payload_is_found() {
    let (stand, _) = keeping();
    write(&stand, 6).await;
    let path = files(&stand).remove(0);
    let good = fs::read(&path).unwrap();
    let lines: Vec<_> = good.split_inclusive(|byte| *byte == b'\n').collect();
    // Any bit of it.
    for at in (0..lines[0].len() - 1).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let report = check(&stand);
        assert!(!report.bad.is_empty() || report.missing > 0, "byte {at}: {report:?}");
    }
    // Two in each other's place.
    let text = String::from_utf8(good.clone()).unwrap();
    let ids: Vec<_> = text.lines().map(|line| Payload::read(line).unwrap().id.to_owned()).collect();
    let swapped =
        text.replace(&ids[0], "x").replace(&ids[1], &ids[0]).replace("\"x\"", &format!("\"{}\"", ids[1]));
    fs::write(&path, swapped).unwrap();
    assert_eq!(check(&stand).bad.len(), 2);
    // One that stands twice.
    fs::write(&path, [&good[..], lines[0]].concat()).unwrap();
    assert!(check(&stand).bad[0].contains("stands twice"));
    // One that is another chain's.
    fs::write(&path, text.replace("\"replica\":\"one\"", "\"replica\":\"two\"")).unwrap();
    assert!(check(&stand).bad[0].contains("of replica two"));
    // Nobody has said that it is erased.
    fs::remove_file(&path).unwrap();
    let report = check(&stand);
    assert!(report.missing == ids.len() as u64 && report.bad.is_empty(), "{report:?}");
}

#[tokio::test]
async fn an_erased_payload_is_gone_and_the_ledger_is_whole() {
    let (stand, key) = keeping();
    write(&stand, 3).await;
    let gone = id(&records(&stand)[1], "arguments");
    let lying = payloads::find(stand.directory(), &gone).unwrap().unwrap();
    assert_eq!(payloads::is_as_written(stand.directory(), &gone, &lying.line).unwrap(), Some(true));
    let length = fs::metadata(&files(&stand)[0]).unwrap().len();
    lying.erase().unwrap();
    assert!(lying.erase().is_ok(), "twice is once");
    assert_eq!(fs::metadata(&files(&stand)[0]).unwrap().len(), length);
    assert_eq!(payloads::find(stand.directory(), &gone).unwrap(), None);
    let text = fs::read_to_string(&files(&stand)[0]).unwrap();
    let sealed = Payload::read(&lying.line).unwrap();
    assert!(key.open(&sealed).is_ok() && !text.contains(&gone) && !text.contains(&lying.line[100..140]));
    let report = check(&stand);
    assert_eq!((report.good, report.missing, report.bad.len()), (4, 1, 0), "nobody has said so yet");
    let ledger = stand.open("erasing");
    let event = base::sink::Event { kind: "erased", members: vec![("payload", gone)] };
    taken(ledger.must_note(event)).await.unwrap();
    ledger.close().await;
    let report = check(&stand);
    assert_eq!((report.good, report.erased, report.missing), (4, 1, 0));
    assert_eq!(stand.bad(), None);
}

/// Begins in time, and leaps ahead by ten years.
#[derive(Debug, Default)]
struct Leaping(AtomicBool);

impl Clock for Leaping {
    fn now(&self) -> SystemTime {
        let years = if self.0.swap(true, Ordering::Relaxed) { 10 } else { 0 };
        SystemClock.now() + Duration::from_secs(years * 365 * 86_400)
    }
}

#[tokio::test]
async fn no_clock_has_payloads_deleted() {
    let (mut stand, _) = keeping();
    stand.plan.payloads.as_mut().unwrap().keep = Some(Duration::from_secs(3600));
    write(&stand, 2).await;
    let before = files(&stand);
    let ledger = stand.open_at("one", Arc::<Leaping>::default());
    taken(ledger.accept(&kept(1))).await.unwrap();
    ledger.close().await;
    assert!(before.len() == 1 && files(&stand).starts_with(&before), "{:?}", files(&stand));
}

/// What `keep` has deleted a record explains; what somebody else has deleted, none does.
#[tokio::test]
async fn payloads_of_a_deleted_file_are_not_missing() {
    let (mut stand, _) = keeping();
    write(&stand, 3).await;
    let old = files(&stand).remove(0);
    let written = SystemClock.now() - Duration::from_secs(7200);
    fs::File::options().write(true).open(&old).unwrap().set_modified(written).unwrap();
    stand.plan.payloads.as_mut().unwrap().keep = Some(Duration::from_secs(3600));
    // By the file's time the calls were made behind it: nobody has said that these are gone.
    write(&stand, 2).await;
    assert!(!old.exists());
    let report = check(&stand);
    assert_eq!((report.good, report.missing, report.deleted_files), (3, 5, 1), "{report:?}");
    let later = SystemClock.now() + Duration::from_secs(7200);
    let ahead = stand.open_at("one", Arc::new(Ahead(later)));
    call(&ahead, 0).await;
    ahead.close().await;
    let report = check(&stand);
    assert_eq!((report.good, report.erased, report.missing), (0, 8, 0), "{report:?}");
    assert_eq!(stand.bad(), None);
}

/// Stands still.
#[derive(Debug)]
struct Ahead(SystemTime);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// What was written behind a crash has no record; its half line is passed over.
#[tokio::test]
async fn a_payload_without_a_record_is_counted() {
    let (stand, _) = keeping();
    write(&stand, 2).await;
    let path = files(&stand).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().next().unwrap();
    let other = line.replace(Payload::read(line).unwrap().id, "0123456789abcdef0123456789abcdef");
    fs::write(&path, format!("{text}{other}\n{}", &line[..50])).unwrap();
    let report = check(&stand);
    assert_eq!((report.good, report.unnamed, report.bad.len()), (3, 1, 0), "{report:?}");
}

#[tokio::test]
async fn another_implementation_of_hpke_opens_it() {
    let has = Command::new("python3").args(["-c", "import cryptography"]).output();
    if !has.is_ok_and(|told| told.status.success()) {
        eprintln!("python3 with cryptography is not here: nothing was compared");
        return;
    }
    let (stand, key) = keeping();
    write(&stand, 2).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), key.to_text()).unwrap();
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/audit_open.py")).arg(file.path());
    // A process was killed while it wrote the last line.
    let written = fs::read(&files(&stand)[0]).unwrap();
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(&[&written[..], &written[..99]].concat()).unwrap();
    let told = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    let arguments = r#"{"user":"ann","password":"[redacted]","card":"[redacted]"}"#;
    assert_eq!(told.lines().collect::<Vec<_>>(), [arguments, arguments, r#"{"content":[]}"#]);
}
