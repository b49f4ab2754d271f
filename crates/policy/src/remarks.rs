//! What is odd about policies that are good: they name what can never be there, or leave nothing for others to say.

use base::plan::policy::{ServerFacts, built_in};
use cedar_policy::{PrincipalConstraint, ResourceConstraint};

use crate::doubts::doubts;
use crate::fault::{PolicyFault, position};
use crate::policies::Policies;
use crate::rule::{Deed, Rule};

/// What there is in a configuration for policies to name.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Its servers, also those of other routes.
    pub servers: &'a [ServerFacts],
    /// Who may vouch for callers of the route: the names of tables, and what stands for one.
    pub vouching: &'a [String],
}

impl Policies {
    /// What is odd about them, in their order, also by what there is around them, if that is known. What cannot be right at all has been
    /// refused before.
    #[must_use]
    pub fn remarks(&self, around: Option<Surroundings<'_>>) -> Vec<PolicyFault> {
        let mut remarks = Vec::new();
        for rule in &self.rules {
            remarks.extend(doubts(rule).map(|(text, help)| self.remark(rule, "", text, help.to_owned())));
            for (of, id) in &rule.reads.named {
                if let Some((text, help)) = around.and_then(|around| stranger((of, id), around)) {
                    let literal = format!("{of}::{}", mcp::json::quote(id));
                    remarks.push(self.remark(rule, &literal, text, help));
                }
            }
            if let Some(default) = self.overruled(rule) {
                let text = format!("this permits everything, so that {default:?} limits nothing");
                let help = format!("say here who may do what, or leave {default:?} out");
                remarks.push(self.remark(rule, "permit", text, help));
            }
        }
        remarks
    }

    /// Which of the policies that are built in has nothing left to say beside one that permits everything to everybody.
    fn overruled(&self, rule: &Rule) -> Option<&str> {
        let is_open = rule.policy.principal_constraint() == PrincipalConstraint::Any
            && rule.policy.resource_constraint() == ResourceConstraint::Any
            && rule
                .policy
                .to_json()
                .is_ok_and(|json| json["conditions"].as_array().is_none_or(Vec::is_empty));
        let is_limited = rule.asks.is_some() || self.limits.contains_key(rule.id());
        if !is_open || !rule.permits || is_limited || !rule.deeds.contains(&Deed::Call) {
            return None;
        }
        let mut names = self.plan.sources.iter().map(|source| source.name.as_str());
        names.find(|name| built_in(name).is_some() && *name != "allow-all")
    }

    /// At the place of that text in a policy, or where it begins.
    fn remark(&self, rule: &Rule, literal: &str, text: String, help: String) -> PolicyFault {
        let source = self.plan.sources.get(rule.source);
        let at = source.zip(self.start(rule)).map(|(source, start)| {
            let written = source.text.get(start..).unwrap_or_default();
            let end = rule.policy.to_string().len();
            let within = written.find(literal).filter(|place| *place < end).unwrap_or_default();
            position(&source.text, start + within)
        });
        let source = source.map(|source| source.name.clone()).unwrap_or_default();
        PolicyFault { source, at, text, help: Some(help) }
    }
}

/// What is odd about a name, and what to do.
fn stranger((of, id): (&str, &str), around: Surroundings<'_>) -> Option<(String, String)> {
    let begins = |name: &str| id.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    match of {
        "Mcp::Server" if !around.servers.iter().any(|server| server.name == id) => Some((
            format!("there is no server {id:?}"),
            listed("they are", around.servers.iter().map(|server| server.name.as_str())),
        )),
        "Mcp::Tool" | "Mcp::Prompt" | "Mcp::Resource"
            if !around.servers.iter().any(|server| begins(&server.name)) =>
        {
            let help = "they call a server by the name of its table, and a tool SERVER/TOOL";
            Some((format!("{of}::{id:?} is of no server here"), help.to_owned()))
        }
        "Mcp::Tag" => {
            let words = |server: &'_ ServerFacts| {
                let of_tools = server.tool_tags.iter().map(|(tag, _)| tag.clone());
                server.tags.iter().cloned().chain(of_tools).collect::<Vec<_>>()
            };
            let known: Vec<String> = around.servers.iter().flat_map(words).collect();
            (!known.iter().any(|word| word == id)).then(|| {
                let help = listed("there are", known.iter().map(String::as_str));
                (format!("nothing has the tag {id:?}"), help)
            })
        }
        "Mcp::Group" if !around.vouching.iter().any(|name| begins(name)) => {
            let text = format!("nobody is of the group {id:?}: nothing of the route vouches for it");
            Some((
                text,
                listed(
                    "a group is ISSUER/GROUP, where ISSUER is one of",
                    around.vouching.iter().map(String::as_str),
                ),
            ))
        }
        _ => None,
    }
}

/// Each of them once.
fn listed<'a>(before: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: std::collections::BTreeSet<_> = names.collect();
    if names.is_empty() {
        return "there are none".to_owned();
    }
    format!("{before}: {}", names.into_iter().collect::<Vec<_>>().join(", "))
}
