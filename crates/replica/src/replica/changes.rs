//! What servers tell one replica of and the others have to know.

use bytes::Bytes;
use mcp::answer::notification_message;
use mcp::json::{self, Object};
use mcp::notify::{self, Notice};
use store::notices::{Heard, NOTICE_BYTES, Notices};

use super::Replica;

/// The topic of such notices.
const TOPIC: &str = "changed";

/// What a replica hears of others.
#[derive(Debug, PartialEq, Eq)]
pub enum PeerNotice {
    /// A server of that name has told of a change, with this notification.
    Changed {
        /// What the server is called in the configuration.
        upstream: String,
        /// The notification as JSON.
        message: Bytes,
    },
    /// Anything may have changed.
    Missed,
}

/// Hears of others.
#[derive(Debug)]
pub struct PeerNotices<'r> {
    replica: &'r Replica,
    notices: Notices,
}

impl Replica {
    /// What others hear of, from now on.
    pub async fn changes(&self) -> PeerNotices<'_> {
        PeerNotices { replica: self, notices: self.store().subscribe().await }
    }

    /// Tells the others of a change.
    pub async fn tell_of(&self, upstream: &str, message: &Bytes, notice: &Notice) {
        let text = |message: &str| {
            format!(
                r#"{{"from":{},"upstream":{},"message":{message}}}"#,
                json::quote(&self.id()),
                json::quote(upstream)
            )
        };
        let whole = std::str::from_utf8(message).map(text).unwrap_or_default();
        let told = if !whole.is_empty() && whole.len() + TOPIC.len() <= NOTICE_BYTES {
            Some(whole)
        } else {
            shorter(notice).and_then(|short| std::str::from_utf8(&short).map(text).ok())
        };
        let Some(told) = told.filter(|told| told.len() + TOPIC.len() <= NOTICE_BYTES) else {
            tracing::warn!(upstream, "a notification is too long for the other replicas to hear of");
            return;
        };
        if let Err(fault) = self.store().publish(TOPIC, &told).await {
            tracing::debug!(upstream, "other replicas do not hear of a change: {fault}");
        }
    }
}

/// The notification without what nobody needs.
fn shorter(notice: &Notice) -> Option<Bytes> {
    match notice {
        Notice::ListChanged(kind) => Some(notification_message(notify::list_changed_method(*kind)?, None)),
        _ => None,
    }
}

impl PeerNotices<'_> {
    /// The next; none when there is no store any more.
    pub async fn next(&mut self) -> Option<PeerNotice> {
        loop {
            match self.notices.next().await? {
                Heard::Missed => return Some(PeerNotice::Missed),
                Heard::Notice(notice) if notice.topic == TOPIC => {
                    if let Some(told) = self.read(&notice.id) {
                        return Some(told);
                    }
                }
                Heard::Notice(_) => {}
            }
        }
    }

    /// None for what this replica has said itself.
    fn read(&self, text: &str) -> Option<PeerNotice> {
        let object = Object::parse(text).ok()?;
        let member = |name| object.string(name).ok().flatten();
        if member("from")? == *self.replica.id() {
            return None;
        }
        let message = Bytes::copy_from_slice(object.get("message").ok().flatten()?.as_bytes());
        Some(PeerNotice::Changed { upstream: member("upstream")?.into_owned(), message })
    }
}
