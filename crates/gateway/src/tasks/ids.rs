//! The ids of tasks that we hand out: sealed, so that they lead back to their servers, for their principals only, whatever
//! became of this process in the meantime.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::Principal;
use base::clock::Clock;
use base::error::CallError;
use mcp::json::{self, Object};
use mcp::method::Kind;
use mcp::mrtr;
use store::seal::{Bound, SealFault};

use super::{LONGEST, RouteTasks, Tasks};

/// What an id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A task of a server.
    Of {
        server: String,
        /// The server's own name of it.
        task: String,
        /// The tool that it runs, by the server's own name: who may use that may ask about the task.
        tool: String,
        /// What the client had declared that it can be asked, where the server is legacy.
        declared: Option<String>,
    },
    /// The result of a call of a tool that became no task at its server.
    Finished { handle: String, server: String, tool: String },
}

impl Name {
    /// A task of a legacy server, made for a client with these capabilities.
    pub(super) fn of_legacy((server, tool): (&str, &str), task: &str, capabilities: &str) -> Self {
        // It tells which session or process knows the task, and is short however much the client says.
        let declared = Some(mrtr::askable(capabilities));
        Self::Of { server: server.to_owned(), task: task.to_owned(), tool: tool.to_owned(), declared }
    }

    /// A task of a modern server.
    pub(super) fn of_modern((server, tool): (&str, &str), task: &str) -> Self {
        let (server, task, tool) = (server.to_owned(), task.to_owned(), tool.to_owned());
        Self::Of { server, task, tool, declared: None }
    }

    /// Whether one replica alone knows it.
    fn is_held(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Of { declared: Some(_), .. })
    }

    /// The server, and its own name of the tool that the task runs. Earlier versions did not say the tool.
    pub(super) fn tool(&self) -> (&str, &str) {
        let (Self::Of { server, tool, .. } | Self::Finished { server, tool, .. }) = self;
        (server, tool)
    }

    fn text(&self) -> String {
        let (server, tool) = self.tool();
        let of = format!(r#""server":{},"tool":{}"#, json::quote(server), json::quote(tool));
        match self {
            Self::Of { task, declared, .. } => {
                let declared = declared.as_ref().map(|text| format!(",\"declared\":{text}"));
                format!(r#"{{{of},"task":{}{}}}"#, json::quote(task), declared.unwrap_or_default())
            }
            Self::Finished { handle, .. } => format!(r#"{{{of},"finished":{}}}"#, json::quote(handle)),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let object = Object::parse(text).ok()?;
        let member = |name| object.string(name).ok().flatten().map(|text| text.into_owned());
        let tool = member("tool").unwrap_or_default();
        if let Some(handle) = member("finished") {
            return Some(Self::Finished { handle, server: member("server").unwrap_or_default(), tool });
        }
        let declared = object.get("declared").ok().flatten().map(str::to_owned);
        Some(Self::Of { server: member("server")?, task: member("task")?, tool, declared })
    }
}

/// The ids of one principal's tasks on one route.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(super) tasks: Arc<Tasks>,
    purpose: String,
    principal: Principal,
    clock: Arc<dyn Clock>,
}

impl Ids {
    pub(super) fn new(route: &RouteTasks, principal: &Principal) -> Self {
        Self {
            tasks: Arc::clone(&route.tasks),
            purpose: format!("task:{}", route.sender.route),
            principal: principal.clone(),
            clock: Arc::clone(&route.sender.world.clock),
        }
    }

    /// The id for the client. `ttl` is how long the task is kept from its creation, if that is known; its server may change
    /// its mind, so the id lives longer.
    pub(super) fn give(&self, name: &Name, ttl: Option<Duration>) -> Result<String, CallError> {
        let expires = match name {
            // This one is ours.
            Name::Finished { .. } => self.now() + ttl.unwrap_or(LONGEST),
            Name::Of { .. } => self.now() + LONGEST + ttl.unwrap_or_default().min(100 * LONGEST),
        };
        let mut text = name.text();
        // Only there are the process or the session that know the task, or its result.
        if let Some(replica) = self.tasks.replica.as_ref().filter(|_| name.is_held()) {
            text.pop();
            text.push_str(&format!(r#","at":{}}}"#, json::quote(&replica.id())));
        }
        let sealed = self.tasks.seal.seal(self.bound(), expires, text.as_bytes());
        sealed.map_err(|fault| CallError::Internal(fault.to_string()))
    }

    /// The replica that knows the task of an id, where it makes a difference which one is asked.
    pub(super) fn holder(&self, public: &str) -> Option<String> {
        let payload = self.tasks.seal.open(self.bound(), self.now(), public).ok()?;
        let object = Object::parse(std::str::from_utf8(&payload).ok()?).ok()?;
        object.string("at").ok().flatten().map(|at| at.into_owned())
    }

    /// What an id that a client brings says. One that is another's is unknown.
    pub(super) fn open(&self, public: &str) -> Result<Name, CallError> {
        let unknown = || CallError::UnknownName { kind: Kind::Task, name: public.to_owned() };
        let payload =
            self.tasks.seal.open(self.bound(), self.now(), public).map_err(|fault| match fault {
                SealFault::Expired => CallError::Task { why: "the task has expired".to_owned() },
                _ => unknown(),
            })?;
        std::str::from_utf8(&payload).ok().and_then(Name::read).ok_or_else(unknown)
    }

    fn bound(&self) -> Bound<'_> {
        Bound { purpose: &self.purpose, principal: self.principal.id() }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_was_told() {
        let legacy = Name::of_legacy(("a\"b", "to\"ol"), "t\u{1}", r#"{"roots":{"listChanged":true},"x":1}"#);
        assert_eq!(
            legacy,
            Name::Of {
                server: "a\"b".to_owned(),
                task: "t\u{1}".to_owned(),
                tool: "to\"ol".to_owned(),
                declared: Some(r#"{"roots":{"listChanged":true}}"#.to_owned())
            }
        );
        let (server, tool) = ("a".to_owned(), "t".to_owned());
        let finished = Name::Finished { handle: "h".to_owned(), server, tool };
        for name in [legacy, Name::of_modern(("a", "t"), "b"), finished] {
            assert_eq!(Name::read(&name.text()), Some(name));
        }
        let before = Name::read(r#"{"server":"a","task":"b"}"#);
        assert_eq!(before, Some(Name::of_modern(("a", ""), "b")), "of an earlier version");
        assert_eq!(Name::read("{}"), None);
    }
}
