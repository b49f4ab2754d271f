//! Which servers a command speaks to: one that the command line names, or those of a configuration, as `serve` would show
//! them.

use std::path::{Path, PathBuf};

use base::error::CallError;
use base::fault::Absence;
use base::masks::Masks;
use base::plan::pins::{PinMode, PinRule, Quarantined, Suspicious};
use base::plan::{Limits, Naming, Plan, PrefixRule, Reach, RoutePlan, StdioReach, UpstreamPlan};
use http::header::AUTHORIZATION;

use crate::fault::Fault;
use crate::inherit::Inheriting;
use crate::log::Voice;
use crate::meant::instead;
use crate::policies;
use crate::serve::configuration::{Configuration, say};
use crate::words::{Target, Words, find_program};

/// The servers that a command speaks to.
#[derive(Debug)]
pub(crate) struct Targets {
    /// A plan with one route, which leads to them, and nothing that only `serve` needs.
    plan: Plan,
    /// The configuration that they are of, with every server that it has.
    file: Option<(PathBuf, Plan)>,
    /// Whether they are all that one route of several leads to.
    is_route: bool,
}

/// A plan with one route to these servers.
fn over(upstreams: Vec<UpstreamPlan>, naming: Naming) -> Plan {
    under(None, upstreams, naming)
}

/// The same, of which only that can be used which is decided so for the route that they are of.
fn under(of: Option<&RoutePlan>, upstreams: Vec<UpstreamPlan>, naming: Naming) -> Plan {
    let route = RoutePlan {
        name: "only".to_owned(),
        listeners: Vec::new(),
        path: "/".to_owned(),
        sse_path: None,
        upstreams: upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
        naming,
        page_size: None,
        durable_streams: false,
        json_depth: Limits::JSON_DEPTH,
        tells_of_changes: false,
        resource: None,
        policy: of.and_then(|of| of.policy.clone()),
        decides: of.and_then(|of| of.decides.clone()),
    };
    Plan { routes: vec![route], upstreams, ..Plan::default() }
}

impl Targets {
    /// The one server.
    pub(crate) fn one(server: UpstreamPlan) -> Self {
        Self { plan: over(vec![server], Naming::default()), file: None, is_route: false }
    }

    /// The same, of which is remembered what it says of its tools and prompts.
    pub(crate) fn looked_at(server: UpstreamPlan) -> Self {
        let rule = PinRule {
            server: server.name.clone(),
            mode: PinMode::Warn,
            quarantined: Quarantined::Withheld,
            suspicious: Suspicious::Report,
        };
        let mut one = Self::one(server);
        one.plan.pins.servers.push(rule);
        one
    }

    /// What the command line names. A configuration that cannot be used is said in full.
    pub(crate) fn read(target: &Target, headers: &[String], inheriting: &Inheriting) -> Result<Self, Fault> {
        let Target::File(path) = target else { return Ok(Self::one(target.plan(headers)?)) };
        if !headers.is_empty() {
            return Err(Fault::usage("headers are for a server at a URL")
                .hint("those of a configuration's servers stand in the file, under `headers`"));
        }
        let configuration = Configuration { inheriting: inheriting.clone(), ..Configuration::at(path) };
        let loaded = configuration.read();
        // Warnings are for who serves it: who asks one thing of it hears what is in the way of that.
        if let Some(mut whole) = loaded.plan {
            if let Err(faults) = policies::attach(&mut whole, path) {
                say(&faults, Voice::Person);
                return Err(Fault::Config(path.display().to_string()));
            }
            let plan = first_route(&whole)?;
            let is_route = whole.routes.len() > 1;
            return Ok(Self { plan, file: Some((path.clone(), whole)), is_route });
        }
        Err(configuration
            .judge(loaded, Voice::Person)
            .err()
            .unwrap_or_else(|| Fault::Bug("a configuration that can and cannot be used".to_owned())))
    }

    /// Takes the next word for the name of a server of the configuration, and speaks to that one alone, by its own names.
    /// Only that one is started.
    pub(crate) fn choose(&mut self, words: &mut Words) -> Result<(), Fault> {
        if self.file.is_none() {
            return Ok(());
        }
        let name = words.next().unwrap_or_default();
        self.narrow(&name)
    }

    /// The same where the word may also be something else: then it is the name of a server if it is one that the
    /// configuration has, or if another word comes that only a server can have before it.
    pub(crate) fn choose_if_meant(
        &mut self,
        words: &mut Words,
        is_more: fn(&str) -> bool,
    ) -> Result<(), Fault> {
        match words.rest.get(1) {
            Some(second) if is_more(second) => self.choose(words),
            _ => Ok(()),
        }
    }

    /// Whether it is a configuration of several servers, and none is chosen of which one has this name.
    pub(crate) fn has_among_others(&self, name: &str) -> bool {
        let servers = &self.plan.upstreams;
        servers.len() > 1 && servers.iter().any(|one| one.name == name)
    }

    fn narrow(&mut self, name: &str) -> Result<(), Fault> {
        let Some((path, whole)) = &self.file else { return Ok(()) };
        let shown = path.display();
        if let Some(left) = whole.left_out.iter().find(|left| left.name == name) {
            return Err(Fault::LeftOut(format!("{name:?} of {shown} is left out: {}", left.why))
                .hint(format!("portolan check {shown} shows the place")));
        }
        let Some(server) = whole.upstreams.iter().find(|one| one.name == name) else {
            let names: Vec<_> = whole.upstreams.iter().map(|one| one.name.as_str()).collect();
            return Err(Fault::usage(format!("{shown} has no server {name:?}")).hint(instead(
                name,
                &names,
                "its servers are",
            )));
        };
        let of = |route: &&RoutePlan| route.upstreams.iter().any(|one| one == name);
        let route = whole.routes.iter().find(of);
        let naming = route.map(|route| route.naming.clone()).unwrap_or_default();
        self.plan = under(route, vec![server.clone()], Naming { prefix: PrefixRule::Never, ..naming });
        self.is_route = false;
        Ok(())
    }

