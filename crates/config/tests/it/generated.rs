//! Files that are made of the sources, and checked in.

use std::path::Path;

use crate::in_crate;

fn is_current(path: &Path, made: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, made).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(checked_in == made, "{} is not current; run this test with UPDATE=1", path.display());
}

#[test]
fn the_schema_is_current() {
    is_current(&in_crate("config.schema.json"), &config::schema());
}

#[test]
fn the_reference_is_current() {
    is_current(&in_crate("../../docs/reference/configuration.md"), &config::reference());
}
