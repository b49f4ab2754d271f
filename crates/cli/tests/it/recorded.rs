//! What was done is in the ledger, however the gateway ends, and nothing is done that cannot be written there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::described::Schema;
use crate::program::{Ended, PORTOLAN, Running, command, eventually, finish, reference_server};
use crate::serving::Gateway;
use crate::socket::{Socket, modern};

/// A gateway's files, and the server behind it.
pub(crate) struct Audited {
    pub(crate) dir: TempDir,
    _server: Running,
}

impl Audited {
    /// With these lines in the table of the ledger, and these above the first table.
    pub(crate) fn new(table: &str, above: &str) -> Self {
        let (server, url) = reference_server("both");
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "{above}\n[upstream.bank]\nurl = \"{url}\"\n[audit]\nplain_arguments = [\"bank/add\"]\n{table}\n"
        );
        fs::write(dir.path().join("portolan.toml"), text).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        Self { dir, _server: server }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("portolan.toml")
    }

    fn serving(&self) -> Command {
        let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        serving.arg(self.config()).env("STATE_DIRECTORY", self.dir.path());
        serving
    }

    pub(crate) fn serve(&self) -> Gateway {
        Gateway::spawn(&mut self.serving())
    }

    pub(crate) fn audit(&self, task: &str, args: &[&str]) -> Ended {
        let mut audit = command(&["audit", task]);
        audit.arg(self.config()).args(args).env("STATE_DIRECTORY", self.dir.path());
        finish(&mut audit)
    }

    pub(crate) fn records(&self, args: &[&str]) -> Vec<Value> {
        let said = self.audit("query", &[&["--json"], args].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let records: Vec<_> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let schema = Schema::read();
        records.iter().for_each(|record| schema.holds(record));
        records
    }

    /// The sums that the ledger has a call for.
    fn sums(&self) -> BTreeSet<u32> {
        let calls = self.records(&["--type", "call", "--tool", "add"]);
        let arguments = calls.iter().filter_map(|call| call["arguments"]["json"].as_str());
        arguments
            .map(|text| serde_json::from_str::<Value>(text).unwrap()["a"].as_u64().unwrap() as u32)
            .collect()
    }
}

pub(crate) fn end(mut gateway: Gateway) {
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
}

