//! A test of the tests: each rule is given a source that breaks it, and must name the line; and one that does not.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use xtask::arrows::arrows;
use xtask::circles::{Count, circles, knots, rooms};
use xtask::doubles::doubles;
use xtask::floors::{climbs, suggested, unlisted};
use xtask::known::differences;
use xtask::pages::missing;
use xtask::sizes::{self, Sizes};
use xtask::sources::Sources;
use xtask::spawns::spawns;
use xtask::tree::Tree;
use xtask::{reading, report};

fn tree(files: &[(&str, &str)]) -> Tree {
    reading::read(&Sources::planted("house", files)).unwrap()
}

/// Every arrow as `from:line to name`, in the order of the files.
fn arrows_of(tree: &Tree) -> Vec<String> {
    let name = |file: usize| tree.files[file].name.as_str();
    let all = arrows(tree);
    let mut said: Vec<_> = all
        .iter()
        .map(|arrow| format!("{}:{} {} {}", name(arrow.from), arrow.line, name(arrow.to), arrow.path))
        .collect();
    said.sort();
    said
}

fn circles_of(tree: &Tree, count: Count) -> Vec<BTreeSet<&str>> {
    let found = circles(tree, &arrows(tree), count);
    found
        .iter()
        .map(|circle| circle.files.iter().map(|file| tree.files[*file].name.as_str()).collect())
        .collect()
}

fn set<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

const CLEAN: &[(&str, &str)] = &[
    ("lib.rs", "mod ground;\nmod call;\npub use call::Call;\n"),
    ("ground.rs", "pub struct Clock;\npub fn lock() {}\n"),
    (
        "call.rs",
        "use crate::ground::{self, Clock};\nmod relay;\npub struct Call(Clock);\nfn f() { ground::lock() }\n",
    ),
    ("call/relay.rs", "use super::Call;\npub(crate) struct Relay(Call);\n"),
];

#[test]
fn a_clean_house_is_clean() {
    let tree = tree(CLEAN);
    let floors = ["ground", "call", "lib"];
    assert_eq!(unlisted(&tree, &floors), Vec::<String>::new());
    assert_eq!(climbs(&tree, &arrows(&tree), &floors), []);
    assert_eq!(suggested(&tree, &arrows(&tree)).1, []);
    assert_eq!(circles_of(&tree, Count::Strict), Vec::<BTreeSet<&str>>::new());
    assert_eq!(rooms(&tree, &arrows(&tree)), Vec::<Vec<String>>::new());
    assert_eq!(doubles(&tree), []);
    assert_eq!(spawns(&tree), []);
    assert_eq!(
        arrows_of(&tree),
        [
            "call/relay:1 call super::Call",
            "call:1 ground crate::ground::Clock",
            "call:4 ground ground::lock",
            "lib:3 call call::Call",
        ]
    );
}

#[test]
fn a_climb_is_named_with_its_line() {
    let tree = tree(&[
        ("lib.rs", "mod ground;\nmod call;\n"),
        (
            "ground.rs",
            "// use crate::call::Not;\nconst NOT: &str = \"crate::call::f()\";\n\nfn f() {\n    crate::call::g();\n}\n",
        ),
        ("call.rs", "pub fn g() {}\n"),
    ]);
    let found: Vec<String> =
        climbs(&tree, &arrows(&tree), &["ground", "call", "lib"]).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["crates/house/src/ground.rs:5 imports crate::call::g, which stands above it in call"]);
    assert_eq!(
        unlisted(&tree, &["ground", "hall", "ground"]),
        ["ground twice", "call has no floor", "lib has no floor", "hall is no room"]
    );
}

#[test]
fn circles_are_found_over_two_and_three_files() {
    let two = tree(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
        ("b.rs", "pub struct B;\nfn f(_: super::a::A) {}\n"),
    ]);
    assert_eq!(circles_of(&two, Count::Files), [set(&["a", "b"])]);
    assert_eq!(rooms(&two, &arrows(&two)), [["a", "b"]]);
    // Nested, over several lines, and inside of a macro.
    let three = tree(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod ground;\n"),
        (
            "a.rs",
            "use crate::{\n    ground::Clock,\n    b::{\n        self,\n        inner::{Deep as Other},\n    },\n};\npub struct A;\n",
        ),
        ("b.rs", "pub mod inner { pub struct Deep; }\nuse crate::c::*;\n"),
        ("c.rs", "pub(crate) struct C;\nfn f() {\n    println!(\"{:?}\", vec![\n        super::a::A]);\n}\n"),
        ("ground.rs", "pub struct Clock;\n"),
    ]);
    assert_eq!(circles_of(&three, Count::Files), [set(&["a", "b", "c"])]);
    assert_eq!(
        arrows_of(&three),
        [
            "a:2 ground crate::ground::Clock",
            "a:4 b crate::b",
            "a:5 b crate::b::inner::Deep",
            "b:2 c crate::c::*",
            "c:4 a super::a::A",
        ]
    );
    let said = report::whole(&[three]);
    assert!(said.contains("### 3 files:") && said.contains("crates/house/src/c.rs:4 super::a::A"), "{said}");
}

