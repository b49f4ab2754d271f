//! Who you are, and whether you may. A [`Permit`] is made only here, and nothing is sent to a server without one.
//!
//! There are two gates. Behind the open one every client is the anonymous principal, which is why a listener beyond loopback
//! warns. The other lets in whom somebody identifies ([`Identify`]), and nobody else. What those may do who are let in is
//! decided by whoever is set to ([`Decide`]): what is not allowed is denied, and what may not be used is not seen ([`View`]).
//! Where nobody is, it is everything that the configuration exposes.

use std::sync::Arc;

mod action;
mod allowance;
pub mod approval;
mod claims;
mod decide;
pub mod definition;
mod identify;
mod principal;
mod refusal;
mod said_claim;
#[doc(hidden)]
pub mod testing;
mod view;

pub use self::action::{Action, Known};
pub use self::allowance::Allowance;
pub use self::approval::{Approved, Approver, Asked};
pub use self::claims::Claims;
pub use self::decide::{Decide, Decision, Nothing};
pub use self::identify::{Identified, Identify};
pub use self::principal::{Connection, Credentials, Identity, Peer, Principal};
pub use self::refusal::{Refusal, Why};
pub use self::said_claim::SaidClaim;
pub use self::view::{Narrow, View, ViewId};

/// Decides. Decisions are pure functions of principal and action.
#[derive(Debug, Clone)]
pub struct Gate {
    rules: Rules,
    /// Who decides what those may do who are let in. Without it, everything that the configuration exposes.
    decides: Option<Arc<dyn Decide>>,
}

#[derive(Debug, Clone)]
enum Rules {
    Open,
    Identified(Arc<dyn Identify>),
    Testing(testing::Denials),
}

impl Gate {
    /// The gate of an endpoint without identity.
    #[must_use]
    pub fn open() -> Self {
        Self { rules: Rules::Open, decides: None }
    }

    /// A gate that lets in whom this identifies.
    #[must_use]
    pub fn of(identify: Arc<dyn Identify>) -> Self {
        Self { rules: Rules::Identified(identify), decides: None }
    }

    /// A gate that denies what a test says.
    #[doc(hidden)]
    #[must_use]
    pub fn testing(denials: &testing::Denials) -> Self {
        Self { rules: Rules::Testing(denials.clone()), decides: None }
    }

    /// The same, where this decides what those may do who are let in.
    #[must_use]
    pub fn deciding(self, decides: Option<Arc<dyn Decide>>) -> Self {
        Self { decides, ..self }
    }

    /// Whether something may have to be approved first.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.decides.as_ref().is_some_and(|decides| decides.asks())
    }

    /// Whether somebody decides by what is known of an action.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.decides.is_some()
    }

    /// Whether what nobody may use is to its caller as if it were not there. Else it is refused, and said why.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.decides.as_ref().is_none_or(|decides| decides.hides())
    }

    /// Whether somebody decides, and what is denied is refused.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.decides.as_ref().is_some_and(|decides| decides.enforces())
    }

    /// Who sends a request. It is asked once per request, and may have to ask others. Cancel safe.
    ///
    /// # Errors
    /// When the credentials do not say.
    pub async fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        match &self.rules {
            Rules::Open => Ok(Identity::anonymous()),
            Rules::Identified(by) => by.identify(credentials).outcome().await,
            Rules::Testing(_) => Ok(Identity { principal: testing::client(), ..Identity::anonymous() }),
        }
    }

    /// Who is at the other end of our stdin. Nobody is asked: who has started us may read the configuration and every
    /// credential in it (MCP 2026-07-28 `basic/authorization` §Protocol Requirements).
    #[must_use]
    pub fn local(&self) -> Identity {
        match &self.rules {
            Rules::Open | Rules::Identified(_) => Identity::anonymous(),
            Rules::Testing(_) => Identity { principal: testing::client(), ..Identity::anonymous() },
        }
    }

    /// Whether the principal may.
    ///
    /// # Errors
    /// When it may not.
    pub fn permit(&self, principal: &Principal, action: &Action<'_>) -> Result<Permit, Refusal> {
        let allowances = match &self.decides {
            Some(decides) => decides.allow(principal, action)?,
            None => Vec::new(),
        };
        self.permitted(principal, action, allowances)
    }

    /// The same, and what was decided, for who keeps records of that. Nothing where nobody decides.
    pub fn permit_and_tell(
        &self,
        principal: &Principal,
        action: &Action<'_>,
    ) -> (Result<Permit, Refusal>, Option<Decision>) {
        let Some(decides) = &self.decides else {
            return (self.permitted(principal, action, Vec::new()), None);
        };
        let (allowed, told) = decides.allow_and_tell(principal, action);
        (allowed.and_then(|allowances| self.permitted(principal, action, allowances)), told)
    }

    /// The permit for what nobody who decides has denied.
    fn permitted(
        &self,
        principal: &Principal,
        action: &Action<'_>,
        allowances: Vec<Allowance>,
    ) -> Result<Permit, Refusal> {
        if let Rules::Testing(denials) = &self.rules
            && denials.of(principal).is_some_and(|denied| denied.covers(action))
        {
            return Err(Refusal::Denied);
        }
        Ok(Permit { principal: principal.clone(), upstream: Arc::clone(action.upstream), allowances })
    }

    /// What the principal may see, of whom this was said. What it may not see is to it as if it were not there.
    #[must_use]
    pub fn view(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> View {
        let view = match &self.rules {
            Rules::Open | Rules::Identified(_) => View::everything(),
            Rules::Testing(denials) => denials.of(principal).map_or_else(View::everything, View::without),
        };
        let decided = self.decides.as_ref().and_then(|decides| decides.view(principal, claims));
        match decided {
            Some(decided) => view.decided(decided),
            None => view,
        }
    }

    /// What leads anywhere for the principal: what it sees, and what it is told that it may not use.
    #[must_use]
    pub fn leading(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> View {
        match &self.decides {
            Some(decides) if !decides.hides() => {
                Self { decides: None, ..self.clone() }.view(principal, claims)
            }
            _ => self.view(principal, claims),
        }
    }

    /// Whether the other is the same gate: what was made under the one is good under the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let decided = |gate: &Self| gate.decides.as_ref().map(|decides| decides.id().to_owned());
        if decided(self) != decided(other) {
            return false;
        }
        match (&self.rules, &other.rules) {
            (Rules::Open, Rules::Open) | (Rules::Testing(_), Rules::Testing(_)) => true,
            (Rules::Identified(one), Rules::Identified(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whether this gate knows who its clients are.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.rules, Rules::Open)
    }
}

/// The proof that a principal may send something to an upstream.
#[derive(Debug)]
pub struct Permit {
    principal: Principal,
    upstream: Arc<str>,
    allowances: Vec<Allowance>,
}

impl Permit {
    /// How often it may be used by its principal: within one of these is enough. Any number of times where there is none.
    #[must_use]
    pub fn allowances(&self) -> &[Allowance] {
        &self.allowances
    }

    /// Puts what was permitted under the permit.
    #[must_use]
    pub fn cover<T>(self, value: T) -> Permitted<T> {
        Permitted { value, permit: self }
    }
}

/// Something that may be sent.
#[derive(Debug)]
pub struct Permitted<T> {
    value: T,
    permit: Permit,
}

impl<T> Permitted<T> {
    /// What may be sent.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// For whom.
    pub fn principal(&self) -> &Principal {
        &self.permit.principal
    }

    /// Whether it may be sent to that upstream and no other.
    pub fn covers(&self, upstream: &str) -> bool {
        &*self.permit.upstream == upstream
    }
}
