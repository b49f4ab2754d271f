//! Places among the calls of a tool at once that tasks hold: a call that became a task has its answer, and is under way until its task
//! is over. When that is, is known by what passes about the task. What nobody hears of is under way for so long as a call may be silent: how
//! long a task is kept its client chooses, or its server, and neither may take a place from others for a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use auth::Principal;
use base::digest::Digest;
use base::owned_task::OwnedTask;
use base::plan::SessionRule;
use base::sync::lock;
use catalog::Target;
use catalog::caller::Caller;
use limits::Held;
use tokio::time::{Duration, sleep};

/// So many are held at once; there are bounds to each limit, but not to how many callers are counted by it.
const MOST: usize = 65_536;

/// The places that tasks hold.
#[derive(Debug, Default)]
pub(crate) struct Outlasting(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Sessions of one caller may know several tasks under one name.
    by: HashMap<Arc<TaskOf>, Vec<Lasting>>,
    count: usize,
    number: u64,
}

/// A task, as its server knows it, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TaskOf {
    server: String,
    principal: Principal,
    /// The caller's session, where each has one with the server.
    session: Option<Arc<str>>,
    /// Stands for the server's own name of it, which may be long.
    task: Digest,
}

impl TaskOf {
    pub(crate) fn new((caller, target): (&Caller, &Target<'_>), task: &str) -> Self {
        let upstream = &target.member.upstream;
        let own = upstream.plan().sessions == SessionRule::PerClient;
        Self {
            server: upstream.name().to_owned(),
            principal: caller.principal.clone(),
            session: caller.session.clone().filter(|_| own),
            task: Digest::of([task]),
        }
    }

    /// Another one of the same caller at the same server.
    pub(crate) fn called(&self, task: &str) -> Self {
        Self { task: Digest::of([task]), ..self.clone() }
    }
}

#[derive(Debug)]
struct Lasting {
    number: u64,
    _held: Held,
    _ending: OwnedTask,
}

impl Outlasting {
    /// A task holds a place from now on, for so long at most. Beyond the bound, it holds none.
    pub(crate) fn hold(self: &Arc<Self>, task: TaskOf, held: Held, lasts: Duration) {
        let (task, here) = (Arc::new(task), Arc::downgrade(self));
        let mut places = lock(&self.0);
        if places.count >= MOST {
            return;
        }
        places.number += 1;
        places.count += 1;
        let number = places.number;
        let ending = OwnedTask::spawn(end_late(here, Arc::clone(&task), number, lasts));
        places.by.entry(task).or_default().push(Lasting { number, _held: held, _ending: ending });
    }

    /// A task of that name is over.
    pub(crate) fn over(&self, task: &TaskOf) {
        self.give_back(task, None);
    }

    fn give_back(&self, task: &TaskOf, number: Option<u64>) {
        let mut places = lock(&self.0);
        let Some(held) = places.by.get_mut(task) else { return };
        // Of several nobody knows which one it is.
        let found = held.iter().position(|one| number.is_none_or(|number| one.number == number));
        let given = found.map(|at| held.swap_remove(at));
        if held.is_empty() {
            places.by.remove(task);
        }
        places.count -= usize::from(given.is_some());
        drop(places);
        drop(given);
    }
}

/// Nobody has seen the end of a task.
async fn end_late(places: Weak<Outlasting>, task: Arc<TaskOf>, number: u64, lasts: Duration) {
    sleep(lasts).await;
    if let Some(places) = places.upgrade() {
        places.give_back(&task, Some(number));
    }
}