/// What a parent hands on is needed where it is defined, however often it is handed on.
#[test]
fn a_re_export_makes_no_false_circle_and_hides_no_true_one() {
    let files = |relay: &'static str| {
        tree(&[
            ("lib.rs", "mod call;\nmod other;\n"),
            (
                "call.rs",
                "mod relay;\npub(crate) use self::relay::{Relay as Shown};\nuse crate::other::Other;\n",
            ),
            ("call/relay.rs", relay),
            (
                "other.rs",
                "mod again { pub(super) use crate::call::Shown; }\nuse again::Shown;\npub struct Other(Shown);\n",
            ),
        ])
    };
    let open = files("pub(crate) struct Relay;\n");
    assert!(
        arrows_of(&open).contains(&"other:2 call/relay again::Shown".to_owned()),
        "{:?}",
        arrows_of(&open)
    );
    assert_eq!(circles_of(&open, Count::Strict), Vec::<BTreeSet<&str>>::new());
    // Between rooms it goes round all the same: each is one with its folder.
    assert_eq!(rooms(&open, &arrows(&open)), [["call", "other"]]);
    let closed = files("use crate::other::Other;\npub(crate) struct Relay(Other);\n");
    assert_eq!(circles_of(&closed, Count::Files), [set(&["call/relay", "other"])]);
}

#[test]
fn a_folder_is_one_room_with_its_file() {
    let tree = tree(&[
        ("lib.rs", "mod tasks;\n"),
        ("tasks.rs", "mod relay;\nmod name;\nuse relay::Relay;\npub struct Tasks(Relay);\n"),
        ("tasks/relay.rs", "use super::{Tasks, name::Name};\npub struct Relay;\n"),
        ("tasks/name.rs", "use super::relay::Relay;\npub struct Name;\n"),
    ]);
    assert_eq!(circles_of(&tree, Count::Files), [set(&["tasks/name", "tasks/relay"])]);
    assert_eq!(circles_of(&tree, Count::Strict), [set(&["tasks", "tasks/name", "tasks/relay"])]);
    assert_eq!(rooms(&tree, &arrows(&tree)), [["tasks/name", "tasks/relay"]]);
    assert_eq!(climbs(&tree, &arrows(&tree), &["tasks", "lib"]), []);
}

#[test]
fn tests_and_foreign_crates_do_not_count() {
    let tree = tree(&[
        ("lib.rs", "mod a;\nmod b;\nuse http::b::B;\nuse ::b::C;\n#[cfg(not(test))]\nuse a::A;\n"),
        (
            "a.rs",
            "pub struct A;\nimpl A {\n    #[cfg(test)]\n    fn f() { crate::b::g() }\n}\n\n#[cfg(all(test, unix))]\nmod tests {\n    \
             use crate::b::B;\n    struct A;\n    #[test]\n    fn f() { tokio::spawn(B) }\n}\n#[cfg(test)]\nmod other;\n",
        ),
        ("b.rs", "use crate::a::A;\npub struct B;\npub fn g() {}\n"),
    ]);
    assert_eq!(arrows_of(&tree), ["b:1 a crate::a::A", "lib:6 a a::A"]);
    assert_eq!(circles_of(&tree, Count::Strict), Vec::<BTreeSet<&str>>::new());
    assert_eq!((doubles(&tree), spawns(&tree)), (vec![], vec![]));
    let a = tree.files.iter().find(|file| file.name == "a").unwrap();
    assert_eq!(a.lines, 4);
    assert_eq!(sizes::of_functions(&tree), Sizes { median: 1, p90: 1, p95: 1, p99: 1, max: 1 });
}

/// `macro_rules` are found down the tree, and what they write counts where they stand.
#[test]
fn macros_are_needed_where_they_are_defined() {
    let tree = tree(&[
        ("lib.rs", "mod table;\nmod rows;\n"),
        (
            "table.rs",
            "macro_rules! table { () => { $crate::rows::Row } }\npub(crate) use table;\nmod part;\n",
        ),
        ("table/part.rs", "table!();\n"),
        ("rows.rs", "pub struct Row;\nfn f() { crate::table::table!() }\n"),
    ]);
    assert_eq!(
        arrows_of(&tree),
        ["rows:2 table crate::table::table", "table/part:1 table table", "table:1 rows crate::rows::Row"]
    );
}

