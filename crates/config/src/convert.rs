//! Another client's file → one of Portolan's own, which says the same. What refers to a secret goes on to refer to it.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use mcp::json;

use crate::diagnostic::Diagnostic;
use crate::file::{Config, Texts, Transport, Upstream};
use crate::node::At;
use crate::outside::Outside;
use crate::read::{Entries, Entry};
use crate::template::Template;
use crate::value::{Bounded as _, Lasting};

/// What came of it.
#[derive(Debug)]
pub struct Converted {
    /// The text of Portolan's own file, if there is anything to put into it.
    pub text: Option<String>,
    /// What is wrong with the other client's file, and what of it cannot be carried over.
    pub diagnostics: Vec<Diagnostic>,
    /// What is said otherwise in the new file, or has to be done for it.
    pub remarks: Vec<String>,
}

/// A file that is being written.
pub(crate) struct Draft<'d, 'a> {
    outside: &'d Outside<'a>,
    /// The directory in which it will lie, if that is another one: relative paths then begin elsewhere.
    moved: bool,
    text: String,
    remarks: Vec<String>,
    /// The variables that the server which is being written needs, and that are not set.
    lacks: Vec<String>,
}

impl<'d, 'a> Draft<'d, 'a> {
    /// Writes all servers but those that are left out, each with its reason.
    pub(crate) fn write(
        config: &Config,
        left_out: &[(String, String)],
        (from, to): (&Path, &Path),
        outside: &'d Outside<'a>,
    ) -> (String, Vec<String>) {
        let moved = to.parent().is_none_or(|directory| directory != outside.base());
        let mut draft = Self { outside, moved, text: String::new(), remarks: Vec::new(), lacks: Vec::new() };
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        draft.line(&format!("# Made of {name:?} by `portolan convert`."));
        for (name, why) in left_out {
            draft.line(&format!("# Left out: {name:?}: {}", why.replace('\n', " ")));
        }
        let (mut is_any_whole, mut lacking) = (false, Vec::new());
        for Entry { name, value } in config.upstream.iter().flat_map(|upstreams| &upstreams.value.0) {
            let Some(At { value: given, .. }) = value else { continue };
            if left_out.iter().any(|(left, _)| *left == name.value) {
                continue;
            }
            let begin = draft.text.len();
            draft.server(&name.value, given);
            let (is_off, lacks) = (is_disabled(given), std::mem::take(&mut draft.lacks));
            is_any_whole |= !is_off && lacks.is_empty();
            if !is_off && !lacks.is_empty() {
                lacking.push((begin, name.value.clone(), lacks));
            }
        }
        // Without any other there would be nothing to serve, and what is missing is said of each place.
        if is_any_whole {
            // What is put in moves what comes after it.
            lacking.iter().rev().for_each(|(begin, name, lacks)| draft.switch_off(*begin, name, lacks));
            let remark = |(_, name, lacks): &(usize, String, Vec<String>)| {
                format!("{name:?} is written with disabled = true: {}, take that line out", not_set(lacks))
            };
            draft.remarks.extend(lacking.iter().map(remark));
        }
        (draft.text, draft.remarks)
    }

