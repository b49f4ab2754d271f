//! `initialize`: how a legacy session opens, seen from both sides. Source: MCP 2025-11-25 `basic/lifecycle`.

use bytes::Bytes;

use crate::answer::{self, APPS_EXTENSION, AnswerFault, TASKS_EXTENSION};
use crate::cache::Hints;
use crate::discover::{Capabilities, Discovered};
use crate::json::{self, Object, Patch};
use crate::jsonrpc::Message;
use crate::legacy::tasks;
use crate::meta::{ClientFacts, LogWish};
use crate::reject::Reject;
use crate::version::{self, Era, Revision};

/// What a client opens a session with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The revision that it asked for.
    pub requested: String,
    /// The revision that the session will speak.
    pub revision: &'static Revision,
    /// What it says of itself.
    pub client: ClientFacts,
}

impl Opening {
    /// Reads the params of `initialize`. A revision that is not legacy, or not known, is answered with the newest
    /// legacy one, and the client decides.
    ///
    /// # Errors
    /// When a required member is missing or of the wrong kind.
    pub fn read(params: Option<&str>) -> Result<Self, Reject> {
        let bad = |name: &'static str| move |fault| Reject::member(name, &fault);
        let Some(params) = params else {
            return Err(Reject::Params("\"protocolVersion\" is required".to_owned()));
        };
        let params = Object::parse(params).map_err(bad("params"))?;
        let Some(requested) = params.string("protocolVersion").map_err(bad("protocolVersion"))? else {
            return Err(Reject::Params("\"protocolVersion\" is required".to_owned()));
        };
        let object = |name: &'static str| -> Result<Option<Bytes>, Reject> {
            let object = params.object(name).map_err(bad(name))?;
            Ok(object.map(|object| Bytes::copy_from_slice(object.text().as_bytes())))
        };
        let known = version::find(&requested).filter(|revision| revision.era == Era::Legacy);
        Ok(Self {
            requested: requested.into_owned(),
            revision: known.unwrap_or_else(|| version::newest(Era::Legacy)),
            client: ClientFacts {
                capabilities: object("capabilities")?.unwrap_or_else(|| Bytes::from_static(b"{}")),
                info: object("clientInfo")?,
                log: LogWish::ServerDefault,
            },
        })
    }
}

/// The `InitializeResult` object for a server that was discovered. Members of its `Implementation` that a revision does
/// not know (`title`, `icons`, …) stay: clients ignore them.
#[must_use]
pub fn result(discovered: &Discovered, revision: &Revision, fallback_info: &str) -> String {
    let instructions =
        discovered.instructions.as_ref().map(|text| format!(",\"instructions\":{}", json::quote(text)));
    format!(
        r#"{{"protocolVersion":{},"capabilities":{},"serverInfo":{}{}{}}}"#,
        json::quote(revision.name),
        capabilities(discovered, revision),
        discovered.info.as_deref().filter(|info| is_implementation(info)).unwrap_or(fallback_info),
        instructions.unwrap_or_default(),
        discovered.beyond.as_deref().unwrap_or_default()
    )
}

