"""Records as the ledger writes them, of which everything that somebody may choose is chosen by somebody hostile."""

from __future__ import annotations

import json
import re
from typing import Any

# What one receiver or the other stumbles over: see docs/receivers.md.
HOSTILE = [
    "plain",
    "two\nlines, and <13>1 2026-12-01T15:40:00Z root su - - - a record of its own",
    "\r\n\0\x1b[31m\x7f\x85\u2028\u2029\ufeff",
    "#012 and \\n and \\u000a as they stand",
    'a ] " \\ \\] of structured data [root@1 x="y"]',
    " suser=root cs1=x\\=y | CEF:0|a|b|1|2|3|4|",
    '{"outcome":"ok"}',
    "\U0001f512 ключ 鍵 \u202egnp.exe",
    "\\",
    "%s %n %00 $(id) `id`",
    "x" * 1024,
    "鍵" * 341,
]


def quoted(value: Any) -> str:
    """JSON as the ledger has it: no control characters of any kind, other text as it is."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def line(kind: str, seq: int, members: dict[str, Any]) -> str:
    head = f'{{"v":1,"type":"{kind}","time":"2026-12-01T15:40:00.{seq % 1_000_000:06}Z","replica":"web-1","seq":{seq}'
    rest = quoted(members)[1:]
    return f'{head},"prev":"sha256:{"0" * 64}"{"" if rest == "}" else ","}{rest}'


def call(seq: int, text: str, **more: Any) -> str:
    members: dict[str, Any] = {
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "principal": {"id": f"https://id.example#{text}", "anonymous": False, "issuer": "https://id.example", "subject": text,
                      "client": text, "groups": [text, "staff"], "scopes": [], "amr": [], "claims": {"x": text}},
        "route": "main", "era": "modern", "revision": "2026-07-28", "address": "192.0.2.7", "method": "tools/call", "id": text,
        "server": "files", "thing": {"kind": "tool", "name": text},
        "definition": {"digest": "sha256:ab", "hints": {"readOnlyHint": True}},
        "arguments": {"digest": "hmac-sha256:" + "ab" * 32, "bytes": len(text), "json": text},
        "result": {"digest": "hmac-sha256:" + "cd" * 32, "bytes": 12},
        "decision": {"allowed": False, "by": ["own"], "why": text, "version": "7"},
        "outcome": "policy", "durationUs": 1234,
    }
    return line("call", seq, members | more)


def short(seq: int) -> str:
    return line("call", seq, {"principal": {"id": "a"}, "method": "ping", "outcome": "ok", "durationUs": seq})


def hostile(first: int = 0) -> list[str]:
    """All of it, at its usual length; then with arguments of 20,000 bytes; then with so much that only parts of it fit."""
    lines = [call(first + at, text) for at, text in enumerate(HOSTILE)]
    lines.append(call(first + len(lines), "long", arguments={"digest": "hmac-sha256:ab", "bytes": 20000, "json": "a\n" * 10000}))
    groups = [f"group-{number}" for number in range(800)]
    lines.append(call(first + len(lines), "many", principal={"id": "a", "groups": groups[:200], "amr": groups[200:]},
                      decision={"allowed": True, "by": groups[:300], "why": "", "version": "7"}))
    lines.append(line("login", first + len(lines), {"route": "main", "outcome": "unauthenticated", "why": HOSTILE[1]}))
    lines.append(line("gap", first + len(lines), {"lost": 3, "refused": 0, "since": "2026-12-01T15:39:00.000000Z"}))
    lines.append(line("end", first + len(lines), {}))
    return lines


def of_each_type() -> list[str]:
    signed = {"key": "ed25519:ab", "signature": "ab" * 64}
    hints = [{"readOnlyHint": True}, {"destructiveHint": True}, {}]
    calls = [call(at, "x", definition={"digest": "sha256:ab", "hints": each}, outcome=outcome,
                  decision={"allowed": True, "by": [], "why": "", "version": "7", "observed": True})
             for at, (each, outcome) in enumerate(zip(hints, ("ok", "error", "cancelled")))]
    anonymous = {"principal": {"id": "anonymous", "anonymous": True, "groups": [], "scopes": [], "amr": []}}
    approval = {"approval": "3f2a"}
    return [
        *calls,
        line("call", 10, {**anonymous, "method": "tools/list", "outcome": "ok", "durationUs": 7}),
        line("call", 11, {**anonymous, "method": "resources/read", "address": "2001:db8::7", "outcome": "internal", "durationUs": 7}),
        line("call", 12, {**anonymous, "method": "ping", "address": "::ffff:192.0.2.7", "id": 1180591620717411303424, "outcome": "ok"}),
        line("start", 13, {"version": "0.1.0", "key": "ed25519:ab", "process": 7}),
        line("start", 14, {"version": "0.1.0", "key": "ed25519:ab", "process": 7, "torn": 12}),
        line("login", 15, {"route": "main", "outcome": "unauthenticated", "why": "the token has expired", "more": 7}),
        line("approval", 16, {**approval, "outcome": "asked", "principal": "alice", "route": "main", "server": "bank",
                              "method": "tools/call", "name": "pay", "policies": "large"}),
        line("approval", 17, {**approval, "outcome": "approved", "by": "bob"}),
        line("approval", 18, {**approval, "outcome": "denied", "by": "bob"}),
        line("approval", 19, {**approval, "outcome": "used", "by": "alice"}),
        line("configuration", 20, {"path": "/etc/portolan.toml", "outcome": "read", "digest": "sha256:ab"}),
        line("configuration", 21, {"path": "/etc/portolan.toml", "outcome": "refused"}),
        line("gap", 22, {"lost": 3, "refused": 2, "since": "2026-12-01T15:39:00.000000Z"}),
        line("checkpoint", 23, {"first": 0, "root": "sha256:ab", **signed}),
        line("deleted", 24, {"segment": 1, "first": 0, "last": 9, "hash": "sha256:ab", **signed}),
        line("end", 25, {}),
        line("sink", 27, {"sink": "siem", "outcome": "skipped", "records": "7", "first": "1", "last": "9"}),
        *(line("session", 30 + at, {"outcome": outcome, "principal": "alice", "route": "main", "session": "ab12"})
          for at, outcome in enumerate(("opened", "closed", "expired", "lost"))),
        *(line("task", 40 + at, {"task": "hmac-sha256:" + "ab" * 32, "outcome": outcome, "principal": "alice", "route": "main",
                                 "server": "bank", "tool": "pay"})
          for at, outcome in enumerate(("created", "completed", "failed", "cancelled"))),
        *(line("key", 50 + at, {"outcome": outcome, "of": "api-key", "key": "k1", "principal": "alice", "by": "operator"})
          for at, outcome in enumerate(("made", "rotated", "revoked"))),
        *(line("pin", 60 + at, {"outcome": outcome, "server": "bank", "kind": "tool", "name": "pay", "digest": "sha256:ab", "by": "operator"})
          for at, outcome in enumerate(("approved", "denied", "forgotten"))),
        line("erased", 70, {"payload": "ab" * 16, "why": "a customer asked", "by": "operator"}),
        line("what-comes-later", 26, {"x": [1, None]}),
    ]


def huge() -> list[str]:
    """All texts are as long as they can be, and longer: for what has to be little."""
    return [call(at, text * 50, decision={"allowed": False, "by": [text * 50] * 40, "why": text * 50, "version": text * 50})
            for at, text in enumerate(HOSTILE)]
