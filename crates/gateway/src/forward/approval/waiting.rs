//! A legacy client's call that waits for an approval: its client is asked on the stream of the call, and the call goes on.
//!
//! To a page it is sent by one call alone of all that want the same: one that is made again meanwhile waits for what comes of that.
//! There are pages only where it is known who calls, so that nobody waits for another caller's client.

use std::fmt;
use std::sync::Arc;

use approvals::form::{self, Answered as Said};
use base::error::CallError;
use futures_util::future::BoxFuture;
use mcp::call::Call;
use mcp::jsonrpc::Message;
use mcp::mrtr::InputRequest;
use store::approvals::{Approval, Standing};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout_at};

use super::waits::{StreamPlace, Waits, Watching};
use super::{denied, needed, proof};
use crate::forward::desk::Desk;
use crate::forward::questions::{self, Asking};
use crate::forward::round::{Rounds, Waited};
use crate::forward::state::{Counted, Due, Proof};

/// Waits for the approval of a call.
pub(crate) struct ApprovalRounds {
    desk: Desk,
    approval: Arc<Approval>,
    pages: Option<Arc<str>>,
    /// The call, until it goes on.
    call: Option<Box<Call>>,
    doing: ApprovalStep,
    by_form: bool,
    /// Its client is the one that is sent to the page.
    watching: Option<Watching>,
    /// Ids of elicitations by URL, which end with the call.
    urls: Vec<String>,
    until: Instant,
    patience: Duration,
    _place: StreamPlace,
}

