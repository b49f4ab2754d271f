//! What would have to differ for something to be allowed: for people who ask why it is not.
//!
//! Conditions are taken apart at `&&` and `||` and each part is asked by itself, with the values that it reads.

use std::str::FromStr as _;

use auth::{Action, Principal};
use cedar_policy::{Entities, EvalResult, Expression, Policy, PrincipalConstraint, Request, eval_expression};
use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::context::{Moment, context};
use crate::leaf;
use crate::pointers::Pointers;
use crate::policies::Policies;
use crate::reads::{Members, Reads};
use crate::rule::{Deed, Rule};
use crate::schema::vocabulary;
use crate::standing;
use crate::verdict::{Verdict, Why};

use self::Operator::{And, Or};

/// The longest value that is shown, in characters, and how many of them of one part.
const LONGEST: usize = 200;
const MOST_VALUES: usize = 8;
/// So many parts of a policy are told of.
const MOST_PARTS: usize = 16;

/// A policy for which something would have to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Its id.
    pub id: String,
    /// Whether it permits: then all of [`Self::parts`] have to differ. Of one that forbids or asks, one is enough.
    pub permits: bool,
    /// What has to.
    pub parts: Vec<Part>,
}

/// A part of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// In Cedar.
    pub text: String,
    /// Whether it has to be so, or must not be.
    pub must: bool,
    /// What it looks at, and what that is.
    pub values: Vec<(String, String)>,
    /// Why nobody can say what it is.
    pub erred: Option<String>,
}

/// All that a condition can look at.
struct Scene {
    request: Request,
    entities: Entities,
    /// The groups that the caller is in, and the caller.
    whose: Vec<String>,
    /// The tags and the server of what it is about, and itself.
    what: Vec<String>,
}

impl Policies {
    /// What would have to differ for an action to be allowed of which they have said this: the nearest first. Policies that are about
    /// other things are left out.
    #[must_use]
    pub fn unmet(&self, principal: &Principal, action: &Action<'_>, verdict: &Verdict) -> Vec<Unmet> {
        let Some(deed) = Deed::of(action.method) else { return Vec::new() };
        let Ok(Some((scene, rules))) = self.scene(principal, action, deed) else { return Vec::new() };
        let is_meant = |rule: &&Rule| match &verdict.why {
            Why::NotPermitted => rule.permits,
            Why::Permitted(_) => false,
            _ => verdict.by().iter().any(|id| id == rule.id()),
        };
        let mut all: Vec<Unmet> = rules.into_iter().filter(is_meant).map(|rule| scene.unmet(rule)).collect();
        all.retain(|unmet| !unmet.parts.is_empty());
        all.sort_by_key(|unmet| if unmet.permits { unmet.parts.len() } else { 0 });
        all
    }

    /// What a condition can look at, and the policies that are about the thing.
    fn scene(
        &self,
        principal: &Principal,
        action: &Action<'_>,
        deed: Deed,
    ) -> Result<Option<(Scene, Vec<&Rule>)>, String> {
        let Some((_, thing)) = self.thing(action) else { return Ok(None) };
        let who = self.who(principal, action.known.claims);
        let names = thing.names();
        let anybody = |rule: &&Rule| rule.deeds.contains(&deed) && rule.is_about(&names);
        let rules = self.rules.iter().filter(anybody).collect();
        let wanted = Pointers { all: true, ..Pointers::default() };
        let arguments = Arguments::read(action.known.arguments.unwrap_or("{}"), &wanted);
        let arguments = arguments.map_err(|fault| fault.to_string())?;
        let uid = vocabulary().uid("Arguments", "");
        let tagged = leaf::entity(uid.clone(), &arguments, &Members::all())?;
        let entities = standing::with(&standing::entities(deed, &thing)?, [who.entity.clone(), tagged])?;
        let moment = Moment {
            now: self.clock.now(),
            address: action.known.address,
            era: action.known.era.unwrap_or("modern"),
            trace: action.known.trace,
            arguments: Some(&uid),
            complete: arguments.complete,
        };
        let reads = Reads { complete: true, ..Reads::anything() };
        let context = context(&who, &self.route, Some((&moment, &reads)), [])?;
        let request = Request::new(who.uid.clone(), vocabulary().action(deed), thing.uid(), context, None)
            .map_err(|error| error.to_string())?;
        let whose = who.names.iter().map(ToString::to_string).collect();
        let what = names.iter().map(ToString::to_string).collect();
        Ok(Some((Scene { request, entities, whose, what }, rules)))
    }
}

impl Scene {
    fn unmet(&self, rule: &Rule) -> Unmet {
        let mut parts = Vec::new();
        if rule.permits {
            parts.extend(self.whom(&rule.policy));
        }
        let json = rule.policy.to_json().unwrap_or_default();
        for condition in json["conditions"].as_array().into_iter().flatten() {
            let (body, is_when) = (&condition["body"], condition["kind"].as_str() == Some("when"));
            match (rule.permits, is_when) {
                (true, true) => parts.extend(self.that_are(body, And)),
                (true, false) => parts.extend(self.that_are(body, Or)),
                (false, true) => parts.extend(self.that_hold(body)),
                // All of it has to be so.
                (false, false) => parts.extend(joined(self.that_are(body, And))),
            }
        }
        Unmet { id: rule.id().to_owned(), permits: rule.permits, parts }
    }