    /// Switches off the server that was written there: as long as variables are not set that it needs, the others can be served.
    fn switch_off(&mut self, begin: usize, name: &str, lacks: &[String]) {
        let header = format!("\n[upstream.{}]\n", key(name));
        let lines = format!("# {}, take out the next line.\ndisabled = true\n", not_set(lacks));
        self.text.insert_str(begin + header.len(), &lines);
    }

    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, "{line}");
    }

    fn server(&mut self, name: &str, given: &Upstream) {
        self.line(&format!("\n[upstream.{}]", key(name)));
        if is_disabled(given) {
            self.line("disabled = true");
        }
        if given.written.key("url").is_some() {
            self.text_of(name, "url", given.url.as_ref());
            self.text_of(name, "socket", given.socket.as_ref());
            if given.transport.as_ref().is_some_and(|transport| transport.value == Transport::Sse) {
                self.line("transport = \"sse\"");
            }
            self.table(name, "headers", given.headers.as_ref());
        } else {
            self.program(name, given);
        }
        if let Some(At { value: tools, .. }) = &given.tools {
            let lists = [("include", tools.include.as_ref()), ("exclude", tools.exclude.as_ref())];
            let lists =
                lists.into_iter().filter_map(|(key, names)| Some(format!("{key} = {}", list(names?))));
            self.inline("tools", &lists.collect::<Vec<_>>());
        }
        if let Some(At { value: times, .. }) = &given.timeouts {
            let all = [("connect", &times.connect), ("list", &times.list), ("call", &times.call)];
            let spelled = |(key, time): (&str, &Option<At<Lasting>>)| {
                let time = time.as_ref()?.value.plain();
                // It is spelled in whole milliseconds.
                let time =
                    std::time::Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                Some(format!("{key} = {}", quote(&Lasting::spell(time))))
            };
            self.inline("timeouts", &all.into_iter().filter_map(spelled).collect::<Vec<_>>());
        }
    }

    /// What is only said of a server that is started.
    fn program(&mut self, name: &str, given: &Upstream) {
        let mut words = given.command.as_ref().map(|command| command.value.words.clone()).unwrap_or_default();
        words.extend(given.args.iter().flat_map(|args| args.value.iter().cloned()));
        let mut quoted = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let text = self.own(name, &word.value);
            let is_path = index == 0 && text.contains('/') && !text.starts_with("${");
            quoted.push(quote(&if is_path { self.path(&text) } else { text }));
        }
        self.line(&format!("command = [{}]", quoted.join(", ")));
        self.table(name, "env", given.env.as_ref());
        if let Some(names) = &given.inherit_env {
            self.line(&format!("inherit_env = {}", list(names)));
        }
        let directory = match &given.directory {
            Some(directory) => {
                let text = self.own(name, &directory.value);
                Some(if text.starts_with("${") { text } else { self.path(&text) })
            }
            // It starts where its file lies.
            None => self.moved.then(|| self.outside.base().display().to_string()),
        };
        if let Some(directory) = directory {
            self.line(&format!("directory = {}", quote(&directory)));
        }
    }

    fn text_of(&mut self, server: &str, key: &str, given: Option<&At<Template>>) {
        if let Some(At { value, .. }) = given {
            let text = self.own(server, value);
            self.line(&format!("{key} = {}", quote(&text)));
        }
    }

    fn table(&mut self, server: &str, name: &str, given: Option<&At<Entries<Template>>>) {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for Entry { name, value } in given.into_iter().flat_map(|given| &given.value.0) {
            let Some(At { value, .. }) = value else { continue };
            let pair = (key(&name.value), quote(&self.own(server, value)));
            // What an env file says, the file itself may say otherwise.
            pairs.retain(|(name, _)| *name != pair.0);
            pairs.push(pair);
        }
        let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        self.inline(name, &pairs);
    }

    fn inline(&mut self, name: &str, pairs: &[String]) {
        if !pairs.is_empty() {
            self.line(&format!("{name} = {{ {} }}", pairs.join(", ")));
        }
    }

    /// A text in Portolan's own spelling.
    fn own(&mut self, server: &str, template: &Template) -> String {
        let mut remarks = Vec::new();
        let text = template.own(self.outside, &|path| self.path(path), &mut remarks);
        for name in template.lacks(self.outside) {
            if !self.lacks.iter().any(|known| known == name) {
                self.lacks.push(name.to_owned());
            }
        }
        for remark in remarks {
            let remark = format!("{server:?}: {remark}");
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
        text
    }

    /// A path that the new file leads to as the old one did.
    fn path(&self, path: &str) -> String {
        if self.moved { self.outside.path(path).display().to_string() } else { path.to_owned() }
    }
}

fn not_set(names: &[String]) -> String {
    let when = if names.len() == 1 { "is not set; when it is" } else { "are not set; when they are" };
    format!("{} {when}", names.join(", "))
}

fn is_disabled(given: &Upstream) -> bool {
    given.disabled.as_ref().is_some_and(|disabled| disabled.value)
}

/// Where a file lies, whether or not it is there.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::env::current_dir().unwrap_or_default().join(path);
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn list(names: &At<Texts>) -> String {
    let names: Vec<_> = names.value.iter().map(|name| quote(&name.value)).collect();
    format!("[{}]", names.join(", "))
}

/// A key of TOML.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quote(name) }
}

/// JSON and TOML write strings alike, but for one character that TOML wants escaped.
fn quote(text: &str) -> String {
    json::quote(text).replace('\u{7f}', "\\u007F")
}
