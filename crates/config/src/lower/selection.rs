//! Which entries are shown, and under which names.

use std::collections::BTreeMap;

use base::globs::Globs;
use base::plan::Selection;
use globset::GlobBuilder;

use super::Lowering;
use super::naming::NAME_LENGTH;
use crate::file;
use crate::node::At;
use crate::read::Entry;

impl Lowering<'_, '_> {
    pub(super) fn selection(&mut self, what: &str, given: Option<&At<file::Selection>>) -> Selection {
        let Some(At { value: given, .. }) = given else { return Selection::default() };
        Selection {
            include: self.globs(given.include.as_ref()),
            exclude: self.globs(given.exclude.as_ref()),
            rename: self.renames(what, given),
            describe: self.descriptions(given),
        }
    }

    pub(super) fn filter(&mut self, given: Option<&At<file::Filter>>) -> Selection {
        let Some(At { value: given, .. }) = given else { return Selection::default() };
        let include = self.globs(given.include.as_ref());
        Selection { include, exclude: self.globs(given.exclude.as_ref()), ..Selection::default() }
    }

    pub(super) fn globs(&mut self, given: Option<&At<file::Texts>>) -> Option<Globs> {
        let given = given?;
        let mut globs = Vec::new();
        for glob in &given.value {
            match GlobBuilder::new(&glob.value).build() {
                Ok(glob) => globs.push(glob),
                Err(error) => {
                    self.findings.error(glob.span, format!("this is no glob: {}", error.kind()));
                }
            }
        }
        match Globs::new(globs) {
            Ok(globs) => Some(globs),
            Err(error) => {
                self.findings.error(given.span, format!("these globs are too much: {}", error.kind()));
                None
            }
        }
    }

    fn renames(&mut self, what: &str, given: &file::Selection) -> BTreeMap<String, String> {
        let mut renames = BTreeMap::new();
        let entries = given.rename.as_ref().map(|names| names.value.0.as_slice()).unwrap_or_default();
        for (index, Entry { name, value }) in entries.iter().enumerate() {
            let Some(new) = value else { continue };
            if !is_name(&new.value) {
                self.findings
                    .error(new.span, format!("this cannot be the name of a {what}"))
                    .help("a name has 1 to 128 letters, digits, '_', '-' and '.'");
                continue;
            }
            let before = entries.iter().take(index).find(|other| value_of(other) == Some(&new.value));
            if let Some(before) = before {
                self.findings
                    .error(new.span, format!("two {what}s would be named {:?}", new.value))
                    .label(before.name.span, "this is the other");
            } else if let Some(mention) = mention(&new.value, given) {
                // Whether the server has it is not known here. Who mentions it thinks so.
                let renamed = entries.iter().any(|other| other.name.value == new.value);
                if !renamed {
                    self.findings
                        .warning(
                            new.span,
                            format!("if the server has a {what} {:?}, two have that name", new.value),
                        )
                        .label(mention, "it is mentioned here")
                        .help(format!("rename {:?} too, or exclude it", new.value));
                }
            }
            renames.insert(name.value.clone(), new.value.clone());
        }
        renames
    }

    fn descriptions(&mut self, given: &file::Selection) -> BTreeMap<String, String> {
        let renames = given.rename.as_ref().map(|names| names.value.0.as_slice()).unwrap_or_default();
        let mut descriptions = BTreeMap::new();
        for Entry { name, value } in given.describe.iter().flat_map(|given| &given.value.0) {
            let old = renames.iter().any(|rename| rename.name.value == name.value);
            let new = renames.iter().find(|rename| value_of(rename) == Some(&name.value));
            if let Some(new) = new.filter(|_| !old) {
                self.findings
                    .warning(name.span, "descriptions go by the server's own names")
                    .help(format!("write {:?}", new.name.value));
            }
            if let Some(text) = value {
                descriptions.insert(name.value.clone(), text.value.clone());
            }
        }
        descriptions
    }
}

fn value_of(entry: &Entry<String>) -> Option<&String> {
    entry.value.as_ref().map(|value| &value.value)
}

/// Where else the configuration takes a name for one of the server's.
fn mention(name: &str, given: &file::Selection) -> Option<crate::node::Span> {
    let included = given.include.iter().flat_map(|globs| &globs.value).find(|glob| glob.value == name);
    included.map(|glob| glob.span)
}

fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
