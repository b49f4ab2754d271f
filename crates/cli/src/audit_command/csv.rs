//! Calls as comma-separated values (RFC 4180).

use std::borrow::Cow;

use ledger::query::Filter;
use mcp::json::Object;

use crate::fault::Fault;

/// Only calls have what the columns are.
pub(super) fn only_calls(filter: &mut Filter) -> Result<(), Fault> {
    if filter.kind.as_deref().is_some_and(|kind| kind != "call") {
        return Err(Fault::usage("only calls are written as csv").hint("--format jsonl has all types"));
    }
    filter.kind = Some("call".to_owned());
    Ok(())
}

/// The line of names.
pub(super) fn names() -> String {
    format!("{}\r\n", COLUMNS.map(|(name, _)| name).join(","))
}

/// What a line of comma-separated values has: the name, and where it stands in a record.
const COLUMNS: [(&str, &[&str]); 19] = [
    ("time", &["time"]),
    ("replica", &["replica"]),
    ("seq", &["seq"]),
    ("trace", &["trace"]),
    ("principal", &["principal", "id"]),
    ("issuer", &["principal", "issuer"]),
    ("subject", &["principal", "subject"]),
    ("client", &["principal", "client"]),
    ("address", &["address"]),
    ("route", &["route"]),
    ("method", &["method"]),
    ("server", &["server"]),
    ("thing", &["thing", "name"]),
    ("arguments", &["arguments", "digest"]),
    ("result", &["result", "digest"]),
    ("allowed", &["decision", "allowed"]),
    ("why", &["decision", "why"]),
    ("outcome", &["outcome"]),
    ("durationUs", &["durationUs"]),
];

/// A record as such a line.
pub(super) fn csv(line: &str) -> Option<String> {
    let mut out = String::new();
    for (at, (_, path)) in COLUMNS.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let mut value = Some(line);
        for name in *path {
            value = value.and_then(|value| Object::parse(value).ok()?.get(name).ok()?);
        }
        let value = value.unwrap_or_default();
        let plain = mcp::json::string(value).map_or_else(|_| value.to_owned(), Cow::into_owned);
        out.push_str(&cell(&plain));
    }
    out.push_str("\r\n");
    Some(out)
}

/// A value that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let guarded =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}
