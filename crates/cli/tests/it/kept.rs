//! Arguments and results that are kept for whoever has the key, and what operators do by command.

use std::fs;

use serde_json::Value;

use crate::program::{command, finish};
use crate::recorded::{Audited, end};
use crate::socket::Socket;

fn payload(call: &Value, part: &str) -> String {
    call[part]["payload"]["id"].as_str().unwrap_or_else(|| panic!("{call}")).to_owned()
}

#[test]
fn what_is_kept_is_opened_by_its_key_and_erased_by_command() {
    let keys = tempfile::tempdir().unwrap();
    let private = keys.path().join("payload.key");
    let made = finish(command(&["audit", "payload-key", "new"]).arg(&private));
    assert!(made.code == Some(0) && made.stdout.starts_with("hpke-x25519:"), "{made:?}");
    let again = finish(command(&["audit", "payload-key", "new"]).arg(&private));
    assert!(again.code != Some(0) && again.stderr.contains("never written over"), "{again:?}");
    let public = keys.path().join("payload.pub");
    fs::write(&public, &made.stdout).unwrap();
    let table = format!(
        "redact = [\"/b\"]\n[audit.payloads]\ntools = [\"bank/*\"]\nrecipient = {:?}\n",
        public.display().to_string()
    );
    let audited = Audited::new(&table, "store = \"sqlite:portolan.db\"");
    let gateway = audited.serve();
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 20, 22).unwrap();
    assert!(answer.contains("42"), "{answer}");
    let calls = audited.records(&["--type", "call"]);
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(call["arguments"]["json"], r#"{"a":20,"b":"[redacted]"}"#);
    assert_eq!(call["sent"]["times"], 1);
    let (arguments, result) = (payload(call, "arguments"), payload(call, "result"));
    let private = private.display().to_string();
    let open = |id: &str, key: &str| {
        let config = audited.config().display().to_string();
        finish(&mut command(&["audit", "open", id, &config, "--private-key", key]))
    };
    let opened = open(&arguments, &private);
    assert_eq!((opened.code, &*opened.stdout), (Some(0), "{\"a\":20,\"b\":\"[redacted]\"}\n"), "{opened:?}");
    assert!(open(&result, &private).stdout.contains("42"));
    let other = keys.path().join("other.key").display().to_string();
    finish(&mut command(&["audit", "payload-key", "new", &other]));
    let closed = open(&arguments, &other);
    assert!(closed.code == Some(4) && closed.stderr.contains("does not open it"), "{closed:?}");
    let good = audited.audit("verify", &["--payloads"]);
    assert!(good.code == Some(0) && good.stdout.contains("payloads: 2 are as they were written"), "{good:?}");
    // While the gateway runs.
    let erase = |ids: &[&str]| {
        let mut erase = command(&["audit", "erase"]);
        erase.args(ids).arg("--config").arg(audited.config()).args(["--why", "request 17"]);
        finish(erase.env("STATE_DIRECTORY", audited.dir.path()))
    };
    let unknown = erase(&[&arguments, &"0".repeat(32)]);
    assert!(unknown.code == Some(4) && unknown.stderr.contains("there is no payload"), "{unknown:?}");
    assert_eq!(open(&arguments, &private).code, Some(0), "one that is not there leaves the other");
    assert_eq!(erase(&[&arguments]).code, Some(0));
    let gone = open(&arguments, &private);
    assert!(gone.code == Some(4) && gone.stderr.contains("it was erased"), "{gone:?}");
    let erased = audited.records(&["--type", "erased"]);
    assert_eq!(
        (&erased[0]["payload"], &erased[0]["why"]),
        (&arguments.as_str().into(), &"request 17".into())
    );
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
    assert!(answer.contains('3'), "{answer}");
    // The store has seen what the operator did, too.
    let seen: Value = serde_json::from_str(&audited.audit("verify", &["--json"]).stdout).unwrap();
    let replicas = seen["replicas"].as_array().unwrap();
    let operator = replicas.iter().find(|one| one["replica"].as_str().unwrap().ends_with("-operator"));
    assert!(operator.is_some_and(|one| one["witnessed"].as_u64().unwrap() > 0), "{seen}");
    end(gateway);
    let good = audited.audit("verify", &["--payloads"]);
    let said = "payloads: 3 are as they were written, 1 were erased";
    assert!(good.code == Some(0) && good.stdout.contains(said), "{good:?}");
    assert!(!good.stdout.contains("note: "), "{good:?}");
    let directory = fs::read_dir(audited.dir.path().join("audit")).unwrap().map(|of| of.unwrap().path());
    let files = directory.map(|of| of.join("payloads-00000001.jsonl"));
    let file = files.into_iter().find(|file| file.exists()).unwrap();
    let mut text = fs::read_to_string(&file).unwrap().into_bytes();
    let begin = b"\"ciphertext\":\"";
    let at = text.windows(begin.len()).rposition(|window| window == begin).unwrap() + 20;
    text[at] = if text[at] == b'A' { b'B' } else { b'A' };
    fs::write(&file, text).unwrap();
    let bad = audited.audit("verify", &["--payloads", "--json"]);
    assert!(bad.code == Some(1) && bad.stdout.contains("was changed"), "{bad:?}");
    assert_eq!(audited.audit("verify", &[]).code, Some(0), "the records are as they were");
}

#[test]
fn who_finds_nothing_hears_what_there_is() {
    let audited = Audited::new("", "");
    let gateway = audited.serve();
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
    assert!(answer.contains('3'), "{answer}");
    for (args, said) in [
        (&["--outcome", "ko"][..], "no record has --outcome \"ko\": did you mean \"ok\"?"),
        (&["--type", "calls"], "no record has --type \"calls\": did you mean \"call\"?"),
        (&["--tool", "bank/ad"], "no record has --tool \"ad\": did you mean \"add\"?"),
        (&["--server", "bnak"], "did you mean \"bank\"?"),
        (&["--type", "login"], "nothing found\n"),
    ] {
        let told = audited.audit("query", args);
        assert!(told.code == Some(0) && told.stdout.is_empty() && told.stderr.contains(said), "{told:?}");
    }
    assert_eq!(
        audited.records(&["--tool", "bank/add", "--route", "main", "--address", "127.0.0.1"]).len(),
        1
    );
    assert_eq!(audited.records(&["--tool", "other/add"]).len(), 0);
    let none = audited.audit("query", &["--csv", "--policy", "p"]);
    assert!(none.stdout.starts_with("time,replica,") && none.stdout.lines().count() == 1, "{none:?}");
    let one = audited.audit("query", &["--csv", "--server", "bank"]);
    assert!(one.stdout.lines().count() == 2 && one.stderr.is_empty(), "{one:?}");
    end(gateway);
    let mut key = command(&["audit", "key"]);
    let key = finish(key.arg(audited.config()).env("STATE_DIRECTORY", audited.dir.path()));
    assert!(key.code == Some(0) && key.stdout.starts_with("ed25519:"), "{key:?}");
}
