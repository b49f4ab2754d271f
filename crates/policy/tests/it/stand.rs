//! Policies, and whoever asks them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::definition::{Definition, Sort};
use auth::{Action, Claims, Decide as _, Known, Principal, Refusal};
use base::clock::Clock;
use base::define::define;
use base::globs::Globs;
use base::plan::policy::{PolicyPlan, PolicySource, ServerFacts};
use globset::Glob;
use policy::{Ground, Policies, PolicyFault, RoutePolicies, Verdict};

/// A Monday, 2026-11-30T12:00:00Z.
#[derive(Debug)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_040_000)
    }
}

/// Policies of a route with the servers `bank` (trusted) and `wiki`.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) route: RoutePolicies,
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) claims: Option<Arc<Claims>>,
}

/// A source of that text.
pub(crate) fn source(name: &str, text: &str) -> PolicySource {
    PolicySource { name: name.to_owned(), text: text.into() }
}

pub(crate) fn plan(texts: &[&str]) -> PolicyPlan {
    let named = texts.iter().enumerate().map(|(number, text)| source(&format!("p{number}.cedar"), text));
    PolicyPlan { sources: named.collect(), enforce: true, explain: false }
}

pub(crate) fn read(plan: &PolicyPlan) -> Result<Policies, Vec<PolicyFault>> {
    read_on("main", plan)
}

pub(crate) fn read_on(route: &str, plan: &PolicyPlan) -> Result<Policies, Vec<PolicyFault>> {
    let globs = Globs::new(vec![Glob::new("delete_*").unwrap()]).unwrap();
    let bank = ServerFacts {
        name: "bank".to_owned(),
        trusted: true,
        tags: vec!["money".to_owned()],
        tool_tags: vec![("dangerous".to_owned(), globs)],
    };
    let wiki = ServerFacts { name: "wiki".to_owned(), ..ServerFacts::default() };
    let issuers = [("https://id.example".to_owned(), "company".to_owned())];
    Policies::new(plan, Ground { route, servers: &[bank, wiki], issuers: &issuers }, Arc::new(Noon))
}

impl Stand {
    pub(crate) fn new(text: &str) -> Self {
        Self::of(&plan(&[text]))
    }

    pub(crate) fn of(plan: &PolicyPlan) -> Self {
        Self { route: RoutePolicies(Arc::new(read(plan).unwrap())) }
    }

    /// What is said of a call: `bank/pay`.
    pub(crate) fn call(&self, caller: &Caller, tool: &str, arguments: &str) -> Verdict {
        let name = tool.split_once('/').unwrap().1;
        let definition = crate::stand::tool(name, r#","inputSchema":{"type":"object"}"#);
        self.call_defined(caller, tool, Some(arguments), Some(&definition))
    }

    pub(crate) fn call_defined(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Option<&str>,
        definition: Option<&Arc<Definition>>,
    ) -> Verdict {
        let (server, name) = tool.split_once('/').unwrap();
        let server = server.into();
        let known = Known { claims: caller.claims.as_ref(), definition, arguments, ..Known::default() };
        let action = Action { method: "tools/call", upstream: &server, name: Some(name), known };
        self.route.0.verdict(&caller.principal, &action).unwrap()
    }

    /// What is said of something else than a call.
    pub(crate) fn ask(
        &self,
        caller: &Caller,
        method: &str,
        (sort, thing): (Sort, &str),
    ) -> Result<(), Refusal> {
        let (server, name) = thing.split_once('/').unwrap();
        let server = server.into();
        let known = Known { claims: caller.claims.as_ref(), sort: Some(sort), ..Known::default() };
        self.route.decide(&caller.principal, &Action { method, upstream: &server, name: Some(name), known })
    }

    /// Whether it is listed.
    pub(crate) fn lists(&self, caller: &Caller, tool: &str, definition: Option<&Arc<Definition>>) -> bool {
        self.shows(caller, (Sort::Tool, tool), definition)
    }

    pub(crate) fn shows(
        &self,
        caller: &Caller,
        (sort, thing): (Sort, &str),
        definition: Option<&Arc<Definition>>,
    ) -> bool {
        let (server, name) = thing.split_once('/').unwrap();
        let server = server.into();
        let known = Known { sort: Some(sort), definition, ..Known::default() };
        let method = sort.method();
        let view = self.route.view(&caller.principal, caller.claims.as_ref());
        view.is_none_or(|view| view.shows(&Action { method, upstream: &server, name: Some(name), known }))
    }
}

/// Somebody with a token of the company's.
pub(crate) fn user(subject: &str, groups: &[&str]) -> Caller {
    let issuer = "https://id.example".to_owned();
    let principal = Principal::of(&issuer, subject, None);
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    let claims = Claims { issuer, subject: subject.to_owned(), groups, ..Claims::default() };
    Caller { principal, claims: Some(Arc::new(claims)) }
}

/// Nobody in particular.
pub(crate) fn anonymous() -> Caller {
    Caller { principal: Principal::anonymous(), claims: None }
}

/// A tool with these members beside its name.
pub(crate) fn tool(name: &str, members: &str) -> Arc<Definition> {
    Arc::new(define(&format!(r#"{{"name":"{name}"{members}}}"#)))
}
