//! Whose file it is, and what in it is that client's own way.

use std::path::Path;

use crate::node::Node;
use crate::syntax::Syntax;
use crate::template::spelling::{self, Spelling};

/// A client that has servers in a file.
#[derive(Debug)]
pub(crate) struct Client {
    /// How it spells references.
    pub(crate) spelling: &'static Spelling,
    /// In what its time-outs count.
    pub(super) unit: Unit,
    /// What it calls what others call otherwise.
    names: &'static [(&'static str, &'static str)],
    /// What else it writes that is no business of a gateway.
    pub(super) its_own: &'static [&'static str],
    /// Where a hint is written as for JSON, TOML or YAML.
    pub(crate) syntax: Syntax,
}

/// In what `timeout` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
    /// Milliseconds, for lists and not for calls.
    ListMilliseconds,
    /// Not known: seconds where the number is small, otherwise milliseconds.
    ByItsSize,
}

const ANY: Client = Client {
    spelling: &spelling::ANY,
    unit: Unit::ByItsSize,
    names: &[],
    its_own: &[],
    syntax: Syntax::Json,
};
const EDITOR: Client = Client { spelling: &spelling::EDITOR, ..ANY };
const CLAUDE_DESKTOP: Client =
    Client { spelling: &spelling::CLAUDE_DESKTOP, unit: Unit::Milliseconds, ..ANY };
const CLAUDE_CODE: Client = Client { spelling: &spelling::CLAUDE_CODE, unit: Unit::Milliseconds, ..ANY };
const GEMINI: Client = Client { spelling: &spelling::GEMINI, unit: Unit::Milliseconds, ..ANY };
const QWEN: Client = Client { spelling: &spelling::QWEN, unit: Unit::Milliseconds, ..ANY };
const QODER: Client = Client { spelling: &spelling::QODER, unit: Unit::Milliseconds, ..ANY };
const COPILOT: Client = Client { spelling: &spelling::COPILOT, unit: Unit::Milliseconds, ..ANY };
const KIRO: Client = Client { unit: Unit::Milliseconds, ..ANY };
const ROO: Client = Client { unit: Unit::Seconds, ..EDITOR };
const CLINE: Client = Client { spelling: &spelling::CLINE, unit: Unit::Seconds, ..ANY };
const OPENCODE: Client = Client {
    spelling: &spelling::OPENCODE,
    unit: Unit::ListMilliseconds,
    names: &[("environment", "env")],
    ..ANY
};
const CRUSH: Client = Client {
    spelling: &spelling::CRUSH,
    unit: Unit::Seconds,
    names: &[("disabled_tools", "disabledTools")],
    ..ANY
};
const ZED: Client = Client { its_own: &["settings", "source"], ..ANY };
const CODEX: Client = Client {
    spelling: &spelling::CODEX,
    unit: Unit::Seconds,
    names: &[
        ("disabled_tools", "disabledTools"),
        ("enabled_tools", "enabledTools"),
        ("http_headers", "headers"),
        ("http_headers_helper", "headersHelper"),
        // The approval of each tool.
        ("tools", ""),
    ],
    its_own: &[
        "default_tools_approval_mode",
        "experimental_environment",
        "required",
        "supports_parallel_tool_calls",
    ],
    syntax: Syntax::Toml,
};
const VIBE: Client = Client {
    spelling: &spelling::VIBE,
    unit: Unit::Seconds,
    names: &[("disabled_tools", "disabledTools")],
    its_own: &["prompt", "sampling_enabled"],
    syntax: Syntax::Toml,
};
const CONTINUE: Client = Client {
    spelling: &spelling::CONTINUE,
    unit: Unit::Milliseconds,
    its_own: &["faviconUrl", "sourceFile"],
    syntax: Syntax::Yaml,
    ..ANY
};
const GOOSE: Client = Client {
    spelling: &spelling::GOOSE,
    unit: Unit::Seconds,
    names: &[
        ("available_tools", "enabledTools"),
        ("cmd", "command"),
        ("env_keys", "env_vars"),
        ("envs", "env"),
        ("uri", "url"),
    ],
    its_own: &["bundled", "display_name"],
    syntax: Syntax::Yaml,
};
const FAST_AGENT: Client = Client {
    spelling: &spelling::FAST_AGENT,
    unit: Unit::Seconds,
    names: &[("read_timeout_seconds", "tool_timeout_sec")],
    its_own: &["elicitation", "roots", "sampling"],
    syntax: Syntax::Yaml,
};
/// YAML of nobody in particular.
const YAML: Client = Client { syntax: Syntax::Yaml, ..ANY };

