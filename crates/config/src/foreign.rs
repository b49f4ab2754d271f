//! The files that other clients have, read as if they were Portolan's own: JSON of Claude Desktop and Code, Cursor,
//! Windsurf, Gemini CLI, Copilot CLI, Cline, Roo, VS Code, OpenCode, Zed, Crush and Amp, TOML of Codex, YAML of Continue
//! and Goose.
//!
//! They were written for somebody else, so what Portolan does not know in them is a warning and not an error. They are
//! only read; what they mean is checked as everything else is.

use std::path::{Path, PathBuf};

use crate::file::{Config, Upstream};
use crate::findings::{Findings, quoted};
use crate::node::{At, Member, Node, Value};
use crate::outside::Outside;
use crate::read::{Entries, Entry};
use crate::syntax::Syntax;
use crate::template::{Surroundings, Template};

mod client;
mod credentials;
mod env_file;
mod layout;
mod server;
mod times;

pub(crate) use client::Client;

use layout::Found;
use server::Server;

/// Whether a file of Portolan's own syntax is another client's.
pub(crate) fn is_foreign(root: &Node) -> bool {
    let own = |member: &Member| Config::KEYS.contains(&member.key.value.as_str());
    root.member("mcp_servers").is_some() && !root.members().unwrap_or_default().iter().any(own)
}

/// Finds for everything that the parser found wrong the server that it is about.
pub(crate) fn assign(root: &Node, findings: &mut Findings<'_>) {
    let Some((block, ..)) = layout::block(root) else { return };
    for server in block.value.members().unwrap_or_default() {
        findings.assign(server.value.span, &server.key.value);
    }
    // Of two servers of one name nobody knows which is meant.
    for server in block.value.members().unwrap_or_default() {
        findings.assign_word(block.value.span, &server.key.value);
    }
    for (index, server) in block.value.items().unwrap_or_default().iter().enumerate() {
        findings.assign(server.span, &layout::name_in_list(index, server).value);
    }
}

/// Reads such a file.
pub(crate) fn read(
    root: &Node,
    syntax: Syntax,
    findings: &mut Findings<'_>,
    outside: &mut Outside<'_>,
) -> Option<(Config, &'static Client)> {
    let client = Client::of(root, &findings.source().path, syntax);
    let before = findings.failed();
    let Some(layout) = layout::of(root, syntax, findings) else {
        if findings.failed() == before {
            without_servers(root, client, findings);
        }
        return None;
    };
    others(root, &layout.known, findings);
    let inputs = layout.holder.map(|holder| inputs(holder, findings)).unwrap_or_default();
    let folder = folder(outside.base());
    outside.rebase(folder.clone());
    let surroundings = Surroundings { spelling: client.spelling, inputs, folder };
    let mut entries = Vec::new();
    for found in &layout.found {
        findings.begin_entry(&found.name.value);
        let value = upstream(found, &surroundings, client, findings, outside);
        findings.end_entry();
        entries.push(Entry { name: found.name.clone(), value });
    }
    let is_empty = entries.is_empty();
    let upstream = Some(At { value: Entries(entries), span: layout.key });
    let mut config = Config { upstream, ..Config::default() };
    if is_empty {
        findings.error(layout.key, "no server is configured").help(layout::example_server(client));
        config.written.strange = true;
    }
    Some((config, client))
}

/// Says that there are no servers in a file.
fn without_servers(root: &Node, client: &Client, findings: &mut Findings<'_>) {
    match root.member("upstream") {
        Some(own) => findings
            .error(own.key.span, "Portolan's own configuration is TOML")
            .help("let the file's name end in .toml"),
        None => {
            let what = match client.syntax {
                Syntax::Json => "neither \"mcpServers\" nor \"servers\"",
                Syntax::Toml => "no \"mcp_servers\"",
                Syntax::Yaml => "neither \"mcpServers\" nor \"extensions\"",
            };
            findings.error(root.span, format!("the file has {what}")).help(layout::example(client))
        }
    };
}

fn upstream(
    found: &Found<'_>,
    surroundings: &Surroundings,
    client: &'static Client,
    findings: &mut Findings<'_>,
    outside: &mut Outside<'_>,
) -> Option<At<Upstream>> {
    let node = found.node;
    if node.members().is_none() {
        findings.error(node.span, format!("expected a server, found {}", node.value.kind()));
        return None;
    }
    let members = server::members(node, client);
    let mut server = Server { upstream: Upstream::default(), surroundings, client, findings, outside };
    for member in &members {
        server.member(*member);
    }
    server.finish(&members);
    let mut upstream = server.upstream;
    if let Some(project) = found.project.as_ref().filter(|_| upstream.directory.is_none()) {
        let directory = Template::literal(&project.to_string_lossy());
        upstream.directory = Some(At { value: directory, span: found.name.span });
    }
    Some(At { value: upstream, span: node.span })
}

/// The rest of the file is for the client. That it is not read should be known, but not line by line.
fn others(root: &Node, known: &[&'static str], findings: &mut Findings<'_>) {
    let read = known.first().copied().unwrap_or_default();
    let known = |key: &str| matches!(key, "$schema" | "inputs" | "mcp") || known.contains(&key);
    let others: Vec<&Member> =
        root.members().unwrap_or_default().iter().filter(|m| !known(&m.key.value)).collect();
    let (blocks, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|member| matches!(member.key.value.as_str(), "mcpServers" | "servers"));
    for block in blocks {
        findings
            .warning(block.key.span, format!("{:?} is not read, since there is {read:?}", block.key.value))
            .help(format!("move its servers into {read:?}"));
    }
    let Some(first) = others.first() else { return };
    let names = others.iter().take(3).map(|member| member.key.value.as_str());
    let more = if others.len() > 3 { format!(" and {} more", others.len() - 3) } else { String::new() };
    let last = if more.is_empty() { "and" } else { "," };
    let names = quoted(names, last).replace(" , ", ", ");
    findings.warning(first.key.span, format!("nothing but the servers is read; not {names}{more}"));
}

/// VS Code's inputs, and the defaults of those that have any.
fn inputs(holder: &Node, findings: &mut Findings<'_>) -> std::collections::BTreeMap<String, Option<String>> {
    let mut inputs = std::collections::BTreeMap::new();
    let Some(member) = holder.member("inputs") else { return inputs };
    let Value::List(list) = &member.value.value else {
        findings.error(member.value.span, format!("expected a list, found {}", member.value.value.kind()));
        return inputs;
    };
    for input in list {
        let text = |key| input.member(key).and_then(|member| member.value.text());
        match text("id") {
            Some(id) => {
                inputs.insert(id.to_owned(), text("default").map(str::to_owned));
            }
            None => {
                findings.warning(input.span, "this input has no \"id\"");
            }
        }
    }
    inputs
}

/// The folder that an editor would have open: `.vscode/mcp.json` and `.cursor/mcp.json` belong to the one above.
fn folder(directory: &Path) -> PathBuf {
    let of_editor = directory.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        matches!(
            name,
            ".claude"
                | ".cursor"
                | ".gemini"
                | ".github"
                | ".idea"
                | ".kiro"
                | ".qoder"
                | ".qwen"
                | ".roo"
                | ".vscode"
                | ".zed"
        )
    });
    let above = directory.parent().filter(|_| of_editor);
    above.unwrap_or(directory).to_owned()
}
