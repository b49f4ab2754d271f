"""The real clients: where each keeps its servers, how it is started without an account, and what it then shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import HERE, NODE

MODULES = HERE / "real" / "node_modules"
PYTHON_HOME = HERE / "real" / ".venv"
Places = Callable[[Path, str, str], Any]  # of the home, Portolan's URL, the stand-in model's URL


@dataclass(frozen=True)
class RealClient:
    name: str
    package: str
    prepare: Places
    environment: Places
    command: Places
    # Its tools in what it prints; without it, they are those that it offers to the model.
    printed: Callable[[str], list[str]] | None = None

    @property
    def shows_model(self) -> bool:
        return self.printed is None

    def tools(self, output: str) -> list[str]:
        return self.printed(output) if self.printed else []


def missing(client: RealClient) -> str:
    """Why it cannot be run here, if so."""
    if client is FAST_AGENT:
        return "" if PYTHON_HOME.exists() else "it is not installed; it needs Python 3.13"
    return "" if (MODULES / client.package).exists() else "npm could not install it for this platform"


def version(client: RealClient) -> str:
    if client is FAST_AGENT:
        return next(PYTHON_HOME.glob("lib/*/site-packages/fast_agent_mcp-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    return str(json.loads((MODULES / client.package / "package.json").read_text())["version"])


def program(name: str) -> str:
    return str(MODULES / ".bin" / name)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def nothing(home: Path, url: str, model: str) -> dict[str, str]:
    return {}


# ---- each client -----------------------------------------------------------------------------------------------------


def claude_prepare(home: Path, url: str, model: str) -> None:
    write(home / "mcp.json", {"mcpServers": {"portolan": {"type": "http", "url": url}}})


CLAUDE = RealClient(
    "Claude Code",
    "@anthropic-ai/claude-code",
    claude_prepare,
    lambda home, url, model: {
        "ANTHROPIC_BASE_URL": model, "ANTHROPIC_API_KEY": "none", "ENABLE_TOOL_SEARCH": "false",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1",
    },
    lambda home, url, model: [
        program("claude"), "-p", "hi", "--mcp-config", str(home / "mcp.json"), "--strict-mcp-config", "--allowedTools", "mcp__portolan",
    ],
)  # fmt: skip


def codex_prepare(home: Path, url: str, model: str) -> None:
    write(home / ".codex" / "config.toml", f"""
