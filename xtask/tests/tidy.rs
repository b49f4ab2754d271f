//! The workspace's own rules: which crate may know which, what may be depended on, and what may not be written. What is
//! inside of a crate is looked at by `layers.rs`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate → the crates of ours that it may depend on, as ARCHITECTURE.md draws it.
const ARROWS: &[(&str, &[&str])] = &[
    ("mcp", &[]),
    ("store", &[]),
    ("auth", &["mcp"]),
    ("transport", &["mcp"]),
    ("approvals", &["auth", "base", "mcp", "store"]),
    ("base", &["auth", "mcp", "store", "transport"]),
    ("upstream", &["auth", "base", "mcp", "store", "transport"]),
    ("replay", &["base", "mcp", "store", "transport"]),
    ("identity", &["auth", "base", "mcp", "store", "transport"]),
    ("catalog", &["auth", "base", "identity", "mcp", "replica", "transport", "upstream"]),
    (
        "gateway",
        &[
            "approvals",
            "auth",
            "base",
            "catalog",
            "identity",
            "limits",
            "mcp",
            "pins",
            "replay",
            "replica",
            "store",
            "transport",
            "upstream",
        ],
    ),
    ("replica", &["auth", "base", "mcp", "store", "transport"]),
    ("config", &["base", "mcp", "store", "transport"]),
    ("ledger", &["auth", "base", "mcp"]),
    ("sinks", &["base", "ledger", "mcp", "transport"]),
    ("views", &["base", "ledger", "mcp"]),
    ("limits", &["auth", "base", "mcp", "store"]),
    ("pins", &["base", "mcp", "store"]),
    ("policy", &["auth", "base", "mcp"]),
    ("telemetry", &["base", "mcp", "transport"]),
    ("reference-server", &["mcp", "transport"]),
    ("testkit", &["mcp", "transport"]),
    (
        "cli",
        &[
            "approvals",
            "auth",
            "base",
            "config",
            "gateway",
            "identity",
            "ledger",
            "mcp",
            "pins",
            "policy",
            "reference-server",
            "replica",
            "sinks",
            "store",
            "telemetry",
            "transport",
            "upstream",
            "views",
        ],
    ),
    ("xtask", &[]),
    // They look at Portolan from outside: what it costs, and what becomes of it when it is killed. The database that
    // replicas share is started as tests start theirs.
    ("bench", &["testkit"]),
    ("chaos", &["testkit"]),
];

/// What the protocol library may use: nothing that does I/O, tells the time or runs tasks.
const MCP_MAY_USE: &[&str] = &[
    "base64",
    "bytes",
    "bytestring",
    "http",
    "itoa",
    "memchr",
    "serde",
    "serde_json",
    "smallvec",
    "thiserror",
];

/// Licences that the product may contain.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that stand in the product in two versions, each with its one cause.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "postgres-protocol still takes 0.22 where we have gone to 0.23; for SCRAM's few fields"),
    ("block-buffer", DIGEST_OF_CRC),
    ("crypto-common", DIGEST_OF_CRC),
    ("digest", DIGEST_OF_CRC),
    ("fallible-iterator", "rusqlite has gone to 0.3, tokio-postgres stays at 0.2; one trait each"),
    (
        "getrandom",
        "0.4 is that of tokio-postgres; 0.2 is that of ring, which cargo metadata lists and nothing builds",
    ),
    ("hashbrown", LISTED_BY_SERDE_WITH),
    ("indexmap", LISTED_BY_SERDE_WITH),
    ("jiff", LISTED_BY_SERDE_WITH),
    ("jiff-core", LISTED_BY_SERDE_WITH),
    ("rand", OF_OPENTELEMETRY),
    ("rand_core", OF_OPENTELEMETRY),
    ("schemars", LISTED_BY_SERDE_WITH),
    (
        "synstructure",
        "the macros of asn1-rs, which x509-parser stands on, still take 0.13; they are not in the program",
    ),
    ("syn", "the macros of asn1-rs, which x509-parser stands on, still take 2; they are not in the program"),
    (
        "untrusted",
        "aws-lc-rs still takes 0.7 where rustls-webpki has gone to 0.9; 300 lines without dependencies",
    ),
    ("unicode-width", "miette, whose places of mistakes Cedar has, stays at 0.1; a table and no code"),
];

/// Why two more have.
const OF_OPENTELEMETRY: &str =
    "opentelemetry_sdk draws its ids with 0.9, tokio-postgres its nonces with 0.10";
/// Why those of S3 have two versions.
const DIGEST_OF_CRC: &str = "crc-fast, for object_store, still takes the old traits of md-5; only traits, and only with object storage";

