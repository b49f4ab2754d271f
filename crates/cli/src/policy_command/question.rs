//! Something that somebody would do, and what policies say of it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use auth::definition::Sort;
use auth::{Action, Claims, Known, Principal, SaidClaim};
use base::clock::{Clock, SystemClock};
use base::define::define;
use base::plan::Plan;
use base::plan::policy::OWN_KEYS;
use mcp::json::quote;
use policy::{Attached, Policies, Unmet, Verdict};
use store::revocations::API_KEYS;

use crate::fault::Fault;
use crate::log::Voice;
use crate::meant::instead;
use crate::moments::moment;
use crate::serve::configuration::Configuration;

/// A question to policies.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Question {
    /// The route, where several have policies
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// Who it is: `sub` of a token, the name of a key. Without it, somebody of whom nothing is known
    #[arg(long = "as", value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
    /// Who vouches for that one: the name of its table, or api-keys. Without it, the only issuer
    #[arg(long, value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// The client by which that one acts
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// A group of that one; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// What the token is good for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// How that one has logged in
    #[arg(long, value_name = "ACR")]
    pub(crate) acr: Option<String>,
    /// A claim that policies look at, with its value in JSON or a text; may be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub(crate) claims: Vec<(String, SaidClaim)>,
    /// The tool to be called, by its server's own name
    #[arg(long, value_name = "SERVER/NAME")]
    pub(crate) tool: Option<String>,
    /// The prompt to be got
    #[arg(long, value_name = "SERVER/NAME")]
    pub(crate) prompt: Option<String>,
    /// The resource to be read
    #[arg(long, value_name = "SERVER/URI")]
    pub(crate) resource: Option<String>,
    /// The arguments; @FILE is what a file says
    #[arg(long, value_name = "JSON")]
    pub(crate) args: Option<String>,
    /// What the server says of the tool, as in '{"readOnlyHint": true}'
    #[arg(long, value_name = "JSON")]
    pub(crate) annotations: Option<String>,
    /// Where the connection comes from
    #[arg(long, value_name = "IP")]
    pub(crate) address: Option<IpAddr>,
    /// When: 2026-11-30T12:00:00Z, or 24h for so long ago. Without it, now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) now: Option<SystemTime>,
}

/// Reads a claim: what is no JSON is a text.
fn claim(text: &str) -> Result<(String, SaidClaim), String> {
    let (name, value) = text.split_once('=').ok_or("a claim is written NAME=VALUE")?;
    Ok((name.to_owned(), claim_of(value)?))
}

/// What a claim says: JSON, or else a text.
pub(crate) fn claim_of(value: &str) -> Result<SaidClaim, String> {
    let is_json = mcp::json::walk(value, |_| Ok::<_, mcp::json::JsonFault>(())).is_ok();
    let said = if is_json { SaidClaim::read(value) } else { Some(SaidClaim::Text(value.to_owned())) };
    said.ok_or_else(|| {
        format!(
            "policies see texts, whole numbers, true, false and lists of texts, and {value} is none of these"
        )
    })
}

/// What policies say.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) route: String,
    pub(crate) enforced: bool,
    pub(crate) policies: Arc<Policies>,
    /// Who would do what.
    pub(crate) deed: String,
    /// What would have to differ for it to be allowed.
    pub(crate) unmet: Vec<Unmet>,
}

/// A configuration whose policies can be asked.
#[derive(Debug)]
pub(crate) struct Opened {
    plan: Plan,
    attached: Vec<Attached>,
    clock: Arc<Stopped>,
}

/// What decides on a route.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deciding<'a> {
    Policies(&'a Policies),
    /// It has no policies.
    Nobody,
    NoSuchRoute,
}

/// A clock that can be set.
#[derive(Debug, Default)]
struct Stopped(Mutex<Option<SystemTime>>);

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| SystemClock.now())
    }
}

