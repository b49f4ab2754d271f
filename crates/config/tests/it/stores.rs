//! Where facts are kept, and keys.

use insta::assert_snapshot;

use crate::{check, load, usable};

const SERVER: &str = "[upstream.a]\nurl = \"https://localhost\"\n";

#[test]
fn without_a_store_there_is_none() {
    let plan = usable(SERVER);
    assert!(plan.store.is_none() && plan.keys.secrets.is_empty() && plan.keys.master.is_none());
}

#[test]
fn stores_and_keys_are_read() {
    let key = "0a".repeat(32);
    let env = |name: &str| match name {
        "MASTER" => Some(key.clone()),
        "PASSWORD" => Some("hunter2".to_owned()),
        "PORTOLAN_KEYS" => Some(format!("{},\n{}\n", "01".repeat(32), "02".repeat(32))),
        _ => None,
    };
    let load = |text: &str| {
        let source = config::Source { path: "portolan.toml".into(), text: text.to_owned() };
        let loaded = config::load_text(source, &env);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        loaded.plan.unwrap()
    };
    let plan = load(&format!(
        "store = \"postgres://me:${{env:PASSWORD}}@db/portolan\"\n[keys]\nsecrets = [\"${{env:MASTER}}\"]\n{SERVER}"
    ));
    assert_eq!(plan.store.unwrap().to_string(), "postgres://db/portolan");
    assert_eq!(plan.keys.secrets.len(), 1, "those of the file, not of the environment");
    assert_eq!(load(SERVER).keys.secrets.len(), 2);
    let plan = load(&format!("store = \"sqlite:p.db\"\n{SERVER}"));
    assert!(plan.store.unwrap().to_string().ends_with("/p.db"));
}

