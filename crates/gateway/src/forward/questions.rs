//! What a legacy client is asked in mid-call, and its answers on their way to whoever waits for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use base::owned_task::OwnedTask;
use base::random;
use base::sync::lock;
use bytes::Bytes;
use mcp::answer;
use mcp::json::{JsonFault, Patch};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::mrtr::{self, InputRequest};
use mcp::notify::{self, Notice, Seen};
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep};
use upstream::{Ask, PendingReply};

/// The most questions to one client at once.
const MOST: usize = 64;

/// How long a client may take to refuse what it has not declared. One that reads no such request says nothing to it.
const TO_REFUSE: Duration = Duration::from_secs(5);

/// The open questions of one session.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: Mutex<BTreeMap<u64, Waiter>>,
    asked: AtomicU64,
    first: OnceLock<u64>,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Waiter {
    /// A legacy server, which gets it as it comes; and its progress token, if it wants to hear of progress.
    Server(PendingReply, Option<Box<str>>),
    /// A call that is sent again with it.
    Call(oneshot::Sender<Message>),
}

impl Questions {
    /// Takes a client's response to where it belongs. Whether there is such a place.
    pub(crate) fn answered(&self, response: &Message) -> bool {
        let number = response.response_id().and_then(Id::as_number);
        match number.and_then(|number| lock(&self.open).remove(&number)) {
            Some(Waiter::Server(debt, _)) => debt.response(response),
            // The call may be over.
            Some(Waiter::Call(call)) => drop(call.send(response.clone())),
            None => return false,
        }
        true
    }

    /// A client tells how far it has come with an answer. Whether a server wants to know.
    pub(crate) fn progressed(&self, message: &Message) -> bool {
        let Ok(Seen { notice: Notice::Progress { token, token_at, .. }, .. }) = notify::see(message) else {
            return false;
        };
        let open = lock(&self.open);
        let number = token.parse().ok().and_then(|number: u64| open.get(&number));
        let Some(Waiter::Server(debt, Some(theirs))) = number else { return false };
        let mut patch = Patch::new();
        patch.replace(token_at, theirs.as_bytes());
        debt.say(&patch.apply(message.bytes()));
        true
    }

    /// Sessions outlive this process, and so do a client's open questions: none may answer a later one.
    fn first(&self) -> u64 {
        *self.first.get_or_init(number)
    }

    fn is_open(&self, number: u64) -> bool {
        lock(&self.open).contains_key(&number)
    }

    fn put(&self, waiter: Waiter) -> Option<u64> {
        let mut open = lock(&self.open);
        if open.len() >= MOST {
            return None;
        }
        let number = self.first() + self.asked.fetch_add(1, Ordering::Relaxed);
        open.insert(number, waiter);
        Some(number)
    }
}

/// The questions of one call. They end with it.
#[derive(Debug)]
pub(crate) struct Asking {
    of: Arc<Questions>,
    open: Vec<Question>,
}

#[derive(Debug)]
struct Question {
    number: u64,
    /// The server's id of it.
    theirs: Id,
    method: Box<str>,
    /// Refuses it for a client that does not.
    _refusing: Option<OwnedTask>,
}

impl Asking {
    pub(crate) fn new(of: Arc<Questions>) -> Self {
        Self { of, open: Vec::new() }
    }

    /// The request to the client that passes a legacy server's on. Nothing if too much is asked at once, and then the server
    /// hears that.
    pub(crate) fn pass_on(&mut self, ask: Ask) -> Option<Bytes> {
        let (message, method) = (ask.message.clone(), ask.method().into());
        let undeclared = ask.undeclared().cloned();
        let debt = ask.into_reply();
        let theirs = debt.id().clone();
        // A session's stream may ask for as long as it lives.
        self.open.retain(|question| self.of.is_open(question.number));
        // Several servers may use the same token, so the client gets one of ours.
        let token_at = mrtr::progress_token_at(&message);
        let token = token_at.map(|at| message.at(at).into());
        let number = self.of.put(Waiter::Server(debt, token))?;
        let refusing = undeclared
            .map(|refusal| OwnedTask::spawn(refuse_soon(Arc::downgrade(&self.of), number, refusal)));
        self.open.push(Question { number, theirs, method, _refusing: refusing });
        let mut patch = Patch::new();
        if let Some(at) = token_at {
            patch.replace(at, number.to_string().as_bytes());
        }
        message.set_id(&Id::number(number), &mut patch);
        Some(patch.apply(message.bytes()))
    }

