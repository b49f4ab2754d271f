//! The policies of a route, and what they say.
//!
//! What does not depend on a single call (who calls, what about) is decided once and remembered. What does, is decided at each
//! call by those policies alone that look at it and whose scope fits. A policy that errs denies: Cedar itself would skip it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, OnceLock, Weak};

use auth::definition::Sort;
use auth::{Action, Allowance, Claims, Principal};
use base::clock::Clock;
use base::digest::Digest;
use base::plan::policy::{PolicyPlan, ServerFacts};
use cedar_policy::EntityUid;

use crate::allowances;
use crate::arguments::{Arguments, Value};
use crate::context::{Moment, context};
use crate::fault::PolicyFault;
use crate::leaf;
use crate::load::load;
use crate::memory::Memory;
use crate::near;
use crate::reads::Reads;
use crate::rule::{Deed, Rule};
use crate::said::{self, Said};
use crate::schema::vocabulary;
use crate::standing::{self, Question, Sets, Standing, Varying};
use crate::thing::{Flags, Thing};
use crate::verdict::{Verdict, Why};
use crate::who::{Issuers, Who};

/// How many decisions, and how many callers, are remembered at least.
const MOST_STANDINGS: usize = 32 * 1024;
const MOST_CALLERS: usize = 8 * 1024;
/// And sets of policies that are asked together.
const MOST_SETS: usize = 256;
/// What has a longer name is decided anew each time.
const LONGEST_NAME: usize = 1024;

/// The policies of one route.
#[derive(Debug)]
pub struct Policies {
    pub(crate) rules: Vec<Rule>,
    pub(crate) plan: PolicyPlan,
    pub(crate) route: String,
    servers: BTreeMap<String, (usize, ServerFacts)>,
    pub(crate) issuers: Issuers,
    pub(crate) clock: Arc<dyn Clock>,
    id: String,
    /// All that any of them looks at.
    reads: Reads,
    /// The groups that they name.
    groups: HashSet<EntityUid>,
    /// The things that they name, by server.
    things: Vec<HashSet<String>>,
    /// Whoever nobody vouches for.
    nobody: OnceLock<Arc<Who>>,
    /// What one of them forbids, whatever.
    forbidden: BTreeSet<Deed>,
    /// How often those permit that say so, by their ids.
    pub(crate) limits: BTreeMap<String, Allowance>,
    standings: Memory<Key, Arc<Standing>>,
    sets: Sets,
    callers: Memory<usize, (Weak<Claims>, Arc<Who>)>,
}

/// What is decided alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    who: Arc<str>,
    deed: Deed,
    class: Class,
}

/// Things that are one to the policies at hand, if they are listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    sort: Sort,
    server: usize,
    /// The numbers of its words among those of its server.
    tags: Vec<usize>,
    listed: bool,
    flags: Flags,
    /// Its name, and its definition, where policies look at them.
    itself: Option<(Box<str>, Option<Arc<str>>)>,
}

/// Whether policies have a word for what a method does.
#[must_use]
pub fn is_decided(method: &str) -> bool {
    Deed::of(method).is_some()
}

/// What they say of an action.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) verdict: Verdict,
    /// Those that permit it, where it is allowed or is once it is approved; nothing where none of them says how often.
    pub(crate) permitting: Vec<String>,
}

/// What the policies of a route are made of.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The route's name.
    pub route: &'a str,
    /// Its servers.
    pub servers: &'a [ServerFacts],
    /// What tokens have as `iss` → the name of the issuer's table.
    pub issuers: &'a [(String, String)],
}

impl Policies {
    /// Reads the policies of a route.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        plan: &PolicyPlan,
        ground: Ground<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<PolicyFault>> {
        let rules = load(&plan.sources)?;
        let mut reads = Reads::default();
        rules.iter().for_each(|rule| reads.add(&rule.reads));
        let groups = reads.named.iter().filter(|(of, _)| of == "Mcp::Group");
        let groups = groups.map(|(_, id)| vocabulary().uid("Group", id)).collect();
        let of_server = |server: &ServerFacts| {
            let begins = format!("{}/", server.name);
            let names = reads.named.iter().filter_map(|(_, id)| id.strip_prefix(&begins));
            names.map(str::to_owned).collect()
        };
        let forbids = rules.iter().filter(|rule| !rule.permits);
        let forbidden = forbids.flat_map(|rule| rule.deeds.iter().copied()).collect();
        let things = ground.servers.iter().map(of_server).collect();
        let texts = plan.sources.iter().flat_map(|source| [source.name.as_str(), &source.text]);
        let facts = format!("{:?}", (plan.enforce, plan.explain, ground));
        let id = Digest::of(texts.chain([facts.as_str()])).to_string();
        let numbered =
            |(number, server): (usize, &ServerFacts)| (server.name.clone(), (number, server.clone()));
        let limits = allowances::all(&rules);
        Ok(Self {
            limits,
            rules,
            plan: plan.clone(),
            route: ground.route.to_owned(),
            servers: ground.servers.iter().enumerate().map(numbered).collect(),
            issuers: ground.issuers.iter().cloned().collect(),
            clock,
            id,
            reads,
            groups,
            things,
            nobody: OnceLock::new(),
            forbidden,
            standings: Memory::new(MOST_STANDINGS),
            sets: Memory::new(MOST_SETS),
            callers: Memory::new(MOST_CALLERS),
        })
    }

