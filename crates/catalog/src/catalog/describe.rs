//! What a route says of itself: its only server's own description, or what all of its servers say, as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use auth::{Action, Gate, Principal};
use base::cache::{Bounds, Cache};
use base::digest::Digest;
use base::error::CallError;
use base::reply;
use base::sync::lock;
use futures_util::future::join_all;
use mcp::answer;
use mcp::cache::{Hints, Scope};
use mcp::call::Call;
use mcp::discover::{self, Capabilities, Discovered};
use mcp::json::{self, Object, Patch};
use mcp::jsonrpc::{Message, MessageKind};
use mcp::method::Kind;
use mcp::trace::Trace;
use mcp::version::{self, Era};
use tokio::time::{Duration, Instant};
use upstream::{Arrival, Order};

use crate::caller::Caller;
use crate::catalog::reading::Patience;
use crate::catalog::{Catalog, Member, remarks};

/// How long a merged description of several servers counts as fresh.
const DESCRIPTION_TTL: Duration = Duration::from_secs(60);
/// How long a server's own description is kept at most: nothing tells when it changes.
const LONGEST_DESCRIPTION_TTL: Duration = Duration::from_secs(3600);
/// How long a server is waited for that describes itself, where its last description is known; and for how long it is not asked
/// when it took longer.
const DESCRIBING: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// What is kept of descriptions: capability sets are the client's to choose.
const DESCRIPTIONS: Bounds = Bounds { values: 64, bytes: 4 * 1024 * 1024 };

/// The descriptions of one route.
#[derive(Debug)]
pub struct Descriptions {
    catalog: Arc<Catalog>,
    gate: Gate,
    /// The JSON object of our `Implementation`.
    identity: String,
    /// Whether clients are told that each list may change, whatever its servers say.
    tells_of_changes: bool,
    /// What a modern server says of itself, by principal and capabilities, and until when that is fresh.
    described: Cache<(Principal, Digest), (Message, Instant), CallError>,
    /// When it last took too long to say it.
    described_late: Mutex<Option<Instant>>,
}

impl Descriptions {
    pub fn new(catalog: &Arc<Catalog>, gate: &Gate, identity: &str, tells_of_changes: bool) -> Self {
        Self {
            catalog: Arc::clone(catalog),
            gate: gate.clone(),
            identity: identity.to_owned(),
            tells_of_changes,
            described: Cache::new(DESCRIPTIONS),
            described_late: Mutex::default(),
        }
    }

    /// Answers `server/discover`. One modern server describes itself; only the revisions are ours to say.
    pub async fn describe(&self, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        if let Some(member) = self.catalog.only() {
            let (era, _) = member.reader.describe(caller, Patience::Whole).await?;
            if era == Era::Modern {
                let message = self.described(member, call, caller).await?;
                return reply::with_id(&message, call.id());
            }
        }
        let (mut discovered, mut degraded) = self.discovered(caller).await?;
        degraded.extend(self.catalog.left_out().clone());
        // Of a legacy server only what crosses, and nothing that is unknown here.
        discovered.raw_capabilities = discovered.capabilities.text();
        let meta = if degraded.is_empty() { Vec::new() } else { vec![remarks::degraded(&degraded)] };
        reply::own_result(call.id(), &discovered.text(&meta))
    }

    /// Sends the call to the only server, for which it is permitted, and waits for the response.
    async fn ask(&self, member: &Member, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        let upstream = &member.upstream;
        let action = Action::new(call.method_name(), upstream.label(), None);
        let permit = self.gate.permit(&caller.principal, &action)?;
        let deadlines = upstream.plan().deadlines;
        let order = Order {
            call,
            era: caller.era(),
            reads: caller.era(),
            subject: None,
            trace: Trace::read(&caller.headers),
            span: None,
            is_listed: false,
            headers: &caller.headers,
            mirrored: &[],
            session: caller.session.clone(),
            client: caller.client.clone(),
            within: deadlines.call.min(deadlines.call_max),
            listens: false,
            probes: false,
            after: None,
            known_at: None,
            sent: None,
        };
        let mut answer = upstream.send(permit.cover(order)).await?;
        loop {
            if let Arrival::Response(response) = answer.next().await? {
                return Ok(response.message);
            }
        }
    }

    /// The only server's description of itself, asked for once as long as it is fresh and for whom it is meant.
    async fn described(&self, member: &Member, call: &Call, caller: &Caller) -> Result<Message, CallError> {
        let key = (caller.principal.clone(), Digest::of([call.client().capabilities()]));
        let is_fresh = |(_, until): &(Message, Instant)| *until > Instant::now();
        if let Some((message, _)) = self.described.find(&key, is_fresh) {
            return Ok(message);
        }
        let ask = Box::pin(async {
            let message = self.describe_itself(member, call, caller).await?;
            let hints = answer::result_object(&message).ok().and_then(|result| Hints::read(&result).ok());
            let ttl = hints.map_or(Duration::ZERO, |hints| hints.ttl).min(LONGEST_DESCRIPTION_TTL);
            let described = (message, Instant::now() + ttl);
            if answer::result_object(&described.0).is_ok() {
                // Fresh or not, it is the last that is known.
                self.described.put(key.clone(), described.clone(), described.0.bytes().len());
            }
            Ok(described)
        });
        let within = member.upstream.plan().deadlines.list;
        // What is known of it already is given instead, if it does not say it at once: there are clients that wait for no
        // longer than a second.
        let known = self.described.find(&key, |_| true).map(|(message, _)| message);
        let within = if known.is_some() { DESCRIBING.min(within) } else { within };
        let is_in_vain = member.upstream.sick().is_some()
            || lock(&self.described_late).is_some_and(|late| late.elapsed() < ASK_AGAIN);
        if let Some(known) = known.as_ref().filter(|_| is_in_vain) {
            return Ok(known.clone());
        }
        if let Some(error) = member.upstream.sick() {
            return Err(error);
        }
        let described = tokio::time::timeout(within, self.described.single_flight(&key, |_| true, ask)).await;
        let Ok(described) = described else {
            if let Some(known) = known {
                *lock(&self.described_late) = Some(Instant::now());
                return Ok(known);
            }
            let error = CallError::Deadline { upstream: member.upstream.name().to_owned(), after: within };
            member.upstream.hung(&error);
            return Err(error);
        };
        described.map(|(message, _)| message)
    }

