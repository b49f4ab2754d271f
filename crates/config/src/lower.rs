//! What the file means: checks the tables and makes the plan. Defaults are applied here and nowhere before.

use std::ops::RangeInclusive;
use std::time::Duration;

use base::plan::{Limits, Plan, StoreAway};
use transport::http::server::ServerLimits;

use crate::file::{self, Config};
use crate::findings::Findings;
use crate::node::At;
use crate::outside::{Inherit, Outside};
use crate::syntax::Syntax;
use crate::template::spelling::Spelling;
use crate::template::{self, Template};
use crate::value::Bounded;

mod address;
mod audit;
mod certificates;
mod hints;
mod http;
mod identity;
mod limit;
mod listener;
mod naming;
mod pins;
mod policy;
mod proxies;
mod replicas;
mod route;
mod selection;
mod sink;
mod stdio;
mod store;
mod telemetry;
mod upstream;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const KIB: usize = 1 << 10;
pub(crate) const GIB: usize = 1 << 30;
/// What is shown in the place of a secret that stands in the file itself.
const LITERAL: &str = "***";
/// More of anything is a slip of the finger.
pub(crate) const MANY: usize = 1_000_000;

/// How deep JSON may be allowed to go. What the protocol itself says goes seven or eight levels deep.
const JSON_DEPTHS: RangeInclusive<usize> = 16..=100_000;

/// Checks tables and makes the plan. Whatever is wrong goes to the findings; what is made then does not matter.
pub(crate) struct Lowering<'l, 'a> {
    pub(crate) findings: &'l mut Findings<'a>,
    pub(crate) outside: &'l mut Outside<'a>,
    /// How the file is written, if it is another client's, in which Portolan's own keys cannot be written.
    pub(crate) theirs: Option<Theirs>,
    /// What all programs get of the environment.
    pub(crate) inherit: Inherit,
}

/// How another client's file is written, for hints that do no harm there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theirs {
    pub(crate) spelling: &'static Spelling,
    pub(crate) syntax: Syntax,
    /// Whether a program and its arguments are one list.
    pub(crate) lists: bool,
}

impl Lowering<'_, '_> {
    /// The whole configuration.
    pub(crate) fn config(&mut self, config: &Config) -> Plan {
        let (limits, server_limits) = self.limits(config.limits.as_ref());
        let listeners = self.listeners(config, &server_limits);
        let admin = config.admin.as_ref().and_then(|admin| self.admin(admin));
        self.addresses_are_free(&listeners, admin.as_ref());
        self.defaults(config.defaults.as_ref());
        let mut upstreams = self.upstreams(config);
        let issuers = self.issuers(config);
        self.identity_is_not_forwarded(config);
        let server_facts = self.server_facts(config);
        let routes = self.routes(config, (&upstreams, &server_facts), limits.json_depth);
        self.policies_see(config, &routes);
        let limiting = self.limiting(config, &routes);
        upstreams.retain(|upstream| self.findings.fault_of(&upstream.name.value).is_none());
        for plan in upstreams.iter_mut().filter_map(|upstream| upstream.plan.as_mut()) {
            // What one route lets through cannot be refused to its server because of another.
            let theirs = routes.iter().filter(|route| route.upstreams.contains(&plan.name));
            plan.json_depth = theirs.map(|route| route.json_depth).max().unwrap_or(limits.json_depth);
        }
        let store = self.store(config.store.as_ref());
        let keys = self.keys(config, store.as_ref());
        let pins = self.pins(config, store.as_ref());
        let audit = self.audit(config);
        let sinks = self.sinks(config);
        let telemetry = config.telemetry.as_ref().and_then(|given| self.telemetry(given));
        self.durable_streams(config);
        let replicas = config.replicas.as_ref().and_then(|given| self.replicas(given, store.as_ref()));
        Plan {
            store,
            keys,
            replicas,
            listeners: listeners.into_iter().map(|bound| bound.plan).collect(),
            admin: admin.map(|admin| admin.value),
            store_away: config.admin.as_ref().map_or_else(Default::default, store_away),
            routes,
            issuers,
            upstreams: upstreams.into_iter().filter_map(|upstream| upstream.plan).collect(),
            limits,
            limiting,
            // Known when everything has been looked at.
            left_out: Vec::new(),
            server_facts,
            pins,
            audit,
            sinks,
            telemetry,
        }
    }

    /// What holds for every upstream. What the command line says comes before the file.
    fn defaults(&mut self, given: Option<&At<file::Defaults>>) {
        let Some(At { value: given, .. }) = given else { return };
        for name in given.inherit_env.iter().flat_map(|names| &names.value) {
            if self.variable_name(name) {
                self.inherit.names.push(name.value.clone());
            }
        }
        let network = given.network_env.as_ref().is_none_or(|network| network.value);
        self.inherit.network &= network;
    }

