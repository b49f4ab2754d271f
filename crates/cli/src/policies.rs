//! Lets the policies of a configuration decide on its routes. A build without the feature `policy` refuses a configuration that
//! has some: to serve it without them would allow what they deny.

use std::path::Path;

use base::plan::Plan;
use config::Diagnostic;
#[cfg(feature = "policy")]
use config::Severity;

/// What to do with a build that has none.
#[cfg(not(feature = "policy"))]
pub(crate) const BUILD: &str =
    "build it with them: cargo install --locked --path crates/cli --features policy";

/// The policies of a route, for who checks them.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The route's name.
    pub(crate) route: String,
    /// How many there are.
    pub(crate) count: usize,
    /// What is odd about them.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// What is odd about the policies of all routes; of a file that several have, each thing once.
pub(crate) fn warnings(decided: &[Decided]) -> Vec<Diagnostic> {
    let mut all: Vec<Diagnostic> = Vec::new();
    for warning in decided.iter().flat_map(|one| &one.warnings) {
        if !all.contains(warning) {
            all.push(warning.clone());
        }
    }
    all
}

/// Lets them decide; `config` is the file that names them.
///
/// # Errors
/// Everything that is wrong with them.
#[cfg(feature = "policy")]
pub(crate) fn attach(plan: &mut Plan, config: &Path) -> Result<Vec<Decided>, Vec<Diagnostic>> {
    use std::sync::Arc;

    let clock: Arc<dyn base::clock::Clock> = Arc::new(base::clock::SystemClock);
    let attached = match policy::attach(plan, store::revocations::API_KEYS, &clock) {
        Ok(attached) => attached,
        Err(faults) => {
            let sources: Vec<_> = (plan.routes.iter())
                .filter_map(|route| route.policy.as_ref())
                .flat_map(|policy| policy.sources.iter().cloned())
                .collect();
            return Err(faults.iter().map(|fault| told(fault, &sources, config)).collect());
        }
    };
    let nowhere = attached.iter().filter_map(|one| nowhere(one, plan, config));
    let faults: Vec<_> = nowhere.chain(attached.iter().filter_map(|one| nobody(one, plan, config))).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let decided = |one: policy::Attached| Decided {
        count: one.policies.ids().count(),
        warnings: odd(&one, plan, config),
        route: one.route,
    };
    Ok(attached.into_iter().map(decided).collect())
}

/// What is wrong with policies that ask for approvals, where there is no place to keep those.
#[cfg(feature = "policy")]
fn nowhere(one: &policy::Attached, plan: &Plan, config: &Path) -> Option<Diagnostic> {
    if plan.store.is_some() || !one.policies.asks() {
        return None;
    }
    let text = format!(
        "policies of route {:?} ask for approvals, which are kept in a store, and the configuration has none",
        one.route
    );
    let help = "store = \"sqlite:portolan.db\", above the first table".to_owned();
    Some(Diagnostic::elsewhere(config, ("", None), text, Some(help)))
}

/// What is odd about policies.
#[cfg(feature = "policy")]
fn odd(one: &policy::Attached, plan: &Plan, config: &Path) -> Vec<Diagnostic> {
    let Some(route) = plan.routes.iter().find(|route| route.name == one.route) else { return Vec::new() };
    let sources = route.policy.iter().flat_map(|policy| policy.sources.iter().cloned()).collect::<Vec<_>>();
    let vouching = vouching(route);
    let around = policy::Surroundings { servers: &plan.server_facts, vouching: &vouching };
    let remarks = one.policies.remarks(Some(around));
    remarks.iter().map(|remark| warning(remark, (&sources, config))).collect()
}

/// What is odd about policies, as a warning.
#[cfg(feature = "policy")]
pub(crate) fn warning(
    odd: &policy::PolicyFault,
    (sources, config): (&[base::plan::policy::PolicySource], &Path),
) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..told(odd, sources, config) }
}

/// Who may vouch for the callers of a route, as policies name them.
#[cfg(feature = "policy")]
fn vouching(route: &base::plan::RoutePlan) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    if let Some(resource) = &route.resource {
        known.extend(resource.issuers.iter().cloned());
        known.extend(resource.api_keys.then(|| base::plan::policy::OWN_KEYS.to_owned()));
        known.extend(resource.certificates.iter().map(|of| format!("certificates:{}", of.name)));
        known.extend(resource.proxies.iter().map(|of| format!("proxy:{}", of.name)));
    }
    known
}

/// What is wrong with policies that name groups of keys as approvers: keys are in none.
#[cfg(feature = "policy")]
fn groupless(one: &policy::Attached, config: &Path) -> Option<Diagnostic> {
    let is_of_keys = |(issuer, shown): &(&str, &str)| {
        *issuer == base::plan::policy::OWN_KEYS && !shown.starts_with("user ")
    };
    let (_, shown) = one.policies.approvers().find(is_of_keys)?;
    let text = format!(
        "@approvers of the policies of route {:?} has {shown:?}, and keys are in no groups: nobody could ever answer",
        one.route
    );
    let help = "name a key: @approvers(\"user api-keys/NAME\")".to_owned();
    Some(Diagnostic::elsewhere(config, ("", None), text, Some(help)))
}

/// What is wrong with policies that name approvers for whom nothing vouches on their route: nobody could ever answer.
#[cfg(feature = "policy")]
fn nobody(one: &policy::Attached, plan: &Plan, config: &Path) -> Option<Diagnostic> {
    let known = vouching(plan.routes.iter().find(|route| route.name == one.route)?);
    let Some((issuer, shown)) =
        one.policies.approvers().find(|(issuer, _)| !known.iter().any(|of| of == issuer))
    else {
        return groupless(one, config);
    };
    let text = format!(
        "@approvers of the policies of route {:?} has {shown:?}, and nothing of that route vouches for {issuer:?}",
        one.route
    );
    let help = match known.as_slice() {
        [] => "the route knows nobody: issuers = [\"…\"], or policies without @approvers".to_owned(),
        known => format!("there ISSUER is one of: {}", known.join(", ")),
    };
    Some(Diagnostic::elsewhere(config, ("", None), text, Some(help)))
}

/// Lets them decide; `config` is the file that names them.
///
/// # Errors
/// When there are any.
#[cfg(not(feature = "policy"))]
pub(crate) fn attach(plan: &mut Plan, config: &Path) -> Result<Vec<Decided>, Vec<Diagnostic>> {
    let Some(route) = plan.routes.iter().find(|route| route.policy.is_some()) else { return Ok(Vec::new()) };
    let text =
        format!("route {:?} has policies, and this build of Portolan knows nothing of policies", route.name);
    Err(vec![Diagnostic::elsewhere(config, ("", None), text, Some(BUILD.to_owned()))])
}

/// What is wrong with policies, as mistakes of a configuration are told.
#[cfg(feature = "policy")]
pub(crate) fn told(
    fault: &policy::PolicyFault,
    sources: &[base::plan::policy::PolicySource],
    config: &Path,
) -> Diagnostic {
    let text = sources.iter().find(|source| source.name == fault.source).map(|source| &*source.text);
    let place = (text.unwrap_or_default(), fault.at);
    Diagnostic::elsewhere(&beside(config, &fault.source), place, fault.text.clone(), fault.help.clone())
}

/// The path of a file that a configuration names.
#[cfg(feature = "policy")]
pub(crate) fn beside(config: &Path, name: &str) -> std::path::PathBuf {
    match config.parent() {
        _ if base::plan::policy::built_in(name).is_some() => name.into(),
        Some(directory) => directory.join(name),
        None => name.into(),
    }
}
