//! `portolan audit`: what is in a ledger, and whether it is as it was written.

use std::io;
use std::path::{Path, PathBuf};

use base::plan::Plan;
use ledger::key::{PublicKey, SigningKey};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{print, recording};

mod csv;
mod export;
mod payload;
mod proof;
mod shown;
mod sinking;
mod verify;

use self::export::ExportAudit;
use self::payload::{ErasePayloads, OpenPayload, PayloadKeys};
use self::proof::{CheckProof, ProveRecord};
use self::shown::QueryAudit;
use self::sinking::SinksOfAudit;
use self::verify::VerifyAudit;

/// Read the ledger of what was done, and verify that nothing of it was changed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan audit verify portolan.toml
  portolan audit query portolan.toml --since 1h --outcome error
  portolan audit export portolan.toml --format csv > calls.csv")]
pub(crate) struct AuditCommand {
    #[command(subcommand)]
    what: AuditTask,
}

#[derive(Debug, clap::Subcommand)]
enum AuditTask {
    /// Prove that nothing was altered, removed, reordered or cut off, and name the first record that is not as it was
    ///
    /// The exit status is 0 where all is well, and 1 where it is not. What no checkpoint covers yet, which is the last seconds of a
    /// process that runs or was killed, is counted and not proved.
    #[command(after_help = "\
Examples:
  portolan audit verify portolan.toml
  portolan audit verify --dir /mnt/copy/audit --key ledger.pub --witness /mnt/elsewhere/witness.jsonl")]
    Verify(VerifyAudit),
    /// Show records
    #[command(
        after_help = "Example:\n  portolan audit query portolan.toml --since 2026-12-01T08:00:00Z --server github"
    )]
    Query(QueryAudit),
    /// Show records as they come
    #[command(after_help = "Example:\n  portolan audit tail portolan.toml --outcome error")]
    Tail(QueryAudit),
    /// Write records for other programs
    #[command(
        after_help = "Example:\n  portolan audit export portolan.toml --format csv --since 24h > calls.csv"
    )]
    Export(ExportAudit),
    /// Prove one record to somebody who has no other
    #[command(after_help = "Example:\n  portolan audit prove web-1/4711 portolan.toml > proof.json")]
    Prove(ProveRecord),
    /// Check the proof of a record, with nothing but a public key
    #[command(after_help = "Example:\n  portolan audit check-proof proof.json --key ledger.pub")]
    CheckProof(CheckProof),
    /// Show how far each sink has come, and how much waits for it
    ///
    /// With --test, each receiver is sent one record of type `test`, and what it says is shown. The exit status is 0 where all is well, and
    /// 4 where a receiver does not take that.
    #[command(
        after_help = "Examples:\n  portolan audit sinks portolan.toml\n  portolan audit sinks portolan.toml --test"
    )]
    Sinks(SinksOfAudit),
    /// Print the public key that others verify the ledger with
    #[command(after_help = "Example:\n  portolan audit key > ledger.pub")]
    Key(KeyOfAudit),
    /// Make the key that arguments and results are kept for
    #[command(after_help = "Example:\n  portolan audit payload-key new payload.key > payload.pub")]
    PayloadKey(PayloadKeys),
    /// Print the arguments or the result of a call that were kept for whoever has the key
    #[command(
        after_help = "Example:\n  portolan audit open 0f3c1a77d2b94e5f8a6b0c1d2e3f4a5b portolan.toml --private-key payload.key"
    )]
    Open(OpenPayload),
    /// Erase arguments or results that were kept. Their digests stay, and the ledger is whole; that they are erased is a record
    #[command(
        after_help = "Example:\n  portolan audit erase 0f3c1a77d2b94e5f8a6b0c1d2e3f4a5b --config portolan.toml --why 'request 17'"
    )]
    Erase(ErasePayloads),
    /// Print the JSON Schema of records
    #[command(after_help = "Example:\n  portolan audit schema > audit-record.schema.json")]
    Schema,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditPlace {
    /// The configuration that the gateway serves, which names the ledger
    #[arg(value_name = "CONFIG", default_value = "portolan.toml")]
    config: PathBuf,
    /// The ledger's directory, where there is no configuration
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct KeyOfAudit {
    /// The configuration that the gateway serves, which must name a ledger
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl AuditCommand {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            AuditTask::Verify(verify) => verify.run(voice).await,
            AuditTask::Query(query) => query.run(voice),
            AuditTask::Tail(query) => query.follow(voice).await,
            AuditTask::Export(export) => export.run(voice),
            AuditTask::Prove(prove) => prove.run(voice),
            AuditTask::CheckProof(check) => check.run(),
            AuditTask::Sinks(sinks) => sinks.run(voice).await,
            AuditTask::Key(key) => {
                if let Some(config) = key.config {
                    AuditPlace { config, dir: None }.plan(voice)?;
                }
                let key = SigningKey::at(&recording::key_file(key.state_dir.as_deref())?)?;
                print::out(format!("{}\n", key.public()))?;
                Ok(Exit::Ok)
            }
            AuditTask::PayloadKey(keys) => keys.run(),
            AuditTask::Open(open) => open.run(voice),
            AuditTask::Erase(erase) => erase.run(voice).await,
            AuditTask::Schema => {
                print::out(ledger::schema::schema())?;
                Ok(Exit::Ok)
            }
        }
    }
}

impl AuditPlace {
    /// The plan of the configuration, and the directory of the ledger that it has.
    fn plan(&self, voice: Voice) -> Result<(Plan, PathBuf), Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let Some(audit) = &plan.audit else {
            let what = format!("{} has no ledger", self.config.display());
            return Err(
                Fault::usage(what).hint("write [audit] into it, or name a ledger's directory with --dir")
            );
        };
        let directory = audit.directory.clone();
        Ok((plan, directory))
    }

    /// The ledger's directory, and the plan that names it.
    pub(crate) fn find(&self, voice: Voice) -> Result<(PathBuf, Option<Plan>), Fault> {
        let (directory, plan) = match &self.dir {
            Some(directory) => (directory.clone(), None),
            None => {
                let (plan, directory) = self.plan(voice)?;
                (directory, Some(plan))
            }
        };
        if !directory.is_dir() {
            let what = format!("{} is no directory: there is no ledger yet", directory.display());
            return Err(Fault::Outside(what).hint("it is made when `portolan serve` begins"));
        }
        Ok((directory, plan))
    }
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::outside(&path.display().to_string(), error)
}

/// Public keys, each given as itself or in a file.
fn keys_of(given: &[String]) -> Result<Vec<PublicKey>, Fault> {
    let mut keys = Vec::new();
    for given in given {
        if let Some(key) = PublicKey::of_text(given) {
            keys.push(key);
            continue;
        }
        let before = keys.len();
        let text = std::fs::read_to_string(given).map_err(|error| unreadable(Path::new(given), &error))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let no_key = || {
                Fault::usage(format!("{given}: {line:?} is no public key"))
                    .hint("such as ed25519: and 64 hexadecimal digits")
            };
            keys.push(PublicKey::of_text(line).ok_or_else(no_key)?);
        }
        if keys.len() == before {
            return Err(Fault::usage(format!("{given} has no public key"))
                .hint("`portolan audit key` prints it where the gateway runs"));
        }
    }
    Ok(keys)
}
