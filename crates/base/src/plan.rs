//! The plan: the whole configuration, checked and compiled, of one generation. Immutable; a reload swaps it.
//!
//! Nothing in it knows a file format. Durations and sizes are final here: defaults are applied by who makes the plan,
//! from the `Default`s below.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth::Decide;
use http::{HeaderName, HeaderValue};
use store::Place;
use store::seal::key::Key;
use transport::child::ChildSpec;
use transport::http::client::{ClientSettings, Destination};
use transport::http::server::ServerLimits;
use transport::net::Address;

use crate::globs::Globs;
use crate::masks::Masks;
use crate::plan::identity::{IssuerPlan, ResourcePlan};
use crate::plan::limit::LimitingPlan;
use crate::plan::policy::{Decider, PolicyPlan, ServerFacts};
use crate::withheld::Withheld;

pub mod audit;
pub mod feed;
pub mod identity;
pub mod limit;
mod naming;
pub mod pins;
pub mod policy;
pub mod telemetry;

pub use self::naming::{Alphabet, Naming, PrefixRule};

/// One generation of configuration.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Where clients come in.
    pub listeners: Vec<ListenerPlan>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served, if anywhere.
    pub admin: Option<Address>,
    /// What `/readyz` says while the store is away.
    pub store_away: StoreAway,
    /// Which path leads to which servers.
    pub routes: Vec<RoutePlan>,
    /// Who vouches for callers.
    pub issuers: Vec<IssuerPlan>,
    /// The MCP servers, each under its own name.
    pub upstreams: Vec<UpstreamPlan>,
    /// Bounds on what clients may do.
    pub limits: Limits,
    /// How much callers may take.
    pub limiting: LimitingPlan,
    /// Where durable facts are kept, if anywhere.
    pub store: Option<Place>,
    /// The keys of what is handed out, as far as they are given.
    pub keys: KeysPlan,
    /// Where other replicas reach this one, if they can.
    pub replicas: Option<ReplicasPlan>,
    /// The servers that were configured and cannot be served, though the others are.
    pub left_out: Vec<LeftOut>,
    /// What policies are told of each server. A change of it restarts none.
    pub server_facts: Vec<ServerFacts>,
    /// Which servers are held to what was pinned of their tools. A change of it restarts none, either.
    pub pins: pins::PinsPlan,
    /// Where what was done is written down, if anywhere.
    pub audit: Option<audit::AuditPlan>,
    /// Where the records of that go beside.
    pub sinks: Vec<feed::SinkPlan>,
    /// Where traces and metrics of calls go, if anywhere.
    pub telemetry: Option<telemetry::TelemetryPlan>,
}

/// A server that was configured and cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name in the configuration.
    pub name: String,
    /// Why. No secrets.
    pub why: String,
}

/// What `/readyz` says while the store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreAway {
    /// That this process is not ready.
    #[default]
    Unready,
    /// That it is ready, and what is amiss.
    Degraded,
}

/// Where other replicas reach this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicasPlan {
    /// Where it listens for them.
    pub listen: Address,
    /// What they are told, as `HOST:PORT`; where it listens, if not said.
    pub advertise: Option<String>,
}

impl Plan {
    /// Whether another process may listen beside this one.
    #[must_use]
    pub fn shares_addresses(&self) -> bool {
        self.listeners.iter().any(|listener| listener.reuse_port)
    }

    /// Whether what was not heard here can be heard elsewhere, or later.
    #[must_use]
    pub fn keeps_streams(&self) -> bool {
        self.replicas.is_some() || self.routes.iter().any(|route| route.durable_streams)
    }
}

/// Keys that are given. Without any, they are made and kept.
#[derive(Debug, Clone, Default)]
pub struct KeysPlan {
    /// The keys themselves: the first seals, all of them open.
    pub secrets: Vec<Key>,
    /// The key that seals those which are kept in the store.
    pub master: Option<Key>,
}

