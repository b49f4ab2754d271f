//! Payloads of a whole ledger: whether they are as they were written, and one of them by its name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mcp::json::Object;

use crate::chain::ERASED;
use crate::hash::Hash;
use crate::line::{BACK, Head, moment_of};
use crate::payload::{Payload, is_id};
use crate::query::{self, Filter, text};
use crate::{place, seek, shelf};

/// How it stands with the payloads of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayloadReport {
    /// As many are there, and are as they were written.
    pub good: u64,
    /// As many are not there, and a record says that they were erased, or that their file was deleted because it was old.
    pub erased: u64,
    /// As many are not there, and no record says why.
    pub missing: u64,
    /// As many are there that no record names: a process was killed between the one and the other, or the record was deleted.
    pub unnamed: u64,
    /// So many files were deleted because they were old.
    pub deleted_files: u64,
    /// What is wrong; nothing where all is well.
    pub bad: Vec<String>,
}

/// So many things that are wrong are said.
const MOST_BAD: usize = 100;

impl PayloadReport {
    fn is_bad(&mut self, why: String) {
        if self.bad.len() < MOST_BAD {
            self.bad.push(why);
        }
    }
}

/// Holds the payloads of a ledger against its records. That the records are as they were written, [`crate::verify`] says.
///
/// # Errors
/// When it cannot be read.
pub fn check(ledger: &Path) -> io::Result<PayloadReport> {
    let mut report = PayloadReport::default();
    let mut there: HashMap<String, (String, Hash)> = HashMap::new();
    let (replicas, _) = place::replicas(ledger)?;
    // What is recorded while the files are read names what they did not have yet.
    let ends = replicas.iter().map(|replica| Ok((replica.clone(), ends_at(&ledger.join(replica))?)));
    let ends = ends.collect::<io::Result<HashMap<String, Option<u64>>>>()?;
    for replica in &replicas {
        let directory = ledger.join(replica);
        shelf::read(&directory, |found| {
            let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let at = format!("{replica}/{name}, byte {}", found.at);
            match found.line.map(|line| (Payload::read(line), line)) {
                Ok((Some(payload), line)) if payload.replica == replica => {
                    let is = (replica.clone(), Hash::of(&[line.as_bytes()]));
                    if there.insert(payload.id.to_owned(), is).is_some() {
                        report.is_bad(format!("{at}: payload {} stands twice", payload.id));
                    }
                }
                Ok((Some(payload), _)) => {
                    report.is_bad(format!("{at}: this is a payload of replica {}", print(payload.replica)));
                }
                Ok((None, line)) if shelf::is_erased(line) => {}
                _ => report.is_bad(format!("{at}: this is no payload, or it was changed")),
            }
            Ok(true)
        })?;
    }
    let (mut gone, mut erased) = (Vec::new(), HashSet::new());
    // Of each chain, until when what was kept has been deleted.
    let mut deleted: HashMap<String, SystemTime> = HashMap::new();
    query::read(ledger, &Filter::default(), |line| {
        let Some(head) = Head::read(line) else { return Ok(true) };
        if head.kind == ERASED {
            let object = Object::parse(line).ok();
            match object.as_ref().and_then(|object| text(object, "payload")) {
                Some(id) => drop(erased.insert(id)),
                None => {
                    report.deleted_files += 1;
                    let until = object.as_ref().and_then(|object| moment_of(&text(object, "until")?));
                    let known = deleted.entry(head.replica.to_owned()).or_insert(SystemTime::UNIX_EPOCH);
                    *known = until.map_or(*known, |until| until.max(*known));
                }
            }
            return Ok(true);
        }
        for (part, id, digest) in named(line) {
            match there.remove(&id) {
                None if ends.get(head.replica).copied().flatten().is_none_or(|end| head.seq > end) => {}
                None => gone.push((id, head.replica.to_owned(), moment_of(head.time))),
                Some((replica, is)) if replica == head.replica && Some(is) == digest => report.good += 1,
                Some(_) => {
                    let (replica, seq) = (head.replica, head.seq);
                    report.is_bad(format!("{replica}/{seq}: the payload {id} ({part}) was changed"));
                }
            }
        }
        Ok(true)
    })?;
    for (id, replica, time) in gone {
        // A call is before its payload is written, but for what a file's time is less exact than a record's.
        let is_deleted = || Some(time? <= *deleted.get(&replica)? + BACK);
        let is_known = erased.contains(&id) || is_deleted().unwrap_or_default();
        if is_known { report.erased += 1 } else { report.missing += 1 }
    }
    report.unnamed = there.len().try_into().unwrap_or(u64::MAX);
    Ok(report)
}

/// The place of the last record of a chain, if it has any.
fn ends_at(directory: &Path) -> io::Result<Option<u64>> {
    for number in place::segments(directory)?.0.into_iter().rev() {
        let file = match place::open(&place::segment(directory, number)) {
            // It was old, and was deleted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let length = file.metadata()?.len();
        if let Some((_, seq)) = seek::begins_at(&file, seek::last(&file, length)?.0)? {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

fn print(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// The payloads that a record names.
fn named(line: &str) -> Vec<(&'static str, String, Option<Hash>)> {
    if memchr::memmem::find(line.as_bytes(), b"\"payload\":{\"id\":").is_none() {
        return Vec::new();
    }
    let Ok(object) = Object::parse(line) else { return Vec::new() };
    let of = |part: &'static str| {
        let part_of = object.object(part).ok()??;
        let payload = part_of.object("payload").ok()??;
        let digest = text(&payload, "digest");
        let digest = digest.as_deref().and_then(|digest| Hash::of_hex(digest.strip_prefix("sha256:")?));
        Some((part, text(&payload, "id")?, digest))
    };
    ["arguments", "result"].into_iter().filter_map(of).collect()
}

/// One payload, as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lying {
    /// The line.
    pub line: String,
    path: PathBuf,
    at: u64,
}

/// Looks for a payload.
///
/// # Errors
/// When the files cannot be read.
pub fn find(ledger: &Path, id: &str) -> io::Result<Option<Lying>> {
    let mut lying = None;
    if !is_id(id) {
        return Ok(None);
    }
    for replica in place::replicas(ledger)?.0 {
        shelf::read(&ledger.join(replica), |found| {
            if let Ok(line) = found.line
                && line.contains(id)
                && Payload::read(line).is_some_and(|payload| payload.id == id)
            {
                lying = Some(Lying { line: line.to_owned(), path: found.path.to_owned(), at: found.at });
            }
            Ok(lying.is_none())
        })?;
        if lying.is_some() {
            break;
        }
    }
    Ok(lying)
}

/// What the record that names a payload says of it: whether it is the line that was written.
///
/// # Errors
/// When the ledger cannot be read.
pub fn is_as_written(ledger: &Path, id: &str, line: &str) -> io::Result<Option<bool>> {
    let mut found = None;
    query::read(ledger, &Filter { kind: Some("call".to_owned()), ..Filter::default() }, |record| {
        if record.contains(id)
            && let Some((_, _, digest)) = named(record).into_iter().find(|(_, named, _)| named == id)
        {
            found = Some(digest == Some(Hash::of(&[line.as_bytes()])));
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

impl Lying {
    /// Writes over it, so that nobody can read it any more. That it is, is to be in a record before.
    ///
    /// # Errors
    /// When it cannot be written over.
    pub fn erase(&self) -> io::Result<()> {
        shelf::erase(&self.path, self.at, &self.line)
    }
}