    fn limits(&mut self, given: Option<&At<file::Limits>>) -> (Limits, ServerLimits) {
        let (mut limits, mut server) = (Limits::default(), ServerLimits::default());
        let Some(At { value: given, .. }) = given else { return (limits, server) };
        let short = 100 * Duration::from_millis(1)..=HOUR;
        self.set(&mut limits.request_bytes, given.request_bytes.as_ref(), KIB..=GIB);
        self.set(&mut limits.json_depth, given.json_depth.as_ref(), JSON_DEPTHS);
        self.set(&mut limits.request_timeout, given.request_timeout.as_ref(), short.clone());
        self.set(&mut limits.concurrent_calls, given.concurrent_calls.as_ref(), 1..=MANY);
        self.set(&mut limits.streams, given.streams.as_ref(), 1..=MANY);
        self.set(&mut limits.keep_alive, given.keep_alive.as_ref(), SECOND..=10 * MINUTE);
        self.set(&mut limits.session_ttl, given.session_ttl.as_ref(), MINUTE..=365 * DAY);
        self.set(&mut limits.suspended_calls, given.suspended_calls.as_ref(), 0..=MANY);
        self.set(&mut limits.replay_events, given.replay_events.as_ref(), 1..=MANY);
        self.set(&mut limits.replay_bytes, given.replay_bytes.as_ref(), KIB..=GIB);
        self.set(&mut limits.replay_total, given.replay_total.as_ref(), KIB..=64 * GIB);
        self.set(&mut limits.replay_for, given.replay_for.as_ref(), SECOND..=DAY);
        self.set(&mut limits.children, given.children.as_ref(), 1..=MANY);
        self.set(&mut limits.drain, given.drain.as_ref(), Duration::ZERO..=HOUR);
        self.set(&mut limits.drain_delay, given.drain_delay.as_ref(), Duration::ZERO..=HOUR);
        self.set(&mut server.connections, given.connections.as_ref(), 1..=MANY);
        // The least that hyper can work with.
        self.set(&mut server.header_bytes, given.header_bytes.as_ref(), 8 * KIB..=16 * KIB * KIB);
        self.set(&mut server.headers, given.header_count.as_ref(), 10..=10_000);
        self.set(&mut server.header_timeout, given.header_timeout.as_ref(), short.clone());
        self.set(&mut server.write_stall, given.write_stall.as_ref(), short);
        limits.memory =
            given.memory.as_ref().and_then(|memory| self.bounded(memory, 16 * KIB * KIB..=1024 * GIB));
        let mut streams = MANY;
        self.set(&mut streams, given.http2_streams.as_ref(), 1..=MANY);
        if given.http2_streams.is_some() {
            server.http2_streams = u32::try_from(streams).unwrap_or(u32::MAX);
        }
        (limits, server)
    }

    /// Replaces a default by what is written.
    fn set<B: Bounded>(
        &mut self,
        target: &mut B::Plain,
        given: Option<&At<B>>,
        range: RangeInclusive<B::Plain>,
    ) {
        if let Some(value) = given.and_then(|given| self.bounded(given, range)) {
            *target = value;
        }
    }

    /// A value, if it is within bounds.
    fn bounded<B: Bounded>(&mut self, given: &At<B>, range: RangeInclusive<B::Plain>) -> Option<B::Plain> {
        let plain = given.value.plain();
        if range.contains(&plain) {
            return Some(plain);
        }
        let (least, most) = (B::spell(*range.start()), B::spell(*range.end()));
        self.findings.error(given.span, format!("must be from {least} to {most}"));
        None
    }

    /// Whether the file is another client's.
    fn foreign(&self) -> bool {
        self.theirs.is_some()
    }

    /// A text, with everything put in.
    fn resolve(&mut self, text: &At<Template>) -> Option<String> {
        template::resolve(&text.value, self.outside, self.findings)
    }

    /// The same for a text that is no secret.
    fn resolve_open(&mut self, text: &At<Template>) -> Option<String> {
        template::resolve_open(&text.value, self.outside, self.findings)
    }

    /// The path that a text is.
    fn path(&mut self, text: &At<Template>) -> Option<std::path::PathBuf> {
        let path = self.resolve_open(text)?;
        if path.is_empty() || path.contains('\0') {
            self.findings.error(text.span, "expected a path");
            return None;
        }
        Some(self.outside.path(&path))
    }
}

fn store_away(admin: &At<file::Admin>) -> StoreAway {
    match admin.value.store_away.as_ref().map(|given| given.value) {
        None | Some(file::StoreAway::Unready) => StoreAway::Unready,
        Some(file::StoreAway::Degraded) => StoreAway::Degraded,
    }
}
