//! The layers inside of each crate: which room may import which, what may not go round in circles, who may start tasks,
//! and what a name means. `cargo run -p xtask -- circles` shows all of it; `planted.rs` shows that these rules find
//! something.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use xtask::arrows::arrows;
use xtask::circles::{Count, circles, rooms};
use xtask::doubles::doubles;
use xtask::floors::{climbs, unlisted};
use xtask::known::Known;
use xtask::pages::missing;
use xtask::sizes::lines;
use xtask::spawns::spawns;
use xtask::tree::Tree;
use xtask::{reading, sources};

/// The rooms of each crate (top-level modules, a folder with its file is one), from the ground up. A room imports only
/// from those that stand before it. What climbs today is listed in `known/climbs.txt`.
const FLOORS: &[(&str, &str)] = &[
    ("approvals", "text people question form visit page lib"),
    (
        "auth",
        "said_claim claims principal approval refusal identify definition action allowance testing view decide lib",
    ),
    (
        "base",
        "sync visible digest clock era start_places lasting moment withheld fault globs redact define pin masks plan checks names nearest uris descriptors aside owned_task metrics expiry detail traces sink world error random reply cache bulkhead \
         under_way lib",
    ),
    ("bench", "wire say look fault process load echo cases yard report run main"),
    ("catalog", "caller catalog changes lib"),
    ("chaos", "say record fault servers dice judge report client ground load blows run main"),
    (
        "cli",
        "columns print machine meant schema exit allocations fault arrivals texts signals show outside inherit recording traced shared moments log policies locked arguments replies given words \
         reference serve targets client follow peer stdio keys api_keys approvals revoke issuers token replicas top demo ask list fetch read prompt discover gated pins_command audit_command trace check convert policy_command call \
         args lib main",
    ),
    (
        "config",
        "source node secret diagnostic findings syntax read outside template value file schema lower \
         foreign convert load lib",
    ),
    ("gateway", "forward tasks own outcome route call flow bridge live listener assembly lib"),
    (
        "identity",
        "fault percent spiffe x509 url strict shown jwk api_key revocations jws replays nonce token proof tokens refused certificates carried proxies testing fetch discover introspect missing_keys issuer resource identifier lifetime scoped inspect identities lib",
    ),
    (
        "ledger",
        "hash merkle line key chain place medium recover disk teller witness reach payload seek shelf queue writer record ledger compare verify query tail proof spool payloads schema lib",
    ),
    ("views", "exposition sample page waterfall lib"),
    (
        "sinks",
        "receiver format form cursor rejected shared post files bulk splunk datadog generic objects syslog otlp make runner feed lib",
    ),
    ("limits", "pace key lease tally replicas limit loops limiter lib"),
    (
        "mcp",
        "version template sse method json uris headers mirror trace repair reject cache meta tolerant jsonrpc notify \
         listen glance lines call outbound inbound answer prebuilt mrtr list discover era legacy lib",
    ),
    ("pins", "words hidden canonical book lock difference place checks alike waiting server pins lib"),
    (
        "policy",
        "fault pointers number arguments reads leaf near ask rule allowances schema memory verdict said who thing context shape standing load policies approval places doubts remarks unmet sight attach lib",
    ),
    ("portolan-fuzz", "targets lib"),
    (
        "reference-server",
        "seal changes answer tool page calls world question rounds resources server http live tools prompts methods \
         modern legacy stdio lib",
    ),
    ("replay", "budget recording stream stored recordings recorder lib"),
    ("replica", "replica lib"),
    ("rmcp-peer", "resources ask tasks tools prompts fixture main bin"),
    (
        "store",
        "seal place fault sql store sweep streams migrate sessions revocations api_keys approvals limits pins checkpoints replicas notices sqlite postgres keys keeper lib",
    ),
    ("telemetry", "collector facts measures sampling spans queue lib"),
    ("testkit", "authority spawn net postgres lines json clock http server transcript lib"),
    ("transport", "workers wire spell descriptors net tls memory child lines http lib"),
    (
        "upstream",
        "temper order notices link failed eras health departed ask unsolicited backlog arrival suspense challenge shared \
         last_words pipe stdio sse http own hop notification_stream answer upstream send health_check patience retry lib",
    ),
    (
        "xtask",
        "sources tree visitor reading arrows circles floors spawns doubles pages known sizes report lib main",
    ),
];

