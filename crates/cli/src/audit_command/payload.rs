//! `portolan audit payload-key`, `open` and `erase`: arguments and results that are kept for whoever has the key.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::sink::Event;
use ledger::payload::{Payload, PayloadKey, is_id};
use ledger::payloads::{self, Lying};

use super::{AuditPlace, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::{print, recording};

#[derive(Debug, clap::Args)]
pub(super) struct PayloadKeys {
    #[command(subcommand)]
    what: KeyOfPayloads,
}

#[derive(Debug, clap::Subcommand)]
enum KeyOfPayloads {
    /// Make a key: the private one goes into a file that only you can read, the public one is printed
    #[command(after_help = "Example:\n  portolan audit payload-key new payload.key > payload.pub")]
    New {
        /// The file for the private key, which must not be there yet. The gateway does not need it: keep it elsewhere
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct OpenPayload {
    /// The payload: `payload.id` of the arguments or the result in a record
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: AuditPlace,
    /// The file with the private key that belongs to audit.payloads.recipient
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ErasePayloads {
    /// The payloads
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// The configuration that the gateway serves, which names the ledger
    #[arg(long, value_name = "CONFIG", default_value = "portolan.toml")]
    config: PathBuf,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl PayloadKeys {
    pub(super) fn run(self) -> Result<Exit, Fault> {
        let KeyOfPayloads::New { file } = self.what;
        let none = || Fault::Outside("the system gives no random numbers".to_owned());
        let (key, public) = PayloadKey::new().ok_or_else(none)?;
        let mut made =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(|error| {
                unreadable(&file, &error).hint("a key that is there is never written over")
            })?;
        let written = made.write_all(key.to_text().as_bytes()).and_then(|()| made.sync_all());
        written.map_err(|error| unreadable(&file, &error))?;
        print::out(format!("{public}\n"))?;
        Ok(Exit::Ok)
    }
}

fn find(directory: &Path, id: &str) -> Result<Lying, Fault> {
    if !is_id(id) {
        return Err(Fault::usage(format!("{id:?} names no payload"))
            .hint("it is 32 digits: `portolan audit query --json` shows them as payload.id"));
    }
    let found = payloads::find(directory, id).map_err(|error| unreadable(directory, &error))?;
    let gone = || {
        Fault::Outside(format!("there is no payload {id}"))
            .hint("it was erased, or audit.payloads.keep has deleted its file; its record stays")
    };
    found.ok_or_else(gone)
}

impl OpenPayload {
    pub(super) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let text = std::fs::read_to_string(&self.private_key)
            .map_err(|error| unreadable(&self.private_key, &error))?;
        let no_key = || {
            Fault::usage(format!("{} holds no private key for payloads", self.private_key.display()))
                .hint("`portolan audit payload-key new` writes one")
        };
        let key = PayloadKey::of_text(&text).ok_or_else(no_key)?;
        let (directory, _) = self.place.find(voice)?;
        let lying = find(&directory, &self.id)?;
        let malformed = || Fault::Outside(format!("{} is no payload any more", self.id));
        let payload = Payload::read(&lying.line).ok_or_else(malformed)?;
        let text = key.open(&payload).map_err(|fault| Fault::Outside(fault.to_string()))?;
        let known = payloads::is_as_written(&directory, &self.id, &lying.line)
            .map_err(|error| unreadable(&directory, &error))?;
        // As it is: JSON, for other programs. What a terminal would obey is escaped in it.
        print::out(format!("{}\n", print::safe_out(&text)))?;
        match known {
            Some(true) => return Ok(Exit::Ok),
            Some(false) => print::err("BAD: this is not what was written: its record has another digest\n"),
            None => print::err("BAD: no record names it\n"),
        }
        Ok(Exit::Findings)
    }
}

impl ErasePayloads {
    pub(super) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let place = AuditPlace { config: self.config.clone(), dir: None };
        let (directory, plan) = place.find(voice)?;
        let Some(plan) = plan else { return Err(Fault::usage("there is no configuration")) };
        // All of them are found before any is erased.
        let found = self.ids.iter().map(|id| find(&directory, id).map(|lying| (id, lying)));
        let found = found.collect::<Result<Vec<_>, Fault>>()?;
        let event = |id: &String| Event {
            kind: "erased",
            members: vec![("payload", id.clone()), ("why", self.why.clone()), ("by", "operator".to_owned())],
        };
        // That it is erased is in the ledger before it is.
        let events: Vec<_> = found.iter().map(|(id, _)| event(id)).collect();
        if !recording::tell(&plan, self.state_dir.as_deref(), &events).await? {
            return Err(Fault::usage(format!("{} has no ledger", self.config.display())));
        }
        for (id, lying) in &found {
            lying.erase().map_err(|error| Fault::outside(&format!("payload {id} is not erased"), &error))?;
        }
        print::out(format!("erased: {}\n", found.len()))?;
        Ok(Exit::Ok)
    }
}
