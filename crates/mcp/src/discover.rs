//! `server/discover`: what a server is and can do, read from a modern or a legacy server, merged, and written.
//!
//! Source: MCP 2026-07-28 `server/discover`, schema `DiscoverResult`, `ServerCapabilities`.

use std::collections::BTreeMap;

use crate::answer::{self, AnswerFault};
use crate::cache::Hints;
use crate::json::{self, JsonFault, Object, Patch};
use crate::jsonrpc::Message;
use crate::meta::SERVER_INFO;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The revisions that it speaks.
    pub versions: Vec<String>,
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// The capabilities object as it was sent.
    pub raw_capabilities: String,
    /// How to use it, for a model.
    pub instructions: Option<String>,
    /// The JSON object of its `Implementation`, unverified.
    pub info: Option<String>,
    /// How long this holds, and for whom.
    pub hints: Hints,
    /// Where it was said in the legacy era: the members that are known to nobody here, for clients of that era, each as
    /// `,"name":value`. None where it was said in the modern era, whose extensions are not for them.
    pub beyond: Option<String>,
}

/// The capabilities that an intermediary must understand to merge them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of the schema's ServerCapabilities")]
pub struct Capabilities {
    /// It has tools.
    pub tools: bool,
    /// It tells when their list changes.
    pub tools_changed: bool,
    /// It has prompts.
    pub prompts: bool,
    /// It tells when their list changes.
    pub prompts_changed: bool,
    /// It has resources.
    pub resources: bool,
    /// It tells when their list changes.
    pub resources_changed: bool,
    /// It tells when one of them changes.
    pub subscribe: bool,
    /// It completes arguments.
    pub completions: bool,
    /// It sends log messages.
    pub logging: bool,
    /// Tools can be called as tasks of the legacy era.
    pub core_tasks: bool,
    /// The extensions it has, each with the JSON object of its settings.
    pub extensions: BTreeMap<String, String>,
}

impl Capabilities {
    /// Reads a `ServerCapabilities` object of any era.
    ///
    /// # Errors
    /// When it is no object, or a member stands twice.
    pub fn read(text: &str) -> Result<Self, JsonFault> {
        let object = Object::parse(text)?;
        let has = |name: &str| object.get(name).map(|raw| raw.is_some_and(|raw| raw != "null"));
        let flag = |name: &str, inner: &str| -> Result<bool, JsonFault> {
            let Some(group) = object.get(name)?.filter(|raw| raw.starts_with('{')) else { return Ok(false) };
            Ok(Object::parse(group)?.get(inner)? == Some("true"))
        };
        let mut extensions = BTreeMap::new();
        if let Some(known) = object.object("extensions")? {
            for member in known.iter() {
                extensions.insert(member.name.clone().into_owned(), member.value.to_owned());
            }
        }
        Ok(Self {
            tools: has("tools")?,
            tools_changed: flag("tools", "listChanged")?,
            prompts: has("prompts")?,
            prompts_changed: flag("prompts", "listChanged")?,
            resources: has("resources")?,
            resources_changed: flag("resources", "listChanged")?,
            subscribe: flag("resources", "subscribe")?,
            completions: has("completions")?,
            logging: has("logging")?,
            core_tasks: crate::legacy::tasks::offers_calls(&object),
            extensions,
        })
    }