#[test]
fn a_call_is_written_down_and_the_ledger_verifies() {
    let audited = Audited::new("witness = \"elsewhere/witness.jsonl\"", "");
    let gateway = audited.serve();
    let mut socket = Socket::connect(&gateway.url).unwrap();
    // What its server says of a tool is known when it was listed.
    socket.ask("tools/list", None, &modern("tools/list", "")).unwrap();
    socket.until("\"add\"").unwrap();
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 20, 22).unwrap();
    assert!(answer.contains("42"), "{answer}");
    let calls = audited.records(&["--server", "bank", "--outcome", "ok", "--tool", "add", "--since", "1h"]);
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(call["principal"]["anonymous"], true);
    assert_eq!(
        (&call["method"], &call["id"], &call["route"]),
        (&"tools/call".into(), &1.into(), &"main".into())
    );
    assert_eq!((&call["era"], &call["thing"]["kind"]), (&"modern".into(), &"tool".into()));
    assert_eq!((&call["address"], &call["revision"]), (&"127.0.0.1".into(), &"2026-07-28".into()));
    assert_eq!(call["arguments"]["json"], "{\"a\":20,\"b\":22}");
    for text in ["arguments", "result"] {
        let digest = call[text]["digest"].as_str().unwrap();
        assert!(digest.starts_with("hmac-sha256:") && digest.len() == 76, "{digest}");
    }
    assert!(
        call["definition"]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")),
        "{call}"
    );
    end(gateway);
    let verified = audited.audit("verify", &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(
        verified.stdout.ends_with("nothing was altered, removed, reordered or cut off\n"),
        "{verified:?}"
    );
    let kinds: Vec<_> = audited.records(&[]).into_iter().map(|record| record["type"].clone()).collect();
    assert_eq!(kinds, ["start", "configuration", "call", "call", "end", "checkpoint"]);
    let csv = audited.audit("export", &["--format", "csv"]).stdout;
    assert!(
        csv.starts_with("time,replica,seq,") && csv.lines().count() == 3 && csv.contains(",bank,add,"),
        "{csv}"
    );
    let shown = audited.audit("query", &["--type", "call"]).stdout;
    assert!(shown.contains(" ok         anonymous  tools/call bank add "), "{shown}");
    // A stranger has the directory, the public key and the witness.
    let mut key = command(&["audit", "key"]);
    let key = finish(key.env("STATE_DIRECTORY", audited.dir.path())).stdout;
    let (ledger, witness) =
        (audited.dir.path().join("audit"), audited.dir.path().join("elsewhere/witness.jsonl"));
    let stranger = |key: &str| {
        let mut verify = command(&["audit", "verify", "--key", key, "--json", "--dir"]);
        finish(verify.arg(&ledger).arg("--witness").arg(&witness))
    };
    assert_eq!(stranger(key.trim()).code, Some(0));
    let id = format!("{}/{}", call["replica"].as_str().unwrap(), call["seq"]);
    let mut prove = command(&["audit", "prove", &id]);
    let proof = finish(prove.arg(audited.config())).stdout;
    let file = audited.dir.path().join("proof.json");
    fs::write(&file, &proof).unwrap();
    let check = || finish(command(&["audit", "check-proof", "--key", key.trim()]).arg(&file));
    assert!(check().code == Some(0) && check().stdout.contains("tools/call"), "{:?}", check());
    fs::write(&file, proof.replace("durationUs", "durationus")).unwrap();
    assert!(check().code == Some(1) && check().stdout.starts_with("BAD: "), "{:?}", check());
    let other = format!("ed25519:{}", "ab".repeat(32));
    assert_eq!(stranger(&other).code, Some(1));
    tamper(&ledger);
    let verified = audited.audit("verify", &[]);
    assert!(
        verified.code == Some(1) && verified.stdout.contains("line 5, record 4: record 3 was altered"),
        "{verified:?}"
    );
}

