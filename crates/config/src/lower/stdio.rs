//! Upstreams with a command: what is started, and what it gets to know.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base::plan::StdioReach;
use base::withheld::Withheld;
use transport::child::ChildSpec;

use super::{DAY, LITERAL, Lowering, MINUTE, SECOND};
use crate::file;
use crate::node::At;
use crate::outside::INHERITED;
use crate::read::Entry;
use crate::secret;
use crate::template::{self, Template};

impl Lowering<'_, '_> {
    pub(super) fn stdio(&mut self, name: &str, given: &file::Upstream) -> Option<StdioReach> {
        let words = given.command.as_ref().map(|command| command.value.words.as_slice()).unwrap_or_default();
        let words: Vec<_> = words.iter().map(|word| self.word(word)).collect();
        let args = given.args.as_ref().map(|args| args.value.as_slice()).unwrap_or_default();
        self.argument_secrets(given);
        let args: Vec<_> = args.iter().map(|word| self.word(word)).collect();
        let env = self.environment(name, given);
        let directory = match &given.directory {
            Some(text) => self.directory(text)?,
            None => self.outside.base().to_owned(),
        };
        let idle_after = given.idle_after.as_ref().and_then(|idle| self.bounded(idle, SECOND..=30 * DAY));
        let mut grace = 2 * SECOND;
        self.set(&mut grace, given.stop_grace.as_ref(), SECOND / 100..=5 * MINUTE);

        let command = given.command.as_ref()?;
        let all: Option<Vec<String>> = words.into_iter().chain(args).collect();
        let mut all = all?.into_iter();
        let Some(program) = all.next().filter(|program| !program.is_empty()) else {
            let help = self.command("program", &["argument"]);
            self.findings.error(command.span, "the command is empty").help(help);
            return None;
        };
        let program = self.program(&program, command.span, &env);
        let child = ChildSpec { program, args: all.collect(), env, directory: Some(directory) };
        let withheld = self.withheld(&child.env);
        Some(StdioReach { child, idle_after, grace, withheld })
    }

    fn word(&mut self, word: &At<Template>) -> Option<String> {
        let text = self.resolve(word)?;
        if text.contains('\0') {
            self.findings.error(word.span, "no program can be given a NUL character");
            return None;
        }
        Some(text)
    }

    /// Finds the program, as the system would. That it is missing is a warning: the machine on which a configuration
    /// is checked need not be the one on which it serves.
    fn program(&mut self, program: &str, span: crate::node::Span, env: &BTreeMap<String, String>) -> String {
        if program.contains('/') {
            let path = self.outside.path(program);
            if !is_program(&path) {
                let (why, help) = match path.exists() {
                    true => ("is no program", "name a file that may be executed: chmod +x makes it one"),
                    false => ("does not exist", "install it, or write where it is"),
                };
                self.findings.warning(span, format!("{} {why}", path.display())).help(help);
            }
            return path.to_string_lossy().into_owned();
        }
        let Some(paths) = env.get("PATH") else { return program.to_owned() };
        let found = std::env::split_paths(paths).any(|directory| is_program(&directory.join(program)));
        if !found {
            let mut words = program.split_whitespace();
            let first = words.next().unwrap_or_default();
            let written = self.command(first, &words.collect::<Vec<_>>());
            let finding = self.findings.warning(span, format!("there is no program {program:?} in the PATH"));
            if program.contains(' ') {
                finding.help(format!("no shell splits it into words; write {written}"));
            } else {
                finding.help("install it, or write its whole path");
            }
        }
        program.to_owned()
    }

    fn directory(&mut self, text: &At<Template>) -> Option<std::path::PathBuf> {
        let path = self.path(text)?;
        if !path.is_dir() {
            let home = self.home();
            let finding = self.findings.error(text.span, format!("there is no directory {}", path.display()));
            if path.components().any(|part| part.as_os_str() == "~") {
                finding.help(home);
            } else {
                finding.help("make it, or name another");
            }
        }
        Some(path)
    }

