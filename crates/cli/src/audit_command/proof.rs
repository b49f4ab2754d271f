//! `portolan audit prove` and `check-proof`.

use std::path::PathBuf;

use ledger::proof::{Proof, prove};

use super::{AuditPlace, keys_of, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::print;

#[derive(Debug, clap::Args)]
pub(super) struct ProveRecord {
    /// The record: its members replica and seq
    #[arg(value_name = "REPLICA/SEQ")]
    id: String,
    #[command(flatten)]
    place: AuditPlace,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckProof {
    /// The proof
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    /// A public key, or a file with some, a line each: of whoever has written the ledger
    #[arg(long, value_name = "FILE|KEY", required = true)]
    key: Vec<String>,
}

impl ProveRecord {
    pub(super) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let id = self.id.split_once('/').and_then(|(replica, seq)| Some((replica, seq.parse().ok()?)));
        let is_one = |replica: &str| !replica.is_empty() && replica.bytes().all(ledger::line::is_name);
        let Some((replica, seq)) = id.filter(|(replica, _)| is_one(replica) && *replica != "..") else {
            return Err(Fault::usage(format!("{:?} names no record", self.id)).hint(
                "write its replica and seq, such as web-1/4711; `portolan audit query --json` shows them",
            ));
        };
        let (directory, _) = self.place.find(voice)?;
        let proof =
            prove(&directory, replica, seq).map_err(|error| unreadable(&directory.join(replica), &error))?;
        let proof = proof.map_err(|fault| Fault::Outside(fault.to_string()))?;
        print::out(proof.to_json())?;
        Ok(Exit::Ok)
    }
}

impl CheckProof {
    pub(super) fn run(&self) -> Result<Exit, Fault> {
        let text = std::fs::read_to_string(&self.proof).map_err(|error| unreadable(&self.proof, &error))?;
        let keys = keys_of(&self.key)?;
        let checked = Proof::of_json(&text).and_then(|proof| proof.check(&keys).map(|()| proof));
        match checked {
            Ok(proof) => {
                print::out(format!(
                    "this record was signed as it is:\n{}\n",
                    print::safe_out(&proof.record)
                ))?;
                Ok(Exit::Ok)
            }
            Err(fault) => {
                print::out(format!("BAD: {fault}\n"))?;
                Ok(Exit::Findings)
            }
        }
    }
}