/// A bound socket for clients.
#[derive(Debug, Clone)]
pub struct ListenerPlan {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// What it presents over TLS; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Host names, beside the loopback names and the listener's own address, that requests may be addressed to, in
    /// lower case without port; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages, beside loopback ones, that may make requests (`https://app.example`); `*` allows all.
    pub allowed_origins: Vec<String>,
    /// Bounds on connections and heads.
    pub limits: ServerLimits,
    /// Whether another process may listen at the same address, so that it can take over; the admin address follows.
    pub reuse_port: bool,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whether clients are asked for certificates.
    pub asks_clients: bool,
}

/// A path on listeners that leads to servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePlan {
    /// Its name in the configuration.
    pub name: String,
    /// The listeners that serve it; all when empty.
    pub listeners: Vec<String>,
    /// The path, as `/mcp`.
    pub path: String,
    /// The path at which clients of HTTP+SSE open their streams, if they may.
    pub sse_path: Option<String>,
    /// The names of its servers, in the order in which lists show them.
    pub upstreams: Vec<String>,
    /// How the names of several servers are told apart.
    pub naming: Naming,
    /// The most entries that one page of a list has; lists of several servers are one page without it.
    pub page_size: Option<usize>,
    /// Whether what legacy clients are told in answer to a call is kept in the store, so that they can come back for it when
    /// the replica that carried the call is gone.
    pub durable_streams: bool,
    /// How many objects and arrays of a client's message may lie in each other.
    pub json_depth: usize,
    /// Whether clients are told that each list may change, as it does when a server comes or goes. Who only looks at a server
    /// is told what the server itself says.
    pub tells_of_changes: bool,
    /// What it asks of its callers; nothing, if not said.
    pub resource: Option<ResourcePlan>,
    /// Who may do what; everything that it shows, if not said.
    pub policy: Option<PolicyPlan>,
    /// What decides by [`Self::policy`], made by whoever knows the language of policies.
    pub decides: Option<Decider>,
}

impl RoutePlan {
    /// Who decides what its callers may do, if anybody does. Where there are policies, and whoever made the plan has not made what
    /// decides by them, nothing is allowed.
    #[must_use]
    pub fn decider(&self) -> Option<Arc<dyn Decide>> {
        match (&self.decides, &self.policy) {
            (Some(decider), _) => Some(Arc::clone(&decider.0)),
            (None, Some(_)) => Some(Arc::new(auth::Nothing)),
            (None, None) => None,
        }
    }

    /// Whether the listener of that name serves it.
    #[must_use]
    pub fn is_at(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| name == listener)
    }
}

/// One configured MCP server. Two that are the same are one server, which a reload leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPlan {
    /// Its name in the configuration.
    pub name: String,
    /// How to reach it.
    pub reach: Reach,
    /// Which era it speaks, if it is not to be found out.
    pub era: EraRule,
    /// What its public names begin with where names are prefixed: of `[a-z0-9_-]`, and `""` for none.
    pub prefix: String,
    /// Which of its tools are shown, and how.
    pub tools: Selection,
    /// Which of its prompts are shown, and how.
    pub prompts: Selection,
    /// Which of its resources and templates are shown, by their URI.
    pub resources: Selection,
    /// How long it may take.
    pub deadlines: Deadlines,
    /// The most calls that may be under way at once; more wait.
    pub concurrent_calls: usize,
    /// The most calls that may wait; more are refused.
    pub queued_calls: usize,
    /// The most bytes that one message of it may have.
    pub message_bytes: usize,
    /// How many objects and arrays of one message of it may lie in each other: as many as the routes that it is behind allow.
    pub json_depth: usize,
    /// How long its lists count as fresh where it does not say so itself (legacy servers cannot).
    pub list_ttl: Option<Duration>,
    /// What becomes of entries of its lists that clients would refuse. If not said: mended in front of several servers,
    /// passed on by a route with this one alone.
    pub schema: Option<SchemaRule>,
    /// Who shares its legacy sessions, or its process.
    pub sessions: SessionRule,
    /// The most processes of it at once for the clients of one principal; where it makes no difference to the server what
    /// its clients can be asked, there are fewer.
    pub processes: usize,
    /// When it is left alone for a while. A process has pauses of its own.
    pub breaker: BreakerPlan,
    /// How often at most something is sent again that may be: what certainly was not sent, requests that only read, and
    /// calls of [`Self::retry_tools`].
    pub retries: usize,
    /// Globs of its own names of tools that may be called twice.
    pub retry_tools: Option<Globs>,
    /// How often it is asked how it is while nobody calls it; without, only while it is down.
    pub health_check: Option<Duration>,
    /// Whether it is reached and its changes listened for from the start. Not by who asks it one thing and ends: then it
    /// is reached when it is asked, and its lists are as fresh as they were told to be.
    pub watched: bool,
    /// Whether one replica's process serves the clients of all: it is at one replica only.
    pub single: bool,
    /// What is not to be seen in what it says and in what is said of it.
    pub masks: Masks,
}

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Streamable HTTP, or HTTP+SSE.
    Http(HttpReach),
    /// A child process that speaks over its stdin and stdout.
    Stdio(StdioReach),
    /// Not at all: Portolan itself answers.
    Own,
}