    /// Speaks only to the server that owns a public name, if its prefix tells which one: no other need be started for it.
    /// Names stay as they are.
    pub(crate) fn narrow_to_owner(&mut self, public: &str) {
        let [route] = self.plan.routes.as_slice() else { return };
        if route.naming.prefix == PrefixRule::Never || self.plan.upstreams.len() < 2 {
            return;
        }
        let owns = |server: &&UpstreamPlan| {
            let rest = public.strip_prefix(server.prefix.as_str());
            !server.prefix.is_empty() && rest.is_some_and(|rest| rest.starts_with(&route.naming.separator))
        };
        let mut owners = self.plan.upstreams.iter().filter(owns);
        if let (Some(owner), None) = (owners.next(), owners.next()) {
            let naming = Naming { prefix: PrefixRule::Always, ..route.naming.clone() };
            self.plan = under(Some(route), vec![owner.clone()], naming);
            self.is_route = false;
        }
    }

    /// The configuration, if they are of one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// What is not shown of the configuration, if anything.
    pub(crate) fn not_shown(&self) -> Option<String> {
        let (path, whole) = self.file.as_ref().filter(|_| self.is_route)?;
        let [first, others @ ..] = whole.routes.as_slice() else { return None };
        let names: Vec<_> = others.iter().map(|route| format!("{:?}", route.name)).collect();
        let (path, names) = (path.display(), names.join(", "));
        Some(format!(
            "{path}: this is the route {:?}; for servers of {names}, name the server after the file",
            first.name
        ))
    }

    /// What could be done about credentials that the only server refuses, if it is one over HTTP.
    pub(crate) fn credentials(&self) -> Option<String> {
        let [UpstreamPlan { reach: Reach::Http(http), .. }] = self.plan.upstreams.as_slice() else {
            return None;
        };
        let file = self.file().map(|path| path.display().to_string());
        let given = http.headers.iter().any(|(name, _)| *name == AUTHORIZATION);
        Some(match (file, given) {
            (Some(file), true) => format!("look at `Authorization` under its `headers` in {file}"),
            (None, true) => "look at the token in the header Authorization that it was given".to_owned(),
            (Some(file), false) => format!("give it some under its `headers` in {file}"),
            (None, false) => "give it some: --header 'Authorization: Bearer ${env:TOKEN}'".to_owned(),
        })
    }

    /// What could be done about the only server, of which this is wrong.
    pub(crate) fn cure(&self, error: &CallError) -> Option<String> {
        let has_ended = matches!(
            error,
            CallError::Unreachable { why, .. } | CallError::BrokeOff { why, .. } if why.how == Absence::Ended
        );
        // Why there is no connection the system says in words of its own.
        let says =
            |words: &str| matches!(error, CallError::Unreachable { why, .. } if why.what.contains(words));
        let file = self.file().map(|path| path.display().to_string());
        if matches!(error, CallError::Unauthorized { .. }) {
            return self.credentials();
        }
        let [UpstreamPlan { reach, .. }] = self.plan.upstreams.as_slice() else { return None };
        match reach {
            Reach::Stdio(StdioReach { child, .. }) => match find_program(&child.program) {
                None => Some(self.without_program(&child.program)),
                Some(_) if !has_ended => None,
                Some(_) => Some(match file {
                    Some(file) => {
                        format!(
                            "it was started with the `args` and `env` that {file} gives it; -v shows all it says"
                        )
                    }
                    None => "-v shows all that it says".to_owned(),
                }),
            },
            Reach::Http(_) if says("Connection refused") => {
                Some("nothing listens there: start the server, or look at the port of its URL".to_owned())
            }
            Reach::Http(_) if says("lookup address") => Some("look at the host of its URL".to_owned()),
            Reach::Http(_) | Reach::Own => None,
        }
    }

    /// What could be done where this machine has no such program.
    fn without_program(&self, program: &str) -> String {
        let mut words = program.split_whitespace();
        match (self.file(), words.next(), words.next()) {
            (Some(_), Some(first), Some(_)) => format!(
                "no shell splits {program:?} into words: the program is {first:?}, and the others are its arguments"
            ),
            (Some(_), ..) => "install it, or write its whole path".to_owned(),
            (None, ..) => {
                "install it, or write its whole path; if a server's URL is meant, it begins with http:// or https://; \
                 if a configuration is, its name ends in .json, .toml or .yaml"
                    .to_owned()
            }
        }
    }

    /// The servers themselves.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut UpstreamPlan> {
        self.plan.upstreams.iter_mut()
    }

    /// What is not to be seen of what passes.
    pub(crate) fn masks(&self) -> Masks {
        // What one server of a configuration was given, the others hide too.
        self.plan.upstreams.first().map(|server| server.masks.clone()).unwrap_or_default()
    }

    /// A plan with one route, which leads to them.
    pub(crate) fn plan(&self) -> Plan {
        self.plan.clone()
    }
}

/// What a client over stdio would get of a configuration: its first route.
fn first_route(whole: &Plan) -> Result<Plan, Fault> {
    let Some(route) = whole.routes.first() else {
        return Err(Fault::usage("the configuration has no route").hint("name one of its servers"));
    };
    let named = |name: &String| whole.upstreams.iter().find(|one| one.name == *name).cloned();
    let servers = route.upstreams.iter().filter_map(named).collect();
    let plan = under(Some(route), servers, route.naming.clone());
    Ok(Plan { left_out: whole.left_out.clone(), ..plan })
}