/// Why several have two versions.
const LISTED_BY_SERDE_WITH: &str = "its old version is optional to serde_with, which Cedar stands on: cargo metadata lists it and nothing builds it";

/// Files that may be longer than the cap: flat tables of like things, and what is generated.
const LONG: &[&str] = &[];
const MOST_LINES: usize = 600;
/// Of ARCHITECTURE.md, which is read in ten minutes.
const PAGE_LINES: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    // Offline, so only of this platform: the packages of others are not on this machine.
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--features",
            "cli/full",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(metadata: &Value) -> Vec<&Value> {
    let ids: BTreeSet<&str> = metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    metadata["packages"].as_array().unwrap().iter().filter(|p| ids.contains(text(&p["id"]))).collect()
}

/// The normal (not dev, not build) dependencies of a package.
fn depends_on(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap();
    all.iter().filter(|d| d["kind"].is_null()).map(|d| text(&d["name"]).to_owned()).collect()
}

/// Every package that the binary is made of.
fn product(metadata: &Value) -> Vec<&Value> {
    let nodes: BTreeMap<&str, &Value> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|n| (text(&n["id"]), n)).collect();
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array().unwrap().iter().map(|p| (text(&p["id"]), p)).collect();
    let cli = members(metadata).into_iter().find(|p| p["name"] == "cli").unwrap();
    let mut seen = BTreeSet::new();
    let mut next = vec![text(&cli["id"])];
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dep in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dep["dep_kinds"].as_array().unwrap();
            let here = |kind: &&Value| {
                kind["kind"].is_null()
                    && !text(&kind["target"]).contains("windows")
                    && !text(&kind["target"]).contains("wasm")
            };
            if kinds.iter().any(|kind| here(&kind)) {
                next.push(text(&dep["pkg"]));
            }
        }
    }
    seen.into_iter().map(|id| packages[id]).collect()
}

/// All files of ours with that ending, with their path from the root.
fn files(ending: &str) -> Vec<(String, String)> {
    let ours = xtask::sources::listed(&root()).unwrap().into_iter().filter(|path| path.ends_with(ending));
    ours.filter_map(|path| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text))).collect()
}

#[test]
fn crates_know_only_whom_they_may() {
    let metadata = metadata();
    let arrows: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    let members = members(&metadata);
    let ours: BTreeSet<&str> = members.iter().map(|p| text(&p["name"])).collect();
    assert_eq!(
        ours,
        arrows.keys().copied().collect(),
        "a crate without a line in ARROWS, or a line without a crate"
    );
    for package in members {
        let name = text(&package["name"]);
        let of_ours: BTreeSet<String> =
            depends_on(package).into_iter().filter(|d| ours.contains(d.as_str())).collect();
        let forbidden: Vec<_> = of_ours.iter().filter(|d| !arrows[name].contains(d.as_str())).collect();
        assert!(forbidden.is_empty(), "{name} must not know {forbidden:?}");
    }
}

/// A crate of the drawing is a line `│ name → names │`.
#[test]
fn architecture_draws_the_arrows() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix('│')?.trim_end_matches('│').split_once('→'));
    let drawn: Vec<(&str, BTreeSet<&str>)> = lines
        .map(|(name, to)| (name.trim(), to.split_whitespace().filter(|word| *word != "–").collect()))
        .collect();
    let mut sorted = drawn.clone();
    sorted.sort();
    let mut arrows: Vec<(&str, BTreeSet<&str>)> =
        ARROWS.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    arrows.sort();
    assert_eq!(sorted, arrows, "ARCHITECTURE.md draws other arrows than ARROWS");
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (name, to) in drawn.iter().rev() {
        assert!(to.is_subset(&below), "ARCHITECTURE.md does not draw {name} above what it depends on");
        below.insert(name);
    }
}

/// A path is one from the root, or `crate/file.rs` for `crates/crate/src/file.rs`.
#[test]
fn architecture_is_short_and_names_files_that_are_there() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = page.lines().count();
    assert!(lines <= PAGE_LINES, "ARCHITECTURE.md has {lines} lines, more than {PAGE_LINES}");
    let words = page.split(|c: char| !c.is_alphanumeric() && !"._-/".contains(c));
    let paths: BTreeSet<&str> = words.filter(|word| word.ends_with(".rs")).collect();
    let of_a_crate = |path: &str| {
        let (name, file) = path.split_once('/')?;
        Some(root().join("crates").join(name).join("src").join(file))
    };
    let is_there = |path: &str| root().join(path).exists() || of_a_crate(path).is_some_and(|at| at.exists());
    let missing: Vec<_> = paths.iter().filter(|path| !is_there(path)).collect();
    assert!(
        paths.len() > 20 && missing.is_empty(),
        "ARCHITECTURE.md names, and they are not there: {missing:?}"
    );
}

