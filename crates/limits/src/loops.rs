//! The same call again and again: by one session, of one tool, with the same arguments.

use std::borrow::Cow;
use std::time::Duration;

use base::digest::Digest;
use base::fault::Limited;
use base::plan::limit::{LoopAction, LoopPlan, Rate};
use mcp::json::Object;

use crate::key::{Key, Keys, Subject};
use crate::pace::{Nanos, Pace, nanos};
use crate::tally::Tallies;

/// What it is called where limits have names.
const NAME: &str = "loops";
/// Longer arguments are the same only to the letter: who repeats so much does not lay it out anew, and it would take long to see.
const LONG: usize = 64 * 1024;
/// No call is made to wait longer: its client would have given up.
const LONGEST: Nanos = 30_000_000_000;

/// Finds them.
#[derive(Debug)]
pub(crate) struct Loops {
    pub(crate) plan: LoopPlan,
    pace: Pace,
    tallies: Tallies,
}

/// A call of a tool, as far as it may be the same as another.
#[derive(Debug, Clone, Copy)]
pub struct Repeated<'a> {
    /// The legacy session, or whatever else says which calls are one client's.
    pub session: Option<&'a str>,
    /// The arguments, if there are any.
    pub arguments: Option<&'a str>,
}

impl Loops {
    pub(crate) fn new(plan: LoopPlan) -> Self {
        let LoopPlan { calls, within, .. } = plan;
        let pace = Pace::new(Rate { times: calls, within, burst: calls });
        Self { plan, pace, tallies: Tallies::default() }
    }

    /// Whose call it is, and which.
    pub(crate) fn key(keys: &Keys, subject: &Subject<'_>, repeated: Repeated<'_>) -> Key {
        let arguments = canonical(repeated.arguments.unwrap_or("{}"));
        let parts = [
            Some(subject.principal.id()),
            subject.client,
            repeated.session,
            Some(subject.route),
            subject.server,
            subject.tool,
            Some(&*arguments),
        ];
        keys.of(&parts.iter().map(|part| part.map(str::as_bytes)))
    }

    /// Counts one more call: for how long it has to wait.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn enter(&self, key: Key, now: Nanos) -> Result<Duration, Box<Limited>> {
        let wait = self.tallies.of(key, now, |tally| match self.plan.action {
            LoopAction::Refuse => self.pace.take(&mut tally.next, now).map(|_| 0),
            LoopAction::Slow => match self.pace.wait(tally.next, now) {
                wait if wait > LONGEST.min(nanos(self.plan.within)) => Err(wait),
                _ => Ok(self.pace.take_late(&mut tally.next, now)),
            },
        });
        wait.unwrap_or(Ok(0)).map(Duration::from_nanos).map_err(|wait| Box::new(self.limited(wait)))
    }

    /// A call that was counted is not made.
    pub(crate) fn give_back(&self, key: Key) {
        self.tallies.of_known(key, |tally| self.pace.give_back(&mut tally.next));
    }

    fn limited(&self, wait: Nanos) -> Limited {
        let LoopPlan { calls, within, .. } = self.plan;
        Limited {
            name: NAME.to_owned(),
            by: "loop",
            allows: format!("{calls} of the same call with the same arguments within {within:?}"),
            retry_after: Duration::from_nanos(wait),
            limit: Some(u64::from(calls)),
            remaining: Some(0),
        }
    }
}

/// Arguments as they are the same however they are laid out: without blanks between values, and the members of the outermost
/// object in the order of their names.
fn canonical(arguments: &str) -> Cow<'_, str> {
    if arguments.len() > LONG {
        return Cow::Owned(Digest::of([arguments]).to_string());
    }
    let Ok(object) = Object::parse(arguments) else { return Cow::Borrowed(arguments) };
    let mut members: Vec<_> = object.iter().map(|member| (member.name.clone(), member.value)).collect();
    members.sort_unstable();
    let mut text = String::with_capacity(arguments.len());
    for (name, value) in members {
        // However it was escaped; what follows it cannot be taken for a part of it.
        text.push_str(&mcp::json::quote(&name));
        push_dense(value, &mut text);
    }
    Cow::Owned(text)
}

/// A JSON value without the blanks outside of its texts.
fn push_dense(value: &str, text: &mut String) {
    let (mut in_text, mut escaped, mut from) = (false, false, 0);
    // All that counts is ASCII, so that what lies between is whole.
    for (at, byte) in value.bytes().enumerate() {
        if in_text {
            (in_text, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            text.push_str(value.get(from..at).unwrap_or_default());
            from = at + 1;
        } else {
            in_text = byte == b'"';
        }
    }
    text.push_str(value.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_the_same_however_they_are_laid_out() {
        let same = [
            r#"{"a":1,"b":{"c":[1,2],"d":"x \" y"}}"#,
            "{ \"b\" : {\"c\":[ 1 ,\n2],\"d\":\"x \\\" y\"},\t\"a\":1}",
            r#"{"\u0061":1,"b":{"c":[1,2],"d":"x \" y"}}"#,
        ];
        for text in same {
            assert_eq!(canonical(text), canonical(same[0]), "{text}");
        }
        let long = |blank: &str| format!(r#"{{"a":{blank}"{}"}}"#, "x".repeat(LONG));
        assert_eq!(canonical(&long("")), canonical(&long("")));
        assert_ne!(canonical(&long("")), canonical(&long(" ")));
        for other in [
            r#"{"a":1,"b":{"c":[1,2],"d":"x\" y"}}"#,
            r#"{"a":1,"b":{"c":[12],"d":"x \" y"}}"#,
            r#"{"a":2,"b":{"c":[1,2],"d":"x \" y"}}"#,
            r#"{"a":1}"#,
            "{}",
        ] {
            assert_ne!(canonical(other), canonical(same[0]), "{other}");
        }
    }
}
