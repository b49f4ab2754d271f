//! Records of tests.

use serde_json::{Value, json};

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A line as the ledger would write it.
pub(crate) fn line(kind: &str, members: &Value) -> String {
    let rest = members.to_string();
    let rest = rest.strip_prefix('{').unwrap();
    let comma = if rest == "}" { "" } else { "," };
    format!(
        r#"{{"v":1,"type":"{kind}","time":"2026-12-01T15:40:00.123456Z","replica":"web-1","seq":17,"prev":"{ZEROS}"{comma}{rest}"#
    )
}

/// A call of which `text` is all that somebody may choose.
pub(crate) fn call(text: &str) -> String {
    line(
        "call",
        &json!({
            "trace": "0af7651916cd43dd8448eb211c80319c",
            "principal": {"id": text, "anonymous": false, "issuer": text, "subject": text, "client": text,
                "groups": [text, text], "scopes": [text], "acr": text, "amr": [], "claims": {"x": text}},
            "route": "main", "era": "modern", "revision": "2026-07-28", "address": "::ffff:192.0.2.7",
            "method": "tools/call", "id": text, "server": "files",
            "thing": {"kind": "tool", "name": text},
            "definition": {"digest": "sha256:ab", "hints": {"readOnlyHint": false, "destructiveHint": true}},
            "arguments": {"digest": "hmac-sha256:ab", "bytes": 5, "json": text},
            "decision": {"allowed": false, "by": [text, "own"], "why": text, "version": "7"},
            "outcome": "policy", "durationUs": 1234
        }),
    )
}

/// Each type of record as the ledger has it.
pub(crate) fn samples() -> Vec<String> {
    let hex = "ab".repeat(64);
    let named = |outcome: &str, hints: Value| {
        line(
            "call",
            &json!({
                "trace": "0af7651916cd43dd8448eb211c80319c",
                "principal": {"id": "https://id.example#alice", "anonymous": false, "issuer": "https://id.example", "subject": "alice",
                    "client": "app", "groups": ["staff"], "scopes": [], "amr": []},
                "route": "main", "era": "modern", "revision": "2026-07-28", "address": "2001:db8::7", "method": "tools/call", "id": 7,
                "server": "files", "thing": {"kind": "tool", "name": "read_file"},
                "definition": {"digest": "sha256:ab", "hints": hints},
                "arguments": {"digest": "hmac-sha256:ab", "bytes": 12, "json": "{\"path\":\"/x\"}"},
                "result": {"digest": "hmac-sha256:ab", "bytes": 12},
                "decision": {"allowed": outcome != "policy", "by": ["own"], "why": "", "version": "7"},
                "outcome": outcome, "durationUs": 1234
            }),
        )
    };
    let pipe = json!({"principal": {"id": "anonymous", "anonymous": true, "groups": [], "scopes": [], "amr": []},
        "method": "tools/list", "outcome": "ok", "durationUs": 7});
    let mut all = vec![
        line("start", &json!({"version": "0.1.0", "key": "ed25519:ab", "process": 7})),
        line("start", &json!({"version": "0.1.0", "key": "ed25519:ab", "process": 7, "torn": 12})),
        named("ok", json!({"readOnlyHint": true})),
        named("ok", json!({"destructiveHint": true})),
        named("error", json!({})),
        named("policy", json!({})),
        named("cancelled", json!({})),
        named("internal", json!({})),
        line("call", &pipe),
        call("\u{1f512} | \\ = \n \" hostile"),
        line(
            "login",
            &json!({"route": "main", "outcome": "unauthenticated", "why": "the token has expired"}),
        ),
        line(
            "approval",
            &json!({"approval": "3f2a", "outcome": "asked", "principal": "alice", "route": "main", "server": "bank",
            "method": "tools/call", "name": "pay", "policies": "large"}),
        ),
        line("approval", &json!({"approval": "3f2a", "outcome": "approved", "by": "bob"})),
        line("approval", &json!({"approval": "3f2a", "outcome": "denied", "by": "bob"})),
        line("approval", &json!({"approval": "3f2a", "outcome": "used", "by": "alice"})),
        line(
            "configuration",
            &json!({"path": "/etc/portolan.toml", "outcome": "reloaded", "digest": "sha256:ab"}),
        ),
        line("configuration", &json!({"path": "/etc/portolan.toml", "outcome": "refused"})),
        line("gap", &json!({"lost": 3, "refused": 2, "since": "2026-12-01T15:39:00.000000Z"})),
        line("checkpoint", &json!({"first": 0, "root": ZEROS, "key": "ed25519:ab", "signature": hex})),
        line(
            "deleted",
            &json!({"segment": 1, "first": 0, "last": 9, "hash": ZEROS, "key": "ed25519:ab", "signature": hex}),
        ),
        line("end", &json!({})),
        line(
            "sink",
            &json!({"sink": "siem", "outcome": "skipped", "records": "7", "first": "1", "last": "9"}),
        ),
    ];
    all.extend(of_later_types());
    all.push(line("what-comes-later", &json!({"x": [1, 2.50, null]})));
    all
}

/// Those of sessions, tasks, keys, pins and what was erased.
fn of_later_types() -> Vec<String> {
    let task = |outcome: &str| {
        line(
            "task",
            &json!({"task": "hmac-sha256:ab", "outcome": outcome, "principal": "alice", "route": "main", "server": "bank"}),
        )
    };
    let key = |outcome: &str| {
        let of = if outcome == "rotated" { "seal" } else { "api-key" };
        line(
            "key",
            &json!({"outcome": outcome, "of": of, "key": "k1", "principal": "alice", "by": "operator"}),
        )
    };
    let pin = |outcome: &str| {
        line(
            "pin",
            &json!({"outcome": outcome, "server": "bank", "kind": "tool", "name": "pay", "digest": "sha256:ab", "by": "operator"}),
        )
    };
    vec![
        line(
            "session",
            &json!({"outcome": "opened", "principal": "alice", "route": "main", "session": "ab12"}),
        ),
        line(
            "session",
            &json!({"outcome": "closed", "principal": "alice", "route": "main", "session": "ab12"}),
        ),
        line(
            "session",
            &json!({"outcome": "expired", "principal": "alice", "route": "main", "session": "ab12"}),
        ),
        line("session", &json!({"outcome": "lost", "principal": "alice", "route": "main", "more": 3})),
        line(
            "task",
            &json!({"task": "hmac-sha256:ab", "outcome": "created", "principal": "alice", "route": "main", "server": "bank",
            "tool": "pay"}),
        ),
        task("completed"),
        task("failed"),
        task("cancelled"),
        key("made"),
        key("rotated"),
        key("revoked"),
        pin("approved"),
        pin("denied"),
        pin("forgotten"),
        line("erased", &json!({"payload": "ab-17", "why": "a customer asked", "by": "operator"})),
    ]
}
