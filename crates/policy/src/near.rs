//! Policies as they are asked: what they read of arguments stands in the context, each value under its pointer. As an entity with
//! tags, which the schema shows, it would be made anew at each call, with all that it takes to put one beside the others: that costs
//! more than all the policies do.
//!
//! `context.arguments.getTag("/a").integer` becomes `context["@/a"].integer`, and so does `hasTag`. Both err where the value is not
//! there. A policy that looks at arguments in another way is asked as it stands.

use cedar_policy::{Policy, RestrictedExpression as Expression};
use serde_json::{Value as Json, json};

use crate::arguments::Arguments;
use crate::leaf::expression;
use crate::reads::{Members, Reads, is_arguments};

/// No member of the context begins so. That a policy asks for one that does must go on meaning nothing.
const MARK: char = '@';
const MARKED: &str = r#""attr":"@"#;

/// The policy as it is asked; nothing where it must be asked as it stands.
pub(crate) fn near(policy: &Policy, reads: &Reads, json: Option<&Json>) -> Option<Policy> {
    if reads.arguments.all || json.is_none_or(|json| json["conditions"].to_string().contains(MARKED)) {
        return None;
    }
    if reads.arguments.is_empty() {
        return Some(policy.clone());
    }
    let mut json = json?.clone();
    json["conditions"].as_array_mut()?.iter_mut().for_each(|condition| bring(&mut condition["body"]));
    Policy::from_json(Some(policy.id().clone()), json).ok()
}

fn bring(expression: &mut Json) {
    let Json::Object(members) = expression else {
        if let Json::Array(all) = expression {
            all.iter_mut().for_each(bring);
        }
        return;
    };
    if let Some(Json::Object(record)) = members.get_mut("Record") {
        // Its members have names, and no operators.
        record.values_mut().for_each(bring);
        return;
    }
    for (tag, member) in [("hasTag", "has"), ("getTag", ".")] {
        let operands = &members.get(tag).unwrap_or(&Json::Null);
        let pointer = operands["right"]["Value"].as_str().filter(|_| is_arguments(&operands["left"]));
        if let Some(pointer) = pointer {
            *expression = json!({ member: { "left": { "Var": "context" }, "attr": name(pointer) } });
            return;
        }
    }
    // What is a value already has no operators in it.
    members.iter_mut().filter(|(operator, _)| *operator != "Value").for_each(|(_, each)| bring(each));
}

fn name(pointer: &str) -> String {
    let mut name = String::with_capacity(pointer.len() + 1);
    name.push(MARK);
    name.push_str(pointer);
    name
}

/// The arguments as members of the context.
pub(crate) fn members(
    arguments: &Arguments,
    members: &Members,
) -> impl Iterator<Item = (String, Expression)> {
    arguments.values.iter().map(|(pointer, value)| (name(pointer), expression(value, members)))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn of(condition: &str) -> Option<String> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::from_str(&text).unwrap();
        let json = policy.to_json().unwrap();
        let reads = Reads::of(&json["conditions"]);
        near(&policy, &reads, Some(&json)).map(|policy| policy.to_json().unwrap().to_string())
    }

    #[test]
    fn what_is_read_by_its_pointer_is_brought_near() {
        let brought = of(r#"context.arguments.hasTag("/a") && !(context.arguments.getTag("/a").integer > 3)
            && [context.arguments.getTag("/b").text].contains("x")"#);
        let brought = brought.unwrap();
        assert!(!brought.contains("Tag") && !brought.contains("arguments"), "{brought}");
        assert!(brought.contains("@/a") && brought.contains("@/b"), "{brought}");
        assert!(of("context.arguments.getTag(principal.subject).kind == \"null\"").is_none());
        assert!(of("context.arguments == context.arguments").is_none());
        assert!(of("principal in Mcp::Group::\"a/b\"").is_some());
        assert!(of(r#"context.arguments.hasTag("/a") && context has "@/a""#).is_none());
        assert!(of(r#"context has "@/a""#).is_none());
        let record = of(r#"{"getTag": context.arguments.hasTag("/a")}.getTag"#).unwrap();
        assert!(record.contains("getTag") && record.contains("@/a"), "{record}");
        let record = of(r#"{"Value": context.arguments.hasTag("/a")}["Value"]"#).unwrap();
        assert!(record.contains("@/a") && !record.contains("hasTag"), "{record}");
    }
}
