//! `portolan audit query` and `tail`: records, those that are wanted of them.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ledger::line::Head;
use ledger::query::{self, Filter, inner, text};
use ledger::tail::Tail;
use mcp::json::Object;

use super::{AuditPlace, csv, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::moments::moment;
use crate::{meant, print};

/// So many records are looked at for names that are like one that no record has, and so many names are known.
const MOST_LOOKED_AT: u32 = 1_000_000;
const MOST_NAMES: usize = 4096;
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
    /// About the tool, prompt or resource that its server calls so: NAME, or SERVER/NAME
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// That ended so: ok, error, cancelled, or a reason of the error table
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// By this approval, or about it
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// Decided by this policy
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// By this client: its OAuth client, or the name that it has for itself
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// On this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// From this address
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// Of this type: call, approval, login, or another of docs/reference/audit-record.md
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
    /// Calls as comma-separated values (RFC 4180), with a line of names
    #[arg(long, conflicts_with = "json")]
    csv: bool,
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
            approval: self.approval.clone(),
            policy: self.policy.clone(),
            client: self.client.clone(),
            route: self.route.clone(),
            address: self.address.clone(),
        }
    }

    /// Says that nothing was found, and what there is instead of what nobody has heard of.
    pub(super) fn say_nothing_found(&self, directory: &Path) -> Result<(), Fault> {
        let wanted = [
            ("--type", &self.r#type),
            ("--outcome", &self.outcome),
            ("--server", &self.server),
            ("--tool", &self.tool),
            ("--route", &self.route),
        ];
        let mut there = [const { BTreeSet::new() }; 5];
        let mut left = MOST_LOOKED_AT;
        if wanted.iter().any(|(_, wanted)| wanted.is_some()) {
            let all = query::read(directory, &Filter::default(), |line| {
                if let (Some(head), Ok(object)) = (Head::read(line), Object::parse(line)) {
                    let found = [
                        Some(head.kind.to_owned()),
                        text(&object, "outcome"),
                        text(&object, "server"),
                        inner(&object, "thing", "name"),
                        text(&object, "route"),
                    ];
                    let new = there.iter_mut().zip(found).filter(|(known, _)| known.len() < MOST_NAMES);
                    new.for_each(|(known, found)| known.extend(found));
                }
                left -= 1;
                Ok(left > 0)
            });
            all.map_err(|error| unreadable(directory, &error))?;
        }
        let mut said = "nothing found".to_owned();
        for ((option, wanted), names) in wanted.iter().zip(&there) {
            let Some(wanted) = wanted else { continue };
            let name = match (*option, wanted.split_once('/')) {
                ("--tool", Some((_, name))) if !names.contains(wanted) => name,
                _ => wanted.as_str(),
            };
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            if *option == "--type" {
                names = ledger::schema::types();
            }
            if !names.contains(&name) {
                let meant = meant::instead(name, &names, "there are");
                said.push_str(&format!("; no record has {option} {name:?}: {meant}"));
            }
        }
        print::err(&print::safe_err(&format!("{said}\n")));
        Ok(())
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

/// Writes calls, behind a line of names that is there in any case. Whether there are any.
pub(super) fn write_csv(directory: &Path, filter: &Filter) -> Result<bool, Fault> {
    let mut names = Some(csv::names());
    write_all(directory, filter, |line| Some(names.take().unwrap_or_default() + &csv::csv(line)?))?;
    match names {
        None => Ok(true),
        Some(names) => print::out(names).map(|()| false),
    }
}

impl QueryAudit {
    pub(super) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let mut filter = self.wanted.filter();
        let mut found = false;
        if self.csv {
            csv::only_calls(&mut filter)?;
            found = write_csv(&directory, &filter)?;
        } else {
            write_all(&directory, &filter, |line| {
                found = true;
                self.shown(line)
            })?;
        }
        if !found {
            self.wanted.say_nothing_found(&directory)?;
        }
        Ok(Exit::Ok)
    }

    pub(super) async fn follow(self, voice: Voice) -> Result<Exit, Fault> {
        if self.csv {
            return Err(
                Fault::usage("records that come are not written as csv").hint("--json has all of them")
            );
        }
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
    let head = Head::read(line)?;
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
