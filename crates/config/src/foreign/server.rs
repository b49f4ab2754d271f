//! One server of another client's file.

use super::client::Client;
use super::env_file;
use crate::file::{Selection, Texts, Transport, Upstream};
use base::nearest::nearest;

use crate::findings::Findings;
use crate::node::{At, Member, Node, Span, Value};
use crate::outside::{self, Outside};
use crate::read::{self, Entries, Entry, Read};
use crate::template::{self, Dialect, Surroundings, Template};
use crate::value::Command;

/// What is for a client's user and not for a gateway.
const FOR_CLIENTS: &[&str] = &[
    "$schema",
    "alwaysAllow",
    "autoApprove",
    "description",
    "dev",
    "displayName",
    "gallery",
    "icon",
    "id",
    "name",
    "title",
    "trust",
    "version",
];
/// How clients sign in to servers.
const SIGN_IN: &[&str] = &["auth", "authProviderType", "headersHelper", "oauth"];
/// Everything that is read.
const READ: &[&str] = &[
    "args",
    "baseUrl",
    "command",
    "connectionTimeout",
    "cwd",
    "disabled",
    "disabledTools",
    "enabled",
    "enabledTools",
    "env",
    "envFile",
    "excludeTools",
    "headers",
    "httpUrl",
    "includeTools",
    "initTimeout",
    "isActive",
    "serverUrl",
    "startup_timeout_ms",
    "startup_timeout_sec",
    "timeout",
    "tool_timeout_sec",
    "tools",
    "transport",
    "type",
    "url",
];
/// What other clients call it.
const ALIASES: &[(&str, &str)] = &[
    ("cmd", "command"),
    ("endpoint", "url"),
    ("environment", "env"),
    ("envs", "env"),
    ("http_headers", "headers"),
    ("uri", "url"),
];
/// The members that are a URL; the first that is there is taken.
const URLS: &[&str] = &["httpUrl", "serverUrl", "url", "baseUrl"];

/// A member of a server, under the name that it has in most clients' files.
pub(super) type Given<'n> = (&'n str, &'n Member);

/// The members of a server, those of its parts among them.
pub(super) fn members<'n>(node: &'n Node, client: &Client) -> Vec<Given<'n>> {
    let mut all = Vec::new();
    for member in node.members().unwrap_or_default() {
        let key = client.common(&member.key.value);
        match (key, member.value.members()) {
            // So Cline 3 writes it, and so Zed once did.
            ("transport", Some(parts)) => {
                all.extend(parts.iter().map(|part| (client.common(&part.key.value), part)));
            }
            ("command", Some(parts)) => all.extend(parts.iter().map(|part| match part.key.value.as_str() {
                "path" => ("command", part),
                other => (other, part),
            })),
            ("requestOptions", Some(parts)) => {
                all.extend(
                    parts.iter().filter(|part| part.key.value == "headers").map(|part| ("headers", part)),
                );
            }
            _ => all.push((key, member)),
        }
    }
    all
}

/// A server that is being read.
pub(super) struct Server<'s, 'a, 'o> {
    pub(super) upstream: Upstream,
    pub(super) surroundings: &'s Surroundings,
    pub(super) client: &'static Client,
    pub(super) findings: &'s mut Findings<'a>,
    pub(super) outside: &'s mut Outside<'o>,
}

