//! What is in a ledger: its records, one after the other, and those of them that somebody wants to see.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use mcp::json::{self, Object};

use crate::line::Head;
use crate::place;
use crate::recover::LONGEST_LINE;
use crate::writer::first_line;

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

/// One chain, as it is read.
struct Reading {
    segments: std::vec::IntoIter<PathBuf>,
    from: Option<BufReader<File>>,
    /// The next record that is wanted, and when it was made.
    next: Option<(String, String)>,
}

/// Reads a ledger in the order of time, over all replicas, and hands on what is wanted, until it is told to stop.
///
/// # Errors
/// When it cannot be read, or whoever is told says so.
pub fn read(
    ledger: &Path,
    filter: &Filter,
    mut told: impl FnMut(&str) -> io::Result<bool>,
) -> io::Result<()> {
    let (replicas, _) = place::replicas(ledger)?;
    let mut all = Vec::new();
    for replica in replicas {
        let mut reading = Reading::open(&ledger.join(replica), filter)?;
        reading.advance(filter)?;
        all.push(reading);
    }
    loop {
        let time = |reading: &Reading| reading.next.as_ref().map(|(time, _)| time.clone());
        let first =
            all.iter_mut().filter(|reading| reading.next.is_some()).min_by_key(|reading| time(reading));
        let Some(first) = first else { return Ok(()) };
        if let Some((_, line)) = first.next.take()
            && !told(&line)?
        {
            return Ok(());
        }
        first.advance(filter)?;
    }
}

impl Reading {
    fn open(directory: &Path, filter: &Filter) -> io::Result<Self> {
        let (numbers, _) = place::segments(directory)?;
        let paths: Vec<_> = numbers.into_iter().map(|number| place::segment(directory, number)).collect();
        // Where each segment begins says which of them need not be read.
        let begins: Vec<_> = paths.iter().map(|path| begin_of(path)).collect();
        let is_over = |at: usize| {
            let next = begins.get(at + 1).and_then(Option::as_deref);
            next.zip(filter.since.as_deref()).is_some_and(|(next, since)| next < since)
        };
        let is_later = |at: usize| {
            let begin = begins.get(at).and_then(Option::as_deref);
            begin.zip(filter.until.as_deref()).is_some_and(|(begin, until)| begin >= until)
        };
        let wanted = paths.iter().enumerate().filter(|(at, _)| !is_over(*at) && !is_later(*at));
        let segments = wanted.map(|(_, path)| path.clone()).collect::<Vec<_>>().into_iter();
        Ok(Self { segments, from: None, next: None })
    }

    fn advance(&mut self, filter: &Filter) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let from = match &mut self.from {
                Some(from) => from,
                None => match self.segments.next() {
                    Some(path) => self.from.insert(BufReader::with_capacity(1024 * 1024, File::open(path)?)),
                    None => return Ok(()),
                },
            };
            bytes.clear();
            if from.take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
                self.from = None;
                continue;
            }
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

fn begin_of(path: &Path) -> Option<String> {
    Some(Head::read(&first_line(path)?)?.time.to_owned())
}
