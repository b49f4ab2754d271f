//! How a server's entries are shown: under their public names, with the configured descriptions, or not at all.

use auth::definition::Definition;
use base::define::{define_as, digest};
use base::pin::{Pinned, Pins};
use base::plan::{SchemaRule, Selection, UpstreamPlan};
use bytes::Bytes;
use mcp::json::JsonFault;
use mcp::legacy::tasks;
use mcp::list::Entry as RawEntry;
use mcp::method::Kind;
use mcp::mirror::MirroredParams;
use mcp::repair;
use mcp::version::Revision;
use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::index::Index;
use crate::catalog::remarks::{Done, Remark};
use base::names::{Names, fold};
use base::uris::map_app_uris;

/// Makes entries of what a server lists.
pub trait EntryFilter: Send + Sync + std::fmt::Debug {
    /// Sees which of the names on a page look the same to clients. On a list's first page, what was known of that is
    /// forgotten.
    fn compare(&self, kind: Kind, entries: &[Bytes], is_first: bool, index: &mut Index);

    /// The entry as it is shown, of a server that speaks that revision; learned facts go into `index`.
    fn filter(&self, kind: Kind, text: &Bytes, from: &Revision, index: &mut Index) -> FilteredEntry;
}

/// What became of something that a server lists.
#[derive(Debug, Default)]
pub struct FilteredEntry {
    /// The entry, if it is shown.
    pub entry: Option<Entry>,
    /// What was odd about it.
    pub remarks: Vec<Remark>,
}

impl FilteredEntry {
    pub fn left_out(remark: Remark) -> Self {
        Self { entry: None, remarks: vec![remark] }
    }
}

/// An entry as it is shown.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its public name, URI or URI template.
    pub name: String,
    /// Its whole text.
    pub text: Bytes,
    /// Its text with its server's own name of it.
    pub own: Bytes,
    /// What its server says of it, where somebody decides by that.
    pub definition: Option<Arc<Definition>>,
    /// The same for clients that know only schemas of objects, where its server has written another one by mistake.
    pub narrow: Option<Bytes>,
}

impl Entry {
    /// How many bytes it takes, or a few more: its text may be a part of the page.
    pub fn bytes(&self) -> usize {
        self.name.len() + self.text.len() + self.narrow.as_ref().map_or(0, Bytes::len) + 128
    }
}

/// Shows the entries of the server at one place of a route.
#[derive(Debug)]
pub struct RouteFilter {
    pub names: Arc<Names>,
    pub server: usize,
    pub plan: UpstreamPlan,
    /// What becomes of entries that clients would refuse.
    pub schema: SchemaRule,
    /// Whether somebody decides by what it says of its tools.
    pub defines: bool,
    /// What was pinned of what it lists, if it is held to that.
    pub pins: Option<Arc<dyn Pins>>,
}

/// The entry as it is shown, none if the configuration does not show it, or why it cannot be.
type Shown = Result<Option<Entry>, String>;

impl EntryFilter for RouteFilter {
    fn compare(&self, kind: Kind, entries: &[Bytes], is_first: bool, index: &mut Index) {
        let Some(selection) = self.named_by(kind).filter(|_| self.names.tells_apart()) else { return };
        if is_first {
            index.plain.retain(|(of, _), _| *of != kind);
        }
        // What an earlier page has shown stays.
        let before: HashSet<String> = index.plain.keys().map(|(_, looks)| looks.clone()).collect();
        for entry in entries {
            let name = own_name(kind, entry);
            if !selection.shows(&name) {
                continue;
            }
            let public = self.names.public(self.server, &name, selection).into_owned();
            let looks = fold(&public);
            let is_open = !before.contains(&looks);
            let place = index.plain.entry((kind, looks)).or_insert_with(|| public.clone());
            // Whatever their order: the one that is as it looks, or else the first in the alphabet.
            let rank = |name: &str| (fold(name) != name, name.to_owned());
            if is_open && rank(&public) < rank(place) {
                *place = public;
            }
        }
    }

