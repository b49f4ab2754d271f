//! Upstreams: what is common to those with a URL and those with a command.

use std::time::Duration;

use base::plan::{BreakerPlan, Deadlines, EraRule, OWN_SERVER, Reach, SchemaRule, SessionRule, UpstreamPlan};
use mcp::version::Era;

use super::{DAY, GIB, HOUR, KIB, Lowering, MANY, SECOND};
use crate::file::{self, Config};
use crate::node::At;
use crate::read::Entry;

/// The most characters of a name. It stands in logs and metrics.
const NAME_LENGTH: usize = 64;

/// The most retries. Who needs more has a server to mend.
const MOST_RETRIES: usize = 10;

const EXAMPLE: &str = "[upstream.files]\n\
     command = [\"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem\", \"/srv\"]\n\
     \n\
     [upstream.search]\n\
     url = \"https://mcp.example.com/mcp\"";

/// Keys that only make sense with the other way to reach a server.
const OF_COMMAND: &[&str] =
    &["args", "env", "inherit_env", "directory", "idle_after", "processes", "stop_grace", "replicas"];
const OF_URL: &[&str] =
    &["transport", "headers", "forward_headers", "socket", "proxy", "ca", "http2", "breaker", "health_check"];

/// A configured server: its plan, unless it is disabled or wrong.
pub(super) struct Upstream {
    pub(super) name: At<String>,
    pub(super) disabled: bool,
    /// What its names begin with, and where that is written.
    pub(super) prefix: At<String>,
    pub(super) plan: Option<UpstreamPlan>,
}

impl Lowering<'_, '_> {
    pub(super) fn upstreams(&mut self, config: &Config) -> Vec<Upstream> {
        let entries = config.upstream.as_ref().map(|given| given.value.0.as_slice()).unwrap_or_default();
        let mut upstreams: Vec<_> = entries.iter().map(|entry| self.entry(entry)).collect();
        if upstreams.iter().all(|upstream| upstream.disabled) && !config.written.strange {
            let switch_on = match self.theirs {
                None => "leave out \"disabled\" where one is to be served",
                Some(_) => "switch one on, or leave out what switches it off",
            };
            match entries.first() {
                Some(entry) => {
                    self.findings.error(entry.name.span, "every upstream is disabled").help(switch_on)
                }
                None => {
                    self.findings.whole("no upstream is configured").help(format!("for example:\n{EXAMPLE}"))
                }
            };
        }
        upstreams.retain(|upstream| self.findings.fault_of(&upstream.name.value).is_none());
        upstreams
    }

    /// An entry of another client's file stands for itself: what is wrong with it does not concern the others.
    fn entry(&mut self, entry: &Entry<file::Upstream>) -> Upstream {
        if !self.foreign() {
            return self.upstream(entry);
        }
        self.findings.begin_entry(&entry.name.value);
        let upstream = self.upstream(entry);
        self.findings.end_entry();
        if upstream.disabled {
            self.findings.forgive(&entry.name.value);
        }
        upstream
    }

    fn upstream(&mut self, entry: &Entry<file::Upstream>) -> Upstream {
        self.name("an upstream", &entry.name);
        if entry.name.value == OWN_SERVER {
            self.findings
                .error(entry.name.span, format!("{OWN_SERVER:?} is what Portolan itself is called"))
                .help("give the server another name");
        }
        let name = entry.name.clone();
        let default_prefix = At { value: prefix_of(&name.value), span: name.span };
        let Some(At { value: given, .. }) = &entry.value else {
            return Upstream { name, disabled: false, prefix: default_prefix, plan: None };
        };
        let prefix = match &given.prefix {
            Some(prefix) => self.prefix(prefix).unwrap_or(default_prefix),
            None => default_prefix,
        };
        if given.disabled.as_ref().is_some_and(|disabled| disabled.value) {
            return Upstream { name, disabled: true, prefix, plan: None };
        }
        let mut plan = self.reach(&name, given).map(|reach| UpstreamPlan::new(&name.value, reach));
        // What else is wrong is to be said even if it cannot be reached.
        let mut unreachable = unreachable_plan();
        self.complete(plan.as_mut().unwrap_or(&mut unreachable), given);
        if let Some(plan) = &mut plan {
            plan.prefix.clone_from(&prefix.value);
        }
        Upstream { name, disabled: false, prefix, plan }
    }