/// Where tasks and threads may be started that no `TaskTracker` owns, each with its reason. What else starts them today is
/// listed in `known/spawns.txt`.
const SPAWNS: &[(&str, &str)] = &[
    ("crates/transport/", "it owns sockets and child processes, and what serves them"),
    ("crates/store/", "it owns the connections to databases"),
    ("crates/testkit/", "tests"),
    ("crates/cli/src/log/repeats.rs", "a line of the log is due later, and a log has no runtime"),
    (
        "crates/cli/src/outside.rs",
        "the first random number is drawn beside the start, before there is a runtime",
    ),
    (
        "crates/cli/src/recording.rs",
        "opens the ledger, which may take its time, and is waited for; its witness asks the store",
    ),
    ("crates/cli/src/replies.rs", "reads the terminal, and is waited for"),
    ("crates/cli/src/serve/follow.rs", "looks at files, and is waited for"),
    ("crates/cli/src/traced.rs", "sends what is left of traces at the end, and is waited for"),
    ("crates/base/src/aside.rs", "the room for long work: bounded, and waited for"),
    (
        "crates/ledger/src/ledger.rs",
        "the one thread that writes, which is waited for at the end, and one that watches it",
    ),
    ("crates/ledger/src/teller.rs", "tells a witness, which may hang for ever, and is waited for at the end"),
    (
        "crates/sinks/src/feed.rs",
        "a thread for each sink: its disk or its receiver may hang, and nothing else waits for it",
    ),
    ("crates/base/src/owned_task.rs", "ends with its owner, who holds it"),
];

/// Pages that are cited and stand elsewhere.
const PAGES: &[(&str, &str)] = &[
    ("clients.md", "interop/ writes it to its out/"),
    ("suite.md", "interop/ writes it to its out/"),
    ("works-through.md", "interop/ writes it to its out/"),
    ("readme.md", "a resource in an example"),
];

/// Type names that several files of a crate may have for their own.
const DOUBLES: &[(&str, &str)] =
    &[("Inner", "what the clones of a handle share: private to its file, and never told to anybody")];

/// Lines of a crate without tests. Whoever needs more needs another crate.
const MOST_LINES: usize = 14_000;
const LARGE: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn trees() -> Vec<Tree> {
    let crates = sources::crates(&root()).unwrap();
    let trees: Vec<Tree> = crates.iter().map(|one| reading::read(one).unwrap()).collect();
    assert!(trees.iter().any(|tree| tree.name == "gateway"), "no crates are found");
    trees
}

/// How much a line weighs that ends with how many there are.
fn last_number(line: &str) -> usize {
    line.rsplit(' ').next().unwrap().parse().unwrap_or_default()
}

/// Those that the product is made of.
fn product() -> impl Iterator<Item = Tree> {
    trees().into_iter().filter(|tree| {
        tree.name != "testkit" && tree.files.iter().all(|file| file.path.starts_with("crates/"))
    })
}

#[test]
fn no_room_imports_from_above_itself() {
    let floors: BTreeMap<&str, Vec<&str>> =
        FLOORS.iter().map(|(name, rooms)| (*name, rooms.split_whitespace().collect())).collect();
    let trees = trees();
    let names: BTreeSet<&str> = trees.iter().map(|tree| tree.name.as_str()).collect();
    assert_eq!(names, floors.keys().copied().collect(), "a crate without floors, or floors without a crate");
    let (mut found, mut said) = (BTreeSet::new(), Vec::new());
    for tree in &trees {
        let floors = &floors[tree.name.as_str()];
        assert_eq!(unlisted(tree, floors), Vec::<String>::new(), "{}: FLOORS", tree.name);
        for climb in climbs(tree, &arrows(tree), floors) {
            said.push(climb.to_string());
            found.insert(format!("{}: {} -> {}", tree.name, climb.from, climb.to));
        }
    }
    let checked = Known::list("climbs.txt").check(found.into_iter().collect());
    assert!(checked.is_ok(), "{}\nthe lines that climb: {said:#?}", checked.unwrap_err());
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for tree in trees() {
        let (name, arrows) = (&tree.name, arrows(&tree));
        for circle in circles(&tree, &arrows, Count::Files) {
            let mut names: Vec<&str> =
                circle.files.iter().map(|file| tree.files[*file].name.as_str()).collect();
            names.sort_unstable();
            files.push(format!("{name}: {}", names.join(" ")));
        }
        folders.extend(rooms(&tree, &arrows).iter().map(|circle| format!("{name}: {}", circle.join(" "))));
    }
    let words = |line: &str| line.split_whitespace().count() - 1;
    let checked = [
        Known::list("circles.txt").weighing(words).check(files),
        Known::list("rooms.txt").weighing(words).check(folders),
    ];
    let wrong: Vec<String> = checked.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}\n`cargo run -p xtask -- circles` shows what ties them", wrong.join("\n"));
}