/// The capabilities that a legacy client can use here. What is not named is the server's and stays as it came,
/// `experimental` for one: unknown methods go to the only server.
fn capabilities(discovered: &Discovered, revision: &Revision) -> String {
    let raw = &*discovered.raw_capabilities;
    let Ok(object) = Object::parse(raw) else { return "{}".to_owned() };
    let (mut patch, mut gone) = (Patch::new(), Vec::new());
    let has_tasks = discovered.capabilities.core_tasks && object.get("tasks").is_ok_and(|raw| raw.is_some());
    if !(has_tasks && revision.core_tasks) {
        gone.push("tasks");
    }
    if !revision.declares_completions {
        gone.push("completions");
    }
    if let Ok(Some(raw)) = object.get("extensions") {
        // What a legacy server says is meant for legacy clients. Tasks have a form of their own there.
        let crosses = |id: &str| match discovered.beyond {
            Some(_) => id != TASKS_EXTENSION,
            None => crosses(id),
        };
        match Object::parse(raw) {
            Ok(all) if all.iter().any(|member| crosses(&member.name)) => {
                all.remove(|id| !crosses(id), object.span_of(raw).start, &mut patch);
            }
            _ => gone.push("extensions"),
        }
    }
    object.remove(|name| gone.contains(&name), 0, &mut patch);
    let told = String::from_utf8_lossy(&patch.apply(raw.as_bytes())).into_owned();
    if has_tasks || !revision.core_tasks || !discovered.capabilities.makes_tasks() {
        return told;
    }
    // A server of the extension, or several servers.
    let mut patch = Patch::new();
    let added = Object::parse(&told).and_then(|o| o.set("tasks", tasks::OFFER.as_bytes(), 0, &mut patch));
    if added.is_err() {
        return told;
    }
    String::from_utf8_lossy(&patch.apply(told.as_bytes())).into_owned()
}

/// Capabilities without what a server said of its tasks: they are offered as several servers' are, without a list.
#[must_use]
pub fn without_task_list(raw: &str) -> String {
    let mut patch = Patch::new();
    if let Ok(object) = Object::parse(raw) {
        object.remove(|name| name == "tasks", 0, &mut patch);
    }
    String::from_utf8_lossy(&patch.apply(raw.as_bytes())).into_owned()
}

/// The members of an `InitializeResult` that are none of its own.
fn beyond(result: &Object<'_>) -> String {
    let known = ["protocolVersion", "capabilities", "serverInfo", "instructions"];
    let members = result.iter().filter(|member| !known.contains(&&*member.name));
    members.map(|member| format!(",{}:{}", member.raw_name, member.value)).collect()
}

/// Whether an extension works for clients of the legacy era: those with methods or results of their own are modern.
fn crosses(extension: &str) -> bool {
    extension == APPS_EXTENSION
}

/// Whether it has what legacy revisions require. Modern servers need not say who they are at all.
fn is_implementation(info: &str) -> bool {
    let Ok(object) = Object::parse(info) else { return false };
    ["name", "version"].iter().all(|member| object.string(member).is_ok_and(|text| text.is_some()))
}

/// The params of an `initialize` request.
#[must_use]
pub fn params(revision: &Revision, capabilities: &str, client_info: &str) -> String {
    let version = json::quote(revision.name);
    format!(r#"{{"protocolVersion":{version},"capabilities":{capabilities},"clientInfo":{client_info}}}"#)
}

/// What a legacy server answered to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The revision that the session speaks.
    pub revision: &'static Revision,
    /// What a modern server would have said to `server/discover`.
    pub discovered: Discovered,
}

