//! Where policies stand, for who wants to read them.

use crate::fault::position;
use crate::policies::Policies;
use crate::rule::Rule;

/// Where a policy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPlace {
    /// The file, as it was named.
    pub source: String,
    /// Line and column, from 1.
    pub at: (usize, usize),
    /// Its first line that says more than its annotations.
    pub line: String,
}

impl Policies {
    /// Where the policy of that id stands.
    #[must_use]
    pub fn place(&self, id: &str) -> Option<PolicyPlace> {
        let rule = self.rules.iter().find(|rule| rule.id() == id)?;
        let source = self.plan.sources.get(rule.source)?;
        Some(PolicyPlace {
            source: source.name.clone(),
            at: position(&source.text, self.start(rule)?),
            line: first_line(rule, &rule.policy.to_string()),
        })
    }

    /// Where it begins in its source, in bytes.
    pub(crate) fn start(&self, wanted: &Rule) -> Option<usize> {
        let source = self.plan.sources.get(wanted.source)?;
        let mut from = 0;
        // Two policies may have the same text: each is looked for behind the one before it.
        for rule in self.rules.iter().filter(|rule| rule.source == wanted.source) {
            let text = rule.policy.to_string();
            let found = source.text.get(from..)?.find(&text)? + from;
            if rule.id() == wanted.id() {
                return Some(found);
            }
            from = found + text.len();
        }
        None
    }
}

fn first_line(rule: &Rule, text: &str) -> String {
    let word = if rule.permits { "permit" } else { "forbid" };
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with(word)).or_else(|| text.lines().next()).unwrap_or_default().to_owned()
}
