//! Which servers are held to what was pinned of their tools, and where that stands.

use std::sync::Arc;

use base::plan::pins::{LockText, PinMode, PinRule, PinsPlan, Quarantined, Suspicious};
use store::Place;

use super::Lowering;
use crate::file::{self, Config};
use crate::node::At;
use crate::read::Entry;
use crate::template::Template;

impl Lowering<'_, '_> {
    /// What is said of pins.
    pub(super) fn pins(&mut self, config: &Config, store: Option<&Place>) -> PinsPlan {
        let defaults = config.defaults.as_ref().map(|given| &given.value);
        let common = (
            defaults.and_then(|given| given.pins.as_ref()),
            defaults.and_then(|given| given.quarantined.as_ref()),
        );
        let mut servers = Vec::new();
        let mut first = None;
        for Entry { name, value } in config.upstream.iter().flat_map(|given| &given.value.0) {
            let Some(At { value: given, .. }) = value else { continue };
            if given.disabled.as_ref().is_some_and(|disabled| disabled.value) {
                continue;
            }
            let pins = given.pins.as_ref().or(common.0);
            let quarantined = given.quarantined.as_ref().or(common.1);
            let mode = match pins.map(|pins| pins.value) {
                None | Some(file::Pins::Off) => None,
                Some(file::Pins::Warn) => Some(PinMode::Warn),
                Some(file::Pins::Quarantine) => Some(PinMode::Quarantine),
            };
            let own = given.quarantined.as_ref().filter(|own| own.value != file::Quarantined::Withheld);
            if let (Some(own), false) = (own, mode == Some(PinMode::Quarantine)) {
                let text = format!("nothing of upstream {:?} is quarantined", name.value);
                self.findings.warning(own.span, text).help("pins = \"quarantine\"");
            }
            let own = given.suspicious.as_ref().filter(|own| own.value == file::Suspicious::Withhold);
            if let (Some(own), None) = (own, mode) {
                let text = format!("nobody looks whether anything of upstream {:?} is odd", name.value);
                self.findings.warning(own.span, text).help("pins = \"quarantine\"");
            }
            let Some(mode) = mode else { continue };
            first = first.or_else(|| pins.map(|pins| pins.span));
            let quarantined = match quarantined.map(|given| given.value) {
                None | Some(file::Quarantined::Withheld) => Quarantined::Withheld,
                Some(file::Quarantined::AsPinned) => Quarantined::AsPinned,
            };
            let suspicious = given.suspicious.as_ref();
            let suspicious = suspicious.or_else(|| defaults.and_then(|given| given.suspicious.as_ref()));
            let suspicious = match suspicious.map(|given| given.value) {
                None | Some(file::Suspicious::Report) => Suspicious::Report,
                Some(file::Suspicious::Withhold) => Suspicious::Withhold,
            };
            servers.push(PinRule { server: name.value.clone(), mode, quarantined, suspicious });
        }
        let file = config.pins_file.as_ref().and_then(|given| self.lock_text(given));
        match (first, &config.pins_file) {
            (Some(span), None) if store.is_none() && config.store.is_none() => {
                self.findings.error(span, "there is nowhere to keep what is pinned").help(
                    "pins_file = \"portolan.lock\" above the first table, for a file in version control, or store = \"sqlite:portolan.db\"",
                );
            }
            (None, Some(given)) => {
                self.findings
                    .warning(given.span, "no upstream is held to what is pinned")
                    .help("pins = \"quarantine\", under [defaults] or an upstream");
            }
            _ => {}
        }
        PinsPlan { file, servers }
    }

    /// What the lock file has. It may be yet to be written.
    fn lock_text(&mut self, given: &At<Template>) -> Option<LockText> {
        let path = self.path(given)?;
        if path.exists() {
            let text = self.outside.text(&path, given.span, self.findings)?;
            return Some(LockText { path, text: Arc::from(text) });
        }
        self.outside.depends_on(&path);
        let text = format!("{} is not there, so that nothing is pinned", path.display());
        self.findings
            .warning(given.span, text)
            .help("`portolan pins lock` writes it, from what the servers say now");
        Some(LockText { path, text: "".into() })
    }
}
