//! What a policy looks at, found in its text once: whatever it does not look at need not be there, and cannot change what it says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::pointers::Pointers;

/// What a policy looks at beside its scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub(crate) struct Reads {
    /// Which arguments.
    pub(crate) arguments: Pointers,
    /// Whether any of them as a decimal.
    pub(crate) decimals: bool,
    /// Which members of them; nothing where they are looked at as a whole.
    pub(crate) members: Members,
    /// Whether it asks if they are all there.
    pub(crate) complete: bool,
    /// Whether something else that only a call has: its time, its place, its client's era.
    pub(crate) call: bool,
    /// Whether its time, which costs most.
    pub(crate) now: bool,
    /// Whether who calls, beyond groups that it names.
    pub(crate) caller: bool,
    /// Whether what tokens say of who calls beside what they all do.
    pub(crate) claims: bool,
    /// Whether what the thing is called, or what its definition is, beyond what it names.
    pub(crate) name: bool,
    /// Entities that it names, by type and id.
    pub(crate) named: BTreeSet<(String, String)>,
}

/// Which members of arguments are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Members {
    all: bool,
    named: BTreeSet<String>,
}

impl Members {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether it may be looked at.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all || self.named.contains(name)
    }

    fn add(&mut self, other: &Self) {
        self.all |= other.all;
        self.named.extend(other.named.iter().cloned());
    }
}

/// Members of the context that are the same for each call of a caller on a route.
const OF_CALLER: [&str; 4] = ["scopes", "acr", "amr", "route"];
/// Members of things that many have in common.
const COMMON: [&str; 7] =
    ["server", "listed", "trusted", "read_only", "destructive", "idempotent", "open_world"];

impl Reads {
    /// Whether it may say another thing at each call of a caller.
    pub(crate) fn varies(&self) -> bool {
        self.complete || self.call || !self.arguments.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.arguments.add(&other.arguments);
        self.decimals |= other.decimals;
        self.members.add(&other.members);
        self.complete |= other.complete;
        self.call |= other.call;
        self.now |= other.now;
        self.caller |= other.caller;
        self.claims |= other.claims;
        self.name |= other.name;
        self.named.extend(other.named.iter().cloned());
    }

    /// Of an expression, or several, in Cedar's JSON form.
    pub(crate) fn of(expression: &Value) -> Self {
        let mut reads = Self::default();
        reads.look(expression);
        reads
    }

    /// Of what nobody can read.
    pub(crate) fn anything() -> Self {
        let mut reads = Self { name: true, ..Self::default() };
        reads.everything();
        reads
    }

    fn look(&mut self, expression: &Value) {
        match expression {
            Value::Object(members) => {
                for (operator, operands) in members {
                    self.look_at(operator, operands);
                }
            }
            Value::Array(all) => all.iter().for_each(|each| self.look(each)),
            _ => {}
        }
    }