    fn filter(&self, kind: Kind, text: &Bytes, from: &Revision, index: &mut Index) -> FilteredEntry {
        let (Some(pins), Some(selection)) = (&self.pins, self.pinned_by(kind)) else {
            return self.judge((kind, text), from, None, index);
        };
        let (name, entry) = (own_name(kind, text), String::from_utf8_lossy(text));
        let listed = digest(&entry);
        if !selection.shows(&name) {
            return self.judge((kind, text), from, Some(&listed), index);
        }
        let remark = |done, why| Remark::new(kind, &name, done, why);
        let mut known_as = Arc::clone(&listed);
        let filtered = match pins.look(kind, &name, &entry, &listed) {
            Pinned::Same => self.judge((kind, text), from, Some(&listed), index),
            Pinned::Said(why) => {
                let mut filtered = self.judge((kind, text), from, Some(&listed), index);
                filtered.remarks.push(remark(Done::Changed, why));
                filtered
            }
            // Whatever is known of it by its name is of what was pinned.
            Pinned::AsPinned(pinned, why) => {
                let text = Bytes::copy_from_slice(pinned.as_bytes());
                known_as = digest(&pinned);
                let mut filtered = self.judge((kind, &text), from, Some(&known_as), index);
                filtered.remarks.push(remark(Done::AsPinned, why));
                filtered
            }
            Pinned::Withheld(why) => FilteredEntry::left_out(remark(Done::Quarantined, why)),
        };
        if kind == Kind::Prompt && filtered.entry.is_some() {
            index.prompts.insert(name, known_as);
        }
        filtered
    }
}

/// What an entry is called by its server, as far as that can be read.
pub(super) fn own_name(kind: Kind, text: &Bytes) -> String {
    let member = match kind {
        Kind::Resource => "uri",
        Kind::Template => "uriTemplate",
        Kind::Prompt | Kind::Server | Kind::Task | Kind::Tool => "name",
    };
    let name = RawEntry::read(text).ok().and_then(|entry| Some(entry.string(member).ok()??.into_owned()));
    name.unwrap_or_default()
}

impl RouteFilter {
    /// The entry as it is shown, of which that is the digest where somebody has asked for it.
    fn judge(
        &self,
        (kind, text): (Kind, &Bytes),
        from: &Revision,
        digest: Option<&Arc<str>>,
        index: &mut Index,
    ) -> FilteredEntry {
        let checked = repair::check(kind, text, from);
        let why = || checked.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let left_out =
            |why| FilteredEntry::left_out(Remark::new(kind, &own_name(kind, text), Done::LeftOut, why));
        let is_odd = !checked.faults.is_empty();
        let (wide, done) = match self.schema {
            SchemaRule::Pass => (Some(text), Done::Passed),
            SchemaRule::Repair => (checked.text.as_ref(), Done::Repaired),
            SchemaRule::Drop => (checked.text.as_ref().filter(|_| !is_odd), Done::LeftOut),
        };
        // What the configuration does not show is nobody's trouble.
        let Some(wide) = wide else {
            let shown = self.shown((kind, text), digest, &mut Index::default());
            return if matches!(shown, Ok(None)) { FilteredEntry::default() } else { left_out(why()) };
        };
        let mut entry = match self.shown((kind, wide), digest, index) {
            Ok(Some(entry)) => entry,
            Ok(None) => return FilteredEntry::default(),
            Err(fault) => return left_out(fault),
        };
        if self.schema == SchemaRule::Repair
            && let Some(narrow) = &checked.narrow
        {
            entry.narrow = self.shown((kind, narrow), digest, index).ok().flatten().map(|entry| entry.text);
        }
        let remark = is_odd.then(|| Remark::new(kind, &own_name(kind, text), done, why()));
        FilteredEntry { entry: Some(entry), remarks: remark.into_iter().collect() }
    }

    /// What is shown of the things of a kind, if they are pinned.
    fn pinned_by(&self, kind: Kind) -> Option<&Selection> {
        if kind == Kind::Template { Some(&self.plan.resources) } else { self.named_by(kind) }
    }

    /// What is shown of the things of a kind, if they have names.
    fn named_by(&self, kind: Kind) -> Option<&Selection> {
        match kind {
            Kind::Tool => Some(&self.plan.tools),
            Kind::Prompt => Some(&self.plan.prompts),
            Kind::Resource | Kind::Server | Kind::Task | Kind::Template => None,
        }
    }

    fn shown(&self, (kind, text): (Kind, &Bytes), digest: Option<&Arc<str>>, index: &mut Index) -> Shown {
        match kind {
            Kind::Tool => self.tool(text, digest, index),
            Kind::Prompt => self.named(Kind::Prompt, &self.plan.prompts, text, index),
            Kind::Resource => self.located("uri", text),
            Kind::Template => self.located("uriTemplate", text),
            Kind::Server | Kind::Task => Ok(None),
        }
    }

