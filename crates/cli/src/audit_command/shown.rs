//! `portolan audit query` and `tail`: records, those that are wanted of them.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ledger::query::{self, Filter, inner, text};
use ledger::tail::Tail;
use mcp::json::Object;

use super::{AuditPlace, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::moments::moment;
use crate::print;

/// How often `tail` looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct WantedRecords {
    /// Made at this time or later: 2026-12-01T08:00:00Z, or 15m, 24h, 7d ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Made before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// By this principal: its id, or its subject alone
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
    /// At this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// About the tool, prompt or resource that its server calls so
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// That ended so: ok, error, cancelled, or a reason of the error table
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Of this type: call, approval, login, configuration, checkpoint, start, end, gap, deleted
    #[arg(long, value_name = "TYPE")]
    pub(super) r#type: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct QueryAudit {
    #[command(flatten)]
    place: AuditPlace,
    #[command(flatten)]
    wanted: WantedRecords,
    /// The records as they are, a line each
    #[arg(long)]
    json: bool,
}

impl WantedRecords {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            since: self.since.map(spelled),
            until: self.until.map(spelled),
            kind: self.r#type.clone(),
            principal: self.principal.clone(),
            server: self.server.clone(),
            thing: self.tool.clone(),
            outcome: self.outcome.clone(),
            trace: self.trace.clone(),
        }
    }
}

/// A time as records spell it: to the microsecond.
fn spelled(at: SystemTime) -> String {
    base::moment::write(at).replace('Z', "000Z")
}

/// Writes lines to stdout until nobody reads them.
pub(super) fn write_all(
    directory: &Path,
    filter: &Filter,
    mut shown: impl FnMut(&str) -> Option<String>,
) -> Result<(), Fault> {
    let written = written(|told| query::read(directory, filter, |line| told(shown(line))));
    written.map_err(|error| unreadable(directory, &error))?
}

/// Has somebody tell what is to be written to stdout, until nobody reads it.
fn written(
    tell: impl FnOnce(&mut dyn FnMut(Option<String>) -> io::Result<bool>) -> io::Result<()>,
) -> io::Result<Result<(), Fault>> {
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut unread = false;
    tell(&mut |text| {
        unread = text.is_some_and(|text| out.write_all(text.as_bytes()).is_err());
        Ok(!unread)
    })?;
    Ok(if unread || out.flush().is_err() { Err(Fault::Unread) } else { Ok(()) })
}

impl QueryAudit {
    pub(super) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        write_all(&directory, &self.wanted.filter(), |line| self.shown(line))?;
        Ok(Exit::Ok)
    }

    pub(super) async fn follow(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let wanted = self.wanted.filter();
        let fault = |error: io::Error| unreadable(&directory, &error);
        let mut tail = Tail::behind_all(&directory).map_err(fault)?;
        if wanted.since.is_some() {
            let written = written(|told| tail.before(&wanted, |line| told(self.shown(line))).map(drop));
            written.map_err(fault)??;
        }
        // Whatever its clock says, a record that comes now is one that somebody wants who looks now.
        let coming = Filter { since: None, ..wanted };
        loop {
            let written = written(|told| tail.next(&coming, |line| told(self.shown(line))).map(drop));
            written.map_err(fault)??;
            tokio::time::sleep(LOOK).await;
        }
    }

    fn shown(&self, line: &str) -> Option<String> {
        if self.json { Some(format!("{line}\n")) } else { Some(row(line)? + "\n") }
    }
}

/// One record for a person.
fn row(line: &str) -> Option<String> {
    let head = ledger::line::Head::read(line)?;
    let object = Object::parse(line).ok()?;
    let time = head.time.get(..23).unwrap_or(head.time).replace('T', " ");
    let who = inner(&object, "principal", "subject")
        .or_else(|| inner(&object, "principal", "id"))
        .unwrap_or_default();
    let rest = if head.kind == "call" {
        let what = text(&object, "method").unwrap_or_default();
        let server = text(&object, "server").map(|server| format!(" {server}")).unwrap_or_default();
        let thing = inner(&object, "thing", "name").map(|name| format!(" {name}")).unwrap_or_default();
        let micros = object
            .get("durationUs")
            .ok()
            .flatten()
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or_default();
        let outcome = text(&object, "outcome").unwrap_or_default();
        format!("{outcome:<10} {who}  {what}{server}{thing}  {}.{:03} ms", micros / 1000, micros % 1000)
    } else {
        head.rest.trim_start_matches(',').trim_end_matches('}').to_owned()
    };
    let safe = print::safe_out(&rest).replace('\n', " ");
    Some(format!("{time}  {:<10} {:<13} {safe}", head.replica, head.kind))
}
