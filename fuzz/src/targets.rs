//! What each fuzz target does with its bytes. Beside never panicking, each checks what must be true of any input.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp::json::{self, Object, Patch};
use mcp::jsonrpc::{EnvelopeFault, Id, Message, MessageKind};
use mcp::legacy::downgrade::{self, Gap};
use mcp::legacy::{batch as batches, convert};
use mcp::meta::{ClientFacts, LogWish};
use mcp::mirror::MirroredParams;
use mcp::mrtr::{self, InputRequired, Retry};
use mcp::outbound::{self, MetaRewrite, Rewrite};
use mcp::trace::Trace;
use mcp::version::{self, Era};
use mcp::{headers as mirrored, inbound, lines as line_codec, list, listen, method, notify, sse};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a target does with its bytes.
pub type Body = fn(&[u8]);

/// The name of each target and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("batch", batch),
    ("carried", carried),
    ("config", config),
    ("downgrade", downgrade),
    ("envelope", envelope),
    ("events", events),
    ("headers", headers),
    ("input", input),
    ("json", json),
    ("lines", lines),
    ("mirror", mirror),
    ("request", request),
    ("result", result),
    ("session", session),
    ("token", token),
];

/// Several messages in one array: what is read is what stands there, and is read again when it is joined.
pub fn batch(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let Ok(members) = batches::read(&text, 64) else { return };
    assert!(batches::is_array(&text) && members.len() <= batches::MOST_MEMBERS);
    let whole: Vec<_> = members.iter().flatten().map(|member| member.bytes().clone()).collect();
    if !whole.is_empty() {
        let again = batches::read(&batches::join(&whole), 64).expect("a batch of messages is a batch");
        let again: Vec<_> =
            again.into_iter().map(|member| member.expect("a message").bytes().clone()).collect();
        assert_eq!(again, whole);
    }
}

/// A message: what is read stays readable with another id, and nothing else changes.
pub fn envelope(data: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data)) else { return };
    let mut patch = Patch::new();
    message.set_id(&Id::number(7), &mut patch);
    let again = Message::parse(patch.apply(message.bytes())).expect("a message with another id is a message");
    assert_eq!(message.params(), again.params());
    drop(notify::see(&message));
}

/// The members of an object as serde_json reads them.
struct Members<'a>(Vec<(&'a str, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((name.get(), value.get()));
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Each)
    }
}

/// Whether any member of it, at any depth, is called `uri`.
fn names_uri(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(names_uri),
        Value::Object(members) => members.iter().any(|(name, value)| name == "uri" || names_uri(value)),
        _ => false,
    }
}

/// How many objects and arrays of a valid text lie in each other.
fn depth(text: &str) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => level += 1,
            b'}' | b']' if !in_string => level -= 1,
            _ => {}
        }
        deepest = deepest.max(level);
    }
    deepest
}

