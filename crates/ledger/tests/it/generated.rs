//! The page that is made of the table of records.

use std::path::Path;

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/audit-record.md");
    let made = ledger::schema::page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == made, "{} is not current; run this test with UPDATE=1", path.display());
}

#[test]
fn the_configuration_knows_the_types_of_records() {
    let sorted = |mut types: Vec<&'static str>| {
        types.sort_unstable();
        types
    };
    assert_eq!(sorted(ledger::schema::types()), sorted(base::plan::feed::RECORD_TYPES.to_vec()));
}
