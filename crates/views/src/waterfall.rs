//! The records of one trace, laid out in time.

use std::time::{Duration, SystemTime};

use base::moment;
use base::visible::visible;
use ledger::line::{Head, moment_of};
use ledger::query::{inner, text};
use mcp::json::Object;

/// How wide a bar is that stands for all the time of a trace.
const BAR: usize = 24;

/// One record, as far as its time goes: microseconds since 1970.
struct Part<'l> {
    head: Head<'l>,
    object: Object<'l>,
    begin: u64,
    end: u64,
}

impl<'l> Part<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let (head, object) = (Head::read(line)?, Object::parse(line).ok()?);
        let end = micros(head.time)?;
        let took = number(&object, "durationUs").unwrap_or_default();
        Some(Self { head, object, begin: end.saturating_sub(took), end })
    }
}

/// A time as records have it, in microseconds since 1970.
fn micros(time: &str) -> Option<u64> {
    let since = moment_of(time)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since.as_micros().try_into().ok()
}

fn number(object: &Object<'_>, name: &str) -> Option<u64> {
    object.get(name).ok()??.parse().ok()
}

/// The records of one trace for a person, laid out in time, or of one record that belongs to none.
#[must_use]
pub fn shown(trace: Option<&str>, lines: &[String]) -> String {
    let mut parts: Vec<_> = lines.iter().filter_map(|line| Part::of(line)).collect();
    parts.sort_by_key(|part| part.begin);
    let begin = parts.iter().map(|part| part.begin).min().unwrap_or_default();
    let end = parts.iter().map(|part| part.end).max().unwrap_or_default();
    let mut out = trace.map_or_else(
        || "this record belongs to no trace: its client named none\n".to_owned(),
        |trace| format!("trace {}\n", visible(trace)),
    );
    let first = SystemTime::UNIX_EPOCH + Duration::from_micros(begin);
    let records = if parts.len() == 1 { "record" } else { "records" };
    out.push_str(&format!(
        "{} {records} in {}, from {}\n",
        parts.len(),
        length(end - begin),
        moment::write(first)
    ));
    for part in &parts {
        let whole = end.saturating_sub(begin).max(1);
        let place = |at: u64| usize::try_from((at - begin) * BAR as u64 / whole).unwrap_or(BAR).min(BAR);
        let (from, to) = (place(part.begin).min(BAR - 1), place(part.end));
        let bar = format!("{}{}", " ".repeat(from), "━".repeat((to - from.min(to)).max(1)));
        out.push_str(&format!(
            "\n{:>9}  {bar:<BAR$}  {}/{} {}\n",
            format!("+{}", length(part.begin - begin)),
            part.head.replica,
            part.head.seq,
            title(part)
        ));
        for detail in details(part) {
            out.push_str("           ");
            out.push_str(&visible(&detail).replace('\n', " "));
            out.push('\n');
        }
    }
    out
}

fn length(micros: u64) -> String {
    match micros {
        0..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{}.{:03} s", micros / 1_000_000, micros % 1_000_000 / 1000),
    }
}

fn title(part: &Part<'_>) -> String {
    let said = |name| text(&part.object, name).unwrap_or_default();
    let what = if part.head.kind == "call" { said("method") } else { part.head.kind.to_owned() };
    let took = if part.head.kind == "call" { length(part.end - part.begin) } else { String::new() };
    let thing = inner(&part.object, "thing", "name").unwrap_or_default();
    let words = [what, said("server"), thing, said("outcome"), took];
    let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(|word| visible(word)).collect();
    words.join(" ")
}

/// What else is known, a line each.
fn details(part: &Part<'_>) -> Vec<String> {
    let object = &part.object;
    let mut lines = Vec::new();
    let mut add = |name: &str, words: Vec<String>| {
        if !words.is_empty() {
            lines.push(format!("{name:<10} {}", words.join(", ")));
        }
    };
    let with = |before: &str, value: Option<String>| value.map(|value| format!("{before}{value}"));
    if part.head.kind != "call" {
        add("", vec![part.head.rest.trim_start_matches(',').trim_end_matches('}').to_owned()]);
        return lines;
    }
    let who = |name| inner(object, "principal", name);
    let caller = [
        who("subject").or_else(|| who("id")),
        with("by ", who("issuer")),
        with("client ", who("client")),
        with("from ", text(object, "address")),
    ];
    add("caller", caller.into_iter().flatten().collect());
    let way = [with("route ", text(object, "route")), text(object, "era"), text(object, "revision")];
    add("way", way.into_iter().flatten().collect());
    if let Some(decision) = object.get("decision").ok().flatten().and_then(|text| Object::parse(text).ok()) {
        let allowed = decision.get("allowed").ok().flatten() == Some("true");
        let by = decision.get("by").ok().flatten().unwrap_or("[]");
        let words = [
            Some(if allowed { "allowed".to_owned() } else { "denied".to_owned() }),
            with("by ", Some(by.to_owned())),
            text(&decision, "why"),
        ];
        add("decision", words.into_iter().flatten().collect());
    }
    add("approval", text(object, "approval").into_iter().collect());
    for name in ["arguments", "result"] {
        let Some(examined) = object.get(name).ok().flatten().and_then(|text| Object::parse(text).ok()) else {
            continue;
        };
        let bytes = number(&examined, "bytes").map(|bytes| format!("{bytes} bytes"));
        let digest =
            text(&examined, "digest").map(|digest| digest.chars().take(28).collect::<String>() + "…");
        add(name, [bytes, digest, text(&examined, "json")].into_iter().flatten().collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_laid_out_in_time() {
        let head = |kind: &str, time: &str, seq: u64| {
            let prev = "0".repeat(64);
            format!(
                r#"{{"v":1,"type":"{kind}","time":"2026-12-01T12:00:{time}Z","replica":"web-1","seq":{seq},"prev":"sha256:{prev}""#
            )
        };
        let lines = [
            head("call", "03.500000", 9)
                + r#","trace":"0af7651916cd43dd8448eb211c80319c","principal":{"id":"x","subject":"alice","issuer":"https://idp"},"route":"main","method":"tools/call","server":"docs","thing":{"kind":"tool","name":"search"},"decision":{"allowed":true,"by":["reads"],"why":"it only reads","version":"1"},"approval":"5f1c","outcome":"ok","durationUs":500000}"#,
            head("call", "01.000000", 3)
                + r#","trace":"0af7651916cd43dd8448eb211c80319c","principal":{"id":"anonymous"},"method":"tools/call","arguments":{"digest":"hmac-sha256:00112233445566778899aabbccddeeff","bytes":12},"outcome":"approval_needed","durationUs":1500}"#,
            head("approval", "02.000000", 5) + r#","approval":"5f1c","outcome":"approved","by":"operator"}"#,
        ];
        insta::assert_snapshot!(shown(Some("0af7651916cd43dd8448eb211c80319c"), &lines), @r#"
        trace 0af7651916cd43dd8448eb211c80319c
        3 records in 2.501 s, from 2026-12-01T12:00:00.998Z

          +0.0 ms  ━                         web-1/3 tools/call approval_needed 1.5 ms
                   caller     anonymous
                   arguments  12 bytes, hmac-sha256:0011223344556677…

         +1.001 s           ━                web-1/5 approval approved
                              "approval":"5f1c","outcome":"approved","by":"operator"

         +2.001 s                     ━━━━━  web-1/9 tools/call docs search ok 500.0 ms
                   caller     alice, by https://idp
                   way        route main
                   decision   allowed, by ["reads"], it only reads
                   approval   5f1c
        "#);
    }
}