/// A JSON text: what is taken for an object or an array is what serde_json takes for one, member by member.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let raw = |text: &str| serde_json::from_str::<&RawValue>(text).map(|raw| raw.get().len()).ok();
    let space = [' ', '\n', '\t', '\r'];
    let trimmed = text.trim_matches(space);
    let valid = raw(trimmed).is_some();
    let object = Object::parse(text);
    assert_eq!(object.is_ok(), valid && trimmed.starts_with('{'), "{:?}", object.err());
    let elements = json::array(text);
    assert_eq!(elements.is_ok(), valid && trimmed.starts_with('['), "{:?}", elements.err());
    if let Ok(object) = &object {
        let Members(theirs) = serde_json::from_str(text).expect("it is valid");
        assert!(object.iter().map(|member| (member.raw_name, member.value)).eq(theirs));
        // Of members that stand twice serde_json keeps the last, so it may see less.
        if serde_json::from_str(text).is_ok_and(|value: Value| names_uri(&value)) {
            assert!(object.may_name_a_uri());
        }
    }
    if let Ok(elements) = &elements {
        let theirs: Vec<&RawValue> = serde_json::from_str(text).expect("it is valid");
        assert!(elements.iter().copied().eq(theirs.iter().map(|element| element.get())));
    }
    // As deep as it is it may be, and no less.
    if let Ok(object) = &object {
        let text = Bytes::copy_from_slice(data);
        let deep = depth(object.text());
        assert!(!matches!(Message::of_server(text.clone(), deep), Err(EnvelopeFault::TooDeep { .. })));
        let fault = EnvelopeFault::TooDeep { depth: deep, most: deep - 1 };
        assert_eq!(Message::of_server(text.clone(), deep - 1).expect_err("it is deeper"), fault);
        assert_eq!(Message::of_client(&text, deep - 1).expect_err("it is deeper").fault, fault);
    }
    // A message is read in a way of its own.
    if let (Ok(message), Ok(object)) = (Message::parse(Bytes::copy_from_slice(data)), object) {
        let root = message
            .object(json::Span { start: text.len() - text.trim_start_matches(space).len(), end: text.len() });
        let members = |object: &Object<'_>| {
            object.iter().map(|m| (m.raw_name.to_owned(), m.value.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(members(&root.expect("an object")), members(&object));
    }
}

/// A mirrored header: whatever decodes is encoded to something that decodes to the same.
pub fn headers(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    if let Ok(text) = mirrored::decode(&value) {
        assert_eq!(mirrored::decode(&mirrored::encode(&text)).expect("our own encoding"), text);
    }
    let traced: HeaderMap = [(HeaderName::from_static("traceparent"), value)].into_iter().collect();
    Trace::read(&traced).write(None, &mut HeaderMap::new());
}

/// A tool's schema and its arguments, divided by a line end.
pub fn mirror(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (schema, arguments) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(params) = MirroredParams::read(schema) else { return };
    let Ok(_) = Message::parse(Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","arguments":{arguments}}}}}"#
    ))) else {
        return;
    };
    if let Ok(made) = params.headers(Some(arguments)) {
        let made: HeaderMap = made.into_iter().collect();
        assert_eq!(params.check(&made, Some(arguments)), Ok(()));
    }
}

/// Server-sent events, whole and cut in two.
pub fn events(data: &[u8]) {
    let read = |chunks: [&[u8]; 2]| {
        let mut decoder = sse::Decoder::new(4096);
        let mut events = Vec::new();
        let fed = chunks.iter().try_for_each(|chunk| decoder.feed(chunk, |event| events.push(event)));
        (fed, events)
    };
    let whole = read([data, b""]);
    let middle = data.len() / 2;
    assert_eq!(whole, read([&data[..middle], &data[middle..]]));
}

/// Lines, whole and cut in two.
pub fn lines(data: &[u8]) {
    let read = |chunks: [&[u8]; 2]| {
        let mut decoder = line_codec::Decoder::new(64);
        let mut lines = Vec::new();
        chunks.iter().for_each(|chunk| decoder.feed(chunk, |line| lines.push(line)));
        lines
    };
    let middle = data.len() / 2;
    assert_eq!(read([data, b""]), read([&data[..middle], &data[middle..]]));
}

/// A request over HTTP, its headers and body divided by an empty line: what is accepted goes upstream as a request with
/// the same arguments.
pub fn request(data: &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (head, body) = data.split_at(at);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let Ok(message) = Message::parse(Bytes::copy_from_slice(body.get(2..).unwrap_or_default())) else {
        return;
    };
    let call = match inbound::era(&headers, &message) {
        Ok(Era::Modern) => inbound::modern_http(&headers, message),
        Ok(Era::Legacy) => inbound::legacy(message, facts()),
        Err(_) => return,
    };
    let Ok(call) = call else { return };
    for meta in [MetaRewrite::Legacy, modern()] {
        let trace = Trace::read(&headers);
        let subject = call.subject().map(|_| "other");
        let rewrite =
            Rewrite { id: 3, subject, progress_token: call.progress_token().map(|_| 3), trace: &trace, meta };
        let sent = Message::parse(outbound::body(&call, &rewrite)).expect("what we send is a message");
        let MessageKind::Request(request) = sent.kind() else { panic!("what we send is a request") };
        assert_eq!(&*request.method, call.method_name());
        let again = inbound::legacy(sent, facts()).expect("what we send is a call");
        assert_eq!(again.arguments(), call.arguments());
    }
    outbound::mirror(&call, None, version::newest(Era::Modern), &mut HeaderMap::new());
    drop(listen::Filter::read(call.params()));
}

