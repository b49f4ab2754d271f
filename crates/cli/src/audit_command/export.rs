//! `portolan audit export`.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;

use super::AuditPlace;
use super::csv::only_calls;
use super::shown::{WantedRecords, write_all, write_csv};
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
