//! Suspended calls: a legacy server asks in mid-call, a modern client gets `input_required`, and its retry finds the open call.
//!
//! The state that the client carries names the call and nothing else. It is sealed for its principal and its time, belongs
//! to the very params that the client sent, and works once: what it leads to is taken out when it is used.
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use base::digest::Digest;
use base::error::CallError;
use base::owned_task::OwnedTask;
use base::random;
use base::sync::lock;
use base::world::World;
use catalog::caller::Caller;
use identity::Lifetime;
use mcp::call::Call;
use mcp::json::{self, Object};
use mcp::method::Kind;
use mcp::mrtr::{self, InputRequest, Retry};
use mcp::version::Era;
use store::seal::SealFault;
use tokio::sync::{Notify, oneshot};
use upstream::{Ask, PendingReply};

use crate::forward::relay::Relay;
use crate::forward::state::{Bond, StateSeal};

/// The suspended calls of this Portolan.
#[derive(Debug)]
pub(crate) struct Suspended {
    pub(crate) seals: Arc<StateSeal>,
    most: usize,
    calls: Mutex<HashMap<String, Parked>>,
    /// Told when one is suspended no more.
    fewer: Notify,
    /// Whether Portolan is ending.
    closed: AtomicBool,
}

/// A call that waits for its client.
#[derive(Debug)]
struct Parked {
    /// Gives the call back when it is wanted.
    wanted: oneshot::Sender<oneshot::Sender<Box<Relay>>>,
    debts: Vec<(InputRequest, PendingReply)>,
    call: Digest,
    /// When it is over. A client that brings no answers does not put that off.
    until: SystemTime,
    /// Looks after the call meanwhile.
    keeper: OwnedTask,
}

/// Looks after a suspended call until somebody wants it, nobody can any more, its time is over, or what its caller came with is taken
/// back.
async fn look_after(
    mut relay: Box<Relay>,
    wanted: oneshot::Receiver<oneshot::Sender<Box<Relay>>>,
    keep: Duration,
    mut lifetime: Option<Lifetime>,
) -> Option<()> {
    let wanted = tokio::select! {
        wanted = wanted => wanted.ok()?,
        () = relay.keep_hearing() => return None,
        () = tokio::time::sleep(keep) => return None,
        () = Lifetime::over_of(lifetime.as_mut()) => return None,
    };
    wanted.send(relay).ok()
}

/// How a retry goes on.
pub(crate) enum Resumed {
    /// The open call goes on.
    Goes(Box<Relay>),
    /// Something was left unanswered: this is the result that asks for it.
    Asks(String),
}