    /// The whole environment of a program: an allow-list of Portolan's own, and what the configuration sets.
    fn environment(&mut self, upstream: &str, given: &file::Upstream) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for name in INHERITED {
            env.extend(self.outside.env(name).map(|value| ((*name).to_owned(), value)));
        }
        let mut names = if self.inherit.network { self.outside.network() } else { Vec::new() };
        names.extend(self.inherit.names.iter().cloned());
        for name in given.inherit_env.iter().flat_map(|names| &names.value) {
            if self.variable_name(name) {
                names.push(name.value.clone());
            }
        }
        for name in names {
            let Some(value) = self.outside.env(&name) else { continue };
            // Beside credentials there is much that is inherited to be seen: languages, directories.
            let user = secret::url_user(&value);
            if let Some(user) = user {
                self.outside.secrets.add(user, &template::reference_to(&name));
            } else if secret::is_credential_name(&name) || secret::is_credential_text(&value) {
                self.outside.secrets.add(&value, &template::reference_to(&name));
            }
            env.insert(name, value);
        }
        for Entry { name, value } in given.env.iter().flat_map(|env| &env.value.0) {
            let valid = self.variable_name(name);
            let Some(value) = value else { continue };
            self.variable_secret(upstream, name, value);
            if let Some(text) = self.word(value).filter(|_| valid) {
                env.insert(name.value.clone(), text);
            }
        }
        env
    }

    /// What is set here, and the program does not get.
    fn withheld(&self, env: &BTreeMap<String, String>) -> Withheld {
        let withheld = |name: &String| !env.contains_key(name);
        Withheld {
            names: self.outside.names().into_iter().filter(withheld).collect(),
            network: self.outside.network().into_iter().filter(withheld).collect(),
            key: if self.foreign() { "--inherit-env" } else { "inherit_env" },
        }
    }

    pub(super) fn variable_name(&mut self, name: &At<String>) -> bool {
        let valid = !name.value.is_empty() && !name.value.contains(['=', '\0', '*']);
        if !valid {
            let finding = self.findings.error(name.span, "this is no name of an environment variable");
            if name.value.contains('*') {
                finding.help("each variable is named; patterns would let secrets through unseen");
            }
        }
        valid
    }

    fn variable_secret(&mut self, upstream: &str, name: &At<String>, value: &At<Template>) {
        let literal = value.value.as_literal().filter(|text| !text.is_empty());
        let Some(text) = literal else { return };
        if secret::is_credential_name(&name.value) || secret::is_credential_text(text) {
            self.outside.secrets.add(text, LITERAL);
            let help = self.place_of_secret("Portolan's environment", "", &name.value);
            self.findings
                .warning(
                    value.span,
                    format!("the secret in {:?} of {upstream:?} stands in the file", name.value),
                )
                .help(help);
        }
    }

    /// Arguments are seen by every user of the machine, so one that is a secret is worse than one in the file.
    fn argument_secrets(&mut self, given: &file::Upstream) {
        let words = given.command.iter().flat_map(|command| &command.value.words);
        let words: Vec<_> = words.chain(given.args.iter().flat_map(|args| &args.value)).collect();
        let mut option = false;
        for word in words {
            let literal = word.value.as_literal().unwrap_or_default();
            let pair = literal.split_once('=').filter(|(name, value)| {
                name.starts_with('-') && secret::is_credential_name(name) && !value.is_empty()
            });
            let follows = option && !literal.is_empty() && !literal.starts_with('-');
            if pair.is_some() || follows || secret::is_credential_text(literal) {
                self.outside.secrets.add(pair.map_or(literal, |(_, value)| value), LITERAL);
                let help = self.secret_argument();
                self.findings
                    .warning(
                        word.span,
                        "a secret stands in the file, and every user of the machine can see it",
                    )
                    .help(help);
            }
            option =
                literal.starts_with('-') && !literal.contains('=') && secret::is_credential_name(literal);
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