impl Opened {
    /// Reads an `InitializeResult`.
    ///
    /// # Errors
    /// When the message is not one, or names a revision that is not spoken here.
    pub fn read(message: &Message) -> Result<Self, AnswerFault> {
        let result = answer::result_object(message)?;
        let named = result.string("protocolVersion")?.unwrap_or_default();
        let Some(revision) = version::find(&named).filter(|revision| revision.era == Era::Legacy) else {
            return Err(AnswerFault::UnknownRevision(named.into_owned()));
        };
        let raw_capabilities = result.get("capabilities")?.unwrap_or("{}");
        let mut capabilities = Capabilities::read(raw_capabilities)?;
        // The extension exists in the modern era only: there is no result in this one that could name a task.
        capabilities.extensions.remove(TASKS_EXTENSION);
        let discovered = Discovered {
            // What a client may speak to us behind this server: the server's own revision is not its concern.
            versions: version::names(Era::Modern).map(str::to_owned).collect(),
            capabilities,
            raw_capabilities: raw_capabilities.to_owned(),
            instructions: result.string("instructions")?.map(|text| text.into_owned()),
            info: result.get("serverInfo")?.map(str::to_owned),
            hints: Hints::NONE,
            beyond: Some(beyond(&result)),
        };
        Ok(Self { revision, discovered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_opens_in_the_asked_revision_or_the_newest() {
        let open = |version: &str| {
            Opening::read(Some(&format!(
                r#"{{"protocolVersion":"{version}","capabilities":{{"roots":{{}}}},"clientInfo":{{"name":"c","version":"1"}}}}"#
            )))
            .unwrap()
        };
        assert_eq!(open("2025-03-26").revision.name, "2025-03-26");
        assert_eq!(open("2026-07-28").revision.name, "2025-11-25");
        assert_eq!(open("1.0").revision.name, "2025-11-25");
        assert_eq!(open("1.0").client.capabilities(), r#"{"roots":{}}"#);
        assert!(Opening::read(Some("{}")).is_err());
    }

    #[test]
    fn what_a_server_opened_is_what_a_client_is_told() {
        let text = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"extensions":{"com.example/x":{"a":1.0}}},"serverInfo":{"name":"s","version":"1","x":[ 1e2]},"instructions":"do","_meta":{"a":{ }},"later":1.0}"#;
        let message = Message::parse(answer::result_message(&crate::jsonrpc::Id::number(1), text)).unwrap();
        let opened = Opened::read(&message).unwrap();
        assert_eq!(result(&opened.discovered, opened.revision, "{}"), text);
        let bare = Discovered { info: Some(r#"{"name":"s"}"#.to_owned()), ..opened.discovered.clone() };
        assert!(result(&bare, opened.revision, r#"{"name":"p"}"#).contains(r#""serverInfo":{"name":"p"}"#));
        let future = text.replace("2025-06-18", "2026-07-28");
        let message =
            Message::parse(answer::result_message(&crate::jsonrpc::Id::number(1), &future)).unwrap();
        assert!(Opened::read(&message).is_err());
    }

    fn told_of(raw: &str, revision: &Revision) -> String {
        let discovered = Discovered {
            versions: Vec::new(),
            capabilities: Capabilities::read(raw).unwrap(),
            raw_capabilities: raw.to_owned(),
            instructions: None,
            info: None,
            hints: Hints::NONE,
            beyond: None,
        };
        capabilities(&discovered, revision)
    }

    #[test]
    fn a_client_is_told_of_what_it_can_use_and_nothing_else() {
        let raw = r#"{ "tasks":{"list":{}},"tools":{ "listChanged" : true },"completions":{},"experimental":{"x":1.0},"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"a":[1e2]}},"vendor":[ ]}"#;
        let told = |name: &str| told_of(raw, version::find(name).unwrap());
        assert_eq!(
            told("2025-06-18"),
            r#"{ "tools":{ "listChanged" : true },"completions":{},"experimental":{"x":1.0},"extensions":{"io.modelcontextprotocol/ui":{"a":[1e2]}},"vendor":[ ]}"#
        );
        assert_eq!(told("2025-03-26"), told("2025-06-18"));
        assert_eq!(told("2024-11-05"), told("2025-06-18").replace(r#""completions":{},"#, ""));
    }

    #[test]
    fn tasks_are_offered_to_those_who_know_them() {
        let newest = version::newest(Era::Legacy);
        let extension = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"tools":{}}"#;
        assert_eq!(told_of(extension, newest), format!(r#"{{"tasks":{},"tools":{{}}}}"#, tasks::OFFER));
        let core = r#"{"tools":{},"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}"#;
        assert_eq!(told_of(core, newest), core);
        assert_eq!(told_of(core, version::find("2025-06-18").unwrap()), r#"{"tools":{}}"#);
        for nothing in [r#"{"tasks":{"list":{}},"tools":{}}"#, r#"{"tasks":true,"tools":{}}"#] {
            assert_eq!(told_of(nothing, newest), r#"{"tools":{}}"#);
        }
    }
}
