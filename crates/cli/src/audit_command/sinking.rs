//! `portolan audit sinks`: how far each sink has come, and whether its receiver takes anything.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::clock::{Clock as _, SystemClock};
use base::lasting::Lasting;
use base::moment;
use base::plan::Plan;
use ledger::spool::Behind;
use sinks::cursor::{self, Found};
use sinks::make;
use sinks::receiver::{Taken, Undelivered};
use tokio::time::timeout;
use transport::workers::Workers;

use super::{AuditPlace, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::{columns, outside, print, recording};

/// The replica that test records are of, whose numbers are those of no record.
const TEST_REPLICA: &str = "portolan-test";

#[derive(Debug, clap::Args)]
pub(super) struct SinksOfAudit {
    /// The configuration that the gateway serves, which names the sinks
    #[arg(value_name = "CONFIG", default_value = "portolan.toml")]
    config: PathBuf,
    /// Send one record of type `test` to each receiver, and show what it says
    #[arg(long)]
    test: bool,
}

impl SinksOfAudit {
    pub(super) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let place = AuditPlace { config: self.config.clone(), dir: None };
        let (plan, _) = place.plan(voice)?;
        if plan.sinks.is_empty() {
            let what = format!("{} has no sinks", self.config.display());
            return Err(
                Fault::usage(what).hint("write [audit.sink.NAME] into it; docs/feed-the-audit.md says how")
            );
        }
        if self.test {
            return test(&plan).await;
        }
        let Some(audit) = &plan.audit else { return Ok(Exit::Ok) };
        let mut rows =
            vec![["sink", "replica", "next", "behind", "bytes", "oldest"].map(str::to_owned).to_vec()];
        let replicas = ledger::spool::chains(&audit.directory).unwrap_or_default();
        for sink in &plan.sinks {
            let mut is_any = false;
            for replica in &replicas {
                let chain = audit.directory.join(replica);
                rows.extend(row(&sink.name, replica, &chain).map_err(|error| unreadable(&chain, &error))?);
                is_any |= cursor::path(&chain, &sink.name).exists();
            }
            if !is_any {
                rows.push(vec![sink.name.clone(), "-".to_owned(), "not begun".to_owned()]);
            }
        }
        print::out(columns::table(&[20, 20, 12, 12, 14], &rows, print::out_is_seen()))?;
        Ok(Exit::Ok)
    }
}

/// How far a sink has come in one chain, if it ever was in it.
fn row(name: &str, replica: &str, chain: &Path) -> std::io::Result<Option<Vec<String>>> {
    let mark = match cursor::read(&cursor::path(chain, name))? {
        Found::Nothing => return Ok(None),
        Found::Unreadable => {
            return Ok(Some(vec![name.to_owned(), replica.to_owned(), "unreadable".to_owned()]));
        }
        Found::At(mark) => mark,
    };
    let Behind { records, bytes, oldest } = ledger::spool::waiting(chain, &mark)?;
    let age = oldest.as_deref().and_then(moment::read).map(|at| {
        let age = SystemClock.now().duration_since(at).unwrap_or_default();
        format!("{} ago", Lasting(std::time::Duration::from_secs(age.as_secs())))
    });
    let cells =
        [name.to_owned(), replica.to_owned(), mark.seq.to_string(), records.to_string(), bytes.to_string()];
    Ok(Some(cells.into_iter().chain([age.unwrap_or_else(|| "-".to_owned())]).collect()))
}

/// Sends each receiver a record that is none.
async fn test(plan: &Plan) -> Result<Exit, Fault> {
    let world = outside::world(plan, outside::passing_seal()?, None, Workers::default())?;
    let surroundings = recording::surroundings(&world);
    let mut exit = Exit::Ok;
    for sink in &plan.sinks {
        let Some(trial) = make::of_trial(sink) else {
            let text = "another process writes the file now, as the gateway does; nothing was sent";
            let row = vec![sink.name.clone(), text.to_owned()];
            print::out(columns::table(&[20], &[row], print::out_is_seen()))?;
            continue;
        };
        let mut receiver = make::receiver(&trial, &surroundings)?;
        let line = record(SystemClock.now());
        let said = match timeout(sink.timeout, receiver.deliver(&[line])).await {
            Err(_elapsed) => Err(format!("no answer within {:?}", sink.timeout)),
            Ok(Err(
                Undelivered::Later { why, .. } | Undelivered::TooLarge { why } | Undelivered::Refused { why },
            )) => Err(why),
            Ok(Ok(Taken { rejected, lost, .. })) => match rejected.into_iter().next() {
                Some((_, why)) => Err(why),
                None if lost > 0 => Err("it says that it left the record out".to_owned()),
                None => Ok(if receiver.acknowledges() {
                    "taken"
                } else {
                    "sent; it does not say whether it was taken"
                }),
            },
        };
        let text = match &said {
            Ok(text) => (*text).to_owned(),
            Err(why) => {
                exit = Exit::Unreachable;
                format!("NOT taken: {why}")
            }
        };
        let row = vec![sink.name.clone(), print::safe_out(&text).into_owned()];
        print::out(columns::table(&[20], &[row], print::out_is_seen()))?;
    }
    Ok(exit)
}

/// A record as the ledger would have it, of a chain that there is not.
fn record(now: SystemTime) -> String {
    let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let time = moment::write(now);
    let time = time.trim_end_matches('Z');
    let zeros = "0".repeat(64);
    format!(
        "{{\"v\":1,\"type\":\"test\",\"time\":\"{time}000Z\",\"replica\":\"{TEST_REPLICA}\",\"seq\":{micros},\"prev\":\"sha256:{zeros}\",\
         \"outcome\":\"ok\"}}"
    )
}
