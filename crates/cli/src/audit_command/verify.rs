//! `portolan audit verify`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::key::{PublicKey, SigningKey};
use ledger::payloads::{self, PayloadReport};
use ledger::verify::{Against, Bad, ReplicaReport, Verified, VerifyReport};
use mcp::json::quote;
use store::{Place, Store};

use super::{AuditPlace, keys_of, unreadable};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::{print, recording, shared};

#[derive(Debug, clap::Args)]
pub(super) struct VerifyAudit {
    #[command(flatten)]
    place: AuditPlace,
    /// A public key, or a file with some, a line each: of whoever has written the ledger. Without it, this machine's
    #[arg(long, value_name = "FILE|KEY")]
    key: Vec<String>,
    /// The file in which checkpoints were kept elsewhere. Without it, the configuration's
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// The state directory that the gateway was given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Hold the arguments and results that were kept (audit.payloads) against their records, too
    #[arg(long)]
    payloads: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// So many checkpoints are read from the store at once.
const PAGE: usize = 500;

/// The checkpoints that a store has kept before somebody looked.
struct StoreWitness {
    store: Arc<Store>,
    before: i64,
}

impl StoreWitness {
    async fn at(place: &Place) -> Result<Self, Fault> {
        let without = "with --dir and --key a ledger is verified without the store";
        let store = shared::open_store(place).await.map_err(|fault| fault.hint(without))?;
        let before = store.checkpoints_time().await.map_err(|fault| shared::away(&fault))?;
        Ok(Self { store, before })
    }

    /// Shows all of them, each with its number.
    async fn compare(self, mut shown: impl FnMut((u64, &str)) -> Result<(), Fault>) -> Result<(), Fault> {
        let (mut behind, mut number) = ((String::new(), -1), 0);
        loop {
            let page = self.store.checkpoints(self.before, (&behind.0, behind.1), PAGE).await;
            let page = page.map_err(|fault| shared::away(&fault))?;
            let Some(last) = page.last() else { break };
            behind = (last.replica.clone(), last.seq);
            for one in &page {
                number += 1;
                shown((number, &one.line))?;
            }
        }
        self.store.close().await;
        Ok(())
    }
}

impl VerifyAudit {
    pub(super) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (directory, plan) = self.place.find(voice)?;
        let store = match plan.as_ref().and_then(|plan| plan.store.as_ref()) {
            Some(place) => Some(Box::pin(StoreWitness::at(place)).await?),
            None => None,
        };
        let mut witnesses = self.witness.clone();
        if let Some(path) = plan.and_then(|plan| plan.audit?.witness).filter(|_| witnesses.is_empty()) {
            if path.exists() {
                witnesses.push(path);
            } else {
                let said = format!(
                    "warning: the witness {} is not there: an end that was cut off is not seen\n",
                    path.display()
                );
                print::err(&print::safe_err(&said));
            }
        }
        for path in &witnesses {
            std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        }
        let against = Against { keys: self.keys()?, witnesses };
        let has_witness = !against.witnesses.is_empty() || store.is_some();
        let fault = |error: io::Error| unreadable(&directory, &error);
        let mut verified = Verified::of(&directory, &against).map_err(fault)?;
        if let Some(store) = store {
            Box::pin(store.compare(|(number, line)| {
                verified.compare((Path::new("in the store"), number), line).map_err(fault)
            }))
            .await?;
        }
        let report = verified.report();
        if report.torn > 0 {
            print::err(&format!(
                "warning: lines of the witness that are not whole, and say nothing: {}\n",
                report.torn
            ));
        }
        if report.replicas.is_empty() && report.bad.is_empty() {
            let what = format!("there is no ledger in {}", directory.display());
            return Err(Fault::usage(what)
                .hint("name the directory of [audit], in which each process has one of its own"));
        }
        let checked = if self.payloads { Some(payloads::check(&directory)) } else { None };
        let checked = checked.transpose().map_err(|error| unreadable(&directory, &error))?;
        let is_good = report.bad.is_empty() && checked.as_ref().is_none_or(|checked| checked.bad.is_empty());
        let said = if self.json {
            verified_json(&report, checked.as_ref())
        } else {
            checked.as_ref().map(kept).unwrap_or_default() + &said(&report, has_witness)
        };
        print::out(said)?;
        Ok(if is_good { Exit::Ok } else { Exit::Findings })
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Fault> {
        if self.key.is_empty() {
            let path = recording::key_file(self.state_dir.as_deref())?;
            let key = SigningKey::at(&path).map_err(|fault| {
                Fault::from(fault).hint("name the public key of whoever has written the ledger with --key; `portolan audit key` prints it there")
            })?;
            return Ok(vec![key.public()]);
        }
        keys_of(&self.key)
    }
}

fn said(report: &VerifyReport, has_witness: bool) -> String {
    let mut out = String::new();
    report.notes.iter().for_each(|note| out.push_str(&format!("note: {}\n", print::safe_out(note))));
    for one in &report.replicas {
        let times =
            one.times.as_ref().map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
        let ReplicaReport { replica, segments, records, checkpoints, .. } = one;
        out.push_str(&format!("{replica}: {records} records in {segments} files{times}\n"));
        out.push_str(&format!("  {checkpoints} checkpoints are good"));
        match one.witnessed_to {
            _ if !has_witness => {}
            Some(last) => {
                let seen = one.witnessed;
                out.push_str(&format!(", the witness has seen {seen} of them, the last at record {last}"));
            }
            None => {
                out.push_str(
                    "; the witness has seen none of them: whether the end was cut off it cannot say",
                );
            }
        }
        out.push('\n');
        if one.unsigned > 0 {
            out.push_str(&format!(
                "  the last {} records follow each other, and no checkpoint covers them yet\n",
                one.unsigned
            ));
        }
        one.notes.iter().for_each(|note| out.push_str(&format!("  note: {}\n", print::safe_out(note))));
    }
    for Bad { replica, segment, line, seq, why } in &report.bad {
        let replica = print::safe_out(replica);
        let at = match segment {
            Some(segment) => format!("{replica}/{segment}, line {line}, record {seq}"),
            None if *line > 0 => format!("{replica}, line {line}"),
            None if *seq > 0 => format!("{replica}, record {seq}"),
            None => replica.to_string(),
        };
        out.push_str(&format!("BAD: {at}: {}\n", print::safe_out(why)));
    }
    let unseen: Vec<_> = report.replicas.iter().filter(|one| one.witnessed == 0).collect();
    out.push_str(&match (report.bad.is_empty(), has_witness) {
        (false, _) => "this ledger is not as it was written\n".to_owned(),
        (true, true) if unseen.is_empty() => "nothing was altered, removed, reordered or cut off\n".to_owned(),
        (true, true) => {
            let names: Vec<_> = unseen.iter().map(|one| one.replica.as_str()).collect();
            let (few, more) = names.split_at(names.len().min(5));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            format!(
                "nothing was altered, removed or reordered; nothing that the witness has seen was cut off, and it has seen nothing of {}{more}\n",
                few.join(", ")
            )
        }
        (true, false) => {
            "nothing was altered, removed or reordered; whether the end was cut off only a witness can say (audit.witness)\n".to_owned()
        }
    });
    out
}

/// How it stands with what was kept, for a person.
fn kept(of: &PayloadReport) -> String {
    let mut out = format!("payloads: {} are as they were written, {} were erased\n", of.good, of.erased);
    let counted = [
        (of.deleted_files, "files of payloads were deleted because they were old"),
        (of.missing, "payloads are not there, and no record says that they were erased"),
        (
            of.unnamed,
            "payloads have no record: a process was killed between the one and the other, or the record was deleted",
        ),
    ];
    for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0) {
        out.push_str(&format!("  note: {count} {what}\n"));
    }
    of.bad.iter().for_each(|why| out.push_str(&format!("BAD: {}\n", print::safe_out(why))));
    out
}

