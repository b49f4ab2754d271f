//! Where what was done is written down.

use std::path::{Path, PathBuf};

use base::globs::Globs;
use base::plan::audit::{AuditPlan, Durability, OnFull, PayloadPlan};
use base::redact::Redaction;

use super::identity::texts;
use super::{DAY, GIB, HOUR, KIB, LITERAL, Lowering};
use crate::file::{self, Audit, Config, Texts};
use crate::node::At;
use crate::template::Template;

/// Where it is, if that is not said.
const PATH: &str = "audit";
const SEGMENT: usize = 64 * KIB * KIB;
/// The most places, and the most patterns, that are taken out of what is kept.
const MOST_REDACTED: usize = 64;
/// What a public key for payloads begins with.
const SCHEME: &str = "hpke-x25519:";
/// And a private one, which is to be nowhere near.
const PRIVATE: &str = "hpke-x25519-private:";

impl Lowering<'_, '_> {
    pub(super) fn audit(&mut self, config: &Config) -> Option<AuditPlan> {
        let At { value: given, span } = config.audit.as_ref()?;
        let directory = match &given.path {
            Some(path) => self.path(path)?,
            None => self.outside.path(PATH),
        };
        if directory.exists() && !directory.is_dir() {
            let at = given.path.as_ref().map_or(*span, |path| path.span);
            let text = format!("{} is no directory", directory.display());
            self.findings
                .error(at, text)
                .help("the ledger is many files; name a directory for them, such as path = \"audit\"");
        }
        let mut segment = SEGMENT;
        self.set(&mut segment, given.segment_bytes.as_ref(), 64 * KIB..=4 * GIB);
        let keep = given.keep.as_ref().and_then(|keep| self.bounded(keep, HOUR..=36_500 * DAY));
        let plain_arguments = self.tools(given.plain_arguments.as_ref()).unwrap_or_default();
        let witness = given.witness.as_ref().and_then(|text| self.witness(text, &directory));
        self.hardly_meant(given);
        Some(AuditPlan {
            directory,
            durability: match given.durability.as_ref().map(|given| given.value) {
                None | Some(file::Durability::Process) => Durability::Process,
                Some(file::Durability::Disk) => Durability::Disk,
            },
            on_full: match given.on_full.as_ref().map(|given| given.value) {
                None | Some(file::OnFull::Refuse) => OnFull::Refuse,
                Some(file::OnFull::Drop) => OnFull::Drop,
            },
            segment_bytes: segment.try_into().unwrap_or(u64::MAX),
            keep,
            plain_arguments,
            redaction: self.redaction(given)?,
            payloads: self.payloads(given),
            witness,
        })
    }

    /// What does nothing, or less than whoever wrote it may believe.
    fn hardly_meant(&mut self, given: &Audit) {
        let is_there = |texts: &&At<Texts>| !texts.value.is_empty();
        let redacts = [&given.redact, &given.redact_patterns].into_iter().flatten().find(is_there);
        let has_plain = given.plain_arguments.as_ref().is_some_and(|plain| is_there(&plain));
        let payloads = given.payloads.as_ref();
        if let Some(redacts) = redacts.filter(|_| !has_plain && payloads.is_none()) {
            self.findings.warning(redacts.span, "nothing is kept that this could be taken out of").help(
                "it holds for plain_arguments and [audit.payloads]; the ledger has digests of all else",
            );
        }
        let Some(At { value: payloads, span }) = payloads else { return };
        for (texts, name) in [(&payloads.tools, "tools"), (&payloads.what, "what")] {
            if let Some(texts) = texts.as_ref().filter(|texts| texts.value.is_empty()) {
                self.findings
                    .warning(texts.span, format!("no payloads are kept: {name} is empty"))
                    .help("say what is to be kept, or leave out [audit.payloads]");
            }
        }
        if given.keep.is_some() && payloads.keep.is_none() {
            self.findings
                .warning(*span, "payloads stay for ever, and the records that name them are deleted")
                .help("say keep here, too, such as keep = \"90d\"");
        }
    }

    /// Globs of tools with their servers.
    fn tools(&mut self, given: Option<&At<Texts>>) -> Option<Globs> {
        for glob in given.iter().flat_map(|globs| &globs.value).filter(|glob| !glob.value.contains('/')) {
            self.findings
                .warning(glob.span, "this is the name of no tool: a server's name and a / come first")
                .help("such as \"github/search_*\", or \"github/*\" for all tools of a server");
        }
        self.globs(given)
    }