impl Server<'_, '_, '_> {
    /// Reads one member of it.
    pub(super) fn member(&mut self, (key, member): Given<'_>) {
        let node = &member.value;
        match key {
            "command" => {
                self.note("command", member);
                self.upstream.command = self.command(node);
            }
            "args" => {
                self.note("args", member);
                self.upstream.args = self.list(node);
            }
            "env" => {
                self.note("env", member);
                self.upstream.env = self.table(node);
            }
            "headers" => {
                self.note("headers", member);
                let headers = self.table(node);
                headers.into_iter().flat_map(|headers| headers.value.0).for_each(|one| self.add_header(one));
            }
            "cwd" => {
                self.note("directory", member);
                self.upstream.directory = self.text(node);
            }
            "disabled" => self.switch(node, true),
            "enabled" | "isActive" => self.switch(node, false),
            "env_vars" => self.inherited(node),
            _ if self.credential(key, member) || self.time(key, node) => {}
            "tools" | "includeTools" | "enabledTools" => {
                let names: Option<At<Texts>> = self.read(node);
                self.tools(node.span).include = names;
            }
            "excludeTools" | "disabledTools" => {
                let names: Option<At<Texts>> = self.read(node);
                self.tools(node.span).exclude = names;
            }
            // What several servers of a YAML file have in common would be missing from each.
            "<<" => {
                self.upstream.written.strange = true;
                self.findings
                    .error(member.key.span, "merge keys are not followed")
                    .help("write the members themselves");
            }
            "source" if node.text() == Some("extension") => {
                self.upstream.written.strange = true;
                self.findings
                    .error(node.span, "the server's program is in an extension of Zed, and not in this file");
            }
            "" => {}
            _ if FOR_CLIENTS.contains(&key) || READ.contains(&key) || self.client.its_own.contains(&key) => {}
            _ if SIGN_IN.contains(&key) => {
                self.findings
                    .warning(
                        member.key.span,
                        format!("{key:?} is not followed: Portolan does not sign in to servers"),
                    )
                    .help("give the server a credential by \"headers\"");
            }
            _ => {
                let finding = self.findings.warning(member.key.span, format!("unknown member {key:?}"));
                let alias = ALIASES.iter().find(|(alias, _)| *alias == key).map(|(_, meant)| *meant);
                if let Some(meant) = alias.or_else(|| nearest(key, READ.iter().copied())) {
                    finding.help(format!("did you mean {meant:?}?"));
                }
            }
        }
    }

    /// Reads the members that depend on each other.
    pub(super) fn finish(&mut self, members: &[Given<'_>]) {
        let find = |key: &str| members.iter().find(|(name, _)| *name == key).map(|(_, member)| *member);
        let url = URLS.iter().find_map(|key| find(key));
        if let Some(member) = url {
            self.note("url", member);
            self.upstream.url = self.text(&member.value);
            self.unix_socket(&member.value);
        }
        if let Some(member) = find("type").or_else(|| find("transport")) {
            self.transport(member, url);
        }
        let disabled = self.upstream.disabled.as_ref().is_some_and(|disabled| disabled.value);
        if let Some(member) = find("envFile").filter(|_| !disabled) {
            self.env_file(&member.value);
        }
    }

    pub(super) fn note(&mut self, key: &'static str, member: &Member) {
        self.upstream.written.note(key, member.key.span);
    }

    fn read<T: Read>(&mut self, node: &Node) -> Option<At<T>> {
        At::read(node, self.findings)
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, expected: &str) {
        let help = read::instead(node, expected);
        let finding =
            self.findings.error(node.span, format!("expected {expected}, found {}", node.value.kind()));
        if let Some(help) = help {
            finding.help(help);
        }
    }

    /// Whether it is switched off: once is enough, where a file says it in two ways.
    fn switch(&mut self, node: &Node, off: bool) {
        let Some(At { value, span }) = self.read::<bool>(node) else { return };
        if value == off || self.upstream.disabled.is_none() {
            self.upstream.disabled = Some(At { value: value == off, span });
        }
    }

    /// Names of variables that the program gets, or tables that name them.
    fn inherited(&mut self, node: &Node) {
        self.upstream.written.note("inherit_env", node.span);
        let Some(items) = node.items() else { return self.wrong_kind(node, "a list of names") };
        let mut names = Vec::new();
        for item in items {
            let name = item.member("name").map_or(item, |name| &name.value);
            match name.text() {
                Some(text) => names.push(At { value: text.to_owned(), span: name.span }),
                None => self.wrong_kind(name, "the name of an environment variable"),
            }
        }
        self.upstream.inherit_env = Some(At { value: names, span: node.span });
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<At<Template>> {
        let Some(text) = node.text() else {
            self.wrong_kind(node, "text in quotes");
            return None;
        };
        let dialect = Dialect::Foreign(self.surroundings);
        Some(At { value: Template::parse(text, node.span, &dialect, self.findings), span: node.span })
    }

    fn list(&mut self, node: &Node) -> Option<At<Vec<At<Template>>>> {
        let Value::List(items) = &node.value else {
            self.wrong_kind(node, "a list");
            return None;
        };
        let items = items.iter().filter_map(|item| self.text(item)).collect();
        Some(At { value: items, span: node.span })
    }

    pub(super) fn table(&mut self, node: &Node) -> Option<At<Entries<Template>>> {
        let Some(members) = node.members() else {
            self.wrong_kind(node, "names and values");
            return None;
        };
        // VS Code takes numbers for what they look like, and null for nothing.
        let value = |server: &mut Self, node: &Node| match &node.value {
            Value::Whole(number) => {
                Some(At { value: Template::literal(&number.to_string()), span: node.span })
            }
            Value::Boolean(is) => Some(At { value: Template::literal(&is.to_string()), span: node.span }),
            Value::Null => None,
            _ => server.text(node),
        };
        let entries = members
            .iter()
            .map(|member| Entry { name: member.key.clone(), value: value(self, &member.value) })
            .collect();
        Some(At { value: Entries(entries), span: node.span })
    }

    fn command(&mut self, node: &Node) -> Option<At<Command>> {
        let words = match &node.value {
            Value::List(_) => self.list(node)?.value,
            _ => vec![self.text(node)?],
        };
        Some(At { value: Command { words }, span: node.span })
    }

    fn tools(&mut self, span: Span) -> &mut Selection {
        &mut self.upstream.tools.get_or_insert_with(|| At { value: Selection::default(), span }).value
    }

    fn transport(&mut self, member: &Member, url: Option<&Member>) {
        let Some(kind) = member.value.text() else { return self.wrong_kind(&member.value, "text in quotes") };
        let span = member.value.span;
        let (needs, has) = match kind {
            "stdio" | "local" => ("command", self.upstream.written.key("command").is_some()),
            "http" | "streamable-http" | "streamableHttp" | "streamable_http" | "shttp" | "remote" => {
                ("url", url.is_some())
            }
            "sse" => {
                self.upstream.transport = Some(At { value: Transport::Sse, span });
                ("url", url.is_some())
            }
            _ => {
                let finding = self.findings.error(span, format!("there is no transport {kind:?}"));
                finding.help("there are \"stdio\", \"http\" and \"sse\"");
                return;
            }
        };
        // Some editors write both and go by the type.
        if has {
            self.upstream.written.forget(if needs == "url" { "command" } else { "url" });
        } else if url.is_some() || self.upstream.written.key("command").is_some() {
            self.findings
                .error(span, format!("a server of type {kind:?} needs a {needs}"))
                .help(format!("give it a {needs}, or leave out the type"));
        }
    }

    /// VS Code writes the URL of a Unix socket so: `unix:///path/to/server.sock#/path/of/the/url`.
    fn unix_socket(&mut self, node: &Node) {
        let Some(socket) = node.text().and_then(|text| text.strip_prefix("unix://")) else { return };
        let (socket, path) = socket.split_once('#').unwrap_or((socket, "/"));
        let at = |value| Some(At { value, span: node.span });
        let dialect = Dialect::Foreign(self.surroundings);
        self.upstream.socket = at(Template::parse(socket, node.span, &dialect, self.findings));
        self.upstream.url = at(Template::literal(&format!("http://localhost{path}")));
    }

    /// Reads the variables of a file. Those that stand in `env` itself win, so they come after.
    fn env_file(&mut self, node: &Node) {
        let Some(text) = self.text(node) else { return };
        let Some(path) = template::resolve_open(&text.value, self.outside, self.findings) else { return };
        let path = self.outside.path(&path);
        let Some(content) = self.outside.text(&path, node.span, self.findings) else { return };
        outside::private(&path, node.span, self.findings);
        let mut entries = Vec::new();
        for line in env_file::lines(&content) {
            match line {
                Ok((name, value)) => entries.push(Entry {
                    name: At { value: name.clone(), span: node.span },
                    value: Some(At { value: Template::from_elsewhere(name, value), span: node.span }),
                }),
                Err(number) => {
                    let message = format!("line {number} of {} is not NAME=value", path.display());
                    self.findings.warning(node.span, message);
                }
            }
        }
        let env = self.upstream.env.get_or_insert_with(|| At { value: Entries::default(), span: node.span });
        entries.append(&mut env.value.0);
        env.value.0 = entries;
    }
}
