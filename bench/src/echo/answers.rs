//! What the echo server answers. Everything but the id is made once.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use memchr::memmem;

use super::persona::{Era, Persona};
use crate::look;

/// Tools `echo_N` answer with a text of N bytes.
const TOOL: &str = "echo_";
/// Tools `stream_N` answer with N progress notifications and a result.
const STREAM: &str = "stream_";

/// The modern revision, and the legacy one.
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// What is answered to a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing but that it was taken.
    Taken,
    /// This, with the id of the request before it.
    Result(Bytes),
    /// A result that opens a legacy session.
    Opened(Bytes),
    /// An error in the same way, for which HTTP has a status.
    Refused(u16, Bytes),
    /// Messages that come before the result, each whole.
    Stream(Vec<String>, Bytes),
    /// A stream that begins with this message and stays open.
    Listen(String),
}

/// What stands before the id in each answer.
pub(super) const BEFORE_ID: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// What results can be kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Discover,
    Initialize,
    List,
    Text(usize),
}

/// The answers that were made so far.
#[derive(Debug, Default)]
pub(super) struct Answers {
    made: BTreeMap<(Persona, What), Bytes>,
}

impl Answers {
    /// The answer to `message`. `named` is what the request's header says of the subject, if it has one.
    pub(super) fn to(&mut self, persona: Persona, message: &[u8], named: Option<&str>) -> Answer {
        let method = look::string_after(message, b"\"method\":\"").unwrap_or_default();
        if look::id(message).is_none() {
            return Answer::Taken;
        }
        match (persona.era, method) {
            (Era::Modern, "server/discover") => Answer::Result(self.made(persona, What::Discover)),
            (Era::Modern, "subscriptions/listen") => listen(message),
            (Era::Legacy, "initialize") => Answer::Opened(self.made(persona, What::Initialize)),
            (_, "tools/list") => Answer::Result(self.made(persona, What::List)),
            (_, "tools/call") => self.call(persona, message, named),
            (Era::Legacy, "ping") => Answer::Result(Bytes::from_static(b",\"result\":{}}")),
            _ => Answer::Refused(404, error(-32601, "no such method")),
        }
    }

    fn call(&mut self, persona: Persona, message: &[u8], named: Option<&str>) -> Answer {
        match named.and_then(Tool::of_name).or_else(|| Tool::in_body(message)) {
            Some(Tool::Echo(size)) => Answer::Result(self.made(persona, What::Text(size))),
            Some(Tool::Stream(count)) => {
                Answer::Stream(progress(message, count), self.made(persona, What::Text(64)))
            }
            None => Answer::Refused(200, error(-32602, "no such tool")),
        }
    }

    fn made(&mut self, persona: Persona, what: What) -> Bytes {
        self.made.entry((persona, what)).or_insert_with(|| Bytes::from(make(persona, what))).clone()
    }
}

/// What a legacy HTTP server says to a request without a session.
pub(super) fn no_session() -> Answer {
    Answer::Refused(400, error(-32000, "Bad Request: no session"))
}

/// A tool of this server, by its name with or without a gateway's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Echo(usize),
    Stream(usize),
}

impl Tool {
    fn of_name(name: &str) -> Option<Self> {
        let name = name.rsplit("__").next()?;
        if let Some(size) = name.strip_prefix(TOOL) {
            return size.parse().ok().map(Self::Echo);
        }
        name.strip_prefix(STREAM)?.parse().ok().map(Self::Stream)
    }

    /// The first member `name` that is a tool of ours: clients have names, too.
    fn in_body(message: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"\"name\":\"";
        memmem::find_iter(message, NAME).find_map(|at| {
            let rest = &message[at + NAME.len()..];
            Self::of_name(std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()?)
        })
    }
}

fn listen(message: &[u8]) -> Answer {
    let id = String::from_utf8_lossy(look::id(message).unwrap_or_default()).into_owned();
    let watched =
        watched(message).map_or_else(String::new, |uris| format!(r#","resourceSubscriptions":{uris}"#));
    Answer::Listen(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{{"toolsListChanged":true{watched}}}}}}}"#
    ))
}

/// The list of resources that a subscription wants to hear of.
fn watched(message: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"resourceSubscriptions\":";
    let list = &message[memmem::find(message, NAME)? + NAME.len()..];
    std::str::from_utf8(&list[..=memchr::memchr(b']', list)?]).ok()
}

fn progress(message: &[u8], count: usize) -> Vec<String> {
    let Some(token) = look::scalar(message, "progressToken") else { return Vec::new() };
    let token = String::from_utf8_lossy(token);
    let one = |step| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{count},"message":"step {step:>4} of {count:>4}"}}}}"#
        )
    };
    (1..=count).map(one).collect()
}

