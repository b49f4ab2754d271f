//! One conversation beside another: whether the server lists the same in both, whatever was declared.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use mcp::answer;
use mcp::json;
use mcp::jsonrpc::{Id, MessageKind};
use mcp::list::Page;
use mcp::method::{self, Method};
use mcp::version::Era;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::{Begin, PipePool, Running};
use crate::arrival::Arrival;
use crate::link::Whose;
use crate::pipe::Wants;
use crate::shared::Shared;

/// How long a comparison may take. Others wait for it who want another one to be begun.
const WITHIN: Duration = Duration::from_secs(5);
/// The most pages of a list that are compared.
const MOST_PAGES: usize = 50;

const LISTS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

impl<B: Begin> PipePool<B> {
    /// One was begun, perhaps beside others: then it is compared with one of them. Whoever waits for it waits for that only
    /// if it was told more than is true of him; and gets none if the server minds.
    pub(super) async fn begun_beside(
        self: Arc<Self>,
        beside: Option<OwnedMutexGuard<()>>,
        is_exact: bool,
        (told, running): (Whose, Running),
    ) -> Option<Running> {
        if beside.is_none() || running.link.era() == Era::Modern {
            return Some(running);
        }
        let mut others = self.all_kin(&told);
        others.retain(|(_, peer)| !peer.pipe.is(&running.pipe));
        // It was begun to see what the server is, and no client has seen it.
        let why = "another one, which knows what clients can be asked, has taken its place";
        others.retain(|(other, unused)| {
            !other.is_bare() || unused.was_used() || !unused.pipe.close_if_idle(why)
        });
        let Some((other, peer)) = others.into_iter().next() else { return Some(running) };
        if is_exact {
            let new = running.clone();
            let tasks = self.shared.world.tasks.clone();
            tasks.spawn(async move {
                self.compare((&told, &new), (&other, &peer)).await;
                drop(beside);
            });
            return Some(running);
        }
        self.compare((&told, &running), (&other, &peer)).await;
        drop(beside);
        if self.shared.temper.lists_alike(&told.declared) {
            return Some(running);
        }
        // What could not be seen counts for that, too.
        self.shared.temper.compared([&told.declared, &other.declared], false);
        running.pipe.close_if_idle("it was told more than its client can be asked, and the server minds");
        None
    }

    async fn compare(&self, (told, new): (&Whose, &Running), (other, peer): (&Whose, &Running)) {
        let alike = timeout(WITHIN, are_alike(&self.shared, new, peer)).await.ok().flatten();
        let (upstream, a, b) = (&self.shared.plan.name, &*told.declared, &*other.declared);
        tracing::debug!(upstream, a, b, ?alike, "compared what is listed in two processes");
        if let Some(alike) = alike {
            self.shared.temper.compared([&told.declared, &other.declared], alike);
        }
    }
}

/// Whether a server says the same of itself in both; none if it does not say.
async fn are_alike(shared: &Shared, one: &Running, other: &Running) -> Option<bool> {
    let (a, b) = (&one.link.discovered, &other.link.discovered);
    if (&a.raw_capabilities, &a.instructions) != (&b.raw_capabilities, &b.instructions) {
        return Some(false);
    }
    for method in LISTS.into_iter().filter_map(method::find) {
        if method.capability.is_some_and(|capability| !a.capabilities.has(capability)) {
            continue;
        }
        let (a, b) = tokio::join!(entries(shared, one, method), entries(shared, other, method));
        if a? != b? {
            return Some(false);
        }
    }
    Some(true)
}

/// All entries of a list. An error is an answer, too.
async fn entries(shared: &Shared, running: &Running, method: &Method) -> Option<Vec<Bytes>> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..MOST_PAGES {
        let id = shared.next_id();
        let params =
            cursor.map_or_else(|| "{}".to_owned(), |c| format!(r#"{{"cursor":{}}}"#, json::quote(&c)));
        let body = answer::request_message(&Id::number(id), method.name, Some(&params));
        let mut stream = running.pipe.request(id, body, HeaderMap::new(), Wants::default()).await.ok()?;
        let message = loop {
            if let Arrival::Response(response) = stream.next().await.ok()? {
                break response.message;
            }
        };
        if matches!(message.kind(), MessageKind::Error(_)) {
            return Some(all);
        }
        let page = Page::read(message, method.entries?).ok()?;
        all.extend(page.entries);
        cursor = page.next_cursor.filter(|cursor| !cursor.is_empty());
        if cursor.is_none() {
            return Some(all);
        }
    }
    Some(all)
}