    /// What is taken out of what is kept. Nothing where it is not known what that is: then nothing may be kept.
    fn redaction(&mut self, given: &Audit) -> Option<Redaction> {
        let places = given.redact.iter().flat_map(|given| &given.value);
        for place in places.filter(|place| !place.value.starts_with('/')) {
            self.findings
                .error(place.span, format!("{:?} is no JSON pointer: it begins with a /", place.value))
                .help("such as \"/password\", \"/items/*/ssn\", or \"/**/token\" for wherever it stands");
        }
        for pattern in given.redact_patterns.iter().flat_map(|given| &given.value) {
            match Redaction::new(&[], std::slice::from_ref(&pattern.value)) {
                Err(error) => {
                    let why = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.findings
                        .error(pattern.span, format!("this is no pattern: {why}"))
                        .help("such as '\\b\\d{16}\\b'; patterns look neither ahead nor back");
                }
                Ok(one) if one.matches_nothing() => {
                    self.findings
                        .error(pattern.span, "this pattern matches where there is nothing")
                        .help("write it so that it takes at least one character");
                }
                Ok(_) => {}
            }
        }
        for given in [&given.redact, &given.redact_patterns].into_iter().flatten() {
            if given.value.len() > MOST_REDACTED {
                self.findings.error(given.span, format!("there may be {MOST_REDACTED} of these"));
            }
        }
        let (places, patterns) = (texts(given.redact.as_ref()), texts(given.redact_patterns.as_ref()));
        match Redaction::new(&places, &patterns) {
            Ok(redaction) => Some(redaction),
            Err(error) => {
                if let (Some(given), false) = (&given.redact_patterns, self.findings.failed()) {
                    self.findings.error(given.span, format!("these patterns are too much: {error}"));
                }
                None
            }
        }
    }

    fn payloads(&mut self, given: &Audit) -> Option<PayloadPlan> {
        let At { value: given, span } = given.payloads.as_ref()?;
        if given.tools.is_none() {
            self.findings
                .error(*span, "of which tools payloads are kept is not said")
                .help("tools = [\"github/*\"], by servers' names and their own names of tools");
        }
        let tools = self.tools(given.tools.as_ref());
        let Some(recipient) = &given.recipient else {
            self.findings
                .error(*span, "payloads are encrypted, and it is not said to whom")
                .help("`portolan audit payload-key new payload.key > payload.pub` makes a key; recipient = \"payload.pub\"");
            return None;
        };
        let recipient = self.recipient(recipient)?;
        let (mut arguments, mut result) = (given.what.is_none(), given.what.is_none());
        for what in given.what.iter().flat_map(|given| &given.value) {
            match what.value.as_str() {
                "arguments" => arguments = true,
                "result" => result = true,
                _ => {
                    let finding = self.findings.error(what.span, "expected \"arguments\" or \"result\"");
                    finding.help("leave it out for both");
                }
            }
        }
        let keep = given.keep.as_ref().and_then(|keep| self.bounded(keep, HOUR..=36_500 * DAY));
        Some(PayloadPlan { tools: tools?, arguments, result, recipient, keep })
    }

    /// The public key itself, or the file with it.
    fn recipient(&mut self, given: &At<Template>) -> Option<[u8; 32]> {
        let said = self.resolve_open(given)?;
        if let Some(key) = public_key(&said) {
            return Some(key);
        }
        let private = "this is a private key: whoever reads it reads all payloads";
        let instead = "name the public key that belongs to it, and take this one away from the gateway";
        if said.trim().starts_with(PRIVATE) {
            self.outside.secrets.add(said.trim(), LITERAL);
            self.findings.error(given.span, private).help(instead);
            return None;
        }
        let help =
            "it is hpke-x25519: and 64 digits; `portolan audit payload-key new` makes one and prints it";
        let path = self.outside.path(&said);
        let text = self.outside.text(&path, given.span, self.findings)?;
        let key = public_key(&text);
        if text.trim().starts_with(PRIVATE) {
            self.findings.error(given.span, private.replacen("this", "in this file", 1)).help(instead);
        } else if key.is_none() {
            let what = format!("{} holds no public key for payloads", path.display());
            self.findings.error(given.span, what).help(help);
        }
        key
    }

    fn witness(&mut self, text: &At<Template>, ledger: &Path) -> Option<PathBuf> {
        let path = self.path(text)?;
        if path.starts_with(ledger) {
            self.findings
                .error(
                    text.span,
                    "the witness stands in the ledger's own directory: who cuts off the one cuts off both",
                )
                .help("name a file on another disk, or that only Portolan may write");
        } else if path.is_dir() {
            self.findings
                .error(text.span, format!("{} is a directory", path.display()))
                .help("name a file in it");
        } else if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
            self.findings
                .error(text.span, format!("the directory {} does not exist", parent.display()))
                .help("the file is made; its directory is not");
        }
        Some(path)
    }
}

/// A public key as a text: the scheme, and its bytes as digits.
fn public_key(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim().strip_prefix(SCHEME)?;
    let mut key = [0; 32];
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).ok().filter(|text| !text.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(key)
}