    /// A request of our own to the client, and where its answer comes out. Nothing if too much is asked at once.
    pub(crate) fn ask(&mut self, request: &InputRequest) -> Option<(Bytes, oneshot::Receiver<Message>)> {
        let (sender, receiver) = oneshot::channel();
        let number = self.of.put(Waiter::Call(sender))?;
        let (theirs, method) = (Id::number(number), request.method.as_str().into());
        self.open.push(Question { number, theirs, method, _refusing: None });
        Some((answer::request_message(&Id::number(number), &request.method, request.params()), receiver))
    }

    /// The server no longer waits for the answer to the request that it calls `theirs`: the id under which the client knows
    /// it, if it is still open.
    pub(crate) fn withdraw(&mut self, theirs: &Id) -> Option<Id> {
        let mut open = lock(&self.of.open);
        let is_it = |question: &&Question| {
            question.theirs.canonical() == theirs.canonical() && open.contains_key(&question.number)
        };
        let number = self.open.iter().find(is_it)?.number;
        if let Some(Waiter::Server(debt, _)) = open.remove(&number) {
            debt.forget();
        }
        Some(Id::number(number))
    }

    /// What the client has not answered yet: the method of the first.
    pub(crate) fn unanswered(&self) -> Option<&str> {
        let open = lock(&self.of.open);
        self.open
            .iter()
            .find(|question| open.contains_key(&question.number))
            .map(|question| &*question.method)
    }
}

async fn refuse_soon(of: Weak<Questions>, number: u64, refusal: Bytes) {
    sleep(TO_REFUSE).await;
    let waiter = of.upgrade().and_then(|of| lock(&of.open).remove(&number));
    if let Some(Waiter::Server(debt, _)) = waiter {
        debt.raw(refusal);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut open = lock(&self.of.open);
        // To drop a waiter tells it.
        let gone: Vec<_> = self.open.iter().filter_map(|question| open.remove(&question.number)).collect();
        drop(open);
        drop(gone);
    }
}

/// A client's answer as a modern server reads it: the text of the result object.
///
/// # Errors
/// When the client has answered with an error, which a modern server cannot be told. Only that nobody filled in a form has
/// a result of its own.
pub(crate) fn result_of(request: &InputRequest, response: &Message) -> Result<String, String> {
    match response.kind() {
        MessageKind::Result(parts) => Ok(response.at(parts.result).to_owned()),
        MessageKind::Error(_) if request.method == "elicitation/create" => {
            Ok(r#"{"action":"cancel"}"#.to_owned())
        }
        MessageKind::Error(parts) => {
            let view = answer::error_view(response, parts);
            Err(format!("the client answered {} with error {}: {}", request.method, view.code, view.message))
        }
        MessageKind::Request(_) | MessageKind::Notification(_) => {
            Err(format!("the client did not answer {}", request.method))
        }
    }
}

/// The requests as a legacy client must find them, and the ids of the elicitations by URL among them.
pub(crate) fn aged(mut requests: Vec<InputRequest>) -> Result<(Vec<InputRequest>, Vec<String>), JsonFault> {
    let mut urls = Vec::new();
    for request in requests.iter_mut().filter(|request| request.is_url()) {
        let id = format!("{}-{:013x}", request.key, number());
        request.age(&id)?;
        urls.push(id);
    }
    Ok((requests, urls))
}

/// A number that no other question had, small enough for every client's numbers.
fn number() -> u64 {
    let bytes = random::bytes().unwrap_or_else(|_none| {
        // Nothing else works without them either: no session could be opened.
        tracing::error!("there are no random numbers");
        [0; 8]
    });
    u64::from_be_bytes(bytes) >> 13
}
