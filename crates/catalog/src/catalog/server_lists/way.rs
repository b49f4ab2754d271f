//! What is known of a list's pages although it may be old: how a client has come to one of them.

use std::collections::HashSet;
use std::sync::Arc;

use mcp::method::Method;

use super::{CachedPage, MOST_PAGES_OF_A_LIST, Pages, ServerLists};
use crate::caller::Caller;

impl ServerLists {
    /// What was last known of a list, however old.
    pub fn last(&self, method: &'static Method, caller: &Caller) -> Option<Pages> {
        let mut all = Pages::default();
        let (mut cursor, mut sent): (Option<String>, _) = (None, HashSet::new());
        loop {
            let Some(page) = self.last_page(method, cursor.as_deref(), caller) else { break };
            sent.extend(cursor);
            cursor = page.page.next_cursor.clone().filter(|next| !sent.contains(next));
            all.pages.push(page);
            if cursor.is_none() || all.pages.len() >= MOST_PAGES_OF_A_LIST {
                break;
            }
        }
        (!all.pages.is_empty()).then_some(all)
    }

    /// By which cursors a client that goes from page to page has come to one, as far as that is known; none where nobody has
    /// asked for the page after it yet, which is usual.
    pub(super) fn way_to(
        &self,
        to: &str,
        next: &str,
        method: &'static Method,
        caller: &Caller,
    ) -> HashSet<String> {
        let (mut way, mut page) = (HashSet::new(), self.last_page(method, None, caller));
        if self.last_page(method, Some(next), caller).is_none() {
            return way;
        }
        while let Some(cursor) = page.as_ref().and_then(|page| page.page.next_cursor.as_deref()) {
            if cursor == to {
                return way;
            }
            if way.len() >= MOST_PAGES_OF_A_LIST || !way.insert(cursor.to_owned()) {
                break;
            }
            page = self.last_page(method, Some(cursor), caller);
        }
        // It is on no way that is known.
        HashSet::new()
    }

    /// What was last known of a page, however old.
    pub(super) fn last_page(
        &self,
        method: &'static Method,
        cursor: Option<&str>,
        caller: &Caller,
    ) -> Option<Arc<CachedPage>> {
        let (shared, key) = self.keys(method, cursor, caller);
        let any = |_: &Arc<CachedPage>| true;
        self.pages.find(&shared, any).or_else(|| self.pages.find(&key, any))
    }
}
