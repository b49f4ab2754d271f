//! One recorded call after the other, decided anew.

use std::collections::HashMap;
use std::sync::Arc;

use auth::definition::{Hints, Sort};
use auth::{Action, Claims, Identity, Known, Principal};
use policy::{Policies, Verdict};

use super::super::question::{Deciding, Opened};
use super::record::{Caller, PastDecision, Record, unknown};
use super::tally::{Change, Word};

/// So many callers are known at a time.
const MOST_CALLERS: usize = 4096;
/// Of whom more is said, is read anew each time.
const LONGEST_CALLER: usize = 16 * 1024;
/// What was denied for this was denied by what was not recorded.
const BY_ARGUMENTS: [&str; 3] =
    ["the arguments are not good", "the arguments are too many", "the tool's inputSchema"];

/// The best that a server can say of a tool.
const BEST: Hints = Hints {
    read_only: Some(true),
    destructive: Some(false),
    idempotent: Some(true),
    open_world: Some(false),
};

/// Decides them.
pub(super) struct Replay<'a> {
    opened: &'a Opened,
    callers: HashMap<String, Arc<KnownCaller>>,
}

/// Somebody who has called.
struct KnownCaller {
    principal: Principal,
    claims: Option<Arc<Claims>>,
    shown: String,
    /// Whether all is known that policies may look at.
    is_known: bool,
}

/// What became of one.
#[derive(Debug)]
pub(super) enum Outcome {
    Same,
    Changed(Change),
    /// It depends on what was not recorded.
    Unknown,
    /// Policies have no word for it.
    NotDecided,
    /// It would reach no server: there is no such route, or no such server on it.
    NotServed,
}

impl<'a> Replay<'a> {
    pub(super) fn new(opened: &'a Opened) -> Self {
        Self { opened, callers: HashMap::new() }
    }

    /// # Errors
    /// Why the record cannot be read.
    pub(super) fn decide(&mut self, record: &Record<'_>) -> Result<Outcome, String> {
        let caller = self.caller(record.principal).ok_or("its principal is none")?;
        Ok(self.decide_of(record, &caller))
    }

    fn decide_of(&self, record: &Record<'_>, caller: &KnownCaller) -> Outcome {
        let Some((server, sort, name)) = &record.thing else { return Outcome::NotDecided };
        let would = match self.opened.deciding_on(&record.route) {
            Deciding::Policies(policies) => {
                self.opened.set(record.time);
                match asked(policies, record, (server, *sort, name), caller) {
                    Some(Ok(verdict)) => verdict,
                    Some(Err(Unknowable)) => return Outcome::Unknown,
                    None if policy::is_decided(&record.method) => return Outcome::NotServed,
                    None => return Outcome::NotDecided,
                }
            }
            // A route without policies allows all of it, where policies would have a word.
            Deciding::Nobody if policy::is_decided(&record.method) => (Word::Allow, Vec::new()),
            Deciding::Nobody => return Outcome::NotDecided,
            Deciding::NoSuchRoute => return Outcome::NotServed,
        };
        let was = was(record);
        if was == would.0 || (was == Word::Nothing && would.0 == Word::Allow) {
            return Outcome::Same;
        }
        // What is wrong with the arguments alone is found again. What their tool takes was not recorded.
        if was == Word::Deny && by_arguments(record.was.as_ref()) {
            return Outcome::Unknown;
        }
        Outcome::Changed(Change {
            principal: caller.shown.clone(),
            thing: format!("{} {server}/{name}", record.method),
            was,
            would: would.0,
            by: would.1,
        })
    }

    fn caller(&mut self, text: &str) -> Option<Arc<KnownCaller>> {
        if let Some(known) = self.callers.get(text) {
            return Some(Arc::clone(known));
        }
        let caller = Caller::read(text)?;
        let claims = caller.claims();
        let shown = match &claims {
            None => "anonymous".to_owned(),
            Some(claims) if claims.subject.is_empty() => caller.id.clone(),
            Some(claims) => {
                format!("{} ({})", claims.subject, self.opened.name_of_issuer(&claims.issuer))
            }
        };
        let Identity { principal, claims, .. } = Identity::told_by_replica(&caller.id, None, claims);
        let known = Arc::new(KnownCaller { principal, claims, shown, is_known: caller.is_known() });
        if text.len() <= LONGEST_CALLER {
            if self.callers.len() >= MOST_CALLERS {
                self.callers.clear();
            }
            self.callers.insert(text.to_owned(), Arc::clone(&known));
        }
        Some(known)
    }
}

/// It depends on what was not recorded.
struct Unknowable;

/// What policies say of it; nothing where they have no word for it.
fn asked(
    policies: &Policies,
    record: &Record<'_>,
    (server, sort, name): (&Arc<str>, Sort, &str),
    caller: &KnownCaller,
) -> Option<Result<(Word, Vec<String>), Unknowable>> {
    let known = Known {
        claims: caller.claims.as_ref(),
        sort: Some(sort),
        definition: record.definition.as_ref(),
        arguments: record.arguments.as_deref(),
        address: record.address,
        era: Some(record.era),
        trace: record.trace.as_deref(),
        approved: None,
    };
    let action = Action { known, ..Action::new(&record.method, server, Some(name)) };
    let verdict = policies.verdict(&caller.principal, &action)?;
    let needs = |action: &Action<'_>| {
        record.arguments.is_none() && policies.needs_arguments(&caller.principal, action)
            || !caller.is_known && policies.needs_claims(&caller.principal, action)
    };
    if needs(&action) {
        return Some(Err(Unknowable));
    }
    if sort == Sort::Tool && record.definition.is_none() {
        // It may not have been listed, or nobody has noted what its server said of it: that may have been the worst or the best.
        for hints in [Hints::default(), BEST] {
            let listed = Arc::new(unknown(hints, String::new()));
            let known = Known { definition: Some(&listed), ..known };
            let action = Action { known, ..action };
            if needs(&action) || word(&policies.verdict(&caller.principal, &action)?) != word(&verdict) {
                return Some(Err(Unknowable));
            }
        }
    }
    Some(Ok((word(&verdict), verdict.by().to_vec())))
}

fn word(verdict: &Verdict) -> Word {
    match (verdict.allowed, verdict.asks()) {
        (true, _) => Word::Allow,
        (false, true) => Word::Ask,
        (false, false) => Word::Deny,
    }
}

fn was(record: &Record<'_>) -> Word {
    match &record.was {
        None => Word::Nothing,
        Some(_) if record.approved => Word::Ask,
        Some(decided) if decided.allowed => Word::Allow,
        Some(decided) if decided.why.starts_with("to be approved") => Word::Ask,
        Some(_) => Word::Deny,
    }
}

fn by_arguments(was: Option<&PastDecision>) -> bool {
    was.is_some_and(|was| was.by.is_empty() && BY_ARGUMENTS.iter().any(|why| was.why.starts_with(why)))
}
