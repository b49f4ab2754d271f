//! The states that clients of the modern era carry from a call to its retry: sealed for a principal and a time, for the very
//! params that the client sent.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use auth::{Approved, Principal};
use base::clock::Clock;
use base::digest::Digest;
use base::error::CallError;
use base::sync::lock;
use bytes::Bytes;
use mcp::call::Call;
use mcp::json::{self, Object, Patch};
use mcp::mrtr::{self, InputRequired, Retry};
use mcp::reject::Reject;
use replica::Replica;
use store::seal::{Bound, Seal, SealFault};

use super::edit::Edit;

/// Params of up to so many bytes are digested when somebody asks, which is seldom.
const KEPT: usize = 16 * 1024;

/// What a state belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Bond {
    purpose: String,
    principal: Principal,
    /// What the client has asked for.
    method: Cow<'static, str>,
    params: Option<Bytes>,
    /// Stands for it. Most calls are answered before anybody asks.
    call: OnceLock<Digest>,
    /// How long the client may take to answer.
    pub(crate) keep: Duration,
}

impl Bond {
    pub(crate) fn new(route: &str, principal: &Principal, call: &Call, keep: Duration) -> Self {
        let params = call.params().map(|params| call.message().bytes().slice_ref(params.as_bytes()));
        let (purpose, principal, method) = (purpose(route), principal.clone(), call.method_label());
        let bond = Self { purpose, principal, method, params, call: OnceLock::new(), keep };
        if bond.params.as_ref().is_none_or(|params| params.len() <= KEPT) {
            return bond;
        }
        // A large body is not held for as long as a call may take.
        bond.call();
        Self { params: None, ..bond }
    }

    /// Stands for what the client has asked for.
    pub(crate) fn call(&self) -> &Digest {
        self.call.get_or_init(|| digest(&self.method, self.params.as_deref()))
    }

    /// Whether what a state says was sealed for the very params of the call.
    ///
    /// # Errors
    /// When it was not.
    pub(crate) fn is_of(&self, sealed: &Object<'_>) -> Result<(), CallError> {
        let params = sealed.string("params").ok().flatten();
        if params.as_deref() == Some(&*self.call().to_string()) {
            return Ok(());
        }
        Err(CallError::RequestState("it was given for other params"))
    }

    fn bound(&self) -> Bound<'_> {
        Bound { purpose: &self.purpose, principal: self.principal.id() }
    }
}

fn purpose(route: &str) -> String {
    format!("request-state:{route}")
}

/// Stands for what a client asked for: the method and its params as the client wrote them, but for what a retry changes.
fn digest(method: &str, params: Option<&[u8]>) -> Digest {
    let params = params.and_then(|params| std::str::from_utf8(params).ok());
    let params = params.and_then(|params| Object::parse(params).ok());
    let mut members: Vec<_> = params
        .iter()
        .flat_map(Object::iter)
        .filter(|member| !mrtr::is_ours(&member.name) && member.name != "_meta")
        .map(|member| (member.name.clone(), member.value))
        .collect();
    members.sort();
    let texts = members.iter().flat_map(|(name, value)| [&**name, value]);
    Digest::of(std::iter::once(method).chain(texts))
}

/// The proof that a call was approved, and where that is written down.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) approved: Approved,
    /// What the question is called.
    pub(crate) id: String,
    /// How often the call was sent, or sent on: a state is good for one turn.
    pub(crate) turn: i64,
    /// Whether limits have counted the call already.
    pub(crate) counted: Counted,
    due: Arc<Mutex<Option<Due>>>,
}

/// What is to be written down in the moment before a call is sent that was approved. As long as that is not done, the proof is of
/// something that another may do at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// What somebody has approved is used.
    Use,
    /// Who was asked and calls has said yes: it is approved, and used.
    Approve,
    /// What was used goes on at that turn.
    GoOn(i64),
}

/// Whether limits have counted a call that is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// They count it as any other.
    Not,
    /// When it was found out how it stands with the approval.
    Here,
    /// When it came; since then its client was asked something.
    Before,
}

impl Proof {
    pub(crate) fn new((approved, id): (Approved, String), turn: i64, due: Due, counted: Counted) -> Self {
        Self { approved, id, turn, counted, due: Arc::new(Mutex::new(Some(due))) }
    }

    /// The proof of a call that limits have counted, for when it is sent again.
    pub(crate) fn counted_before(self) -> Self {
        Self { counted: Counted::Before, ..self }
    }

    /// What is to be written down: once, for the first who asks.
    pub(crate) fn take_due(&self) -> Option<Due> {
        lock(&self.due).take()
    }
}

/// What a call brings back that was given for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Nothing.
    Nothing,
    /// The question of that name, which somebody is to answer first.
    Question(String),
    /// It was approved under that name, and sent so often.
    Approved { id: String, turn: i64 },
    /// It was sent, and is open.
    Open,
    /// Something else, which may be a server's own.
    Other,
}

/// Makes states, and reads them.
#[derive(Debug)]
pub(crate) struct StateSeal {
    seal: Arc<Seal>,
    /// This process among others: a state names who holds what it leads to.
    replica: Option<Arc<Replica>>,
}

impl StateSeal {
    pub(crate) fn new(seal: Arc<Seal>, replica: Option<Arc<Replica>>) -> Arc<Self> {
        Arc::new(Self { seal, replica })
    }