    async fn describe_itself(
        &self,
        member: &Member,
        call: &Call,
        caller: &Caller,
    ) -> Result<Message, CallError> {
        let message = self.ask(member, call, caller).await?;
        let MessageKind::Result(parts) = message.kind() else { return Ok(message) };
        let invalid =
            |why: String| CallError::InvalidAnswer { upstream: member.upstream.name().to_owned(), why };
        let result = Object::parse(message.at(parts.result)).map_err(|fault| invalid(fault.to_string()))?;
        let mut patch = Patch::new();
        let ours: Vec<_> = version::names(Era::Modern).map(json::quote).collect();
        let versions = format!("[{}]", ours.join(","));
        let set = result.set("supportedVersions", versions.as_bytes(), parts.result.start, &mut patch);
        let raw = result.get("capabilities").map_err(|fault| invalid(fault.to_string()))?;
        if let Some(raw) = raw.filter(|_| self.tells_of_changes) {
            let at = result.span_of(raw).shift(parts.result.start);
            patch.replace(at, discover::telling_of_changes(raw).as_bytes());
        }
        set.and_then(|()| answer::name_type(&result, parts.result, &mut patch))
            .map_err(|fault| invalid(fault.to_string()))?;
        Message::parse(patch.apply(message.bytes())).map_err(|fault| invalid(fault.to_string()))
    }

    /// What the servers say of themselves, as one: with the reasons of those that could not be asked.
    pub async fn discovered(
        &self,
        caller: &Caller,
    ) -> Result<(Discovered, BTreeMap<String, String>), CallError> {
        let versions: Vec<String> = version::names(Era::Modern).map(str::to_owned).collect();
        if let Some(member) = self.catalog.only() {
            let (theirs, found) = member.reader.describe(caller, Patience::Whole).await?;
            let mut discovered = Discovered::clone(&found);
            discovered.versions = versions;
            if self.tells_of_changes {
                discovered.raw_capabilities = discover::telling_of_changes(&discovered.raw_capabilities);
                discovered.capabilities.tell_of_changes();
            }
            if theirs == Era::Legacy {
                discovered.hints = Hints { ttl: DESCRIPTION_TTL, scope: Scope::Private };
            }
            return Ok((discovered, BTreeMap::new()));
        }
        // Of whose server nothing may be listed does not hear that it is there.
        let view = self.catalog.views.of(caller.whose());
        let kinds = [Kind::Tool, Kind::Prompt, Kind::Resource];
        let is_seen = |member: &&Member| kinds.iter().any(|kind| member.sight(&view).lists(*kind));
        let members: Vec<_> = self.catalog.members.iter().filter(is_seen).collect();
        let asked = members.iter().map(|member| member.reader.describe(caller, Patience::Fair));
        let found = join_all(asked).await;
        let mut capabilities = Capabilities::default();
        let (mut instructions, mut degraded) = (Vec::new(), BTreeMap::new());
        let mut is_known = true;
        for (member, found) in members.iter().zip(found) {
            match found {
                Ok((_, discovered)) => {
                    capabilities = capabilities.or(&discovered.capabilities);
                    if let Some(text) = &discovered.instructions {
                        instructions.push(format!("# {}\n\n{text}", member.upstream.plan().prefix));
                    }
                }
                Err(error) => {
                    is_known = false;
                    degraded.insert(member.upstream.name().to_owned(), reply::wire(&error).text);
                }
            }
        }
        if !is_known {
            // What the missing ones have is not known; a client that is told «no tools» would not ask later.
            capabilities = capabilities.or(&everything());
        }
        capabilities.tell_of_changes();
        // Extensions with methods of their own have no owner in an aggregate; a task's id leads to one.
        capabilities.extensions.retain(|id, _| id == answer::APPS_EXTENSION || id == answer::TASKS_EXTENSION);
        let ttl = if degraded.is_empty() { DESCRIPTION_TTL } else { Duration::ZERO };
        let discovered = Discovered {
            versions,
            raw_capabilities: capabilities.text(),
            capabilities,
            instructions: (!instructions.is_empty()).then(|| instructions.join("\n\n")),
            info: Some(self.identity.clone()),
            hints: Hints { ttl, scope: Scope::Private },
            beyond: None,
        };
        Ok((discovered, degraded))
    }
}

fn everything() -> Capabilities {
    Capabilities {
        tools: true,
        tools_changed: true,
        prompts: true,
        prompts_changed: true,
        resources: true,
        resources_changed: true,
        subscribe: true,
        completions: true,
        ..Capabilities::default()
    }
}
