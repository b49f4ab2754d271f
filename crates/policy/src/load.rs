//! From texts to policies, or to everything that is wrong with them.

use std::collections::{BTreeMap, HashMap};

use base::plan::policy::PolicySource;
use cedar_policy::{Policy, PolicyId, PolicySet, ValidationError, ValidationMode, Validator};
use miette::Diagnostic;

use crate::allowances;
use crate::ask::AskFault;
use crate::fault::{PolicyFault, position};
use crate::rule::Rule;
use crate::schema::{SCHEMA, vocabulary};

/// What to do about a policy that looks at what only some actions have.
const WIDE: &str = "the policy is about several actions, and not all have that: say which it is about, as in action == Mcp::Action::\"call\"";

/// Reads all policies of some texts. They are good together, or not at all.
///
/// # Errors
/// All that is wrong.
pub(crate) fn load(sources: &[PolicySource]) -> Result<Vec<Rule>, Vec<PolicyFault>> {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    // Where each id stands.
    let mut places: HashMap<String, String> = HashMap::new();
    for (number, source) in sources.iter().enumerate() {
        match policies(source) {
            Ok(policies) => {
                // Two policies may have the same text: each is looked for behind the one before it.
                let mut from = 0;
                for (id, policy) in policies {
                    let written = policy.to_string();
                    let found = source.text.get(from..).and_then(|rest| rest.find(&written));
                    let at = found.map_or(from, |found| found + from);
                    from = at + written.len();
                    if let Some(before) = places.insert(id.clone(), source.name.clone()) {
                        faults.push(PolicyFault {
                            source: source.name.clone(),
                            at: Some(position(&source.text, at)),
                            text: format!("the id {id:?} stands in {before}, too"),
                            help: Some("each @id(\"…\") stands once".to_owned()),
                        });
                    }
                    match Rule::new(policy.new_id(PolicyId::new(id)), number) {
                        Ok(rule) => rules.push(rule),
                        Err(wrong) => faults.push(annotation(source, (at, &written), &wrong)),
                    }
                }
            }
            Err(found) => faults.extend(found),
        }
    }
    faults.extend(invalid(&rules, sources));
    if faults.is_empty() && rules.is_empty() {
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        faults.push(PolicyFault {
            source: names.join(", "),
            at: None,
            text: "there is no policy, so nothing would be allowed".to_owned(),
            help: Some("`portolan policy new` writes one to begin with".to_owned()),
        });
    }
    // The validator has no order of its own.
    faults.sort_by(|one, other| {
        let place = |fault: &PolicyFault| sources.iter().position(|source| source.name == fault.source);
        (place(one), one.at, &one.text).cmp(&(place(other), other.at, &other.text))
    });
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

/// What is wrong with an annotation of the policy that is written so, and stands there.
fn annotation(source: &PolicySource, (at, written): (usize, &str), wrong: &AskFault) -> PolicyFault {
    let name = format!("@{}", wrong.annotation);
    // Of two names of which one begins as the other, the whole one.
    let is_whole = |(place, _): &(usize, &str)| {
        let behind = written.get(place + name.len()..).unwrap_or_default();
        !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    let offset = written.match_indices(&name).find(is_whole).map_or(0, |(place, _)| place);
    PolicyFault {
        source: source.name.clone(),
        at: Some(position(&source.text, at + offset)),
        text: wrong.text.clone(),
        help: Some(wrong.help.to_owned()),
    }
}

/// The policies of one text with their ids, in their order.
fn policies(source: &PolicySource) -> Result<Vec<(String, Policy)>, Vec<PolicyFault>> {
    let set: PolicySet = source.text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| fault(source, error, error.to_string())).collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        return Err(vec![PolicyFault {
            source: source.name.clone(),
            at: None,
            text: format!("{} is a template, which nothing fills in", template.id()),
            help: Some("write what ?principal or ?resource is to be".to_owned()),
        }]);
    }
    // The parser names them by their position.
    let by_position: BTreeMap<usize, &Policy> = set
        .policies()
        .filter_map(|policy| {
            let id: &str = policy.id().as_ref();
            Some((id.strip_prefix("policy")?.parse().ok()?, policy))
        })
        .collect();
    if by_position.len() != set.policies().count() {
        let text = "its policies cannot be told apart".to_owned();
        return Err(vec![PolicyFault { source: source.name.clone(), at: None, text, help: None }]);
    }
    let named = |(position, policy): (usize, &Policy)| {
        let id = policy.annotation("id").map(str::to_owned).filter(|id| !id.is_empty());
        (id.unwrap_or_else(|| format!("{}#{}", source.name, position + 1)), policy.clone())
    };
    Ok(by_position.into_iter().map(named).collect())
}

/// What the schema says against them.
fn invalid(rules: &[Rule], sources: &[PolicySource]) -> Vec<PolicyFault> {
    let validator = Validator::new(vocabulary().schema.clone());
    let mut faults = Vec::new();
    for rule in rules {
        let Some(source) = sources.get(rule.source) else { continue };
        if let Some((text, help)) = allowances::fault(rule) {
            let text = format!("{}: {text}", rule.id());
            faults.push(PolicyFault { source: source.name.clone(), at: None, text, help: Some(help) });
        }
        let set = match PolicySet::from_policies([rule.policy.clone()]) {
            Ok(set) => set,
            Err(error) => {
                faults.push(fault(source, &error, error.to_string()));
                continue;
            }
        };
        let result = validator.validate(&set, ValidationMode::Strict);
        faults.extend(lacking(result.validation_errors(), rule, source));
        // What can never be satisfied says nothing, and whoever wrote it meant something.
        let odd = result.validation_warnings().map(|warning| fault(source, warning, warning.to_string()));
        faults.extend(odd);
    }
    faults
}

/// The same, where a policy is about several actions and not all of them have what it looks at: said once, and what to do.
fn lacking<'a>(
    errors: impl Iterator<Item = &'a ValidationError>,
    rule: &Rule,
    source: &PolicySource,
) -> Vec<PolicyFault> {
    let mut faults: Vec<PolicyFault> = Vec::new();
    let mut errors: Vec<_> = errors.map(|error| (error.to_string(), error)).collect();
    // In an order, of which tools come before prompts.
    errors.sort_by(|(one, _), (other, _)| other.cmp(one));
    for (text, error) in errors {
        let mut found = fault(source, error, text);
        if rule.deeds.len() > 1 && matches!(error, ValidationError::UnsafeAttributeAccess(_)) {
            if faults.iter().any(|known| known.at == found.at) {
                continue;
            }
            if found.text.split('`').any(is_member) {
                found.help = Some(WIDE.to_owned());
            }
        }
        faults.push(found);
    }
    faults
}

/// Whether something in the schema has a member of that name.
fn is_member(name: &str) -> bool {
    let mut lines = SCHEMA.lines().map(str::trim_start);
    lines.any(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ") || rest.starts_with("?: "))
    })
}

fn fault(source: &PolicySource, of: &dyn Diagnostic, text: String) -> PolicyFault {
    let offset = of.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    PolicyFault {
        source: source.name.clone(),
        at: offset.map(|offset| position(&source.text, offset)),
        text,
        help: of.help().map(|help| help.to_string()),
    }
}
