//! `portolan policy simulate`: what other policies would have said of calls that were recorded.

use std::path::PathBuf;
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::question::Opened;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::moments::moment;
use crate::print;

mod lines;
mod record;
mod replay;
mod tally;

use self::lines::{Found, Sources};
use self::record::{Record, RecordedLine};
use self::replay::{Outcome, Replay};
use self::tally::Changes;

/// So many lines that cannot be read are named; the others are counted.
const MOST_NAMED: u64 = 20;
/// After so many lines the bar moves.
const STEP: u64 = 1024;

/// Decide recorded calls anew: say what the policies of a configuration would change
///
/// Each call is decided as if it were made now as it was then: by the same caller, at the same time. What depends on arguments that
/// were not recorded is counted as unknown. Limits (`@limit`) are not counted, and arguments are not compared with a tool's
/// inputSchema. Calls to routes and servers that the configuration does not have
/// count as changes. Ends with 0 if nothing would change, with 1 if something would, and with 2 if that cannot be said.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy simulate portolan.toml --audit audit/
  portolan policy simulate new.toml --audit audit/ --since 2026-11-01T00:00:00Z
  zcat old.jsonl.gz | portolan policy simulate portolan.toml --audit - --json")]
pub(crate) struct Simulate {
    /// The configuration
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Recorded calls: files, directories of .jsonl files, or - for stdin; may be given several times
    #[arg(long = "audit", value_name = "FILE", required = true, num_args = 1..)]
    audit: Vec<PathBuf>,
    /// Only calls on this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only calls from this time on: 2026-11-30T12:00:00Z, or 15m, 24h, 7d ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only calls before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Simulate {
    /// Decides them.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let opened = Opened::read(&self.config, voice)?;
        if let Some(route) = &self.route {
            opened.has_route(route)?;
        }
        let sources = Sources::of(&self.audit)?;
        let (mut replay, mut tally) = (Replay::new(&opened), Changes::default());
        let bar = bar(sources.bytes());
        sources.each(|at, line| {
            if at.line % STEP == 1 {
                bar.set_position(at.bytes);
            }
            let read = match line {
                Found::Text(bytes) => Record::read(bytes),
                Found::TooLong => Err("it is longer than any record".to_owned()),
            };
            let taken = read.and_then(|read| match read {
                RecordedLine::Call(record) if self.wants(&record) => take(&record, &mut replay, &mut tally),
                RecordedLine::Call(_) | RecordedLine::Other => {
                    tally.passed_over += 1;
                    Ok(())
                }
            });
            if let Err(why) = taken {
                tally.unreadable += 1;
                if tally.unreadable <= MOST_NAMED {
                    let said = format!("{}:{}: it cannot be read: {why}\n", at.file, at.line);
                    bar.suspend(|| print::err(&print::safe_err(&said)));
                }
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        if tally.unreadable > MOST_NAMED {
            print::err(&format!("… and {} more lines\n", tally.unreadable - MOST_NAMED));
        }
        if tally.calls() + tally.passed_over == 0 && tally.unreadable > 0 {
            return Err(Fault::usage("no line can be read")
                .hint("--audit takes what Portolan records: one JSON object on each line"));
        }
        let text = if self.json { tally.json() } else { tally.text(print::out_is_seen()) };
        print::out(print::safe_out(&text).as_bytes())?;
        if tally.changed() + tally.not_served > 0 {
            return Ok(Exit::Findings);
        }
        match vain(&tally) {
            None => Ok(Exit::Ok),
            Some((what, hint)) => {
                Err(Fault::usage(format!("whether something would change is not known: {what}")).hint(hint))
            }
        }
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        self.route.as_deref().is_none_or(|route| record.route == route)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}

fn take(record: &Record<'_>, replay: &mut Replay<'_>, tally: &mut Changes) -> Result<(), String> {
    match replay.decide(record)? {
        Outcome::Same => tally.same += 1,
        Outcome::Unknown => tally.unknown += 1,
        Outcome::NotDecided => tally.not_decided += 1,
        Outcome::NotServed => tally.not_served += 1,
        Outcome::Changed(change) => tally.add(change, record.time),
    }
    Ok(())
}

/// Why what was counted says nothing certain, and what to do.
fn vain(tally: &Changes) -> Option<(String, &'static str)> {
    if tally.unreadable > 0 {
        return Some((
            format!("lines that cannot be read: {}", tally.unreadable),
            "--audit takes what Portolan records",
        ));
    }
    if tally.unknown > 0 {
        let what = format!("calls that depend on what was not recorded: {}", tally.unknown);
        return Some((
            what,
            "[audit] plain_arguments = [\"SERVER/TOOL\"] records the arguments of calls from then on",
        ));
    }
    (tally.calls() == 0)
        .then(|| ("no call was recorded there".to_owned(), "look at --audit, --since and --until"))
}

/// How far it is, where a person looks.
fn bar(bytes: Option<u64>) -> ProgressBar {
    if !print::err_is_seen() {
        return ProgressBar::hidden();
    }
    let template = if bytes.is_some() { "{bar:32} {bytes}/{total_bytes} {eta}" } else { "{spinner} {bytes}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr()).with_style(style)
}
