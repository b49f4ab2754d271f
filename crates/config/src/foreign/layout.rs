//! Where in a file its servers are.

use std::path::{Path, PathBuf};

use super::client::Client;
use crate::findings::Findings;
use crate::node::{At, Member, Node, Span};
use crate::syntax::Syntax;

/// What was found in a file.
pub(super) struct Layout<'n> {
    /// What leads to the servers, for what is said of all of them.
    pub(super) key: Span,
    /// The servers, in the order of the file.
    pub(super) found: Vec<Found<'n>>,
    /// Where VS Code has its inputs, if anywhere.
    pub(super) holder: Option<&'n Node>,
    /// The members of the root that were looked at.
    pub(super) known: Vec<&'static str>,
}

/// A server.
pub(super) struct Found<'n> {
    pub(super) name: At<String>,
    pub(super) node: &'n Node,
    /// The project that it belongs to.
    pub(super) project: Option<PathBuf>,
}

/// The members of a file that may hold servers, by what holds that member.
const BLOCKS: &[&[&str]] = &[
    &["mcpServers"],
    &["servers"],
    &["amp.mcpServers"],
    &["amp", "mcpServers"],
    &["context_servers"],
    &["mcp_servers"],
    &["mcp", "servers"],
    &["mcp"],
    &["extensions"],
];

/// Parts of Goose itself, which are no servers.
const OF_GOOSE: &[&str] = &["builtin", "frontend", "inline_python", "platform"];

/// What holds the servers: the member, and what that is a member of.
pub(super) fn block(root: &Node) -> Option<(&Member, &Node, &'static str)> {
    BLOCKS.iter().find_map(|path| {
        let (last, outer) = path.split_last()?;
        let holder = outer.iter().try_fold(root, |node, key| Some(&node.member(key)?.value))?;
        let member = holder.member(last)?;
        // A server of OpenCode may be called «servers».
        let is_server = *path == ["mcp", "servers"] && member.value.member("type").is_some();
        // The extensions of anything else are no servers.
        let is_strange = *path == ["extensions"]
            && !member
                .value
                .members()
                .unwrap_or_default()
                .iter()
                .any(|one| one.value.member("type").is_some());
        (!is_server && !is_strange).then_some((member, holder, *path.first()?))
    })
}

/// Finds the servers. What is wrong with the places where they stand is said.
pub(super) fn of<'n>(root: &'n Node, syntax: Syntax, findings: &mut Findings<'_>) -> Option<Layout<'n>> {
    let projects = root.member("projects").and_then(|projects| projects.value.members()).unwrap_or_default();
    let projects: Vec<_> =
        projects.iter().filter(|project| project.value.member("mcpServers").is_some()).collect();
    let block = block(root);
    let (key, mut found, holder, first) = match block {
        Some((member, holder, first)) => {
            (member.key.span, servers(member, syntax, findings)?, Some(holder), first)
        }
        None => (projects.first()?.key.span, Vec::new(), None, "mcpServers"),
    };
    for project in projects {
        of_project(project, &mut found, findings);
    }
    Some(Layout { key, found, holder, known: vec![first, "projects"] })
}

/// The servers of a member: by their names, or a list of servers that have names.
fn servers<'n>(member: &'n Member, syntax: Syntax, findings: &mut Findings<'_>) -> Option<Vec<Found<'n>>> {
    if let Some(items) = member.value.items().filter(|_| syntax != Syntax::Json) {
        return Some(listed(items, findings));
    }
    let Some(members) = member.value.members() else {
        let found = member.value.value.kind();
        let message = format!("expected servers by their names, found {found}");
        findings.error(member.value.span, message).help(format!(
            "for example: {:?}: {{ \"files\": {{ \"command\": \"npx\" }} }}",
            member.key.value
        ));
        return None;
    };
    let of_goose = |member: &&Member| {
        let kind = member.value.member("type").and_then(|kind| kind.value.text());
        kind.is_some_and(|kind| OF_GOOSE.contains(&kind))
    };
    let of_goose_alone = member.key.value == "extensions";
    let (parts, servers): (Vec<_>, Vec<_>) =
        members.iter().partition(|member| of_goose_alone && of_goose(member));
    if let Some(first) = parts.first() {
        findings.warning(
            first.key.span,
            format!("{} of these are parts of Goose itself, and no servers", parts.len()),
        );
    }
    let found = |member: &'n Member| Found { name: member.key.clone(), node: &member.value, project: None };
    Some(servers.into_iter().map(found).collect())
}