    /// Stands for all that they decide by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the policy of that id says of itself: its annotation of that name.
    #[must_use]
    pub fn annotation(&self, id: &str, name: &str) -> Option<&str> {
        self.rules.iter().find(|rule| rule.id() == id)?.policy.annotation(name)
    }

    /// Who calls, as policies see it.
    pub(crate) fn who(&self, principal: &Principal, claims: Option<&Arc<Claims>>) -> Arc<Who> {
        let make = || {
            let whose = (principal, claims.map(Arc::as_ref));
            Arc::new(Who::new(whose, &self.issuers, (self.reads.caller, &self.groups)))
        };
        let is_it = |who: &Who| who.uid.id().unescaped() == principal.id();
        let Some(claims) = claims else {
            let nobody = self.nobody.get_or_init(make);
            return if is_it(nobody) { Arc::clone(nobody) } else { make() };
        };
        let key = Arc::as_ptr(claims).addr();
        let known = || (Arc::downgrade(claims), make());
        let (of, who) = self.callers.get_or(&key, known);
        // The same place may have held another's. Whose uid differs is another, too.
        let is_theirs = std::ptr::eq(of.as_ptr(), Arc::as_ptr(claims)) && of.strong_count() > 0;
        if is_theirs && is_it(&who) { who } else { make() }
    }

