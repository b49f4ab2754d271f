//! Questions and their answers, as the store has them, with what is said of each in the log and counted.

use std::sync::Arc;

use base::error::CallError;
use base::expiry;
use base::metrics::Metrics;
use base::sink::{Event, Sinks, Untaken};
use base::world::World;
use store::approvals::{Approval, MOST_OF_ONE, Question, Standing};
use store::{Store, StoreFault};
use tokio::time::{Duration, Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::forward::state::{Due, Proof};

/// How often a question is looked at while somebody waits: whoever answers may do so in another process.
const PAUSE: Duration = Duration::from_millis(500);

/// Where questions are kept.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    sinks: Sinks,
}

fn away(fault: &StoreFault) -> CallError {
    CallError::store_away("an approval", fault)
}

/// Writes down what is due before a call of a principal is sent that was approved.
///
/// # Errors
/// When another was first, its time is over, or nothing can be written down. Then it is not to be sent.
pub(crate) async fn spend(world: &World, proof: &Proof, principal: &str) -> Result<(), CallError> {
    match proof.take_due() {
        Some(due) => Desk::new(world)?.settle(proof, due, principal).await,
        None => Ok(()),
    }
}

impl Desk {
    /// # Errors
    /// When nothing can be kept.
    pub(crate) fn new(world: &World) -> Result<Self, CallError> {
        let none = || CallError::StoreAway { what: "an approval", why: "there is no store".to_owned() };
        let store = world.store.clone().ok_or_else(none)?;
        Ok(Self { store, metrics: Arc::clone(&world.metrics), sinks: world.sinks.clone() })
    }

    async fn note(&self, id: &str, what: &'static str, by: &str) -> Result<(), CallError> {
        self.metrics.approval(what);
        tracing::info!(target: "portolan::audit", approval = id, by, "an approval is {what}");
        self.record(id, what, &[("by", by)]).await
    }

