//! What is in a ledger: its records, one after the other, and those of them that somebody wants to see.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Take};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mcp::json::{self, Object};

use crate::line::{BACK, Head, Stamp, moment_of};
use crate::recover::LONGEST_LINE;
use crate::writer::SMALL;
use crate::{place, seek};

/// Which records are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Made at this time or later, as records spell it.
    pub since: Option<String>,
    /// Made before this time.
    pub until: Option<String>,
    /// Of this type.
    pub kind: Option<String>,
    /// By a principal of this id or subject.
    pub principal: Option<String>,
    /// At this server.
    pub server: Option<String>,
    /// About the tool, prompt or resource of this name, or of this server and name with a `/` between them.
    pub thing: Option<String>,
    /// That ended so.
    pub outcome: Option<String>,
    /// Of this trace.
    pub trace: Option<String>,
    /// By this approval, or about it.
    pub approval: Option<String>,
    /// Decided by this policy.
    pub policy: Option<String>,
    /// By this client: its OAuth client, or the name that it has for itself.
    pub client: Option<String>,
    /// On this route.
    pub route: Option<String>,
    /// From this address.
    pub address: Option<String>,
}

impl Filter {
    /// Whether a record is wanted.
    #[must_use]
    pub fn wants(&self, head: &Head<'_>, line: &str) -> bool {
        let in_time = self.since.as_deref().is_none_or(|since| head.time >= since)
            && self.until.as_deref().is_none_or(|until| head.time < until)
            && self.kind.as_deref().is_none_or(|kind| head.kind == kind);
        if !in_time {
            return false;
        }
        // The name alone stands in a record, and a URI has its server's scheme before it.
        let thing = self.thing.as_deref().map(|thing| thing.split_once('/').map_or(thing, |(_, name)| name));
        let texts = [&self.principal, &self.server, &self.outcome, &self.trace, &self.approval];
        let more = [&self.policy, &self.client, &self.route, &self.address];
        let texts = texts.into_iter().chain(more).filter_map(|text| text.as_deref()).chain(thing);
        let texts: Vec<&str> = texts.collect();
        if texts.is_empty() {
            return true;
        }
        // What is looked at closely has the words in it somewhere, unless they are spelled with escapes.
        let is_in = |text: &str| memchr::memmem::find(line.as_bytes(), text.as_bytes()).is_some();
        let may_be = |text: &&str| is_in(text) || line.contains('\\');
        texts.iter().all(may_be) && Object::parse(line).is_ok_and(|object| self.fits(&object))
    }

    fn fits(&self, object: &Object<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<String>| {
            wanted.as_deref().is_none_or(|wanted| found.as_deref() == Some(wanted))
        };
        let who = |name| inner(object, "principal", name);
        let by = self.principal.as_deref();
        let client = self.client.as_deref();
        by.is_none_or(|by| {
            who("id").as_deref() == Some(by)
                || who("subject").as_deref() == Some(by)
                || text(object, "principal").as_deref() == Some(by)
        }) && client.is_none_or(|client| {
            who("client").as_deref() == Some(client)
                || inner(object, "client", "name").as_deref() == Some(client)
        }) && is(&self.server, text(object, "server"))
            && self.thing.as_deref().is_none_or(|wanted| is_about(object, wanted))
            && is(&self.outcome, text(object, "outcome"))
            && is(&self.trace, text(object, "trace"))
            && is(&self.approval, text(object, "approval"))
            && self.policy.as_deref().is_none_or(|wanted| is_by(object, wanted))
            && is(&self.route, text(object, "route"))
            && is(&self.address, text(object, "address"))
    }
}

/// Whether a record is about a thing of this name, or of this server and name.
fn is_about(object: &Object<'_>, wanted: &str) -> bool {
    let Some(name) = inner(object, "thing", "name") else { return false };
    let of = || wanted.split_once('/').filter(|(_, wanted)| *wanted == name);
    name == wanted || of().is_some_and(|(server, _)| text(object, "server").as_deref() == Some(server))
}

/// Whether this policy has decided.
fn is_by(object: &Object<'_>, wanted: &str) -> bool {
    let decision = object.object("decision").ok().flatten();
    let by = decision.and_then(|decision| json::array(decision.get("by").ok()??).ok());
    by.into_iter().flatten().any(|id| json::string(id).is_ok_and(|id| id == wanted))
}

/// A text that a record has.
#[must_use]
pub fn text(object: &Object<'_>, name: &str) -> Option<String> {
    Some(json::string(object.get(name).ok()??).ok()?.into_owned())
}

/// A text in an object that a record has.
#[must_use]
pub fn inner(object: &Object<'_>, outer: &str, name: &str) -> Option<String> {
    text(&Object::parse(object.get(outer).ok()??).ok()?, name)
}

/// A segment that is to be read, or a part of it.
#[derive(Debug, Clone)]
struct Part {
    number: u64,
    path: PathBuf,
    from: u64,
    to: Option<u64>,
}

/// One chain, as it is read.
#[derive(Debug)]
pub(crate) struct Reading {
    parts: std::vec::IntoIter<Part>,
    from: Option<BufReader<Take<File>>>,
    /// Behind which byte of which segment the last whole line ends.
    at: (u64, u64),
    /// The next record that is wanted, and when it was made.
    next: Option<(String, String)>,
}