/// The servers of a list, each with its name in it.
fn listed<'n>(items: &'n [Node], findings: &mut Findings<'_>) -> Vec<Found<'n>> {
    let mut found: Vec<Found<'n>> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let name = name_in_list(index, node);
        let other = At { value: unused(&name.value, &found), span: name.span };
        if other.value != name.value {
            findings.warning(
                name.span,
                format!("another server is called {:?}; this one is {:?} here", name.value, other.value),
            );
        }
        found.push(Found { name: other, node, project: None });
    }
    found
}

/// The name of a server in a list.
pub(super) fn name_in_list(index: usize, node: &Node) -> At<String> {
    let name = node.member("name");
    let name = name.and_then(|name| Some(At { value: name.value.text()?.to_owned(), span: name.value.span }));
    name.unwrap_or_else(|| At { value: format!("server-{}", index + 1), span: node.span })
}

/// The name, or if there is a server of that name, the name with a number.
fn unused(name: &str, found: &[Found<'_>]) -> String {
    let is_free = |name: &String| !found.iter().any(|other| other.name.value == *name);
    let numbered = (2_usize..).map(|number| format!("{name}-{number}"));
    // One of the first that many is free.
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// The servers of a project of Claude Code. One that a project switched off is not used there.
fn of_project<'n>(project: &'n Member, found: &mut Vec<Found<'n>>, findings: &mut Findings<'_>) {
    let Some(servers) = project.value.member("mcpServers") else { return };
    let Some(members) = servers.value.members() else {
        let kind = servers.value.value.kind();
        findings.warning(servers.value.span, format!("expected servers by their names, found {kind}"));
        return;
    };
    let off =
        project.value.member("disabledMcpServers").and_then(|off| off.value.items()).unwrap_or_default();
    let path = Path::new(&project.key.value);
    for member in members {
        let name = &member.key;
        if off.iter().any(|off| off.text() == Some(&name.value)) {
            continue;
        }
        let same = found.iter().find(|other| other.name.value == name.value);
        let mut value = name.value.clone();
        if let Some(other) = same {
            if other.node.says_the_same(&member.value) {
                continue;
            }
            // Two projects may each have their own server of one name.
            let project = path.file_name().unwrap_or_default().to_string_lossy();
            value = unused(&format!("{value}-{project}"), found);
        }
        let name = At { value, span: name.span };
        found.push(Found { name, node: &member.value, project: Some(path.to_owned()) });
    }
}

/// What such a file could say.
pub(super) fn example(client: &Client) -> &'static str {
    match client.syntax {
        Syntax::Json => {
            "for example: { \"mcpServers\": { \"files\": { \"command\": \"npx\", \"args\": [\"…\"] } } }"
        }
        Syntax::Toml => "for example:\n[mcp_servers.files]\ncommand = \"npx\"\nargs = [\"…\"]",
        Syntax::Yaml => "for example:\nmcpServers:\n  - name: files\n    command: npx\n    args: [\"…\"]",
    }
}

/// What one server of such a file could say.
pub(super) fn example_server(client: &Client) -> &'static str {
    match client.syntax {
        Syntax::Json if client.starts_lists() => {
            "for example: \"files\": { \"type\": \"local\", \"command\": [\"npx\", \"…\"] }"
        }
        Syntax::Json => "for example: \"files\": { \"command\": \"npx\", \"args\": [\"…\"] }",
        Syntax::Toml | Syntax::Yaml => example(client),
    }
}