fn kept_json(of: &PayloadReport) -> String {
    let PayloadReport { good, erased, missing, unnamed, deleted_files, bad } = of;
    let bad: Vec<_> = bad.iter().map(|why| quote(why)).collect();
    format!(
        r#","payloads":{{"good":{good},"erased":{erased},"missing":{missing},"unnamed":{unnamed},"deletedFiles":{deleted_files},"bad":[{}]}}"#,
        bad.join(",")
    )
}

fn verified_json(report: &VerifyReport, checked: Option<&PayloadReport>) -> String {
    let replicas = report.replicas.iter().map(|one| {
        let notes: Vec<_> = one.notes.iter().map(|note| quote(note)).collect();
        let last = one.witnessed_to.map_or_else(|| "null".to_owned(), |last| last.to_string());
        format!(
            r#"{{"replica":{},"segments":{},"records":{},"checkpoints":{},"unsigned":{},"witnessed":{},"witnessedTo":{last},"notes":[{}]}}"#,
            quote(&one.replica), one.segments, one.records, one.checkpoints, one.unsigned, one.witnessed, notes.join(",")
        )
    });
    let bad = report.bad.iter().map(|bad| {
        let segment = bad.segment.as_deref().map_or_else(|| "null".to_owned(), quote);
        format!(
            r#"{{"replica":{},"segment":{segment},"line":{},"seq":{},"why":{}}}"#,
            quote(&bad.replica),
            bad.line,
            bad.seq,
            quote(&bad.why)
        )
    });
    let notes: Vec<_> = report.notes.iter().map(|note| quote(note)).collect();
    let (replicas, bad): (Vec<_>, Vec<_>) = (replicas.collect(), bad.collect());
    format!(
        "{{\"good\":{},\"replicas\":[{}],\"bad\":[{}],\"notes\":[{}]{}}}\n",
        report.bad.is_empty() && checked.is_none_or(|checked| checked.bad.is_empty()),
        replicas.join(","),
        bad.join(","),
        notes.join(","),
        checked.map(kept_json).unwrap_or_default()
    )
}