impl Suspended {
    /// So many may wait at once.
    pub(crate) fn new(seals: Arc<StateSeal>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            seals,
            most,
            calls: Mutex::default(),
            fewer: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.calls).len()
    }

    /// Suspends a call whose server asks for something: the result that tells the client.
    pub(crate) fn park(
        self: &Arc<Self>,
        relay: Box<Relay>,
        bond: &Bond,
        asks: Vec<Ask>,
        (now, lifetime): (SystemTime, Option<Lifetime>),
    ) -> Result<String, CallError> {
        let mut debts = Vec::new();
        for (n, ask) in asks.into_iter().enumerate() {
            let mut request = ask.request(mrtr::key(n));
            request.modernize().map_err(|fault| CallError::invalid(relay.upstream(), &fault.into()))?;
            debts.push((request, ask.into_reply()));
        }
        self.keep(relay, bond, debts, (now, now + bond.keep, lifetime))
    }

    fn keep(
        self: &Arc<Self>,
        mut relay: Box<Relay>,
        bond: &Bond,
        debts: Vec<(InputRequest, PendingReply)>,
        (now, until, lifetime): (SystemTime, SystemTime, Option<Lifetime>),
    ) -> Result<String, CallError> {
        if self.closed.load(Ordering::Relaxed) {
            let why = "the server asks for input, and Portolan is shutting down".to_owned();
            return Err(CallError::InputRefused { why });
        }
        relay.suspend();
        let handle = random::hex::<16>()?;
        let requests: Vec<_> = debts.iter().map(|(request, _)| request.clone()).collect();
        let named = format!(r#""call":{}{}"#, json::quote(&handle), self.seals.at());
        let state = self.seals.state(bond, now, &named)?;
        let mut calls = lock(&self.calls);
        if calls.len() >= self.most {
            // It was begun, so this is not the same as to be refused at the door.
            let why = format!(
                "the server asks for input, but {} calls wait for theirs already, the most there may be",
                self.most
            );
            return Err(CallError::InputRefused { why });
        }
        let (suspended, late, keep) =
            (Arc::downgrade(self), handle.clone(), until.duration_since(now).unwrap_or_default());
        let (wanted, want) = oneshot::channel();
        let keeper = OwnedTask::spawn(async move {
            if look_after(relay, want, keep, lifetime).await.is_none()
                && let Some(suspended) = Weak::upgrade(&suspended)
            {
                suspended.remove(&late);
            }
        });
        calls.insert(handle, Parked { wanted, debts, call: *bond.call(), until, keeper });
        Ok(mrtr::ask(&requests, &state))
    }

    /// Tells a client that it must visit URLs before it calls again: the server has ended the call with that.
    pub(crate) fn visit(
        &self,
        requests: &[InputRequest],
        bond: &Bond,
        now: SystemTime,
    ) -> Result<String, CallError> {
        let keys: Vec<_> = requests.iter().map(|request| json::quote(&request.key)).collect();
        let state = self.seals.state(bond, now, &format!(r#""visit":[{}]"#, keys.join(",")))?;
        Ok(mrtr::ask(requests, &state))
    }

    fn remove(&self, handle: &str) {
        lock(&self.calls).remove(handle);
        self.fewer.notify_waiters();
    }

    /// The open call that a retry leads to, if it is the right principal's, of the same call, and in time; nothing if it is a call like
    /// any other.
    ///
    /// # Errors
    /// When its state is not good.
    pub(crate) fn leads(
        &self,
        retry: &Retry<'_>,
        bond: &Bond,
        now: SystemTime,
    ) -> Result<Option<String>, CallError> {
        let Some(state) = &retry.state else { return Ok(None) };
        let payload = self.seals.open(bond, now, state).map_err(|fault| match fault {
            SealFault::Expired => {
                CallError::RequestState("its time is over; what the call had done by then is done")
            }
            _ => CallError::RequestState("it is none that was given for this call"),
        })?;
        let unreadable =
            || CallError::Internal("a request state that was sealed here cannot be read".to_owned());
        let text = std::str::from_utf8(&payload).map_err(|_not_utf8| unreadable())?;
        let sealed = Object::parse(text).map_err(|_fault| unreadable())?;
        bond.is_of(&sealed)?;
        if let Some(handle) = sealed.string("call").ok().flatten() {
            return match lock(&self.calls).get(&*handle) {
                Some(parked) if parked.call == *bond.call() => Ok(Some(handle.into_owned())),
                _ => Err(gone()),
            };
        }
        let keys = sealed.get("visit").ok().flatten().map(json::array).transpose();
        let keys = keys.ok().flatten().ok_or_else(unreadable)?;
        visited(&keys, retry).map(|()| None)
    }

    /// Whether a call goes on with an open one of its caller's, and brings all that was asked for.
    pub(crate) fn goes_on(&self, route: &str, call: &Call, caller: &Caller, world: &World) -> bool {
        if caller.era() != Era::Modern || call.kind() == Kind::Task {
            return false;
        }
        let Ok(retry) = Retry::read(call.params()) else { return false };
        let bond = Bond::new(route, &caller.principal, call, Duration::ZERO);
        let Ok(Some(handle)) = self.leads(&retry, &bond, world.clock.now()) else { return false };
        let brings = |(request, _): &(InputRequest, PendingReply)| retry.response(&request.key).is_some();
        lock(&self.calls).get(&handle).is_some_and(|parked| parked.debts.iter().all(brings))
    }

    /// Goes on with an open call. It is taken only if this is the first retry.
    pub(crate) async fn resume(
        self: &Arc<Self>,
        handle: &str,
        (call, caller): (&Call, &Arc<Caller>),
        retry: &Retry<'_>,
        (bond, now, lifetime): (&Bond, SystemTime, Option<Lifetime>),
    ) -> Result<Resumed, CallError> {
        let parked = {
            let mut calls = lock(&self.calls);
            if calls.get(handle).is_none_or(|parked| parked.call != *bond.call()) {
                return Err(gone());
            }
            let parked = calls.remove(handle);
            self.fewer.notify_waiters();
            parked
        };
        let Some(Parked { wanted, debts, until, keeper, .. }) = parked else { return Err(gone()) };
        let (giver, taker) = oneshot::channel();
        // That it is over is known a moment before it is taken off.
        if wanted.send(giver).is_err() {
            return Err(gone());
        }
        let Ok(relay) = taker.await else { return Err(gone()) };
        // It has given the call back, and nothing is left to look after.
        drop(keeper);
        let mut left = Vec::new();
        for (request, debt) in debts {
            match retry.response(&request.key) {
                Some(result) => debt.result(result),
                None => left.push((request, debt)),
            }
        }
        let relay = relay.replace(call, caller);
        if left.is_empty() || relay.is_over() {
            return Ok(Resumed::Goes(relay));
        }
        // MCP `basic/patterns/mrtr`: what is missing is asked for again.
        self.keep(relay, bond, left, (now, until, lifetime)).map(Resumed::Asks)
    }

    /// Waits until none is suspended any more.
    pub(crate) async fn settled(&self) {
        loop {
            // Before it is looked: what ends between the two is not missed.
            let fewer = self.fewer.notified();
            if lock(&self.calls).is_empty() {
                return;
            }
            fewer.await;
        }
    }

    /// Gives up all of them, and takes no more: their servers hear that nobody answers.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        lock(&self.calls).clear();
    }
}

fn gone() -> CallError {
    CallError::RequestState(
        "the call is not open any more: it was resumed before, its token was revoked, or its server or Portolan was \
         restarted; what it had done by then is done",
    )
}

/// Whether all URLs were visited, so that the call can be made again. Who says nothing of one is asked again.
fn visited(keys: &[&str], retry: &Retry<'_>) -> Result<(), CallError> {
    let action = |key: &&str| {
        let key = json::string(key).ok()?;
        let answer = Object::parse(retry.response(&key)?).ok()?;
        answer.string("action").ok().flatten().map(|action| action.into_owned())
    };
    for answer in keys.iter().map(action) {
        match answer.as_deref() {
            Some("accept") => {}
            Some(_) => {
                let why = "the URL was not visited, which the server asks for before it carries out the call";
                return Err(CallError::InputRefused { why: why.to_owned() });
            }
            // Calling again asks again.
            None => return Ok(()),
        }
    }
    Ok(())
}
