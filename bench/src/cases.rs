//! What is measured. A case is what stands behind, and what is asked.

use crate::load::who::Who;
use crate::load::{Era, Load, Pace, What};

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What `--only` matches, and what the raw figures call it.
    pub(crate) name: String,
    pub(crate) group: Group,
    /// What the table calls it.
    pub(crate) title: String,
    pub(crate) behind: Behind,
    /// What is asked; the URL is the yard's.
    pub(crate) load: Load,
    pub(crate) beside: Beside,
}

/// A section of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Calls,
    Eras,
    Lists,
    Connections,
    Growth,
    Idle,
    Sessions,
    Replicas,
    Identity,
    Latency,
    Start,
}

/// What stands behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) era: Era,
    /// A child process of the gateway instead of a server of its own.
    pub(crate) stdio: bool,
    pub(crate) servers: usize,
    /// Tools that each of them lists.
    pub(crate) tools: usize,
    /// For how many milliseconds lists are fresh.
    pub(crate) ttl: u64,
    /// Idle streams are not kept alive, so that what else they cost can be seen.
    pub(crate) quiet: bool,
}

/// Who else is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// All yardsticks. They pass on to a server of the client's own era, since they pass on and nothing else.
    All,
    /// All, and nginx serving the answer from a file.
    AndFile,
    /// Gateways only: it is nothing that a proxy does.
    Gateways,
    /// One, two and three replicas of Portolan, each behind nginx.
    Replicas,
    /// Portolan that asks who calls, and one that does not.
    Anonymous,
}

const TTL: u64 = 3_600_000;

impl Behind {
    fn servers(servers: usize) -> Self {
        Self { era: Era::Modern, stdio: false, servers, tools: 10, ttl: TTL, quiet: false }
    }

    fn tools(tools: usize, ttl: u64) -> Self {
        Self { tools, ttl, ..Self::servers(1) }
    }

    /// The path at the echo server that is the server with this number.
    pub(crate) fn path(&self, era: Era, number: usize) -> String {
        let era = if era == Era::Modern { "modern" } else { "legacy" };
        format!("/{era}/{}/{}/s{number}", self.tools, self.ttl)
    }
}

impl Case {
    fn new(group: Group, name: &str, title: &str, behind: Behind, load: Load) -> Self {
        let beside = Beside::All;
        Self { name: name.to_owned(), group, title: title.to_owned(), behind, load, beside }
    }

    fn beside(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }
}

/// A call of the tool that gives so many bytes for as many, of a server in the middle of the route.
fn call(behind: &Behind, size: usize) -> Load {
    Load { tool: format!("s{}__echo_{size}", behind.servers / 2), size, ..Load::default() }
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let mut all = calls();
    all.extend(eras());
    all.extend(lists());
    all.extend(connections());
    all.extend(growth());
    all.extend(idle());
    all.extend(sessions());
    all.extend(replicas());
    all.extend(identity());
    let two = Behind::servers(2);
    let at_a_pace = Load { pace: Pace::Open, ..call(&two, 1024) };
    all.push(Case::new(Group::Latency, "latency", "1 KB, 100 calls/s", two, at_a_pace));
    let once = call(&two, 1024);
    all.push(Case::new(Group::Start, "start", "start to first served call", two, once));
    all
}

fn calls() -> Vec<Case> {
    let two = Behind::servers(2);
    [(1024, "1 KB", 64), (65536, "64 KB", 64), (1_048_576, "1 MB", 16)]
        .into_iter()
        .map(|(size, title, connections)| {
            let load = Load { connections, ..call(&two, size) };
            let name = format!("call-{}k", size / 1024);
            let title = format!("modern → modern, {title}");
            Case::new(Group::Calls, &name, &title, two, load)
        })
        .collect()
}

fn eras() -> Vec<Case> {
    let two = Behind::servers(2);
    let legacy = Behind { era: Era::Legacy, ..two };
    let stdio = Behind { stdio: true, ..two };
    let modern_call = call(&two, 1024);
    let legacy_call = Load { era: Era::Legacy, sessions: 64, ..modern_call.clone() };
    let stream = Load { what: What::Stream, tool: "s1__stream_10".to_owned(), ..modern_call.clone() };
    let group = Group::Eras;
    vec![
        Case::new(group, "modern-legacy", "modern → legacy over HTTP", legacy, modern_call.clone()),
        Case::new(group, "modern-stdio", "modern → modern over stdio", stdio, modern_call),
        Case::new(group, "legacy-modern", "legacy with 64 sessions → modern", two, legacy_call),
        Case::new(group, "stream", "modern → modern, 10 progress notifications", two, stream),
    ]
}

fn lists() -> Vec<Case> {
    let load = |count| Load { what: What::List, count, ..Load::default() };
    let mut all = Vec::new();
    for count in [10, 100, 1000] {
        let (name, title) = (format!("list-{count}-cached"), format!("tools/list, {count} tools, cached"));
        let case = Case::new(Group::Lists, &name, &title, Behind::tools(count, TTL), load(count));
        all.push(case.beside(Beside::AndFile));
        let (name, title) = (format!("list-{count}-fresh"), format!("tools/list, {count} tools, not cached"));
        all.push(Case::new(Group::Lists, &name, &title, Behind::tools(count, 0), load(count)));
    }
    for servers in [1, 10, 100] {
        let (name, title) =
            (format!("merged-{servers}"), format!("tools/list of {servers} × 10 tools, cached"));
        let behind = Behind { servers, ..Behind::tools(10, TTL) };
        let case = Case::new(Group::Lists, &name, &title, behind, load(servers * 10));
        all.push(case.beside(Beside::Gateways));
    }
    all
}