#[test]
fn what_is_no_store_is_said() {
    assert_snapshot!(check(&format!("store = \"mysql://me:hunter2@db/portolan\"\n{SERVER}")), @r#"
    portolan.toml:1:9: warning: a secret stands in the file, in this URL
      |
    1 | store = "mysql://••••••••••••••••••••••"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write ${env:NAME} or ${file:PATH} for it, or for the whole URL

    portolan.toml:1:9: error: there is no store of the kind "mysql"
      |
    1 | store = "mysql://••••••••••••••••••••••"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write "sqlite:PATH" or "postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    "#);
    assert_snapshot!(check(&format!("store = \"postgres://me:hunter2@db\"\n{SERVER}")), @r#"
    portolan.toml:1:9: warning: a secret stands in the file, in this URL
      |
    1 | store = "postgres://•••••••••••••"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write ${env:NAME} or ${file:PATH} for it, or for the whole URL

    portolan.toml:1:9: error: the URL names no database
      |
    1 | store = "postgres://•••••••••••••"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write "sqlite:PATH" or "postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    "#);
    assert_snapshot!(check(&format!("store = \"sqlite:/no/such/directory/p.db\"\n{SERVER}")), @r#"
    portolan.toml:1:9: error: the directory /no/such/directory does not exist
      |
    1 | store = "sqlite:/no/such/directory/p.db"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: the file is made; its directory is not
    "#);
    assert_snapshot!(check(&format!("store = \"${{env:NOPE}}\"\n{SERVER}")), @r#"
    portolan.toml:1:10: error: the environment variable NOPE is not set
      |
    1 | store = "${env:NOPE}"
      |          ^^^^^^^^^^^
      = help: set it; if it may be missing, write ${env:NOPE:-default}
    "#);
    assert_snapshot!(check(&format!("{SERVER}store = \"sqlite:p.db\"\n")), @r#"
    portolan.toml:3:1: error: unknown key "store"
      |
    3 | store = "sqlite:p.db"
      | ^^^^^
      = help: it is a key of the whole file: write it above the first table
    "#);
}

#[test]
fn replicas_must_share_their_keys() {
    assert_snapshot!(check(&format!("store = \"postgres://me@db/p\"\n{SERVER}")), @r#"
    portolan.toml:1:9: error: replicas that share a store must share their keys, and none are given
      |
    1 | store = "postgres://•••••••"
      |         ^^^^^^^^^^^^^^^^^^^^
      = help: [keys] master = "${env:PORTOLAN_MASTER_KEY}"; `portolan keys new` makes one
    "#);
    let key = "0a".repeat(32);
    let said = check(&format!(
        "store = \"sqlite:p.db\"\n[keys]\nmaster = \"{key}\"\nsecrets = [\"{key}\", \"tooshort\"]\n{SERVER}"
    ));
    assert!(!said.contains("0a0a") && !said.contains("tooshort"), "{said}");
    assert_snapshot!(said, @r#"
    portolan.toml:3:10: warning: a secret stands in the file
      |
    3 | master = "••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••"
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: put it into an environment variable, or a file: "${env:NAME}", "${file:PATH}"

    portolan.toml:3:10: error: keys are either given here or kept in the store, where the master key seals them
      |
    3 | master = "••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••"
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      :
    4 | secrets = ["••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••", "••••••••"]
      |           -------------------------------------------------------------------------------- given here

    portolan.toml:4:12: warning: a secret stands in the file
      |
    4 | secrets = ["••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••", "••••••••"]
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: put it into an environment variable, or a file: "${env:NAME}", "${file:PATH}"

    portolan.toml:4:80: warning: a secret stands in the file
      |
    4 | secrets = ["••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••", "••••••••"]
      |                                                                                ^^^^^^^^^^
      = help: put it into an environment variable, or a file: "${env:NAME}", "${file:PATH}"

    portolan.toml:4:80: error: this is no key
      |
    4 | secrets = ["••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••••", "••••••••"]
      |                                                                                ^^^^^^^^^^
      = help: a key is 64 hexadecimal digits; `portolan keys new` makes one
    "#);
    assert_snapshot!(check(&format!("[keys]\nmaster = \"${{env:TOKEN}}\"\n{SERVER}")), @r#"
    portolan.toml:2:1: warning: without a store there is nothing that the master key could seal
      |
    2 | master = "${env:TOKEN}"
      | ^^^^^^
      = help: write store = "…" above the first table

    portolan.toml:2:10: error: this is no key
      |
    2 | master = "${env:TOKEN}"
      |          ^^^^^^^^^^^^^^
      = help: a key is 64 hexadecimal digits; `portolan keys new` makes one
    "#);
}

#[test]
fn keys_are_not_shown_by_a_plan() {
    let key = "0a".repeat(32);
    let loaded =
        load(&format!("store = \"postgres://me:hunter2@db/p\"\n[keys]\nmaster = \"{key}\"\n{SERVER}"));
    let shown = format!("{:?}", loaded.plan.unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("0a0a"), "{shown}");
}

#[test]
fn where_other_replicas_come_is_where_they_can() {
    let with = |table: &str| format!("store = \"sqlite:p.db\"\n[replicas]\n{table}\n{SERVER}");
    let plan = usable(&with("listen = \"0.0.0.0:7070\"\nadvertise = \"10.0.0.5:7070\""));
    let replicas = plan.replicas.unwrap();
    assert_eq!(
        (replicas.listen.to_string().as_str(), replicas.advertise.as_deref()),
        ("0.0.0.0:7070", Some("10.0.0.5:7070"))
    );
    assert!(usable(SERVER).replicas.is_none());
    assert!(usable(&with("listen = \"127.0.0.1:0\"")).replicas.unwrap().advertise.is_none());
    for (table, what) in [
        ("listen = \"0.0.0.0:7070\"", "cannot reach 0.0.0.0:7070"),
        ("listen = \"10.0.0.5:7070\"\nadvertise = \"0.0.0.0:7070\"", "cannot reach this address"),
        ("listen = \"10.0.0.5:7070\"\nadvertise = \"10.0.0.5:0\"", "cannot reach this address"),
        ("listen = \"unix:/tmp/r\"", "over TCP"),
        ("", "needs an address"),
    ] {
        let said = check(&with(table));
        assert!(said.contains("error: ") && said.contains(what), "{table}: {said}");
    }
    let alone = check(&format!("[replicas]\nlisten = \"127.0.0.1:0\"\n{SERVER}"));
    assert!(alone.contains("without a store"), "{alone}");
    let durable = check(&format!("[route.main]\ndurable_streams = true\n{SERVER}"));
    assert!(durable.contains("needs a store"), "{durable}");
}

#[test]
fn a_program_is_at_one_replica_where_that_is_said() {
    let single =
        |more: &str| usable(&format!("[upstream.a]\ncommand = \"true\"\n{more}\n")).upstreams[0].single;
    assert!(!single("") && !single("replicas = \"each\"") && single("replicas = \"one\""));
    let remote = check("[upstream.a]\nurl = \"https://localhost\"\nreplicas = \"one\"\n");
    assert!(remote.contains("only for upstreams with a command"), "{remote}");
}
