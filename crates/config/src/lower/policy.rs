//! Which policies say who may do what, and what they are told of servers.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base::plan::RoutePlan;
use base::plan::policy::{self, PolicyPlan, PolicySource, ServerFacts};

use super::Lowering;
use super::route::entries;
use crate::file::{self, Config};
use base::nearest::nearest;

use crate::findings::quoted;
use crate::node::{At, Span};
use crate::outside;
use crate::read::Entry;
use crate::template::Template;
use crate::value::Policies;

/// What the name of a file with policies ends in.
const ENDING: &str = "cedar";
/// Those that are built in and let nobody call a tool of which no trusted server says what it does.
const BELIEVING: [&str; 2] = ["annotated", "read-only"];

/// Policies with what becomes of what they deny, and where they are named.
pub(super) type Named = (PolicyPlan, Span);

impl Lowering<'_, '_> {
    /// The policies of routes that name none.
    pub(super) fn common_policy(&mut self, config: &Config) -> Option<Named> {
        let sources = config.policy.as_ref().map(|given| (self.sources(given), given.span));
        if sources.is_none() && config.route.is_none() {
            // Of routes, each is told.
            self.without_policy(config.policy_mode.as_ref(), config.denials.as_ref());
        }
        let (sources, span) = sources?;
        Some((PolicyPlan { sources, enforce: enforces(config, None), explain: explains(config, None) }, span))
    }

    /// The policies of a route.
    pub(super) fn route_policy(
        &mut self,
        config: &Config,
        given: &file::Route,
        common: Option<&Named>,
    ) -> Option<Named> {
        let own = given.policy.as_ref().map(|given| (self.sources(given), given.span));
        let Some((sources, span)) = own.or_else(|| Some((common?.0.sources.clone(), common?.1))) else {
            self.without_policy(given.policy_mode.as_ref(), given.denials.as_ref());
            return None;
        };
        let (enforce, explain) = (enforces(config, Some(given)), explains(config, Some(given)));
        Some((PolicyPlan { sources, enforce, explain }, span))
    }

    fn without_policy(&mut self, mode: Option<&At<file::PolicyMode>>, denials: Option<&At<file::Denials>>) {
        let mode = mode.filter(|given| given.value != file::PolicyMode::Enforce).map(|given| given.span);
        let denials = denials.filter(|given| given.value != file::Denials::Hide).map(|given| given.span);
        for span in [mode, denials].into_iter().flatten() {
            self.findings
                .warning(span, "there is no policy, so that nothing is denied")
                .help("policy = \"read-only\", or the path of a .cedar file");
        }
    }

    fn sources(&mut self, given: &At<Policies>) -> Vec<PolicySource> {
        let names = &given.value.names;
        if names.is_empty() {
            let finding = self.findings.error(given.span, "without a policy nothing would be allowed");
            finding.help("policy = \"allow-all\" allows everything");
        }
        let mut sources: Vec<PolicySource> = Vec::new();
        for name in names {
            for source in self.source(name) {
                if sources.iter().any(|other| other.name == source.name) {
                    self.findings.error(name.span, format!("{:?} is named here twice", source.name));
                } else {
                    sources.push(source);
                }
            }
        }
        sources
    }

    /// What a name stands for: a text, or those of a directory.
    fn source(&mut self, given: &At<Template>) -> Vec<PolicySource> {
        let Some(name) = self.resolve_open(given) else { return Vec::new() };
        if let Some(text) = policy::built_in(&name) {
            return vec![PolicySource { name, text: text.into() }];
        }
        let Some(path) = self.path(given) else { return Vec::new() };
        self.outside.depends_on(&path);
        if path.is_dir() {
            return self.directory_of_policies(&name, &path, given.span);
        }
        let is_path = name.contains('/') || has_ending(&path);
        if !is_path && !path.exists() {
            let all = policy::BUILT_IN.map(|(name, _)| name);
            let text = format!("no policy is called {name:?}");
            let finding = self.findings.error(given.span, text);
            match nearest(&name, all) {
                Some(meant) => finding.help(format!("did you mean {meant:?}?")),
                None => finding.help(format!(
                    "{} are built in; a file is named by its path: \"{name}.cedar\"",
                    quoted(all, "and")
                )),
            };
            return Vec::new();
        }
        if path.exists() && !has_ending(&path) {
            self.findings
                .error(given.span, format!("{} is no file with policies", path.display()))
                .help("let its name end in .cedar");
            return Vec::new();
        }
        self.file_of_policies(name, &path, given.span).into_iter().collect()
    }

    fn file_of_policies(&mut self, name: String, path: &Path, span: Span) -> Option<PolicySource> {
        let text = self.outside.text(path, span, self.findings)?;
        Some(PolicySource { name, text: Arc::from(text) })
    }