/// A response: made modern, then legacy again, it stays a response.
pub fn result(data: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data)) else { return };
    if !matches!(message.kind(), MessageKind::Result(_) | MessageKind::Error(_)) {
        return;
    }
    for name in ["tools/call", "tools/list", "resources/read"] {
        let method = method::find(name);
        if let Ok(modern) = convert::modernize(message.clone(), method, Some("a://b")) {
            drop(convert::age(modern, method));
        }
    }
    if let Ok(page) = list::Page::read(message, "tools") {
        let rewritten = page.rewrite(&page.entries, page.hints, Some("next"), &[]).map(Message::parse);
        assert!(!matches!(rewritten, Ok(Err(_))), "a rewritten page is a message");
    }
}

/// A result or a tool for clients of every older revision: what comes out is readable, and once is enough.
pub fn downgrade(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(message) = Message::parse(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#)))
    else {
        return;
    };
    for to in version::REVISIONS {
        let gap = Gap { from: version::newest(Era::Modern), to };
        for name in ["tools/call", "prompts/get"] {
            let read = |message| downgrade::response(message, method::find(name), gap);
            if let Ok(once) = read(message.clone()) {
                let again = read(once.clone()).expect("what was made readable is readable");
                assert_eq!(again.bytes(), once.bytes());
            }
        }
        let list = method::find("tools/list").expect("a method of the table");
        let once = downgrade::entry(&Bytes::copy_from_slice(text.trim().as_bytes()), list, gap);
        assert!(Object::parse(std::str::from_utf8(&once).expect("text")).is_ok());
        assert_eq!(downgrade::entry(&once, list, gap), once);
    }
}

/// A result that asks for input and the params of a retry, divided by a line end: what is asked is written as it was read,
/// and a call that is sent again carries exactly what it is sent again with.
pub fn input(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (result, params) = text.split_once('\n').unwrap_or((text, "{}"));
    drop(mrtr::of_url_error(Some(result)));
    assert!(Object::parse(&mrtr::askable(result)).is_ok(), "capabilities are an object");
    if let Ok(Ok(asked)) = Object::parse(result).map(|result| InputRequired::read(&result)) {
        let written = mrtr::ask(&asked.requests, "s");
        let written = Object::parse(&written).expect("what we ask is an object");
        let again = InputRequired::read(&written).map(|again| again.requests);
        assert_eq!(again.as_ref(), Ok(&asked.requests));
        for mut request in asked.requests {
            assert!(request.lacks("{}").is_some(), "nothing is asked of a client that declares nothing");
            if request.age("e").is_ok() && request.modernize().is_ok() && request.is_url() {
                let params = request.params().and_then(|params| Object::parse(params).ok());
                let named = params.is_some_and(|params| !matches!(params.get("elicitationId"), Ok(None)));
                assert!(!named, "an elicitation has no id in the modern era");
            }
        }
    }
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let Ok(message) = Message::parse(Bytes::from(request)) else { return };
    let Ok(call) = inbound::legacy(message, facts()) else { return };
    if let Ok(bare) = mrtr::again(&call, &[], None) {
        assert_eq!((bare.continues(), bare.arguments()), (false, call.arguments()));
    }
    let Ok(retry) = Retry::read(call.params()) else { return };
    let responses: Vec<_> =
        retry.responses.iter().map(|(key, value)| (key.to_string(), (*value).to_owned())).collect();
    let state = retry.state.as_deref().map(json::quote);
    let same = mrtr::again(&call, &responses, state.as_deref()).expect("a call can be sent again");
    assert_eq!(Retry::read(same.params()).as_ref(), Ok(&retry));
    assert_eq!(same.arguments(), call.arguments());
}

/// The opening of a legacy session, from either side.
pub fn session(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        drop(mcp::legacy::initialize::Opening::read(Some(text)));
    }
    if let Ok(message) = Message::parse(Bytes::copy_from_slice(data)) {
        drop(mcp::legacy::initialize::Opened::read(&message));
        drop(mcp::era::of_stdio(&message));
    }
    let mut out = BytesMut::new();
    sse::write_message(data, &mut out);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 3, "an event is one data line");
}