/// What it does now. Who waits may be dropped and ask again, so what is under way is kept here.
enum ApprovalStep {
    /// Another call has sent its client to the page, and is waited for: what has become of the question, and the page, if it is
    /// still to be answered.
    Following(BoxFuture<'static, Result<(Standing, Watching), CallError>>, InputRequest),
    /// The client is to be asked.
    Asking(InputRequest),
    /// It was asked.
    Asked(InputRequest, oneshot::Receiver<Message>),
    /// It is written down, or somebody else is waited for.
    Deciding(BoxFuture<'static, Result<Proof, CallError>>),
}

impl ApprovalRounds {
    pub(super) fn new(
        (desk, waits): (Desk, Arc<Waits>),
        (approval, pages): (Approval, Option<Arc<str>>),
        (call, place): (Box<Call>, StreamPlace),
        (request, by_form, patience): (InputRequest, bool, Duration),
    ) -> Self {
        let approval = Arc::new(approval);
        let until = Instant::now() + patience;
        let watching = if by_form { None } else { waits.watch_from_stream(&approval.question.id) };
        let doing = if by_form || watching.is_some() {
            ApprovalStep::Asking(request)
        } else {
            let next = next((desk.clone(), waits), Arc::clone(&approval), (pages.clone(), until));
            ApprovalStep::Following(Box::pin(next), request)
        };
        let (call, urls) = (Some(call), Vec::new());
        Self { desk, approval, pages, call, doing, by_form, watching, urls, until, patience, _place: place }
    }

    /// Waits for the next thing. Cancel safe.
    async fn next(&mut self, asking: &mut Asking) -> Result<Waited, CallError> {
        let refused = |why: String| CallError::InputRefused { why };
        loop {
            match &mut self.doing {
                ApprovalStep::Following(next, request) => {
                    let (standing, watching) = next.await?;
                    let request = request.clone();
                    if standing == Standing::Pending {
                        // Whoever was asked is gone.
                        self.watching = Some(watching);
                        self.doing = ApprovalStep::Asking(request);
                        continue;
                    }
                    let decided = decided(&self.approval, self.pages.as_deref(), Some(standing));
                    self.doing = ApprovalStep::Deciding(Box::pin(std::future::ready(decided)));
                }
                ApprovalStep::Asking(request) => {
                    let (mut requests, mut urls) = questions::aged(vec![request.clone()])
                        .map_err(|fault| CallError::Internal(fault.to_string()))?;
                    let Some(request) = requests.pop() else {
                        return Err(CallError::Internal("nothing is asked".to_owned()));
                    };
                    let (text, answer) = asking
                        .ask(&request)
                        .ok_or_else(|| refused("the client is asked too much at once".to_owned()))?;
                    self.urls.append(&mut urls);
                    self.doing = ApprovalStep::Asked(request, answer);
                    return Ok(Waited::Ask(text));
                }
                ApprovalStep::Asked(request, answer) => {
                    let response = match timeout_at(self.until, answer).await {
                        Ok(Ok(response)) => response,
                        Ok(Err(_gone)) => return Err(refused("the client's session has ended".to_owned())),
                        Err(_elapsed) => {
                            tracing::debug!(
                                approval = self.approval.question.id,
                                "the client did not answer within {:?}",
                                self.patience
                            );
                            return Err(needed(&self.approval, self.pages.as_deref()));
                        }
                    };
                    let result = questions::result_of(request, &response).map_err(refused)?;
                    let said = form::answered(Some(&result), self.by_form);
                    self.doing = ApprovalStep::Deciding(self.decide(said));
                }
                ApprovalStep::Deciding(decision) => {
                    let proof = decision.await?;
                    let again = || CallError::Internal("a call has gone on already".to_owned());
                    let call = self.call.take().ok_or_else(again)?;
                    return Ok(Waited::Goes(call, Box::new(proof)));
                }
            }
        }
    }

    /// What comes of the client's answer.
    fn decide(&mut self, said: Said) -> BoxFuture<'static, Result<Proof, CallError>> {
        let (desk, approval, by_form) = (self.desk.clone(), Arc::clone(&self.approval), self.by_form);
        let watching = self.watching.take();
        if said == Said::Yes && !by_form {
            return Box::pin(somebody((desk, watching), approval, (self.pages.clone(), self.until)));
        }
        Box::pin(async move {
            let _watching = watching;
            let question = &approval.question;
            if said == Said::Yes {
                return Ok(proof(question, Due::Approve, Counted::Before));
            }
            desk.take_back(question).await?;
            Err(denied(question))
        })
    }
}

/// Waits until whoever was sent to the page by another call has an answer, or is gone.
async fn next(
    (desk, waits): (Desk, Arc<Waits>),
    approval: Arc<Approval>,
    (pages, until): (Option<Arc<str>>, Instant),
) -> Result<(Standing, Watching), CallError> {
    let question = &approval.question;
    let watching = timeout_at(until, waits.watch_next(&question.id)).await;
    let watching = watching.map_err(|_elapsed| needed(&approval, pages.as_deref()))?;
    Ok((desk.standing_of(&question.id).await?, watching))
}

/// Waits for somebody else.
async fn somebody(
    (desk, watching): (Desk, Option<Watching>),
    approval: Arc<Approval>,
    (pages, until): (Option<Arc<str>>, Instant),
) -> Result<Proof, CallError> {
    let _watching = watching;
    let standing = desk.decided(&approval.question.id, until).await?;
    decided(&approval, pages.as_deref(), standing)
}

/// What comes of what somebody has answered, if anybody has.
fn decided(approval: &Approval, pages: Option<&str>, standing: Option<Standing>) -> Result<Proof, CallError> {
    let question = &approval.question;
    match standing {
        Some(Standing::Approved) => Ok(proof(question, Due::Use, Counted::Before)),
        Some(Standing::Denied) => Err(denied(question)),
        None | Some(Standing::Pending) => Err(needed(approval, pages)),
        // There is nobody to ask any more about that question.
        Some(standing @ (Standing::Used | Standing::Expired)) => {
            let why = format!("the approval of this call is {}: make it again", standing.word());
            Err(CallError::InputRefused { why })
        }
    }
}

impl Rounds for ApprovalRounds {
    fn next<'a>(&'a mut self, asking: &'a mut Asking) -> BoxFuture<'a, Result<Waited, CallError>> {
        Box::pin(self.next(asking))
    }

    fn leave(&self) -> Option<CallError> {
        Some(needed(&self.approval, self.pages.as_deref()))
    }

    fn urls(&mut self) -> &mut Vec<String> {
        &mut self.urls
    }
}

impl fmt::Debug for ApprovalRounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalRounds").field("approval", &self.approval.question.id).finish_non_exhaustive()
    }
}
