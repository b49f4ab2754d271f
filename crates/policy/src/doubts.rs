//! What is allowed in a policy, and seldom meant.

use serde_json::Value;

use crate::rule::Rule;

/// What of a policy is seldom meant, and what to do.
pub(crate) fn doubts(rule: &Rule) -> impl Iterator<Item = (String, &'static str)> {
    let json = rule.policy.to_json().unwrap_or_default();
    let conditions = &json["conditions"];
    let all = conditions.as_array().into_iter().flatten();
    let mut when = all.filter(|each| each["kind"].as_str() == Some("when")).map(|each| &each["body"]);
    let mut found = Vec::new();
    if !rule.permits && when.any(reads_argument) {
        found.push((
            format!(
                "{}: a forbid with `when` forbids nothing where the argument is missing or of another type",
                rule.id()
            ),
            "say with `unless` what is right: then everything else is forbidden",
        ));
    }
    let (mut patterns, mut clean) = (Vec::new(), Vec::new());
    each(conditions, &mut |operator, operands| match operator {
        "like" if is_path_pattern(operands) => patterns.push(&operands["left"]["."]["left"]),
        "." if operands["attr"].as_str() == Some("clean") => clean.push(&operands["left"]),
        _ => {}
    });
    if patterns.iter().any(|of| !clean.contains(of)) {
        found.push((
            format!("{}: `like` compares texts, and /a/../b begins with /a/", rule.id()),
            "ask for `clean`, too: it says that no part of a path leads elsewhere",
        ));
    }
    found.into_iter()
}

/// Each operator within an expression, with its operands.
fn each<'a>(expression: &'a Value, look: &mut dyn FnMut(&'a str, &'a Value)) {
    match expression {
        Value::Object(members) => {
            for (operator, operands) in members {
                look(operator, operands);
                match (operator.as_str(), operands) {
                    ("Value", _) => {}
                    // Its members have names, and no operators.
                    ("Record", Value::Object(record)) => record.values().for_each(|value| each(value, look)),
                    _ => each(operands, look),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| each(value, look)),
        _ => {}
    }
}

/// Whether it looks at the value of an argument, but for what it denies: there a missing one counts.
fn reads_argument(expression: &Value) -> bool {
    match expression {
        Value::Object(members) => members.iter().any(|(operator, operands)| match operator.as_str() {
            "Value" | "!" => false,
            "getTag" => is_argument(operands),
            _ => reads_argument(operands),
        }),
        Value::Array(all) => all.iter().any(reads_argument),
        _ => false,
    }
}

fn is_argument(of_get_tag: &Value) -> bool {
    of_get_tag["left"]["."]["attr"].as_str() == Some("arguments")
}

/// A pattern of paths or URLs, over what callers choose.
fn is_path_pattern(operands: &Value) -> bool {
    let left = &operands["left"]["."];
    let is_theirs = match left["attr"].as_str() {
        Some("uri") => true,
        Some("text") => is_argument(&left["left"]["getTag"]),
        _ => false,
    };
    // Each character is a literal.
    let parts = operands["pattern"].as_array().into_iter().flatten();
    let begins: String = parts.map_while(|part| part["Literal"].as_str()).collect();
    is_theirs && (begins.starts_with(['/', '.', '~']) || begins.contains("://"))
}