model = "stand-in"
model_provider = "local"
check_for_update_on_startup = false
[model_providers.local]
name = "local"
base_url = "{model}/v1"
wire_api = "responses"
requires_openai_auth = false
[mcp_servers.portolan]
url = "{url}"
# Without it, `exec` asks the model at once, with the servers that happen to be there.
required = true
[analytics]
enabled = false
""")  # fmt: skip


CODEX = RealClient(
    "Codex", "@openai/codex", codex_prepare, nothing,
    lambda home, url, model: [program("codex"), "exec", "--skip-git-repo-check", "hi"],
)  # fmt: skip


def gemini_prepare(home: Path, url: str, model: str) -> None:
    write(home / ".gemini" / "settings.json", {
        # Tools of a server that is not trusted are kept from the model where nobody can be asked.
        "mcpServers": {"portolan": {"type": "http", "url": url, "trust": True}},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False}, "general": {"enableAutoUpdate": False},
    })  # fmt: skip


GEMINI = RealClient(
    "Gemini CLI", "@google/gemini-cli", gemini_prepare,
    lambda home, url, model: {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": model, "GEMINI_CLI_TRUST_WORKSPACE": "true"},
    lambda home, url, model: [program("gemini"), "-m", "stand-in", "--skip-trust", "--approval-mode", "yolo", "-p", "hi"],
)  # fmt: skip


def copilot_prepare(home: Path, url: str, model: str) -> None:
    write(home / ".copilot" / "mcp-config.json", {"mcpServers": {"portolan": {"tools": ["*"], "type": "http", "url": url}}})


COPILOT = RealClient(
    "Copilot CLI", "@github/copilot", copilot_prepare,
    lambda home, url, model: {
        "COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": f"{model}/v1", "COPILOT_MODEL": "stand-in",
        "COPILOT_PROVIDER_MAX_PROMPT_TOKENS": "100000", "COPILOT_PROVIDER_MAX_OUTPUT_TOKENS": "1000", "COPILOT_AUTO_UPDATE": "false",
    },
    lambda home, url, model: [program("copilot"), "--allow-all-tools", "-p", "hi"],
)  # fmt: skip


def opencode_prepare(home: Path, url: str, model: str) -> None:
    local = {
        "npm": "@ai-sdk/openai-compatible", "name": "local", "options": {"baseURL": f"{model}/v1"},
        "models": {"stand-in": {"name": "stand-in"}},
    }  # fmt: skip
    write(home / ".config" / "opencode" / "opencode.json", {
        "autoupdate": False, "share": "disabled", "mcp": {"portolan": {"type": "remote", "url": url}}, "provider": {"local": local},
    })  # fmt: skip


OPENCODE = RealClient(
    "OpenCode", "opencode-ai", opencode_prepare,
    lambda home, url, model: {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"},
    lambda home, url, model: [program("opencode"), "run", "-m", "local/stand-in", "hi"],
)  # fmt: skip


def prepared_by_arguments(home: Path, url: str, model: str) -> None:
    """It is told by its command line."""


def inspector_tools(output: str) -> list[str]:
    # It prints JSON with two spaces for each level, and what it thinks of it on standard error, somewhere in between.
    return re.findall(r'^ {6}"name": "([^"]+)"', output, re.MULTILINE)


def inspector(name: str, *more: str) -> RealClient:
    return RealClient(
        name, "@modelcontextprotocol/inspector", prepared_by_arguments, nothing,
        lambda home, url, model: [program("mcp-inspector"), "--cli", url, "--method", "tools/list", "--transport", "http", *more],
        inspector_tools,
    )  # fmt: skip


def remote_prepare(home: Path, url: str, model: str) -> None:
    steps = [{"do": "tools"}]
    command = [str(NODE), program("mcp-remote"), url]
    write(home / "jobs.json", [{"id": "remote", "transport": "stdio", "command": command, "steps": steps, "plain": True}])


def remote_tools(output: str) -> list[str]:
    for line in output.splitlines():
        if line.startswith("{") and '"seen"' in line:
            last = json.loads(line)["seen"][-1]
            return list(last["seen"] or []) if last["ok"] else []
    return []


REMOTE = RealClient(
    # It is what other clients start as a command; here the TypeScript SDK does.
    "mcp-remote", "mcp-remote", remote_prepare, nothing,
    lambda home, url, model: [str(NODE), str(HERE / "clients" / "visits.mjs"), "ts1", str(home / "jobs.json")],
    remote_tools,
)  # fmt: skip


def fast_agent_prepare(home: Path, url: str, model: str) -> None:
    local = {"default_model": "generic.stand-in", "generic": {"api_key": "none", "base_url": f"{model}/v1"}}
    # Its file is YAML, and so is JSON.
    write(home / "work" / "fast-agent.yaml", {**local, "mcp": {"servers": {"portolan": {"transport": "http", "url": url}}}})


FAST_AGENT = RealClient(
    "fast-agent", "fast-agent-mcp", fast_agent_prepare, nothing,
    lambda home, url, model: [str(PYTHON_HOME / "bin" / "fast-agent"), "go", "--servers", "portolan", "--message", "hi"],
)  # fmt: skip

CLIENTS = [
    CLAUDE, CODEX, GEMINI, COPILOT, OPENCODE, FAST_AGENT,
    inspector("Inspector"), inspector("Inspector, era auto", "--protocol-era", "auto"), REMOTE,
]  # fmt: skip
