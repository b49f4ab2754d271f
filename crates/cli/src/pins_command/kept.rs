//! What is pinned of the servers of a configuration, where it is kept, and what waits.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::plan::Plan;
use base::sink::Event;
use mcp::method::Kind;
use pins::waiting::key;
use pins::{Book, LockFile, PinnedDefinition, Seen, Why, compare};
use store::Store;

use super::word;
use crate::fault::Fault;
use crate::{print, recording, shared};

/// So long a lock file may be that a gateway reads.
const LONGEST: usize = 16 * 1024 * 1024;

/// Something of which somebody has said what it may be: kind, own name, and the digest that was meant, if not all.
pub(super) type Settled = (Kind, String, Option<Arc<str>>);

/// What is kept of one server.
#[derive(Debug, Default)]
pub(super) struct OfServer {
    pub(super) book: Book,
    /// The version that the store has.
    version: i64,
    /// What is not as it was pinned, as far as the store knows it or the server was asked.
    pub(super) waiting: Vec<Seen>,
    /// The same of what was denied before.
    pub(super) denied: Vec<Seen>,
    /// What was pinned and the server does not list; known of a server that was asked.
    pub(super) gone: Vec<(Kind, String)>,
    /// Whether it was asked, and has answered.
    pub(super) is_asked: bool,
    /// Whether what the store has of it cannot be read.
    pub(super) is_broken: bool,
}

/// The pins of a configuration.
pub(super) struct Kept {
    pub(super) plan: Plan,
    file: Option<PathBuf>,
    /// What the lock file had when it was last read or written.
    text: Arc<str>,
    store: Option<Arc<Store>>,
    /// By the names of the servers that are held to pins.
    pub(super) servers: BTreeMap<String, OfServer>,
}

impl Kept {
    /// Reads what is kept.
    pub(super) async fn open(plan: Plan) -> Result<Self, Fault> {
        if plan.pins.servers.is_empty() {
            let hint = "write pins = \"quarantine\" under [defaults], or under [upstream.NAME]";
            return Err(Fault::usage("no server of this configuration is held to pins").hint(hint));
        }
        let store = match &plan.store {
            Some(place) => Some(shared::open_store(place).await?),
            None => None,
        };
        let file = plan.pins.file.as_ref();
        // Whether it can be read, was checked with the configuration.
        let locked = file.map(|file| LockFile::parse(&file.text).unwrap_or_default());
        let mut servers = BTreeMap::new();
        for rule in &plan.pins.servers {
            let mut of = OfServer::default();
            match (&locked, &store) {
                (Some(locked), _) => of.book = locked.servers.get(&rule.server).cloned().unwrap_or_default(),
                (None, Some(store)) => {
                    if let Some(stored) =
                        store.pins_of(&rule.server).await.map_err(|fault| shared::away(&fault))?
                    {
                        of.version = stored.version;
                        // What is wrong with one server is in the way of no other.
                        match Book::parse(&stored.pins) {
                            Ok(book) => of.book = book,
                            Err(fault) => {
                                of.is_broken = true;
                                let name = &rule.server;
                                print::err(&print::safe_err(&format!(
                                    "what is pinned of {name:?} cannot be read: {fault}; `portolan pins forget '{name}/*'` begins anew\n"
                                )));
                            }
                        }
                    }
                }
                (None, None) => {}
            }
            if let Some(store) = &store {
                let waiting = store.waiting_of(&rule.server).await.map_err(|fault| shared::away(&fault))?;
                of.waiting = waiting.iter().filter_map(Seen::of_stored).collect();
            }
            of.settle();
            servers.insert(rule.server.clone(), of);
        }
        let text = file.map_or_else(|| Arc::from(""), |file| Arc::clone(&file.text));
        let file = file.map(|file| file.path.clone());
        Ok(Self { plan, file, text, store, servers })
    }

    /// Whether what waits is known without asking the servers.
    pub(super) fn knows_what_waits(&self) -> bool {
        self.store.is_some()
    }