/// A configuration: TOML, JSON or YAML. It has a plan, or it has an error.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let begins = |start: &str| text.trim_start().starts_with(start);
    let name = if begins("{") {
        "mcp.json"
    } else if begins("mcpServers:") || begins("extensions:") {
        "config.yaml"
    } else {
        "portolan.toml"
    };
    let source = config::Source { path: PathBuf::from(name), text: text.to_owned() };
    let loaded = config::load_text(source, &|_| None);
    let failed = loaded.diagnostics.iter().any(|d| d.severity == config::Severity::Error);
    assert_eq!(loaded.plan.is_none(), failed);
    for diagnostic in &loaded.diagnostics {
        drop(diagnostic.to_string());
    }
}

fn facts() -> ClientFacts {
    ClientFacts { capabilities: Bytes::from_static(b"{}"), info: None, log: LogWish::ServerDefault }
}

fn modern() -> MetaRewrite<'static> {
    MetaRewrite::Modern {
        revision: version::newest(Era::Modern),
        capabilities: "{}",
        client_info: r#"{"name":"fuzz","version":"0"}"#,
        log_level: None,
    }
}

/// Tokens, proofs, keys and URLs in them: what is read has one spelling and one meaning, and nobody makes a proof by chance.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(signed) = identity::testing::signed(text) {
        assert_eq!(signed.again, text, "a token has one spelling");
        for object in [signed.header, signed.claims].into_iter().flatten() {
            // It also refuses numbers and escapes that nobody asks for.
            let Ok(read) = serde_json::from_str::<Value>(&object) else { continue };
            let members = Object::parse(&object).expect("an object").iter().count();
            assert_eq!(read.as_object().map(serde_json::Map::len), Some(members), "no member stands twice");
        }
    }
    assert!(!identity::testing::is_proof(text));
    assert!(!identity::testing::is_key(text) || Object::parse(text).is_ok());
    if let Some(url) = identity::testing::url(text) {
        assert_eq!(identity::testing::url(&url).as_deref(), Some(url.as_str()), "a normal form is its own");
    }
}

/// What a proxy in front says of its client, in lines of headers: it has one meaning in each form, it counts once and from its
/// address only, and nobody can put himself beside it.
pub fn carried(data: &[u8]) {
    use identity::testing::{CARRIED, Carried, CertificateForm, FORMS, carried, carrying, names};
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let says_something = [CARRIED, "x-user", "x-groups"].iter().any(|name| headers.contains_key(*name));
    for form in FORMS {
        if says_something {
            assert_eq!(carried(&headers, form, false), None, "it counts from the proxy only");
        }
        let Some(Carried { chain, user }) = carried(&headers, form, true) else { continue };
        assert!(user.is_none_or(|user| !user.is_empty() && headers.get_all("x-user").iter().count() == 1));
        for name in chain.iter().flat_map(|der| names(der)) {
            assert!((1..=2048).contains(&name.len()), "{name}");
        }
        let Some(text) = headers.get(CARRIED) else {
            assert!(chain.is_empty(), "without the header there is no certificate");
            continue;
        };
        let mut twice = headers.clone();
        twice.append(CARRIED, text.clone());
        assert_eq!(carried(&twice, form, true), None, "two say two things");
        let beside = HeaderValue::from_bytes(&[text.as_bytes(), b",By=x"].concat()).expect("visible ASCII");
        let mut more = headers.clone();
        more.insert(CARRIED, beside);
        let taken = carried(&more, form, true);
        // After the last line of a PEM text there may be anything.
        assert!(taken.is_none() || matches!(form, CertificateForm::Pem), "{taken:?}");
        if !chain.is_empty() {
            let again = carried(&carrying(&chain, form), form, true);
            assert_eq!(again.map(|again| again.chain), Some(chain), "what is read is what was sent");
        }
    }
}
