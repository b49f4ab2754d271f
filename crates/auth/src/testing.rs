//! A gate for tests: all clients are one principal, who is denied what a test says. No configuration leads to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::action::Action;
use crate::principal::Principal;

/// What is denied now. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<Arc<Denied>>>);

/// What is denied at one moment: upstreams, wholly or a thing of theirs by its own name.
#[derive(Debug, Clone, Default)]
pub struct Denied(BTreeSet<(String, Option<String>)>);

/// Who all clients are.
pub(crate) fn client() -> Principal {
    Principal::named("tester")
}

impl Denials {
    /// Denies all that an upstream has, or what has that name there.
    pub fn deny(&self, upstream: &str, name: Option<&str>) {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut *denied).0.insert((upstream.to_owned(), name.map(str::to_owned)));
    }

    /// What a principal is denied; nothing to Portolan itself, which is nobody in particular.
    pub(crate) fn of(&self, principal: &Principal) -> Option<Arc<Denied>> {
        let denied = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (*principal == client()).then_some(denied)
    }
}

impl Denied {
    pub(crate) fn covers(&self, action: &Action<'_>) -> bool {
        let mine = self.0.iter().filter(|(upstream, _)| **upstream == **action.upstream);
        mine.into_iter().any(|(_, name)| name.is_none() || name.as_deref() == action.name)
    }

    pub(crate) fn id(&self) -> Arc<str> {
        format!("{:?}", self.0).into()
    }
}
