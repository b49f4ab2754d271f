//! `portolan trace`: all that the ledger knows of one call, and of what belongs to the same trace.

use std::collections::BTreeSet;

use ledger::line::Head;
use ledger::query::{self, Filter, text};
use mcp::json::Object;
use views::waterfall;

use crate::audit_command::{AuditPlace, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::print;

/// The most records that are shown of one trace: clients choose what is of one. `--json` has all of them.
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
        let all = |wanted: &Filter, most: usize, fits: &dyn Fn(&Head<'_>) -> bool| {
            let mut lines = Vec::new();
            let done = query::read(&directory, wanted, |line| {
                if Head::read(line).is_some_and(|head| fits(&head)) {
                    lines.push(line.to_owned());
                }
                Ok(lines.len() < most)
            });
            done.map(|()| lines).map_err(|error| unreadable(&directory, &error))
        };
        let of_trace = |trace: &str| {
            all(&Filter { trace: Some(trace.to_ascii_lowercase()), ..Filter::default() }, usize::MAX, &|_| {
                true
            })
        };
        let (trace, mut lines) = if let Some((replica, seq)) = record_id(&self.id) {
            let one = all(&Filter::default(), 1, &|head| head.replica == replica && head.seq == seq)?;
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
        let ids: BTreeSet<_> =
            lines.iter().filter_map(|line| text(&Object::parse(line).ok()?, "approval")).collect();
        for id in ids {
            let asked = Filter { kind: Some("approval".to_owned()), approval: Some(id), ..Filter::default() };
            lines.extend(all(&asked, usize::MAX, &|_| true)?);
        }
        if self.json {
            lines.iter().try_for_each(|line| print::out(format!("{line}\n")))?;
        } else {
            let more = lines.len().saturating_sub(MOST);
            // What ended last is what somebody looks for.
            print::out(waterfall::shown(trace.as_deref(), lines.get(more..).unwrap_or_default()))?;
            if more > 0 {
                print::err(&format!(
                    "warning: {more} earlier records of this trace are not shown; --json has all\n"
                ));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_trace_or_a_record() {
        assert_eq!(record_id("web-1/17"), Some(("web-1", 17)));
        assert_eq!((record_id("web-1"), record_id("web-1/x")), (None, None));
        assert!(is_trace(&"aF".repeat(16)) && !is_trace("af"));
    }
}
