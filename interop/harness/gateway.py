"""Portolan in front of servers: its configuration file, and the running gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .process import Process, Stage
from .servers import Command, listening

Upstream = dict[str, Any]


def over_http(url: str, **more: Any) -> Upstream:
    return {"url": url, **more}


def over_stdio(command: Command, **more: Any) -> Upstream:
    return {"command": command.words, "env": {**command.env, **more.pop("env", {})}, **more}


def write_config(path: Path, upstreams: Mapping[str, Upstream], **tables: Any) -> Path:
    """Writes a configuration with these servers. `tables` are further ones, such as `limits`."""
    # What is no table stands above the first one, which is how a TOML file must be; inline tables are none.
    everything = {**tables, "upstream": upstreams, "listener": tables.get("listener", {"main": {"address": "127.0.0.1:0"}})}
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in everything.items()))
    return path


def toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # JSON's texts, numbers and booleans are TOML's as well; beyond ASCII, JSON's surrogates would not be.
    return json.dumps(value, ensure_ascii=False)


class Gateway:
    """A running `portolan serve`."""

    def __init__(
        self, stage: Stage, portolan: Path, upstreams: Mapping[str, Upstream], *, name: str = "gateway",
        env: Mapping[str, str] | None = None, **tables: Any
    ) -> None:
        self.config = write_config(stage.folder / f"{name}.toml", upstreams, **tables)
        self.process: Process = stage.start(name, [portolan, "serve", "--log-format", "text", self.config], env)
        self.url = listening(self.process)
