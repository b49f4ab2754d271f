//! The ledger's table.

use std::time::Duration;

use base::plan::audit::{Durability, OnFull};

use crate::{Files, said, usable};

const A: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";

#[test]
fn without_the_table_there_is_none_and_an_empty_one_is_enough() {
    assert!(usable(A).audit.is_none());
    let plan = usable(&format!("{A}[audit]\n")).audit.unwrap();
    assert!(plan.directory.ends_with("audit") && plan.directory.is_absolute(), "{plan:?}");
    assert_eq!((plan.durability, plan.on_full), (Durability::Process, OnFull::Refuse));
    assert_eq!((plan.segment_bytes, plan.keep, plan.witness), (64 * 1024 * 1024, None, None));
    assert!(!plan.plain_arguments.is_match("a/b"));
}

#[test]
fn everything_can_be_said() {
    let text = format!(
        "{A}[audit]\npath = \"ledger\"\ndurability = \"disk\"\non_full = \"drop\"\nsegment_bytes = \"1MiB\"\nkeep = \"90d\"\n\
         plain_arguments = [\"a/get_*\"]\nwitness = \"seen.jsonl\"\n"
    );
    let plan = usable(&text).audit.unwrap();
    assert_eq!((plan.durability, plan.on_full), (Durability::Disk, OnFull::Drop));
    assert_eq!(plan.keep, Some(Duration::from_secs(90 * 86_400)));
    assert!(plan.plain_arguments.is_match("a/get_x") && !plan.plain_arguments.is_match("b/get_x"));
    assert!(plan.witness.is_some_and(|path| path.ends_with("seen.jsonl")));
}

#[test]
fn what_is_hardly_meant_is_said() {
    let recipient = format!("recipient = \"hpke-x25519:{}\"", "09".repeat(32));
    for (table, message) in [
        ("redact = [\"/a\"]".to_owned(), "nothing is kept that this could be taken out of"),
        ("redact_patterns = ['a']".to_owned(), "nothing is kept that this could be taken out of"),
        (format!("[audit.payloads]\ntools = []\n{recipient}"), "tools is empty"),
        (format!("[audit.payloads]\ntools = [\"a/*\"]\nwhat = []\n{recipient}"), "what is empty"),
        (format!("keep = \"90d\"\n[audit.payloads]\ntools = [\"a/*\"]\n{recipient}"), "stay for ever"),
    ] {
        let loaded = crate::load(&format!("{A}[audit]\n{table}\n"));
        let told = said(&loaded);
        assert!(loaded.plan.is_some() && told.contains(message), "{table}: {told}");
    }
    let all = "keep = \"90d\"\nredact = [\"/a\"]\n[audit.payloads]\ntools = [\"a/*\"]\nkeep = \"9d\"";
    assert!(usable(&format!("{A}[audit]\n{all}\n{recipient}\n")).audit.is_some());
}

#[test]
fn a_private_key_is_not_taken_and_not_shown() {
    let key = format!("hpke-x25519-private:{}", "5c".repeat(32));
    let texts = [
        format!("[audit.payloads]\ntools = [\"a/*\"]\nrecipient = {key:?}"),
        format!("payloads = {{ tools = [\"a/*\"], keep = \"1s\", recipient = {key:?} }}"),
    ];
    for text in texts {
        let told = crate::check(&format!("{A}[audit]\n{text}\n"));
        assert!(told.contains("this is a private key") && !told.contains("5c5c"), "{told}");
    }
    let config = format!("{A}[audit.payloads]\ntools = [\"a/*\"]\nrecipient = \"payload.key\"\n");
    let files = Files::new(&[("portolan.toml", &config), ("payload.key", &key)]);
    let told = said(&files.load("portolan.toml"));
    assert!(told.contains("is a private key") && !told.contains("5c5c"), "{told}");
}

#[test]
fn mistakes_say_what_to_do() {
    for (table, message, help) in [
        ("witness = \"audit/w.jsonl\"", "stands in the ledger's own directory", "on another disk"),
        ("witness = \"none/w.jsonl\"", "does not exist", "its directory is not"),
        ("plain_arguments = [\"get_*\"]", "this is the name of no tool", "github/*"),
        ("segment_bytes = 10", "must be from 64KiB to 4GiB", ""),
        ("keep = \"1m\"", "must be from 1h", ""),
        ("path = \"portolan.toml\"", "is no directory", "name a directory"),
        ("on_full = \"block\"", "refuse", ""),
    ] {
        let files = Files::new(&[("portolan.toml", &format!("{A}[audit]\n{table}\n"))]);
        let told = said(&files.load("portolan.toml"));
        assert!(told.contains(message) && told.contains(help), "{table}: {told}");
    }
}