fn error(code: i32, message: &str) -> Bytes {
    Bytes::from(format!(r#","error":{{"code":{code},"message":"{message}"}}}}"#))
}

fn make(persona: Persona, what: What) -> String {
    let modern = persona.era == Era::Modern;
    let mut members = String::new();
    if modern {
        members.push_str(r#""resultType":"complete","#);
        if matches!(what, What::Discover | What::List) {
            let scope = if persona.ttl > 0 { "public" } else { "private" };
            members.push_str(&format!(r#""ttlMs":{},"cacheScope":"{scope}","#, persona.ttl));
        }
    }
    let info = r#"{"name":"echo","version":"1"}"#;
    match what {
        What::Discover => members.push_str(&format!(
            r#""supportedVersions":["{MODERN}"],"capabilities":{{"tools":{{"listChanged":true}},"resources":{{"subscribe":true}}}},"_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}"#
        )),
        What::Initialize => members.push_str(&format!(
            r#""protocolVersion":"{LEGACY}","capabilities":{{"tools":{{}}}},"serverInfo":{info}"#
        )),
        What::List => members.push_str(&format!(r#""tools":[{}]"#, tools(persona.tools))),
        What::Text(size) => {
            members.push_str(&format!(r#""content":[{{"type":"text","text":"{}"}}]"#, "x".repeat(size)));
        }
    }
    format!(r#","result":{{{members}}}}}"#)
}

/// A list of about 500 bytes a tool, as real ones have; the first are those that are called.
fn tools(count: u32) -> String {
    let called = ["echo_1024", "echo_65536", "echo_1048576", "stream_10"].map(str::to_owned);
    let others = (0..).map(|at| format!("search_documents_{at:04}"));
    let mut list = String::new();
    for name in called.into_iter().chain(others).take(count as usize) {
        if !list.is_empty() {
            list.push(',');
        }
        // A String takes all that is written to it.
        write!(
            list,
            r#"{{"name":"{name}","title":"Search documents","description":"Finds the documents of a region that match what is asked for, and gives the best of them with where they were found.","inputSchema":{{"type":"object","properties":{{"region":{{"type":"string","description":"Where to search","x-mcp-header":"Region"}},"data":{{"type":"string","description":"What to search for"}},"limit":{{"type":"integer","minimum":1,"maximum":100,"default":10}}}},"required":["data"]}},"annotations":{{"readOnlyHint":true}}}}"#
        )
        .ok();
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSONA: Persona = Persona { era: Era::Modern, tools: 1000, ttl: 5 };

    fn json(answer: &Answer) -> serde_json::Value {
        let (Answer::Result(after) | Answer::Opened(after) | Answer::Refused(_, after)) = answer else {
            panic!("{answer:?}")
        };
        let whole = [BEFORE_ID, b"7", after].concat();
        serde_json::from_slice(&whole).unwrap()
    }

    fn asked(method: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{}}}}"#)
    }

    #[test]
    fn what_is_put_together_is_json() {
        let mut answers = Answers::default();
        let list = json(&answers.to(PERSONA, asked("tools/list").as_bytes(), None));
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 1000);
        assert_eq!(list["result"]["ttlMs"], 5);
        assert_eq!(list["id"], 7);
        let found = json(&answers.to(PERSONA, asked("server/discover").as_bytes(), None));
        assert_eq!(found["result"]["supportedVersions"][0], MODERN);
        let text = json(&answers.to(PERSONA, asked("tools/call").as_bytes(), Some("alpha__echo_100")));
        assert_eq!(text["result"]["content"][0]["text"].as_str().unwrap().len(), 100);
        assert_eq!(
            json(&answers.to(PERSONA, asked("tools/call").as_bytes(), Some("other")))["error"]["code"],
            -32602
        );
    }

    #[test]
    fn a_legacy_server_does_not_know_the_modern_era() {
        let persona = Persona { era: Era::Legacy, ..PERSONA };
        let mut answers = Answers::default();
        let refused = answers.to(persona, asked("server/discover").as_bytes(), None);
        assert_eq!(json(&refused)["error"]["code"], -32601);
        let opened = answers.to(persona, asked("initialize").as_bytes(), None);
        assert!(matches!(opened, Answer::Opened(_)));
        assert_eq!(json(&opened)["result"]["protocolVersion"], LEGACY);
        assert!(
            json(&answers.to(persona, asked("tools/list").as_bytes(), None))["result"]["ttlMs"].is_null()
        );
        let told = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(answers.to(persona, told, None), Answer::Taken);
    }

    #[test]
    fn a_subscription_is_told_what_it_will_hear() {
        let ask = |wanted: &str| {
            format!(r#"{{"id":7,"method":"subscriptions/listen","params":{{"notifications":{wanted}}}}}"#)
        };
        for (wanted, honoured) in [
            (r#"{"toolsListChanged":true}"#, r#"{"toolsListChanged":true}"#),
            (
                r#"{"resourceSubscriptions":["a://b","c"]}"#,
                r#"{"toolsListChanged":true,"resourceSubscriptions":["a://b","c"]}"#,
            ),
        ] {
            let answer = Answers::default().to(PERSONA, ask(wanted).as_bytes(), None);
            let Answer::Listen(first) = answer else { panic!("{answer:?}") };
            assert!(first.ends_with(&format!(r#""notifications":{honoured}}}}}"#)), "{first}");
        }
    }

    #[test]
    fn a_tool_is_found_behind_names_of_clients() {
        let message =
            br#"{"id":1,"method":"tools/call","params":{"_meta":{"c":{"name":"bench"}},"name":"stream_3"}}"#;
        assert_eq!(Tool::in_body(message), Some(Tool::Stream(3)));
        assert_eq!(Tool::of_name("a__b__echo_5"), Some(Tool::Echo(5)));
        assert_eq!(Tool::of_name("echo_x"), None);
    }

    #[test]
    fn progress_carries_the_token_as_it_came() {
        let message = br#"{"id":1,"params":{"_meta":{"progressToken":"t"}}}"#;
        let all = progress(message, 10);
        assert_eq!(all.len(), 10);
        let last: serde_json::Value = serde_json::from_str(&all[9]).unwrap();
        assert_eq!(last["params"]["progressToken"], "t");
        assert_eq!(last["params"]["progress"], 10);
    }
}
