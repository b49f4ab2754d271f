//! What a principal may see of what servers have.

use std::sync::Arc;

use crate::action::Action;
use crate::testing::Denied;

/// What one principal may see: which entries its lists have, which names lead to anything, and which changes it hears of.
///
/// It is what the gate says at one moment, and does not change: what was made under a view stays true under it.
#[derive(Debug, Clone)]
pub struct View(Sight);

#[derive(Debug, Clone)]
enum Sight {
    Everything,
    Without(Arc<Denied>),
}

/// Stands for a view in the keys of caches: views of one id show the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewId(Option<Arc<str>>);

impl View {
    /// The view of those who may see everything.
    pub(crate) fn everything() -> Self {
        Self(Sight::Everything)
    }

    pub(crate) fn without(denied: Arc<Denied>) -> Self {
        Self(Sight::Without(denied))
    }

    /// What caches know it by. That of everything costs nothing.
    #[must_use]
    pub fn id(&self) -> ViewId {
        match &self.0 {
            Sight::Everything => ViewId(None),
            Sight::Without(denied) => ViewId(Some(denied.id())),
        }
    }

    /// Whether nothing is hidden, so that nobody need ask for each thing.
    #[must_use]
    pub fn shows_everything(&self) -> bool {
        matches!(self.0, Sight::Everything)
    }

    /// Whether it shows what the action is about: whoever may do it at all, whatever the arguments, may know of it.
    #[must_use]
    pub fn shows(&self, action: &Action<'_>) -> bool {
        match &self.0 {
            Sight::Everything => true,
            Sight::Without(denied) => !denied.covers(action),
        }
    }
}
