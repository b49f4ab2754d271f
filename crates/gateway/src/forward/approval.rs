//! What policies want to be approved: somebody is asked before the call is sent. Of a modern client's call that is a result which
//! asks, and a retry; a legacy client is asked on the stream of its call. Where the client cannot be asked, it is told whom to ask.
//!
//! What was approved is used in the moment before the call is sent, by one alone of all who try: the store says by whom. What is to be
//! used is carried with the call to where it is sent, and the gate is asked with it. Limits count the call before anybody is asked.
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`.

use std::sync::Arc;

use approvals::form::{self, Answered as Said};
use approvals::people;
use approvals::question::{Wanted, question};
use auth::{Approved, Asked, Refusal};
use base::digest::Digest;
use base::error::{ApprovalNeeded, CallError};
use base::reply;
use mcp::json;
use mcp::method::Kind;
use mcp::mrtr::{self, InputRequest, Retry};
use mcp::reject::Reject;
use mcp::version::Era;
use store::approvals::{Approval, Question, Standing};
use tokio::time::{Duration, Instant};

use super::desk::Desk;
use super::edit::Edit;
use super::filter::{Admit, Answered, At, Filter, Stage, Verdict};
use super::limits::Limiting;
use super::send::Sender;
use super::state::{Bond, Carried, Counted, Due, Proof, StateSeal};

mod waiting;
mod waits;

use self::waiting::ApprovalRounds;
pub(crate) use self::waits::Waits;

/// How long a modern client that says it has sent somebody to the page waits for the answer, before it is told to come again: shorter
/// than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// In how many ways at most one thing can be meant, each of which may have to be approved.
const MOST_SPELLINGS: usize = 4;

/// Has what policies of a route want to be approved, approved.
#[derive(Debug)]
pub(crate) struct Approvals {
    pub(crate) sender: Arc<Sender>,
    pub(crate) seals: Arc<StateSeal>,
    /// Where the pages of questions are for everybody outside, if anybody knows.
    pub(crate) pages: Option<Arc<str>>,
    /// The places of calls that wait.
    pub(crate) waits: Arc<Waits>,
    /// How much callers may take, if that is limited.
    pub(crate) limiting: Option<Arc<Limiting>>,
}

/// How a client is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// It answers a form itself.
    Form(InputRequest),
    /// It sends somebody to a page.
    Page(InputRequest),
    /// Not at all.
    None,
}

impl Way {
    /// How a client with these capabilities is asked.
    fn of(question: &Question, pages: Option<&str>, capabilities: &str) -> Self {
        let form = people::asks_the_caller(question).then(|| form::by_form(question));
        let can = |request: &InputRequest| request.lacks(capabilities).is_none();
        if let Some(form) = form.filter(can) {
            return Self::Form(form);
        }
        let page = page_of(question, pages).map(|url| form::by_url(question, &url));
        page.filter(can).map_or(Self::None, Self::Page)
    }
}

/// Where the page of a question is.
pub(crate) fn page_of(question: &Question, pages: Option<&str>) -> Option<String> {
    pages.map(|pages| format!("{pages}{}", question.id))
}

/// What a client is told that cannot be asked, or has nobody to answer in time.
pub(crate) fn needed(approval: &Approval, pages: Option<&str>) -> CallError {
    let question = &approval.question;
    CallError::ApprovalNeeded(Box::new(ApprovalNeeded {
        id: question.id.clone(),
        reason: question.reason.replace('\n', "; "),
        who: people::who(question),
        url: page_of(question, pages),
        open: approval.left(),
    }))
}

fn denied(question: &Question) -> CallError {
    CallError::ApprovalDenied { reason: question.reason.replace('\n', "; ") }
}

impl Filter for Approvals {
    fn stage(&self) -> Stage {
        Stage::Approval
    }

    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        let can_be_asked = at.call.method().is_some_and(|method| method.may_ask);
        if !can_be_asked {
            return Admit::PASS;
        }
        let approved = at.approved.map(|proof| &proof.approved);
        match self.sender.permit(at.call, at.target, at.caller, approved) {
            Err(CallError::Refused(Refusal::Approval(asked))) => Admit::Later(Box::pin(self.ask(at, *asked))),
            Ok(_) if at.call.continues() && approved.is_none() => Admit::Now(self.needless(at)),
            // What is denied is refused where it would be sent.
            _ => Admit::PASS,
        }
    }
}

impl Approvals {
    /// What a client brings back from a question that nobody asks any more goes no further.
    fn needless(&self, at: At<'_>) -> Result<Verdict, CallError> {
        let bond = Bond::new(&self.sender.route, &at.caller.principal, at.call, PATIENCE);
        match self.seals.carried(at.call, &bond, self.sender.world.clock.now())? {
            Carried::Question(_) => {
                Ok(Verdict::With { call: Some(Box::new(mrtr::bare(at.call)?)), edit: None })
            }
            _ => Ok(Verdict::Pass),
        }
    }

    async fn ask(&self, at: At<'_>, first: Asked) -> Result<Verdict, CallError> {
        let asked = self.all(at, first)?;
        let bond = Bond::new(&self.sender.route, &at.caller.principal, at.call, asked.lasts);
        let carried = match at.caller.era() {
            Era::Modern => self.seals.carried(at.call, &bond, self.sender.world.clock.now())?,
            Era::Legacy => Carried::Nothing,
        };
        match carried {
            // It was sent, and is open.
            Carried::Open => return Ok(Verdict::Pass),
            Carried::Approved { id, turn } => {
                let proof = Proof::new((asked.approved(), id), turn + 1, Due::GoOn(turn), Counted::Not);
                return Ok(Verdict::Approved { call: None, proof: Box::new(proof), edit: None });
            }
            _ => {}
        }
        // However it stands: whoever asks again and again is over a limit some time.
        let counted = match &self.limiting {
            Some(limiting) => limiting.count(at).await?,
            None => None,
        };
        let desk = Desk::new(&self.sender.world)?;
        let approval = desk.find(self.question(at, &asked)?).await?;
        let way = Way::of(&approval.question, self.pages.as_deref(), at.call.client().capabilities());
        let is_answer = matches!(&carried, Carried::Question(id) if *id == approval.question.id);
        let said = if is_answer { answer(at, &way)? } else { Said::Nothing };
        if said == Said::No {
            // Whatever somebody else has answered meanwhile.
            desk.take_back(&approval.question).await?;
            return Err(denied(&approval.question));
        }
        match (approval.standing, at.caller.era()) {
            (Standing::Approved, _) => goes(at, (&approval.question, Due::Use), counted),
            (Standing::Denied, _) => Err(denied(&approval.question)),
            (_, Era::Modern) => self.modern(at, (&desk, &approval), (way, said), (&bond, counted)).await,
            (_, Era::Legacy) => self.legacy(at, (desk, approval), way).await,
        }
    }

    async fn legacy(
        &self,
        at: At<'_>,
        (desk, approval): (Desk, Approval),
        way: Way,
    ) -> Result<Verdict, CallError> {
        let by_form = matches!(way, Way::Form(_));
        let (Way::Form(request) | Way::Page(request)) = way else {
            return Err(needed(&approval, self.pages.as_deref()));
        };
        let place = self.waits.take(&at.caller.principal).await?;
        let patience = at.target.member.upstream.plan().deadlines.input;
        let waiting = ApprovalRounds::new(
            (desk, Arc::clone(&self.waits)),
            (approval, self.pages.clone()),
            (Box::new(at.call.clone()), place),
            (request, by_form, patience),
        );
        Ok(Verdict::Answer(Box::new(Answered::Rounds(Box::new(waiting))), None))
    }

    /// All that is asked: a resource may be meant under another URI, too, and what stands behind that has to be approved with it.
    fn all(&self, at: At<'_>, first: Asked) -> Result<Asked, CallError> {
        let mut asked = first;
        for _ in 0..MOST_SPELLINGS {
            let approved = asked.approved();
            match self.sender.permit(at.call, at.target, at.caller, Some(&approved)) {
                Ok(_) if at.call.kind() == Kind::Resource => {
                    // Policies may have looked at what it means alone; what is approved is that it is read as it is written.
                    let uri = Digest::of(["uri", name_of(at)]);
                    return Ok(Asked { binding: format!("{} {uri}", asked.binding).into(), ..asked });
                }
                Ok(_) => return Ok(asked),
                Err(CallError::Refused(Refusal::Approval(other))) => asked = asked.with(*other),
                Err(error) => return Err(error),
            }
        }
        Err(CallError::Internal("what is to be approved has no end".to_owned()))
    }

    fn question(&self, at: At<'_>, asked: &Asked) -> Result<Question, CallError> {
        let upstream = &at.target.member.upstream;
        let wanted = Wanted {
            route: &self.sender.route,
            server: upstream.name(),
            method: at.call.method_name(),
            name: name_of(at),
            arguments: at.call.arguments(),
            principal: &at.caller.principal,
            claims: at.caller.claims.as_deref(),
            masks: &upstream.plan().masks,
        };
        Ok(question(asked, &wanted)?)
    }

    async fn modern(
        &self,
        at: At<'_>,
        (desk, approval): (&Desk, &Approval),
        (way, said): (Way, Said),
        (bond, counted): (&Bond, Option<Box<dyn Edit>>),
    ) -> Result<Verdict, CallError> {
        let question = &approval.question;
        let request = match (way, said) {
            (Way::None, _) => return Err(needed(approval, self.pages.as_deref())),
            (Way::Form(_), Said::Yes) => return goes(at, (question, Due::Approve), counted),
            (Way::Page(request), Said::Yes) => match self.visited(at, (desk, question)).await? {
                Some(Standing::Approved) => return goes(at, (question, Due::Use), counted),
                Some(Standing::Denied) => return Err(denied(question)),
                _ => request,
            },
            (Way::Form(request) | Way::Page(request), _) => request,
        };
        let named = format!(r#""approval":{}"#, json::quote(&question.id));
        let state = self.seals.state(bond, self.sender.world.clock.now(), &named)?;
        let message = reply::own_result(at.call.id(), &mrtr::ask(&[request], &state))?;
        Ok(Verdict::Answer(Box::new(Answered::Own(message)), None))
    }

    /// What has become of a question whose page is open, within a while. Who waits for it here already is enough, and one caller
    /// takes a few of the places of all calls; others hear at once that nobody has answered.
    async fn visited(
        &self,
        at: At<'_>,
        (desk, question): (&Desk, &Question),
    ) -> Result<Option<Standing>, CallError> {
        let Some(watching) = self.waits.watch(&at.caller.principal, &question.id) else { return Ok(None) };
        let decided = desk.decided(&question.id, Instant::now() + PATIENCE).await;
        drop(watching);
        decided
    }
}

/// The server's own name of what a call is about.
fn name_of<'a>(at: At<'a>) -> &'a str {
    let subject = || at.call.subject().map(|subject| &*subject.text);
    at.target.name.as_deref().or_else(subject).unwrap_or_default()
}

/// The call goes on as its client would have sent it first.
fn goes(
    at: At<'_>,
    (question, due): (&Question, Due),
    edit: Option<Box<dyn Edit>>,
) -> Result<Verdict, CallError> {
    // What we send again ourselves carries what its server has given.
    let is_retry = at.call.continues() && !at.call.is_again();
    let call = is_retry.then(|| mrtr::bare(at.call)).transpose()?.map(Box::new);
    let proof = Box::new(proof(question, due, Counted::Here));
    Ok(Verdict::Approved { call, proof, edit })
}

/// The proof that a question may be used.
fn proof(question: &Question, due: Due, counted: Counted) -> Proof {
    Proof::new((Approved::of(&question.binding), question.id.clone()), 1, due, counted)
}

/// What a retry answers.
fn answer(at: At<'_>, way: &Way) -> Result<Said, CallError> {
    let retry = Retry::read(at.call.params())
        .map_err(|fault| CallError::Reject(Reject::member("inputResponses", &fault)))?;
    Ok(form::answered(retry.response(form::KEY), matches!(way, Way::Form(_))))
}