/// A server over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpReach {
    /// Its endpoint.
    pub destination: Destination,
    /// Headers that every request to it carries, credentials among them (marked sensitive).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Names of the client's headers that are passed on. No others are.
    pub forward_headers: Vec<HeaderName>,
    /// Which of the two HTTP transports it speaks.
    pub transport: TransportRule,
    /// The connection.
    pub client: ClientSettings,
}

/// Which HTTP transport a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransportRule {
    /// Streamable HTTP; HTTP+SSE if it refuses that.
    #[default]
    Detect,
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

impl fmt::Debug for HttpReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Any part of the URL may be a secret, and headers are.
        f.debug_struct("HttpReach").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// A server as a child process.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioReach {
    /// What to start, with its whole environment.
    pub child: ChildSpec,
    /// When to end a process that nobody uses; never without.
    pub idle_after: Option<Duration>,
    /// How long its process may take to end after each step of ending it.
    pub grace: Duration,
    /// What of our environment it was not given, to explain an end.
    pub withheld: Withheld,
}

impl fmt::Debug for StdioReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets, and the command may.
        f.debug_struct("StdioReach").field("grace", &self.grace).finish_non_exhaustive()
    }
}

/// Which era a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EraRule {
    /// It is found out, and found out again after a while.
    #[default]
    Detect,
    /// It is known.
    Is(mcp::version::Era),
}

impl EraRule {
    /// Whether the server may be spoken to in an era.
    #[must_use]
    pub fn allows(self, era: mcp::version::Era) -> bool {
        matches!(self, Self::Detect) || self == Self::Is(era)
    }
}

/// What becomes of an entry of a list that the schema of its revision does not allow: clients refuse the whole list for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaRule {
    /// It is mended where its meaning is not in doubt, else left out.
    Repair,
    /// It is passed on as it came.
    Pass,
    /// It is left out.
    Drop,
}

/// Who shares a legacy session or a child process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionRule {
    /// All clients of one principal.
    #[default]
    Shared,
    /// Each downstream session has its own; modern clients, who have none, share one.
    PerClient,
}

/// Which entries of a server's lists are shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only what matches; everything without.
    pub include: Option<Globs>,
    /// Not what matches.
    pub exclude: Option<Globs>,
    /// The server's own name → the name it is shown under, before any prefix.
    pub rename: BTreeMap<String, String>,
    /// The server's own name → the description it is shown with.
    pub describe: BTreeMap<String, String>,
}

impl Selection {
    /// Whether an entry of that name is shown.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match(name))
            && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(name))
    }
}

/// When a server is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPlan {
    /// After so many faults in a row; never with 0.
    pub failures: usize,
    /// For how long at first. Each trial that goes wrong doubles it.
    pub pause: Duration,
    /// For how long at most.
    pub longest_pause: Duration,
}

impl Default for BreakerPlan {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) }
    }
}

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To be reached and to say what it is: connecting, starting, the handshake. A program that starts may be silent for so long.
    pub connect: Duration,
    /// To give one list.
    pub list: Duration,
    /// How long a list over several servers waits for it.
    pub grace: Duration,
    /// The same for a program that is being started for the first time.
    pub starting: Duration,
    /// Between two signs of life in a call; progress counts as one.
    pub call: Duration,
    /// For a whole call, whatever its progress.
    pub call_max: Duration,
    /// For a client to answer what the server asks it in mid-call.
    pub input: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            list: Duration::from_secs(15),
            grace: Duration::from_secs(1),
            starting: Duration::from_secs(3),
            call: Duration::from_secs(300),
            call_max: Duration::from_secs(3600),
            input: Duration::from_secs(600),
        }
    }
}

