//! Legacy clients that can be asked outside of any call.
//!
//! A legacy server may ask when no call is open, as `server-filesystem` does for the roots when it has just been started
//! (MCP 2025-11-25 `basic/transports` §Listening). A legacy client hears that on its session's stream. A modern client has
//! nothing that it could be heard on: it is asked in results only (MCP 2026-07-28 `basic/patterns/mrtr`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use base::sync::lock;
use bytes::Bytes;
use mcp::jsonrpc::Message;
use mcp::mrtr;
use mcp::notify::Seen;
use mcp::reject::code;
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ask::Ask;
use crate::link::{NOTHING, Whose};

/// How many such requests may wait for one client, and for clients that do not listen yet.
const WAITING: usize = 16;
/// How long one waits for a client that does not listen yet: the first who needs a server is not even answered when the
/// server asks its first question.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many elicitations by URL are remembered whose end was not told yet.
const MOST_GIVEN: usize = 4096;

/// What one client is told or asked outside of any call.
#[derive(Debug)]
pub enum UnsolicitedMessage {
    /// It is asked.
    Ask(Box<Ask>),
    /// It is told.
    Word(Bytes),
    /// A resource of the server at that place of its route has changed, as was said in the client's own session.
    Updated(usize, Box<(Message, Seen)>),
}

impl UnsolicitedMessage {
    /// Where one client is told and asked, and where it hears that.
    #[must_use]
    pub fn channel() -> (mpsc::Sender<Self>, mpsc::Receiver<Self>) {
        mpsc::channel(WAITING)
    }
}

/// The legacy clients that listen now.
#[derive(Debug)]
pub(crate) struct Unsolicited {
    listening: Arc<Mutex<Listening>>,
    tasks: TaskTracker,
    /// Cancelled when nobody waits for clients any more.
    stopped: CancellationToken,
}

#[derive(Debug, Default)]
struct Listening {
    clients: Vec<ListeningClient>,
    /// The elicitations by URL that clients were given, each with the client.
    given: VecDeque<(String, Arc<str>)>,
    /// What was asked when nobody listened, with a number each.
    early: Vec<(u64, Whose, Ask)>,
    asked: u64,
}

/// A client that listens.
#[derive(Debug)]
struct ListeningClient {
    whose: Whose,
    /// The server's place in the client's route.
    place: usize,
    client: Arc<str>,
    asides: mpsc::Sender<UnsolicitedMessage>,
}

impl Listening {
    fn give(&mut self, ask: &Ask, client: &Arc<str>) {
        let elicitation = mrtr::elicitation_id(ask.message.params());
        elicitation.into_iter().for_each(|elicitation| self.remember(elicitation, client));
    }

    fn remember(&mut self, elicitation: String, client: &Arc<str>) {
        if self.given.len() >= MOST_GIVEN {
            self.given.pop_front();
        }
        self.given.push_back((elicitation, Arc::clone(client)));
    }
}

impl Unsolicited {
    pub(crate) fn new(tasks: &TaskTracker) -> Self {
        Self { listening: Arc::default(), tasks: tasks.clone(), stopped: CancellationToken::new() }
    }

    /// The server is not used any more: what waits for a client that may come is refused when it is dropped.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }

    /// A client listens, until the other end of `asides` is dropped. `whose` names its session, and what it has declared;
    /// `place` is the server's in its route.
    pub(crate) fn listen(
        &self,
        (whose, place): (Whose, usize),
        client: &Arc<str>,
        asides: &mpsc::Sender<UnsolicitedMessage>,
    ) {
        let mut open = lock(&self.listening);
        let early: Vec<_> = open.early.extract_if(.., |(_, asked, _)| hears(asked, &whose)).collect();
        open.clients.retain(|one| !one.asides.is_closed());
        open.clients.push(ListeningClient {
            whose,
            place,
            client: Arc::clone(client),
            asides: asides.clone(),
        });
        early.iter().for_each(|(_, _, ask)| open.give(ask, client));
        drop(open);
        for (_, _, ask) in early {
            // Where there is no room for it, it is refused by being dropped.
            drop(asides.try_send(UnsolicitedMessage::Ask(Box::new(ask))));
        }
    }

    /// A client is given a request: if it is one to visit a URL, it is the one who hears when that is done.
    pub(crate) fn give(&self, ask: &Ask, client: Option<&Arc<str>>) {
        if let Some(client) = client.filter(|_| ask.method() == "elicitation/create") {
            lock(&self.listening).give(ask, client);
        }
    }

    /// A client was told in an error to visit URLs.
    pub(crate) fn gave(&self, elicitations: Vec<String>, client: &Arc<str>) {
        let mut open = lock(&self.listening);
        elicitations.into_iter().for_each(|elicitation| open.remember(elicitation, client));
    }

    /// Who was given this elicitation, which is over now.
    pub(crate) fn given(&self, elicitation: &str) -> Option<Arc<str>> {
        let mut open = lock(&self.listening);
        let at = open.given.iter().rposition(|(given, _)| given == elicitation)?;
        open.given.remove(at).map(|(_, client)| client)
    }

