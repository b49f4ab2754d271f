//! Records in the Common Event Format, version 0.
//!
//! Real parsers are less than its text: one reads no escaped `|` in the header, so nothing in ours has one; another drops values that
//! are longer than its dictionary says, so ours never are.

use super::Room;
use super::record::{Record, Weight};

/// The most bytes of a value, as it is written: of most fields, of custom strings, of what says what was done.
const MOST: usize = 1023;
const MOST_CUSTOM: usize = 4000;
const MOST_ACTION: usize = 63;
const MOST_HOST: usize = 100;
/// Of each, where a record has to be little.
const MOST_OF_LITTLE: usize = 96;

const BEGIN: &str = concat!("CEF:0|Portolan|Portolan|", env!("CARGO_PKG_VERSION"), "|");

/// A record as one line.
pub(super) fn write(record: &Record<'_>, room: Room) -> String {
    let (id, name) = event(record.head.kind);
    let severity = match record.weight() {
        Weight::Usual => 1,
        Weight::Notable => 3,
        Weight::Amiss => 6,
        Weight::Grave => 9,
    };
    let head = format!("{BEGIN}{id}|{name}|{severity}|rt={}", record.millis());
    let mut out = Extension { text: head, is_little: room == Room::Little };
    let text = |name: &str| record.text(name);
    out.put("dvchost", Some(record.head.replica), MOST_HOST);
    out.put("externalId", Some(&record.head.seq.to_string()), 40);
    out.put("cat", Some(record.head.kind), MOST);
    address(&mut out, text("address").as_deref());
    let principal = record.inner("principal", "id").or_else(|| text("by")).or_else(|| text("principal"));
    out.put("suid", principal.as_deref(), MOST);
    out.put("suser", record.inner("principal", "subject").as_deref(), MOST);
    out.put("requestClientApplication", record.inner("principal", "client").as_deref(), MOST);
    out.put("act", text("method").as_deref(), MOST_ACTION);
    out.put("outcome", text("outcome").as_deref(), MOST_ACTION);
    let why = record.inner("decision", "why").filter(|why| !why.is_empty());
    out.put("reason", why.or_else(|| text("why")).as_deref(), MOST);
    let custom = [
        ("cs1", "cs1Label=thing", record.inner("thing", "name").or_else(|| text("name"))),
        ("cs2", "cs2Label=server", text("server")),
        ("cs3", "cs3Label=route", text("route")),
        ("cs4", "cs4Label=policies", Some(record.texts("decision", "by", usize::MAX).join(", "))),
        ("cs5", "cs5Label=trace", text("trace")),
        ("cs6", "cs6Label=approval", text("approval")),
    ];
    for (name, label, value) in custom {
        out.labelled(name, label, value.as_deref());
    }
    if let Some(micros) = record.number("durationUs").filter(|micros| i64::try_from(*micros).is_ok()) {
        out.labelled("cn1", "cn1Label=durationUs", Some(&micros.to_string()));
    }
    out.put("msg", Some(&record.summary()), MOST);
    out.text
}

/// What an event is called by: of this list, whatever the record says.
fn event(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "call" => ("call", "MCP call"),
        "login" => ("login", "Login"),
        "approval" => ("approval", "Approval"),
        "session" => ("session", "Session"),
        "task" => ("task", "Task"),
        "key" => ("key", "Key"),
        "pin" => ("pin", "Pin of a tool"),
        "erased" => ("erased", "Payloads erased"),
        "configuration" => ("configuration", "Configuration"),
        "start" => ("start", "Start"),
        "end" => ("end", "End"),
        "sink" => ("sink", "Delivery of records"),
        "gap" => ("gap", "Records are lacking"),
        "checkpoint" => ("checkpoint", "Checkpoint of the ledger"),
        "deleted" => ("deleted", "Ledger deleted by retention"),
        _ => ("other", "Other"),
    }
}

fn address(out: &mut Extension, address: Option<&str>) {
    let parsed = address.and_then(|address| address.parse::<std::net::IpAddr>().ok());
    match parsed.map(|ip| ip.to_canonical()) {
        Some(std::net::IpAddr::V4(ip)) => out.put("src", Some(&ip.to_string()), MOST),
        Some(std::net::IpAddr::V6(ip)) => {
            out.labelled("c6a2", "c6a2Label=Source IPv6 Address", Some(&ip.to_string()));
        }
        None => {}
    }
}

/// The part of names and values.
struct Extension {
    text: String,
    is_little: bool,
}

impl Extension {
    fn put(&mut self, name: &str, value: Option<&str>, most: usize) {
        // What is only spaces would be read as the next name.
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else { return };
        let most = if self.is_little { most.min(MOST_OF_LITTLE) } else { most };
        self.text.extend([" ", name, "="]);
        push_value(&mut self.text, value, most);
    }

    fn labelled(&mut self, name: &str, label: &str, value: Option<&str>) {
        let before = self.text.len();
        self.put(name, value, MOST_CUSTOM);
        if self.text.len() > before {
            self.text.extend([" ", label]);
        }
    }
}

/// A value with its escapes. There is none for control characters other than line breaks: each becomes a replacement character.
fn push_value(out: &mut String, value: &str, most: usize) {
    let begin = out.len();
    // Where it is cut if it turns out too long: no later than this leaves room for the mark.
    let mut cut = begin;
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '=' => out.push_str("\\="),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
        let length = out.len() - begin;
        if length + '…'.len_utf8() <= most {
            cut = out.len();
        }
        if length > most {
            out.truncate(cut);
            out.push('…');
            return;
        }
    }
}
