//! Legacy clients that can be asked outside of any call.
//!
//! A legacy server may ask when no call is open, as `server-filesystem` does for the roots when it has just been started
//! (MCP 2025-11-25 `basic/transports` §Listening). A legacy client hears that on its session's stream. A modern client has
//! nothing that it could be heard on (protocol.md §2.9).

use std::sync::{Arc, Mutex, Weak};

use mcp::reject::code;
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};

use crate::upstream::ask::Ask;
use crate::upstream::link::Whose;
use crate::upstream::pipe::lock;

/// How many such requests may wait for one client, and for clients that do not listen yet.
pub(crate) const WAITING: usize = 16;
/// How long one waits for a client that does not listen yet: the first who needs a server is not even answered when the
/// server asks its first question.
const PATIENCE: Duration = Duration::from_secs(5);

/// The legacy clients that listen now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ears(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    ears: Vec<(Whose, mpsc::Sender<Ask>)>,
    /// What was asked when nobody listened, with a number each.
    early: Vec<(u64, Whose, Ask)>,
    asked: u64,
}

impl Ears {
    /// A client listens, until the other end of `asks` is dropped. `whose` names its session, and what it has declared.
    pub(crate) fn listen(&self, whose: Whose, asks: &mpsc::Sender<Ask>) {
        let mut open = lock(&self.0);
        let early: Vec<_> = open.early.extract_if(.., |(_, asked, _)| hears(asked, &whose)).collect();
        open.ears.retain(|(_, asks)| !asks.is_closed());
        open.ears.push((whose, asks.clone()));
        drop(open);
        for (_, _, ask) in early {
            // Where there is no room for it, it is refused by being dropped.
            drop(asks.try_send(ask));
        }
    }

    /// Gives a request of the conversation of `whose` to the only client that can be meant.
    ///
    /// # Errors
    /// Why there is none. The request is refused then.
    pub(crate) fn ask(&self, whose: &Whose, ask: Ask) -> Result<(), &'static str> {
        let mut open = lock(&self.0);
        open.ears.retain(|(_, asks)| !asks.is_closed());
        let mut meant = open.ears.iter().filter(|(ear, _)| hears(whose, ear));
        let why = match (meant.next(), meant.next()) {
            (Some((_, asks)), None) => {
                return asks.try_send(ask).map_err(|_full| "too much waits for the client already");
            }
            (None, _) if open.early.len() < WAITING => {
                open.asked += 1;
                let number = open.asked;
                open.early.push((number, whose.clone(), ask));
                tokio::spawn(give_up(Arc::downgrade(&self.0), number));
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

async fn give_up(open: Weak<Mutex<Open>>, number: u64) {
    sleep(PATIENCE).await;
    let Some(open) = open.upgrade() else { return };
    let late: Vec<_> = lock(&open).early.extract_if(.., |(other, ..)| *other == number).collect();
    for (_, _, ask) in late {
        ask.refuse(code::INVALID_PARAMS, NOBODY);
    }
}

/// Whether a client may be meant by a request in the conversation of `whose`: it is one that shares it.
fn hears(whose: &Whose, ear: &Whose) -> bool {
    whose == ear
}
