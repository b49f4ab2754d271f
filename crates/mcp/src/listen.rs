//! `subscriptions/listen`: what a client wants to hear of. Source: MCP 2026-07-28 `basic/patterns/subscriptions`.

use std::collections::BTreeSet;

use crate::json::{self, JsonFault, Object};
use crate::jsonrpc::Id;
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
