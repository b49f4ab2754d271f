//! What a server says that belongs to no call, for all who listen.

use std::sync::Arc;

use mcp::answer::notification_message;
use mcp::jsonrpc::Message;
use mcp::notify::{self, Notice, Seen};
use mcp::version::Era;
use tokio::sync::broadcast;

/// How many notifications a listener may be behind before it is told that it has missed some.
const KEPT: usize = 1024;
/// The most bytes of one. They are kept until the slowest listener has read them, and none of them needs to say much.
const MOST_BYTES: usize = 64 * 1024;

/// Where such notifications go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notices(broadcast::Sender<Told>);

/// A notification, and the era in which its server said it.
pub type Told = (Era, Arc<(Message, Seen)>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    /// Those from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Told> {
        self.0.subscribe()
    }

    /// Tells of one that was said in an era; whether it was not too large.
    pub(crate) fn tell(&self, era: Era, message: Message, seen: Seen) -> bool {
        let Some(notice) = fit(message, seen) else { return false };
        // Nobody may listen, which is no fault.
        drop(self.0.send((era, Arc::new(notice))));
        true
    }
}

/// The notification if it is no larger than one may be. That a list changed can be said in fewer words.
fn fit(message: Message, seen: Seen) -> Option<(Message, Seen)> {
    if message.bytes().len() <= MOST_BYTES {
        return Some((message, seen));
    }
    let Notice::ListChanged(kind) = seen.notice else { return None };
    let short = notification_message(notify::list_changed_method(kind)?, None);
    Some((Message::parse(short).ok()?, Seen { notice: Notice::ListChanged(kind), subscription: None }))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mcp::method::Kind;

    use super::*;

    #[test]
    fn large_ones_are_shortened_or_left_out() {
        let notices = Notices::new();
        let mut heard = notices.listen();
        let tell = |method: &str| {
            let pad = "x".repeat(MOST_BYTES);
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"uri":"a://b","pad":"{pad}"}}}}"#
            );
            let message = Message::parse(Bytes::from(text)).unwrap();
            let seen = notify::see(&message).unwrap();
            notices.tell(Era::Legacy, message, seen)
        };
        assert!(tell("notifications/tools/list_changed"));
        assert!(!tell("notifications/resources/updated"));
        let (_, notice) = heard.try_recv().unwrap();
        let (message, seen) = &*notice;
        assert_eq!(message.bytes(), r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
        assert_eq!(seen.notice, Notice::ListChanged(Kind::Tool));
        assert!(heard.try_recv().is_err());
    }
}
