//! What it costs to hold a list to its pins, and a call.
#![expect(clippy::expect_used, reason = "a bench that cannot go on must fail")]

use std::hint::black_box;
use std::sync::Arc;

use base::define::digest;
use base::pin::{Listed, Pins};
use base::plan::pins::{LockText, PinMode, PinRule, PinsPlan, Quarantined, Suspicious};
use mcp::method::Kind;
use pins::server::ServerPins;
use pins::{Book, LockFile, PinnedDefinition};

/// As many tools as one server may list in all.
const TOOLS: usize = 10_000;

fn main() {
    divan::main();
}

/// A tool of 1 KB, as they are.
fn entry(number: usize) -> String {
    let says = "Creates an issue in a repository, with a title, a body and labels. ".repeat(6);
    format!(
        r#"{{"name":"tool_{number}","title":"Tool {number}","description":"{says}","inputSchema":{{"type":"object","properties":{{"owner":{{"type":"string","description":"Who owns it"}},"repo":{{"type":"string","description":"Its name"}},"labels":{{"type":"array","items":{{"type":"string"}}}},"draft":{{"type":"boolean"}}}},"required":["owner","repo"],"additionalProperties":false}},"annotations":{{"readOnlyHint":false,"openWorldHint":true}}}}"#
    )
}

fn held() -> (Arc<ServerPins>, Vec<(String, String)>) {
    let entries: Vec<_> = (0..TOOLS).map(|number| (format!("tool_{number}"), entry(number))).collect();
    let mut book = Book::default();
    for (name, entry) in &entries {
        book.pin(Kind::Tool, name, PinnedDefinition::of(entry));
    }
    let lock = LockFile { servers: [("a".to_owned(), book)].into() };
    let file = LockText { path: "portolan.lock".into(), text: lock.render().into() };
    let rule = PinRule {
        server: "a".to_owned(),
        mode: PinMode::Quarantine,
        quarantined: Quarantined::Withheld,
        suspicious: Suspicious::Report,
    };
    let pins = pins::AllPins::alone();
    pins.carry_out(&PinsPlan { file: Some(file), servers: vec![rule] });
    (pins.server("a").expect("a server"), entries)
}

/// All entries of a list: digest and look.
#[divan::bench]
fn list(bencher: divan::Bencher<'_, '_>) {
    let (pins, entries) = held();
    bencher.bench(|| {
        for (name, entry) in &entries {
            let digest = digest(black_box(entry));
            black_box(pins.look(Kind::Tool, name, entry, &digest));
        }
    });
}

/// The same without the digest, which policies take anyway.
#[divan::bench]
fn list_digested(bencher: divan::Bencher<'_, '_>) {
    let (pins, entries) = held();
    let digests: Vec<_> = entries.iter().map(|(_, entry)| digest(entry)).collect();
    bencher.bench(|| {
        for ((name, entry), digest) in entries.iter().zip(&digests) {
            black_box(pins.look(Kind::Tool, name, black_box(entry), digest));
        }
    });
}

/// A call of a tool that is as it was pinned.
#[divan::bench]
fn call(bencher: divan::Bencher<'_, '_>) {
    let (pins, entries) = held();
    let (name, entry) = entries.last().expect("a tool");
    let digest = digest(entry);
    bencher.bench(|| pins.permit(Kind::Tool, black_box(name), Listed::As(&digest)));
}

/// A list is seen for the first time: everything is checked.
#[divan::bench(sample_count = 10)]
fn checks(bencher: divan::Bencher<'_, '_>) {
    let (_, entries) = held();
    bencher.bench(|| {
        for (_, entry) in entries.iter().take(1_000) {
            black_box(pins::checks::check(black_box(entry)));
        }
    });
}