    /// The thing that an action is about, if policies have a word for it.
    pub(crate) fn thing<'a>(&'a self, action: &Action<'a>) -> Option<(usize, Thing<'a>)> {
        let sort = match (action.known.sort, action.method) {
            (Some(sort), _) => sort,
            (None, "tools/call") => Sort::Tool,
            (None, "prompts/get") => Sort::Prompt,
            // It is about a tool, which whoever asks must know; the name is the task's.
            (None, method) if Deed::of(method) == Some(Deed::Task) => return None,
            (None, _) => Sort::Resource,
        };
        // What is no server of the route is Portolan itself.
        let (number, server) = self.servers.get(&**action.upstream)?;
        Some((*number, Thing { sort, server, name: action.name?, definition: action.known.definition }))
    }

    /// What is known before a call.
    pub(crate) fn standing(
        &self,
        who: &Who,
        deed: Deed,
        (server, thing): (usize, Thing<'_>),
    ) -> Arc<Standing> {
        let class = self.class(server, &thing);
        let key = Key { who: Arc::clone(&who.key), deed, class };
        let question =
            Question { rules: &self.rules, sets: &self.sets, who, deed, thing, route: &self.route };
        // Callers can make up names; what a server lists, they cannot.
        if thing.name.len() > LONGEST_NAME || (thing.definition.is_none() && key.class.itself.is_some()) {
            return Arc::new(Standing::of(&question));
        }
        self.standings.get_or(&key, || Arc::new(Standing::of(&question)))
    }

    pub(crate) fn class(&self, server: usize, thing: &Thing<'_>) -> Class {
        let is_tool = thing.sort == Sort::Tool;
        let is_named =
            self.reads.name || self.things.get(server).is_some_and(|names| names.contains(thing.name));
        // What a tool takes is looked at where arguments are.
        let defined = self.reads.name || !self.reads.arguments.is_empty();
        let digest = thing.definition.filter(|_| defined).map(|of| Arc::clone(&of.digest));
        let itself = (is_named || digest.is_some()).then(|| (thing.name.into(), digest));
        let words = thing.server.tool_tags.iter().enumerate();
        let fits = words.filter(|(_, (_, globs))| is_tool && globs.is_match(thing.name));
        Class {
            sort: thing.sort,
            server,
            tags: fits.map(|(number, _)| number).collect(),
            listed: is_tool && thing.definition.is_some(),
            flags: thing.flags(),
            itself,
        }
    }

    /// Whether something may be allowed, whatever else is known at a call, and is not kept out of lists.
    pub(crate) fn may_be(&self, who: &Who, of: (usize, Thing<'_>)) -> bool {
        let is_kept_out = || {
            let standing = self.standing(who, Deed::List, of);
            matches!(standing.fixed.why, Why::Forbidden(_) | Why::Erred { .. })
        };
        self.standing(who, Deed::List.rests_on(of.1.sort), of).may_be
            && !(self.forbidden.contains(&Deed::List) && is_kept_out())
    }

    /// What they say of an action; nothing where it is none of theirs.
    #[must_use]
    pub fn verdict(&self, principal: &Principal, action: &Action<'_>) -> Option<Verdict> {
        self.found(principal, action).map(|found| found.verdict)
    }

    /// The same, with what there is to know of those that permit it.
    pub(crate) fn found(&self, principal: &Principal, action: &Action<'_>) -> Option<Found> {
        let deed = Deed::of(action.method)?;
        let of = self.thing(action)?;
        let who = self.who(principal, action.known.claims);
        Some(self.judge(&who, deed, of, action))
    }

    /// Whether what they say of an action may depend on its arguments.
    #[must_use]
    pub fn needs_arguments(&self, principal: &Principal, action: &Action<'_>) -> bool {
        let (Some(deed), Some(of)) = (Deed::of(action.method), self.thing(action)) else { return false };
        if deed == Deed::Task {
            return false;
        }
        let who = self.who(principal, action.known.claims);
        let standing = self.standing(&who, deed.rests_on(of.1.sort), of);
        let reads =
            |varying: &Varying| varying.asked.reads.complete || !varying.asked.reads.arguments.is_empty();
        standing.may_be && standing.varying.as_deref().is_some_and(reads)
    }

    /// Whether what they say of an action may depend on claims of who wants it that are not known of everybody
    /// ([`Claims::more`]).
    #[must_use]
    pub fn needs_claims(&self, principal: &Principal, action: &Action<'_>) -> bool {
        let (Some(deed), Some((_, thing))) = (Deed::of(action.method), self.thing(action)) else {
            return false;
        };
        let (who, names) = (self.who(principal, action.known.claims), thing.names());
        let deeds = [deed, deed.rests_on(thing.sort)];
        self.rules.iter().any(|rule| {
            let concerns = deeds.iter().any(|deed| said::concerns(rule, *deed));
            rule.reads.claims && concerns && rule.may_concern(&who.names, &names)
        })
    }

    /// What they say of a deed.
    pub(crate) fn judge(&self, who: &Who, deed: Deed, of: (usize, Thing<'_>), action: &Action<'_>) -> Found {
        let rests_on = deed.rests_on(of.1.sort);
        // With which arguments it was begun is not known any more: it rests on whether the tool may be called at all.
        let first = match deed {
            Deed::Task => self.at_all(who, rests_on, of, action),
            _ => self.say(who, rests_on, of, action),
        };
        if !first.verdict.allowed || deed == rests_on || !self.forbidden.contains(&deed) {
            return first;
        }
        // It goes with what is allowed, unless it is forbidden by itself.
        let also = self.say(who, deed, of, action);
        if also.verdict.allowed || also.verdict.why == Why::NotPermitted { first } else { also }
    }

    /// What they say of it, with whatever arguments: those that look at none are asked as things stand.
    fn at_all(&self, who: &Who, deed: Deed, of: (usize, Thing<'_>), action: &Action<'_>) -> Found {
        let standing = self.standing(who, deed, of);
        let question =
            Question { rules: &self.rules, sets: &self.sets, who, deed, thing: of.1, route: &self.route };
        let apart = match &standing.varying {
            Some(_) => standing::without_arguments(&question),
            None => Ok((None, false)),
        };
        let (said, may) = match apart {
            Ok((Some(varying), may)) => (self.vary(&varying, (who, deed), action).over(&standing.said), may),
            Ok((None, may)) => (standing.said.clone(), may),
            Err(text) => (Said::denied(Why::Erred { id: None, text }), false),
        };
        // Whoever had to approve the call has.
        let is_allowed = said.permits() || (said.denied.is_none() && may);
        let verdict = match is_allowed {
            true => Verdict::allowed(said.permitting(&standing.said)),
            false => said.verdict(),
        };
        Found { verdict, permitting: Vec::new() }
    }

    fn say(&self, who: &Who, deed: Deed, of: (usize, Thing<'_>), action: &Action<'_>) -> Found {
        let standing = self.standing(who, deed, of);
        let said = match &standing.varying {
            Some(varying) => self.vary(varying, (who, deed), action).over(&standing.said),
            None if self.limits.is_empty() => {
                return Found { verdict: standing.fixed.clone(), permitting: Vec::new() };
            }
            None => standing.said.clone(),
        };
        // Those that look at nothing of the call permit it beside those that do.
        let permitting = if self.limits.is_empty() { Vec::new() } else { said.permitting(&standing.said) };
        Found { verdict: said.verdict(), permitting }
    }

    /// What those say that look at what only a call has.
    fn vary(&self, varying: &Varying, (who, deed): (&Who, Deed), action: &Action<'_>) -> Said {
        let text = action.known.arguments.unwrap_or("{}");
        let arguments = match Self::arguments(varying, text) {
            Ok(arguments) => arguments,
            Err(why) => return Said::denied(why),
        };
        let erred = |text| Said::denied(Why::Erred { id: None, text });
        let mut moment = Moment {
            now: self.clock.now(),
            address: action.known.address,
            era: action.known.era.unwrap_or("modern"),
            trace: action.known.trace,
            arguments: None,
            complete: arguments.as_ref().is_none_or(|arguments| arguments.complete),
        };
        if let Some(near) = &varying.asked.near {
            let members = arguments.iter().flat_map(|all| near::members(all, &varying.asked.reads.members));
            let said = context(who, &self.route, Some((&moment, &varying.asked.reads)), members)
                .and_then(|context| varying.request(deed, context))
                .map(|request| near.ask(&request, &varying.entities));
            // What has erred tells why in the words of what was written.
            match said {
                Ok(said) if !matches!(said.denied, Some(Why::Erred { .. })) => return said,
                Ok(_) => {}
                Err(text) => return erred(text),
            }
        }
        let uid = vocabulary().uid("Arguments", "");
        moment.arguments = Some(&uid);
        let entity = arguments.iter().map(|all| leaf::entity(uid.clone(), all, &varying.asked.reads.members));
        let said = entity
            .collect::<Result<Vec<_>, _>>()
            .and_then(|entity| standing::with(&varying.entities, entity))
            .and_then(|entities| {
                let context = context(who, &self.route, Some((&moment, &varying.asked.reads)), [])?;
                Ok(varying.asked.written.ask(&varying.request(deed, context)?, &entities))
            });
        said.unwrap_or_else(erred)
    }

    /// The arguments as policies see them, if any of those asked looks at them.
    fn arguments(varying: &Varying, text: &str) -> Result<Option<Arguments>, Why> {
        if varying.asked.reads.arguments.is_empty() {
            return Ok(None);
        }
        let arguments = Arguments::of_call(text, &varying.asked.wanted)
            .map_err(|fault| Why::Arguments(fault.to_string()))?;
        if varying.asked.reads.decimals && arguments.lacks_a_decimal() {
            return Err(Why::Arguments("a number has more than four digits after the point".to_owned()));
        }
        match &varying.shape {
            Some(Ok(shape)) => shape.check(&arguments).map_err(Why::Arguments)?,
            Some(Err(fault)) => return Err(Why::Schema(fault.clone())),
            None => {}
        }
        if !arguments.complete && !varying.asked.all_ask {
            return Err(Why::Incomplete);
        }
        Ok(Some(arguments))
    }

    /// What policies see of the arguments that `text` holds, as a person can read it: pointers, kinds and values.
    ///
    /// # Errors
    /// Why they cannot be read in one way.
    pub fn leaves(&self, text: &str) -> Result<Vec<(String, String)>, String> {
        let seen = Arguments::read(text, &self.reads.arguments).map_err(|fault| fault.to_string())?;
        let shown = |value: &Value| match (&value.text, value.flag, value.size) {
            (Some(text), _, _) if value.kind == "string" => format!("string {}", mcp::json::quote(text)),
            (Some(text), _, _) => format!("{} {text}", value.kind),
            (None, Some(flag), _) => format!("boolean {flag}"),
            (None, None, Some(size)) => format!("{} of {size}", value.kind),
            _ => value.kind.to_owned(),
        };
        let mut all: Vec<_> =
            seen.values.iter().map(|(pointer, value)| (pointer.clone(), shown(value))).collect();
        if !seen.complete {
            all.push(("(not all)".to_owned(), "too many or too long".to_owned()));
        }
        Ok(all)
    }

    /// The ids of all of them, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(Rule::id)
    }
}