#[test]
fn tasks_and_threads_have_an_owner() {
    let mut unused: BTreeSet<&str> = SPAWNS.iter().map(|(place, _)| *place).collect();
    let (mut found, mut said) = (BTreeMap::<_, usize>::new(), Vec::new());
    for tree in trees().iter().filter(|tree| tree.files.iter().all(|file| file.path.starts_with("crates/"))) {
        for spawn in spawns(tree) {
            let place = SPAWNS.iter().find(|(place, _)| spawn.path.starts_with(place));
            match place {
                Some((place, _)) => drop(unused.remove(place)),
                None => {
                    said.push(spawn.to_string());
                    *found.entry(format!("{} {}", spawn.path, spawn.what)).or_default() += 1;
                }
            }
        }
    }
    let found = found.into_iter().map(|(what, times)| format!("{what} {times}")).collect();
    let checked = Known::list("spawns.txt").weighing(last_number).check(found);
    assert!(checked.is_ok(), "{}\nstarted where nobody owns it: {said:#?}", checked.unwrap_err());
    assert!(unused.is_empty(), "in SPAWNS, and starts nothing: {unused:?}");
}

#[test]
fn a_type_name_means_one_thing_in_a_crate() {
    let mut unused: BTreeSet<&str> = DOUBLES.iter().map(|(name, _)| *name).collect();
    let (mut found, mut said) = (Vec::new(), Vec::new());
    for tree in product() {
        for double in doubles(&tree) {
            if DOUBLES.iter().any(|(name, _)| *name == double.name) {
                unused.remove(double.name.as_str());
                continue;
            }
            said.push(format!("{} {}", double.name, double.at.join(" ")));
            found.push(format!("{}: {} {}", tree.name, double.name, double.files.join(" ")));
        }
    }
    let words = |line: &str| line.split_whitespace().count() - 2;
    let checked = Known::list("doubles.txt").weighing(words).check(found);
    assert!(checked.is_ok(), "{}\nthe names that stand twice: {said:#?}", checked.unwrap_err());
    assert!(unused.is_empty(), "in DOUBLES, and stands nowhere twice: {unused:?}");
}

#[test]
fn no_crate_is_too_large_to_know() {
    for tree in trees() {
        let exception = LARGE.iter().find(|(name, _)| *name == tree.name);
        let (lines, most) = (lines(&tree), exception.map_or(MOST_LINES, |(_, most)| *most));
        assert!(lines <= most, "{}: {lines} lines, more than {most}", tree.name);
        assert!(exception.is_none() || lines > MOST_LINES, "{} needs no line in LARGE any more", tree.name);
    }
}

#[test]
fn what_is_cited_can_be_opened() {
    let listed = sources::listed(&root()).unwrap();
    let mut there: BTreeSet<String> =
        listed.iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    there.extend(PAGES.iter().map(|(page, _)| (*page).to_owned()));
    let read = [".rs", ".md", ".toml"];
    let (mut found, mut said) = (BTreeMap::<_, usize>::new(), Vec::new());
    for path in listed.iter().filter(|path| read.iter().any(|ending| path.ends_with(ending))) {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for cited in missing(path, &text, &there) {
            said.push(cited.to_string());
            *found.entry(format!("{path} {}", cited.page)).or_default() += 1;
        }
    }
    let found = found.into_iter().map(|(what, times)| format!("{what} {times}")).collect();
    let checked = Known::list("pages.txt").weighing(last_number).check(found);
    assert!(checked.is_ok(), "{}\n{said:#?}", checked.unwrap_err());
}
