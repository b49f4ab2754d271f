//! Telling of one server's changes: first the caches that end with them, then the routes that it stands behind, and where each
//! replica has a process of its own, the other replicas.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::sync::lock;
use bytes::Bytes;
use mcp::answer::notification_message;
use mcp::json;
use mcp::jsonrpc::Message;
use mcp::method::Kind;
use mcp::notify::{self, Notice};
use upstream::Arrival;

use super::Watch;
use crate::changes::feed::{self, Change};

impl Watch {
    pub(super) fn arrived(&self, arrival: Arrival) {
        if let Arrival::Notice(message, seen) = arrival {
            let change = Arc::new((message, seen));
            self.tell(&change);
            self.tell_others(&change);
        }
    }

    pub(super) fn tell(&self, change: &Change) {
        // First the caches, then those who may ask again at once.
        if let Notice::ListChanged(kind) = &change.1.notice {
            self.invalidate(*kind);
        }
        self.pass_on(change);
    }

    fn pass_on(&self, change: &Change) {
        let concerned = self.concerned();
        lock(&self.feeds).retain(|(place, feed)| {
            let feed = feed.upgrade();
            feed.iter().for_each(|feed| feed.tell(*place, concerned, change));
            feed.is_some()
        });
    }

    /// Somebody listens again. There is no replay: what changed since the last stream ended is not known.
    pub(super) fn close_gap(&self) {
        if self.gap.swap(false, Ordering::Relaxed) {
            self.everything_changed();
        }
    }

    /// Each replica has a process of its own, and what one of these tells of, no other may know. Servers over HTTP tell each
    /// replica themselves.
    pub(super) fn tell_others(&self, change: &Change) {
        if let Some(replica) = self.replica.clone().filter(|_| self.upstream.is_process()) {
            let (name, change) = (Arc::clone(self.upstream.label()), Arc::clone(change));
            // Whoever tells of it does not wait for the store.
            let tasks = &self.upstream.world().tasks;
            tasks.spawn(async move { replica.tell_of(&name, change.0.bytes(), &change.1.notice).await });
        }
    }

    /// A process of another replica has told it of a change.
    pub fn hear_from_others(&self, message: &Bytes) {
        let message = Message::parse(message.clone()).ok();
        if let Some((message, seen)) = message.and_then(|m| notify::see(&m).ok().map(|seen| (m, seen))) {
            let change = Arc::new((message, seen));
            self.tell(&change);
            // It is not said in which of its eras.
            self.legacy.iter().filter(|_| self.concerned().is_some()).for_each(|legacy| legacy.tell(&change));
        }
    }

    /// What other replicas' processes have told of was missed.
    pub fn missed(&self) {
        self.everything_changed();
        self.legacy
            .iter()
            .filter(|_| self.concerned().is_some())
            .for_each(|legacy| legacy.everything_changed());
    }

    pub(super) fn everything_changed(&self) {
        let uris: Vec<String> = lock(&self.wanted).uris.keys().cloned().collect();
        for uri in uris {
            let params = format!(r#"{{"uri":{}}}"#, json::quote(&uri));
            let text = notification_message("notifications/resources/updated", Some(&params));
            let message = Message::parse(text).ok();
            if let Some((message, seen)) = message.and_then(|m| notify::see(&m).ok().map(|seen| (m, seen))) {
                self.pass_on(&Arc::new((message, seen)));
            }
        }
        let known = self.upstream.known_link(self.era);
        for (kind, capability) in
            [(Kind::Tool, "tools"), (Kind::Prompt, "prompts"), (Kind::Resource, "resources")]
        {
            self.invalidate(kind);
            // Of lists that it does not have there is nothing to tell.
            let has = known.as_ref().is_none_or(|(_, known)| known.capabilities.has(capability));
            if !has {
                continue;
            }
            if let Some(change) = feed::list_changed(kind) {
                self.pass_on(&change);
            }
        }
    }

    fn invalidate(&self, kind: Kind) {
        let concerned = self.concerned();
        lock(&self.all_lists).retain(|server_lists| {
            let server_lists = server_lists.upgrade();
            server_lists.iter().for_each(|server_lists| server_lists.changed(kind, concerned));
            server_lists.is_some()
        });
    }
}
