//! That a task is over is written down when it is seen for the first time: nobody tells us, and its client may ask again and again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use base::detail;
use base::digest::Digest;
use base::sink::{Event, Sinks};
use base::sync::lock;
use mcp::legacy::tasks::Status;

/// So many ends of tasks are remembered; one that is older may be written down twice.
const MOST: usize = 16 * 1024;

/// The ends of tasks that were written down.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<(HashSet<Digest>, VecDeque<Digest>)>);

impl Seen {
    /// Whether it was not seen before.
    fn is_new(&self, task: Digest) -> bool {
        let (known, order) = &mut *lock(&self.0);
        if !known.insert(task) {
            return false;
        }
        order.push_back(task);
        if order.len() > MOST
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }
}

/// Has it written down what becomes of one task.
#[derive(Debug, Clone)]
pub(super) struct Tells {
    sinks: Sinks,
    seen: Arc<Seen>,
    principal: String,
    server: String,
    route: String,
    /// Stands for the server's own name of the task, which may be all that it takes to read it.
    task: String,
}

impl Tells {
    /// Nothing where nothing is written down.
    pub(super) fn new(
        sinks: &Sinks,
        seen: &Arc<Seen>,
        (principal, server, route): (&str, &str, &str),
        own: &str,
    ) -> Option<Box<Self>> {
        let task = detail::keyed(&sinks.examines()?.digest(own.as_bytes()));
        let [principal, server, route] = [principal, server, route].map(str::to_owned);
        Some(Box::new(Self { sinks: sinks.clone(), seen: Arc::clone(seen), principal, server, route, task }))
    }

    /// It was seen to be over.
    pub(super) fn over(&self, status: Status) {
        // Two servers, and two callers, may have tasks of one name.
        let of = Digest::of([self.server.as_bytes(), self.principal.as_bytes(), self.task.as_bytes()]);
        if !self.seen.is_new(of) {
            return;
        }
        let members = vec![
            ("task", self.task.clone()),
            ("outcome", status.name().to_owned()),
            ("principal", self.principal.clone()),
            ("route", self.route.clone()),
            ("server", self.server.clone()),
        ];
        self.sinks.note(&Event { kind: "task", members });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_new_once_and_what_is_remembered_is_bounded() {
        let seen = Seen::default();
        let task = |number: usize| Digest::of([number.to_string()]);
        assert!(seen.is_new(task(0)) && !seen.is_new(task(0)));
        (1..=MOST).for_each(|number| assert!(seen.is_new(task(number))));
        assert!(seen.is_new(task(0)) && !seen.is_new(task(MOST)));
        assert_eq!(lock(&seen.0).0.len(), MOST);
    }
}