/// Bounds on what clients may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request.
    pub request_bytes: usize,
    /// How many objects and arrays of a message may lie in each other, where its route does not say it.
    pub json_depth: usize,
    /// How long a request's body may take to come.
    pub request_timeout: Duration,
    /// The most bytes of requests and answers that are held at once; what the machine allows, if not said.
    pub memory: Option<usize>,
    /// The most calls at once over all servers; more are refused.
    pub concurrent_calls: usize,
    /// The most subscription and notification streams at once; more are refused.
    pub streams: usize,
    /// How often an idle stream says that it is alive.
    pub keep_alive: Duration,
    /// How long a legacy session may go on.
    pub session_ttl: Duration,
    /// The most calls at once that wait for a modern client's answer to a legacy server; more are refused. As many again
    /// may wait for the end of a task.
    pub suspended_calls: usize,
    /// The most events of one stream of a legacy session that are kept for a client that comes back.
    pub replay_events: usize,
    /// The most bytes of all such events of one session.
    pub replay_bytes: usize,
    /// The most bytes of all such events of all sessions.
    pub replay_total: usize,
    /// How long such events are kept.
    pub replay_for: Duration,
    /// The most child processes at once.
    pub children: usize,
    /// How long calls in flight may take to finish when Portolan is asked to end.
    pub drain: Duration,
    /// How long it goes on as before when it is asked to end, but for saying that it is not ready: who sends clients here
    /// must notice.
    pub drain_delay: Duration,
}

impl Limits {
    /// The default of [`Self::json_depth`]. What people write is a dozen levels deep.
    pub const JSON_DEPTH: usize = 512;

    /// For how long anything is sealed that is handed out: sessions, and ids of tasks, which lead back to their servers for a
    /// month after the task's own time.
    #[must_use]
    pub fn longest_seal(&self) -> Duration {
        self.session_ttl.max(Duration::from_secs(60 * 24 * 3600))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 4 * 1024 * 1024,
            json_depth: Self::JSON_DEPTH,
            request_timeout: Duration::from_secs(30),
            memory: None,
            concurrent_calls: 10_000,
            streams: 20_000,
            keep_alive: Duration::from_secs(15),
            session_ttl: Duration::from_secs(24 * 3600),
            suspended_calls: 1000,
            replay_events: 1000,
            replay_bytes: 8 * 1024 * 1024,
            replay_total: 256 * 1024 * 1024,
            replay_for: Duration::from_secs(300),
            children: 100,
            drain: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
        }
    }
}

/// What Portolan itself is called as a server, in permits, metrics and records. No configured server may be called so.
pub const OWN_SERVER: &str = "(portolan)";

impl UpstreamPlan {
    /// Portolan itself as a server, of the modern era. Nothing of it is sent again, and nobody listens to it for changes.
    #[must_use]
    pub fn own(name: &str) -> Self {
        Self {
            era: EraRule::Is(mcp::version::Era::Modern),
            retries: 0,
            watched: false,
            ..Self::new(name, Reach::Own)
        }
    }

    /// A server with nothing but a name and a way to reach it; everything else is the default.
    #[must_use]
    pub fn new(name: &str, reach: Reach) -> Self {
        Self {
            name: name.to_owned(),
            reach,
            era: EraRule::Detect,
            prefix: name.to_owned(),
            tools: Selection::default(),
            prompts: Selection::default(),
            resources: Selection::default(),
            deadlines: Deadlines::default(),
            concurrent_calls: 256,
            queued_calls: 1024,
            message_bytes: 64 * 1024 * 1024,
            json_depth: Limits::JSON_DEPTH,
            list_ttl: None,
            schema: None,
            sessions: SessionRule::Shared,
            processes: 4,
            breaker: BreakerPlan::default(),
            retries: 2,
            retry_tools: None,
            health_check: None,
            watched: true,
            single: false,
            masks: Masks::default(),
        }
    }
}

#[cfg(test)]
mod tests;
