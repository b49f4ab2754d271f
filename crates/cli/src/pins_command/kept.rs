//! What is pinned of the servers of a configuration, where it is kept, and what waits.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::plan::Plan;
use mcp::method::Kind;
use pins::{Book, LockFile, PinnedDefinition, Seen, compare};
use store::Store;

use super::word;
use crate::fault::Fault;
use crate::shared;

/// What is kept of one server.
#[derive(Debug, Default)]
pub(super) struct OfServer {
    pub(super) book: Book,
    /// The version that the store has.
    version: i64,
    /// What is not as it was pinned, as far as the store knows it or the server was asked.
    pub(super) waiting: Vec<Seen>,
    /// What was pinned and the server does not list; known of a server that was asked.
    pub(super) gone: Vec<(Kind, String)>,
    /// Whether it was asked, and has answered.
    pub(super) is_asked: bool,
}

/// The pins of a configuration.
pub(super) struct Kept {
    pub(super) plan: Plan,
    file: Option<PathBuf>,
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
                        let unreadable = |fault| {
                            Fault::Outside(format!(
                                "what is pinned of {:?} cannot be read: {fault}",
                                rule.server
                            ))
                        };
                        (of.book, of.version) =
                            (Book::parse(&stored.pins).map_err(unreadable)?, stored.version);
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
        let file = file.map(|file| file.path.clone());
        Ok(Self { plan, file, store, servers })
    }

    /// Whether what waits is known without asking the servers.
    pub(super) fn knows_what_waits(&self) -> bool {
        self.store.is_some()
    }

    /// Keeps what has become of a server's things.
    pub(super) async fn keep(&mut self, server: &str, settled: &[(Kind, String)]) -> Result<(), Fault> {
        if let Some(path) = &self.file {
            let mut lock = LockFile::default();
            // What is pinned of servers that are not held to it now stays.
            if let Some(file) = &self.plan.pins.file {
                lock = LockFile::parse(&file.text).unwrap_or_default();
            }
            for (name, of) in &self.servers {
                lock.servers.insert(name.clone(), of.book.clone());
            }
            write(path, &lock.render())?;
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
            for (kind, name) in settled {
                let of = word(*kind);
                store.settle_waiting(server, of, name).await.map_err(|fault| shared::away(&fault))?;
            }
        }
        Ok(())
    }
}

impl OfServer {
    /// The server says this of itself now.
    pub(super) fn asked(&mut self, definitions: &[(Kind, String, PinnedDefinition)]) {
        let (waiting, gone) = compare(&self.book, definitions);
        for seen in waiting {
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
            let Seen { kind, name, definition, .. } = seen;
            let is_pinned = book.get(*kind, name).is_some_and(|pin| pin.digest == definition.digest);
            !is_pinned && !book.is_denied(*kind, name, &definition.digest)
        });
        self.waiting.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    }
}

fn same(one: &Seen, other: &Seen) -> bool {
    (one.kind, &one.name, &one.definition) == (other.kind, &other.name, &other.definition)
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