impl Client {
    /// Tells whose file it is, by its path and by what is in it.
    pub(super) fn of(root: &Node, path: &Path, syntax: Syntax) -> &'static Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match syntax {
            Syntax::Toml if root.member("mcp_servers").is_some_and(|all| all.value.items().is_some()) => {
                &VIBE
            }
            Syntax::Toml => &CODEX,
            Syntax::Yaml if root.member("extensions").is_some() => &GOOSE,
            Syntax::Yaml if root.member("mcpServers").is_some_and(|all| all.value.items().is_some()) => {
                &CONTINUE
            }
            Syntax::Yaml if root.member("mcp").is_some() => &FAST_AGENT,
            Syntax::Yaml => &YAML,
            Syntax::Json => Self::of_json(root, path, name),
        }
    }

    fn of_json(root: &Node, path: &Path, name: &str) -> &'static Self {
        let lies_in = |folder: &str| {
            path.parent().is_some_and(|path| path.components().any(|part| part.as_os_str() == folder))
        };
        let any = |is: &dyn Fn(&Node) -> bool| {
            let all = ["mcpServers", "mcp"].iter().find_map(|key| root.member(key)?.value.members());
            all.unwrap_or_default().iter().any(|server| is(&server.value))
        };
        match name {
            ".mcp.json" | ".claude.json" => return &CLAUDE_CODE,
            "claude_desktop_config.json" => return &CLAUDE_DESKTOP,
            "cline_mcp_settings.json" => return &CLINE,
            "mcp-config.json" => return &COPILOT,
            "mcp_config.json" => return &EDITOR,
            "mcp_settings.json" => return &ROO,
            "crush.json" | ".crush.json" => return &CRUSH,
            "opencode.json" | "opencode.jsonc" | "kilo.json" | "kilo.jsonc" => return &OPENCODE,
            _ => {}
        }
        let folders: &[(&str, &Self)] = &[
            (".gemini", &GEMINI),
            (".qwen", &QWEN),
            (".qoder", &QODER),
            (".copilot", &COPILOT),
            (".github", &COPILOT),
            (".kiro", &KIRO),
            (".roo", &ROO),
            (".cursor", &EDITOR),
            (".vscode", &EDITOR),
        ];
        if let Some((_, client)) = folders.iter().find(|(folder, _)| lies_in(folder)) {
            return client;
        }
        if root.member("context_servers").is_some() {
            return &ZED;
        }
        let of_vs_code =
            |mcp: &Node| mcp.member("servers").is_some_and(|all| all.value.member("type").is_none());
        if root.member("mcp").is_some_and(|mcp| of_vs_code(&mcp.value)) {
            return &EDITOR;
        }
        if root.member("mcpServers").is_none() && root.member("mcp").is_some() {
            let of_opencode = |server: &Node| {
                server.member("environment").is_some()
                    || server.member("command").is_some_and(|command| command.value.items().is_some())
                    || server
                        .member("type")
                        .is_some_and(|kind| matches!(kind.value.text(), Some("local" | "remote")))
            };
            return if any(&of_opencode) { &OPENCODE } else { &CRUSH };
        }
        if any(&|server| server.member("transport").is_some_and(|nested| nested.value.members().is_some())) {
            return &CLINE;
        }
        if root.member("mcpServers").is_none() && root.member("servers").is_some() {
            return &EDITOR;
        }
        if any(&|server| server.member("httpUrl").is_some()) { &GEMINI } else { &ANY }
    }

    /// Whether a program and its arguments are one list there.
    pub(crate) fn starts_lists(&self) -> bool {
        self.unit == Unit::ListMilliseconds
    }

    /// What a member is called everywhere else.
    pub(super) fn common<'k>(&self, key: &'k str) -> &'k str {
        self.names.iter().find(|(theirs, _)| *theirs == key).map_or(key, |(_, common)| common)
    }
}
