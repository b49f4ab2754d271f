//! How often policies let each caller do what they permit: `@limit("60/min")` on a `permit`.

use std::collections::BTreeMap;

use auth::Allowance;
use base::nearest::nearest;
use base::plan::limit::Rate;

use crate::rule::{Deed, Rule};

/// The annotation.
pub(crate) const NAME: &str = "limit";

/// What is wrong with the limit of a policy, if anything is.
pub(crate) fn fault(rule: &Rule) -> Option<(String, String)> {
    // One that is misspelt would limit nothing.
    let misspelt = |name: &&str| *name != NAME && nearest(name, [NAME]).is_some();
    if let Some(name) = rule.policy.annotations().map(|(name, _)| name).find(misspelt) {
        return Some((format!("@{name} says nothing"), "write @limit(\"60/min\")".to_owned()));
    }
    let text = rule.policy.annotation(NAME)?;
    if !rule.permits {
        let text = format!("@limit({text:?}) stands on a forbid, and what is forbidden has no rate");
        return Some((text, "let it stand on the permit".to_owned()));
    }
    if !rule.deeds.iter().any(|deed| !matches!(deed, Deed::List | Deed::Subscribe | Deed::Task)) {
        let text = format!(
            "@limit({text:?}) stands on a permit of what is not counted: lists, subscriptions and tasks"
        );
        return Some((text, "leave it out, or give their callers a [limit]".to_owned()));
    }
    if Rate::read(text).is_some() {
        return None;
    }
    let text = format!("@limit({text:?}) is no rate");
    Some((text, "write @limit(\"60/min\"): from 1 to 1000000 in /s, /min or /h".to_owned()))
}

/// Those of all policies that have any, by their ids.
pub(crate) fn all(rules: &[Rule]) -> BTreeMap<String, Allowance> {
    let of = |rule: &Rule| {
        let rate = Rate::read(rule.policy.annotation(NAME)?)?;
        let allowance = Allowance { by: rule.id().into(), times: rate.times, within: rate.within };
        Some((rule.id().to_owned(), allowance))
    };
    rules.iter().filter_map(of).collect()
}