    fn directory_of_policies(&mut self, named: &str, directory: &Path, span: Span) -> Vec<PolicySource> {
        let paths = fs::read_dir(directory).and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
            paths.retain(|path| has_ending(path));
            paths.sort();
            Ok(paths)
        });
        let paths = match paths {
            Ok(paths) => paths,
            Err(error) => {
                outside::unreadable(directory, &error, span, self.findings);
                return Vec::new();
            }
        };
        if paths.is_empty() {
            let finding =
                self.findings.error(span, format!("no file in {} ends in .cedar", directory.display()));
            finding.help("`portolan policy new` writes one to begin with");
        }
        let mut sources = Vec::new();
        for path in paths {
            let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
                let finding = self.findings.error(span, format!("{} is no Unicode name", path.display()));
                finding.help("give the file another name");
                continue;
            };
            let name = format!("{}/{file}", named.trim_end_matches('/'));
            sources.extend(self.file_of_policies(name, &path, span));
        }
        sources
    }

    /// What policies are told of each server.
    pub(super) fn server_facts(&mut self, config: &Config) -> Vec<ServerFacts> {
        let mut facts = Vec::new();
        for Entry { name, value } in config.upstream.iter().flat_map(|given| &given.value.0) {
            let given = value.as_ref().map(|given| &given.value);
            let tools = given.and_then(|given| given.tools.as_ref()).and_then(|of| of.value.tags.as_ref());
            let prompts =
                given.and_then(|given| given.prompts.as_ref()).and_then(|of| of.value.tags.as_ref());
            if let Some(tags) = prompts {
                self.findings
                    .error(tags.span, "only tools have tags of their own")
                    .help("`tags` of the server are those of all that it has");
            }
            let mut tool_tags = Vec::new();
            for Entry { name: tag, value: globs } in tools.iter().flat_map(|given| &given.value.0) {
                self.name("a tag", tag);
                if let Some(globs) = self.globs(globs.as_ref()) {
                    tool_tags.push((tag.value.clone(), globs));
                }
            }
            let tags = given.and_then(|given| given.tags.as_ref());
            let tags: Vec<_> = tags.iter().flat_map(|tags| &tags.value).collect();
            tags.iter().for_each(|tag| self.name("a tag", tag));
            facts.push(ServerFacts {
                name: name.value.clone(),
                trusted: given.and_then(|given| given.trusted.as_ref()).is_some_and(|trusted| trusted.value),
                tags: tags.into_iter().map(|tag| tag.value.clone()).collect(),
                tool_tags,
            });
        }
        facts
    }

    /// Policies call things by the name of a table, `/` and a name of its own: which is which must be beyond doubt.
    fn names_are_beyond_doubt(&mut self, config: &Config) {
        let servers = entries(config.upstream.as_ref()).into_iter().map(|name| ("server", name));
        let issuers = entries(config.issuer.as_ref()).into_iter().map(|name| ("issuer", name));
        for (of, name) in servers.chain(issuers) {
            if name.value.contains('/') {
                let text = format!("where there are policies, the name of a {of} has no '/'");
                self.findings
                    .error(name.span, text)
                    .help("they call a tool SERVER/TOOL, and a group ISSUER/GROUP");
            }
            if of == "issuer" && name.value == policy::OWN_KEYS {
                let text = format!("policies call Portolan's own keys {:?}", policy::OWN_KEYS);
                self.findings.error(name.span, text).help("give the issuer another name");
            }
        }
    }

    /// Warns of what is said for policies and seen by none.
    pub(super) fn policies_see(&mut self, config: &Config, routes: &[RoutePlan]) {
        if routes.iter().any(|route| route.policy.is_some()) {
            self.names_are_beyond_doubt(config);
        }
        for Entry { name, value } in config.upstream.iter().flat_map(|given| &given.value.0) {
            let Some(At { value: given, .. }) = value else { continue };
            let sees = |route: &RoutePlan| route.policy.is_some() && route.upstreams.contains(&name.value);
            if given.disabled.as_ref().is_some_and(|disabled| disabled.value) || routes.iter().any(sees) {
                continue;
            }
            let tools = given.tools.as_ref().and_then(|tools| tools.value.tags.as_ref());
            let said = [
                ("trusted", given.trusted.as_ref().filter(|given| given.value).map(|given| given.span)),
                ("tags", given.tags.as_ref().map(|given| given.span)),
                ("tools.tags", tools.map(|given| given.span)),
            ];
            for (key, span) in said {
                let Some(span) = span else { continue };
                let text = format!("{key} is for policies, and no route to {:?} has any", name.value);
                self.findings.warning(span, text).help("policy = \"annotated\", above the first table");
            }
        }
    }

    /// Warns of a route on which no tool could be called.
    pub(super) fn something_is_trusted(
        &mut self,
        (route, (plan, span)): (&str, &Named),
        upstreams: &[String],
        facts: &[ServerFacts],
    ) {
        let believes = |source: &PolicySource| BELIEVING.contains(&source.name.as_str());
        if plan.sources.is_empty() || !plan.sources.iter().all(believes) {
            return;
        }
        let is_trusted = |name: &String| facts.iter().any(|server| server.name == *name && server.trusted);
        if upstreams.is_empty() || upstreams.iter().any(is_trusted) {
            return;
        }
        let text =
            format!("no server of route {route:?} is trusted, so that none of their tools could be called");
        self.findings.warning(*span, text).help(
            "write trusted = true under each [upstream.NAME] of which you believe what it says of its tools",
        );
    }
}

fn has_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

fn enforces(config: &Config, route: Option<&file::Route>) -> bool {
    let own = route.and_then(|route| route.policy_mode.as_ref());
    own.or(config.policy_mode.as_ref()).is_none_or(|mode| mode.value == file::PolicyMode::Enforce)
}

fn explains(config: &Config, route: Option<&file::Route>) -> bool {
    let own = route.and_then(|route| route.denials.as_ref());
    own.or(config.denials.as_ref()).is_some_and(|denials| denials.value == file::Denials::Explain)
}