    fn tool(&self, text: &Bytes, digest: Option<&Arc<str>>, index: &mut Index) -> Shown {
        let entry = RawEntry::read(text).map_err(|fault| unreadable(&fault))?;
        let name = entry.string("name").map_err(|fault| unreadable(&fault))?.ok_or("it has no name")?;
        // MCP `streamable-http` §Custom Headers: a client of ours over HTTP must not be shown an invalid tool, and a
        // server over stdio has not checked it.
        let params = MirroredParams::read(
            entry.get("inputSchema").map_err(|fault| unreadable(&fault))?.unwrap_or("{}"),
        );
        index.tools.insert(name.clone().into_owned(), Arc::new(params.map_err(|fault| fault.to_string())?));
        if tasks::is_required(entry.get("execution").map_err(|fault| unreadable(&fault))?) {
            index.tasks.insert(name.clone().into_owned());
        } else {
            index.tasks.remove(&*name);
        }
        let definition =
            self.defines.then(|| Arc::new(define_as(&String::from_utf8_lossy(text), digest.cloned())));
        if let Some(definition) = &definition {
            index.definitions.insert(name.clone().into_owned(), Arc::clone(definition));
        }
        let shown = self.named(Kind::Tool, &self.plan.tools, text, index)?;
        let shown = shown.map(|entry| Entry { definition, ..entry });
        shown.map(|entry| self.map_app_uri(entry).map_err(|fault| unreadable(&fault))).transpose()
    }

    fn named(&self, kind: Kind, selection: &Selection, text: &Bytes, index: &mut Index) -> Shown {
        let entry = RawEntry::read(text).map_err(|fault| unreadable(&fault))?;
        let name = entry.string("name").map_err(|fault| unreadable(&fault))?.ok_or("it has no name")?;
        if !selection.shows(&name) {
            return Ok(None);
        }
        let mut public = self.names.public(self.server, &name, selection).into_owned();
        if self.names.tells_apart() {
            // It has that name for those who saw it among others.
            let digested = self.names.digested(self.server, &name, selection);
            index.cut.insert((kind, digested.clone()), name.clone().into_owned());
            if index.plain.get(&(kind, fold(&public))).is_some_and(|plain| *plain != public) {
                public = digested;
            }
        } else if self.names.may_be_cut(&public) {
            index.cut.insert((kind, public.clone()), name.clone().into_owned());
        }
        let mut changes = Vec::new();
        if public != name {
            changes.push(("name", public.as_str()));
        }
        if let Some(description) = selection.describe.get(name.as_ref()) {
            changes.push(("description", description.as_str()));
        }
        let shown = if changes.is_empty() {
            text.clone()
        } else {
            entry.with(&changes).map_err(|fault| unreadable(&fault))?
        };
        Ok(Some(Entry { name: public, text: shown, own: text.clone(), definition: None, narrow: None }))
    }

    fn located(&self, member: &str, text: &Bytes) -> Shown {
        let entry = RawEntry::read(text).map_err(|fault| unreadable(&fault))?;
        let uri = entry
            .string(member)
            .map_err(|fault| unreadable(&fault))?
            .ok_or_else(|| format!("it has no {member}"))?;
        if !self.plan.resources.shows(&uri) {
            return Ok(None);
        }
        let Some(public) = self.names.public_uri(self.server, &uri) else {
            return Err("any scheme may begin it, so it cannot be told from another server's".to_owned());
        };
        let mut changes = Vec::new();
        if public != uri {
            changes.push((member, public.as_ref()));
        }
        if let Some(description) = self.plan.resources.describe.get(uri.as_ref()) {
            changes.push(("description", description.as_str()));
        }
        let shown = if changes.is_empty() {
            text.clone()
        } else {
            entry.with(&changes).map_err(|fault| unreadable(&fault))?
        };
        Ok(Some(Entry {
            name: public.into_owned(),
            text: shown,
            own: text.clone(),
            definition: None,
            narrow: None,
        }))
    }

    /// The `ui://` resource that a tool of the apps extension names is read through us, so it has our URI.
    fn map_app_uri(&self, entry: Entry) -> Result<Entry, JsonFault> {
        let mapped = map_app_uris((&self.names, self.server), &entry.text)?;
        Ok(match mapped {
            Some(text) => Entry { text, ..entry },
            None => entry,
        })
    }
}

fn unreadable(fault: &JsonFault) -> String {
    fault.to_string()
}