    /// Keeps what has become of a server's things.
    pub(super) async fn keep(
        &mut self,
        server: &str,
        outcome: &str,
        settled: &[Settled],
    ) -> Result<(), Fault> {
        if let Some(path) = &self.file {
            let now = std::fs::read_to_string(path).unwrap_or_default();
            if *now != *self.text {
                let what = format!("{} has changed in the meantime; nothing was done", path.display());
                return Err(Fault::Outside(what).hint("look at it again: `portolan pins diff --connect`"));
            }
            // What is pinned of servers that are not held to it now stays.
            let mut lock = LockFile::parse(&self.text).unwrap_or_default();
            for (name, of) in &self.servers {
                lock.servers.insert(name.clone(), of.book.clone());
            }
            let text = lock.render();
            if text.len() > LONGEST {
                let what = format!("{} would be longer than a gateway reads (16 MiB)", path.display());
                return Err(Fault::Outside(what).hint("a store holds more: store = \"sqlite:portolan.db\""));
            }
            write(path, &text)?;
            self.text = text.into();
        } else if let (Some(store), Some(of)) = (&self.store, self.servers.get_mut(server)) {
            let text = of.book.render(0);
            if !store.put_pins(server, of.version, &text).await.map_err(|fault| shared::away(&fault))? {
                let what =
                    format!("what is pinned of {server:?} has changed in the meantime; nothing was done");
                return Err(Fault::Outside(what).hint("look at it again: `portolan pins diff`"));
            }
            of.version += 1;
        }
        if let Some(store) = &self.store {
            for (kind, name, digest) in settled {
                let of = (word(*kind), &*key(name));
                let settled = store.settle_waiting(server, of, digest.as_deref()).await;
                settled.map_err(|fault| shared::away(&fault))?;
            }
        }
        let told = |(kind, name, digest): (&str, &str, &str)| {
            let of = [("outcome", outcome), ("server", server)];
            let of = of.into_iter().chain([("kind", kind), ("name", name), ("digest", digest)]);
            let members = of.chain([("by", "operator")]);
            let members = members.filter(|(_, text)| !text.is_empty());
            Event { kind: "pin", members: members.map(|(name, text)| (name, text.to_owned())).collect() }
        };
        let each =
            |(kind, name, digest): &Settled| told((word(*kind), name, digest.as_deref().unwrap_or_default()));
        let mut events: Vec<_> = settled.iter().map(each).collect();
        if events.is_empty() && outcome == "forgotten" {
            events.push(told(("", "", "")));
        }
        recording::tell_done(&self.plan, None, &events).await;
        Ok(())
    }
}

impl OfServer {
    /// The server says this of itself now.
    pub(super) fn asked(&mut self, definitions: &[(Kind, String, PinnedDefinition)]) {
        let (waiting, gone) = compare(&self.book, definitions);
        let denied = definitions
            .iter()
            .filter(|(kind, name, definition)| self.book.is_denied(*kind, name, &definition.digest));
        let denied = denied.map(|(kind, name, definition)| Seen {
            kind: *kind,
            name: name.clone(),
            definition: definition.clone(),
            why: Why::Changed,
        });
        for seen in waiting.into_iter().chain(denied) {
            // Of what was too much to keep, the server has said all now.
            self.waiting.retain(|other| other.definition.is_kept() || !same(other, &seen));
            if !self.waiting.iter().any(|other| same(other, &seen)) {
                self.waiting.push(seen);
            }
        }
        self.gone = gone;
        self.is_asked = true;
        self.settle();
    }

    /// What waits is sorted, and nothing of it is pinned.
    pub(super) fn settle(&mut self) {
        let book = &self.book;
        self.waiting.retain(|seen| {
            let pin = book.get(seen.kind, &seen.name);
            pin.is_none_or(|pin| pin.digest != seen.definition.digest)
        });
        let is_denied = |seen: &mut Seen| book.is_denied(seen.kind, &seen.name, &seen.definition.digest);
        self.denied.extend(self.waiting.extract_if(.., is_denied));
        self.waiting.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    }
}

fn same(one: &Seen, other: &Seen) -> bool {
    let digest = |seen: &Seen| Arc::clone(&seen.definition.digest);
    (one.kind, &one.name, digest(one)) == (other.kind, &other.name, digest(other))
}

/// Writes a file whole: whoever reads it sees the one before or this one.
fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let failed =
        |error: &std::io::Error| Fault::outside(&format!("{} cannot be written", path.display()), error);
    // Through a link, what it leads to.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_not_there| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    })();
    if written.is_err() {
        // What is half written is of no use to anybody.
        drop(std::fs::remove_file(&beside));
    }
    written.map_err(|error| failed(&error))
}