fn connections() -> Vec<Case> {
    let two = Behind::servers(2);
    let mut all = Vec::new();
    for connections in [1, 64, 512] {
        let name = format!("connections-{connections}");
        let title = format!("1 KB, {connections} connections");
        let load = Load { connections, ..call(&two, 1024) };
        all.push(Case::new(Group::Connections, &name, &title, two, load));
    }
    let http2 = Load { http2: true, ..call(&two, 1024) };
    all.push(Case::new(Group::Connections, "http2", "1 KB, HTTP/2, 8 connections × 8 streams", two, http2));
    all
}

fn growth() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, title: String, behind: Behind, load: Load| {
        all.push(Case::new(Group::Growth, &name, &title, behind, load).beside(Beside::Gateways));
    };
    for tools in [10, 100, 1000, 10_000] {
        let behind = Behind { servers: 2, ..Behind::tools(tools, TTL) };
        let load = call(&behind, 1024);
        add(format!("grow-tools-{tools}"), format!("1 KB call, {tools} tools a server"), behind, load);
    }
    for servers in [1, 10, 100] {
        let behind = Behind::servers(servers);
        let load = call(&behind, 1024);
        add(format!("grow-servers-{servers}"), format!("1 KB call, {servers} servers"), behind, load);
    }
    for sessions in [1, 100, 10_000] {
        let behind = Behind::servers(2);
        let load = Load { era: Era::Legacy, sessions, ..call(&behind, 1024) };
        add(
            format!("grow-sessions-{sessions}"),
            format!("1 KB call, {sessions} legacy sessions"),
            behind,
            load,
        );
    }
    for size in [1024, 4096, 16_384, 65_536, 262_144, 1_048_576] {
        let behind = Behind::servers(2);
        let load = Load { connections: 16, ..call(&behind, size) };
        let (name, title) = (format!("grow-size-{}k", size / 1024), format!("call, {} KB", size / 1024));
        all.push(Case::new(Group::Growth, &name, &title, behind, load));
    }
    all
}

fn idle() -> Vec<Case> {
    let one = |(connections, quiet): (usize, bool)| {
        let load = Load { what: What::Listen, pace: Pace::Hold, connections, ..Load::default() };
        let mut name = format!("subscriptions-{connections}");
        let mut title = format!("{connections} idle subscriptions");
        if quiet {
            name.push_str("-quiet");
            title.push_str(", without keep-alives");
        }
        let behind = Behind { quiet, ..Behind::servers(2) };
        Case::new(Group::Idle, &name, &title, behind, load).beside(Beside::Gateways)
    };
    [(1, true), (1, false), (100, false), (10_000, false), (10_000, true)].map(one).to_vec()
}

/// Legacy sessions that are open and do nothing.
fn sessions() -> Vec<Case> {
    [
        (What::Session, "sessions", "10000 legacy sessions"),
        (What::SessionLevel, "sessions-level", "10000 legacy sessions with a log level"),
        (What::SessionWatch, "sessions-watch", "10000 legacy sessions that watch a resource"),
    ]
    .into_iter()
    .map(|(what, name, title)| {
        let load = Load { what, pace: Pace::Hold, era: Era::Legacy, sessions: 10_000, ..Load::default() };
        Case::new(Group::Sessions, name, title, Behind::servers(2), load).beside(Beside::Gateways)
    })
    .collect()
}

/// What it costs to be several.
fn replicas() -> Vec<Case> {
    let two = Behind::servers(2);
    let modern = call(&two, 1024);
    let legacy = Load { era: Era::Legacy, sessions: 64, ..modern.clone() };
    [
        ("replicas-modern", "modern → modern, 1 KB, behind nginx", modern),
        ("replicas-legacy", "legacy with 64 sessions → modern, 1 KB, behind nginx", legacy),
    ]
    .map(|(name, title, load)| Case::new(Group::Replicas, name, title, two, load).beside(Beside::Replicas))
    .to_vec()
}

/// What it costs to know who calls.
fn identity() -> Vec<Case> {
    let two = Behind::servers(2);
    [
        ("identity-seen", "1 KB call with an ES256 token that was seen before", Who::Token, 1),
        ("identity-first", "1 KB call, each with a new ES256 token", Who::Token, 0),
        ("identity-proof", "1 KB call, each with a new DPoP proof", Who::Proof, 1),
        ("identity-10000", "1 KB call, 10,000 ES256 tokens in turn", Who::Token, 10_000),
    ]
    .map(|(name, title, who, tokens)| {
        let load = Load { who, tokens, ..call(&two, 1024) };
        Case::new(Group::Identity, name, title, two, load).beside(Beside::Anonymous)
    })
    .to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for case in &all {
            let listed = case.behind.tools * case.behind.servers;
            assert!(case.load.what != What::List || case.load.count == listed, "{}", case.name);
        }
    }
}