/// Reads a ledger in the order of time, over all replicas, and hands on what is wanted, until it is told to stop. Where the clock of a
/// replica went back, its records come in the order in which they were written.
///
/// # Errors
/// When it cannot be read, or whoever is told says so.
pub fn read(ledger: &Path, filter: &Filter, told: impl FnMut(&str) -> io::Result<bool>) -> io::Result<()> {
    let (replicas, _) = place::replicas(ledger)?;
    let all = replicas.iter().map(|replica| Reading::of(&ledger.join(replica), filter, None));
    merge(&mut all.collect::<io::Result<Vec<_>>>()?, filter, told).map(drop)
}

/// Hands on what is wanted of some chains, in the order of time; false where it was told to stop.
pub(crate) fn merge(
    all: &mut [Reading],
    filter: &Filter,
    mut told: impl FnMut(&str) -> io::Result<bool>,
) -> io::Result<bool> {
    for reading in &mut *all {
        reading.advance(filter)?;
    }
    loop {
        let time = |reading: &Reading| reading.next.as_ref().map(|(time, _)| time.clone());
        let first =
            all.iter_mut().filter(|reading| reading.next.is_some()).min_by_key(|reading| time(reading));
        let Some(first) = first else { return Ok(true) };
        if let Some((_, line)) = first.next.take()
            && !told(&line)?
        {
            return Ok(false);
        }
        first.advance(filter)?;
    }
}

impl Reading {
    /// What of a chain may be wanted, up to a byte of a segment.
    pub(crate) fn of(directory: &Path, filter: &Filter, end: Option<(u64, u64)>) -> io::Result<Self> {
        let (numbers, _) = place::segments(directory)?;
        let mut parts = Vec::new();
        for number in numbers {
            let to = match end {
                Some((last, _)) if number > last => break,
                Some((last, length)) if number == last => Some(length),
                _ => None,
            };
            let path = place::segment(directory, number);
            parts.extend(wanted(&path, filter, to)?.map(|(from, to)| Part { number, path, from, to }));
        }
        Ok(Self { parts: parts.into_iter(), from: None, at: (0, 0), next: None })
    }

    /// All of a chain behind a byte of a segment.
    pub(crate) fn behind(directory: &Path, (number, offset): (u64, u64)) -> io::Result<Self> {
        let (numbers, _) = place::segments(directory)?;
        let parts = numbers.into_iter().filter(|other| *other >= number).map(|other| {
            let from = if other == number { offset } else { 0 };
            Part { number: other, path: place::segment(directory, other), from, to: None }
        });
        let parts: Vec<_> = parts.collect();
        Ok(Self { parts: parts.into_iter(), from: None, at: (number, offset), next: None })
    }

    /// Behind which byte of which segment it has come to an end.
    pub(crate) fn at(&self) -> (u64, u64) {
        self.at
    }

    fn advance(&mut self, filter: &Filter) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let from = match &mut self.from {
                Some(from) => from,
                None => {
                    let Some(Part { number, path, from, to }) = self.parts.next() else { return Ok(()) };
                    let mut file = match place::open(&path) {
                        // It was old, and was deleted since.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        opened => opened?,
                    };
                    let length = file.metadata()?.len();
                    // What was there may have been cut off since: it was no whole record.
                    let from = if length < from { seek::last(&file, length)?.1 } else { from };
                    file.seek(SeekFrom::Start(from))?;
                    self.at = (number, from);
                    let file = file.take(to.map_or(u64::MAX, |to| to.saturating_sub(from)));
                    self.from.insert(BufReader::with_capacity(1024 * 1024, file))
                }
            };
            bytes.clear();
            let size = from.take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
            let size = u64::try_from(size).unwrap_or_default();
            if bytes.last() != Some(&b'\n') && size < LONGEST_LINE {
                // The end, or what is not whole yet.
                self.from = None;
                continue;
            }
            self.at.1 += size;
            let line = bytes.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            // What is no record is for `verify` to say.
            let Some((head, line)) = line.and_then(|line| Some((Head::read(line)?, line))) else { continue };
            if filter.wants(&head, line) {
                self.next = Some((head.time.to_owned(), line.to_owned()));
                return Ok(());
            }
        }
    }
}

/// From where to where of a segment there may be something that is wanted. In a large one times ascend, but for a second
/// ([`BACK`]): what is before the first that is late enough need not be read.
fn wanted(path: &Path, filter: &Filter, to: Option<u64>) -> io::Result<Option<(u64, Option<u64>)>> {
    let shifted = |text: &Option<String>, shift: fn(SystemTime) -> Option<SystemTime>| {
        Some(Stamp::default().write(shift(moment_of(text.as_deref()?)?)?).to_owned())
    };
    let since = shifted(&filter.since, |at| at.checked_sub(BACK));
    let until = shifted(&filter.until, |at| at.checked_add(BACK));
    if since.is_none() && until.is_none() {
        return Ok(Some((0, to)));
    }
    let file = match place::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length <= SMALL {
        return Ok(Some((0, to)));
    }
    let time_at = |at| seek::begins_at(&file, at).map(|begins| begins.map(|(time, _)| time));
    let first = time_at(0)?;
    let last = time_at(seek::last(&file, length)?.0)?;
    let is_over = last.zip(since.as_deref()).is_some_and(|(last, since)| last.as_str() < since);
    let is_later = first.zip(until.as_deref()).is_some_and(|(first, until)| first.as_str() >= until);
    if is_over || is_later {
        return Ok(None);
    }
    let place_of = |bound: &str| seek::first(&file, length, |time, _| time < bound);
    let from = since.as_deref().map_or(Ok(0), place_of)?;
    let end = until.as_deref().map(place_of).transpose()?;
    let to = match (to, end) {
        (Some(to), Some(end)) => Some(to.min(end)),
        (to, end) => to.or(end),
    };
    Ok(Some((from, to)))
}