    /// Tells a client something, whether or not a call of it is open. Whether it listens.
    pub(crate) fn tell(&self, client: &Arc<str>, word: &Bytes) -> bool {
        self.give_aside(client, |_| UnsolicitedMessage::Word(word.clone()))
    }

    /// Tells a client that a resource has changed, as the server said in the client's own session. Whether it listens.
    pub(crate) fn updated(&self, client: &Arc<str>, message: &Message, seen: &Seen) -> bool {
        self.give_aside(client, |place| {
            UnsolicitedMessage::Updated(place, Box::new((message.clone(), seen.clone())))
        })
    }

    fn give_aside(&self, client: &Arc<str>, aside: impl FnOnce(usize) -> UnsolicitedMessage) -> bool {
        let mut open = lock(&self.listening);
        open.clients.retain(|one| !one.asides.is_closed());
        let client = open.clients.iter().rev().find(|one| one.client == *client);
        client.is_some_and(|one| one.asides.try_send(aside(one.place)).is_ok())
    }

    /// Gives a request of the conversation of `whose` to the only client that can be meant.
    ///
    /// # Errors
    /// Why there is none. The request is refused then.
    pub(crate) fn ask(&self, whose: &Whose, ask: Ask) -> Result<(), &'static str> {
        let mut open = lock(&self.listening);
        open.clients.retain(|one| !one.asides.is_closed());
        let mut meant = open.clients.iter().filter(|one| hears(whose, &one.whose));
        let why = match (meant.next(), meant.next()) {
            (Some(one), None) => {
                let (client, asides) = (Arc::clone(&one.client), one.asides.clone());
                open.give(&ask, &client);
                return asides
                    .try_send(UnsolicitedMessage::Ask(Box::new(ask)))
                    .map_err(|_full| "too much waits for the client already");
            }
            (None, _) if open.early.len() < WAITING => {
                open.asked += 1;
                let number = open.asked;
                open.early.push((number, whose.clone(), ask));
                let late = give_up(Arc::downgrade(&self.listening), number);
                // Nobody who ends waits for it.
                self.tasks.spawn(self.stopped.clone().run_until_cancelled_owned(late));
                return Ok(());
            }
            (None, _) => NOBODY,
            (Some(_), Some(_)) => "it does not say which of several clients is meant",
        };
        drop(open);
        ask.refuse(code::INVALID_PARAMS, why);
        Err(why)
    }
}

const NOBODY: &str = "it belongs to no call of a client, and no client listens";

async fn give_up(open: Weak<Mutex<Listening>>, number: u64) {
    sleep(PATIENCE).await;
    let Some(open) = open.upgrade() else { return };
    let late: Vec<_> = lock(&open).early.extract_if(.., |(other, ..)| *other == number).collect();
    for (_, _, ask) in late {
        ask.refuse(code::INVALID_PARAMS, NOBODY);
    }
}

/// Whether a client may be meant by a request in the conversation of `whose`: it is one that shares it, and has declared
/// something, or the only one.
fn hears(whose: &Whose, client: &Whose) -> bool {
    let can_be = !whose.is_shared() || &*client.declared != NOTHING;
    whose.is_kin_of(client) && whose.declared == client.declared && can_be
}

#[cfg(test)]
mod tests {
    use auth::Principal;
    use mcp::jsonrpc::MessageKind;
    use mcp::version::Era;
    use tokio::time::Instant;

    use super::*;
    use crate::ask::ReplyTo;

    #[derive(Debug)]
    struct Server(mpsc::UnboundedSender<Bytes>);

    impl ReplyTo for Server {
        fn reply(&self, body: Bytes) {
            drop(self.0.send(body));
        }
    }

    /// A server asks for the roots of a client although none listens; what it is told comes out.
    fn asks(unsolicited: &Unsolicited) -> mpsc::UnboundedReceiver<Bytes> {
        let whose = Whose {
            era: Era::Legacy,
            principal: Principal::anonymous(),
            session: Some("s".into()),
            client: None,
            declared: NOTHING.into(),
        };
        let text = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#);
        let message = Message::parse(text).unwrap();
        let MessageKind::Request(request) = message.kind() else { panic!("not a request") };
        let request = request.clone();
        let (told, hears) = mpsc::unbounded_channel();
        let ask = Ask::new(message, &request, (&whose, Box::new(Server(told))));
        unsolicited.ask(&whose, ask).unwrap();
        hears
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_nobody_listens_for_is_refused_after_a_while() {
        let tasks = TaskTracker::new();
        let unsolicited = Unsolicited::new(&tasks);
        let (mut told, began) = (asks(&unsolicited), Instant::now());
        let refusal = told.recv().await.unwrap();
        assert!(refusal.windows(NOBODY.len()).any(|part| part == NOBODY.as_bytes()));
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_who_ends_waits_for_clients_that_may_listen_yet() {
        let tasks = TaskTracker::new();
        let unsolicited = Unsolicited::new(&tasks);
        let (mut told, began) = (asks(&unsolicited), Instant::now());
        unsolicited.stop();
        tasks.close();
        tasks.wait().await;
        assert!(began.elapsed().is_zero());
        drop(unsolicited);
        assert!(told.recv().await.is_some(), "it is refused all the same");
    }
}