impl Opened {
    /// Reads it.
    pub(crate) fn read(path: &Path, voice: Voice) -> Result<Self, Fault> {
        let mut plan = Configuration::at(path).load(voice)?;
        let clock = Arc::new(Stopped::default());
        let shared: Arc<dyn Clock> = Arc::<Stopped>::clone(&clock);
        // What is wrong with them was said above.
        let attached = policy::attach(&mut plan, API_KEYS, &shared)
            .map_err(|_told| Fault::Config(path.display().to_string()))?;
        if attached.is_empty() {
            return Err(Fault::usage(format!("{} has no policies", path.display()))
                .hint("policy = \"read-only\" above the first table, or in a route"));
        }
        Ok(Self { plan, attached, clock })
    }

    /// What decides on a route.
    pub(crate) fn deciding_on(&self, route: &str) -> Deciding<'_> {
        match self.attached.iter().find(|one| one.route == route) {
            Some(one) => Deciding::Policies(&one.policies),
            None if self.plan.routes.iter().any(|one| one.name == route) => Deciding::Nobody,
            None => Deciding::NoSuchRoute,
        }
    }

    /// How the configuration calls an issuer.
    pub(crate) fn name_of_issuer<'a>(&'a self, issuer: &'a str) -> &'a str {
        if issuer == API_KEYS {
            return OWN_KEYS;
        }
        let named = self.plan.issuers.iter().find(|one| one.issuer == issuer);
        named.map_or(issuer, |one| one.name.as_str())
    }

    /// Sets what is now.
    pub(crate) fn set(&self, now: SystemTime) {
        *self.clock.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Whether there is a route of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn has_route(&self, name: &str) -> Result<(), Fault> {
        let names: Vec<_> = self.plan.routes.iter().map(|route| route.name.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        Err(Fault::usage(format!("there is no route {name:?}")).hint(instead(name, &names, "there are")))
    }

    /// Asks.
    pub(crate) fn ask(&self, question: &Question) -> Result<Decision, Fault> {
        let attached = self.route(question.route.as_deref())?;
        let (sort, word, thing) = question.thing()?;
        let (server, name) = thing.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or_else(|| {
            Fault::usage(format!("{thing:?} does not say of which server")).hint("write SERVER/NAME")
        })?;
        let claims = question.claims(&self.plan)?.map(Arc::new);
        let principal = claims.as_ref().map_or_else(Principal::anonymous, |claims| self.principal(claims));
        let upstream: Arc<str> = server.into();
        let annotations = question.annotations.as_deref().unwrap_or("{}");
        let definition = Arc::new(define(&format!(
            "{{\"name\":{},\"annotations\":{annotations},\"inputSchema\":{{}}}}",
            quote(name)
        )));
        let known = Known {
            claims: claims.as_ref(),
            sort: Some(sort),
            definition: Some(&definition),
            arguments: question.args.as_deref(),
            address: question.address,
            ..Known::default()
        };
        *self.clock.0.lock().unwrap_or_else(PoisonError::into_inner) = question.now;
        let action = Action { known, ..Action::new(sort.method(), &upstream, Some(name)) };
        let verdict = attached.policies.verdict(&principal, &action).ok_or_else(|| {
            let route = self.plan.routes.iter().find(|route| route.name == attached.route);
            let servers: Vec<_> =
                route.iter().flat_map(|route| &route.upstreams).map(String::as_str).collect();
            Fault::usage(format!("route {:?} has no server {server:?}", attached.route)).hint(instead(
                server,
                &servers,
                "its servers are",
            ))
        })?;
        let who = question.subject.as_deref().unwrap_or("somebody unknown");
        let route = self.plan.routes.iter().find(|route| route.name == attached.route);
        Ok(Decision {
            unmet: attached.policies.unmet(&principal, &action, &verdict),
            verdict,
            enforced: route.and_then(|route| route.policy.as_ref()).is_none_or(|policy| policy.enforce),
            route: attached.route.clone(),
            policies: Arc::clone(&attached.policies),
            deed: format!("{who} {word} {thing} on route {}", attached.route),
        })
    }

    fn route(&self, named: Option<&str>) -> Result<&Attached, Fault> {
        let names: Vec<_> = self.attached.iter().map(|one| one.route.as_str()).collect();
        match (named, self.attached.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Fault::usage("several routes have policies")
                .hint(format!("say which, with --route: {}", names.join(", ")))),
            (Some(named), all) => all.iter().find(|one| one.route == named).ok_or_else(|| {
                Fault::usage(format!("no route {named:?} has policies")).hint(instead(
                    named,
                    &names,
                    "those that have some are",
                ))
            }),
        }
    }

    fn principal(&self, claims: &Claims) -> Principal {
        if claims.issuer == API_KEYS {
            return Principal::of_key(&claims.subject);
        }
        let issuer = self.plan.issuers.iter().find(|issuer| issuer.issuer == claims.issuer);
        let by_client = issuer.is_some_and(|issuer| issuer.principal_by_client);
        Principal::of(&claims.issuer, &claims.subject, claims.client.as_deref().filter(|_| by_client))
    }
}

