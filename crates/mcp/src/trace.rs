//! W3C trace context: in headers over HTTP, in `_meta` everywhere.
//!
//! Portolan makes no spans of its own yet, so it passes a trace on as it came; what a client named in its headers only
//! is also put where a server over stdio can read it. `baggage` stays where it is: headers of that name end here.
//! Source: MCP 2026-07-28 `basic` §_meta (SEP-414); W3C Trace Context §3.2, §3.3.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::json::Object;

/// The two headers, as they are called in `_meta`, too.
const KEYS: [&str; 2] = ["traceparent", "tracestate"];
/// The most characters of a `tracestate` (W3C §3.3.1.5 asks for at least 512).
const MOST_STATE: usize = 512;

/// The trace that a request's headers name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    parent: Option<String>,
    state: Option<String>,
}

impl Trace {
    /// No trace.
    pub const NONE: Self = Self { parent: None, state: None };

    /// Reads a request's headers. What is not well-formed names no trace.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let only = |name: &str| {
            let mut all = headers.get_all(name).iter();
            let first = all.next()?.to_str().ok()?.to_owned();
            all.next().is_none().then_some(first)
        };
        let Some(parent) = only("traceparent").filter(|value| is_parent(value)) else { return Self::NONE };
        let state = only("tracestate").filter(|value| is_state(value));
        Self { parent: Some(parent), state }
    }

    /// Its id: 32 hexadecimal digits (W3C Trace Context §3.2.2.3).
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parent.as_deref()?.split('-').nth(1)
    }

    /// The id of the trace that `_meta` names, or else of this one.
    #[must_use]
    pub fn id_with(&self, meta: Option<&Object<'_>>) -> Option<String> {
        let parent = meta.and_then(|meta| meta.string("traceparent").ok().flatten());
        let theirs = parent.as_deref().filter(|value| is_parent(value));
        theirs.or(self.parent.as_deref())?.split('-').nth(1).map(str::to_owned)
    }

    /// What of it `_meta` does not say yet. A `_meta` with a parent of its own has a trace of its own.
    pub fn missing_from(&self, meta: Option<&Object<'_>>) -> impl Iterator<Item = (&'static str, &str)> {
        let has = meta.is_some_and(|meta| meta.iter().any(|member| member.name == "traceparent"));
        let [parent, state] = KEYS;
        let parent = self.parent.as_deref().map(|value| (parent, value));
        let state = self.state.as_deref().map(|value| (state, value));
        parent.into_iter().chain(state).filter(move |_| !has)
    }

    /// Writes the headers for a server over HTTP: of the trace that `_meta` names, or else of this one.
    pub fn write(&self, meta: Option<&Object<'_>>, out: &mut HeaderMap) {
        let member = |name: &str| meta.and_then(|meta| meta.string(name).ok().flatten());
        let (parent, state) = match member("traceparent").filter(|value| is_parent(value)) {
            Some(parent) => (Some(parent), member("tracestate").filter(|value| is_state(value))),
            None => (self.parent.as_deref().map(Cow::Borrowed), self.state.as_deref().map(Cow::Borrowed)),
        };
        for (name, value) in KEYS.into_iter().zip([parent, state]) {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                out.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

fn is_parent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    matches!(parts.as_slice(), [version, trace, span, flags, ..]
        if hex(version, 2) && *version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2)
            && (parts.len() == 4 || *version != "00"))
}

fn is_state(value: &str) -> bool {
    !value.is_empty() && value.len() <= MOST_STATE && value.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_trace_in_headers_reaches_meta_unless_meta_has_its_own() {
        let trace =
            Trace::read(&headers(&[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "x=y")]));
        let missing: Vec<_> = trace.missing_from(None).collect();
        assert_eq!(missing, [("traceparent", PARENT), ("tracestate", "a=1")]);
        let own = r#"{"traceparent":"00-11111111111111111111111111111111-2222222222222222-00"}"#;
        assert_eq!(trace.missing_from(Some(&Object::parse(own).unwrap())).count(), 0);
        let headers_of = |meta: Option<&str>| {
            let mut out = HeaderMap::new();
            trace.write(meta.map(|meta| Object::parse(meta).unwrap()).as_ref(), &mut out);
            out
        };
        let sent = headers_of(Some(own));
        assert_eq!(sent["traceparent"], "00-11111111111111111111111111111111-2222222222222222-00");
        assert!(!sent.contains_key("tracestate"), "the state belongs to the other trace");
        assert_eq!(headers_of(None)["tracestate"], "a=1");
    }

    #[test]
    fn malformed_traces_are_none() {
        for bad in ["", "00-0af7-b7ad-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x"] {
            assert_eq!(Trace::read(&headers(&[("traceparent", bad)])), Trace::NONE, "{bad}");
        }
        assert_eq!(Trace::read(&headers(&[("tracestate", "a=1")])), Trace::NONE);
        assert_eq!(Trace::read(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])), Trace::NONE);
    }
}