    fn look_at(&mut self, operator: &str, operands: &Value) {
        let (left, right) = (&operands["left"], &operands["right"]);
        match operator {
            "Value" => self.literal(operands),
            // Its members have names, and no operators.
            "Record" => {
                operands.as_object().into_iter().flat_map(Map::values).for_each(|each| self.look(each));
            }
            "Var" => match operands.as_str() {
                Some("context") => self.everything(),
                Some("principal") => self.caller = true,
                Some("resource") => self.name = true,
                _ => {}
            },
            "." | "has" if is_var(left, "context") => self.context(&operands["attr"]),
            "." | "has" if is_var(left, "resource") => {
                self.name |= !operands["attr"].as_str().is_some_and(|attr| COMMON.contains(&attr));
            }
            "." | "has" => {
                let attr = operands["attr"].as_str();
                self.decimals |= attr == Some("decimal");
                let tag = &left["getTag"];
                match attr.filter(|_| is_arguments(&tag["left"])) {
                    Some(attr) => {
                        self.members.named.insert(attr.to_owned());
                        self.argument(&tag["right"]);
                    }
                    None => self.look(left),
                }
            }
            // Arguments have tags, and callers have.
            "hasTag" | "getTag" if !is_arguments(left) => {
                (self.caller, self.claims) = (true, true);
                self.look(operands);
            }
            "hasTag" => self.argument(right),
            "getTag" => {
                self.members.all = true;
                self.argument(right);
            }
            // Which groups and tags there are is looked at where what is named is compared.
            "in" | "==" | "!=" if is_var(left, "principal") && names_groups(right) => self.look(right),
            "in" | "==" | "!=" if is_var(left, "resource") && names_things(right) => self.look(right),
            "is" if is_var(left, "principal") => {
                self.caller |= !operands["in"].is_null() && !names_groups(&operands["in"]);
                self.look(&operands["in"]);
            }
            "is" if is_var(left, "resource") => {
                self.name |= !operands["in"].is_null() && !names_things(&operands["in"]);
                self.look(&operands["in"]);
            }
            _ => self.look(operands),
        }
    }

    /// One of the arguments, by its pointer.
    fn argument(&mut self, pointer: &Value) {
        match pointer["Value"].as_str() {
            Some(pointer) => {
                self.arguments.named.insert(pointer.to_owned());
            }
            None => {
                self.arguments.all = true;
                self.look(pointer);
            }
        }
    }

    fn context(&mut self, attr: &Value) {
        match attr.as_str() {
            Some("arguments") => {
                self.arguments.all = true;
                self.members.all = true;
            }
            Some("complete") => self.complete = true,
            Some(attr) if OF_CALLER.contains(&attr) => self.caller = true,
            attr => {
                self.call = true;
                self.now |= attr.is_none_or(|attr| attr == "now");
            }
        }
    }

    fn everything(&mut self) {
        self.arguments.all = true;
        self.members.all = true;
        self.call = true;
        self.now = true;
        self.caller = true;
        self.claims = true;
    }

    /// A value that stands there: an entity is named, wherever it is within it.
    fn literal(&mut self, value: &Value) {
        match value {
            Value::Object(members) => match members.get("__entity").and_then(entity) {
                Some(named) => {
                    self.named.insert(named);
                }
                None => members.values().for_each(|each| self.literal(each)),
            },
            Value::Array(all) => all.iter().for_each(|each| self.literal(each)),
            _ => {}
        }
    }
}

fn entity(value: &Value) -> Option<(String, String)> {
    Some((value["type"].as_str()?.to_owned(), value["id"].as_str()?.to_owned()))
}

fn is_var(expression: &Value, name: &str) -> bool {
    expression["Var"].as_str() == Some(name)
}

/// `context.arguments`
pub(crate) fn is_arguments(expression: &Value) -> bool {
    is_var(&expression["."]["left"], "context") && expression["."]["attr"].as_str() == Some("arguments")
}

/// The entities that an expression is, if it is nothing but entities.
fn entities(expression: &Value) -> Option<Vec<(String, String)>> {
    if let Some(all) = expression["Set"].as_array() {
        return all.iter().map(|each| entities(each)?.pop()).collect();
    }
    Some(vec![entity(&expression["Value"]["__entity"])?])
}

fn names_groups(expression: &Value) -> bool {
    entities(expression).is_some_and(|all| all.iter().all(|(of, _)| of == "Mcp::Group"))
}

