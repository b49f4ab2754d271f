//! W3C trace context: in headers over HTTP, in `_meta` everywhere.
//!
//! Where Portolan makes no spans of its own, it passes a trace on as it came; what a client named in its headers only
//! is also put where a server over stdio can read it. Where it makes some, the server gets the place of ours in its stead
//! ([`Trace::ours`]). `baggage` stays where it is: headers of that name end here.
//! Source: MCP 2026-07-28 `basic` §_meta (SEP-414); W3C Trace Context §3.2, §3.3.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::json::Object;

/// The two headers, as they are called in `_meta`, too.
const KEYS: [&str; 2] = ["traceparent", "tracestate"];
/// The most characters of a `tracestate` (W3C §3.3.1.5 asks for at least 512).
const MOST_STATE: usize = 512;

/// The trace that a request's headers name, or one of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    parent: Option<String>,
    state: Option<String>,
    /// Whether it takes the place of what the client has said.
    is_ours: bool,
}

/// A span, and the trace that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanPlace {
    /// The trace's id, which is not zero.
    pub trace: [u8; 16],
    /// The span's id, which is not zero.
    pub span: [u8; 8],
    /// Whether somebody keeps it.
    pub sampled: bool,
    /// What other tracing systems say of it (W3C Trace Context §3.3).
    pub state: Option<Box<str>>,
}

impl SpanPlace {
    /// Reads the two texts. What is not well-formed is none.
    #[must_use]
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        if !is_parent(parent) {
            return None;
        }
        let mut parts = parent.split('-').skip(1);
        let trace = bytes::<16>(parts.next()?)?;
        let span = bytes::<8>(parts.next()?)?;
        let [flags] = bytes::<1>(parts.next()?)?;
        // W3C §3.2.2.3, §3.2.2.4: all zeros are invalid.
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = state.filter(|state| is_state(state)).map(Into::into);
        Some(Self { trace, span, sampled: flags & 1 == 1, state })
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex(&self.trace)
    }

    /// The span's id: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        hex(&self.span)
    }
}

impl Trace {
    /// No trace.
    pub const NONE: Self = Self { parent: None, state: None, is_ours: false };

    /// That of a span of ours, whatever the client has said.
    #[must_use]
    pub fn ours(place: &SpanPlace) -> Self {
        let flags = u8::from(place.sampled);
        let parent = format!("00-{}-{}-{flags:02x}", place.trace_id(), place.span_id());
        Self { parent: Some(parent), state: place.state.as_deref().map(str::to_owned), is_ours: true }
    }

    /// The span that a request is made in: that which `_meta` names, or else that of its headers; and that of the headers, if both
    /// name one and they differ. `_meta` comes first because one request of HTTP may stand for several of MCP (OpenTelemetry's
    /// conventions for MCP, «Context propagation»).
    #[must_use]
    pub fn places(&self, meta: Option<&Object<'_>>) -> (Option<SpanPlace>, Option<SpanPlace>) {
        let text = |name| meta.and_then(|meta| meta.string(name).ok().flatten());
        let own = self.parent.as_deref().and_then(|parent| SpanPlace::read(parent, self.state.as_deref()));
        let said =
            text("traceparent").and_then(|parent| SpanPlace::read(&parent, text("tracestate").as_deref()));
        match said {
            None => (own, None),
            Some(said) => {
                let other = own.filter(|own| (own.trace, own.span) != (said.trace, said.span));
                (Some(said), other)
            }
        }
    }

    /// Whether it takes the place of a member of `_meta` that has this name.
    #[must_use]
    pub fn replaces(&self, name: &str) -> bool {
        self.is_ours && KEYS.contains(&name)
    }

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
        Self { parent: Some(parent), state, is_ours: false }
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
        let has =
            !self.is_ours && meta.is_some_and(|meta| meta.iter().any(|member| member.name == "traceparent"));
        let [parent, state] = KEYS;
        let parent = self.parent.as_deref().map(|value| (parent, value));
        let state = self.state.as_deref().map(|value| (state, value));
        parent.into_iter().chain(state).filter(move |_| !has)
    }

    /// Writes the headers for a server over HTTP: of the trace that `_meta` names, or else of this one.
    pub fn write(&self, meta: Option<&Object<'_>>, out: &mut HeaderMap) {
        let meta = meta.filter(|_| !self.is_ours);
        if self.is_ours {
            // The client's state belongs to the client's span.
            KEYS.into_iter().for_each(|name| drop(out.remove(name)));
        }
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

/// So many bytes by their hexadecimal digits.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |byte: u8| DIGITS.get(usize::from(byte)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
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

    #[test]
    fn meta_comes_before_headers_and_a_span_of_ours_before_both() {
        let trace = Trace::read(&headers(&[("traceparent", PARENT), ("tracestate", "a=1")]));
        let (place, other) = trace.places(None);
        let place = place.unwrap();
        assert_eq!(format!("00-{}-{}-01", place.trace_id(), place.span_id()), PARENT);
        assert_eq!((place.sampled, place.state.as_deref(), other), (true, Some("a=1"), None));
        let own = r#"{"x":1,"traceparent":"00-11111111111111111111111111111111-2222222222222222-00","tracestate":"b=2"}"#;
        let own = Object::parse(own).unwrap();
        let (said, other) = trace.places(Some(&own));
        assert_eq!((said.as_ref().unwrap().trace, other), ([0x11; 16], Some(place)));
        assert!(!said.as_ref().unwrap().sampled);

        let ours = Trace::ours(&SpanPlace { trace: [1; 16], span: [2; 8], sampled: true, state: None });
        let text = "00-01010101010101010101010101010101-0202020202020202-01";
        assert_eq!(ours.missing_from(Some(&own)).collect::<Vec<_>>(), [("traceparent", text)]);
        assert!(ours.replaces("traceparent") && ours.replaces("tracestate") && !ours.replaces("baggage"));
        let mut out = headers(&[("tracestate", "a=1")]);
        ours.write(Some(&own), &mut out);
        assert_eq!((out["traceparent"].to_str().unwrap(), out.len()), (text, 1));
    }

    #[test]
    fn zeros_name_no_span() {
        for zeros in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(SpanPlace::read(zeros, None), None);
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more";
        assert!(SpanPlace::read(later, None).unwrap().sampled);
    }
}