    /// Whether a state may come back to another replica.
    pub(crate) fn has_replicas(&self) -> bool {
        self.replica.is_some()
    }

    /// Names this replica, as a member after others.
    pub(crate) fn at(&self) -> String {
        let replica = self.replica.as_ref();
        replica.map(|replica| format!(r#","at":{}"#, json::quote(&replica.id()))).unwrap_or_default()
    }

    /// The replica that holds what a retry goes on with; none if its state is not one of ours, or names none.
    pub(crate) fn holder(
        &self,
        call: &Call,
        (route, principal): (&str, &Principal),
        now: SystemTime,
    ) -> Option<String> {
        let retry = Retry::read(call.params()).ok()?;
        let purpose = purpose(route);
        let bound = Bound { purpose: &purpose, principal: principal.id() };
        let payload = self.seal.open(bound, now, &retry.state?).ok()?;
        let sealed = Object::parse(std::str::from_utf8(&payload).ok()?).ok()?;
        sealed.string("at").ok().flatten().map(Cow::into_owned)
    }

    /// A state that says `what`: members of an object.
    pub(crate) fn state(&self, bond: &Bond, now: SystemTime, what: &str) -> Result<String, CallError> {
        let payload = format!(r#"{{"params":"{}",{what}}}"#, bond.call());
        let sealed = self.seal.seal(bond.bound(), now + bond.keep, payload.as_bytes());
        sealed.map_err(|fault| CallError::Internal(fault.to_string()))
    }

    /// What a state says, if it is one that was given for this bond, and in time.
    pub(crate) fn open(&self, bond: &Bond, now: SystemTime, state: &str) -> Result<Vec<u8>, SealFault> {
        self.seal.open(bond.bound(), now, state)
    }

    /// What a call brings back.
    ///
    /// # Errors
    /// When it cannot be read, or was given for other params.
    pub(crate) fn carried(&self, call: &Call, bond: &Bond, now: SystemTime) -> Result<Carried, CallError> {
        let retry = Retry::read(call.params())
            .map_err(|fault| CallError::Reject(Reject::member("inputResponses", &fault)))?;
        let Some(state) = &retry.state else { return Ok(Carried::Nothing) };
        let payload = self.open(bond, now, state).ok().and_then(|payload| String::from_utf8(payload).ok());
        let Some(payload) = payload else { return Ok(Carried::Other) };
        let Ok(sealed) = Object::parse(&payload) else { return Ok(Carried::Other) };
        let text = |of: &Object<'_>, name| of.string(name).ok().flatten().map(Cow::into_owned);
        if let Some(id) = text(&sealed, "approval") {
            return bond.is_of(&sealed).map(|()| Carried::Question(id));
        }
        if let Some(approved) = sealed.object("approved").ok().flatten() {
            let turn = approved.get("turn").ok().flatten().and_then(json::integer);
            let (Some(id), Some(turn)) = (text(&approved, "id"), turn) else { return Ok(Carried::Other) };
            return bond.is_of(&sealed).map(|()| Carried::Approved { id, turn });
        }
        Ok(if text(&sealed, "call").is_some() { Carried::Open } else { Carried::Other })
    }

    /// The call with the state that a process of this replica has given, if it comes with one that was bound.
    pub(crate) fn unbound(
        &self,
        call: &Call,
        bond: &Bond,
        now: SystemTime,
    ) -> Result<Option<Call>, CallError> {
        let retry = Retry::read(call.params())
            .map_err(|fault| CallError::Reject(Reject::member("inputResponses", &fault)))?;
        // The state may be the server's own, from before.
        let payload = retry.state.and_then(|state| self.open(bond, now, &state).ok());
        let Some(payload) = payload else { return Ok(None) };
        let sealed = std::str::from_utf8(&payload).ok().and_then(|text| Object::parse(text).ok());
        let Some(sealed) = sealed else { return Ok(None) };
        let Some(own) = sealed.get("own").ok().flatten() else { return Ok(None) };
        bond.is_of(&sealed)?;
        let responses: Vec<_> =
            retry.responses.iter().map(|(key, text)| (key.to_string(), (*text).to_owned())).collect();
        Ok(Some(mrtr::again(call, &responses, Some(own))?))
    }
}

/// Binds the states that a modern server gives to this replica, whose process alone knows them.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) seals: Arc<StateSeal>,
    pub(crate) bond: Bond,
    pub(crate) clock: Arc<dyn Clock>,
    /// That the call was approved, if it was: it need not be again when it goes on.
    pub(crate) approved: Option<Proof>,
}

impl Edit for Binding {
    fn input(
        &mut self,
        input: &InputRequired,
        (result, offset): (&Object<'_>, usize),
        patch: &mut Patch,
    ) -> Result<(), CallError> {
        let Some(own) = &input.state else { return Ok(()) };
        let approved = self.approved.as_ref().map(|Proof { id, turn, .. }| {
            format!(r#","approved":{{"id":{},"turn":{turn}}}"#, json::quote(id))
        });
        let named = format!(r#""own":{own}{}{}"#, self.seals.at(), approved.unwrap_or_default());
        let state = json::quote(&self.seals.state(&self.bond, self.clock.now(), &named)?);
        let set = result.set("requestState", state.as_bytes(), offset, patch);
        set.map_err(|fault| CallError::Internal(fault.to_string()))
    }
}
