//! Where durable facts are kept, and the keys of what is handed out.

use base::plan::KeysPlan;
use store::Place;
use store::seal::key::Key;

use super::{LITERAL, Lowering};
use crate::file::Config;
use crate::node::At;
use crate::template::Template;

/// Keys without a file: 64 hexadecimal digits each, in a row. The first seals.
const KEYS_VARIABLE: &str = "PORTOLAN_KEYS";
const NEW_KEY: &str = "a key is 64 hexadecimal digits; `portolan keys new` makes one";

impl Lowering<'_, '_> {
    pub(super) fn store(&mut self, given: Option<&At<Template>>) -> Option<Place> {
        let given = given?;
        let has_password =
            |text: &str| text.split_once('@').is_some_and(|(user, _)| user.matches(':').count() > 1);
        if given.value.as_literal().is_some_and(has_password) {
            let finding = self.findings.warning(given.span, "a secret stands in the file, in this URL");
            finding.help("write ${env:NAME} or ${file:PATH} for it, or for the whole URL");
        }
        let text = self.resolve(given)?;
        let place = match Place::parse(&text, self.outside.base()) {
            Ok(place) => place,
            Err(fault) => {
                self.findings.error(given.span, fault.what).help(fault.help);
                return None;
            }
        };
        if let Place::Sqlite(path) = &place {
            let directory = path.parent().filter(|directory| !directory.is_dir());
            if let Some(directory) = directory {
                let message = format!("the directory {} does not exist", directory.display());
                self.findings.error(given.span, message).help("the file is made; its directory is not");
            } else if path.is_dir() {
                self.findings.error(given.span, format!("{} is a directory", path.display()));
            }
        }
        Some(place)
    }

    pub(super) fn keys(&mut self, config: &Config, place: Option<&Place>) -> KeysPlan {
        let given = config.keys.as_ref();
        let master_at = given.and_then(|keys| keys.value.master.as_ref());
        let master = master_at.and_then(|text| self.key(text));
        let mut secrets = Vec::new();
        if let Some(texts) = given.and_then(|keys| keys.value.secrets.as_ref()) {
            secrets = texts.value.iter().filter_map(|text| self.key(text)).collect();
            if texts.value.is_empty() {
                self.findings.error(texts.span, "a key is missing").help(NEW_KEY);
            }
            if let Some(master) = master_at {
                let message =
                    "keys are either given here or kept in the store, where the master key seals them";
                self.findings.error(master.span, message).label(texts.span, "given here");
            }
        } else if let Some(text) = self.outside.env(KEYS_VARIABLE).filter(|text| !text.trim().is_empty()) {
            let words = text.split([',', ' ', '\n', '\t', '\r']).filter(|word| !word.is_empty());
            let keys: Option<Vec<_>> = words.map(Key::from_text).collect();
            match keys {
                Some(keys) => secrets = keys,
                None => {
                    let message = format!("the environment variable {KEYS_VARIABLE} does not hold keys");
                    self.findings.whole(message).help(NEW_KEY);
                }
            }
        }
        self.keys_fit(config, place);
        KeysPlan { secrets, master }
    }

    /// Whether all who share the store have the same keys.
    fn keys_fit(&mut self, config: &Config, place: Option<&Place>) {
        let written = |name| config.keys.as_ref().and_then(|keys| keys.value.written.key(name));
        if let Some(span) = written("master").filter(|_| config.store.is_none()) {
            self.findings
                .warning(span, "without a store there is nothing that the master key could seal")
                .help("write store = \"…\" above the first table");
        }
        let has_keys = written("master").is_some()
            || written("secrets").is_some()
            || self.outside.env(KEYS_VARIABLE).is_some()
            || config.keys.as_ref().is_some_and(|keys| keys.value.written.strange);
        if let (Some(Place::Postgres(_)), Some(text), false) = (place, &config.store, has_keys) {
            self.findings
                .error(text.span, "replicas that share a store must share their keys, and none are given")
                .help("[keys] master = \"${env:PORTOLAN_MASTER_KEY}\"; `portolan keys new` makes one");
        }
    }

    fn key(&mut self, text: &At<Template>) -> Option<Key> {
        if let Some(literal) = text.value.as_literal().filter(|text| !text.is_empty()) {
            self.outside.secrets.add(literal, LITERAL);
            let finding = self.findings.warning(text.span, "a secret stands in the file");
            finding.help("put it into an environment variable, or a file: \"${env:NAME}\", \"${file:PATH}\"");
        }
        let resolved = self.resolve(text)?;
        let key = Key::from_text(resolved.trim());
        if key.is_none() {
            self.findings.error(text.span, "this is no key").help(NEW_KEY);
        }
        key
    }
}
