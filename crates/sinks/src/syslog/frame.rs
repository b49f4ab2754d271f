//! One record as messages of RFC 5424, none longer than may be.
//!
//! `<PRI>1 TIME REPLICA portolan - TYPE [portolan@32473 replica="…" seq="…" part="1/1"] RECORD`

use base::plan::feed::{Format, Framing, SyslogPlan};

use crate::format::record::{Record, Weight};
use crate::format::{Room, in_parts, write_within};

/// Structured data of ours: 32473 is the enterprise number of those that have none (RFC 5612).
const OURS: &str = "portolan@32473";

/// The longest name of a type that every server takes whole (RFC 5424 §6.2.7).
const MOST_TYPE: usize = 32;

/// All messages of one record, framed, one behind the other.
///
/// # Errors
/// Says why there are none.
pub(super) fn messages(line: &str, format: Format, plan: &SyslogPlan) -> Result<Vec<u8>, String> {
    let record = Record::read(line).ok_or("it is no record of the ledger")?;
    let mut out = Vec::with_capacity(line.len() + 256);
    let head = |part: &str| head(&record, plan, part);
    let room = plan.most_bytes.saturating_sub(head("1/1").len());
    for room_for in [Room::Whole, Room::NoPayload, Room::Little] {
        // What is made little by cutting texts is not the record any more: JSON goes on in another part instead.
        if format == Format::Json && room_for != Room::Whole {
            break;
        }
        let text = write_within(format, &record, room_for);
        if text.len() <= room {
            push(&mut out, plan.framing, &head("1/1"), &text);
            return Ok(out);
        }
    }
    let parts = if format == Format::Json { in_parts(&record, room) } else { None };
    let parts = parts.ok_or_else(|| format!("it does not fit a message of {} bytes", plan.most_bytes))?;
    for (at, part) in parts.iter().enumerate() {
        push(&mut out, plan.framing, &head(&format!("{}/{}", at + 1, parts.len())), part);
    }
    Ok(out)
}

fn head(record: &Record<'_>, plan: &SyslogPlan, part: &str) -> String {
    let severity = match record.weight() {
        Weight::Usual => 6,
        Weight::Notable => 5,
        Weight::Amiss => 4,
        Weight::Grave => 3,
    };
    let priority = u32::from(plan.facility) * 8 + severity;
    // Names of replicas and types have nothing that would have to be escaped, and no spaces (`ledger::line`).
    let (time, replica, seq) = (record.head.time, record.head.replica, record.head.seq);
    let app = &plan.app_name;
    let kind = record.head.kind.get(..MOST_TYPE).unwrap_or(record.head.kind);
    format!(
        "<{priority}>1 {time} {replica} {app} - {kind} [{OURS} replica=\"{replica}\" seq=\"{seq}\" part=\"{part}\"] "
    )
}

fn push(out: &mut Vec<u8>, framing: Framing, head: &str, text: &str) {
    if framing == Framing::Octet {
        out.extend_from_slice(format!("{} ", head.len() + text.len()).as_bytes());
    }
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text.as_bytes());
    if framing == Framing::Lf {
        out.push(b'\n');
    }
}