#[test]
fn the_names_that_tie_a_circle_are_told() {
    let tree = tree(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use crate::b::lock;\npub struct A;\npub struct Also;\n"),
        ("b.rs", "use crate::a::{A, Also};\nuse crate::c::{Also, C};\npub fn lock() {}\n"),
        ("c.rs", "use crate::b::lock;\npub struct C;\npub struct Also;\n"),
    ]);
    let circle = circles(&tree, &arrows(&tree), Count::Files).remove(0);
    let told: Vec<_> =
        knots(&circle).into_iter().map(|knot| (knot.name, knot.importers, knot.left)).collect();
    assert_eq!(told, [("lock".to_owned(), 2, 0)]);
    // b takes more from the others than they from it, so it stands above them, and its name is what they must not import.
    let name = |file: usize| tree.files[file].name.as_str();
    let cuts: Vec<_> = circle.cuts.iter().map(|(from, to)| (name(*from), name(*to))).collect();
    assert_eq!(cuts, [("a", "b"), ("c", "b")]);
}

#[test]
fn a_spawn_is_named_however_it_is_written() {
    let tree = tree(&[
        ("lib.rs", "mod a;\nmod tokio_like;\n"),
        (
            "a.rs",
            "use std::thread::{self, sleep};\nuse tokio::{runtime::Handle, spawn as begin, task};\nfn f() {\n    \
             tokio::spawn(g());\n    task::spawn_local(g());\n    thread::Builder::new();\n    sleep(t);\n    \
             select! { _ = tokio::task::spawn_blocking(h) => {} }\n    Handle::current().spawn(g());\n    \
             self.tasks.spawn(g());\n    crate::tokio_like::spawn();\n}\n",
        ),
        ("tokio_like.rs", "pub fn spawn() {}\n"),
    ]);
    let found: Vec<String> = spawns(&tree).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "crates/house/src/a.rs:2 tokio::spawn",
            "crates/house/src/a.rs:4 tokio::spawn",
            "crates/house/src/a.rs:5 tokio::task::spawn_local",
            "crates/house/src/a.rs:6 std::thread::Builder",
            "crates/house/src/a.rs:8 tokio::task::spawn_blocking",
            "crates/house/src/a.rs:9 tokio::runtime::Handle::current",
        ]
    );
}

#[test]
fn a_double_name_is_named_with_its_places() {
    let tree = tree(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "struct Said;\nfn f() {}\nconst X: u8 = 0;\n"),
        ("b.rs", "mod inner {\n    pub(crate) enum Said {}\n}\nfn f() {}\nconst X: u8 = 0;\n"),
        ("c.rs", "use crate::a::Said;\ntrait Own { type Said; }\nimpl Own for u8 { type Said = Said; }\n"),
    ]);
    let found = doubles(&tree);
    assert_eq!(found.iter().map(|double| double.name.as_str()).collect::<Vec<_>>(), ["Said"]);
    assert_eq!(found[0].at, ["crates/house/src/a.rs:1", "crates/house/src/b.rs:2"]);
}

#[test]
fn a_page_that_is_not_there_is_named() {
    let there = BTreeSet::from(["ARCHITECTURE.md".to_owned()]);
    let source = "//! See ARCHITECTURE.md, and protocol.md §2.\nfn f<'a>(c: char, text: &'a str) {\n    let not = \"craft.md // craft.md\";\n    \
                  let not = r#\"\" // craft.md \"#;\n    let (c, quote) = ('\"', '\\''); // house.md.\n    let r#type = b'/';\n    \
                  /* Appendix E,\n       ground.md /* and */ hall.md */ let x = \"\\\" // craft.md\";\n}\n";
    let found: Vec<_> =
        missing("a.rs", source, &there).into_iter().map(|cited| (cited.line, cited.page)).collect();
    let expected = [(1, "protocol.md"), (5, "house.md"), (7, "Appendix E"), (8, "ground.md"), (8, "hall.md")];
    assert_eq!(found, expected.map(|(line, page)| (line, page.to_owned())));
    let found = missing("a.md", "one\n[two](docs/gone.md#there), appendix of ARCHITECTURE.md\n", &there);
    assert_eq!(found[0].to_string(), "a.md:2 cites gone.md, which is not in the repository");
    assert_eq!(found.len(), 1);
}

#[test]
fn a_list_of_what_is_known_is_exact() {
    let lines = |all: &[&str]| all.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(differences(&lines(&["a", "b"]), &lines(&["b", "a"])), (vec![], vec![]));
    assert_eq!(differences(&lines(&["a", "b"]), &lines(&["a", "c"])), (lines(&["c"]), lines(&["b"])));
    assert_eq!(differences(&lines(&["a", "a"]), &lines(&["a"])), (vec![], lines(&["a"])));
    assert_eq!(differences(&lines(&["a"]), &lines(&["a", "a"])), (lines(&["a"]), vec![]));
}

#[test]
fn percentiles_are_lengths_that_occur() {
    assert_eq!(
        Sizes::of((1..=200).rev().collect()),
        Sizes { median: 100, p90: 180, p95: 190, p99: 198, max: 200 }
    );
    assert_eq!(Sizes::of(vec![7]), Sizes { median: 7, p90: 7, p95: 7, p99: 7, max: 7 });
    assert_eq!(Sizes::of(vec![]), Sizes::default());
}
