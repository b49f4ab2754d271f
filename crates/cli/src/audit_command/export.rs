//! `portolan audit export`.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::ValueEnum;
use ledger::query::Filter;
use mcp::json::Object;

use super::AuditPlace;
use super::shown::{WantedRecords, write_all};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::print;

#[derive(Debug, clap::Args)]
pub(super) struct ExportAudit {
    #[command(flatten)]
    place: AuditPlace,
    #[command(flatten)]
    wanted: WantedRecords,
    /// How
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// The records as they are, a line each
    Jsonl,
    /// Calls as comma-separated values (RFC 4180), with a line of names
    Csv,
}

impl ExportAudit {
    pub(super) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, _) = self.place.find(voice)?;
        let mut filter = self.wanted.filter();
        let mut found = false;
        match self.format {
            ExportFormat::Jsonl => write_all(&directory, &filter, |line| {
                found = true;
                Some(format!("{line}\n"))
            })?,
            ExportFormat::Csv => {
                only_calls(&mut filter)?;
                found = write_csv(&directory, &filter)?;
            }
        }
        if !found {
            self.wanted.say_nothing_found(&directory)?;
        }
        if io::stdout().is_terminal() && matches!(self.format, ExportFormat::Csv) {
            print::err("write it into a file with > calls.csv\n");
        }
        Ok(Exit::Ok)
    }
}

/// Only calls have what the columns are.
pub(super) fn only_calls(filter: &mut Filter) -> Result<(), Fault> {
    if filter.kind.as_deref().is_some_and(|kind| kind != "call") {
        return Err(Fault::usage("only calls are written as csv").hint("--format jsonl has all types"));
    }
    filter.kind = Some("call".to_owned());
    Ok(())
}

/// Writes calls, behind a line of names that is there in any case. Whether there are any.
pub(super) fn write_csv(directory: &Path, filter: &Filter) -> Result<bool, Fault> {
    let mut names = Some(format!("{}\r\n", COLUMNS.map(|(name, _)| name).join(",")));
    write_all(directory, filter, |line| Some(names.take().unwrap_or_default() + &csv(line)?))?;
    match names {
        None => Ok(true),
        Some(names) => print::out(names).map(|()| false),
    }
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

fn csv(line: &str) -> Option<String> {
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
        let plain = mcp::json::string(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned);
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
