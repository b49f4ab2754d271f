//! Where the records of calls go: metrics, and whatever else wants to know of each call that is over.

use std::borrow::Cow;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use auth::Principal;

use crate::detail::{Detail, Examine};
use crate::metrics::Metrics;
use crate::traces::Traces;

/// What is known of a call, or of another request, that is over.
#[derive(Debug)]
pub struct CallFacts {
    /// Who has made it.
    pub principal: Principal,
    /// The name of the server that it went to; empty if that was none in particular.
    pub upstream: Arc<str>,
    /// The method, as far as it is one that is known.
    pub method: Cow<'static, str>,
    /// How it ended: `ok`, `error` (the server's own), `input_required`, `cancelled`, or the label of an error of ours
    /// (docs/reference/errors.md).
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What else is known, where some sink wants it ([`Sink::examines`]).
    pub detail: Option<Box<Detail>>,
}

/// Another thing that happens, than a call: for those sinks that keep records of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is a record of: `login`, `approval`, `configuration`, `session`, `task`, `key`, `pin`.
    pub kind: &'static str,
    /// The members of its record.
    pub members: Vec<(&'static str, String)>,
}

/// No record could be taken: nobody can say later that this was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untaken;

/// Done when a sink has taken a record.
pub type WhenTaken = Pin<Box<dyn Future<Output = Result<(), Untaken>> + Send>>;

/// Whether a sink has taken a record.
#[expect(missing_debug_implementations, reason = "a future has nothing to show")]
pub enum Accept {
    /// It has.
    Now,
    /// It has what it needs of it, whether or not anybody waits, and will have taken it when this is done.
    Later(WhenTaken),
}

/// Takes the record of each call that is over. The last thing of a call leaves when all sinks have taken it.
pub trait Sink: Send + Sync + Debug {
    /// Takes a record.
    fn accept(&self, facts: &CallFacts) -> Accept;

    /// Takes what is no call. Nobody waits for it.
    fn note(&self, _event: Event) {}

    /// Takes what is no call, and may not be left out: somebody waits for it before anybody hears of what has happened.
    fn must_note(&self, event: Event) -> Accept {
        self.note(event);
        Accept::Now
    }

    /// Who looks at texts for it, if it wants more than what is counted.
    fn examines(&self) -> Option<Arc<dyn Examine>> {
        None
    }

    /// Who follows calls for it while they go on, if it wants that.
    fn traces(&self) -> Option<Arc<dyn Traces>> {
        None
    }

    /// Whether it ever refuses calls ([`Self::refuse`]).
    fn guards(&self) -> bool {
        false
    }

    /// Whether a new call is to be refused, because its record could not be taken. It counts those.
    fn refuse(&self) -> bool {
        false
    }

    /// What is amiss with it, for `/readyz`: a sentence without secrets.
    fn amiss(&self) -> Option<String> {
        None
    }
}

impl Sink for Metrics {
    fn accept(&self, facts: &CallFacts) -> Accept {
        self.call(&facts.upstream, &facts.method, facts.outcome, facts.took);
        Accept::Now
    }
}

/// All sinks of one process.
#[derive(Debug, Clone)]
pub struct Sinks {
    all: Arc<[Arc<dyn Sink>]>,
    examines: Option<Arc<dyn Examine>>,
    traces: Option<Arc<dyn Traces>>,
    guards: bool,
}

impl Sinks {
    /// These, in this order.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Sink>>) -> Self {
        let examines = all.iter().find_map(|sink| sink.examines());
        let traces = all.iter().find_map(|sink| sink.traces());
        Self { guards: all.iter().any(|sink| sink.guards()), examines, traces, all: all.into() }
    }

    /// The metrics alone.
    #[must_use]
    pub fn counting(metrics: &Arc<Metrics>) -> Self {
        Self::new(vec![Arc::clone(metrics) as Arc<dyn Sink>])
    }

    /// The same and another one.
    #[must_use]
    pub fn with(&self, sink: Arc<dyn Sink>) -> Self {
        Self::new(self.all.iter().cloned().chain([sink]).collect())
    }

    /// Who looks at texts, if any of them wants more than what is counted.
    #[must_use]
    pub fn examines(&self) -> Option<&Arc<dyn Examine>> {
        self.examines.as_ref()
    }

    /// Who follows calls while they go on, if any of them wants that.
    #[must_use]
    pub fn traces(&self) -> Option<&Arc<dyn Traces>> {
        self.traces.as_ref()
    }

    /// Whether a new call is to be refused, because its record could not be taken.
    #[must_use]
    pub fn refuse(&self) -> bool {
        self.guards && self.all.iter().any(|sink| sink.refuse())
    }

    /// What is amiss with any of them.
    #[must_use]
    pub fn amiss(&self) -> Option<String> {
        if self.guards { self.all.iter().find_map(|sink| sink.amiss()) } else { None }
    }

    /// Tells all of them of what is no call.
    pub fn note(&self, event: &Event) {
        self.all.iter().for_each(|sink| sink.note(event.clone()));
    }

    /// The same of what nobody may hear of before it is taken.
    pub fn must_note(&self, event: &Event) -> Taking {
        let mut taking = Vec::new();
        for sink in &*self.all {
            if let Accept::Later(taken) = sink.must_note(event.clone()) {
                taking.push(taken);
            }
        }
        Taking(taking)
    }

    /// Gives a record to all of them. Those that take their time are to be waited for.
    pub fn tell(&self, facts: &CallFacts) -> Taking {
        let mut taking = Vec::new();
        for sink in &*self.all {
            if let Accept::Later(taken) = sink.accept(facts) {
                taking.push(taken);
            }
        }
        Taking(taking)
    }
}

/// The sinks that have not taken a record yet.
#[derive(Default)]
#[must_use = "the last thing of a call leaves when its record is taken"]
pub struct Taking(Vec<WhenTaken>);

impl Taking {
    /// Whether all of them have.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all of them have. Cancel safe.
    ///
    /// # Errors
    /// When one of them cannot.
    pub async fn over(&mut self) -> Result<(), Untaken> {
        while let Some(last) = self.0.last_mut() {
            last.as_mut().await?;
            self.0.pop();
        }
        Ok(())
    }
}

impl Debug for Taking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Taking").field(&self.0.len()).finish()
    }
}