impl Question {
    fn thing(&self) -> Result<(Sort, &'static str, &str), Fault> {
        let tool = self.tool.as_deref().map(|name| (Sort::Tool, "calls", name));
        let prompt = self.prompt.as_deref().map(|name| (Sort::Prompt, "gets", name));
        let resource = self.resource.as_deref().map(|uri| (Sort::Resource, "reads", uri));
        let mut all = [tool, prompt, resource].into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(Fault::usage("it is about one tool, prompt or resource")
                .hint("--tool SERVER/NAME, --prompt SERVER/NAME or --resource SERVER/URI")),
        }
    }

    /// What would be said of who asks.
    fn claims(&self, plan: &Plan) -> Result<Option<Claims>, Fault> {
        let Some(subject) = &self.subject else {
            let is_said = self.issuer.is_some()
                || !self.groups.is_empty()
                || !self.claims.is_empty()
                || !self.scopes.is_empty();
            return if is_said {
                Err(Fault::usage("of somebody unknown nothing is known")
                    .hint("say who it is, with --as NAME"))
            } else {
                Ok(None)
            };
        };
        let issuer = match (self.issuer.as_deref(), plan.issuers.as_slice()) {
            (Some(OWN_KEYS), _) => API_KEYS.to_owned(),
            // By these names policies know who is vouched for so.
            (Some(named), _) if named.starts_with("certificates:") || named.starts_with("proxy:") => {
                named.to_owned()
            }
            (Some(named), all) => {
                let known: Vec<_> = all.iter().map(|issuer| issuer.name.as_str()).collect();
                let found = all.iter().find(|issuer| issuer.name == named);
                found.map(|issuer| issuer.issuer.clone()).ok_or_else(|| {
                    let help = "beside api-keys, certificates:NAME and proxy:NAME there are";
                    let hint = match known.as_slice() {
                        [] => "there are api-keys, certificates:NAME and proxy:NAME".to_owned(),
                        known => instead(named, known, help),
                    };
                    Fault::usage(format!("there is no issuer {named:?}")).hint(hint)
                })?
            }
            (None, [only]) => only.issuer.clone(),
            // Nobody else that has no name of its own vouches.
            (None, []) => API_KEYS.to_owned(),
            (None, _) => {
                let names: Vec<_> = plan.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
                let names = names.into_iter().chain([OWN_KEYS]).collect::<Vec<_>>().join(", ");
                return Err(Fault::usage("nobody is said to vouch for that one")
                    .hint(format!("say who, with --issuer: {names}")));
            }
        };
        Ok(Some(Claims {
            issuer,
            subject: subject.clone(),
            client: self.client.clone(),
            groups: self.groups.clone(),
            scopes: self.scopes.clone(),
            acr: self.acr.clone(),
            more: self.claims.iter().map(|(name, said)| (name.as_str().into(), said.clone())).collect(),
            ..Claims::default()
        }))
    }
}