    fn reach(&mut self, name: &At<String>, given: &file::Upstream) -> Option<Reach> {
        let (url, command) = (given.written.key("url"), given.written.key("command"));
        match (url, command) {
            (Some(url), Some(command)) => {
                let (first, second) = if url.start < command.start { (url, command) } else { (command, url) };
                self.findings
                    .error(second, format!("upstream {:?} has both a url and a command", name.value))
                    .label(first, "the other is here")
                    .help("keep the one by which it is reached");
                // What is wrong with either is to be said all the same.
                self.http(given);
                self.stdio(&name.value, given);
                None
            }
            (None, None) => {
                if !given.written.strange {
                    let help = self.way_to_reach();
                    let message = format!("upstream {:?} has neither a url nor a command", name.value);
                    self.findings.error(name.span, message).help(help);
                }
                None
            }
            (Some(_), None) => {
                self.out_of_place(given, OF_COMMAND, "command");
                self.http(given).map(Reach::Http)
            }
            (None, Some(_)) => {
                self.out_of_place(given, OF_URL, "url");
                self.stdio(&name.value, given).map(Reach::Stdio)
            }
        }
    }

    fn out_of_place(&mut self, given: &file::Upstream, keys: &[&str], of: &str) {
        for key in keys {
            let Some(span) = given.written.key(key) else { continue };
            let message = format!("{key:?} is only for upstreams with a {of}");
            // Other clients ignore it, and some editors write it.
            if self.foreign() {
                self.findings.warning(span, message);
            } else {
                self.findings.error(span, message);
            }
        }
    }

    fn complete(&mut self, plan: &mut UpstreamPlan, given: &file::Upstream) {
        plan.era = match given.era.as_ref().map(|era| era.value) {
            None | Some(file::Era::Auto) => EraRule::Detect,
            Some(file::Era::Modern) => EraRule::Is(Era::Modern),
            Some(file::Era::Legacy) => EraRule::Is(Era::Legacy),
        };
        plan.schema = given.schema.as_ref().map(|schema| match schema.value {
            file::Schema::Repair => SchemaRule::Repair,
            file::Schema::Pass => SchemaRule::Pass,
            file::Schema::Drop => SchemaRule::Drop,
        });
        plan.sessions = match given.sessions.as_ref().map(|sessions| sessions.value) {
            None | Some(file::Sessions::Shared) => SessionRule::Shared,
            Some(file::Sessions::PerClient) => SessionRule::PerClient,
        };
        plan.single = given.replicas.as_ref().is_some_and(|given| given.value == file::Where::One);
        plan.tools = self.selection("tool", given.tools.as_ref());
        plan.prompts = self.selection("prompt", given.prompts.as_ref());
        plan.resources = self.filter(given.resources.as_ref());
        plan.deadlines = self.deadlines(given.timeouts.as_ref());
        self.set(&mut plan.concurrent_calls, given.concurrent_calls.as_ref(), 1..=MANY);
        self.set(&mut plan.queued_calls, given.queued_calls.as_ref(), 0..=MANY);
        self.set(&mut plan.message_bytes, given.message_bytes.as_ref(), KIB..=GIB);
        self.set(&mut plan.processes, given.processes.as_ref(), 1..=MANY);
        plan.breaker = self.breaker(given.breaker.as_ref());
        self.set(&mut plan.retries, given.retries.as_ref(), 0..=MOST_RETRIES);
        plan.retry_tools = self.globs(given.retry_tools.as_ref());
        plan.health_check = given.health_check.as_ref().and_then(|every| self.bounded(every, SECOND..=DAY));
        plan.list_ttl = given.list_ttl.as_ref().and_then(|ttl| self.bounded(ttl, Duration::ZERO..=30 * DAY));
    }

