//! What is allowed in policies, and seldom meant: warnings of `portolan policy check`.

use serde_json::Value;

use crate::fault::PolicyFault;
use crate::policies::Policies;
use crate::rule::Rule;

impl Policies {
    /// What in them is seldom meant, in their order.
    #[must_use]
    pub fn doubts(&self) -> Vec<PolicyFault> {
        self.rules.iter().flat_map(|rule| self.of_rule(rule)).collect()
    }

    fn of_rule(&self, rule: &Rule) -> Vec<PolicyFault> {
        let Ok(json) = rule.policy.to_json() else { return Vec::new() };
        let conditions = &json["conditions"];
        let of_kind = |kind: &str| {
            let all = conditions.as_array().into_iter().flatten();
            all.filter(move |each| each["kind"].as_str() == Some(kind))
                .map(|each| &each["body"])
                .collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        if !rule.permits && of_kind("when").into_iter().any(|body| has(body, &is_argument)) {
            found.push((
                format!("{}: a forbid with `when` forbids nothing where the argument is missing or of another type", rule.id()),
                "say with `unless` what is right: then everything else is forbidden",
            ));
        }
        if has(conditions, &is_path_pattern) && !has(conditions, &is_clean) {
            found.push((
                format!("{}: `like` compares texts, and /a/../b begins with /a/", rule.id()),
                "ask for `clean`, too: it says that no part of a path leads elsewhere",
            ));
        }
        let place = self.place(rule.id());
        let told = |(text, help): (String, &str)| PolicyFault {
            source: self.plan.sources.get(rule.source).map(|source| source.name.clone()).unwrap_or_default(),
            at: place.as_ref().map(|place| place.at),
            text,
            help: Some(help.to_owned()),
        };
        found.into_iter().map(told).collect()
    }
}

/// Whether something within an expression is like that, by its operator and its operands.
fn has(expression: &Value, is: &dyn Fn(&str, &Value) -> bool) -> bool {
    match expression {
        Value::Object(members) => members
            .iter()
            .any(|(operator, operands)| is(operator, operands) || (operator != "Value" && has(operands, is))),
        Value::Array(all) => all.iter().any(|each| has(each, is)),
        _ => false,
    }
}

/// The value of an argument.
fn is_argument(operator: &str, operands: &Value) -> bool {
    operator == "getTag" && operands["left"]["."]["attr"].as_str() == Some("arguments")
}

/// A pattern of paths, over what callers choose.
fn is_path_pattern(operator: &str, operands: &Value) -> bool {
    let left = &operands["left"]["."];
    let is_theirs = match left["attr"].as_str() {
        Some("uri") => true,
        Some("text") => has(&left["left"], &is_argument),
        _ => false,
    };
    let pattern = operands["pattern"].as_array();
    let is_literal = |part: &Value| part["Literal"].as_str().is_some_and(|text| text.contains('/'));
    operator == "like" && is_theirs && pattern.is_some_and(|parts| parts.iter().any(is_literal))
}

fn is_clean(operator: &str, operands: &Value) -> bool {
    operator == "." && operands["attr"].as_str() == Some("clean")
}
