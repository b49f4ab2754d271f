//! `portolan trace`: all that the ledger knows of one call, and of what belongs to the same trace.

use std::time::Duration;

use base::moment;
use base::visible::visible;
use ledger::line::Head;
use ledger::query::{self, Filter, inner, text};
use mcp::json::Object;

use crate::audit_command::{AuditPlace, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::print;

/// How wide a bar is that stands for all the time of a trace.
const BAR: usize = 24;
/// The most records that are shown of one trace.
const MOST: usize = 1000;

/// Show all that the ledger knows of one call: who, what, why it was allowed, how long each part took
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan trace 0af7651916cd43dd8448eb211c80319c portolan.toml
  portolan trace web-1/4711 portolan.toml")]
pub(crate) struct TraceCommand {
    /// A trace id, or one record as REPLICA/SEQ
    id: String,
    #[command(flatten)]
    place: AuditPlace,
    /// The records as they are, a line each
    #[arg(long)]
    json: bool,
}

impl TraceCommand {
    /// Does it.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let all = |wanted: &Filter, fits: &dyn Fn(&Head<'_>) -> bool| {
            let mut lines = Vec::new();
            let done = query::read(&directory, wanted, |line| {
                if Head::read(line).is_some_and(|head| fits(&head)) {
                    lines.push(line.to_owned());
                }
                Ok(lines.len() < MOST)
            });
            done.map(|()| lines).map_err(|error| unreadable(&directory, &error))
        };
        let of_trace = |trace: &str| {
            all(&Filter { trace: Some(trace.to_ascii_lowercase()), ..Filter::default() }, &|_| true)
        };
        let (trace, mut lines) = if let Some((replica, seq)) = record_id(&self.id) {
            let one = all(&Filter::default(), &|head| head.replica == replica && head.seq == seq)?;
            let trace = one.first().and_then(|line| text(&Object::parse(line).ok()?, "trace"));
            let lines = trace.as_deref().map_or_else(|| Ok(one), of_trace)?;
            (trace, lines)
        } else if is_trace(&self.id) {
            (Some(self.id.clone()), of_trace(&self.id)?)
        } else {
            return Err(Fault::usage(format!("{:?} is neither a trace id nor a record", self.id)).hint(
                "a trace id has 32 hexadecimal digits; a record is a replica and its seq, such as web-1/4711",
            ));
        };
        if lines.is_empty() {
            return Err(Fault::usage(format!("the ledger has nothing of {}", self.id))
                .hint("a call is in it when it is over; `portolan audit tail` shows what comes"));
        }
        // What was asked of people about these calls has the approval's id, and no trace.
        let ids: Vec<_> =
            lines.iter().filter_map(|line| text(&Object::parse(line).ok()?, "approval")).collect();
        if !ids.is_empty() {
            let approvals = Filter { kind: Some("approval".to_owned()), ..Filter::default() };
            let asked = all(&approvals, &|head| ids.iter().any(|id| head.rest.contains(id.as_str())))?;
            lines.extend(asked);
        }
        if self.json {
            lines.iter().try_for_each(|line| print::out(format!("{line}\n")))?;
        } else {
            print::out(shown(trace.as_deref(), &lines))?;
        }
        Ok(Exit::Ok)
    }
}

fn record_id(text: &str) -> Option<(&str, u64)> {
    let (replica, seq) = text.rsplit_once('/')?;
    Some((replica, seq.parse().ok()?))
}

fn is_trace(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

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
    let (second, fraction) = time.strip_suffix('Z')?.split_once('.')?;
    let at = moment::read(&format!("{second}Z"))?;
    let since = at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    Some(u64::try_from(since.as_micros()).ok()?.saturating_add(fraction.parse().ok()?))
}

fn number(object: &Object<'_>, name: &str) -> Option<u64> {
    object.get(name).ok()??.parse().ok()
}

/// All of it for a person.
fn shown(trace: Option<&str>, lines: &[String]) -> String {
    let mut parts: Vec<_> = lines.iter().filter_map(|line| Part::of(line)).collect();
    parts.sort_by_key(|part| part.begin);
    let begin = parts.iter().map(|part| part.begin).min().unwrap_or_default();
    let end = parts.iter().map(|part| part.end).max().unwrap_or_default();
    let mut out = trace.map_or_else(
        || "this record belongs to no trace: its client named none\n".to_owned(),
        |trace| format!("trace {trace}\n"),
    );
    let first = std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(begin);
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

    #[test]
    fn an_id_is_a_trace_or_a_record() {
        assert_eq!(record_id("web-1/17"), Some(("web-1", 17)));
        assert_eq!((record_id("web-1"), record_id("web-1/x")), (None, None));
        assert!(is_trace(&"aF".repeat(16)) && !is_trace("af"));
    }
}