    fn breaker(&mut self, given: Option<&At<file::Breaker>>) -> BreakerPlan {
        let mut breaker = BreakerPlan::default();
        let Some(At { value: given, .. }) = given else { return breaker };
        let tenth = SECOND / 10;
        self.set(&mut breaker.failures, given.failures.as_ref(), 0..=MANY);
        self.set(&mut breaker.pause, given.pause.as_ref(), tenth..=HOUR);
        self.set(&mut breaker.longest_pause, given.longest_pause.as_ref(), tenth..=HOUR);
        if breaker.pause > breaker.longest_pause {
            match (&given.pause, &given.longest_pause) {
                (Some(_), None) => breaker.longest_pause = breaker.pause,
                (None, Some(_)) => breaker.pause = breaker.longest_pause,
                (Some(pause), Some(longest)) => {
                    self.findings
                        .error(pause.span, "the first pause may not be longer than the longest")
                        .label(longest.span, "the longest");
                }
                (None, None) => {}
            }
        }
        breaker
    }

    fn deadlines(&mut self, given: Option<&At<file::Timeouts>>) -> Deadlines {
        let mut deadlines = Deadlines::default();
        let Some(At { value: given, .. }) = given else { return deadlines };
        let tenth = SECOND / 10;
        self.set(&mut deadlines.connect, given.connect.as_ref(), tenth..=HOUR);
        self.set(&mut deadlines.list, given.list.as_ref(), tenth..=HOUR);
        self.set(&mut deadlines.grace, given.grace.as_ref(), Duration::ZERO..=HOUR);
        self.set(&mut deadlines.starting, given.starting.as_ref(), Duration::ZERO..=HOUR);
        self.set(&mut deadlines.call, given.call.as_ref(), tenth..=30 * DAY);
        self.set(&mut deadlines.call_max, given.call_max.as_ref(), tenth..=30 * DAY);
        self.set(&mut deadlines.input, given.input.as_ref(), tenth..=DAY);
        if deadlines.call > deadlines.call_max {
            match (&given.call, &given.call_max) {
                // Who wants one call to take longer than the default of the whole, wants the whole to be longer.
                (Some(_), None) => deadlines.call_max = deadlines.call,
                (None, Some(_)) => deadlines.call = deadlines.call_max,
                (Some(call), Some(max)) => {
                    self.findings
                        .error(call.span, "a call may not be silent for longer than it may take as a whole")
                        .label(max.span, "the whole");
                }
                (None, None) => {}
            }
        }
        deadlines
    }

    fn prefix(&mut self, given: &At<String>) -> Option<At<String>> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if given.value.chars().all(valid) {
            return Some(given.clone());
        }
        self.findings
            .error(given.span, "a prefix is made of the letters a to z, digits, '_' and '-'")
            .help(format!("write {:?}", prefix_of(&given.value)));
        None
    }

    /// A name that the file's author chose: anything that can be shown in one line.
    pub(super) fn name(&mut self, of: &str, name: &At<String>) {
        let text = name.value.as_str();
        if text.trim().is_empty() || text.chars().any(char::is_control) || text.trim().len() != text.len() {
            self.findings.error(name.span, format!("this cannot be the name of {of}")).help(
                "a name is not empty, does not begin or end with a space, and has no control characters",
            );
        } else if text.chars().count() > NAME_LENGTH {
            self.findings.error(name.span, format!("the name of {of} has at most {NAME_LENGTH} characters"));
        }
    }
}

/// A name, as far as it can be a prefix.
fn prefix_of(name: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let text: String = name.chars().map(|c| if valid(c) { c.to_ascii_lowercase() } else { '-' }).collect();
    // Of a name in another script nothing is left.
    if text.contains(|c: char| c.is_ascii_alphanumeric()) { text } else { String::new() }
}

fn unreachable_plan() -> UpstreamPlan {
    let child = transport::child::ChildSpec {
        program: String::new(),
        args: Vec::new(),
        env: std::collections::BTreeMap::new(),
        directory: None,
    };
    let reach = base::plan::StdioReach {
        child,
        idle_after: None,
        grace: Duration::ZERO,
        withheld: Default::default(),
    };
    UpstreamPlan::new("", Reach::Stdio(reach))
}