    /// The callers that it is about, if the one at hand is none of them.
    fn whom(&self, policy: &Policy) -> Option<Part> {
        let (word, of) = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => return None,
            PrincipalConstraint::Eq(of) => ("==", of),
            PrincipalConstraint::In(of) | PrincipalConstraint::IsIn(_, of) => ("in", of),
        };
        let of = of.to_string();
        let is_one = self.whose.contains(&of);
        (!is_one).then(|| Part {
            text: format!("principal {word} {of}"),
            must: true,
            values: vec![("principal in".to_owned(), list(&self.whose))],
            erred: None,
        })
    }

    /// Those parts because of which `a && b` is not so, or `a || b` is, as Cedar goes through them: what stands behind the first is
    /// told of where it says the same, and what errs only where Cedar comes to it.
    fn that_are(&self, body: &Value, operator: Operator) -> Vec<Part> {
        let (mut all, mut is_reached) = (Vec::new(), true);
        for part in split(body, operator) {
            let Some(text) = text(part) else { continue };
            let erred = match self.ask(&text) {
                Ok(EvalResult::Bool(is)) if is != operator.decides_by() => continue,
                Ok(EvalResult::Bool(_)) => {
                    is_reached = false;
                    None
                }
                Ok(_) => continue,
                Err(_) if !is_reached => continue,
                Err(fault) => Some(short(&fault)),
            };
            all.push(Part { text: short(&text), must: operator == And, values: self.values(part), erred });
        }
        all.truncate(MOST_PARTS);
        all
    }

    /// Those parts of `a && b`, all of which are so, each of which would do if it were not.
    fn that_hold(&self, body: &Value) -> Vec<Part> {
        let parts = split(body, And).into_iter().filter_map(|part| {
            let text = text(part)?;
            let erred = self.ask(&text).err().map(|fault| short(&fault));
            Some(Part { text: short(&text), must: false, values: self.values(part), erred })
        });
        parts.take(MOST_PARTS).collect()
    }

    fn ask(&self, text: &str) -> Result<EvalResult, String> {
        let expression = Expression::from_str(text).map_err(|error| error.to_string())?;
        eval_expression(&self.request, &self.entities, &expression).map_err(|error| error.to_string())
    }

    /// What a part looks at, and what that is.
    fn values(&self, part: &Value) -> Vec<(String, String)> {
        let mut all = Vec::new();
        self.look(part, &mut all);
        all.truncate(MOST_VALUES);
        all
    }

    fn look(&self, part: &Value, all: &mut Vec<(String, String)>) {
        let Value::Object(members) = part else {
            if let Value::Array(each) = part {
                each.iter().for_each(|each| self.look(each, all));
            }
            return;
        };
        for (operator, operands) in members {
            let of = operands["left"]["Var"].as_str();
            match (operator.as_str(), of) {
                ("Value", _) => {}
                ("Record", _) => {
                    operands
                        .as_object()
                        .into_iter()
                        .flat_map(Map::values)
                        .for_each(|each| self.look(each, all));
                }
                // All arguments are told of by themselves (`Policies::leaves`).
                (".", Some("context")) if operands["attr"].as_str() == Some("arguments") => {}
                (".", _) => {
                    if let Some(text) = text(part)
                        && !all.iter().any(|(known, _)| *known == text)
                        && let Ok(value) = self.ask(&text)
                    {
                        all.push((text, short(&value.to_string())));
                    }
                }
                ("in" | "==" | "!=" | "is", Some("principal")) => {
                    note(all, "principal in", &self.whose);
                }
                ("in" | "==" | "!=" | "is", Some("resource")) => {
                    note(all, "resource in", &self.what);
                }
                _ => self.look(operands, all),
            }
        }
    }
}

/// What joins parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

impl Operator {
    fn name(self) -> &'static str {
        if self == And { "&&" } else { "||" }
    }

    /// What a part says after which the others are not asked.
    fn decides_by(self) -> bool {
        self == Or
    }
}

/// Several parts all of which have to be so, as one.
fn joined(parts: Vec<Part>) -> Option<Part> {
    let mut parts = parts.into_iter();
    let first = parts.next()?;
    Some(parts.fold(first, |mut all, part| {
        all.text = format!("{} && {}", all.text, part.text);
        for value in part.values {
            if !all.values.contains(&value) {
                all.values.push(value);
            }
        }
        all.erred = all.erred.or(part.erred);
        all
    }))
}

/// `a && b && c` → a, b, c
fn split(body: &Value, operator: Operator) -> Vec<&Value> {
    match body.get(operator.name()) {
        Some(operands) => {
            let mut parts = split(&operands["left"], operator);
            parts.extend(split(&operands["right"], operator));
            parts
        }
        None => vec![body],
    }
}

/// An expression as Cedar is written.
fn text(expression: &Value) -> Option<String> {
    let all = json!({ "op": "All" });
    let conditions = json!([{ "kind": "when", "body": expression }]);
    let policy = json!({
        "effect": "permit", "principal": all, "action": all, "resource": all, "conditions": conditions,
    });
    let text = Policy::from_json(None, policy).ok()?.to_cedar()?;
    let (_, body) = text.split_once("when")?;
    let body = body.trim().strip_prefix('{')?.strip_suffix("};")?;
    Some(body.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
}

fn note(all: &mut Vec<(String, String)>, read: &str, names: &[String]) {
    if !all.iter().any(|(known, _)| known == read) {
        all.push((read.to_owned(), list(names)));
    }
}

fn list(all: &[String]) -> String {
    short(&all.join(", "))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
