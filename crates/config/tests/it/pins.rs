//! Pins: which servers are held to them, and where they are kept.

use base::plan::pins::{PinMode, Quarantined, Suspicious};
use insta::assert_snapshot;

use crate::{Files, check, usable};

const A: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";
const B: &str = "[upstream.b]\nurl = \"http://127.0.0.1:2/mcp\"\n";

#[test]
fn what_is_said_for_all_holds_for_those_that_say_nothing() {
    let plan = usable(&format!(
        "store = \"sqlite:portolan.db\"\n[defaults]\npins = \"quarantine\"\nquarantined = \"as-pinned\"\n{A}pins = \"warn\"\n{B}
[upstream.c]\nurl = \"http://127.0.0.1:3/mcp\"\nquarantined = \"withheld\"\n[upstream.d]\nurl = \"http://127.0.0.1:3/mcp\"\npins = \"off\"\n"
    ));
    let said: Vec<_> =
        plan.pins.servers.iter().map(|rule| (rule.server.as_str(), rule.mode, rule.quarantined)).collect();
    assert_eq!(
        said,
        [
            ("a", PinMode::Warn, Quarantined::AsPinned),
            ("b", PinMode::Quarantine, Quarantined::AsPinned),
            ("c", PinMode::Quarantine, Quarantined::Withheld),
        ]
    );
    let odd = usable(&format!(
        "store = \"sqlite:portolan.db\"\n[defaults]\npins = \"warn\"\nsuspicious = \"withhold\"\n{A}{B}suspicious = \"report\"\n"
    ));
    let said: Vec<_> = odd.pins.servers.iter().map(|rule| rule.suspicious).collect();
    assert_eq!(said, [Suspicious::Withhold, Suspicious::Report]);
    assert!(plan.pins.servers.iter().all(|rule| rule.suspicious == Suspicious::Report));
    assert_eq!(plan.pins.file, None);
    assert!(usable(A).pins.servers.is_empty(), "nobody looks unless that is said");
}

#[test]
fn a_lock_file_is_read_and_followed() {
    let config = format!("pins_file = \"portolan.lock\"\n{A}pins = \"quarantine\"\n");
    let files = Files::new(&[("portolan.toml", &config), ("portolan.lock", "{}")]);
    let loaded = files.load("portolan.toml");
    let file = loaded.plan.unwrap().pins.file.unwrap();
    assert_eq!((&*file.text, file.path), ("{}", files.path("portolan.lock")));
    assert!(loaded.files.contains(&files.path("portolan.lock")), "{:?}", loaded.files);
}

#[test]
fn one_that_is_yet_to_be_written_is_followed_too() {
    let config = format!("pins_file = \"portolan.lock\"\n{A}pins = \"quarantine\"\n");
    let files = Files::new(&[("portolan.toml", &config)]);
    let loaded = files.load("portolan.toml");
    assert_eq!(&*loaded.plan.unwrap().pins.file.unwrap().text, "");
    assert!(loaded.files.contains(&files.path("portolan.lock")), "{:?}", loaded.files);
    assert_snapshot!(files.check("portolan.toml"));
}

#[test]
fn mistakes_say_what_to_do() {
    assert_snapshot!("nowhere", check(&format!("{A}pins = \"quarantine\"\n")));
    let nobody = format!("pins_file = \"/none/x.lock\"\n{A}quarantined = \"as-pinned\"\n");
    assert_snapshot!("nobody", check(&nobody));
    let unseen = check(&format!("{A}suspicious = \"withhold\"\n"));
    assert!(unseen.contains("nobody looks whether anything of upstream \"a\" is odd"), "{unseen}");
    assert_snapshot!("unknown", check(&format!("{A}pins = \"quarantined\"\n")));
}