fn segments(ledger: &Path) -> Vec<PathBuf> {
    let replicas = fs::read_dir(ledger).unwrap().map(|replica| replica.unwrap().path());
    let files = replicas.flat_map(|replica| fs::read_dir(replica).unwrap().map(|file| file.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

fn tamper(ledger: &Path) {
    let path = segments(ledger).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\\\"a\\\":20", "\\\"a\\\":21")).unwrap();
}

/// No file may get longer: as if the disk were full, for this process only.
#[test]
fn on_a_full_disk_calls_are_refused_and_then_not() {
    let audited = Audited::new("", "");
    let serving = audited.serving();
    let mut limited = Command::new("bash");
    // Without the signal a write fails, as on a full disk.
    limited
        .args(["-c", "trap '' XFSZ; ulimit -S -f 24; exec \"$0\" \"$@\"", PORTOLAN])
        .args(serving.get_args());
    limited.envs(serving.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let gateway = Gateway::spawn(&mut limited);
    let mut socket = Socket::connect(&gateway.url).unwrap();
    let mut answered = BTreeSet::new();
    let refused = (0..1000).find_map(|a| {
        let (answer, stays) = socket.add("add", a, 1).unwrap();
        if !stays {
            socket = Socket::connect(&gateway.url).unwrap();
        }
        if answer.contains("audit_unavailable") {
            return Some((a, answer));
        }
        answered.insert(a);
        None
    });
    let (first, answer) = refused.unwrap();
    assert!(
        first > 3 && answer.contains("-31563") && answer.contains("may have been done"),
        "{first} {answer}"
    );
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 5000, 1).unwrap();
    assert!(answer.contains("this is not done") && answer.contains("\"notProcessed\":true"), "{answer}");
    let ready = gateway.ask_admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(r#""why":"audit_unavailable""#), "{ready}");
    assert!(ready.contains("File too large"), "{ready}");
    let process = gateway.running.id().to_string();
    let freed = Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited"]).output().unwrap();
    assert!(freed.status.success(), "{freed:?}");
    eventually("it is ready again", || gateway.readiness() == 200);
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 6000, 1).unwrap();
    assert!(answer.contains("6001"), "{answer}");
    end(gateway);
    assert_eq!(audited.audit("verify", &[]).code, Some(0));
    let sums = audited.sums();
    assert!(
        answered.is_subset(&sums) && sums.contains(&6000) && sums.contains(&first) && !sums.contains(&5000),
        "{sums:?}"
    );
    assert_eq!(audited.records(&["--type", "gap"])[0]["refused"], 1);
}

#[test]
fn what_comes_is_followed() {
    let audited = Audited::new("", "");
    let gateway = audited.serve();
    let add = |a| {
        let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", a, 1).unwrap();
        assert!(answer.contains("\"result\""), "{answer}");
    };
    add(10);
    let mut tail = command(&["audit", "tail", "--json", "--type", "call", "--since", "1h"]);
    let mut tail = Running::spawn(tail.arg(audited.config()).env("STATE_DIRECTORY", audited.dir.path()));
    assert!(tail.stdout.next().contains("\\\"a\\\":10"), "what was before");
    for a in 11..14 {
        add(a);
        assert!(tail.stdout.next().contains(&format!("\\\"a\\\":{a}")), "and what comes, once");
    }
    tail.signal(Signal::SIGKILL);
    end(gateway);
}

/// The store is a witness, too.
#[test]
fn the_store_sees_what_was_cut_off() {
    let audited = Audited::new("", "store = \"sqlite:portolan.db\"");
    let add = |gateway: &Gateway| {
        let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
        assert!(answer.contains("\"result\""), "{answer}");
    };
    let gateway = audited.serve();
    add(&gateway);
    let metrics = gateway.ask_admin("/metrics");
    assert!(metrics.contains("portolan_audit_witness_away{witness=\"store\"} 0"), "{metrics}");
    // Who verifies meanwhile finds nothing wrong.
    assert_eq!(audited.audit("verify", &[]).code, Some(0));
    end(gateway);
    let path = segments(&audited.dir.path().join("audit")).remove(0);
    let before = fs::read(&path).unwrap();
    let gateway = audited.serve();
    add(&gateway);
    end(gateway);
    let verified = audited.audit("verify", &[]);
    assert!(
        verified.code == Some(0) && verified.stdout.contains("the witness has seen 2 of them"),
        "{verified:?}"
    );
    assert!(verified.stdout.ends_with("reordered or cut off\n"), "{verified:?}");
    fs::write(&path, before).unwrap();
    let verified = audited.audit("verify", &[]);
    assert!(verified.code == Some(1) && verified.stdout.contains("the end was cut off"), "{verified:?}");
    // Who goes on from there says so, and makes another chain.
    let gateway = audited.serve();
    (0..5).for_each(|_| add(&gateway));
    end(gateway);
    assert!(audited.records(&["--type", "start"]).iter().any(|start| start["witnessed"].is_u64()));
    let verified = audited.audit("verify", &[]);
    assert!(
        verified.code == Some(1) && verified.stdout.contains("the chain was written anew"),
        "{verified:?}"
    );
}

/// What was recorded can be decided anew.
#[cfg(feature = "policy")]
#[test]
fn recorded_calls_are_simulated() {
    let audited = Audited::new("", "policy = \"rules.cedar\"");
    let rules = |text: &str| fs::write(audited.dir.path().join("rules.cedar"), text).unwrap();
    rules("permit (principal, action, resource);");
    let gateway = audited.serve();
    for _ in 0..2 {
        let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
        assert!(answer.contains("\"result\""), "{answer}");
    }
    end(gateway);
    let simulate = || {
        let mut simulate = command(&["policy", "simulate"]);
        simulate.arg(audited.config()).arg("--audit").arg(audited.dir.path().join("audit")).arg("--json");
        finish(&mut simulate)
    };
    assert_eq!(simulate().code, Some(0), "{:?}", simulate());
    rules(
        r#"permit (principal, action, resource);
           @id("small") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"bank/add")
           unless { context.arguments.hasTag("/a") && context.arguments.getTag("/a") has integer && context.arguments.getTag("/a").integer > 1 };"#,
    );
    let changed = simulate();
    assert!(changed.code == Some(1) && changed.stdout.contains(r#""changed":2"#), "{changed:?}");
    assert!(changed.stdout.contains(r#""policies":["small"]"#), "{changed:?}");
}

/// What is decided is written with what is refused.
#[cfg(feature = "policy")]
#[test]
fn who_decided_is_written_down() {
    let audited = Audited::new("", "policy = \"rules.cedar\"\ndenials = \"explain\"");
    let rules = "@id(\"all\")\npermit (principal, action, resource);\n\
                 @id(\"no-add\")\nforbid (principal, action == Mcp::Action::\"call\", resource == Mcp::Tool::\"bank/add\");\n";
    fs::write(audited.dir.path().join("rules.cedar"), rules).unwrap();
    let gateway = audited.serve();
    let (answer, _) = Socket::connect(&gateway.url).unwrap().add("add", 1, 2).unwrap();
    assert!(answer.contains("error"), "{answer}");
    let calls = audited.records(&["--type", "call"]);
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    let decision = &call["decision"];
    assert_eq!(
        (&decision["allowed"], &decision["by"]),
        (&false.into(), &serde_json::json!(["no-add"])),
        "{call}"
    );
    assert!(decision["version"].as_str().is_some_and(|version| version.len() == 64), "{call}");
    assert_eq!(call["outcome"], "policy", "{call}");
    end(gateway);
}

#[test]
fn mistakes_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("portolan.toml");
    fs::write(&config, "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n").unwrap();
    let ask = |args: &[&str]| {
        finish(
            command(&[&["audit"], args].concat()).current_dir(dir.path()).env("STATE_DIRECTORY", dir.path()),
        )
    };
    let none = ask(&["verify"]);
    assert!(none.code == Some(2) && none.stderr.contains("write [audit] into it"), "{none:?}");
    fs::write(&config, "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n[audit]\n").unwrap();
    let empty = ask(&["query"]);
    assert!(empty.code == Some(4) && empty.stderr.contains("there is no ledger yet"), "{empty:?}");
    fs::create_dir(dir.path().join("audit")).unwrap();
    let no_key = ask(&["verify"]);
    assert!(no_key.code == Some(4) && no_key.stderr.contains("with --key"), "{no_key:?}");
    let no_time = ask(&["query", "--since", "yesterday"]);
    assert!(no_time.code == Some(2) && no_time.stderr.contains("is no time"), "{no_time:?}");
    let logins = ask(&["export", "--format", "csv", "--type", "login"]);
    assert!(logins.code == Some(2) && logins.stderr.contains("only calls"), "{logins:?}");
    // One good key does not make up for a file that has none.
    fs::write(dir.path().join("empty.pub"), "\n").unwrap();
    let good = format!("ed25519:{}", "ab".repeat(32));
    let keyless = ask(&["verify", "--key", &good, "--key", "empty.pub"]);
    assert!(keyless.code == Some(2) && keyless.stderr.contains("has no public key"), "{keyless:?}");
    let vain = ask(&["verify", "--key", &good]);
    assert!(vain.code == Some(2) && vain.stderr.contains("there is no ledger in"), "{vain:?}");
}