#[test]
fn the_protocol_library_does_no_io() {
    let metadata = metadata();
    let mcp = members(&metadata).into_iter().find(|p| p["name"] == "mcp").unwrap();
    let extra: Vec<_> = depends_on(mcp).into_iter().filter(|d| !MCP_MAY_USE.contains(&d.as_str())).collect();
    assert!(extra.is_empty(), "mcp must not use {extra:?}");
    for (path, source) in files(".rs").iter().filter(|(path, _)| path.starts_with("crates/mcp/src")) {
        for word in ["std::fs", "std::net", "std::thread", "std::time::Instant", "SystemTime", "async fn"] {
            assert!(!source.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn everything_in_the_product_may_be_shipped() {
    let metadata = metadata();
    for package in product(&metadata) {
        let licence = text(&package["license"]);
        let alternatives = licence.replace(" AND ", " ").replace(['(', ')'], "").replace('/', " OR ");
        let fits = alternatives.split(" OR ").any(|all| {
            all.split_whitespace()
                .filter(|word| !matches!(*word, "WITH" | "LLVM-exception"))
                .all(|one| LICENCES.contains(&one))
        });
        assert!(fits, "{} {}: licence {licence:?}", package["name"], package["version"]);
    }
}

#[test]
fn nothing_stands_in_the_product_twice() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in product(&metadata) {
        versions.entry(text(&package["name"])).or_default().insert(text(&package["version"]));
    }
    let known: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    let twice: BTreeMap<_, _> = versions.iter().filter(|(_, v)| v.len() > 1).collect();
    let new: Vec<_> = twice.iter().filter(|(name, _)| !known.contains(**name)).collect();
    assert!(new.is_empty(), "in several versions, without a reason in DUPLICATES: {new:?}");
    let stale: Vec<_> = known.iter().filter(|name| !twice.contains_key(*name)).collect();
    assert!(stale.is_empty(), "no longer in several versions: {stale:?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in
        table.lines().filter(|line| line.contains('=') && !line.starts_with('#') && !line.contains("path ="))
    {
        let name = line.split('=').next().unwrap().trim();
        assert!(
            architecture.contains(&format!("`{name}`")),
            "{name} has no reason in ARCHITECTURE.md, Dependencies"
        );
    }
    assert!(!manifest.contains("git =") && !manifest.contains("[patch"), "no git dependencies, no patches");
}

#[test]
fn every_crate_keeps_the_lints() {
    for (path, manifest) in files("Cargo.toml")
        .iter()
        .filter(|(path, _)| ["bench/", "chaos/", "crates/", "xtask/"].iter().any(|of| path.starts_with(of)))
    {
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path}");
    }
}

#[test]
fn files_hold_one_subject() {
    let long: Vec<_> = files(".rs")
        .into_iter()
        .filter(|(path, _)| {
            ["bench/", "chaos/", "crates/", "xtask/"].iter().any(|of| path.starts_with(of))
                && !path.contains("/tests")
                && !LONG.contains(&path.as_str())
        })
        .map(|(path, source)| (source.lines().count(), path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:?}");
}

#[test]
fn nothing_is_left_to_do_or_swept_under() {
    // Written apart, so that this file does not contain them.
    let banned = [
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["#[ign", "ore"].concat(),
        ["use crate", "::*"].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
    ];
    for (path, source) in files(".rs").iter().chain(&files(".toml")).chain(&files(".sh")).chain(&files(".md"))
    {
        for word in &banned {
            assert!(!source.contains(word.as_str()), "{path} contains {word}");
        }
    }
}

/// One word per idea.
#[test]
fn names_use_the_words_of_the_house() {
    let banned = ["Manager", "Helper", "Util", "Handler"];
    for (path, source) in files(".rs").iter().filter(|(path, _)| path.starts_with("crates/")) {
        for line in source.lines().map(str::trim_start) {
            let declared = [
                "pub struct ",
                "struct ",
                "pub enum ",
                "enum ",
                "pub trait ",
                "trait ",
                "pub(crate) struct ",
            ];
            let Some(rest) = declared.iter().find_map(|word| line.strip_prefix(word)) else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            assert!(!banned.iter().any(|word| name.ends_with(word)), "{path}: {name}");
        }
    }
}

#[test]
fn there_are_no_mod_files() {
    let found: Vec<_> = files("/mod.rs").into_iter().map(|(path, _)| path).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_docs_link_to_what_is_there() {
    for (path, source) in files(".md") {
        let dir = root().join(&path).parent().unwrap().to_owned();
        for link in source.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(dir.join(target).exists(), "{path} links to {target}, which is not there");
        }
    }
}
