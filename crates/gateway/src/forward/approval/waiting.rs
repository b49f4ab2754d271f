//! A legacy client's call that waits for an approval: its client is asked on the stream of the call, and the call goes on.

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

use super::waits::{StreamPlace, Waits};
use super::{Way, denied, needed, proof};
use crate::forward::desk::Desk;
use crate::forward::questions::{self, Asking};
use crate::forward::round::{Rounds, Waited};
use crate::forward::state::{Counted, Due, Proof};

/// Waits for the approval of a call.
pub(crate) struct ApprovalRounds {
    desk: Desk,
    waits: Arc<Waits>,
    approval: Arc<Approval>,
    pages: Option<Arc<str>>,
    /// The call, until it goes on.
    call: Option<Box<Call>>,
    doing: ApprovalStep,
    by_form: bool,
    /// Ids of elicitations by URL, which end with the call.
    urls: Vec<String>,
    until: Instant,
    patience: Duration,
    _place: StreamPlace,
}

/// What it does now. Who waits may be dropped and ask again, so what is under way is kept here.
enum ApprovalStep {
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
        (call, way, place): (Box<Call>, Way, StreamPlace),
        patience: Duration,
    ) -> Self {
        let by_form = matches!(way, Way::Form(_));
        let approval = Arc::new(approval);
        let until = Instant::now() + patience;
        let doing = match way {
            Way::Form(request) | Way::Page(request) => ApprovalStep::Asking(request),
            Way::None => ApprovalStep::Deciding(somebody((&desk, &waits), &approval, (pages.clone(), until))),
        };
        let urls = Vec::new();
        let call = Some(call);
        Self { desk, waits, approval, pages, call, doing, by_form, urls, until, patience, _place: place }
    }

    /// Waits for the next thing. Cancel safe.
    async fn next(&mut self, asking: &mut Asking) -> Result<Waited, CallError> {
        let refused = |why: String| CallError::InputRefused { why };
        loop {
            match &mut self.doing {
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
    fn decide(&self, said: Said) -> BoxFuture<'static, Result<Proof, CallError>> {
        let (desk, approval, by_form) = (self.desk.clone(), Arc::clone(&self.approval), self.by_form);
        if said == Said::Yes && !by_form {
            return somebody((&desk, &self.waits), &approval, (self.pages.clone(), self.until));
        }
        Box::pin(async move {
            let question = &approval.question;
            if said == Said::Yes {
                return Ok(proof(question, Due::Approve, Counted::Before));
            }
            desk.take_back(question).await?;
            Err(denied(question))
        })
    }
}

/// Waits for somebody else.
fn somebody(
    (desk, waits): (&Desk, &Arc<Waits>),
    approval: &Arc<Approval>,
    (pages, until): (Option<Arc<str>>, Instant),
) -> BoxFuture<'static, Result<Proof, CallError>> {
    let (desk, waits, approval) = (desk.clone(), Arc::clone(waits), Arc::clone(approval));
    Box::pin(async move {
        let question = &approval.question;
        // Another call of its caller that waits for the same is enough: one of them can go.
        let Some(_watching) = waits.watch_from_stream(&question.id) else {
            return Err(needed(&approval, pages.as_deref()));
        };
        match desk.decided(&question.id, until).await? {
            Some(Standing::Approved) => Ok(proof(question, Due::Use, Counted::Before)),
            Some(Standing::Denied) => Err(denied(question)),
            None | Some(Standing::Pending) => Err(needed(&approval, pages.as_deref())),
            // There is nobody to ask any more about that question.
            Some(standing @ (Standing::Used | Standing::Expired)) => {
                let why = format!("the approval of this call is {}: make it again", standing.word());
                Err(CallError::InputRefused { why })
            }
        }
    })
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