    /// Has it written down for good, if anything is, before anybody hears of it.
    ///
    /// # Errors
    /// When it cannot be written down.
    async fn record(
        &self,
        id: &str,
        what: &'static str,
        more: &[(&'static str, &str)],
    ) -> Result<(), CallError> {
        if self.sinks.examines().is_none() {
            return Ok(());
        }
        let told = [("approval", id), ("outcome", what)];
        let members = told.iter().chain(more).map(|(name, text)| (*name, (*text).to_owned())).collect();
        let mut taking = self.sinks.must_note(&Event { kind: "approval", members });
        taking.over().await.map_err(|Untaken| CallError::AuditUnavailable { sent: false })
    }

    /// The question that is open, or approved, or was denied by somebody else; or this one, which is opened.
    pub(crate) async fn find(&self, question: Question) -> Result<Approval, CallError> {
        if let Some(found) = self.standing(&question).await? {
            return Ok(found);
        }
        self.tell_over(&question.binding).await?;
        if self.store.ask_approval(&question).await.map_err(|fault| away(&fault))? {
            let [route, server, method, name] = &question.what;
            let (principal, policies) = (&question.principal, question.policies.replace('\n', ", "));
            tracing::info!(
                target: "portolan::audit",
                approval = question.id, principal, route, server, method, name, policies, "an approval is asked for"
            );
            self.metrics.approval("asked");
            let more = [
                ("principal", principal),
                ("route", route),
                ("server", server),
                ("method", method),
                ("name", name),
            ];
            let more = more.map(|(name, text)| (name, text.as_str()));
            let more = [&more[..], &[("policies", policies.as_str())]].concat();
            if let Err(error) = self.record(&question.id, "asked", &more).await {
                // Nobody is to answer what is in no record.
                self.store.take_back_approval(&question.id, principal).await.map_err(|fault| away(&fault))?;
                return Err(error);
            }
        }
        // Another may have opened it in the same moment.
        let full = || CallError::Overloaded { what: "open approvals".to_owned(), limit: MOST_OF_ONE };
        self.standing(&question).await?.ok_or_else(full)
    }

    /// A question that is over makes way for the next of its binding, and it is said that it is.
    async fn tell_over(&self, binding: &str) -> Result<(), CallError> {
        let told = expiry::tell(&self.store, &self.metrics, Some(binding)).await;
        told.map(drop).map_err(|fault| away(&fault))
    }

    async fn standing(&self, question: &Question) -> Result<Option<Approval>, CallError> {
        let found = self.store.approval_of(&question.binding).await.map_err(|fault| away(&fault))?;
        // Whoever has said no to its own call may be asked again.
        let is_taken_back = |found: &Approval| {
            found.standing == Standing::Denied && found.decided_by == found.question.principal
        };
        Ok(found.filter(|found| !is_taken_back(found)))
    }

    /// The question of that name.
    pub(crate) async fn read(&self, id: &str) -> Result<Option<Approval>, CallError> {
        self.store.approval(id).await.map_err(|fault| away(&fault))
    }

    /// Answers a question. Whether it was open. What could not be written down is not answered; and once it is answered, it is written
    /// down whether or not whoever asks for it is still there.
    pub(crate) async fn decide(
        &self,
        tasks: &TaskTracker,
        id: &str,
        approves: bool,
        by: &str,
    ) -> Result<bool, CallError> {
        if self.sinks.refuse() {
            return Err(CallError::AuditUnavailable { sent: false });
        }
        let (desk, id, by) = (self.clone(), id.to_owned(), by.to_owned());
        let deciding = tasks.spawn(async move { desk.settle_answer(&id, approves, &by).await });
        deciding.await.unwrap_or_else(|fault| Err(CallError::Internal(format!("an approval: {fault}"))))
    }

    async fn settle_answer(&self, id: &str, approves: bool, by: &str) -> Result<bool, CallError> {
        let is_decided = self.store.decide_approval(id, approves, by).await.map_err(|fault| away(&fault))?;
        if is_decided {
            self.note(id, if approves { "approved" } else { "denied" }, by).await?;
        }
        Ok(is_decided)
    }

    /// Takes a question back for who wants it, even if it is approved.
    pub(crate) async fn take_back(&self, question: &Question) -> Result<(), CallError> {
        let (id, principal) = (&question.id, &question.principal);
        if self.store.take_back_approval(id, principal).await.map_err(|fault| away(&fault))? {
            self.note(id, "denied", principal).await?;
        }
        Ok(())
    }

    async fn settle(&self, proof: &Proof, due: Due, principal: &str) -> Result<(), CallError> {
        let (id, binding) = (proof.id.as_str(), proof.approved.binding());
        let used = match due {
            Due::Use => self.store.use_approval(id, &binding).await,
            Due::Approve => {
                let by = self.store.approve_and_use(id, &binding, principal).await;
                let by = by.map_err(|fault| away(&fault))?;
                if by.as_deref() == Some(principal) {
                    self.note(id, "approved", principal).await?;
                }
                Ok(by.is_some())
            }
            Due::GoOn(turn) => return self.go_on(id, &binding, turn).await,
        };
        if !used.map_err(|fault| away(&fault))? {
            return Err(CallError::RequestState("what was approved was used before, or its time is over"));
        }
        self.metrics.approval("used");
        // An operator decides elsewhere, where this log is not written.
        let decided_by = self.read(id).await.ok().flatten().map(|found| found.decided_by).unwrap_or_default();
        tracing::info!(target: "portolan::audit", approval = id, by = principal, decided_by, "an approval is used");
        self.record(id, "used", &[("by", principal), ("decidedBy", &decided_by)]).await
    }

    /// A call that was approved goes on with what its server has asked for.
    async fn go_on(&self, id: &str, binding: &str, turn: i64) -> Result<(), CallError> {
        if self.store.go_on_approved(id, binding, turn).await.map_err(|fault| away(&fault))? {
            return Ok(());
        }
        Err(CallError::RequestState("what was approved went on before, or is another call"))
    }

    /// How it stands with a question. Of one that is over it is said that it is.
    pub(crate) async fn standing_of(&self, id: &str) -> Result<Standing, CallError> {
        let Some(found) = self.read(id).await? else { return Ok(Standing::Expired) };
        if found.standing == Standing::Expired {
            self.tell_over(&found.question.binding).await?;
        }
        Ok(found.standing)
    }

    /// Waits until somebody has answered, or for so long: nothing as long as nobody has. Cancel safe.
    pub(crate) async fn decided(&self, id: &str, until: Instant) -> Result<Option<Standing>, CallError> {
        loop {
            let standing = self.standing_of(id).await?;
            if standing != Standing::Pending {
                return Ok(Some(standing));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }
}