/// Of what it names, each thing is looked at by itself.
fn names_things(expression: &Value) -> bool {
    entities(expression).is_some()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use cedar_policy::Policy;

    use super::*;

    fn of(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let json = Policy::from_str(&text).unwrap().to_json().unwrap();
        Reads::of(&json["conditions"])
    }

    #[test]
    fn arguments_are_known_by_their_pointers() {
        let reads = of(r#"context.arguments.hasTag("/a/b") && context.arguments.getTag("/n").integer < 3"#);
        assert_eq!(reads.arguments.named.iter().map(String::as_str).collect::<Vec<_>>(), ["/a/b", "/n"]);
        assert!(!reads.arguments.all && !reads.caller && !reads.call && reads.varies());
        assert!(of("context.arguments.hasTag(principal.subject)").arguments.all);
        assert!(of("context.arguments == context.arguments").arguments.all);
        assert!(of("{\"x\": context}.x.complete").arguments.all);
        assert!(reads.members.has("integer") && !reads.members.has("kind"));
        let decimal = of(r#"context.arguments.getTag("/n") has decimal"#);
        assert!(decimal.decimals && decimal.members.has("decimal") && !decimal.members.has("text"));
        for whole in [
            r#"context.arguments.getTag("/a") == context.arguments.getTag("/b")"#,
            r#"{"x": context.arguments.getTag("/a")}.x.kind == "string""#,
            r#"(if principal.anonymous then context.arguments.getTag("/a") else context.arguments.getTag("/b")).kind == "null""#,
            r#"[context.arguments.getTag("/a")].contains(context.arguments.getTag("/b"))"#,
            r#"{"x": context}.x.arguments.getTag("/a").kind == "null""#,
        ] {
            assert!(of(whole).members.has("kind") && of(whole).members.has("clean"), "{whole}");
        }
    }

    #[test]
    fn who_calls_matters_where_it_is_looked_at() {
        assert!(of("principal.subject == \"a\"").caller);
        assert!(of("context.scopes.contains(\"a\")").caller);
        let groups = of(r#"principal in [Mcp::Group::"a/x", Mcp::Group::"a/y"]"#);
        assert!(!groups.caller && groups.named.len() == 2);
        assert!(of(r#"principal in Mcp::User::"x""#).caller);
        assert!(of(r#"principal is Mcp::User in Mcp::User::"x""#).caller);
        assert!(!of(r#"principal is Mcp::User in Mcp::Group::"a/x""#).caller);
        assert!(of("[principal].contains(principal)").caller);
        assert!(of(r#"{"Value": principal.subject == "bob"}["Value"]"#).caller);
        assert!(of(r#"{"has": principal.subject == "bob", ".": true}["has"]"#).caller);
        assert!(!of("principal.subject == \"a\"").claims);
        for claims in [
            "principal.hasTag(\"department\")",
            "principal.getTag(\"department\").text == \"x\"",
            "(if principal.anonymous then principal else principal).hasTag(\"a\")",
        ] {
            assert!(of(claims).claims && of(claims).caller && of(claims).arguments.is_empty(), "{claims}");
        }
    }

    #[test]
    fn what_it_is_called_matters_where_it_is_looked_at() {
        assert!(of("resource.name like \"get_*\"").name);
        assert!(of("resource has digest").name);
        assert!(!of("resource.read_only && resource.server == Mcp::Server::\"s\"").name);
        let tag = of(r#"resource in Mcp::Tag::"x" || resource is Mcp::Tool in Mcp::Server::"s""#);
        assert!(!tag.name && tag.named.len() == 2);
        let tool = of(r#"resource == Mcp::Tool::"s/t""#);
        assert!(!tool.name && tool.named.contains(&("Mcp::Tool".to_owned(), "s/t".to_owned())));
        assert!(of("resource == principal").name);
    }

    #[test]
    fn what_only_a_call_has_varies() {
        for condition in [
            "context.now < datetime(\"2026-01-01\")",
            "context has trace",
            "context.era == \"modern\"",
            "context.complete",
        ] {
            assert!(of(condition).varies(), "{condition}");
        }
        assert!(!of("context.route == \"a\" && context has acr").varies());
        assert!(of("context has now").now && of("{\"x\": context}.x.now < datetime(\"2026-01-01\")").now);
        assert!(!of("context.era == \"modern\"").now);
    }
}
