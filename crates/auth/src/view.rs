//! What a principal may see of what servers have.

use std::fmt;
use std::sync::Arc;

use crate::action::Action;
use crate::testing::Denied;

/// What one principal may see: which entries its lists have, which names lead to anything, and which changes it hears of.
///
/// It is what the gate says at one moment, and does not change: what was made under a view stays true under it.
#[derive(Debug, Clone)]
pub struct View {
    sight: Sight,
    /// What makes it narrower: who decides, and what credentials are good for.
    decided: Option<Arc<dyn Narrow>>,
    narrowed: Option<Arc<dyn Narrow>>,
}

/// What makes a view narrower. It does not change, either.
pub trait Narrow: fmt::Debug + Send + Sync {
    /// Stands for it in the keys of caches: what has the same shows the same.
    fn id(&self) -> Arc<str>;
    /// Whether what the action is about is shown.
    fn shows(&self, action: &Action<'_>) -> bool;
}

#[derive(Debug, Clone)]
enum Sight {
    Everything,
    Without(Arc<Denied>),
}

/// Stands for a view in the keys of caches: views of one id show the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewId(Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

impl View {
    /// The view of those who may see everything.
    pub(crate) fn everything() -> Self {
        Self { sight: Sight::Everything, decided: None, narrowed: None }
    }

    pub(crate) fn without(denied: Arc<Denied>) -> Self {
        Self { sight: Sight::Without(denied), decided: None, narrowed: None }
    }

    /// The same, of which only that is shown which whoever decides shows, too.
    pub(crate) fn decided(self, by: Arc<dyn Narrow>) -> Self {
        Self { decided: Some(by), ..self }
    }

    /// The same, of which only that is shown which this shows, too.
    #[must_use]
    pub fn narrowed(self, by: Arc<dyn Narrow>) -> Self {
        Self { narrowed: Some(by), ..self }
    }

    /// What caches know it by. That of everything costs nothing.
    #[must_use]
    pub fn id(&self) -> ViewId {
        let denied = match &self.sight {
            Sight::Everything => None,
            Sight::Without(denied) => Some(denied.id()),
        };
        ViewId(denied, self.decided.as_ref().map(|by| by.id()), self.narrowed.as_ref().map(|by| by.id()))
    }

    /// Whether nothing is hidden, so that nobody need ask for each thing.
    #[must_use]
    pub fn shows_everything(&self) -> bool {
        matches!(self.sight, Sight::Everything) && self.decided.is_none() && self.narrowed.is_none()
    }

    /// Whether it shows what the action is about: whoever may do it at all, whatever the arguments, may know of it.
    #[must_use]
    pub fn shows(&self, action: &Action<'_>) -> bool {
        let is_in_sight = match &self.sight {
            Sight::Everything => true,
            Sight::Without(denied) => !denied.covers(action),
        };
        let mut narrow = self.decided.iter().chain(&self.narrowed);
        is_in_sight && narrow.all(|by| by.shows(action))
    }
}
