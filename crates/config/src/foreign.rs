//! The files that other clients have, read as if they were Portolan's own: `mcpServers` of Claude Desktop and Code,
//! Cursor, Windsurf, Gemini CLI, Copilot CLI, Cline and Roo; `servers` and `inputs` of VS Code.
//!
//! They were written for somebody else, so what Portolan does not know in them is a warning and not an error. They are
//! only read; what they mean is checked as everything else is.

use std::path::{Path, PathBuf};

use crate::file::{Config, Upstream};
use crate::findings::{Findings, quoted};
use crate::node::{At, Member, Node, Value};
use crate::outside::Outside;
use crate::read::{Entries, Entry};
use crate::template::Surroundings;

mod env_file;
mod server;

use server::Server;

/// Where the servers are: `{"mcpServers": …}`, `{"servers": …}`, and in VS Code's settings `{"mcp": {"servers": …}}`.
fn block(root: &Node) -> Option<(&Member, &Node)> {
    let outer = |key| root.member(key).map(|member| (member, root));
    outer("mcpServers").or_else(|| outer("servers")).or_else(|| {
        let mcp = &root.member("mcp")?.value;
        mcp.member("servers").map(|member| (member, mcp))
    })
}

/// What other members of these files are that have to do with servers and cannot be read yet.
const OTHERS: &[(&str, &str)] = &[
    ("context_servers", "this is how Zed spells it; rename it to \"mcpServers\""),
    ("mcp", "this is how OpenCode spells it; rename it to \"mcpServers\""),
    ("upstream", "Portolan's own configuration is TOML; let the file's name end in .toml"),
];

/// Finds for everything that the parser found wrong the server that it is about.
pub(crate) fn assign(root: &Node, findings: &mut Findings<'_>) {
    for server in block(root).and_then(|(block, _)| block.value.members()).unwrap_or_default() {
        findings.assign(server.value.span, &server.key.value);
    }
}

/// Reads such a file.
pub(crate) fn read(root: &Node, findings: &mut Findings<'_>, outside: &mut Outside<'_>) -> Option<Config> {
    let Some((block, holder)) = block(root) else {
        let other = OTHERS.iter().find_map(|(key, what)| root.member(key).map(|member| (member, *what)));
        let span = other.map_or(root.span, |(member, _)| member.key.span);
        let finding = findings.error(span, "the file has neither \"mcpServers\" nor \"servers\"");
        match other {
            Some((_, what)) => finding.help(what),
            None => finding.help(
                "for example: { \"mcpServers\": { \"files\": { \"command\": \"npx\", \"args\": [\"…\"] } } }",
            ),
        };
        return None;
    };
    others(root, block, findings);
    let surroundings = Surroundings { inputs: inputs(holder, findings), folder: folder(outside.base()) };
    outside.rebase(surroundings.folder.clone());
    let Some(servers) = block.value.members() else {
        let found = block.value.value.kind();
        findings.error(block.value.span, format!("expected servers by their names, found {found}"));
        return None;
    };
    let gemini = is_gemini(findings) || servers.iter().any(|server| server.value.member("httpUrl").is_some());
    let entries = servers
        .iter()
        .map(|member| {
            findings.begin_entry(&member.key.value);
            let value = upstream(&member.value, &surroundings, gemini, findings, outside);
            findings.end_entry();
            Entry { name: member.key.clone(), value }
        })
        .collect();
    let upstream = Some(At { value: Entries(entries), span: block.value.span });
    let mut config = Config { upstream, ..Config::default() };
    if servers.is_empty() {
        let finding = findings.error(block.key.span, "no server is configured");
        finding.help("for example: \"files\": { \"command\": \"npx\", \"args\": [\"…\"] }");
        config.written.strange = true;
    }
    Some(config)
}

fn upstream(
    node: &Node,
    surroundings: &Surroundings,
    gemini: bool,
    findings: &mut Findings<'_>,
    outside: &mut Outside<'_>,
) -> Option<At<Upstream>> {
    let Some(members) = node.members() else {
        findings.error(node.span, format!("expected a server, found {}", node.value.kind()));
        return None;
    };
    let mut server = Server { upstream: Upstream::default(), surroundings, gemini, findings, outside };
    for member in members {
        server.member(member);
    }
    server.finish(members);
    Some(At { value: server.upstream, span: node.span })
}

/// The rest of the file is for the client. That it is not read should be known, but not line by line.
fn others(root: &Node, block: &Member, findings: &mut Findings<'_>) {
    let known = |key: &str| matches!(key, "$schema" | "inputs" | "mcp") || key == block.key.value;
    let others: Vec<&Member> =
        root.members().unwrap_or_default().iter().filter(|m| !known(&m.key.value)).collect();
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
        matches!(name, ".claude" | ".cursor" | ".gemini" | ".idea" | ".kiro" | ".roo" | ".vscode")
    });
    let above = directory.parent().filter(|_| of_editor);
    above.unwrap_or(directory).to_owned()
}

fn is_gemini(findings: &Findings<'_>) -> bool {
    findings.source().path.parent().is_some_and(|directory| directory.ends_with(".gemini"))
}
