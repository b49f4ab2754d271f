//! A page is read: taken apart, its entries named and mended, and what it says learned. Of a large one that takes long, so it
//! needs nothing of whoever asked for it.

use std::collections::HashSet;
use std::sync::Arc;

use base::era::PerEra;
use mcp::answer::AnswerFault;
use mcp::jsonrpc::Message;
use mcp::list::Page;
use mcp::method::{Kind, Method};
use mcp::version::{Era, Revision};

use super::{Known, MOST_ENTRIES};
use crate::catalog::entries::{Entry, EntryFilter, FilteredEntry, own_name};
use crate::catalog::index::Index;
use crate::catalog::remarks::{Done, Remark};

/// What must be known to read a page.
pub(super) struct Reading {
    pub(super) filter: Arc<dyn EntryFilter>,
    pub(super) known: Arc<PerEra<Known>>,
    /// The era in which the server was asked.
    pub(super) era: Era,
    pub(super) method: &'static Method,
    pub(super) revision: &'static Revision,
    /// Whether it is the first of its list.
    pub(super) is_first: bool,
}

/// How many bytes of entries are not a part of the page that they were made of.
pub(super) fn made_of(page: &Page, shown: &[Entry]) -> usize {
    let page = page.message.bytes().as_ptr_range();
    let shared = |entry: &Entry| if page.contains(&entry.text.as_ptr()) { entry.text.len() } else { 0 };
    shown.iter().map(|entry| entry.bytes() - shared(entry)).sum()
}

/// The own names of tools and prompts on a page of which nothing is known now.
fn unknown(page: &Page, kind: Kind, index: &Index) -> Vec<String> {
    let is_known = |name: &String| match kind {
        Kind::Tool => index.tools.contains_key(name),
        _ => index.prompts.contains_key(name),
    };
    let entries = page.entries.iter().filter(|_| matches!(kind, Kind::Prompt | Kind::Tool));
    entries.map(|text| own_name(kind, text)).filter(|name| !is_known(name)).collect()
}

impl Reading {
    /// Reads a page, whose entries stand in that member: the page, its entries as they are shown, and what is odd in it.
    pub(super) fn read(
        self,
        message: Message,
        entries: &'static str,
    ) -> Result<(Page, Vec<Entry>, Vec<Remark>), AnswerFault> {
        let page = Page::read(message, entries)?;
        let (known, method, is_first) = (self.known.of(self.era), self.method, self.is_first);
        let is_whole = is_first && page.next_cursor.is_none();
        // What this page says, and how the names of earlier ones look.
        let mut index = Index { plain: known.index.load().plain.clone(), ..Index::default() };
        self.filter.compare(method.kind, &page.entries, is_first, &mut index);
        let (shown, remarks) = self.labelled(&page, &mut index);
        let unreadable = unknown(&page, method.kind, &index);
        known.learn(|current| {
            if is_first {
                current.make_room(method, 2 * MOST_ENTRIES);
            }
            // A tool of this page may have been another one before.
            let seen = |tool: &String| !index.tools.contains_key(tool) || index.tasks.contains(tool);
            current.tasks.retain(seen);
            current.tasks.extend(index.tasks.clone());
            // Nor is anything known of one that it lists and that cannot be read any more.
            for name in &unreadable {
                if method.kind == Kind::Tool {
                    current.tools.remove(name);
                    current.definitions.remove(name);
                } else {
                    current.prompts.remove(name);
                }
            }
            // What the one page does not name is not there any more. Of several, the others are still to come.
            match method.kind {
                Kind::Tool if is_whole => current.definitions.clear(),
                Kind::Prompt if is_whole => current.prompts.clear(),
                _ => {}
            }
            current.prompts.extend(index.prompts.clone());
            current.tools.extend(index.tools.clone());
            current.definitions.extend(index.definitions.clone());
            current.cut.extend(index.cut.clone());
            current.plain.retain(|(kind, _), _| !is_first || *kind != method.kind);
            current.plain.extend(index.plain.clone());
            current.seen.extend(index.seen.clone());
        });
        Ok((page, shown, remarks))
    }

    /// The entries of a page as they are shown, and what is odd about them.
    fn labelled(&self, page: &Page, index: &mut Index) -> (Vec<Entry>, Vec<Remark>) {
        let kind = self.method.kind;
        let mut shown: Vec<Entry> = Vec::with_capacity(page.entries.len());
        let mut remarks: Vec<Remark> = Vec::new();
        if let Some(lacks) = page.lacks {
            let why = format!("{lacks}, so the list counts as empty");
            remarks.push(Remark::new(kind, "", Done::Repaired, why));
        }
        let mut names = HashSet::new();
        for text in &page.entries {
            let FilteredEntry { entry, remarks: odd } = self.filter.filter(kind, text, self.revision, index);
            remarks.extend(odd);
            let Some(entry) = entry else { continue };
            if names.insert(entry.name.clone()) {
                index.seen.insert((kind, entry.name.clone()), ());
                shown.push(entry);
            } else {
                let why = "listed twice; the first is shown".to_owned();
                remarks.push(Remark::new(kind, &entry.name, Done::LeftOut, why));
            }
        }
        (shown, remarks)
    }
}
