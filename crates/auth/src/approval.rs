//! What somebody has to approve before it is done, and the proof that somebody has.

use std::sync::Arc;
use std::time::Duration;

use crate::claims::Claims;
use crate::principal::Principal;

/// What is asked before an action may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Stands for all that is approved: who does what, with which arguments, by which definition and which policies. Two of one
    /// binding are the same. It holds nothing of what it stands for.
    pub binding: Arc<str>,
    /// The reasons that policies give to people, one a line.
    pub reason: String,
    /// The policies that ask.
    pub policies: Vec<String>,
    /// Who may approve: one of each list. If there is none, the caller itself may.
    pub approvers: Vec<Vec<Approver>>,
    /// How long the question is open, and for how long what was approved is good.
    pub lasts: Duration,
}

/// Who may approve, or to whom somebody belongs who may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// A group, by the word of its issuer.
    Group {
        /// What is said to vouch: `iss` of tokens, or what stands for it.
        issuer: String,
        /// Its name.
        group: String,
        /// As the policy has it.
        shown: String,
    },
    /// One subject, by whatever client.
    Subject {
        /// What is said to vouch, likewise.
        issuer: String,
        /// Its name.
        subject: String,
        /// As the policy has it.
        shown: String,
    },
}

/// The proof that actions were approved. It is good for those alone that have its bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved(Arc<[Arc<str>]>);

impl Asked {
    /// What is asked where this is, and the other.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        if self.binding == other.binding {
            return self;
        }
        let has = |reason: &str| self.reason.lines().any(|line| line == reason);
        let new: Vec<_> = other.reason.lines().filter(|line| !has(line)).map(str::to_owned).collect();
        for line in new {
            self.reason.push('\n');
            self.reason.push_str(&line);
        }
        for policy in other.policies {
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
            }
        }
        for list in other.approvers {
            if !self.approvers.contains(&list) {
                self.approvers.push(list);
            }
        }
        self.binding = format!("{} {}", self.binding, other.binding).into();
        self.lasts = self.lasts.min(other.lasts);
        self
    }

    /// What stands for its being approved. To make it approves nothing: who asks the gate with it must know that it was.
    #[must_use]
    pub fn approved(&self) -> Approved {
        Approved::of(&self.binding)
    }
}

impl Approved {
    /// The proof for a binding that is known to be approved.
    #[must_use]
    pub fn of(binding: &str) -> Self {
        Self(binding.split(' ').map(Arc::from).collect())
    }

    /// Whether it is for that.
    #[must_use]
    pub fn covers(&self, binding: &str) -> bool {
        self.0.iter().any(|one| **one == *binding)
    }

    /// All that it is for, as [`Asked::binding`] has it.
    #[must_use]
    pub fn binding(&self) -> String {
        self.0.join(" ")
    }
}

impl Approver {
    /// Whether somebody is one, of whom this was said.
    #[must_use]
    pub fn is(&self, claims: &Claims) -> bool {
        match self {
            Self::Group { issuer, group, .. } => claims.issuer == *issuer && claims.groups.contains(group),
            Self::Subject { issuer, subject, .. } => claims.issuer == *issuer && claims.subject == *subject,
        }
    }

    /// As the policy has it.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Group { shown, .. } | Self::Subject { shown, .. } => shown,
        }
    }
}

/// Whether somebody may approve what a caller wants: where nobody is named, the caller alone; else one of each list, and never
/// the caller. One subject by another client is the same person.
#[must_use]
pub fn may_approve(
    approvers: &[Vec<Approver>],
    (caller, caller_subject): (&str, Option<(&str, &str)>),
    (principal, claims): (&Principal, Option<&Claims>),
) -> bool {
    if approvers.is_empty() {
        return principal.id() == caller;
    }
    let Some(claims) = claims else { return false };
    let is_caller =
        principal.id() == caller || caller_subject == Some((claims.issuer.as_str(), claims.subject.as_str()));
    !is_caller && approvers.iter().all(|list| list.iter().any(|one| one.is(claims)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(subject: &str, groups: &[&str]) -> Claims {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Claims { issuer: "https://id".to_owned(), subject: subject.to_owned(), groups, ..Claims::default() }
    }

    fn group(name: &str) -> Approver {
        let shown = format!("company/{name}");
        Approver::Group { issuer: "https://id".to_owned(), group: name.to_owned(), shown }
    }

    #[test]
    fn the_caller_never_approves_for_others() {
        let of = |subject: &str, client| Principal::of("https://id", subject, client);
        let (ann, bob) = (of("ann", None), of("bob", None));
        let caller = (ann.id(), Some(("https://id", "ann")));
        let leads = vec![vec![group("leads")]];
        assert!(may_approve(&[], caller, (&ann, None)) && !may_approve(&[], caller, (&bob, None)));
        assert!(!may_approve(&leads, caller, (&ann, Some(&claims("ann", &["leads"])))));
        let elsewhere = of("ann", Some("other"));
        assert!(!may_approve(&leads, caller, (&elsewhere, Some(&claims("ann", &["leads"])))));
        assert!(may_approve(&leads, caller, (&bob, Some(&claims("bob", &["leads"])))));
        assert!(!may_approve(&leads, caller, (&bob, Some(&claims("bob", &["staff"])))));
        assert!(!may_approve(&leads, caller, (&Principal::anonymous(), None)));
        let both = vec![vec![group("leads"), group("staff")], vec![group("bank")]];
        assert!(!may_approve(&both, caller, (&bob, Some(&claims("bob", &["leads"])))));
        assert!(may_approve(&both, caller, (&bob, Some(&claims("bob", &["bank", "staff"])))));
        let other = Claims { issuer: "https://other".to_owned(), ..claims("bob", &["leads"]) };
        assert!(!may_approve(&leads, caller, (&bob, Some(&other))));
    }

    #[test]
    fn a_proof_is_good_for_what_it_is_for() {
        let asked = |binding: &str| Asked {
            binding: binding.into(),
            reason: "r".to_owned(),
            policies: vec![binding.to_owned()],
            approvers: Vec::new(),
            lasts: Duration::from_secs(60),
        };
        let both = asked("a").with(asked("b"));
        assert!(both.approved().covers("a") && both.approved().covers("b") && !both.approved().covers("c"));
        assert!(!asked("a").approved().covers("b"));
        assert_eq!((both.reason.as_str(), &*both.binding), ("r", "a b"));
        assert_eq!(Approved::of(&both.binding).binding(), "a b");
    }
}
