//! `subscriptions/listen`: what a client wants to hear of. Source: MCP 2026-07-28 `basic/patterns/subscriptions`.

use std::collections::BTreeSet;

use crate::json::{self, JsonFault, Object, Patch, Span};
use crate::jsonrpc::{Id, Message, MessageKind};
use crate::meta::SUBSCRIPTION_ID;
use crate::method::Kind;
use crate::reject::Reject;

/// The most resources that one stream may watch: each may cost a legacy server a request.
pub const MOST_URIS: usize = 256;

/// The notifications that a subscription stream carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `notifications/tools/list_changed`.
    pub tools: bool,
    /// `notifications/prompts/list_changed`.
    pub prompts: bool,
    /// `notifications/resources/list_changed`.
    pub resources: bool,
    /// `notifications/resources/updated` for these URIs and what is below them.
    pub uris: BTreeSet<String>,
}

impl Filter {
    /// Reads the filter of a `subscriptions/listen` request or of its acknowledgement. Members of extensions that are
    /// not known here are not honoured, and so they are not in the acknowledgement either.
    ///
    /// # Errors
    /// When `notifications` is missing or of the wrong shape.
    pub fn read(params: Option<&str>) -> Result<Self, Reject> {
        let bad = |fault: JsonFault| Reject::member("notifications", &fault);
        let params = params.map(Object::parse).transpose().map_err(bad)?;
        let wanted =
            params.and_then(|params| params.object("notifications").transpose()).transpose().map_err(bad)?;
        let Some(wanted) = wanted else {
            return Err(Reject::Params("\"notifications\" is required".to_owned()));
        };
        let flag = |name: &str| match wanted.get(name).map_err(bad)? {
            None => Ok(false),
            Some(raw) => {
                json::boolean(raw).ok_or_else(|| Reject::Params(format!("\"{name}\" must be a boolean")))
            }
        };
        let mut uris = BTreeSet::new();
        if let Some(raw) = wanted.get("resourceSubscriptions").map_err(bad)? {
            for uri in json::array(raw).map_err(bad)? {
                if uris.len() == MOST_URIS {
                    let text = format!(
                        "\"resourceSubscriptions\" has more than {MOST_URIS} URIs; open another stream"
                    );
                    return Err(Reject::Params(text));
                }
                uris.insert(json::string(uri).map_err(bad)?.into_owned());
            }
        }
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris,
        })
    }

    /// The filter's JSON object.
    #[must_use]
    pub fn text(&self) -> String {
        let mut members = Vec::new();
        for (on, name) in [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ] {
            if on {
                members.push(format!("\"{name}\":true"));
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<_> = self.uris.iter().map(|uri| json::quote(uri)).collect();
            members.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    /// Whether it asks to hear of changes to the list of that kind.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Tool => self.tools,
            Kind::Prompt => self.prompts,
            Kind::Resource | Kind::Template => self.resources,
            Kind::Server | Kind::Task => false,
        }
    }

    /// Whether an update of `uri` belongs to one of its URIs: the same, or one below it.
    #[must_use]
    pub fn covers(&self, uri: &str) -> bool {
        self.uris.iter().any(|wanted| {
            uri.strip_prefix(wanted.as_str()).is_some_and(|rest| {
                rest.is_empty() || wanted.ends_with('/') || rest.starts_with(['/', '?', '#'])
            })
        })
    }

    /// All that either asks for.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
            uris: self.uris.union(&other.uris).cloned().collect(),
        }
    }

    /// All that both ask for.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
            uris: self.uris.intersection(&other.uris).cloned().collect(),
        }
    }

    /// The params of the acknowledgement that opens a stream.
    #[must_use]
    pub fn acknowledgement(&self, stream: &Id) -> String {
        format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{}}},"notifications":{}}}"#, stream.raw(), self.text())
    }
}

/// Writes into a notification whose stream it is, or takes that away for a client that has no such streams; `at` is where an id
/// stands already. Nothing if it is no notification that can be read.
#[must_use]
pub fn mark(message: &Message, at: Option<Span>, stream: Option<&[u8]>, patch: &mut Patch) -> Option<()> {
    let MessageKind::Notification(note) = message.kind() else { return None };
    let member = stream.map(|stream| [b"\"", SUBSCRIPTION_ID.as_bytes(), b"\":", stream].concat());
    let Some(params_at) = note.params else {
        if let Some(member) = member {
            let end = message.bytes().iter().rposition(|byte| *byte == b'}')?;
            patch.insert(end, &[b",\"params\":{\"_meta\":{", &*member, b"}}"].concat());
        }
        return Some(());
    };
    let params = Object::parse(message.at(params_at)).ok()?;
    match (member, at) {
        (Some(_), Some(at)) => patch.replace(at, stream?),
        (Some(member), None) => match params.get("_meta").ok().flatten() {
            Some(meta) => {
                let meta_at = params.span_of(meta).shift(params_at.start);
                let comma: &[u8] = if Object::parse(meta).ok()?.is_empty() { b"" } else { b"," };
                patch.insert(meta_at.start + 1, &[&*member, comma].concat());
            }
            None => {
                let comma: &[u8] = if params.is_empty() { b"" } else { b"," };
                patch.insert(params_at.start + 1, &[b"\"_meta\":{", &*member, b"}", comma].concat());
            }
        },
        (None, Some(_)) => {
            let meta = params.get("_meta").ok().flatten()?;
            let meta_at = params.span_of(meta).shift(params_at.start);
            Object::parse(meta).ok()?.remove(|name| name == SUBSCRIPTION_ID, meta_at.start, patch);
        }
        (None, None) => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_read_and_write() {
        let text = r#"{"toolsListChanged":true,"resourceSubscriptions":["a://x","b://y/"]}"#;
        let filter = Filter::read(Some(&format!(r#"{{"notifications":{text}}}"#))).unwrap();
        assert_eq!(filter.text(), text);
        assert!(filter.covers("a://x") && filter.covers("a://x/1") && filter.covers("b://y/z"));
        assert!(!filter.covers("a://xy") && !filter.covers("c://"));
        assert!(filter.wants(Kind::Tool) && !filter.wants(Kind::Prompt));
        for bad in ["{}", r#"{"notifications":[]}"#, r#"{"notifications":{"toolsListChanged":1}}"#] {
            assert!(Filter::read(Some(bad)).is_err(), "{bad}");
        }
        assert!(Filter::read(None).is_err());
    }
}