    /// All that either has. An extension that both have keeps the settings of the first.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.tools |= other.tools;
        self.tools_changed |= other.tools_changed;
        self.prompts |= other.prompts;
        self.prompts_changed |= other.prompts_changed;
        self.resources |= other.resources;
        self.resources_changed |= other.resources_changed;
        self.subscribe |= other.subscribe;
        self.completions |= other.completions;
        self.logging |= other.logging;
        self.core_tasks |= other.core_tasks;
        for (id, settings) in &other.extensions {
            self.extensions.entry(id.clone()).or_insert_with(|| settings.clone());
        }
        self
    }

    /// Says of each list that is there that it is told when it changes.
    pub fn tell_of_changes(&mut self) {
        self.tools_changed |= self.tools;
        self.prompts_changed |= self.prompts;
        self.resources_changed |= self.resources;
    }

    /// Whether the capability of that name (as in [`crate::method::Method::capability`]) is there.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        match capability {
            "completions" => self.completions,
            "logging" => self.logging,
            "prompts" => self.prompts,
            "resources" => self.resources,
            "tools" => self.tools,
            _ => false,
        }
    }

    /// Whether it makes tasks of calls, in the way of either era.
    #[must_use]
    pub fn makes_tasks(&self) -> bool {
        self.core_tasks || self.extensions.contains_key(answer::TASKS_EXTENSION)
    }

    /// The `ServerCapabilities` object of a modern server.
    #[must_use]
    pub fn text(&self) -> String {
        let mut members = Vec::new();
        let mut add = |on: bool, name: &str, flags: &[(bool, &str)]| {
            if on {
                let flags: Vec<_> =
                    flags.iter().filter(|(on, _)| *on).map(|(_, f)| format!("\"{f}\":true")).collect();
                members.push(format!("\"{name}\":{{{}}}", flags.join(",")));
            }
        };
        add(self.completions, "completions", &[]);
        add(self.logging, "logging", &[]);
        add(self.prompts, "prompts", &[(self.prompts_changed, "listChanged")]);
        add(
            self.resources,
            "resources",
            &[(self.subscribe, "subscribe"), (self.resources_changed, "listChanged")],
        );
        add(self.tools, "tools", &[(self.tools_changed, "listChanged")]);
        let mut all: Vec<_> =
            self.extensions.iter().map(|(id, s)| format!("{}:{s}", json::quote(id))).collect();
        if self.core_tasks && !self.extensions.contains_key(answer::TASKS_EXTENSION) {
            all.push(format!("{}:{{}}", json::quote(answer::TASKS_EXTENSION)));
        }
        if !all.is_empty() {
            members.push(format!("\"extensions\":{{{}}}", all.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// A `ServerCapabilities` object that says of each list that there is a notification when it changes: who stands before a
/// server tells that it has come or gone, whatever the server itself can tell of.
#[must_use]
pub fn telling_of_changes(capabilities: &str) -> String {
    let as_it_is = || capabilities.to_owned();
    let Ok(object) = Object::parse(capabilities) else { return as_it_is() };
    let mut patch = Patch::new();
    for name in ["prompts", "resources", "tools"] {
        let Ok(Some(raw)) = object.get(name) else { continue };
        // What is no object declares nothing that could be added to.
        let Ok(group) = Object::parse(raw) else { continue };
        if group.set("listChanged", b"true", object.span_of(raw).start, &mut patch).is_err() {
            return as_it_is();
        }
    }
    String::from_utf8_lossy(&patch.apply(capabilities.as_bytes())).into_owned()
}

impl Discovered {
    /// Reads a modern server's `DiscoverResult`.
    ///
    /// # Errors
    /// When the message is not one.
    pub fn read(message: &Message) -> Result<Self, AnswerFault> {
        let result = answer::result_object(message)?;
        let Some(versions) = result.get("supportedVersions")? else {
            return Err(AnswerFault::NoEntries("supportedVersions"));
        };
        let versions = json::array(versions)?.into_iter().filter_map(|raw| json::string(raw).ok());
        let raw_capabilities = result.get("capabilities")?.unwrap_or("{}");
        let info = match result.object("_meta")? {
            Some(meta) => meta.get(SERVER_INFO)?.map(str::to_owned),
            None => None,
        };
        // In the modern era that member says nothing (tasks extension §Capability Negotiation).
        let capabilities = Capabilities { core_tasks: false, ..Capabilities::read(raw_capabilities)? };
        Ok(Self {
            versions: versions.map(|version| version.into_owned()).collect(),
            capabilities,
            raw_capabilities: raw_capabilities.to_owned(),
            instructions: result.string("instructions")?.map(|text| text.into_owned()),
            info,
            hints: Hints::read(&result)?,
            beyond: None,
        })
    }

    /// The `DiscoverResult` object; `meta` are further members of `_meta`, each as `"name":value`.
    #[must_use]
    pub fn text(&self, meta: &[String]) -> String {
        let versions: Vec<_> = self.versions.iter().map(|version| json::quote(version)).collect();
        let mut members = vec![
            "\"resultType\":\"complete\"".to_owned(),
            format!("\"supportedVersions\":[{}]", versions.join(",")),
            format!("\"capabilities\":{}", self.raw_capabilities),
        ];
        if let Some(instructions) = &self.instructions {
            members.push(format!("\"instructions\":{}", json::quote(instructions)));
        }
        members.push(self.hints.members());
        let info = self.info.iter().map(|info| format!("\"{SERVER_INFO}\":{info}"));
        let meta: Vec<_> = info.chain(meta.iter().cloned()).collect();
        if !meta.is_empty() {
            members.push(format!("\"_meta\":{{{}}}", meta.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn capabilities_read_merge_and_write() {
        let a =
            Capabilities::read(r#"{"tools":{"listChanged":true},"logging":{},"extensions":{"x/y":{"a":1}}}"#);
        let b = Capabilities::read(
            r#"{"tools":{},"resources":{"subscribe":true},"extensions":{"x/y":{},"z/z":{}}}"#,
        );
        let both = a.unwrap().or(&b.unwrap());
        assert_eq!(
            both.text(),
            r#"{"logging":{},"resources":{"subscribe":true},"tools":{"listChanged":true},"extensions":{"x/y":{"a":1},"z/z":{}}}"#
        );
        assert_eq!(Capabilities::read(&both.text()).unwrap(), both);
    }

    #[test]
    fn changes_are_declared_where_there_are_lists() {
        for (server, told) in [
            (r#"{"tools":{}}"#, r#"{"tools":{"listChanged":true}}"#),
            (r#"{"tools":{"x":1},"logging":{}}"#, r#"{"tools":{"listChanged":true,"x":1},"logging":{}}"#),
            (r#"{ "prompts" : {"listChanged": false} }"#, r#"{ "prompts" : {"listChanged": true} }"#),
            (
                r#"{"tools":null,"experimental":{"tools":{}}}"#,
                r#"{"tools":null,"experimental":{"tools":{}}}"#,
            ),
            (r#"{"resources":{"listChanged":true}}"#, r#"{"resources":{"listChanged":true}}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(telling_of_changes(server), told);
        }
    }

    #[test]
    fn a_discover_result_reads_back() {
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"do","ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}"#;
        let read = Discovered::read(&Message::parse(Bytes::from_static(text.as_bytes())).unwrap()).unwrap();
        assert_eq!(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, read.text(&[])), text);
    }
}
