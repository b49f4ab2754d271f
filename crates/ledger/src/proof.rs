//! One record proved without the others: to a stranger, who has nothing but a public key.
//!
//! A proof is JSON: the record's line, the line of the checkpoint that covers it, and the hashes that lead from the one to the
//! root in the other.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use mcp::json::{self, Object, quote};

use crate::chain::CHECKPOINT;
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::line::{self, Head};
use crate::merkle;
use crate::place;
use crate::recover::LONGEST_LINE;

/// The proof of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The record's line.
    pub record: String,
    /// The line of the checkpoint that covers it.
    pub checkpoint: String,
    /// From the leaf up.
    pub path: Vec<Hash>,
}

/// Why a proof proves nothing, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// There is no such record.
    #[error("there is no such record in this ledger")]
    NotThere,
    /// No checkpoint covers it yet.
    #[error("no checkpoint covers this record yet; it takes at most ten seconds, or the end of its process")]
    NotYet,
    /// It is no proof.
    #[error("this is no proof: {0}")]
    Malformed(&'static str),
    /// The key is another one.
    #[error("the checkpoint is signed with a key that is none of those given: {0}")]
    OtherKey(String),
    /// The signature is wrong.
    #[error("the signature of the checkpoint is wrong")]
    Signature,
    /// The record is not among what the checkpoint covers.
    #[error("the record is not as it was when the checkpoint was signed")]
    Record,
}

/// Proves the record at that place of a replica's chain.
///
/// # Errors
/// When the ledger cannot be read; within, when there is no such record, or nothing covers it.
pub fn prove(ledger: &Path, replica: &str, seq: u64) -> io::Result<Result<Proof, ProofFault>> {
    let directory = ledger.join(replica);
    let (mut hashes, mut first, mut found) = (Vec::new(), None, None);
    for number in place::segments(&directory)?.0 {
        let mut from =
            BufReader::with_capacity(1024 * 1024, place::open(&place::segment(&directory, number))?);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let line = bytes.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let Some((head, line)) = line.and_then(|line| Some((Head::read(line)?, line))) else { continue };
            if head.kind != CHECKPOINT {
                first.get_or_insert(head.seq);
                hashes.push(Hash::of(&[line.as_bytes()]));
                if head.seq == seq {
                    found = Some(line.to_owned());
                }
                continue;
            }
            if let (Some(record), Some(first)) = (found.take(), first) {
                let at = usize::try_from(seq - first).unwrap_or(usize::MAX);
                let path = merkle::path(&hashes, at);
                return Ok(Ok(Proof { record, checkpoint: line.to_owned(), path }));
            }
            if head.seq >= seq {
                return Ok(Err(ProofFault::NotThere));
            }
            (hashes, first) = (Vec::new(), None);
        }
    }
    Ok(Err(if found.is_some() { ProofFault::NotYet } else { ProofFault::NotThere }))
}

impl Proof {
    /// As it is given to somebody.
    #[must_use]
    pub fn to_json(&self) -> String {
        let path: Vec<_> = self.path.iter().map(|hash| format!("\"sha256:{hash}\"")).collect();
        let (record, checkpoint) = (quote(&self.record), quote(&self.checkpoint));
        format!("{{\"record\":{record},\n\"checkpoint\":{checkpoint},\n\"path\":[{}]}}\n", path.join(","))
    }

    /// As somebody gives it.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_json(text: &str) -> Result<Self, ProofFault> {
        let malformed = ProofFault::Malformed;
        let object = Object::parse(text.trim()).map_err(|_fault| malformed("it is no JSON object"))?;
        let line = |name: &str| {
            object
                .string(name)
                .ok()
                .flatten()
                .map(|line| line.into_owned())
                .ok_or(ProofFault::Malformed("a line is missing"))
        };
        let path = object.get("path").ok().flatten().and_then(|path| json::array(path).ok());
        let hash = |text: &str| Hash::of_hex(json::string(text).ok()?.strip_prefix("sha256:")?);
        let path = path
            .ok_or(ProofFault::Malformed("the path is missing"))?
            .into_iter()
            .map(hash)
            .collect::<Option<_>>();
        let path = path.ok_or(ProofFault::Malformed("the path has something that is no hash"))?;
        Ok(Self { record: line("record")?, checkpoint: line("checkpoint")?, path })
    }

    /// Whether the record was there when somebody who has one of these keys signed the checkpoint.
    ///
    /// # Errors
    /// When that is not proved.
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), ProofFault> {
        let malformed = ProofFault::Malformed;
        let record = Head::read(&self.record).ok_or(ProofFault::Malformed("the record is none"))?;
        let checkpoint = Head::read(&self.checkpoint).filter(|head| head.kind == CHECKPOINT);
        let checkpoint = checkpoint.ok_or(ProofFault::Malformed("the checkpoint is none"))?;
        let members = format!("{{{}", checkpoint.rest.trim_start_matches(','));
        let members = Object::parse(&members).map_err(|_fault| malformed("the checkpoint is none"))?;
        let text = |name: &str| members.string(name).ok().flatten().map(|text| text.into_owned());
        let key = text("key")
            .and_then(|key| PublicKey::of_text(&key))
            .ok_or(ProofFault::Malformed("no key is named"))?;
        if !keys.contains(&key) {
            return Err(ProofFault::OtherKey(key.to_string()));
        }
        let (signed, signature) =
            line::signed(&self.checkpoint).ok_or(ProofFault::Malformed("there is no signature"))?;
        if !key.has_signed(signed.as_bytes(), &signature) {
            return Err(ProofFault::Signature);
        }
        // What is read here is what was signed.
        let root = text("root").and_then(|root| Hash::of_hex(root.strip_prefix("sha256:")?));
        let first = members.get("first").ok().flatten().and_then(|first| first.parse::<u64>().ok());
        let (root, first) = root.zip(first).ok_or(ProofFault::Malformed("the checkpoint is none"))?;
        let at = record.seq.checked_sub(first).zip(checkpoint.seq.checked_sub(first));
        let climbed = at.and_then(|at| merkle::climb(&Hash::of(&[self.record.as_bytes()]), at, &self.path));
        if record.replica == checkpoint.replica && climbed == Some(root) {
            Ok(())
        } else {
            Err(ProofFault::Record)
        }
    }
}
