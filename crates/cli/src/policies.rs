//! Lets the policies of a configuration decide on its routes. A build without the feature `policy` refuses a configuration that
//! has some: to serve it without them would allow what they deny.

use std::path::Path;

use base::plan::Plan;
use config::{Diagnostic, Severity};

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
    /// What they name that no server of the configuration can have.
    pub(crate) strangers: Vec<String>,
    /// What in them is seldom meant.
    pub(crate) doubts: Vec<Diagnostic>,
}

impl Decided {
    /// What there is to say of them, none of which keeps them from deciding.
    pub(crate) fn warnings(&self, config: &Path) -> Vec<Diagnostic> {
        let strangers = self.strangers.iter().map(|stranger| self.warning(stranger, config));
        strangers.chain(self.doubts.iter().cloned()).collect()
    }

    /// What there is to say of a name that no server can have.
    fn warning(&self, stranger: &str, config: &Path) -> Diagnostic {
        let text =
            format!("the policies of route {:?} name {stranger}, which is of no server here", self.route);
        let help = "they call a server by the name of its table, and a tool SERVER/TOOL";
        let found = Diagnostic::elsewhere(config, ("", None), text, Some(help.to_owned()));
        Diagnostic { severity: Severity::Warning, ..found }
    }
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
            let sources = sources(plan);
            return Err(faults.iter().map(|fault| told(fault, &sources, config)).collect());
        }
    };
    let nowhere = attached.iter().filter_map(|one| nowhere(one, plan, config));
    let faults: Vec<_> = nowhere.chain(attached.iter().filter_map(|one| nobody(one, plan, config))).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let has = |stranger: &String| {
        let named = stranger.split_once("::\"").map_or("", |(_, rest)| rest.trim_end_matches('"'));
        plan.server_facts.iter().any(|server| named.split('/').next() == Some(&server.name))
    };
    let sources = sources(plan);
    // Routes share policies, and each doubt is told once.
    let mut told: Vec<policy::PolicyFault> = Vec::new();
    let mut doubts = |one: &policy::Attached| {
        let mut doubts = one.policies.doubts();
        doubts.retain(|doubt| !told.contains(doubt));
        told.extend(doubts.iter().cloned());
        doubts.iter().map(|doubt| doubted(doubt, &sources, config)).collect()
    };
    let decided = |one: policy::Attached| Decided {
        doubts: doubts(&one),
        route: one.route,
        count: one.policies.ids().count(),
        strangers: one.policies.strangers().into_iter().filter(|name| !has(name)).collect(),
    };
    Ok(attached.into_iter().map(decided).collect())
}

/// All texts of policies.
#[cfg(feature = "policy")]
fn sources(plan: &Plan) -> Vec<base::plan::policy::PolicySource> {
    let all = plan.routes.iter().filter_map(|route| route.policy.as_ref());
    all.flat_map(|policy| policy.sources.iter().cloned()).collect()
}

/// What is seldom meant, told as a warning.
#[cfg(feature = "policy")]
pub(crate) fn doubted(
    doubt: &policy::PolicyFault,
    sources: &[base::plan::policy::PolicySource],
    config: &Path,
) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..told(doubt, sources, config) }
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

/// What is wrong with policies that name approvers for whom nothing vouches on their route: nobody could ever answer.
#[cfg(feature = "policy")]
fn nobody(one: &policy::Attached, plan: &Plan, config: &Path) -> Option<Diagnostic> {
    let resource = plan.routes.iter().find(|route| route.name == one.route)?.resource.as_ref();
    let mut known: Vec<String> = Vec::new();
    if let Some(resource) = resource {
        known.extend(resource.issuers.iter().cloned());
        known.extend(resource.api_keys.then(|| base::plan::policy::OWN_KEYS.to_owned()));
        known.extend(resource.certificates.iter().map(|of| format!("certificates:{}", of.name)));
        known.extend(resource.proxies.iter().map(|of| format!("proxy:{}", of.name)));
    }
    let (issuer, shown) =
        one.policies.approvers().find(|(issuer, _)| !known.iter().any(|of| of == issuer))?;
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
